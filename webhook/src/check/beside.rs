//! Objects that are not checked, but that policies may ask for: a record of a cluster.
//!
//! A record is a folder with one file for each kind, for example `apps.Deployment.json` or `core.Service.json`. Each
//! file is a `List`, which is empty if there are no objects. A kind without a file was not read, so its objects are not
//! known.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use serde_json::{Value, json};

use super::unread::Gap;
use super::{CheckError, bounds, write};
use crate::files;
use crate::registry::Registry;

/// Other objects that policies may ask for.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    pub objects: Vec<Value>,
    /// Kinds, as `group/Kind`, that policies may ask for and that were not read.
    pub unread: BTreeSet<String>,
    /// Parts that were skipped, or that could not be read.
    pub gaps: Vec<Gap>,
}

impl Beside {
    /// Reads a record.
    ///
    /// # Errors
    /// If the folder is not a record.
    pub fn read(folder: &Path, registry: &Registry) -> Result<Self, CheckError> {
        let wrong = |what: String| CheckError::Usage {
            message: format!("--context {}: {what}", folder.display()),
            help: "it is a folder that `plimsoll scan --record` has written, or one of manifests".to_owned(),
        };
        let mut beside = Self { unread: registry.context_kinds(), ..Self::default() };
        let mut paths = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        paths.sort();
        let real = folder.canonicalize().map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let (mut read, mut room) = (0, bounds::MAX_RECORDS);
        for path in paths {
            let Some(kind) = path.file_name().and_then(|name| name.to_str()).and_then(kind_of_file) else { continue };
            let name = path.display();
            // The author of a record must not choose which other files are read.
            if path.canonicalize().is_ok_and(|target| !target.starts_with(&real)) {
                return Err(wrong(format!("{name} is a symbolic link that leads out of the folder")));
            }
            let text = files::read_text(&path, bounds::MAX_RECORD.min(room))
                .map_err(|error| wrong(format!("{name} cannot be read: {error}")))?;
            room = room.saturating_sub(u64::try_from(text.len()).unwrap_or(u64::MAX));
            let mut list: Value =
                serde_json::from_str(&text).map_err(|error| wrong(format!("{name} is no JSON: {error}")))?;
            let Some(items) = list.get_mut("items").and_then(Value::as_array_mut) else {
                return Err(wrong(format!("{name} has no `items`")));
            };
            beside.objects.append(items);
            beside.unread.remove(&kind);
            read += 1;
        }
        if read == 0 {
            return Err(wrong("neither a record nor a manifest is in it".to_owned()));
        }
        Ok(beside)
    }
}

/// Whether a folder is a record. Otherwise it contains manifests.
pub fn is_record(folder: &Path) -> bool {
    let is_kind = |name: &str| {
        let kind = kind_of_file(name).unwrap_or_default();
        kind.rsplit_once('/').is_some_and(|(_, kind)| kind.starts_with(|first: char| first.is_ascii_uppercase()))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name()).peekable();
    // An unreadable or empty folder is treated as a record, which is then rejected.
    names.peek().is_none() || names.any(|name| name.to_str().is_some_and(is_kind))
}

/// The part of an object that a record keeps: the part that policies see of other objects.
pub fn recorded(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    object
}

/// Writes all objects of a kind to a record.
///
/// # Errors
/// If the record cannot be written.
pub fn record(folder: &Path, kind: &str, objects: &[Value]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut text = serde_json::to_string_pretty(&json!({"apiVersion": "v1", "kind": "List", "items": objects}))?;
    text.push('\n');
    write::put(&folder.join(file_of_kind(kind)), &text)
}

fn file_of_kind(kind: &str) -> String {
    match kind.split_once('/') {
        None | Some(("", _)) => format!("core.{}.json", kind.trim_start_matches('/')),
        Some((group, kind)) => format!("{group}.{kind}.json"),
    }
}

fn kind_of_file(name: &str) -> Option<String> {
    let (group, kind) = name.strip_suffix(".json")?.rsplit_once('.')?;
    Some(format!("{}/{kind}", if group == "core" { "" } else { group }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for kind in ["/Service", "apps/Deployment", "networking.k8s.io/NetworkPolicy"] {
            assert_eq!(kind_of_file(&file_of_kind(kind)).as_deref(), Some(kind));
        }
        assert_eq!(file_of_kind("/Service"), "core.Service.json");
        for other in ["README.md", "x.json", "apps.Deployment.yaml"] {
            assert_eq!(kind_of_file(other), None, "{other}");
        }
    }
}
