//! Which files are applied together. Objects that state no namespace meet only the others of their set.
//!
//! A set is what an Argo CD Application or a Kustomization of Flux names, else what lies below a folder with a configuration of its own, else a folder. The
//! standard input, and files that are named one by one, are a set.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use plimsoll_flat::Node;

use super::collect::Source;
use super::world::{File, Object};
use crate::context::files::SetNumber;

/// `group/Kind` of what names folders that are applied as a whole.
const APPLICATION: &str = "argoproj.io/Application";
const KUSTOMIZATION: &str = "kustomize.toolkit.fluxcd.io/Kustomization";

/// Numbers the set of each file.
pub(super) fn number(files: &mut [File], objects: &[Object]) {
    let applied = applied(files, objects);
    let mut numbers: HashMap<PathBuf, SetNumber> = HashMap::new();
    for file in files {
        let by_application = real(&file.source).and_then(|real| {
            let nearest = real.ancestors().find(|folder| applied.contains(*folder));
            nearest.map(Path::to_owned)
        });
        // No folder is named by an empty path.
        let set = by_application.or_else(|| file.source.set.clone()).unwrap_or_default();
        let next = SetNumber::try_from(numbers.len()).unwrap_or(SetNumber::MAX);
        file.set = *numbers.entry(set).or_insert(next);
    }
}

/// The folders that Applications and Flux's Kustomizations of the input name, as long as these lie in their repository.
fn applied(files: &[File], objects: &[Object]) -> HashSet<PathBuf> {
    let mut folders = HashSet::new();
    for object in objects {
        let kind = object.review.kind.group_kind();
        if kind != APPLICATION && kind != KUSTOMIZATION {
            continue;
        }
        let Some(real) = files.get(object.file).and_then(|file| real(&file.source)) else { continue };
        let Some(root) = real.ancestors().find(|folder| folder.join(".git").exists()) else { continue };
        let Some(application) = object.review.object() else { continue };
        // Argo CD has one source or several, Flux one path.
        let several = application.at("/spec/sources").into_iter().flat_map(Node::items);
        let one = application.at(if kind == APPLICATION { "/spec/source" } else { "/spec" });
        for source in one.into_iter().chain(several) {
            let path = source.at("/path").and_then(Node::as_str).map(Path::new);
            let is_below =
                |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            // The root of a repository is more than one thing that is applied.
            folders.extend(path.filter(is_below).map(|path| root.join(path)).filter(|folder| folder != root));
        }
    }
    folders
}

/// Where a file lies, without symbolic links.
fn real(source: &Source) -> Option<PathBuf> {
    match &source.found {
        Some(found) => Some(found.real().to_owned()),
        None => Some(source.path.as_ref()?.parent()?.canonicalize().ok()?.join("new")),
    }
}
