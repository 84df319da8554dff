//! JSON pointers (RFC 6901), as written in findings, edits and declarations.

use std::borrow::Cow;
use std::collections::BTreeSet;

use json_patch::jsonptr::Pointer;

/// Whether a text is a pointer: empty, or starting with a slash, with 0 or 1 after each `~`.
pub fn is_pointer(text: &str) -> bool {
    Pointer::parse(text).is_ok()
}

/// The names along a pointer, starting at the root.
pub fn names(pointer: &str) -> impl Iterator<Item = Cow<'_, str>> {
    pointer.split('/').skip(1).map(unescape)
}

/// The names along a pointer, each with the pointer that ends there. None for a text that is not a pointer.
pub fn steps(pointer: &str) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let names = pointer.starts_with('/').then(|| names(pointer)).into_iter().flatten();
    let ends = pointer.match_indices('/').skip(1).map(|(end, _)| end).chain([pointer.len()]);
    names.zip(ends.map(|end| &pointer[..end]))
}

/// Parses the index of an item in the form of RFC 6901.
pub fn index(name: &str) -> Option<usize> {
    let canonical = name == "0" || !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit());
    if canonical { name.parse().ok() } else { None }
}

/// Escapes a member's name for a pointer.
pub fn escape(name: &str) -> Cow<'_, str> {
    match name.contains(['~', '/']) {
        true => Cow::Owned(name.replace('~', "~0").replace('/', "~1")),
        false => Cow::Borrowed(name),
    }
}

/// The name that a token of a pointer stands for.
pub fn unescape(token: &str) -> Cow<'_, str> {
    match token.contains('~') {
        true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
        false => Cow::Borrowed(token),
    }
}

/// Extends a pointer by a token for this name.
pub fn join(pointer: &str, name: &str) -> String {
    [pointer, "/", &escape(name)].concat()
}

/// A set of pointers that can tell which of them are above or below another pointer.
#[derive(Clone, Debug, Default)]
pub struct Zones(BTreeSet<String>);

impl Zones {
    pub fn insert(&mut self, pointer: &str) {
        if !self.0.contains(pointer) {
            self.0.insert(pointer.to_owned());
        }
    }

    /// Whether the pointer is in the set, or above or below a pointer of the set.
    pub fn touches(&self, pointer: &str) -> bool {
        let above = pointer.match_indices('/').any(|(at, _)| self.0.contains(&pointer[..at]));
        above || self.0.contains(pointer) || {
            let below = format!("{pointer}/");
            self.0.range(below.clone()..).next().is_some_and(|known| known.starts_with(&below))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_and_below() {
        let mut zones = Zones::default();
        assert!(!zones.touches("") && !zones.touches("/a"));
        for pointer in ["/a/b", "/a!", "/c/d/e", "/a/b"] {
            zones.insert(pointer);
        }
        assert!(
            ["", "/a", "/a/b", "/a/b/c", "/a!", "/a!/x", "/c", "/c/d", "/c/d/e/"].iter().all(|at| zones.touches(at))
        );
        assert!(!["/b", "/a/bc", "/a/c", "/c/d/ee", "/c!", "/a "].iter().any(|at| zones.touches(at)));
        zones.insert("");
        assert!(zones.touches("/b"), "the root is above all");
    }

    #[test]
    fn names_survive() {
        for (name, token) in [("", ""), ("app", "app"), ("a/b", "a~1b"), ("~1", "~01"), ("~/~", "~0~1~0")] {
            assert_eq!(escape(name), token);
            assert_eq!(unescape(token), name);
            assert_eq!(join("/spec", name), format!("/spec/{token}"));
        }
        assert_eq!(names("/a~1b//~01").collect::<Vec<_>>(), ["a/b", "", "~1"]);
        assert_eq!(names("").count(), 0);
    }

    #[test]
    fn steps_and_indices() {
        let of = |pointer| steps(pointer).map(|(name, to)| format!("{name} {to}")).collect::<Vec<_>>();
        assert_eq!(of("/a~1b/0/"), ["a/b /a~1b", "0 /a~1b/0", " /a~1b/0/"]);
        assert_eq!([of(""), of("a/b")], [[""; 0], [""; 0]]);
        assert_eq!(["0", "10"].map(index), [Some(0), Some(10)]);
        assert!(["", "00", "01", "+1", "-", "a", "99999999999999999999"].into_iter().all(|name| index(name).is_none()));
    }

    #[test]
    fn what_is_a_pointer() {
        assert!(["", "/", "/a/0", "/a~1b", "/~01"].into_iter().all(is_pointer));
        assert!(!["a", "a/b", "/~", "/~2", "/a~/b"].into_iter().any(is_pointer));
    }
}
