//! Decides which files are applied together. An object without a namespace sees only objects of its own set.
//!
//! A set is one of these, and the first that applies counts:
//!
//! - a folder that an Argo CD Application or a Flux Kustomization names, with everything below it;
//! - a folder with a configuration of its own, or one that `sets` of the configuration names, with everything below it;
//! - the folder of the file.
//!
//! Standard input and files that are arguments together form one set.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use plimsoll_flat::Node;

use super::collect::Source;
use super::world::{File, Object};
use crate::context::files::{Folders, Mixed, Place, SetNumber};
use crate::registry::is_cluster_scoped;

/// Kinds, as `group/Kind`, whose objects name folders that are applied as a whole.
const APPLICATION: &str = "argoproj.io/Application";
const KUSTOMIZATION: &str = "kustomize.toolkit.fluxcd.io/Kustomization";

/// Numbers the set and the folder of each file, and returns the folders.
pub(super) fn number(files: &mut [File], objects: &[Object]) -> Folders {
    let applied = applied(files, objects);
    let mut numbers: HashMap<PathBuf, SetNumber> = HashMap::new();
    let mut folders = Folders::default();
    for (number, file) in (0..).zip(files) {
        let real = real(&file.source);
        let by_application = real.as_deref().and_then(|real| {
            let nearest = real.ancestors().find(|folder| applied.contains(*folder));
            nearest.map(Path::to_owned)
        });
        // An empty path never names a folder.
        let set = by_application.or_else(|| file.source.set.clone()).unwrap_or_default();
        let next = SetNumber::try_from(numbers.len()).unwrap_or(SetNumber::MAX);
        let folder = real.as_deref().and_then(Path::parent).map_or(0, |folder| folders.number(folder));
        file.place = Place { set: *numbers.entry(set).or_insert(next), file: number, folder };
    }
    folders
}

/// The sets in which some objects have a namespace and others have none. Only kinds that policies ask for count.
pub(super) fn mixed(files: &[File], objects: &[Object], wants: impl Fn(&str) -> bool) -> HashMap<SetNumber, Mixed> {
    let mut stated: HashMap<SetNumber, BTreeSet<&str>> = HashMap::new();
    let mut unstated = HashSet::new();
    for object in objects {
        let kind = object.review.kind.group_kind();
        let Some(file) = files.get(object.file).filter(|_| wants(&kind) && !is_cluster_scoped(&kind)) else { continue };
        match object.review.namespace.as_str() {
            "" => _ = unstated.insert(file.place.set),
            namespace => _ = stated.entry(file.place.set).or_default().insert(namespace),
        }
    }
    let mixed = stated.into_iter().filter(|(set, _)| unstated.contains(set));
    let namespaces = |stated: BTreeSet<&str>| match Vec::from_iter(stated).as_slice() {
        [only] => Mixed::One((*only).to_owned()),
        _ => Mixed::Several,
    };
    mixed.map(|(set, stated)| (set, namespaces(stated))).collect()
}

/// The folders that Applications and Flux Kustomizations of the input name, if the folders are in the same repository.
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
        // Argo CD has one or several sources, and Flux has one path.
        let several = application.at("/spec/sources").into_iter().flat_map(Node::items);
        let one = application.at(if kind == APPLICATION { "/spec/source" } else { "/spec" });
        for source in one.into_iter().chain(several) {
            let path = source.at("/path").and_then(Node::as_str).map(Path::new);
            let is_below =
                |path: &&Path| path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            // The root of a repository contains more than one set.
            folders.extend(path.filter(is_below).map(|path| root.join(path)).filter(|folder| folder != root));
        }
    }
    folders
}

/// The path of a file, without symbolic links.
pub(super) fn real(source: &Source) -> Option<PathBuf> {
    match &source.found {
        Some(found) => Some(found.real().to_owned()),
        None => Some(source.path.as_ref()?.parent()?.canonicalize().ok()?.join("new")),
    }
}
