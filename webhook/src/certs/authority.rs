//! One CA: a key and its self-signed certificate.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::{CertError, der};

/// A certificate is valid from this long before it was made, because clocks differ.
const SKEW: Duration = Duration::hours(1);

/// Lifetime of a CA. It is renewed after half of it, so a year without any running replica does no harm. The creation
/// time of a stored CA is computed from its expiry and this constant, so a change makes stored CAs look older or
/// younger.
const AUTHORITY_LIFE: Duration = Duration::days(730);

const LEAF_LIFE: Duration = Duration::days(90);

/// A CA of our own. Its key is only in memory, and in the Secret that replicas share.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    pub(super) made: OffsetDateTime,
    pub(super) ends: OffsetDateTime,
}

impl Authority {
    /// Creates a new key and its certificate.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new() -> Result<Self, CertError> {
        Self::made(OffsetDateTime::now_utc())
    }

    pub(super) fn made(now: OffsetDateTime) -> Result<Self, CertError> {
        let key = KeyPair::generate()?;
        let mut params = authority_params()?;
        let ends = now + AUTHORITY_LIFE;
        (params.not_before, params.not_after) = (now - SKEW, ends);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key), made: now, ends })
    }

    /// Restores a CA from its certificate and key.
    pub(super) fn from_der(certificate: &CertificateDer<'_>, key_pem: &str) -> Result<Self, CertError> {
        let key = KeyPair::from_pem(key_pem)?;
        let ends = der::not_after(certificate).ok_or(CertError::Foreign("a certificate is invalid"))?;
        // The issuer's name is not parsed. It is a constant, because we only accept CAs that we made.
        if !der::is_self_issued(certificate) || !contains(certificate, key.public_key_raw()) {
            return Err(CertError::Foreign("a certificate and its key do not belong together"));
        }
        let params = authority_params()?;
        Ok(Self { pem: pem_of(certificate), issuer: Issuer::new(params, key), made: ends - AUTHORITY_LIFE, ends })
    }

    /// The certificate as PEM, for `caBundle`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate for these host names and addresses, with a new key.
    ///
    /// # Errors
    /// If a name is not a valid host name or address.
    pub fn issue(&self, hosts: &[String]) -> Result<CertifiedKey, CertError> {
        Ok(self.issue_at(hosts, OffsetDateTime::now_utc())?.0)
    }

    /// Like `issue`, and also returns the expiry, which is never after that of the CA.
    pub(super) fn issue_at(
        &self,
        hosts: &[String],
        now: OffsetDateTime,
    ) -> Result<(CertifiedKey, OffsetDateTime), CertError> {
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, "plimsoll");
        let ends = self.ends.min(now + LEAF_LIFE);
        (params.not_before, params.not_after) = (now - SKEW, ends);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = rustls::crypto::ring::default_provider();
        let leaf = CertifiedKey::from_der(vec![leaf.der().clone()], key, &provider).map_err(CertError::Issued)?;
        Ok((leaf, ends))
    }
}

/// The parameters of a CA without its times. They are also needed to restore a CA.
fn authority_params() -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "plimsoll authority");
    // It signs only servers, no further CAs.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn pem_of(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// Parses CAs from a PEM text of certificates and a PEM text of keys, in the same order.
pub(super) fn parse(certificates: &[u8], keys: &[u8]) -> Result<Vec<Authority>, CertError> {
    let foreign = |what| move |_| CertError::Foreign(what);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(foreign("its certificates are not PEM"))?;
    let keys = std::str::from_utf8(keys).map_err(|_| CertError::Foreign("its keys are not PEM"))?;
    const END: &str = "-----END PRIVATE KEY-----\n";
    let keys: Vec<_> = keys.split_inclusive(END).filter(|key| !key.trim().is_empty()).collect();
    if certificates.len() != keys.len() {
        return Err(CertError::Foreign("the numbers of keys and certificates differ"));
    }
    certificates.iter().zip(keys).map(|(certificate, key)| Authority::from_der(certificate, key)).collect()
}
