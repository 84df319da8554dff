//! The cluster itself, looked at through the API server: single objects, bounded in time.
//!
//! Evaluating threads ask, and wait; the asking is done on the event loop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use plimsoll_flat::Node;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::timeout_at;

use super::events::Events;
use super::index::Shard;
use super::question::{Question, Shape};
use super::served::Resource;
use super::{Context, Live};
use crate::admission::Review;
use crate::admission::decide::{Looked, Owner};
use crate::engine::Answer;
use crate::registry::Workloads;

/// The questions of policies that look again are answered within this, all together, or not at all.
const ANSWER: Duration = Duration::from_millis(100);

/// A Deployment keeps ten revisions unless told otherwise; more than this are not looked at.
const MAX_REVISIONS: u32 = 100;

/// More than this of one kind are not read anew; the answer is incomplete then.
const MAX_LISTED: u32 = 500;

/// The kinds with a pod template, which a new configuration may change.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<RwLock<Arc<Workloads>>>);

impl Known {
    pub(super) fn get(&self) -> Arc<Workloads> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, workloads: Arc<Workloads>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = workloads;
    }
}

/// The cluster behind the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    runtime: Handle,
    events: Events,
    kinds: Arc<Kinds>,
    workloads: Known,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Asked through this client, on the event loop that this is called from.
    pub(super) fn new(client: Client, kinds: Arc<Kinds>, workloads: Known) -> Self {
        let (events, runtime) = (Events::start(client.clone()), Handle::current());
        Self { events, client, runtime, kinds, workloads }
    }

    /// What the API server says, unless it takes too long.
    fn ask<T>(&self, until: Instant, question: impl Future<Output = kube::Result<T>>) -> Looked<T> {
        match self.runtime.block_on(async { timeout_at(until.into(), question).await }) {
            Ok(Ok(found)) => Looked::Found(found),
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Looked::Absent,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the API server cannot be asked");
                Looked::Unknown
            }
            Err(_) => Looked::Unknown,
        }
    }

    fn object(&self, namespace: &str, kind: &GroupVersionKind, name: &str, until: Instant) -> Looked<DynamicObject> {
        let resource = ApiResource::from_gvk(kind);
        let objects: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        self.ask(until, objects.get(name))
    }
}

impl Live for Cluster {
    fn owner(&self, namespace: &str, owner: &Owner, until: Instant) -> Looked<()> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let kind = GroupVersionKind::gvk(group, version, &owner.kind);
        match self.object(namespace, &kind, &owner.name, until) {
            Looked::Found(object) if object.metadata.uid.as_deref() == Some(&owner.uid) => Looked::Found(()),
            Looked::Found(_) | Looked::Absent => Looked::Absent,
            Looked::Unknown => Looked::Unknown,
        }
    }

    fn revisions(&self, workload: &Review, until: Instant) -> Looked<Vec<Vec<u8>>> {
        let Some(object) = workload.old_object() else { return Looked::Absent };
        let Some(uid) = object.at("/metadata/uid").and_then(Node::as_str) else { return Looked::Unknown };
        let parameters = ListParams::default().limit(MAX_REVISIONS);
        let parameters = match object.at("/spec/selector").and_then(label_selector) {
            Some(selector) => parameters.labels(&selector),
            None => parameters,
        };
        let (client, namespace) = (self.client.clone(), workload.namespace.as_str());
        let templates: Looked<Vec<Value>> = if matches!(workload.kind.kind.as_str(), "Deployment" | "Rollout") {
            let sets = Api::<ReplicaSet>::namespaced(client, namespace);
            found(self.ask(until, sets.list(&parameters)), |list| {
                let owned = list.items.into_iter().filter(|set| is_owned(set, uid));
                owned.filter_map(|set| serde_json::to_value(set.spec?.template?).ok()).collect()
            })
        } else {
            let revisions = Api::<ControllerRevision>::namespaced(client, namespace);
            found(self.ask(until, revisions.list(&parameters)), |list| {
                let owned = list.items.into_iter().filter(|revision| is_owned(revision, uid));
                owned.filter_map(|revision| revision.data?.0.pointer("/spec/template").cloned()).collect()
            })
        };
        found(templates, |templates| {
            templates.iter().filter_map(|template| plimsoll_flat::to_document(template).ok()).collect()
        })
    }

    fn terminating(&self, namespace: &str, until: Instant) -> Looked<bool> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        found(self.ask(until, namespaces.get(namespace)), |namespace| namespace.metadata.deletion_timestamp.is_some())
    }

    fn record(&self, review: &Review, reason: &str, message: String) {
        self.events.note(review, reason, message);
    }

    fn anew(&self) -> Arc<dyn Context> {
        Arc::new(Anew { cluster: self.clone(), until: Instant::now() + ANSWER, listed: Mutex::default() })
    }
}

