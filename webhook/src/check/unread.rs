//! What was found and not read, and which kinds of objects it may hold. Nothing is concluded from the absence of those.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::bounds;
use crate::context::files::Unread;
use crate::files;

/// Folders below a chart or a kustomization that are looked into.
const DEEPEST: usize = 32;

/// Something that was not read, and the folder below which it is near.
#[derive(Clone, Debug)]
pub struct Gap {
    pub(super) near: PathBuf,
    pub(super) unread: Unread,
}

impl Gap {
    /// A file that lies among the manifests of a folder.
    pub(super) fn file(folder: &Path, reason: String, kinds: Option<BTreeSet<String>>) -> Self {
        Self { near: folder.to_owned(), unread: Unread { reason, kinds, is_manifest: true } }
    }

    /// A folder that is rendered. What lies beside it may be meant for what it holds.
    pub(super) fn rendered(folder: &Path, what: &str, name: &str, kinds: Option<BTreeSet<String>>) -> Self {
        let near = folder.parent().unwrap_or(folder).to_owned();
        Self {
            near,
            unread: Unread { reason: format!("the {what} {name} was passed over"), kinds, is_manifest: false },
        }
    }
}

/// The kinds that a text writes, without their groups. None where it may make any: a kind is itself rendered, or cannot be
/// read.
pub(super) fn kinds_of(text: &str) -> Option<BTreeSet<String>> {
    let mut kinds = BTreeSet::new();
    for (at, word) in text.match_indices("kind") {
        let before = text[..at].trim_end_matches(['"', '\'']).chars().next_back();
        if before.is_some_and(|before| !before.is_whitespace() && !"{,-?".contains(before)) {
            continue;
        }
        let rest = text[at + word.len()..].trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix(':') else { continue };
        let value = value.trim_start_matches([' ', '\t']).trim_start_matches(['"', '\'']);
        let kind: String = value.chars().take_while(char::is_ascii_alphanumeric).collect();
        if value.starts_with("{{") {
            return None;
        }
        if let Some(item) = kind.strip_suffix("List").filter(|item| !item.is_empty()) {
            kinds.insert(item.to_owned());
        }
        if !kind.is_empty() {
            kinds.insert(kind);
        }
    }
    Some(kinds)
}

/// The kinds of a document that is broken. Where none can be read, the line that says it may be what is broken.
pub(super) fn kinds_of_broken(text: &str) -> Option<BTreeSet<String>> {
    kinds_of(text).filter(|kinds| !kinds.is_empty())
}

/// Reads what was passed over, to see what it may hold; no more than is read of everything else.
#[derive(Debug, Default)]
pub(super) struct Glance {
    bytes: u64,
}

impl Glance {
    /// The kinds that a file names.
    pub(super) fn file(&mut self, file: &Path) -> Option<BTreeSet<String>> {
        if self.bytes > bounds::MAX_TOTAL || file.is_symlink() {
            return None;
        }
        let text = files::read_text(file, bounds::MAX_CONFIGURATION).ok()?;
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        kinds_of(&text)
    }

    /// The kinds that the files below a folder name, but for those that are judged.
    pub(super) fn folder(&mut self, folder: &Path, judged: &HashSet<PathBuf>) -> Option<BTreeSet<String>> {
        let mut kinds = BTreeSet::new();
        let mut waiting = vec![(folder.to_owned(), 0)];
        while let Some((folder, depth)) = waiting.pop() {
            for entry in fs::read_dir(&folder).ok()? {
                let entry = entry.ok()?;
                let (path, kind) = (entry.path(), entry.file_type().ok()?);
                let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                if is_hidden {
                    continue;
                }
                // What lies behind a link is not looked at.
                if kind.is_symlink() {
                    return None;
                }
                if kind.is_dir() {
                    if depth == DEEPEST {
                        return None;
                    }
                    waiting.push((path, depth + 1));
                } else if is_packed(&path) {
                    return None;
                } else if may_render(&path) && !judged.contains(&path) {
                    kinds.extend(self.file(&path)?);
                }
            }
        }
        Some(kinds)
    }
}

/// A chart that another one depends on.
fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tgz")
}

fn may_render(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["yaml", "yml", "json", "tpl", "txt"].contains(&extension) && path.file_name().is_none_or(|it| it != "NOTES.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_as_they_are_written() {
        let of = |text: &str| kinds_of(text).map(|kinds| kinds.into_iter().collect::<Vec<_>>().join(" "));
        for (text, kinds) in [
            ("apiVersion: v1\nkind: Service\n", Some("Service")),
            ("{\"apiVersion\": \"apps/v1\", \"kind\":\"Deployment\"}", Some("Deployment")),
            ("{kind: 'Job'}\n---\n- kind : Pod # here\n", Some("Job Pod")),
            ("kind: DeploymentList\n", Some("Deployment DeploymentList")),
            ("kind: {{ .Values.kind }}\n", None),
            ("mankind: Service\nkinds: [Pod]\n# of a kind\n", Some("")),
            ("", Some("")),
        ] {
            assert_eq!(of(text).as_deref(), kinds, "{text}");
        }
        assert_eq!(kinds_of_broken("kind Deployment\n"), None);
    }
}
