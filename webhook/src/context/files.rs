//! The context of one check: the objects of its own input.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::index::Shard;
use super::kept::Keeping;
use super::question::{Question, Shape};
use super::references::{among_all, names_namespaces};
use super::{Context, NAMESPACE, is_secret};
use crate::admission::Kind;
use crate::engine::Answer;
use crate::registry::{Workloads, is_cluster_scoped};

/// Number of a set: what is applied together. Objects that state no namespace meet only the others of their set, for each set
/// may go to a namespace of its own.
pub type SetNumber = u32;

/// Whose objects see each other.
#[derive(Debug, Eq, Hash, PartialEq)]
enum Group {
    /// Empty for what lies in no namespace.
    Namespace(String),
    Set(SetNumber),
    /// What names Namespaces, of the whole input.
    Naming,
    /// The same of one set, whose objects may all go to any namespace.
    NamingInSet(SetNumber),
}

/// The objects of a set of files that policies may ask for.
#[derive(Debug, Default)]
pub struct Objects {
    shards: HashMap<Group, Shard>,
    /// The objects that state no namespace, of all sets together.
    unstated: Shard,
    sets: HashSet<SetNumber>,
    /// `group/Kind`
    kinds: BTreeSet<String>,
    workloads: Arc<Workloads>,
    /// Files can have two objects of one name, for two clusters say. Each of them counts.
    added: u32,
}

impl Objects {
    /// None as yet, of these kinds.
    pub fn new(kinds: BTreeSet<String>, workloads: Arc<Workloads>) -> Self {
        Self { kinds, workloads, ..Self::default() }
    }

    /// `group/Kind` of those that are known, even if there is none.
    pub fn kinds(&self) -> &BTreeSet<String> {
        &self.kinds
    }

    /// Whether objects of this kind (`group/Kind`) are kept.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.contains(kind) && !is_secret(kind)
    }

    /// Adds an object of the only set, if it is of a kind that policies declare.
    pub fn add(&mut self, object: &serde_json::Value) {
        self.add_to(0, object);
    }

    /// Adds an object of this set, if it is of a kind that policies declare.
    pub fn add_to(&mut self, set: SetNumber, object: &serde_json::Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let kind = Kind::from_api_version(text("/apiVersion"), text("/kind"));
        let name = kind.group_kind();
        if !self.wants(&name) {
            return;
        }
        let shape = Shape::of(&name, &self.workloads);
        if let Some(kept) = Keeping::new(shape, self.workloads.shown(&name)).keep(object) {
            if names_namespaces(&name) {
                let own = among_all(text("/metadata/namespace"), text("/metadata/name"));
                for group in [Group::Naming, Group::NamingInSet(set)] {
                    self.shards.entry(group).or_default().put(shape, &own, self.added, kept.clone());
                }
            }
            let group = group(&name, text("/metadata/namespace"), set);
            if group == Group::Set(set) {
                self.sets.insert(set);
                self.unstated.put(shape, text("/metadata/name"), self.added, kept.clone());
            }
            self.shards.entry(group).or_default().put(shape, text("/metadata/name"), self.added, kept);
            self.added += 1;
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

/// The objects of a set of files. Closed: what is not among them does not exist. Open: it may exist elsewhere.
#[derive(Debug)]
pub struct Files {
    closed: bool,
    objects: Arc<Objects>,
    set: SetNumber,
}

impl Files {
    /// An input with these objects, as its only set sees it.
    pub fn new(closed: bool, objects: Arc<Objects>) -> Self {
        Self { closed, objects, set: 0 }
    }

    /// The same, as another set sees it.
    #[must_use]
    pub fn seen_by(self, set: SetNumber) -> Self {
        Self { set, ..self }
    }

    /// Whether something that is missing in this set is there in another one. It may be meant for both.
    fn is_elsewhere(&self, shape: Shape<'_>, namespace: &str, question: Question<'_>) -> bool {
        self.objects.sets.len() > 1 && !self.objects.unstated.answer(shape, namespace, question).documents.is_empty()
    }
}

impl Context for Files {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let Objects { shards, kinds, workloads, .. } = &*self.objects;
        if !kinds.contains(kind) {
            return Answer::unknown();
        }
        let shape = Shape::of(kind, workloads);
        let (group, question) = match question {
            // Every namespace that these name may be the one to which the set goes.
            Question::Referring { kind: NAMESPACE, .. } if namespace.is_empty() => {
                (Group::NamingInSet(self.set), Question::Listing)
            }
            Question::Referring { kind: NAMESPACE, .. } => (Group::Naming, question),
            _ => (group(kind, namespace, self.set), question),
        };
        let mut answer = match shards.get(&group) {
            Some(shard) => shard.answer(shape, namespace, question),
            None => Answer { documents: Vec::new(), complete: true },
        };
        if answer.documents.is_empty()
            && matches!(group, Group::Set(_))
            && self.is_elsewhere(shape, namespace, question)
        {
            answer.complete = false;
        }
        Answer { complete: answer.complete && self.closed, ..answer }
    }
}
