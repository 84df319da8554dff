//! Projected volumes, which gather files from several sources.

use super::check::{Field, Seen, duplicate, exclusive, field, need_one};
use super::volume::{downward_file, file_path, key_file};
use super::{meta, selector};
use crate::formats::{names, paths};
use crate::{At, Faults, Rule};

const SOURCES: &[&str] =
    &["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];

const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// Shortest and longest lifetime of a token, in seconds.
pub(super) const TOKEN: (i64, i64) = (600, 1 << 32);

/// Checks a projected volume.
pub(super) fn probe(volume: &At<'_>, faults: &mut Faults) {
    field(volume, "defaultMode").file_mode(faults);
    let mut seen = Seen::default();
    // Before 1.37 sources with certificates were removed.
    let certificates = faults.since(37);
    for source in volume.at("sources").items() {
        exclusive(&source, if certificates { SOURCES } else { SOURCES.split_at(4).0 }, "a source", faults);
        for kind in ["secret", "configMap"] {
            let keys = source.at(kind);
            if keys.is_present() {
                field(&keys, "name").need("the name of the Secret or ConfigMap", faults);
                for file in keys.at("items").items() {
                    key_file(&file, faults);
                    once(field(&file, "path"), &mut seen, faults);
                }
            }
        }
        for file in source.at("downwardAPI").at("items").items() {
            downward_file(&file, faults);
            once(field(&file, "path"), &mut seen, faults);
        }
        let token = source.at("serviceAccountToken");
        if token.is_present() {
            field(&token, "expirationSeconds").range(TOKEN.0, TOKEN.1, faults);
            file_path(field(&token, "path"), faults);
        }
        if certificates {
            bundle(&source.at("clusterTrustBundle"), &mut seen, faults);
            certificate(&source.at("podCertificate"), &mut seen, faults);
        }
    }
}

/// Records a path that another file of the volume has too.
fn once<'a>(path: Field<'a>, seen: &mut Seen<'a>, faults: &mut Faults) {
    let text = path.at.text();
    if !text.is_empty() && !seen.insert(text) {
        duplicate(&path.at, "the path", text, faults);
    }
}

fn bundle<'a>(bundle: &At<'a>, seen: &mut Seen<'a>, faults: &mut Faults) {
    if bundle.is_absent() {
        return;
    }
    let names = ["name", "signerName"];
    match exclusive(bundle, &names, "a bundle", faults) {
        0 => need_one(bundle, &names, "a bundle", faults),
        1 if bundle.at("name").is_present() => {
            let name = field(bundle, "name");
            name.need("the name of a ClusterTrustBundle", faults);
            name.without_fault(Rule::InvalidName, bundle_fault, faults);
            field(bundle, "labelSelector").forbid(Rule::ExclusiveFields, "with `name`", faults);
        }
        1 => {
            field(bundle, "signerName").need_form(&names::SIGNER, Rule::InvalidName, faults);
            selector::label_selector(&bundle.at("labelSelector"), faults);
        }
        _ => {}
    }
    let path = field(bundle, "path");
    file_path(path, faults);
    once(path, seen, faults);
}

/// What is wrong with the name of a bundle, if something is: of a signer it begins with the signer and `:`.
fn bundle_fault(name: &str) -> Option<&'static str> {
    let own = name.rsplit_once(':').map_or(name, |(_, own)| own);
    (!names::is_dns_subdomain(own))
        .then_some("it must be a DNS subdomain, with the name of the signer and `:` before it")
}

fn certificate<'a>(certificate: &At<'a>, seen: &mut Seen<'a>, faults: &mut Faults) {
    if certificate.is_absent() {
        return;
    }
    let signer = field(certificate, "signerName");
    signer.need_form(&names::SIGNER, Rule::InvalidName, faults);
    field(certificate, "keyType").need_one_of(KEY_TYPES, faults);
    let host = signer.at.text().split('/').next().unwrap_or_default();
    let own = host == "kubernetes.io" || host.ends_with(".kubernetes.io");
    let most = if own { 86_400 } else { 7_862_400 };
    field(certificate, "maxExpirationSeconds").range(3600, most, faults);
    meta::annotations(&certificate.at("userAnnotations"), faults);
    let files = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    if files.iter().all(|name| certificate.at(name).text().is_empty()) {
        need_one(certificate, &files, "a certificate", faults);
    }
    for name in files {
        let path = field(certificate, name);
        path.without_fault(Rule::InvalidFormat, paths::file_fault, faults);
        once(path, seen, faults);
    }
}
