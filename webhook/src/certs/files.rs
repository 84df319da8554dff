//! Certificates and keys in files, which another program renews.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::{CertError, der};
use crate::files;

/// A certificate chain and its key as files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM: the certificate, then its intermediate certificates.
    pub certificate: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub private_key: PathBuf,
}

impl Pair {
    /// Reads both files and checks that they match.
    ///
    /// # Errors
    /// If a file is missing, invalid or expired, or if the key does not match.
    pub fn load(&self) -> Result<CertifiedKey, CertError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.private_key)?).map_err(|error| CertError::Pem {
            file: self.private_key.clone(),
            what: "private key",
            error,
        })?;
        let unusable = |error| CertError::Unusable { file: self.certificate.clone(), error };
        let key = CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(unusable)?;
        match key.cert.first().and_then(|leaf| der::not_after(leaf)) {
            Some(end) if end <= OffsetDateTime::now_utc() => {
                Err(CertError::Ended { file: self.certificate.clone(), date: end.date() })
            }
            _ => Ok(key),
        }
    }

    /// The PEM for `caBundle`: the file of the CA, or the certificate itself if it is self-signed.
    ///
    /// # Errors
    /// If there is no such file, and the certificate is not self-signed.
    pub fn authority(&self, ca_file: Option<&Path>) -> Result<Vec<u8>, CertError> {
        if let Some(file) = ca_file {
            certificates(file)?;
            return read(file);
        }
        let chain = certificates(&self.certificate)?;
        match chain.first() {
            Some(leaf) if der::is_self_issued(leaf) => read(&self.certificate),
            _ => Err(CertError::NoAuthority(self.certificate.clone())),
        }
    }

    /// Checks the host name at start. Otherwise the API server would only report a wrong name at the first review.
    ///
    /// # Errors
    /// If the certificate does not name this host.
    pub fn check_name(&self, host: &str) -> Result<(), CertError> {
        let wrong = |error| CertError::WrongName { file: self.certificate.clone(), host: host.to_owned(), error };
        let chain = certificates(&self.certificate)?;
        let leaf = chain.first().ok_or_else(|| wrong(rustls::Error::NoCertificatesPresented))?;
        let name =
            ServerName::try_from(host).map_err(|_| wrong(rustls::Error::General("it is no host name".to_owned())))?;
        let parsed = ParsedCertificate::try_from(leaf).map_err(wrong)?;
        verify_server_name(&parsed, &name).map_err(wrong)
    }
}

/// The CA certificates of a file.
///
/// # Errors
/// If the file contains no certificate, or one that is not a CA certificate.
pub fn roots(file: &Path) -> Result<RootCertStore, CertError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(file)? {
        roots.add(authority).map_err(|error| CertError::NotAnAuthority { file: file.to_owned(), error })?;
    }
    Ok(roots)
}

fn read(file: &Path) -> Result<Vec<u8>, CertError> {
    files::read(file, files::MAX_CERTIFICATE).map_err(|error| CertError::Read { file: file.to_owned(), error })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let broken = |error| CertError::Pem { file: file.to_owned(), what: "certificate", error };
    let pem = read(file)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(broken)?;
    if chain.is_empty() { Err(broken(pem::Error::NoItemsFound)) } else { Ok(chain) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::KeyPair;

    use super::super::Authority;
    use super::*;

    fn write(folder: &Path, authority: &Authority, key: &CertifiedKey) -> Pair {
        let files = Pair { certificate: folder.join("tls.crt"), private_key: folder.join("tls.key") };
        let pem = key.cert.iter().map(|certificate| pem_of(certificate)).collect::<String>();
        fs::write(&files.certificate, pem).unwrap();
        fs::write(&files.private_key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
        files
    }

    fn pem_of(certificate: &CertificateDer<'_>) -> String {
        use base64::Engine as _;
        let text = base64::prelude::BASE64_STANDARD.encode(certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn names_and_authorities_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let key = authority.issue(&["webhook.example".to_owned(), "10.1.2.3".to_owned()]).unwrap();
        let files = write(folder.path(), &authority, &key);
        files.check_name("webhook.example").unwrap();
        files.check_name("10.1.2.3").unwrap();
        assert!(matches!(files.check_name("10.1.2.4"), Err(CertError::WrongName { .. })));
        assert!(matches!(files.authority(None), Err(CertError::NoAuthority(_))));
        let bundle = files.authority(Some(&folder.path().join("ca.crt"))).unwrap();
        assert_eq!(String::from_utf8(bundle).unwrap(), authority.pem());
        // The file contains another key.
        assert!(matches!(files.load(), Err(CertError::Unusable { .. })));
        let missing = files.authority(Some(&folder.path().join("nowhere"))).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read "), "{missing}");
        let key_as_ca = files.authority(Some(&files.private_key)).unwrap_err();
        assert!(key_as_ca.to_string().contains("holds no certificate in PEM"), "{key_as_ca}");
    }

    #[test]
    fn a_self_signed_certificate_is_its_own_authority() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Pair { certificate: folder.path().join("tls.crt"), private_key: folder.path().join("tls.key") };
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.private_key, made.signing_key.serialize_pem()).unwrap();
        files.load().unwrap();
        assert_eq!(files.authority(None).unwrap(), made.cert.pem().into_bytes());
    }
}
