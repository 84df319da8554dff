//! Reads the cluster through the API server: single objects, with a time limit.
//!
//! Evaluating threads ask and wait. The requests run on the event loop.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use plimsoll_flat::Node;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::timeout_at;

use super::events::Events;
use super::index::Shard;
use super::revisions::Workload;
use super::served::Resource;
use super::{Context, Live, NAMESPACE};
use crate::admission::decide::{Looked, Owner, Revision};
use crate::engine::Answer;
use crate::model::{Current, Review};
use crate::registry::Workloads;
use plimsoll_sdk::question::Question;
use plimsoll_sdk::question::references::among_all;

/// Number of objects in one page of a list.
const PAGE: u32 = 500;

/// Number of revisions in one page of a list. A Deployment keeps ten by default.
const REVISIONS: u32 = 100;

/// Maximum number of pages that are read of one list. A longer list counts as not read.
const PAGES: usize = 4;

/// The cluster behind the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    runtime: Handle,
    events: Events,
    kinds: Arc<Kinds>,
    /// The kinds with a pod template.
    workloads: Arc<Current<Workloads>>,
    /// Whether Plimsoll may read all namespaces.
    everywhere: bool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Sends requests through this client, on the event loop of the caller.
    pub(super) fn new(client: Client, kinds: Arc<Kinds>, workloads: Arc<Current<Workloads>>, everywhere: bool) -> Self {
        let (events, runtime) = (Events::start(client.clone()), Handle::current());
        Self { events, client, runtime, kinds, workloads, everywhere }
    }

    /// The answer of the API server, if it comes in time.
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

    fn revisions(&self, review: &Review, until: Instant) -> Looked<Vec<Revision>> {
        let Some(workload) = Workload::of(review) else { return Looked::Unknown };
        let selector = review.old_object().and_then(|object| label_selector(object.at("/spec/selector")?));
        let (client, namespace) = (self.client.clone(), review.namespace.as_str());
        let revisions = if matches!(review.kind.kind.as_str(), "Deployment" | "Rollout") {
            let sets = self.ask(until, all::<ReplicaSet>(Api::namespaced(client, namespace), selector));
            found(sets, |sets| sets.map(|sets| workload.revisions(&sets)))
        } else {
            let kept = self.ask(until, all::<ControllerRevision>(Api::namespaced(client, namespace), selector));
            found(kept, |kept| kept.map(|kept| workload.revisions(&kept)))
        };
        match revisions {
            Looked::Found(Some(revisions)) => Looked::Found(revisions),
            Looked::Found(None) | Looked::Unknown => Looked::Unknown,
            Looked::Absent => Looked::Absent,
        }
    }

    fn terminating(&self, namespace: &str, until: Instant) -> Looked<bool> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        found(self.ask(until, namespaces.get(namespace)), |namespace| namespace.metadata.deletion_timestamp.is_some())
    }

    fn record(&self, review: &Review, reason: &str, message: String) {
        self.events.note(review, reason, message);
    }

    fn anew(&self, known: &Arc<dyn Context>, until: Instant) -> Arc<dyn Context> {
        Arc::new(Anew { cluster: self.clone(), known: Arc::clone(known), until, listed: Mutex::default() })
    }
}

/// Kinds that policies may ask for, as the API server serves them. None for a kind that it does not serve.
#[derive(Debug, Default)]
pub(super) struct Kinds(RwLock<HashMap<String, Option<Resource>>>);

impl Kinds {
    pub(super) fn set(&self, kind: &str, resource: Option<Resource>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(kind.to_owned(), resource);
    }

    /// Forgets all kinds except these.
    pub(super) fn retain(&self, stays: impl Fn(&str) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|kind, _| stays(kind));
    }

    fn get(&self, kind: &str) -> Option<Option<Resource>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }
}

