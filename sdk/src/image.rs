//! References to container images, split as the kubelet does.

/// An image reference (`registry:5000/team/app:1.2@sha256:…`) by the grammar of `distribution/reference` 0.6, with the
/// normalisation that the kubelet applies (`ParseNormalizedNamed`). The parts are slices of the text as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Host and port, if the text names them. Otherwise the kubelet uses `docker.io`:
    /// [`Reference::registry_or_default`].
    pub registry: Option<&'a str>,
    /// The path in the registry, without an implied `library/`.
    pub repository: &'a str,
    /// The text after the repository's colon.
    pub tag: Option<&'a str>,
    /// Algorithm and hexadecimal digits: `sha256:…`.
    pub digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Splits a reference. `None` if the kubelet reports `InvalidImageName`: for uppercase letters in the repository,
    /// an unexpanded `${TAG}` or `{{ tag }}`, blanks, or an empty text.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        // 64 hexadecimal digits are the identifier of an image, not its name.
        if is_hex(text, 64) {
            return None;
        }
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        // `host:port/name` has a slash, and `name:tag` has none, because a tag can't contain one.
        let (registry, path) = match named.split_once('/') {
            Some((first, rest)) if is_host_like(first) => (Some(first), rest),
            _ => (None, named),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let reference = Self { registry, repository, tag, digest };
        reference.is_valid().then_some(reference)
    }

    /// The registry that the kubelet pulls from: the named one, else `docker.io` (also for its old name
    /// `index.docker.io`).
    #[must_use]
    pub fn registry_or_default(&self) -> &'a str {
        self.registry.filter(|registry| *registry != "index.docker.io").unwrap_or("docker.io")
    }

    /// Whether the reference means the image that was pushed last: it has no digest, and the tag `latest` or no tag.
    /// With a digest, the tag has no effect.
    #[must_use]
    pub fn is_mutable_latest(&self) -> bool {
        self.digest.is_none() && self.tag.is_none_or(|tag| tag == "latest")
    }

    fn is_valid(&self) -> bool {
        // The limit of 255 characters includes the implied `library/` of official images on Docker Hub.
        let is_official = self.registry_or_default() == "docker.io" && !self.repository.contains('/');
        let longest = if is_official { 255 - "library/".len() } else { 255 };
        self.repository.len() <= longest
            && self.repository.split('/').all(is_path_component)
            // `under_score.example` is no host, but the grammar accepts it as a path.
            && self.registry.is_none_or(|registry| is_domain(registry) || is_path_component(registry))
            && self.tag.is_none_or(is_tag)
            && self.digest.is_none_or(is_digest)
    }
}

