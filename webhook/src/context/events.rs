//! Writes Events about reviews in the background. The queue is limited, and equal Events are written once a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::Review;
use crate::printed;

/// Maximum number of waiting Events. Further ones are dropped; the log and the audit log still have them.
const WAITING: usize = 64;

/// Equal Events of one object within this time are written once.
const QUIET: Duration = Duration::from_secs(60);

/// Namespace for the Events of cluster-scoped objects.
const DEFAULT_NAMESPACE: &str = "default";

/// Accepts Events without ever waiting.
#[derive(Clone, Debug)]
pub(super) struct Events(Sender<Event>);

impl Events {
    /// Starts a task that writes the Events until the last clone is dropped.
    pub(super) fn start(client: Client) -> Self {
        let (sender, receiver) = channel(WAITING);
        tokio::spawn(write(client, receiver));
        Self(sender)
    }

    /// Queues an Event about the reviewed object.
    pub(super) fn note(&self, review: &Review, reason: &str, message: String) {
        let lost = self.0.try_send(event(review, reason, message)).is_err();
        if lost {
            tracing::warn!(uid = review.uid, reason, "an event is lost: too many at once");
        }
    }
}

fn event(review: &Review, reason: &str, message: String) -> Event {
    let namespace = if review.namespace.is_empty() { DEFAULT_NAMESPACE } else { &review.namespace };
    let now = Timestamp::now();
    Event {
        metadata: ObjectMeta {
            generate_name: Some("plimsoll-".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(review.kind.api_version()),
            kind: Some(review.kind.kind.clone()),
            name: Some(review.name.clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectReference::default()
        },
        reason: Some(reason.to_owned()),
        message: Some(printed::line(&message).into_owned()),
        type_: Some("Warning".to_owned()),
        source: Some(EventSource { component: Some("plimsoll".to_owned()), host: None }),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}

async fn write(client: Client, mut events: Receiver<Event>) {
    let mut written: HashMap<String, Instant> = HashMap::new();
    while let Some(event) = events.recv().await {
        written.retain(|_, at| at.elapsed() < QUIET);
        let of = &event.involved_object;
        let key = format!("{:?} {:?} {:?} {:?} {:?}", of.namespace, of.kind, of.name, event.reason, event.message);
        if written.contains_key(&key) {
            continue;
        }
        let namespace = event.metadata.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        match Api::<Event>::namespaced(client.clone(), namespace).create(&PostParams::default(), &event).await {
            Ok(_) => drop(written.insert(key, Instant::now())),
            Err(error) => tracing::warn!(%error, "an event cannot be written"),
        }
    }
}
