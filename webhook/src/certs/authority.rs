//! One authority: a key, and a certificate that it signed for itself.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::{CertError, der};

/// Clocks differ: a certificate is valid from a little before it was made.
const SKEW: Duration = Duration::hours(1);

/// Renewed when half of it is over, so that a year without any replica running goes unnoticed. Those that are stored
/// have lived as long as this says, counted from their end: a shorter life makes them younger than they are.
const AUTHORITY_LIFE: Duration = Duration::days(730);

const LEAF_LIFE: Duration = Duration::days(90);

/// An authority of our own. Its key never leaves memory, but for the Secret that replicas share.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    pub(super) made: OffsetDateTime,
    pub(super) ends: OffsetDateTime,
}

impl Authority {
    /// A new key and a certificate for it.
    ///
    /// # Errors
    /// Where the system has no randomness.
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

    /// One that [`Authority::pem`] and [`Authority::key_pem`] gave.
    pub(super) fn from_der(certificate: &CertificateDer<'_>, key_pem: &str) -> Result<Self, CertError> {
        let key = KeyPair::from_pem(key_pem)?;
        let ends = der::not_after(certificate).ok_or(CertError::Foreign("a certificate is none"))?;
        // An issuer's name is not read but known, which holds for what we made ourselves.
        if !der::is_self_issued(certificate) || !contains(certificate, key.public_key_raw()) {
            return Err(CertError::Foreign("a certificate and its key do not belong together"));
        }
        let params = authority_params()?;
        Ok(Self { pem: pem_of(certificate), issuer: Issuer::new(params, key), made: ends - AUTHORITY_LIFE, ends })
    }

    /// Its certificate, for `caBundle`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for these host names and addresses, with a key of its own.
    ///
    /// # Errors
    /// Where a name is none.
    pub fn issue(&self, hosts: &[String]) -> Result<CertifiedKey, CertError> {
        Ok(self.issue_at(hosts, OffsetDateTime::now_utc())?.0)
    }

    /// The same with the time of its end, which is not after the authority's own.
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

/// All but the time: what an issuer has to be made of again.
fn authority_params() -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "plimsoll authority");
    // No further authority below it: it signs servers.
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

/// The certificates and the keys of a PEM text each, in order.
pub(super) fn parse(certificates: &[u8], keys: &[u8]) -> Result<Vec<Authority>, CertError> {
    let foreign = |what| move |_| CertError::Foreign(what);
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(foreign("its certificates are not PEM"))?;
    let keys = std::str::from_utf8(keys).map_err(|_| CertError::Foreign("its keys are not PEM"))?;
    const END: &str = "-----END PRIVATE KEY-----\n";
    let keys: Vec<_> = keys.split_inclusive(END).filter(|key| !key.trim().is_empty()).collect();
    if certificates.len() != keys.len() {
        return Err(CertError::Foreign("it has not as many keys as certificates"));
    }
    certificates.iter().zip(keys).map(|(certificate, key)| Authority::from_der(certificate, key)).collect()
}
