//! Parts of the input that were found and not read, and the kinds that they may contain. If such a kind is missing, no
//! policy concludes anything from it.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::bounds;
use crate::context::files::Unread;
use crate::files;

/// Maximum depth of folders below a chart or kustomization that are searched.
const DEEPEST: usize = 32;

/// A part that was not read, and the folder to which it is near.
#[derive(Clone, Debug)]
pub struct Gap {
    pub(super) near: PathBuf,
    pub(super) unread: Unread,
}

impl Gap {
    /// A file among the manifests of a folder.
    pub(super) fn file(folder: &Path, reason: String, kinds: Option<BTreeSet<String>>) -> Self {
        Self { near: folder.to_owned(), unread: Unread { reason, kinds, is_manifest: true } }
    }

    /// A folder that must be rendered. Objects next to it may belong to its objects.
    pub(super) fn rendered(folder: &Path, what: &str, name: &str, kinds: Option<BTreeSet<String>>) -> Self {
        let near = folder.parent().unwrap_or(folder).to_owned();
        Self {
            near,
            unread: Unread { reason: format!("the {what} {name} was passed over"), kinds, is_manifest: false },
        }
    }
}

/// The kinds in a text, without their groups. None if any kind is possible, because a kind is itself rendered or can't
/// be read.
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

/// The kinds of a broken document. None if no kind can be read, because the broken line may be the one with the kind.
pub(super) fn kinds_of_broken(text: &str) -> Option<BTreeSet<String>> {
    kinds_of(text).filter(|kinds| !kinds.is_empty())
}

/// Reads skipped files to find the kinds that they may contain. The same size limit applies as for other files.
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

    /// The kinds that the files below a folder name, without the files that are judged.
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
                // Symbolic links are not followed, so any kind is possible.
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

/// Whether the file is the archive of a chart's dependency.
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
