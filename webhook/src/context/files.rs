//! The context of one check: the objects of its input.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::gaps::Gaps;
use super::index::{Chosen, Meant, Shard};
use super::kept::Keeping;
use super::versions::{Identities, Viewer};
use super::{Context, MAX_BYTES, MAX_DOCUMENTS, NAMESPACE, is_secret, name_of};
use crate::engine::Answer;
use crate::model::Kind;
use crate::registry::{Workloads, is_cluster_scoped};
use plimsoll_sdk::question::references::{among_all, names_namespaces};
use plimsoll_sdk::question::{Question, Shape};

pub use super::gaps::Unread;
pub use super::versions::{Folders, Place};

/// Number of a set of objects that are applied together. Each set may go to a different namespace. So an object without
/// a namespace sees only objects of its own set.
pub type SetNumber = u32;

/// A group of objects that see each other.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Group {
    /// The objects of this namespace. Empty for cluster-scoped objects.
    Namespace(String),
    /// The objects of a set without a namespace.
    Set(SetNumber),
    /// The objects of a set with a namespace, if others of the set have none.
    Stated(SetNumber),
    /// Objects of the whole input that name Namespaces.
    Naming,
    /// Objects of one set that name Namespaces. The set may be applied to any namespace.
    NamingInSet(SetNumber),
}

/// The namespaces of a set in which other objects have none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Mixed {
    /// One namespace. kubectl and Helm put the other objects into it, too, or reject the set.
    One(String),
    /// More than one namespace.
    Several,
}

/// The objects of the input that policies may ask for.
#[derive(Debug, Default)]
pub struct Objects {
    shards: HashMap<Group, Shard>,
    /// The objects without a namespace, of all sets together.
    unstated: Shard,
    sets: HashSet<SetNumber>,
    mixed: HashMap<SetNumber, Mixed>,
    /// `group/Kind`
    kinds: BTreeSet<String>,
    workloads: Arc<Workloads>,
    folders: Arc<Folders>,
    /// Objects by group, kind and name.
    identities: Identities<(Group, String, String)>,
    gaps: Gaps,
    added: u32,
}

impl Objects {
    /// No objects yet, for these kinds.
    pub fn new(kinds: BTreeSet<String>, workloads: Arc<Workloads>) -> Self {
        Self { kinds, workloads, ..Self::default() }
    }

    /// The same with the folders of the files, and the sets in which only some objects have a namespace.
    #[must_use]
    pub fn within(self, folders: Arc<Folders>, mixed: HashMap<SetNumber, Mixed>) -> Self {
        Self { folders, mixed, ..self }
    }

    /// The known kinds, as `group/Kind`, even if there is no object of them.
    pub fn kinds(&self) -> &BTreeSet<String> {
        &self.kinds
    }