/// Whether a first component is a host, because it can't be a namespace of Docker Hub (`splitDockerDomain`).
fn is_host_like(first: &str) -> bool {
    first == "localhost" || first.bytes().any(|byte| matches!(byte, b'.' | b':') || byte.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.split('.').all(is_domain_component),
    };
    is_host && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_domain_component(component: &str) -> bool {
    !component.is_empty()
        && !component.starts_with('-')
        && !component.ends_with('-')
        && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Lowercase letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_path_component(component: &str) -> bool {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| is_alphanumeric(byte)).count();
        let (word, after) = rest.split_at(word);
        let separator = after.iter().take_while(|byte| !is_alphanumeric(byte)).count();
        let (separator, next) = after.split_at(separator);
        let is_separator = matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-');
        if word.is_empty() || !is_separator {
            return false;
        }
        if separator.is_empty() {
            return true;
        }
        rest = next;
    }
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    match digest.split_once(':') {
        Some(("sha256", digits)) => is_hex(digits, 64),
        Some(("sha384", digits)) => is_hex(digits, 96),
        Some(("sha512", digits)) => is_hex(digits, 128),
        _ => false,
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::Reference;

    const DIGEST: &str = "sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";

    type Parts<'a> = (Option<&'a str>, &'a str, Option<&'a str>, Option<&'a str>);

    fn parts(text: &str) -> Option<Parts<'_>> {
        Reference::parse(text).map(|found| (found.registry, found.repository, found.tag, found.digest))
    }

    #[test]
    fn splits_as_the_kubelet_does() {
        for (text, expected) in [
            ("nginx", (None, "nginx", None)),
            ("nginx:1.27", (None, "nginx", Some("1.27"))),
            ("team/app:v1", (None, "team/app", Some("v1"))),
            // A port is no tag (the bug of Polaris and kube-score).
            ("localhost:5000/app", (Some("localhost:5000"), "app", None)),
            ("localhost:5000/app:2", (Some("localhost:5000"), "app", Some("2"))),
            ("localhost/app", (Some("localhost"), "app", None)),
            ("localhost:5000", (None, "localhost", Some("5000"))),
            ("registry.k8s.io/pause:3.10", (Some("registry.k8s.io"), "pause", Some("3.10"))),
            ("Registry/app", (Some("Registry"), "app", None)),
            ("10.0.0.1:443/a/b/c", (Some("10.0.0.1:443"), "a/b/c", None)),
            ("[::1]:5000/app:x", (Some("[::1]:5000"), "app", Some("x"))),
            ("[::1]/app", (Some("[::1]"), "app", None)),
            ("under_score.example/app", (Some("under_score.example"), "app", None)),
            ("a__b--c_d/e.f---g:_x.-", (None, "a__b--c_d/e.f---g", Some("_x.-"))),
        ] {
            let (registry, repository, tag) = expected;
            assert_eq!(parts(text), Some((registry, repository, tag, None)), "{text}");
            let pinned = format!("{text}@{DIGEST}");
            assert_eq!(parts(&pinned), Some((registry, repository, tag, Some(DIGEST))), "{pinned}");
        }
    }

    #[test]
    fn refuses_what_the_kubelet_refuses() {
        let long_tag = format!("nginx:{}", "x".repeat(129));
        let long_name = "x".repeat(248);
        for text in [
            "",
            ":",
            "@",
            "/",
            "nginx:",
            "nginx@",
            "/nginx",
            "nginx/",
            "a//b",
            "Nginx",
            "team/App",
            "localhost:x/app",
            "localhost:/app",
            "app:a:b",
            "app:tag/more",
            "app:-x",
            "app:.x",
            "a___b",
            "a..b",
            "a._b",
            "-a",
            "a-",
            "a_",
            "nginx:${TAG}",
            "${IMAGE}",
            "$IMAGE:1",
            "{{ image }}",
            "nginx:{{ .Values.tag }}",
            "nginx:<tag>",
            "nginx 1",
            " nginx",
            "nginx\n",
            "nginx@sha256:abc",
            "nginx@md5:d41d8cd98f00b204e9800998ecf8427e",
            "http://nginx",
            "ngïnx",
            "7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc",
            &long_tag,
            &long_name,
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
        let upper = DIGEST.to_uppercase().replace("SHA", "sha");
        assert_eq!(parts(&format!("nginx@{upper}")), None);
        assert!(parts(&long_name[..247]).is_some() && parts(&format!("ghcr.io/{long_name}")).is_some());
    }

    #[test]
    fn a_digest_pins_and_latest_does_not() {
        for (text, expected) in [("app", true), ("app:latest", true), ("app:1", false), ("localhost:5000/app", true)] {
            assert_eq!(Reference::parse(text).unwrap().is_mutable_latest(), expected, "{text}");
            assert!(!Reference::parse(&format!("{text}@{DIGEST}")).unwrap().is_mutable_latest());
        }
    }

    #[test]
    fn knows_the_default_registry() {
        for (text, registry) in [("app", "docker.io"), ("index.docker.io/a/b", "docker.io"), ("ghcr.io/a", "ghcr.io")] {
            assert_eq!(Reference::parse(text).unwrap().registry_or_default(), registry);
        }
    }
}
