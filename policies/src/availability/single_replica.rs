use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::is_reviewed_handed_over;
use plimsoll_sdk::services::{Scraped, carries_requests};
use plimsoll_sdk::sharing::others;

/// Services that depend on a single Pod.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout with one replica, if a Service
/// selects its Pods. One replica is also the default. The policy is on in profile `strict`, or if a PolicySet lists it.
/// It finds nothing in these cases:
///
/// - a HorizontalPodAutoscaler or ScaledObject scales the workload;
/// - the Service is for metrics only;
/// - each such Service also has Pods of another workload.
///
/// The policy reports the problem at the object that is applied last: the workload, or the Service at its selector.
/// `plimsoll check` reports it once for a set.
///
/// For a Service that comes last, the policy checks the first 16 workloads, by name, that the Service selects. It
/// checks fewer if these are large. It assumes that the others are right.
///
/// ## Why
/// While that Pod is moved, replaced or broken, no Pod answers.
///
/// ## What to write
/// `--fix=unsafe` writes two replicas, if the Pods mount no PersistentVolumeClaim and no autoscaler can exist:
///
/// ```yaml
/// spec:
///   replicas: 2
/// ```
///
/// ## Assumptions
/// If the Services or the autoscalers are not all known, the policy judges nothing.
///
/// ## Order
/// Another workload behind the Service only removes the finding. So the policy does not judge the workload again when a
/// DaemonSet is applied after it.
#[policy(
    on = Kinds,
    kinds = [Scalable, "/Service"],
    severity = Warning, since = "0.1.0", requires = ["/Service", "autoscaling/HorizontalPodAutoscaler"],
    refines = [LongRunning, Monitors, "keda.sh/ScaledObject"],
    edits = ["/spec/replicas"],
    profile = Strict,
    reads = [Workloads, Autoscalers, Services],
    covers = ["avail-replicas-min"]
)]
pub fn single_replica(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &SCALABLE, single_replica) {
        return;
    }
    let at = review.at("/spec/replicas");
    let is_one = at.is_absent() || at.as_i64() == Some(1);
    let Some(template) = review.template().filter(|_| is_one) else { return };
    let [hpas, scaled] = Autoscaler::ALL.map(|scaler| review.scaled_by(scaler));
    let is_scaled = hpas.nodes().chain(scaled.nodes()).next().is_some();
    if is_scaled || is_reviewed_owned(review) || is_reviewed_handed_over(review) {
        return;
    }
    let services = review.services();
    let scraped = Scraped::of(review);
    let mut serving = services.nodes().filter(|service| carries_requests(*service, &scraped));
    let Some(service) = serving.find_map(|service| service.at("/metadata/name").and_then(Node::as_str)) else {
        if !services.complete {
            findings.skip("not all Services of the namespace are known");
        }
        return;
    };
    if !hpas.complete {
        return findings.skip("not all autoscalers of the namespace are known");
    }
    if others(review).is_some() {
        return;
    }
    let message = format!("replicas is 1, and Service {service} has no other Pods: the loss of this Pod is an outage");
    let has_claim = template.spec().at("/volumes").items().any(|volume| volume.at("/persistentVolumeClaim").exists());
    let help = match has_claim {
        true => "run two Pods, with a ReadWriteMany claim or as a StatefulSet with volumeClaimTemplates",
        false => "write replicas: 2, or more",
    };
    let finding = findings.warning(&at, message, help);
    if !has_claim {
        let fix = Fix::changing("Set replicas to 2");
        finding.fix(if at.exists() { fix.replace(&at, 2_i64) } else { fix.add(&at, 2_i64) });
    }
}
