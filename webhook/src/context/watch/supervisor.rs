//! Follows the kinds that are wanted and that the API server serves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use super::follow::{Follow, Pause};
use super::{Wanted, Watches};
use crate::context::live::Kinds;
use crate::context::served::discover;

/// Interval for re-checking kinds that the API server did not serve. A CustomResourceDefinition may have been created.
const AGAIN: Duration = Duration::from_secs(30);

/// Maximum number of concurrent lists. While a page is read, it takes a multiple of the memory of its kept part.
const LISTS: usize = 2;

/// Runs until the watches are dropped.
pub(super) async fn run(
    watches: Weak<Watches>,
    client: Client,
    kinds: Arc<Kinds>,
    only: Arc<[String]>,
    mut wanted: watch::Receiver<Wanted>,
) {
    let (lists, ended) = (Arc::new(Semaphore::new(LISTS)), Arc::new(Notify::new()));
    // Dropping a set ends its tasks.
    let mut followed: BTreeMap<String, (u64, JoinSet<()>)> = BTreeMap::new();
    let mut pause = Pause::default();
    loop {
        let now = wanted.borrow_and_update().clone();
        followed.retain(|kind, (version, tasks)| now.get(kind) == Some(version) && tasks.try_join_next().is_none());
        kinds.retain(|kind| now.contains_key(kind));
        let open: BTreeSet<String> = now.keys().filter(|kind| !followed.contains_key(*kind)).cloned().collect();
        let found = if open.is_empty() { BTreeMap::new() } else { discover(&client, &open).await };
        let Some(held) = watches.upgrade() else { return };
        let mut failed = false;
        for (kind, resource) in found {
            match resource {
                Err(why) => {
                    failed = true;
                    held.undiscovered(&kind, &why.to_string());
                }
                Ok(None) => {
                    kinds.set(&kind, None);
                    held.served(&kind, None, &[]);
                }
                Ok(Some(resource)) => {
                    let scopes: Vec<Option<String>> = match resource.namespaced && !only.is_empty() {
                        true => only.iter().cloned().map(Some).collect(),
                        false => vec![None],
                    };
                    held.served(&kind, Some(resource.namespaced), &scopes);
                    let version = now.get(&kind).copied().unwrap_or_default();
                    let mut tasks = JoinSet::new();
                    for scope in scopes {
                        let follow = Follow {
                            watches: Weak::clone(&watches),
                            client: client.clone(),
                            kind: kind.clone(),
                            version,
                            workloads: held.workloads(),
                            resource: resource.clone(),
                            scope,
                            lists: Arc::clone(&lists),
                        };
                        let ended = Arc::clone(&ended);
                        tasks.spawn(async move {
                            follow.run().await;
                            ended.notify_one();
                        });
                    }
                    kinds.set(&kind, Some(resource));
                    followed.insert(kind, (version, tasks));
                }
            }
        }
        drop(held);
        if !failed {
            pause = Pause::default();
        }
        let rest = async { if failed { pause.rest().await } else { tokio::time::sleep(AGAIN).await } };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = rest => {}
            // A kind is gone, or its watch panicked. Wait before the next attempt, because this may repeat.
            () = ended.notified() => Pause::default().rest().await,
        }
    }
}