/// What policies may ask for, as the API server has it; none where it does not serve the kind.
#[derive(Debug, Default)]
pub(super) struct Kinds(RwLock<HashMap<String, Option<Resource>>>);

impl Kinds {
    pub(super) fn set(&self, kind: &str, resource: Option<Resource>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(kind.to_owned(), resource);
    }

    /// Forgets all kinds but these.
    pub(super) fn retain(&self, stays: impl Fn(&str) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|kind, _| stays(kind));
    }

    fn get(&self, kind: &str) -> Option<Option<Resource>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }
}

/// The same context as the API server has it now, status included: for one review, before a Deny.
#[derive(Debug)]
struct Anew {
    cluster: Cluster,
    until: Instant,
    /// A kind is listed once, whatever is asked about it.
    listed: Mutex<HashMap<String, Listed>>,
}

#[derive(Clone, Debug)]
struct Listed {
    objects: Arc<Shard>,
    complete: bool,
}

impl Anew {
    fn list(&self, namespace: &str, kind: &str, resource: &Resource) -> Looked<Listed> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listed.get(kind) {
            return Looked::Found(known.clone());
        }
        let Cluster { client, workloads, .. } = &self.cluster;
        let workloads = workloads.get();
        let parameters = ListParams::default().limit(MAX_LISTED);
        let page = self.cluster.ask(self.until, resource.list(client, Some(namespace), &parameters));
        let found = found(page, |page| {
            let shape = Shape::of(kind, &workloads);
            let mut objects = Shard::default();
            for object in page.items.into_iter().flatten() {
                let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
                if let Some(kept) = resource.keeping(shape, workloads.shown(kind)).with_status().keep(&object) {
                    objects.put(shape, name, 0, kept);
                }
            }
            let complete = page.metadata.continue_.is_none_or(|token| token.is_empty());
            Listed { objects: Arc::new(objects), complete }
        });
        if let Looked::Found(found) = &found {
            listed.insert(kind.to_owned(), found.clone());
        }
        found
    }
}

impl Context for Anew {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let none = Answer { documents: Vec::new(), complete: true };
        let resource = match self.cluster.kinds.get(kind) {
            Some(Some(resource)) => resource,
            Some(None) => return none,
            None => return Answer::unknown(),
        };
        if resource.namespaced && namespace.is_empty() {
            return Answer::unknown();
        }
        if let Question::Get { name } = question {
            if !is_name(name) {
                return none;
            }
            let object = self.cluster.ask(self.until, resource.get(&self.cluster.client, namespace, name));
            let workloads = self.cluster.workloads.get();
            let keeping = resource.keeping(Shape::of(kind, &workloads), workloads.shown(kind)).with_status();
            return match object {
                Looked::Found(object) => match keeping.keep(&object) {
                    Some(kept) => Answer { documents: vec![kept.document], complete: true },
                    None => Answer::unknown(),
                },
                Looked::Absent => none,
                Looked::Unknown => Answer::unknown(),
            };
        }
        match self.list(namespace, kind, &resource) {
            Looked::Found(Listed { objects, complete }) => {
                let workloads = self.cluster.workloads.get();
                let shape = Shape::of(kind, &workloads);
                let answer = objects.answer(shape, namespace, question);
                Answer { complete: answer.complete && complete, ..answer }
            }
            Looked::Absent => none,
            Looked::Unknown => Answer::unknown(),
        }
    }
}

/// What may stand in a path as the name of an object, and leads to nothing else. There is no object of another name.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '%', '?', '#']) && !name.contains(char::is_control)
}

fn found<T, U>(looked: Looked<T>, make: impl FnOnce(T) -> U) -> Looked<U> {
    match looked {
        Looked::Found(value) => Looked::Found(make(value)),
        Looked::Absent => Looked::Absent,
        Looked::Unknown => Looked::Unknown,
    }
}

fn is_owned(object: &impl kube::Resource, uid: &str) -> bool {
    let owners = object.meta().owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// `matchLabels` as the API server takes them in a query; none where there are expressions, so that all is listed.
fn label_selector(selector: Node<'_>) -> Option<String> {
    if selector.get("matchExpressions").is_some_and(|expressions| expressions.len() > 0) {
        return None;
    }
    let labels = selector.get("matchLabels")?.members();
    let pairs: Vec<String> = labels.filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["web", "system:node", "a.b-c", "7"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "web/log", "../../secrets/key", "a%2fb", "a?watch=1", "a#b", "a\nb"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
