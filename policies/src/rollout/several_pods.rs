//! Whether a workload has more than one Pod, by its own size, its autoscalers, or the Rollouts that take its template.

use plimsoll_sdk::autoscaling::{Scalers, maximum};
use plimsoll_sdk::disruption::name;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::{REFERRED, is_handed_over};

/// A number of Pods above one, as a phrase for a message; and whether all autoscalers are known.
pub(crate) fn several(
    review: &Review<'_>,
    scalers: &Scalers,
    kind: Kind<'_>,
    of: &str,
    replicas: Option<i64>,
) -> (Option<String>, bool) {
    if kind == Kind::DAEMON_SET {
        return (Some("there is one Pod on each node".to_owned()), true);
    }
    let own = if is_handed_over(review, kind, of) { 0 } else { replicas.unwrap_or(1) };
    let (mut pods, mut known) = (own, true);
    let mut text = format!("there are {pods} Pods");
    for scaler in Autoscaler::ALL {
        known &= scalers.each(review, scaler, kind, of, &mut |object| {
            let most = maximum(scaler, object);
            if most > pods {
                pods = most;
                text = format!("{} allows {pods} Pods", scaler.describe(object));
            }
        });
    }
    ((pods > 1).then_some(text), known)
}

/// The first Rollout that takes its template from the named workload and has more than one Pod: its name, and the
/// number of Pods as a phrase.
pub(crate) fn taken(review: &Review<'_>, kind: Kind<'_>, of: &str) -> Option<(String, String)> {
    let rollouts = REFERRED.contains(&kind).then(|| review.rollouts_of(kind, of))?;
    let scalers = Scalers::of(review, rollouts.documents.len());
    rollouts.nodes().find_map(|rollout| {
        let replicas = rollout.at("/spec/replicas").and_then(Node::as_i64);
        let (pods, _) = several(review, &scalers, Kind::ROLLOUT, name(rollout), replicas);
        Some((name(rollout).to_owned(), pods?))
    })
}
