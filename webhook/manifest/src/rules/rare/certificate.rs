//! Requests for certificates.

use super::super::check::{self, Seen, field, item, shown};
use super::super::meta;
use crate::formats::{content, names};
use crate::{At, Faults, Rule};

const USAGES: &[&str] = &[
    "signing",
    "digital signature",
    "content commitment",
    "key encipherment",
    "key agreement",
    "data encipherment",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
    "any",
    "server auth",
    "client auth",
    "code signing",
    "email protection",
    "s/mime",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "timestamping",
    "ocsp signing",
    "microsoft sgc",
    "netscape sgc",
];

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::PATH_SEGMENT, true, faults);
    let spec = object.at("spec");
    let request = field(&spec, "request");
    if let Some(text) = request.need("the request as base64 of PEM", faults) {
        let is_pem = content::base64(text)
            .is_none_or(|bytes| String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE REQUEST-----"));
        if !is_pem {
            let message = "`request` is not a certificate request in PEM";
            faults.error(Rule::InvalidFormat, &request.at, message, "write the base64 of a PEM `CERTIFICATE REQUEST`");
        }
    }
    let usages = field(&spec, "usages");
    if usages.at.count() == 0 {
        usages.missing("what the certificate is for", faults);
    }
    let mut seen = Seen::default();
    for usage in usages.at.items() {
        item(&usage, "usages").need_one_of(USAGES, faults);
        if !seen.insert(usage.text()) {
            check::duplicate(&usage, "the usage", usage.text(), faults);
        }
    }
    let signer = field(&spec, "signerName");
    if signer.at.text() == "kubernetes.io/legacy-unknown" {
        let message = format!("the signer `{}` is not allowed any more", shown(signer.at.text()));
        faults.error(Rule::InvalidValue, &signer.at, message, "write the name of another signer");
    } else {
        signer.need_form(&names::SIGNER, Rule::InvalidName, faults);
    }
    field(&spec, "expirationSeconds").least(600, faults);
}
