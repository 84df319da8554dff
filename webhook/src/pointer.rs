//! JSON pointers (RFC 6901), as findings, edits and declarations write them.

use std::borrow::Cow;

/// Whether it is one: empty, or beginning with a slash, with each `~` followed by 0 or 1.
pub fn is_pointer(text: &str) -> bool {
    let escaped = text.match_indices('~').all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
    (text.is_empty() || text.starts_with('/')) && escaped
}

/// A member's name as the token of a pointer.
pub fn escape(name: &str) -> Cow<'_, str> {
    match name.contains(['~', '/']) {
        true => Cow::Owned(name.replace('~', "~0").replace('/', "~1")),
        false => Cow::Borrowed(name),
    }
}

/// The name that a token stands for.
pub fn unescape(token: &str) -> Cow<'_, str> {
    match token.contains('~') {
        true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
        false => Cow::Borrowed(token),
    }
}

/// A pointer with one more token, for this name.
pub fn join(pointer: &str, name: &str) -> String {
    [pointer, "/", &escape(name)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        for (name, token) in [("", ""), ("app", "app"), ("a/b", "a~1b"), ("~1", "~01"), ("~/~", "~0~1~0")] {
            assert_eq!(escape(name), token);
            assert_eq!(unescape(token), name);
            assert_eq!(join("/spec", name), format!("/spec/{token}"));
        }
    }

    #[test]
    fn what_is_a_pointer() {
        assert!(["", "/", "/a/0", "/a~1b", "/~01"].into_iter().all(is_pointer));
        assert!(!["a", "a/b", "/~", "/~2", "/a~/b"].into_iter().any(is_pointer));
    }
}
