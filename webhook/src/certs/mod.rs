//! The server's certificate: read from files, or issued by an authority of its own.

mod der;
mod files;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, pem};
use rustls::sign::CertifiedKey;
use time::{Date, Duration, OffsetDateTime};

pub use files::{Files, roots};

/// Clocks differ: a certificate is valid from a little before it was made.
const SKEW: Duration = Duration::hours(1);

/// The authority lives no longer than the process, so that this only has to be longer than any process.
const AUTHORITY_DAYS: i64 = 3650;

const LEAF_DAYS: i64 = 365;

/// How long a certificate is valid that we issue.
pub const LIFE: Duration = Duration::days(LEAF_DAYS);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file cannot be read.
    #[error("cannot read {file}: {error}")]
    Read {
        /// Which.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file is not PEM of what it should hold.
    #[error("{file} holds no {what} in PEM: {error}")]
    Pem {
        /// Which.
        file: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What the parser says.
        error: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{file} and its private key cannot be used: {error}")]
    Unusable {
        /// The certificate's file.
        file: PathBuf,
        /// What rustls says.
        error: rustls::Error,
    },
    /// Nobody would accept it any more.
    #[error("the certificate of {file} ended on {date}; renew it")]
    Ended {
        /// The certificate's file.
        file: PathBuf,
        /// Its last day.
        date: Date,
    },
    /// A certificate that cannot sign others.
    #[error("{file} holds a certificate that is no authority: {error}")]
    NotAnAuthority {
        /// Which.
        file: PathBuf,
        /// What rustls says.
        error: rustls::Error,
    },
    /// The API server would refuse the certificate.
    #[error("the certificate of {file} is not valid for {host}, under which the API server is to reach it: {error}")]
    WrongName {
        /// The certificate's file.
        file: PathBuf,
        /// From the URL.
        host: String,
        /// What rustls says.
        error: rustls::Error,
    },
    /// Neither is there a file with the authority, nor is the certificate its own.
    #[error("{0} is signed by an authority that the API server has to be told: give its certificate with --ca-file")]
    NoAuthority(PathBuf),
    /// An own certificate could not be issued.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// An own certificate could not be used.
    #[error("cannot use the certificate that was issued: {0}")]
    Issued(rustls::Error),
}

/// An authority that exists only in memory. Whoever starts anew has a new one and writes its `caBundle` anew.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new key and a certificate for it.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new() -> Result<Self, CertError> {
        let mut params = params(Vec::new(), "plimsoll authority", AUTHORITY_DAYS)?;
        // No further authority below it: it signs servers.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { pem, issuer: Issuer::new(params, key) })
    }

    /// Its certificate, for `caBundle`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these host names and addresses, with a key of its own.
    ///
    /// # Errors
    /// Where a name is none.
    pub fn issue(&self, hosts: &[String]) -> Result<CertifiedKey, CertError> {
        let mut params = params(hosts.to_vec(), "plimsoll", LEAF_DAYS)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(vec![leaf.der().clone()], key, &provider).map_err(CertError::Issued)
    }
}

fn params(hosts: Vec<String>, name: &str, days: i64) -> Result<CertificateParams, CertError> {
    let mut params = CertificateParams::new(hosts)?;
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SKEW;
    params.not_after = now + Duration::days(days);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// When a certificate ends; none where it is no certificate.
pub fn not_after(certificate: &[u8]) -> Option<OffsetDateTime> {
    der::not_after(certificate)
}

/// The common name of a certificate's subject, by which API servers tell their clients apart.
pub fn common_name(certificate: &[u8]) -> Option<&str> {
    der::common_name(certificate)
}

/// Under which names a server that listens there may be asked: its address, if it is one and not "all", and loopback's
/// names where loopback is included.
pub fn hosts_of(listen: IpAddr) -> Vec<String> {
    let mut hosts = Vec::new();
    if listen.is_unspecified() || listen.is_loopback() {
        hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    }
    let address = listen.to_string();
    if !listen.is_unspecified() && !hosts.contains(&address) {
        hosts.push(address);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let hosts = |address: &str| hosts_of(address.parse().unwrap());
        assert_eq!(hosts("0.0.0.0"), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(hosts("127.0.0.1"), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(hosts("127.0.0.2"), ["localhost", "127.0.0.1", "::1", "127.0.0.2"]);
        assert_eq!(hosts("192.0.2.7"), ["192.0.2.7"]);
    }
}
