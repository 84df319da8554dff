//! Gaps of the input: skipped charts, broken documents, and objects that a controller makes from custom resources. Any
//! of them may contain an object that was not found.

use std::collections::{BTreeSet, HashMap};

use super::files::{Group, SetNumber};
use super::versions::{Folders, Place};
use crate::registry::is_cluster_scoped;
use plimsoll_sdk::question::Question;

/// A part of the input that was not read.
#[derive(Clone, Debug)]
pub struct Unread {
    /// `the Helm chart deploy/chart was passed over`
    pub reason: String,
    /// The kinds, without group, that it may contain. None for any kind.
    pub kinds: Option<BTreeSet<String>>,
    /// Whether it is a manifest among others. Charts and kustomizations are built from other objects, and rarely scale
    /// an object next to them.
    pub is_manifest: bool,
}

/// All gaps of the input.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    unread: Vec<Unread>,
    /// The first gap that may contain a kind. An empty kind means any.
    anywhere: HashMap<String, usize>,
    /// The same below a folder: the first gap, and the first one that is a manifest.
    near: HashMap<u32, HashMap<String, [Option<usize>; 2]>>,
    /// The first maker in each group.
    makers: HashMap<Group, String>,
    makers_of_sets: HashMap<SetNumber, String>,
}

impl Gaps {
    pub(super) fn add_maker(&mut self, group: Group, set: SetNumber, description: &str) {
        self.makers.entry(group).or_insert_with(|| description.to_owned());
        self.makers_of_sets.entry(set).or_insert_with(|| description.to_owned());
    }

    pub(super) fn add_unread(&mut self, folder: u32, unread: Unread) {
        let number = self.unread.len();
        let any = BTreeSet::from([String::new()]);
        for kind in unread.kinds.as_ref().unwrap_or(&any) {
            self.anywhere.entry(kind.clone()).or_insert(number);
            let [first, manifest] = self.near.entry(folder).or_default().entry(kind.clone()).or_default();
            first.get_or_insert(number);
            if unread.is_manifest {
                manifest.get_or_insert(number);
            }
        }
        self.unread.push(unread);
    }

    /// Why an object may exist although it was not found. An object that is named or selected can be anywhere. An
    /// object that selects another one is near to it, and an object that scales it is among the manifests.
    pub(super) fn doubt(
        &self,
        own: &Group,
        place: Place,
        folders: &Folders,
        kind: &str,
        question: Question<'_>,
    ) -> Option<String> {
        let is_sought = matches!(question, Question::Get { .. } | Question::SelectedBy { .. });
        if !self.unread.is_empty() {
            let which = usize::from(!is_sought && !matches!(question, Question::Selecting { .. }));
            let bare = kind.rsplit_once('/').map_or(kind, |(_, kind)| kind);
            let near = folders.upward(place.folder).filter_map(|folder| self.near.get(&folder));
            let near = near.into_iter().find_map(|kinds| {
                let of = |kind: &str| *kinds.get(kind)?.get(which)?;
                of(bare).or_else(|| of(""))
            });
            let anywhere = || [bare, ""].into_iter().find_map(|kind| self.anywhere.get(kind)).copied();
            let found = near.or_else(|| anywhere().filter(|_| is_sought));
            if let Some(unread) = found.and_then(|number| self.unread.get(number)) {
                return Some(unread.reason.clone());
            }
        }
        if !is_sought || is_cluster_scoped(kind) {
            return None;
        }
        let maker = self.makers.get(own).or_else(|| self.makers_of_sets.get(&place.set))?;
        Some(format!("a controller may make such objects of {maker}"))
    }
}
