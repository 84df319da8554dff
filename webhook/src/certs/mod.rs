//! The server's certificate: read from files, or issued by an authority of its own.

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

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file cannot be read.
    #[error("cannot read {file}: {error}")]
    Read {
        /// Which.
        file: PathBuf,
        /// What the system says, or that it is no file of that kind.
        error: ReadError,
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
    /// What should be authorities of ours is something else.
    #[error("it holds no authority of Plimsoll: {0}")]
    Foreign(&'static str),
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
