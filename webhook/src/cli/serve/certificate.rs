//! Which certificate it serves with, and which authority the API server is told.

use rustls::sign::CertifiedKey;

use super::arguments::ServeArgs;
use crate::certs::{self, Authority, CertError};

pub(super) struct Certificate {
    pub(super) key: CertifiedKey,
    /// PEM, for `caBundle`.
    pub(super) authority: Vec<u8>,
}

pub(super) fn certificate(args: &ServeArgs) -> Result<Certificate, CertError> {
    let url = args.url.as_ref();
    if let (Some(certificate), Some(private_key)) = (&args.tls_cert_file, &args.tls_private_key_file) {
        let files = certs::Files { certificate: certificate.clone(), private_key: private_key.clone() };
        let key = files.load()?;
        let mut authority = Vec::new();
        if let Some(url) = url.filter(|_| args.register) {
            files.check_name(&url.host)?;
            authority = files.authority(args.ca_file.as_deref())?;
        }
        return Ok(Certificate { key, authority });
    }
    let mut hosts = certs::hosts_of(args.listen.ip());
    hosts.extend(url.map(|url| url.host.clone()).filter(|host| !hosts.contains(host)));
    let authority = Authority::new()?;
    Ok(Certificate { key: authority.issue(&hosts)?, authority: authority.pem().as_bytes().to_vec() })
}
