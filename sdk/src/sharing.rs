//! Services that also have Pods of other workloads, such as a canary beside the stable Deployment.

use std::collections::BTreeSet;

use plimsoll_flat::Node;

use crate::cursor::Cursor;
use crate::disruption::name;
use crate::kind::{Kind, long_running};
use crate::owners::is_owned;
use crate::references::is_handed_over;
use crate::review::Review;
use crate::rollout::Rollout;
use crate::services::{Scraped, carries_requests};
use crate::value::Value;
use crate::workload::PodTemplate;

/// Maximum number of different selectors of Services that are checked for one workload. Usually two or three Services
/// select a Pod.
const MAX_SELECTORS: usize = 4;

/// Another workload, as `Deployment web`, that answers while the reviewed workload has no Pod. `None` if a Service that
/// sends requests to the reviewed workload has no Pods of another workload. The other workload must keep Pods during
/// an update.
///
/// Needs `/Service` and the kinds of workloads in `requires` or `refines`.
#[must_use]
pub fn others(review: &Review<'_>) -> Option<String> {
    let (services, referenced) = (review.services(), review.referenced());
    others_of(
        review,
        review.own_kind().get(),
        review.name(),
        review.template().or(referenced.as_ref()),
        services.nodes(),
    )
}

/// The same as [`others`] for the named workload, with the Services that select its Pods.
pub fn others_of<'a>(
    review: &Review<'_>,
    kind: Kind<'_>,
    of: &str,
    template: Option<&PodTemplate<'_>>,
    services: impl Iterator<Item = Node<'a>>,
) -> Option<String> {
    let scraped = Scraped::of_template(review, template);
    let mut selectors = BTreeSet::new();
    for service in services.filter(|service| carries_requests(*service, &scraped)) {
        let labels = Value::copy(service.at("/spec/selector")?)?;
        selectors.insert(Value::object([("matchLabels", labels)]).to_document());
    }
    if selectors.len() > MAX_SELECTORS {
        return None;
    }
    let found: Option<Vec<_>> = selectors.iter().map(|selector| other(review, (kind, of), selector)).collect();
    found?.into_iter().next()
}

/// The first other workload that has Pods which the selector selects.
fn other(review: &Review<'_>, (own_kind, own): (Kind<'_>, &str), selector: &[u8]) -> Option<String> {
    let kinds: Vec<_> = long_running(review).collect();
    let answers = review.selected_by_each(&kinds, selector);
    kinds.iter().zip(&answers).find_map(|(kind, answer)| {
        let counts = |object: &Node<'_>| {
            let is_itself = *kind == own_kind && name(*object) == own;
            let has_pods = keeps_pods(*kind, *object);
            !is_itself && has_pods && !is_owned(review, *kind, *object) && !is_handed_over(review, *kind, name(*object))
        };
        answer.nodes().find(counts).map(|object| format!("{} {}", kind.name(), name(object)))
    })
}

/// Whether a workload has Pods and keeps some of them during an update. A release may update all workloads together.
fn keeps_pods(kind: Kind<'_>, object: Node<'_>) -> bool {
    if object.at("/spec/replicas").and_then(Node::as_i64) == Some(0) {
        return false;
    }
    match Rollout::read(kind, &Cursor::of(object)) {
        Some(rollout) => rollout.fenceposts(rollout.replicas).min_available(rollout.replicas) > 0,
        None => object.at("/spec/strategy/type").and_then(Node::as_str) != Some("Recreate"),
    }
}
