use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{is_in_place, is_served};
use plimsoll_sdk::sharing::others;
use plimsoll_sdk::volumes::{Access, claims};

/// Deployments that stop all Pods before they start new ones.
///
/// ## What it finds
/// `warning`: a Deployment of type `Recreate` has a Service that selects its Pods and is not only for metrics. The
/// policy skips these Deployments:
///
/// - A Deployment that mounts a PersistentVolumeClaim, because the old Pod must release the volume before the next Pod
///   can mount it. This exception does not apply if all claims are known and shared (`ReadWriteMany`, `ReadOnlyMany`).
/// - A Deployment whose Services all have Pods of another workload too.
///
/// The finding appears at the object that is applied last: the Deployment, the selector of the Service, or the claim.
/// `plimsoll check` reports it once for a set.
///
/// If a Service or a claim is applied last, the policy looks at the first 16 workloads, by name, that it affects. It
/// looks at fewer if these are large, and assumes that the others are correct.
///
/// ## Why
/// At every deployment the Service has no Pod to send requests to, until the first new Pod is ready. If the new version
/// does not start, the outage does not end.
///
/// ## What to write
/// ```yaml
/// strategy:
///   type: RollingUpdate
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// Both versions then run at the same time, so a change of the database schema needs two steps. `--fix=unsafe` writes
/// it. If a new Pod waits for the place of an old one, the fix writes `maxSurge: 0` and `maxUnavailable: 1`. This is so
/// with a port of the node, or with a `podAntiAffinity` that demands a separate node for each Pod. A single such Pod is
/// no finding.
///
/// ## Assumptions
/// If not all Services are known, the policy assumes that some Service selects the Pods. It assumes that an unknown
/// claim is for one node.
///
/// ## Order
/// Another workload behind the Service only removes the finding. So the policy does not judge the Deployment again when
/// a StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Rollout is applied after it.
#[policy(
    on = Kinds, kinds = ["apps/Deployment", "/Service", "/PersistentVolumeClaim"],
    severity = Warning, since = "0.1.0",
    refines = [LongRunning, Monitors, "/Service", "/PersistentVolumeClaim"],
    edits = ["/spec/strategy/type", "/spec/strategy/rollingUpdate"],
    reads = [Workloads, Services, Storage],
    covers = ["rollout-strategy-recreate: not a single Pod that uses a port of its node"]
)]
pub fn rollout_by_recreate(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &[Kind::DEPLOYMENT], rollout_by_recreate) {
        return;
    }
    let at = review.at("/spec/strategy/type");
    if at.as_str() != Some("Recreate") {
        return;
    }
    for claim in review.template().into_iter().flat_map(claims) {
        match claim.access(review) {
            Some(Access::Many) => {}
            Some(Access::OneNode | Access::OnePod) => return,
            None => return findings.assume("an unknown PersistentVolumeClaim is for one node"),
        }
    }
    match is_served(review) {
        Knowledge::No => return,
        Knowledge::Unknown => findings.assume("some Service selects these Pods"),
        Knowledge::Yes if others(review).is_some() => return,
        Knowledge::Yes => {}
    }
    let is_in_place = is_in_place(review);
    let replicas = review.at("/spec/replicas").as_i64().unwrap_or(1);
    // A single Pod must stop before the next one has a place, whatever the strategy.
    if is_in_place && replicas < 2 {
        return;
    }
    let message =
        "strategy.type Recreate stops all Pods before new ones start: the Service has no Pod to send requests to";
    let (help, surge, title) = match is_in_place {
        true => (
            "write type: RollingUpdate and rollingUpdate: {maxSurge: 0, maxUnavailable: 1}",
            0,
            "Set type to RollingUpdate, with maxSurge 0 and maxUnavailable 1",
        ),
        false => {
            let title = "Set type to RollingUpdate, with maxSurge 1 and maxUnavailable 0";
            ("write type: RollingUpdate and rollingUpdate: {maxSurge: 1, maxUnavailable: 0}", 1, title)
        }
    };
    let finding = findings.warning(&at, message, help);
    let parameters = Value::object([("maxSurge", Value::Int(surge)), ("maxUnavailable", Value::Int(1 - surge))]);
    let fix = Fix::changing(title).replace(&at, "RollingUpdate");
    finding.fix(fix.add(&review.at("/spec/strategy/rollingUpdate"), parameters));
}
