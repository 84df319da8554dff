use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{is_in_place, is_served};
use plimsoll_sdk::sharing::others;
use plimsoll_sdk::volumes::{Access, claims};

/// Deployments that end all Pods before they start new ones.
///
/// ## What it finds
/// `warning`: a Deployment of type `Recreate` with a Service that selects its Pods and is not for metrics alone. One that mounts a
/// PersistentVolumeClaim is left out, unless all of its claims are known and shared (`ReadWriteMany`, `ReadOnlyMany`): the
/// volume must be let go before the next Pod can have it. So is one where each such Service also has Pods of another workload.
///
/// It is found whichever object comes last: at the Deployment, at the selector of the Service, or at the claim.
/// `plimsoll check` says it once for a set.
///
/// A Service or claim that comes last is judged by the first 16 workloads, by name, that it bears on, or by fewer where these are large. The
/// others are assumed to be right.
///
/// ## Why
/// Between the last old Pod and the first new one that is ready the Service has nobody to send requests to, at every
/// deployment, and for good if the new version does not start.
///
/// ## What to write
/// ```yaml
/// strategy:
///   type: RollingUpdate
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// Both versions then run at the same time, for which a change of a database has to be made in two steps. `--fix=unsafe`
/// writes it. Where a new Pod waits for the place of an old one (a port of the node, or a `podAntiAffinity` that demands a
/// node for each), it writes `maxSurge: 0` and `maxUnavailable: 1`. A single such Pod is no finding.
///
/// ## Assumptions
/// Where not all Services are known, some Service is assumed to select the Pods. Where a claim is not known, it is assumed
/// to be for one node.
///
/// ## Order
/// Another workload behind the Service makes this milder. A StatefulSet, DaemonSet, ReplicaSet, ReplicationController or
/// Rollout that comes last is not judged by it.
#[policy(
    on = Kinds, kinds = ["apps/Deployment", "/Service", "/PersistentVolumeClaim"],
    severity = Warning, since = "0.1.0",
    refines = [
        "/Service", "/PersistentVolumeClaim", "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet",
        "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor"
    ],
    edits = ["/spec/strategy/type", "/spec/strategy/rollingUpdate"],
    reads = [Workloads, Services, Storage],
    covers = ["rollout-strategy-recreate: the fix is not made where the Pods take a port of their node"]
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
            None => return findings.assume("a PersistentVolumeClaim that is not known is for one node"),
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
    // A single Pod has to go before the next one has its place, whatever the strategy.
    if is_in_place && replicas < 2 {
        return;
    }
    let message = "Recreate ends all Pods before it starts new ones: the Service has no Pod to send requests to";
    let (help, surge, title) = match is_in_place {
        true => (
            "write type: RollingUpdate and rollingUpdate: {maxSurge: 0, maxUnavailable: 1}",
            0,
            "replace one Pod at a time",
        ),
        false => {
            let title = "start a new Pod before an old one goes";
            ("write type: RollingUpdate and rollingUpdate: {maxSurge: 1, maxUnavailable: 0}", 1, title)
        }
    };
    let finding = findings.warning(&at, message, help);
    let parameters = Value::object([("maxSurge", Value::Int(surge)), ("maxUnavailable", Value::Int(1 - surge))]);
    let fix = Fix::changing(title).replace(&at, "RollingUpdate");
    finding.fix(fix.add(&review.at("/spec/strategy/rollingUpdate"), parameters));
}
