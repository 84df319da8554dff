//! The context of one check: the objects of its own input.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::index::Shard;
use super::kept::Keeping;
use super::question::{Question, Shape};
use super::{Context, is_secret};
use crate::admission::Kind;
use crate::engine::Answer;
use crate::registry::{Workloads, is_cluster_scoped};

/// The objects of a set of files that policies may ask for.
#[derive(Debug, Default)]
pub struct Objects {
    /// By namespace; where a file states none, there.
    shards: HashMap<String, Shard>,
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

    /// Whether objects of this kind (`group/Kind`) are kept.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.contains(kind) && !is_secret(kind)
    }

    /// Adds an object of the input, if it is of a kind that policies declare.
    pub fn add(&mut self, object: &serde_json::Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
        let kind = Kind::from_api_version(text("/apiVersion"), text("/kind"));
        let name = kind.group_kind();
        if !self.wants(&name) {
            return;
        }
        let shape = Shape::of(&name, &self.workloads);
        if let Some(kept) = Keeping::new(shape, self.workloads.shown(&name)).keep(object) {
            let namespace = if is_cluster_scoped(&name) { "" } else { text("/metadata/namespace") };
            let shard = self.shards.entry(namespace.to_owned()).or_default();
            shard.put(shape, text("/metadata/name"), self.added, kept);
            self.added += 1;
        }
    }
}

/// The objects of a set of files. Closed: what is not among them does not exist. Open: it may exist elsewhere.
#[derive(Debug)]
pub struct Files {
    closed: bool,
    objects: Arc<Objects>,
}

impl Files {
    /// An input with these objects.
    pub fn new(closed: bool, objects: Arc<Objects>) -> Self {
        Self { closed, objects }
    }
}

impl Context for Files {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let Objects { shards, kinds, workloads, .. } = &*self.objects;
        if !kinds.contains(kind) {
            return Answer::unknown();
        }
        let shape = Shape::of(kind, workloads);
        let answer = match shards.get(if is_cluster_scoped(kind) { "" } else { namespace }) {
            Some(shard) => shard.answer(shape, namespace, question),
            None => Answer { documents: Vec::new(), complete: true },
        };
        Answer { complete: answer.complete && self.closed, ..answer }
    }
}