    /// Whether objects of this kind (`group/Kind`) are kept.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.contains(kind) && !is_secret(kind)
    }

    /// Adds an object of the only set, if policies declare its kind.
    pub fn add(&mut self, object: &serde_json::Value) {
        self.add_at(self.added, Place::default(), object);
    }

    /// Adds the object with this number at this place, if policies declare its kind. The caller numbers the objects,
    /// and each number is unique.
    pub fn add_at(&mut self, number: u32, place: Place, object: &serde_json::Value) {
        self.added = self.added.max(number.saturating_add(1));
        let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let kind = Kind::from_api_version(text("/apiVersion"), text("/kind")).group_kind();
        if !self.wants(&kind) {
            return;
        }
        let shape = self.workloads.shape(&kind);
        let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        let Some(kept) = Keeping::new(shape, self.workloads.shown(&kind)).keep(object) else { return };
        if names_namespaces(&kind) {
            let own = among_all(namespace, name);
            for group in [Group::Naming, Group::NamingInSet(place.set)] {
                self.shards.entry(group).or_default().put(shape, &own, number, kept.clone());
            }
        }
        let group = group(&kind, namespace, place.set);
        if group == Group::Set(place.set) {
            self.sets.insert(place.set);
            self.unstated.put(shape, name, number, kept.clone());
        } else if self.mixed.contains_key(&place.set) && !namespace.is_empty() {
            let stated = self.shards.entry(Group::Stated(place.set)).or_default();
            stated.put(shape, name, number, kept.clone());
        }
        self.shards.entry(group.clone()).or_default().put(shape, name, number, kept);
        // The API server generates a name for an object without one.
        if !name.is_empty() {
            let is_workload = self.workloads.is_workload(&kind);
            self.identities.add((group, kind.clone(), name.to_owned()), number, place, is_workload, &self.folders);
        }
    }

    /// Records an object that is not kept, but from which a controller may make other objects.
    pub fn add_maker(&mut self, place: Place, namespace: &str, description: &str) {
        let group = if namespace.is_empty() { Group::Set(place.set) } else { Group::Namespace(namespace.to_owned()) };
        self.gaps.add_maker(group, place.set, description);
    }

    /// Records a part of the input that was not read. It is near to everything below `folder`.
    pub fn add_unread(&mut self, folder: u32, unread: Unread) {
        self.gaps.add_unread(folder, unread);
    }

    /// The number of an object by its name and its kind without the group, as seen from a place.
    pub fn find(&self, place: Place, namespace: &str, kind: &str, name: &str) -> Option<u32> {
        let mut kinds = self.kinds.iter().filter(|known| known.rsplit_once('/').is_some_and(|(_, it)| it == kind));
        kinds.find_map(|kind| {
            let own = group(kind, namespace, place.set);
            let met = self.met(&own, place.set).filter(|(_, meets)| *meets).map(|(group, _)| group);
            [Some(own), met].into_iter().flatten().find_map(|group| {
                // Other groups see the objects of such a set under its namespace.
                let group = match (group, self.mixed.get(&place.set)) {
                    (Group::Stated(_), Some(Mixed::One(namespace))) => Group::Namespace(namespace.clone()),
                    (group, _) => group,
                };
                self.identities.find(&(group, kind.to_owned(), name.to_owned()), place, &self.folders)
            })
        })
    }

    /// The group of a set that may share a namespace with `own`, and whether it certainly does.
    fn met(&self, own: &Group, set: SetNumber) -> Option<(Group, bool)> {
        let mixed = self.mixed.get(&set)?;
        match (own, mixed) {
            (Group::Set(_), mixed) => Some((Group::Stated(set), matches!(mixed, Mixed::One(_)))),
            (Group::Namespace(namespace), _) if namespace.is_empty() => None,
            (Group::Namespace(namespace), Mixed::One(only)) => (namespace == only).then_some((Group::Set(set), true)),
            (Group::Namespace(_), Mixed::Several) => Some((Group::Set(set), false)),
            (Group::Stated(_) | Group::Naming | Group::NamingInSet(_), _) => None,
        }
    }
}

fn group(kind: &str, namespace: &str, set: SetNumber) -> Group {
    match namespace {
        _ if is_cluster_scoped(kind) => Group::Namespace(String::new()),
        "" => Group::Set(set),
        namespace => Group::Namespace(namespace.to_owned()),
    }
}

