//! The server's certificate: read from files, or issued by a CA of our own (`Authority`).

mod authorities;
mod authority;
mod der;
mod files;

use std::net::IpAddr;
use std::path::PathBuf;

use rustls::pki_types::pem;
use time::{Date, OffsetDateTime};

use crate::files::ReadError;

pub use authorities::{Authorities, Leaf};
pub use authority::Authority;
pub use files::{Pair, roots};

/// Why a certificate could not be read, issued or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file cannot be read.
    #[error("cannot read {file}: {error}")]
    Read {
        /// The file.
        file: PathBuf,
        /// The error of the system, or a file that is not regular or too large.
        error: ReadError,
    },
    /// A file does not contain the expected PEM.
    #[error("{file} holds no {what} in PEM: {error}")]
    Pem {
        /// The file.
        file: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// The error of the parser.
        error: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{file} and its private key cannot be used: {error}")]
    Unusable {
        /// The certificate's file.
        file: PathBuf,
        /// The error of rustls.
        error: rustls::Error,
    },
    /// The certificate has expired.
    #[error("the certificate of {file} expired on {date}; renew it")]
    Ended {
        /// The certificate's file.
        file: PathBuf,
        /// Its last day.
        date: Date,
    },
    /// The certificate is not allowed to sign others.
    #[error("{file} contains a certificate that is not a CA certificate: {error}")]
    NotAnAuthority {
        /// The file.
        file: PathBuf,
        /// The error of rustls.
        error: rustls::Error,
    },
    /// The certificate does not name the host, so the API server would reject it.
    #[error("the certificate of {file} is not valid for {host}, the host that the API server connects to: {error}")]
    WrongName {
        /// The certificate's file.
        file: PathBuf,
        /// The host of the URL or of the Service.
        host: String,
        /// The error of rustls.
        error: rustls::Error,
    },
    /// The certificate is not self-signed, and no file names its CA.
    #[error("the certificate of {0} is not self-signed: give the certificate of its CA with --ca-file")]
    NoAuthority(PathBuf),
    /// Our own certificate could not be issued.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// Our own certificate could not be used.
    #[error("cannot use the certificate that Plimsoll issued: {0}")]
    Issued(rustls::Error),
    /// The data does not contain CAs that Plimsoll made.
    #[error("it contains no CA of Plimsoll: {0}")]
    Foreign(&'static str),
}

/// The expiry of a certificate. None if the bytes are no certificate.
pub fn not_after(certificate: &[u8]) -> Option<OffsetDateTime> {
    der::not_after(certificate)
}

/// The common name of a certificate's subject. It identifies a client.
pub fn common_name(certificate: &[u8]) -> Option<&str> {
    der::common_name(certificate)
}

/// The host names for the certificate of a server that listens on this address: the address itself, unless it means
/// all addresses, and the names of loopback if they are included.
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
