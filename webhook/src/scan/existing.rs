//! Reads all objects of some kinds from the cluster, once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use plimsoll_flat::Node;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::context::is_secret;
use crate::context::served::{NotKnown, REQUEST_TIME, Resource, Tokens, discover};

/// Number of objects in a page of a list.
const PAGE: u32 = 500;

/// Timeout for all objects of a kind.
const KIND_TIME: Duration = Duration::from_secs(600);

/// Maximum number of objects of a kind. The largest clusters have 150,000 Pods.
const MAX_OBJECTS: usize = 200_000;

/// Maximum number of all objects.
const MAX_ALL_OBJECTS: usize = 500_000;

/// Maximum size of all objects in memory, in bytes.
const MAX_ALL_BYTES: usize = 1 << 30;

/// Maximum number of attempts at a list. A list can expire between two pages.
const ATTEMPTS: usize = 3;

/// The objects of a cluster.
#[derive(Debug, Default)]
pub struct Existing {
    /// Objects by `group/Kind`, each with `apiVersion`, `kind` and status. The list of a kind that is not served is
    /// empty.
    pub kinds: BTreeMap<String, Vec<Value>>,
    /// Kinds that the API server does not serve.
    pub unserved: BTreeSet<String>,
    /// Kinds that could not be read, and the reason.
    pub unread: BTreeMap<String, String>,
    /// Whether the time ended before everything was read.
    pub is_cut: bool,
}

/// Reads all objects of these kinds, kind by kind, and calls `told` with each kind and the number of its objects.
/// Secrets are never read. The API server may be hostile, so the number and size of objects are limited. Reading ends
/// at `end`, and a kind that is not complete by then counts as not read.
pub async fn read(
    client: &Client,
    kinds: &BTreeSet<String>,
    end: Instant,
    mut told: impl FnMut(&str, usize),
) -> Existing {
    let kinds: BTreeSet<String> = kinds.iter().filter(|kind| !is_secret(kind)).cloned().collect();
    let mut existing = Existing::default();
    let mut room = Room { objects: MAX_ALL_OBJECTS, bytes: MAX_ALL_BYTES };
    let Ok(discovered) = timeout_at(end, discover(client, &kinds)).await else {
        let unread = kinds.into_iter().map(|kind| (kind, NotRead::Time.to_string())).collect();
        return Existing { unread, is_cut: true, ..existing };
    };
    for (kind, served) in discovered {
        let objects = match served {
            Ok(Some(_)) if existing.is_cut => Err(NotRead::Time),
            Ok(Some(resource)) => {
                let most = end.min(Instant::now() + KIND_TIME);
                match timeout_at(most, all(client, &resource, &mut room)).await {
                    Ok(objects) => objects,
                    Err(_) if most == end => {
                        existing.is_cut = true;
                        Err(NotRead::Time)
                    }
                    Err(_) => Err(NotRead::KindTime),
                }
            }
            Ok(None) => {
                existing.unserved.insert(kind.clone());
                Ok(Vec::new())
            }
            Err(why) => Err(why.into()),
        };
        match objects {
            Ok(objects) => {
                told(&kind, objects.len());
                existing.kinds.insert(kind, objects);
            }
            Err(why) => drop(existing.unread.insert(kind, why.to_string())),
        }
    }
    existing
}

/// The number of objects and bytes that may still be read.
#[derive(Clone, Copy, Debug)]
struct Room {
    objects: usize,
    bytes: usize,
}

/// Why a list is incomplete.
enum Cut {
    /// The request failed. The list can be retried.
    Failed(kube::Error),
    /// A limit was reached, so the list is not retried.
    Ended(NotRead),
}

/// Why a kind was not read.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
enum NotRead {
    #[error("the timeout for reading the whole cluster was reached (`--timeout`)")]
    Time,
    #[error("it was not read within {} minutes", KIND_TIME.as_secs() / 60)]
    KindTime,
    #[error("there are more than {MAX_OBJECTS} objects of this kind, the maximum of a scan")]
    TooManyOfKind,
    #[error("there are more than {MAX_ALL_OBJECTS} objects in all, the maximum of a scan")]
    TooMany,
    #[error("the objects take more than {} MiB in all, the maximum of a scan", MAX_ALL_BYTES >> 20)]
    TooLarge,
    #[error(transparent)]
    NotKnown(#[from] NotKnown),
}

async fn all(client: &Client, resource: &Resource, room: &mut Room) -> Result<Vec<Value>, NotRead> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        // A failed attempt does not count towards the limits.
        let mut left = *room;
        match pages(client, resource, &mut left).await {
            Ok(objects) => {
                *room = left;
                return Ok(objects);
            }
            Err(Cut::Failed(kube::Error::Api(status))) if status.code == 410 => failure = status.message.clone(),
            Err(Cut::Failed(error)) => return Err(NotKnown::from(error).into()),
            Err(Cut::Ended(why)) => return Err(why),
        }
    }
    Err(NotKnown::Refused(failure).into())
}

async fn pages(client: &Client, resource: &Resource, room: &mut Room) -> Result<Vec<Value>, Cut> {
    let mut parameters = ListParams::default().limit(PAGE);
    let mut objects = Vec::new();
    let mut tokens = Tokens::default();
    loop {
        let page = timeout(REQUEST_TIME, resource.list(client, None, &parameters)).await;
        let page = page.map_err(|_| Cut::Ended(NotKnown::TooSlow.into()))?.map_err(Cut::Failed)?;
        let (items, next) = (page.items.unwrap_or_default(), page.metadata.continue_);
        // Whole objects, because they are judged themselves.
        for object in &items {
            let Some(document) = resource.whole(object) else { continue };
            room.take(objects.len(), document.len()).map_err(Cut::Ended)?;
            objects.extend(Node::root(&document).ok().and_then(|node| serde_json::to_value(node).ok()));
        }
        match tokens.next(next).map_err(|why| Cut::Ended(why.into()))? {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

impl Room {
    fn take(&mut self, of_kind: usize, bytes: usize) -> Result<(), NotRead> {
        if of_kind >= MAX_OBJECTS {
            return Err(NotRead::TooManyOfKind);
        }
        if self.objects == 0 {
            return Err(NotRead::TooMany);
        }
        self.objects -= 1;
        self.bytes = self.bytes.checked_sub(bytes).ok_or(NotRead::TooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::existing::*;

    #[test]
    fn what_a_scan_reads_is_bounded() {
        let mut room = Room { objects: 3, bytes: 10 };
        assert_eq!(room.take(0, 4), Ok(()));
        assert_eq!(room.take(MAX_OBJECTS, 1), Err(NotRead::TooManyOfKind));
        assert_eq!(room.take(1, 7), Err(NotRead::TooLarge));
        assert_eq!(room.take(1, 6), Ok(()));
        assert_eq!(room.take(2, 0), Err(NotRead::TooMany));
    }
}