/// The objects of the input, as one object sees them. In a closed input, a missing object does not exist. In an open
/// input it may exist elsewhere.
#[derive(Debug)]
pub struct Files {
    closed: bool,
    objects: Arc<Objects>,
    place: Place,
    viewer: Option<Viewer>,
    /// For each `group/Kind`, why a missing object may exist after all.
    doubts: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl Files {
    /// An input with these objects, as seen from its only set.
    pub fn new(closed: bool, objects: Arc<Objects>) -> Self {
        Self { closed, objects, place: Place::default(), viewer: None, doubts: Mutex::default() }
    }

    /// The same, as seen from this place.
    #[must_use]
    pub fn seen_from(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The same, as seen by the object with this number.
    #[must_use]
    pub fn seen_by(self, viewer: u32) -> Self {
        Self { viewer: Some(Viewer::new(viewer)), ..self }
    }

    /// Why answers were incomplete although the input is closed, by the `group/Kind` of the question.
    pub fn doubts(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of(&self, group: &Group, shape: Shape<'_>, namespace: &str, question: Question<'_>) -> Answer {
        let Objects { shards, identities, folders, .. } = &*self.objects;
        let none = Answer { documents: Vec::new(), complete: true };
        let Some(shard) = shards.get(group) else { return none };
        let chosen = |number: u32| identities.meant(number, self.viewer.as_ref(), self.place, folders);
        let chosen: Option<Chosen<'_>> = if identities.has_versions() { Some(&chosen) } else { None };
        shard.answer_chosen(shape, namespace, question, chosen)
    }

    /// Whether an answer is empty because the objects belong to a different version than the object that asks.
    fn hides(&self, group: &Group, shape: Shape<'_>, namespace: &str, question: Question<'_>) -> bool {
        let Objects { shards, identities, folders, .. } = &*self.objects;
        let Some(shard) = shards.get(group).filter(|_| self.viewer.is_some() && identities.has_versions()) else {
            return false;
        };
        let chosen = |number: u32| match identities.meant(number, self.viewer.as_ref(), self.place, folders) {
            Meant::None => identities.meant(number, None, self.place, folders),
            Meant::Itself | Meant::Copy(_) => Meant::None,
        };
        !shard.answer_chosen(shape, namespace, question, Some(&chosen)).documents.is_empty()
    }

    /// Whether the selector selects Pods of a workload of a different kind. A selector is written for one workload, so
    /// no other workload is missing.
    fn selects_another(&self, own: &Group, namespace: &str, question: Question<'_>) -> bool {
        let Objects { kinds, workloads, .. } = &*self.objects;
        if !matches!(question, Question::SelectedBy { .. }) {
            return false;
        }
        let met = self.objects.met(own, self.place.set).filter(|(_, meets)| *meets).map(|(group, _)| group);
        let shapes = kinds.iter().map(|kind| workloads.shape(kind)).filter(|shape| !shape.templates.is_empty());
        shapes.into_iter().any(|shape| {
            let mut groups = [Some(own), met.as_ref()].into_iter().flatten();
            groups.any(|group| !self.of(group, shape, namespace, question).documents.is_empty())
        })
    }

    /// Why a missing object may exist: it is in another set, or in a part of the input that was not read.
    fn doubt(&self, own: &Group, shape: Shape<'_>, namespace: &str, question: Question<'_>) -> Option<String> {
        let Objects { sets, unstated, gaps, folders, .. } = &*self.objects;
        if matches!(own, Group::Set(_)) && sets.len() > 1 {
            let elsewhere = unstated.answer(shape, namespace, question);
            if !elsewhere.documents.is_empty() {
                return Some("another folder has such an object, and may be meant for the same namespace".to_owned());
            }
        }
        if self.hides(own, shape, namespace, question) {
            return Some(
                "such an object stands beside another version of a workload, and may be meant for both".to_owned(),
            );
        }
        gaps.doubt(own, self.place, folders, shape.kind, question)
    }
}

impl Context for Files {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let Objects { shards, kinds, workloads, .. } = &*self.objects;
        if !kinds.contains(kind) {
            return Answer::unknown();
        }
        let shape = workloads.shape(kind);
        if let Question::Referring { kind: NAMESPACE, .. } = question {
            // The set may be applied to any namespace that these objects name.
            let (group, question) = match namespace {
                "" => (Group::NamingInSet(self.place.set), Question::Listing),
                _ => (Group::Naming, question),
            };
            let mut answer = self.of(&group, shape, namespace, question);
            // Objects without a namespace, from a set that goes to this namespace.
            let met = self.objects.met(&Group::Namespace(namespace.to_owned()), self.place.set);
            if let Some((Group::Set(set), true)) = met {
                let unstated = Question::Referring { kind: NAMESPACE, name: "" };
                merge(&mut answer, self.of(&Group::NamingInSet(set), shape, namespace, unstated));
            }
            return Answer { complete: answer.complete && self.closed, ..answer };
        }
        let own = group(kind, namespace, self.place.set);
        let mut answer = self.of(&own, shape, namespace, question);
        let mut doubt = None;
        if let Some((other, meets)) = self.objects.met(&own, self.place.set) {
            let mut more = self.of(&other, shape, namespace, question);
            if meets {
                // An object with a namespace and one without can be versions of one object.
                let has = |name: &str| shards.get(&own).is_some_and(|shard| shard.has(kind, name));
                more.documents.retain(|document| !has(name_of(document)));
                merge(&mut answer, more);
            } else if answer.documents.is_empty() && !more.documents.is_empty() {
                doubt = Some("some objects of its folder state a namespace, and others state none".to_owned());
            }
        }
        if self.closed && answer.complete && answer.documents.is_empty() {
            doubt = doubt.or_else(|| self.doubt(&own, shape, namespace, question));
            if let Some(doubt) = doubt.filter(|_| !self.selects_another(&own, namespace, question)) {
                answer.complete = false;
                let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
                doubts.entry(kind.to_owned()).or_default().insert(doubt);
            }
        }
        Answer { complete: answer.complete && self.closed, ..answer }
    }
}

/// Adds the documents of `more` to an answer, in the order of their names.
fn merge(answer: &mut Answer, more: Answer) {
    answer.complete &= more.complete;
    if more.documents.is_empty() {
        return;
    }
    answer.documents.extend(more.documents);
    answer.documents.sort_by(|one, other| name_of(one).cmp(name_of(other)));
    let mut bytes = 0;
    let fits = answer.documents.iter().take(MAX_DOCUMENTS).take_while(|document| {
        let is_first = bytes == 0;
        bytes += document.len();
        is_first || bytes <= MAX_BYTES
    });
    let count = fits.count();
    answer.complete &= count == answer.documents.len();
    answer.documents.truncate(count);
}
