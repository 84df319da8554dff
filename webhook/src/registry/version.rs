//! Versions of Plimsoll and of bundles, and the bounds that `policiesAsOf` sets.

/// A version of Plimsoll or of a bundle: `0.1.0`, or a pre-release such as `0.2.0-rc.1`. In `policiesAsOf`, `0.1` means
/// any `0.1.x`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version(semver::Version);

impl Version {
    /// Parses `0.1.2` or `0.2.0-rc.1`.
    pub fn parse(text: &str) -> Option<Self> {
        // Builds of one version have the same policies, so a build never makes a version newer.
        semver::Version::parse(text).ok().filter(|version| version.build.is_empty()).map(Self)
    }

    /// Parses an upper bound: `0.1` includes every `0.1.x`.
    pub fn parse_bound(text: &str) -> Option<Self> {
        match is_open(text) {
            true => Self::parse(&format!("{text}.{}", u64::MAX)),
            false => Self::parse(text),
        }
    }

    /// Whether a bound names only versions that come after this one. `0.2` also names the pre-releases of 0.2.0.
    pub fn is_before_bound(&self, bound: &str) -> bool {
        let lowest = match is_open(bound) {
            true => Self::parse(&format!("{bound}.0-0")),
            false => Self::parse(bound),
        };
        lowest.is_some_and(|lowest| lowest > *self)
    }
}

/// Whether a bound has no patch number.
fn is_open(bound: &str) -> bool {
    bound.split('.').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_releases_come_before_their_release() {
        let version = |text: &str| Version::parse(text).unwrap();
        let ascending = ["0.1.9", "0.2.0-alpha", "0.2.0-rc.2", "0.2.0-rc.10", "0.2.0", "0.2.1-rc.1", "0.10.0"];
        assert!(ascending.map(version).is_sorted());
        let bound = Version::parse_bound("0.2").unwrap();
        assert!(["0.2.0-rc.1", "0.2.0", "0.2.9"].map(version).iter().all(|version| *version <= bound));
        assert!(version("0.3.0-rc.1") > bound);
        for text in ["", "0", "0.1", "0.1.x", "v0.1.0", "0.1.0.0", "0.1.0-", "0.1.0+build", "0.1-rc.1"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert_eq!([Version::parse_bound("0.1-rc"), Version::parse_bound("1")], [None, None]);
    }

    #[test]
    fn bounds_that_name_only_later_versions() {
        for (newest, bound, is_later) in [
            ("0.2.0", "0.2", false),
            ("0.2.0", "0.2.0", false),
            ("0.2.0", "0.2.0-rc.1", false),
            ("0.2.0", "0.2.1-rc.1", true),
            ("0.2.0", "0.3", true),
            ("0.2.0-rc.1", "0.2", false),
            ("0.2.0-rc.1", "0.1.9", false),
            ("0.2.0-rc.1", "0.2.0-rc.1", false),
            ("0.2.0-rc.1", "0.2.0-rc.2", true),
            ("0.2.0-rc.1", "0.2.0", true),
            ("0.2.0-rc.1", "yesterday", false),
        ] {
            assert_eq!(Version::parse(newest).unwrap().is_before_bound(bound), is_later, "{newest} {bound}");
        }
    }
}
