//! The CAs that replicas share, and their rotation without a failed review.
//!
//! A new CA is first only published in `caBundle`, beside the old one. Later it signs certificates. The old CA stays in
//! `caBundle` until it expires. So the replicas need not switch at the same time.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::CertError;
use super::authority::{self, Authority};

/// The next CA is created this long before the newest one expires.
const RENEW_BEFORE: Duration = Duration::days(365);

/// A new CA is published this long before it signs, so that every replica and API server has seen it.
const SPREAD: Duration = Duration::days(7);

/// A server's certificate is renewed this long before it expires.
const LEAF_RENEW_BEFORE: Duration = Duration::days(30);

/// At least one CA, the newest first.
#[derive(Debug)]
pub struct Authorities(Vec<Authority>);

/// A server's certificate.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate chain and the private key.
    pub key: Arc<CertifiedKey>,
    /// The certificate of the CA that signed it, as PEM.
    signer: String,
    ends: OffsetDateTime,
}

impl Authorities {
    /// Creates a single new CA.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(now: OffsetDateTime) -> Result<Self, CertError> {
        Ok(Self(vec![Authority::made(now)?]))
    }

    /// Parses the texts of [`Authorities::certificates`] and [`Authorities::keys`].
    ///
    /// # Errors
    /// If the texts are not valid PEM, or do not match.
    pub fn parse(certificates: &[u8], keys: &[u8]) -> Result<Self, CertError> {
        let all = authority::parse(certificates, keys)?;
        if all.is_empty() { Err(CertError::Foreign("it is empty")) } else { Ok(Self(all)) }
    }

    /// The certificates of all CAs as PEM, for `caBundle`.
    pub fn certificates(&self) -> String {
        self.0.iter().map(Authority::pem).collect()
    }

    /// The keys of all CAs as PEM, in the same order.
    pub fn keys(&self) -> String {
        self.0.iter().map(Authority::key_pem).collect()
    }

    /// Creates the next CA if it is due, and removes expired ones. Returns whether anything changed.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn maintain(&mut self, now: OffsetDateTime) -> Result<bool, CertError> {
        let before = self.0.len();
        self.0.retain(|authority| authority.ends > now);
        let mut changed = self.0.len() != before;
        if self.0.first().is_none_or(|newest| newest.ends - now < RENEW_BEFORE) {
            self.0.insert(0, Authority::made(now)?);
            changed = true;
        }
        Ok(changed)
    }

    /// The newest CA that has been published long enough. If there is none, the oldest.
    fn signing(&self, now: OffsetDateTime) -> Option<&Authority> {
        self.0.iter().find(|authority| authority.made + SPREAD <= now).or(self.0.last())
    }

    /// Issues a certificate for these host names.
    ///
    /// # Errors
    /// If a name is not a valid host name or address.
    pub fn issue(&self, hosts: &[String], now: OffsetDateTime) -> Result<Leaf, CertError> {
        let signing = self.signing(now).ok_or(CertError::Foreign("it is empty"))?;
        let (key, ends) = signing.issue_at(hosts, now)?;
        Ok(Leaf { key: Arc::new(key), signer: signing.pem().to_owned(), ends })
    }

    /// Issues a certificate if `present` needs a replacement. Otherwise returns `None`.
    ///
    /// # Errors
    /// If a name is not a valid host name or address.
    pub fn renew(&self, present: &Leaf, hosts: &[String], now: OffsetDateTime) -> Result<Option<Leaf>, CertError> {
        let signs = self.signing(now).is_some_and(|signing| signing.pem() == present.signer);
        if signs && present.ends - now > LEAF_RENEW_BEFORE {
            return Ok(None);
        }
        self.issue(hosts, now).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<String> {
        vec!["plimsoll.plimsoll.svc".to_owned()]
    }

    /// Checks that stored CAs are read back unchanged.
    fn stored(authorities: &Authorities) -> Authorities {
        let read = Authorities::parse(authorities.certificates().as_bytes(), authorities.keys().as_bytes()).unwrap();
        assert_eq!(read.certificates(), authorities.certificates());
        assert_eq!(read.keys(), authorities.keys());
        read
    }

    #[test]
    fn an_authority_takes_over_when_it_is_known() {
        let start = OffsetDateTime::now_utc();
        let mut authorities = stored(&Authorities::new(start).unwrap());
        let first = authorities.certificates();
        let leaf = authorities.issue(&hosts(), start).unwrap();
        assert_eq!(leaf.signer, first, "a single one signs at once");
        assert!(!authorities.maintain(start + Duration::days(364)).unwrap());
        assert!(authorities.renew(&leaf, &hosts(), start + Duration::days(59)).unwrap().is_none());
        let leaf = authorities.renew(&leaf, &hosts(), start + Duration::days(61)).unwrap().unwrap();
        assert_eq!(leaf.signer, first);

        let renewal = start + Duration::days(366);
        assert!(authorities.maintain(renewal).unwrap());
        let mut authorities = stored(&authorities);
        assert!(!authorities.maintain(renewal).unwrap(), "once");
        let bundle = authorities.certificates();
        assert!(bundle.ends_with(&first) && bundle.len() > first.len(), "both are made known");
        let leaf = authorities.issue(&hosts(), renewal + Duration::days(6)).unwrap();
        assert_eq!(leaf.signer, first, "the new one is not known everywhere yet");
        let leaf = authorities.renew(&leaf, &hosts(), renewal + Duration::days(8)).unwrap().unwrap();
        assert_eq!(bundle, format!("{}{first}", leaf.signer), "now it signs, and the old one is still known");

        assert!(authorities.maintain(start + Duration::days(731)).unwrap());
        let bundle = authorities.certificates();
        assert!(bundle.contains(&leaf.signer) && !bundle.contains(&first), "the first one is over");
        let late = start + Duration::days(5000);
        assert!(authorities.maintain(late).unwrap());
        assert!(authorities.renew(&leaf, &hosts(), late).unwrap().is_some(), "all were over, and a new one signs");
    }

    #[test]
    fn what_is_no_authority_of_ours_is_refused() {
        let now = OffsetDateTime::now_utc();
        let (one, other) = (Authorities::new(now).unwrap(), Authorities::new(now).unwrap());
        let wrong = |certificates: &str, keys: &str| {
            let error = Authorities::parse(certificates.as_bytes(), keys.as_bytes()).unwrap_err();
            assert!(matches!(error, CertError::Foreign(_) | CertError::Issue(_)), "{error:?}");
            error.to_string()
        };
        wrong("", "");
        wrong(&one.certificates(), "");
        wrong(&one.certificates(), "no key");
        assert!(wrong(&one.certificates(), &other.keys()).contains("do not belong together"));
        let both = one.certificates() + &other.certificates();
        assert!(wrong(&both, &one.keys()).contains("numbers of keys"));
    }
}
