//! Fixes that consist of another object. Each goes to a new file next to the manifest that needs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use plimsoll_sdk::kind::Kind;
use serde_json::Value;

use super::collect::Source;
use super::fix::generated;
use super::run::Checked;
use super::world::World;
use crate::model::FixClass;
use crate::yaml;

/// The new files of one round.
#[derive(Debug, Default)]
pub(super) struct Companions {
    pub(super) sources: Vec<Source>,
    /// Findings whose fix is in the new files.
    pub(super) made: Vec<usize>,
    pub(super) refused: Vec<(usize, String)>,
}

impl Companions {
    /// The companion objects of fixes up to this class. Each manifest and kind gets one file.
    pub(super) fn new(world: &World, checked: &Checked, class: FixClass) -> Self {
        let mut companions = Self::default();
        let mut files: BTreeMap<PathBuf, (Source, Vec<String>)> = BTreeMap::new();
        for (index, found) in checked.findings.iter().enumerate() {
            let fix = found.judged.finding.fix.as_ref().filter(|fix| fix.class <= class && fix.edits.is_empty());
            let Some(object) = fix.and_then(|fix| fix.companion.as_ref()) else { continue };
            let manifest = &world.file(&world.objects[found.object]).source;
            match place(manifest, object) {
                Ok((path, name)) => {
                    let (_, texts) = files.entry(path.clone()).or_insert_with(|| {
                        let source = Source {
                            path: Some(path),
                            closed: manifest.closed,
                            set: manifest.set.clone(),
                            role: manifest.role,
                            ..Source::new(name, String::new())
                        };
                        (source, Vec::new())
                    });
                    let text = yaml::print(object);
                    if !texts.contains(&text) {
                        texts.push(text);
                    }
                    companions.made.push(index);
                }
                Err(why) => companions.refused.push((index, why.to_string())),
            }
        }
        companions.sources =
            files.into_values().map(|(source, texts)| Source { text: texts.join("---\n"), ..source }).collect();
        companions
    }
}

/// Why an object cannot be written to a new file.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
enum NoPlace {
    #[error("{0}")]
    Generated(&'static str),
    #[error(
        "the fix writes a {kind} to a new file beside the manifest, and the standard input has no folder; check the manifest as a file"
    )]
    NoFile { kind: String },
    #[error("{file} is there already, and is not written over; the {kind} may go in it")]
    Taken { file: String, kind: String },
}

/// The path of the new file: `shop.pdb.yaml` next to `shop.yaml`.
fn place(manifest: &Source, object: &Value) -> Result<(PathBuf, String), NoPlace> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if let Some(reason) = generated(&manifest.text) {
        return Err(NoPlace::Generated(reason));
    }
    let Some(path) = &manifest.path else {
        return Err(NoPlace::NoFile { kind: kind.to_owned() });
    };
    let suffix = if kind == Kind::POD_DISRUPTION_BUDGET.name() { "pdb".to_owned() } else { kind.to_lowercase() };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let file = format!("{stem}.{suffix}.yaml");
    let (name, path) = (Path::new(&manifest.name).with_file_name(&file), path.with_file_name(&file));
    // A broken link also takes the name.
    if path.symlink_metadata().is_ok() {
        return Err(NoPlace::Taken { file, kind: kind.to_owned() });
    }
    Ok((path, name.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(path: Option<PathBuf>, text: &str) -> Source {
        Source { path, ..Source::new("shops/shop.yaml".to_owned(), text.to_owned()) }
    }

    #[test]
    fn a_new_file_beside_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = source(Some(folder.path().join("shop.yaml")), "a: 1\n");
        let budget = json!({"kind": "PodDisruptionBudget"});
        let wanted = (folder.path().join("shop.pdb.yaml"), "shops/shop.pdb.yaml".to_owned());
        assert_eq!(place(&manifest, &budget), Ok(wanted.clone()));
        assert_eq!(
            place(&manifest, &json!({"kind": "NetworkPolicy"})).map(|(_, name)| name),
            Ok("shops/shop.networkpolicy.yaml".to_owned())
        );
        std::fs::write(&wanted.0, "mine\n").unwrap();
        assert!(matches!(place(&manifest, &budget), Err(NoPlace::Taken { .. })));
        assert!(place(&source(None, "a: 1\n"), &budget).is_err(), "the standard input");
        let rendered = source(manifest.path, "# Source: shop/templates/shop.yaml\na: 1\n");
        assert!(place(&rendered, &budget).is_err_and(|why| why.to_string().contains("rendered")));
    }
}
