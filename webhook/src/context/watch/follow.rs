//! Lists one kind once, and then follows it by watches, as controllers do.
//!
//! It uses only the client, because `kube::runtime` does not report when a broken watch works again. Operators who
//! depend on the context need to know that.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Status;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Sent, Watches};
use crate::context::served::{REQUEST_TIME, Resource, Tokens, reason};
use crate::registry::Workloads;

/// Number of objects in one page of a list.
const PAGE: u32 = 250;

/// Duration of a watch in seconds, plus up to a half of it. Then the API server ends the watch, and a new one starts.
const WATCH: u32 = 180;

/// How much longer than the watch's duration a connection may be silent. After that it counts as dead.
const GRACE: Duration = Duration::from_secs(15);

/// Minimum duration of a useful watch. If a watch without events ends sooner, the next one waits.
const WORTH_IT: Duration = Duration::from_secs(1);

/// Follows one kind, in one namespace or in all.
pub(super) struct Follow {
    pub(super) watches: Weak<Watches>,
    pub(super) client: Client,
    /// `group/Kind`
    pub(super) kind: String,
    /// Version of the request for this kind.
    pub(super) version: u64,
    pub(super) resource: Resource,
    pub(super) workloads: Arc<Workloads>,
    pub(super) scope: Option<String>,
    /// Limits the number of concurrent lists.
    pub(super) lists: Arc<Semaphore>,
}

/// Why a list or a watch ended.
enum End {
    /// The last known version is too old to continue from.
    Expired,
    /// The API server no longer serves the kind.
    NotServed,
    /// An error occurred.
    Failed(String),
}

impl Follow {
    /// Runs until the kind is no longer served, or the watches are dropped.
    pub(super) async fn run(&self) {
        let mut pause = Pause::default();
        loop {
            let end = match self.list().await {
                Ok(version) => {
                    pause = Pause::default();
                    self.follow(version, &mut pause).await
                }
                Err(end) => end,
            };
            match end {
                End::NotServed => return,
                // List again at once, unless this repeats.
                End::Expired => pause.rest().await,
                End::Failed(why) => {
                    let Some(watches) = self.watches.upgrade() else { return };
                    watches.fails(self.what(), &self.scope, &why);
                    drop(watches);
                    pause.rest().await;
                }
            }
        }
    }

    /// Lists all existing objects. Returns the version of the list.
    async fn list(&self) -> Result<String, End> {
        let Ok(_place) = self.lists.acquire().await else { return Err(End::NotServed) };
        let mut parameters = ListParams::default().limit(PAGE);
        let mut sent = Vec::new();
        let mut tokens = Tokens::default();
        loop {
            let page = self.resource.list(&self.client, self.scope.as_deref(), &parameters);
            let page = match timeout(REQUEST_TIME, page).await {
                Ok(page) => page.map_err(|error| End::of(&error))?,
                Err(_) => return Err(End::Failed("a list does not come".to_owned())),
            };
            let items = page.items.unwrap_or_default();
            sent.extend(items.iter().filter_map(|object| self.read(object)));
            match tokens.next(page.metadata.continue_).map_err(|why| End::Failed(why.to_string()))? {
                Some(token) => parameters = parameters.continue_token(&token),
                None => {
                    let version = page.metadata.resource_version.unwrap_or_default();
                    let watches = self.watches.upgrade().ok_or(End::NotServed)?;
                    watches.replace(self.what(), &self.scope, sent);
                    return Ok(version);
                }
            }
        }
    }

    /// Runs one watch after the other.
    async fn follow(&self, mut version: String, pause: &mut Pause) -> End {
        loop {
            let (begun, before) = (Instant::now(), version.clone());
            match self.watch(&mut version).await {
                Ok(()) if begun.elapsed() < WORTH_IT && version == before => pause.rest().await,
                Ok(()) => *pause = Pause::default(),
                Err(End::Failed(why)) => {
                    let Some(watches) = self.watches.upgrade() else { return End::NotServed };
                    watches.fails(self.what(), &self.scope, &why);
                    drop(watches);
                    if begun.elapsed() > WORTH_IT {
                        *pause = Pause::default();
                    }
                    pause.rest().await;
                }
                Err(end) => return end,
            }
        }
    }

    /// Runs one watch until it ends. `version` follows the last event.
    async fn watch(&self, version: &mut String) -> Result<(), End> {
        let seconds = WATCH + random() % (WATCH / 2);
        let parameters = WatchParams::default().timeout(seconds);
        let events = self.resource.watch(&self.client, self.scope.as_deref(), &parameters, version);
        let events = match timeout(REQUEST_TIME, events).await {
            Ok(events) => events.map_err(|error| End::of(&error))?,
            Err(_) => return Err(End::Failed("a watch does not begin".to_owned())),
        };
        self.watches.upgrade().ok_or(End::NotServed)?.works(self.what(), &self.scope);
        let mut events = pin!(events);
        let silence = Duration::from_secs(seconds.into()) + GRACE;
        loop {
            let event = match timeout(silence, events.try_next()).await {
                Ok(Ok(Some(event))) => event,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(End::of(&error)),
                Err(_) => return Err(End::Failed("a watch fell silent".to_owned())),
            };
            let watches = self.watches.upgrade().ok_or(End::NotServed)?;
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    *version = version_of(&object).unwrap_or(std::mem::take(version));
                    if let Some(sent) = self.read(&object) {
                        watches.put(self.what(), sent);
                    }
                }
                WatchEvent::Deleted(object) => {
                    *version = version_of(&object).unwrap_or(std::mem::take(version));
                    if let Some(sent) = self.read(&object) {
                        watches.remove(self.what(), &sent.namespace, &sent.name);
                    }
                }
                WatchEvent::Bookmark(bookmark) => *version = bookmark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(End::of(&kube::Error::Api(status))),
            }
        }
    }

    fn what(&self) -> (&str, u64) {
        (&self.kind, self.version)
    }

    fn read(&self, object: &Value) -> Option<Sent> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let shape = self.workloads.shape(&self.kind);
        Some(Sent {
            namespace: text("/metadata/namespace").unwrap_or_default(),
            name: text("/metadata/name")?,
            kept: self.resource.keeping(shape, self.workloads.shown(&self.kind)).keep(object)?,
        })
    }
}

fn version_of(object: &Value) -> Option<String> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned)
}

impl End {
    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_not_found() => End::NotServed,
            kube::Error::Api(status) if is_expired(status) => End::Expired,
            error => End::Failed(reason(error)),
        }
    }
}

/// Whether the API server no longer remembers the version, or the version is newer than its own, as after a restored
/// backup.
fn is_expired(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 410 || causes.into_iter().any(|cause| cause.reason == "ResourceVersionTooLarge")
}

/// The pause between two attempts. It grows, and is random, so that several waiters don't retry at the same time.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(500))
    }
}

impl Pause {
    const LONGEST: Duration = Duration::from_secs(15);

    pub(super) async fn rest(&mut self) {
        let share = f64::from(random() % 1000) / 1000.0;
        tokio::time::sleep(self.0.mul_f64(0.5 + share)).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }
}

/// The number is not secret. So without a source of randomness, a constant is good enough.
fn random() -> u32 {
    getrandom::u32().unwrap_or(500)
}
