//! Paths and URLs.

/// Whether the path has a part `..`.
pub(crate) fn has_backstep(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// What is wrong with a path below some folder, if something is.
pub(crate) fn relative_fault(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        return Some("it must be relative, without `/` at the start");
    }
    has_backstep(path).then_some("it must not have a part `..`")
}

/// What is wrong with the path of a file in a volume, if something is: names that begin with `..` are reserved.
pub(crate) fn file_fault(path: &str) -> Option<&'static str> {
    relative_fault(path).or_else(|| path.starts_with("..").then_some("it must not begin with `..`"))
}

/// What is wrong with the URL of a webhook, if something is.
pub(crate) fn webhook_url_fault(url: &str) -> Option<&'static str> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Some("it has control characters");
    }
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some("it must begin with `https://` and a host");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("https") {
        return Some("its scheme must be `https`");
    }
    if host.is_empty() {
        return Some("it must name a host");
    }
    if host.contains('@') {
        return Some("it must not name a user");
    }
    if !fragment.is_empty() {
        return Some("it must not have a fragment");
    }
    (!query.is_empty()).then_some("it must not have a query")
}

/// What is wrong with the path of a webhook's Service, if something is.
pub(crate) fn webhook_path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() || path == "/" {
        return None;
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Some("it must begin with `/`");
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let fine = rest.split('/').all(super::names::is_dns_subdomain);
    (!fine).then_some("every part must have lower-case letters, digits, `-` and `.` only")
}

/// Whether the text is the name of an iSCSI initiator or target: `iqn.…`, `eui.…` or `naa.…`.
pub(crate) fn is_iscsi_name(text: &str) -> bool {
    let alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some(rest) = text.strip_prefix("eui") {
        let mut letters = rest.chars();
        return letters.next().is_some_and(|one| one != '\n')
            && letters.as_str().len() == 16
            && alphanumeric(letters.as_str());
    }
    if let Some(rest) = text.strip_prefix("naa") {
        let mut letters = rest.chars();
        return letters.next().is_some_and(|one| one != '\n')
            && letters.as_str().len() == 32
            && alphanumeric(letters.as_str());
    }
    text.starts_with("iqn") && text.match_indices("iqn.").any(|(start, _)| text.get(start + 4..).is_some_and(is_iqn))
}

/// The part of an iSCSI qualified name behind `iqn.`: a year and month, a domain, `:` and a name.
fn is_iqn(text: &str) -> bool {
    let date = |byte: usize| text.as_bytes().get(byte).is_some_and(u8::is_ascii_digit);
    let dated = (0..4).all(date) && text.as_bytes().get(4) == Some(&b'-') && date(5) && date(6);
    let Some((domain, name)) = text.get(7..).filter(|_| dated).and_then(|rest| rest.strip_prefix('.')?.split_once(':'))
    else {
        return false;
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !domain.is_empty()
        && domain.bytes().all(named)
        && !name.is_empty()
        && !name.contains([',', ';', '*', '&', '$', '|', ' ', '\t', '\n', '\r', '\x0c'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(relative_fault("a/b"), None);
        assert_eq!(relative_fault("..a"), None);
        assert!(relative_fault("/a").is_some() && relative_fault("a/../b").is_some());
        assert!(file_fault("..a").is_some() && file_fault("..").is_some());
        assert_eq!(file_fault("a..b/c"), None);
    }

    #[test]
    fn webhooks() {
        for url in ["https://a", "https://a:8443/b/c", "HTTPS://a"] {
            assert_eq!(webhook_url_fault(url), None, "{url}");
        }
        for url in ["", "a", "http://a", "https://", "https://u@a", "https://a?b=c", "https://a#b", "https:///a"] {
            assert!(webhook_url_fault(url).is_some(), "{url}");
        }
        for path in ["", "/", "/a", "/a/b/", "/a.b"] {
            assert_eq!(webhook_path_fault(path), None, "{path}");
        }
        for path in ["a", "//", "/a//b", "/A", "/a b"] {
            assert!(webhook_path_fault(path).is_some(), "{path}");
        }
    }

    #[test]
    fn iscsi() {
        for text in ["iqn.2015-02.example.com:test", "eui.0123456789abcdef", "naa.0123456789abcdef0123456789abcdef"] {
            assert!(is_iscsi_name(text), "{text}");
        }
        for text in
            ["", "iqn", "iqn.2015-02.example.com", "iqn.2015.example.com:a", "eui.1", "abc", "iqn.2015-02.a:b c"]
        {
            assert!(!is_iscsi_name(text), "{text}");
        }
    }
}
