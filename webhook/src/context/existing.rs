//! Everything that exists of some kinds, read once: for a scan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use plimsoll_flat::Node;
use serde_json::Value;
use tokio::time::timeout;

use super::is_secret;
use super::question::Shape;
use super::served::{Resource, discover, reason};

/// Objects that are asked for at once.
const PAGE: u32 = 500;

/// A page that takes longer does not come.
const PAGE_TIME: Duration = Duration::from_secs(60);

/// Between two pages a list can become too old to go on with. So often it is begun.
const ATTEMPTS: usize = 3;

/// What exists.
#[derive(Debug, Default)]
pub struct Existing {
    /// By `group/Kind`, each with `apiVersion`, `kind` and status. A kind that is not served has none.
    pub kinds: BTreeMap<String, Vec<Value>>,
    /// What could not be read, and why.
    pub unread: BTreeMap<String, String>,
}

/// Reads all objects of these kinds, kind by kind; `told` hears of each with the number of its objects. Secrets are never
/// read.
pub async fn read(client: &Client, kinds: &BTreeSet<String>, mut told: impl FnMut(&str, usize)) -> Existing {
    let kinds = kinds.iter().filter(|kind| !is_secret(kind)).cloned().collect();
    let mut existing = Existing::default();
    for (kind, served) in discover(client, &kinds).await {
        let objects = match served {
            Ok(Some(resource)) => all(client, &resource).await,
            Ok(None) => Ok(Vec::new()),
            Err(why) => Err(why),
        };
        match objects {
            Ok(objects) => {
                told(&kind, objects.len());
                existing.kinds.insert(kind, objects);
            }
            Err(why) => drop(existing.unread.insert(kind, why)),
        }
    }
    existing
}

async fn all(client: &Client, resource: &Resource) -> Result<Vec<Value>, String> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        match pages(client, resource).await {
            Ok(objects) => return Ok(objects),
            Err(Some(kube::Error::Api(status))) if status.code == 410 => failure = status.message.clone(),
            Err(Some(error)) => return Err(reason(&error)),
            Err(None) => failure = "a list does not come".to_owned(),
        }
    }
    Err(failure)
}

/// None as an error where a page took too long.
async fn pages(client: &Client, resource: &Resource) -> Result<Vec<Value>, Option<kube::Error>> {
    let mut parameters = ListParams::default().limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = timeout(PAGE_TIME, resource.list(client, None, &parameters)).await.map_err(|_| None)?;
        let page = page.map_err(Some)?;
        // They are judged themselves, all of them.
        let keeping = resource.keeping(Shape { kind: "", template: None }, None).with_status();
        let kept = |object: &Value| serde_json::to_value(Node::root(&keeping.keep(object)?.document).ok()?).ok();
        objects.extend(page.items.into_iter().flatten().filter_map(|object| kept(&object)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters = parameters.continue_token(&token),
            None => return Ok(objects),
        }
    }
}
