//! Versions of Kubernetes, by which policies choose rules: `major.minor`.

use std::fmt;

/// The release of a cluster. Features come with minor releases; a few were turned off again by a patch. Pre-release and
/// build are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KubernetesVersion {
    /// The first number, 1 so far.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number, if it is stated.
    pub patch: Option<u32>,
}

impl KubernetesVersion {
    /// A release without a patch.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor, patch: None }
    }

    /// Reads `1.36`, `v1.36.3`, `v1.36.3-gke.100`, `v1.37.0-rc.1` (as 1.37) and `1.30+` (some vendors write
    /// `minor` of `/version` like that). `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (major, rest) = number(text.strip_prefix('v').unwrap_or(text))?;
        let (minor, rest) = number(rest.strip_prefix('.')?)?;
        let (patch, rest) = match rest.strip_prefix('.').map(number) {
            Some(patch) => (Some(patch?.0), patch?.1),
            None => (None, rest),
        };
        (rest.is_empty() || rest.starts_with(['-', '+'])).then_some(Self { major, minor, patch })
    }

    /// Whether this release is `major.minor` or a later one.
    #[must_use]
    pub fn at_least(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// The version with the patch, if it is known: `1.35.4`.
    #[must_use]
    pub fn to_patch(self) -> String {
        self.patch.map_or_else(|| self.to_string(), |patch| format!("{self}.{patch}"))
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

fn number(text: &str) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let digits = text.strip_suffix(rest)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::KubernetesVersion;

    #[test]
    fn reads_what_clusters_say() {
        for (text, minor) in [
            ("1.36", (36, None)),
            ("v1.36.3", (36, Some(3))),
            ("1.30+", (30, None)),
            ("v1.29.1+k3s2", (29, Some(1))),
            ("v1.27.16-gke.1287000", (27, Some(16))),
            ("v1.37.0-rc.1+abc", (37, Some(0))),
        ] {
            let read = KubernetesVersion::parse(text).unwrap();
            assert_eq!((read.major, (read.minor, read.patch)), (1, minor), "{text}");
            assert_eq!(KubernetesVersion::parse(&read.to_patch()), Some(read), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in
            ["", "v", "1", "1.", "1.x", "1.36.", "1.36x", "1.36.3x", "V1.36", "-1.3", "1.+3", " 1.36", "1.99999999999"]
        {
            assert_eq!(KubernetesVersion::parse(text), None, "{text}");
        }
    }

    #[test]
    fn compares_numbers_not_text() {
        let version = KubernetesVersion::new(1, 30);
        assert!(version.at_least(1, 9) && version.at_least(1, 30) && !version.at_least(1, 31));
        assert!(KubernetesVersion::new(2, 0).at_least(1, 99));
        assert_eq!(version.to_string(), "1.30");
        let patched = KubernetesVersion::parse("1.30.2").unwrap();
        assert!(patched.at_least(1, 30) && !patched.at_least(1, 31));
        assert_eq!((patched.to_string(), patched.to_patch()), ("1.30".to_owned(), "1.30.2".to_owned()));
    }
}
