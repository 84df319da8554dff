//! The authorities that replicas share, and how each takes over from the one before without a lost review.
//!
//! A new one is only made known at first: it is in `caBundle` beside the old one. It signs once everybody has heard of
//! it, and the old one stays in `caBundle` until its own end, so that no replica has to be in step with another.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::CertError;
use super::authority::{self, Authority};

/// With this much of an authority's life left the next one is made.
const RENEW_BEFORE: Duration = Duration::days(365);

/// So long is a new authority only made known: longer than a replica, or an API server, is out of touch and then back.
const SPREAD: Duration = Duration::days(7);

/// With this much of a server's certificate left it gets the next one.
const LEAF_RENEW_BEFORE: Duration = Duration::days(30);

/// At least one authority, the newest first.
#[derive(Debug)]
pub struct Authorities(Vec<Authority>);

/// What a server shows.
#[derive(Debug)]
pub struct Leaf {
    /// With its chain.
    pub key: Arc<CertifiedKey>,
    /// Which authority signed it, by its certificate.
    signer: String,
    ends: OffsetDateTime,
}

impl Authorities {
    /// A single new one.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new(now: OffsetDateTime) -> Result<Self, CertError> {
        Ok(Self(vec![Authority::made(now)?]))
    }

    /// What [`Authorities::certificates`] and [`Authorities::keys`] gave.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(certificates: &[u8], keys: &[u8]) -> Result<Self, CertError> {
        let all = authority::parse(certificates, keys)?;
        if all.is_empty() { Err(CertError::Foreign("it is empty")) } else { Ok(Self(all)) }
    }

    /// PEM of all: `caBundle`.
    pub fn certificates(&self) -> String {
        self.0.iter().map(Authority::pem).collect()
    }

    /// PEM of all keys, in the same order.
    pub fn keys(&self) -> String {
        self.0.iter().map(Authority::key_pem).collect()
    }

    /// Makes the next one if it is time, and forgets those that are over. Whether anything changed.
    ///
    /// # Errors
    /// Where the system has no randomness.
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

    /// The newest that everybody has heard of; where there is none, the oldest.
    fn signing(&self, now: OffsetDateTime) -> Option<&Authority> {
        self.0.iter().find(|authority| authority.made + SPREAD <= now).or(self.0.last())
    }

    /// A certificate for these names.
    ///
    /// # Errors
    /// Where a name is none.
    pub fn issue(&self, hosts: &[String], now: OffsetDateTime) -> Result<Leaf, CertError> {
        let signing = self.signing(now).ok_or(CertError::Foreign("it is empty"))?;
        let (key, ends) = signing.issue_at(hosts, now)?;
        Ok(Leaf { key: Arc::new(key), signer: signing.pem().to_owned(), ends })
    }

    /// The same, or `None` where the present one will do.
    ///
    /// # Errors
    /// Where a name is none.
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

    /// Whether what was stored is read back as the same, to the letter.
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
        assert!(wrong(&both, &one.keys()).contains("as many keys"));
    }
}