/// The same context as the API server has it now, including status: for one review, before a Deny.
///
/// If an answer does not come in time or is too large, the known context is used. So a user gains nothing by keeping
/// the API server busy or by filling a namespace.
#[derive(Debug)]
struct Anew {
    cluster: Cluster,
    known: Arc<dyn Context>,
    until: Instant,
    /// A kind is listed once, whatever the questions are, and once more in all namespaces. None if the list failed.
    listed: Mutex<HashMap<bool, Listed>>,
}

/// The lists by kind.
type Listed = HashMap<String, Option<Arc<Shard>>>;

impl Anew {
    /// All objects of a kind, in one namespace or in all. None if there are too many, or if they do not come in time.
    fn list(&self, namespace: Option<&str>, kind: &str, resource: &Resource) -> Option<Arc<Shard>> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = listed.entry(namespace.is_none()).or_default();
        if let Some(known) = listed.get(kind) {
            return known.clone();
        }
        let Cluster { client, workloads, .. } = &self.cluster;
        let workloads = workloads.get();
        let shape = workloads.shape(kind);
        let read = async {
            let mut objects = Shard::default();
            let mut parameters = ListParams::default().limit(PAGE);
            for _ in 0..PAGES {
                let page = resource.list(client, namespace, &parameters).await?;
                for object in page.items.into_iter().flatten() {
                    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                    let name = match namespace {
                        Some(_) => text("/metadata/name").to_owned(),
                        None => among_all(text("/metadata/namespace"), text("/metadata/name")),
                    };
                    if let Some(kept) = resource.keeping(shape, workloads.shown(kind)).with_status().keep(&object) {
                        objects.put(shape, &name, 0, kept);
                    }
                }
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => parameters = parameters.continue_token(&token),
                    None => return Ok(Some(Arc::new(objects))),
                }
            }
            Ok(None)
        };
        let read = match self.cluster.ask(self.until, read) {
            Looked::Found(objects) => objects,
            Looked::Absent => Some(Arc::default()),
            Looked::Unknown => None,
        };
        listed.insert(kind.to_owned(), read.clone());
        read
    }
}

impl Context for Anew {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let none = Answer { documents: Vec::new(), complete: true };
        let as_known = || self.known.answer(namespace, kind, question);
        let resource = match self.cluster.kinds.get(kind) {
            Some(Some(resource)) => resource,
            Some(None) => return none,
            None => return as_known(),
        };
        if resource.namespaced && namespace.is_empty() {
            return Answer::unknown();
        }
        let workloads = self.cluster.workloads.get();
        let shape = workloads.shape(kind);
        if let Question::Get { name } = question {
            if !is_name(name) {
                return none;
            }
            let keeping = resource.keeping(shape, workloads.shown(kind)).with_status();
            return match self.cluster.ask(self.until, resource.get(&self.cluster.client, namespace, name)) {
                Looked::Found(object) => match keeping.keep(&object) {
                    Some(kept) => Answer { documents: vec![kept.document], complete: true },
                    None => as_known(),
                },
                Looked::Absent => none,
                Looked::Unknown => as_known(),
            };
        }
        let is_for_all = matches!(question, Question::Referring { kind: NAMESPACE, .. }) && self.cluster.everywhere;
        match self.list(Some(namespace).filter(|_| !is_for_all), kind, &resource) {
            Some(objects) => objects.answer(shape, namespace, question),
            None => as_known(),
        }
    }
}

/// Every object of a list. None if there are too many.
async fn all<K>(api: Api<K>, selector: Option<String>) -> kube::Result<Option<Vec<K>>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut parameters = ListParams { label_selector: selector, ..ListParams::default().limit(REVISIONS) };
    let mut objects = Vec::new();
    for _ in 0..PAGES {
        let page = api.list(&parameters).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(Some(objects)),
        }
    }
    Ok(None)
}

/// Whether a text can be the name of an object in a path, and leads nowhere else. No object has any other name.
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

/// `matchLabels` as a query parameter of the API server. None if there are expressions; then everything is listed.
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
