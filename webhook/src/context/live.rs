//! The cluster itself, looked at through the API server: single objects, bounded in time.
//!
//! Evaluating threads ask, and wait; the asking is done on the event loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, Resource};
use plimsoll_flat::Node;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::timeout_at;

use super::events::Events;
use super::{Context, Live};
use crate::admission::Review;
use crate::admission::decide::{Looked, Owner};
use crate::engine::Answer;

/// A question of a policy is answered within this, or not at all.
const ANSWER: Duration = Duration::from_millis(100);

/// A Deployment keeps ten revisions unless told otherwise; more than this are not looked at.
const MAX_REVISIONS: u32 = 100;

/// The cluster behind the API server. Of the five questions only `get` has an answer: the others need an index.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    runtime: Handle,
    events: Events,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Asked through this client, on the event loop that this is called from.
    pub fn new(client: Client) -> Self {
        Self { events: Events::start(client.clone()), client, runtime: Handle::current() }
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
        Arc::new(self.clone())
    }
}

impl Context for Cluster {
    fn get(&self, namespace: &str, kind: &str, name: &str) -> Answer {
        let (group, name_of_kind) = kind.split_once('/').unwrap_or(("", kind));
        let kind = GroupVersionKind::gvk(group, version_of(group), name_of_kind);
        match self.object(namespace, &kind, name, Instant::now() + ANSWER) {
            Looked::Found(object) => match plimsoll_flat::to_document(&object) {
                Ok(document) => Answer { documents: vec![document], complete: true },
                Err(_) => Answer::unknown(),
            },
            Looked::Absent => Answer { documents: Vec::new(), complete: true },
            Looked::Unknown => Answer::unknown(),
        }
    }
    fn selecting(&self, _: &str, _: &str, _: Node<'_>) -> Answer {
        Answer::unknown()
    }
    fn selected_by(&self, _: &str, _: &str, _: Node<'_>) -> Answer {
        Answer::unknown()
    }
    fn referring(&self, _: &str, _: &str, _: &str, _: &str) -> Answer {
        Answer::unknown()
    }
    fn listing(&self, _: &str, _: &str) -> Answer {
        Answer::unknown()
    }
    fn live(&self) -> Option<&dyn Live> {
        Some(self)
    }
}

fn found<T, U>(looked: Looked<T>, make: impl FnOnce(T) -> U) -> Looked<U> {
    match looked {
        Looked::Found(value) => Looked::Found(make(value)),
        Looked::Absent => Looked::Absent,
        Looked::Unknown => Looked::Unknown,
    }
}

fn is_owned(object: &impl Resource, uid: &str) -> bool {
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

/// The version in which a kind of this group is asked for.
fn version_of(group: &str) -> &'static str {
    match group {
        "autoscaling" => "v2",
        "argoproj.io" | "keda.sh" => "v1alpha1",
        _ => "v1",
    }
}
