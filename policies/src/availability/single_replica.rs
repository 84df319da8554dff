use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::is_reviewed_handed_over;
use plimsoll_sdk::services::{Scraped, carries_requests};
use plimsoll_sdk::sharing::others;

/// Services that stand on a single Pod.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout with one replica, which it also has
/// where nobody wrote it, whose Pods a Service selects (not for metrics alone) and which no HorizontalPodAutoscaler or ScaledObject scales. Nothing is
/// found where each such Service also has Pods of another workload. It is on
/// in profile `strict`, or where a PolicySet lists it.
///
/// It is found whichever object comes last: at the workload, or at the selector of the Service. `plimsoll check` says
/// it once for a set.
///
/// A Service that comes last is judged by the first 16 workloads, by name, that it selects, or by fewer where these are large. The
/// others are assumed to be right.
///
/// ## Why
/// While that Pod is moved, replaced or broken nothing answers.
///
/// ## What to write
/// `--fix=unsafe` writes it, where the Pods mount no PersistentVolumeClaim and no autoscaler may exist:
///
/// ```yaml
/// spec:
///   replicas: 2
/// ```
///
/// ## Assumptions
/// Where the Services or the autoscalers are not all known, nothing is judged.
///
/// ## Order
/// Another workload behind the Service makes this milder. A DaemonSet that comes last is not judged by it.
#[policy(
    on = Kinds,
    kinds = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "/Service"
    ],
    severity = Warning, since = "0.1.0", requires = ["/Service", "autoscaling/HorizontalPodAutoscaler"],
    refines = [
        "keda.sh/ScaledObject", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController",
        "argoproj.io/Rollout", "apps/DaemonSet",
        "monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor"
    ],
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
            findings.skip("the Services of the namespace are not all known");
        }
        return;
    };
    if !hpas.complete {
        return findings.skip("the autoscalers of the namespace are not all known");
    }
    if others(review).is_some() {
        return;
    }
    let message = format!("Service {service} has a single Pod, whose loss is an outage");
    let has_claim = template.spec().at("/volumes").items().any(|volume| volume.at("/persistentVolumeClaim").exists());
    let help = match has_claim {
        true => {
            "run two Pods: with a claim that several nodes can mount (ReadWriteMany), or as a StatefulSet with one for each"
        }
        false => "write replicas: 2, or more",
    };
    let finding = findings.warning(&at, message, help);
    if !has_claim {
        let fix = Fix::changing("run two Pods");
        finding.fix(if at.exists() { fix.replace(&at, 2_i64) } else { fix.add(&at, 2_i64) });
    }
}
