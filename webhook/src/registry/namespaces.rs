//! Values by namespace, as listed in PolicySets and PolicyExemptions: by whole names and by patterns.

use std::collections::HashMap;

use super::fields::{Field, Reader};

/// Maximum number of namespace patterns in one list. Whole names are looked up, but every review tries each pattern.
const MAX_PATTERNS: usize = 1_000;

/// Maximum length of a namespace's name or pattern.
const MAX_NAME: usize = 63;

/// A value for each namespace. A whole name has priority over patterns, and earlier patterns over later ones.
#[derive(Clone, Debug)]
pub(super) struct ByNamespace<T> {
    names: HashMap<String, T>,
    globs: Vec<(String, T)>,
}

impl<T> Default for ByNamespace<T> {
    fn default() -> Self {
        Self { names: HashMap::new(), globs: Vec::new() }
    }
}

impl<T: Copy> ByNamespace<T> {
    /// Adds a name or a pattern that [`is_name_or_pattern`] accepts.
    ///
    /// # Errors
    /// If there are too many patterns. The reader reports it.
    pub(super) fn add<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        field: &Field<'a>,
        name: &str,
        value: T,
    ) -> Result<(), ()> {
        if !name.contains(['*', '?']) {
            self.names.insert(name.to_owned(), value);
        } else if self.globs.len() < MAX_PATTERNS {
            self.globs.push((name.to_owned(), value));
        } else {
            let reason = format!("there are more than {MAX_PATTERNS} patterns; write whole names, or fewer patterns");
            reader.invalid(field, reason);
            return Err(());
        }
        Ok(())
    }

    pub(super) fn of(&self, namespace: &str) -> Option<T> {
        let glob = || self.globs.iter().find(|(glob, _)| matches_glob(glob, namespace)).map(|(_, value)| value);
        self.names.get(namespace).or_else(glob).copied()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = T> {
        self.names.values().chain(self.globs.iter().map(|(_, value)| value)).copied()
    }
}

/// A list of namespaces.
pub(super) type Namespaces = ByNamespace<()>;

impl Namespaces {
    pub(super) fn read<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Self {
        let mut read = Self::default();
        for (item, name) in reader.strings(field) {
            if is_name_or_pattern(reader, &item, name) && read.add(reader, &item, name, ()).is_err() {
                break;
            }
        }
        read
    }

    pub(super) fn hold(&self, namespace: &str) -> bool {
        self.of(namespace).is_some()
    }

    /// Whether a pattern consists only of wildcards, as `*` and `?*`, so that it restricts only the length of a name.
    pub(super) fn are_all(&self) -> bool {
        self.globs.iter().any(|(glob, ())| glob.contains('*') && glob.bytes().all(|byte| matches!(byte, b'*' | b'?')))
    }
}

/// Whether the name is valid. Records the problem if not.
pub(super) fn is_name_or_pattern<'a>(reader: &mut Reader<'a>, field: &Field<'a>, name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*' | b'?');
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(letter);
    if !fits {
        let shown: String = name.chars().take(MAX_NAME).collect();
        let reason = format!("{shown:?} is no name of a namespace, nor a pattern of one with * and ?");
        reader.invalid(field, reason);
    }
    fits
}

/// Whether a pattern matches. `*` matches any number of characters, `?` matches one.
fn matches_glob(glob: &str, text: &str) -> bool {
    let (glob, text) = (glob.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    // Where to continue if the latest `*` must match one more character.
    let mut retry = None;
    while position < text.len() {
        match glob.get(at) {
            Some(b'*') => {
                retry = Some((at + 1, position));
                at += 1;
            }
            Some(&expected) if expected == b'?' || expected == text[position] => {
                at += 1;
                position += 1;
            }
            _ => match retry.as_mut() {
                Some((behind, taken)) => {
                    *taken += 1;
                    (at, position) = (*behind, *taken);
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*-system", "kube-system", true),
            ("*-system", "system", false),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a**", "a", true),
            ("*a*a*a*a*a*a*a*a*b", &"a".repeat(63), false),
        ] {
            assert_eq!(matches_glob(glob, text), expected, "{glob} {text}");
        }
    }
}
