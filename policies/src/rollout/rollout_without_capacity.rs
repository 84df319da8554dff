use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{
    DEFAULT, ROLLING, Rollout, autoscaler, describe_count, is_in_place, is_served, own_domains, revision_label,
};
use plimsoll_sdk::sharing::others;
use plimsoll_sdk::volumes::claims;

use crate::rollout::stateful_sets;

/// Rollouts that take down what serves requests.
///
/// ## What it finds
/// Rolling updates of Deployments, and of Argo Rollouts with a canary whose traffic is not routed. `maxSurge` and
/// `maxUnavailable` count as the controller resolves them: of a percentage `maxSurge` is rounded up and `maxUnavailable`
/// down, and where both come to 0 the controller takes one Pod down all the same.
///
/// - `error`: no Pod stays available during an update, and a Service selects the Pods; `info` where none does, or where
///   each such Service also has Pods of another workload, as a canary has beside the stable one. `warning` where there is
///   only one Pod and its author lets it go (`maxUnavailable: 1`, or `maxSurge: 0`), for that is a choice.
/// - `error`: both are 0, with which nothing could be replaced. The API server refuses that.
/// - `error`: `maxUnavailable` of a StatefulSet's update takes every one of two or more Pods down at once.
/// - `info`: nobody wrote either of them, and the defaults of 25% let an update take Pods down (from four replicas), which
///   do not take a port of their node.
///
/// Where a HorizontalPodAutoscaler or a ScaledObject scales the workload, its minimum counts in the place of `replicas`.
/// With `replicas: 0` there is nothing to find, and what the API server refuses for other reasons is passed over.
///
/// It is found whichever object comes last: at the workload, at the selector of the Service, or at the target of the
/// autoscaler. `plimsoll check` says it once for a set.
///
/// A Service that comes last is judged by the first 16 workloads, by name, that it selects, or by fewer where these are large. The
/// others are assumed to be right.
///
/// ## Why
/// The old Pods go before the new ones are ready. With nothing left the Service answers with errors for as long as a Pod
/// takes to start, at every deployment, and for good if the new version does not start. A default of 25% means that a
/// quarter of the capacity is missing during each update, most likely under load.
///
/// ## What to write
/// A new Pod first, then an old one goes:
///
/// ```yaml
/// strategy:
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// That needs room for one more Pod. `--fix=unsafe` writes it. Where a new Pod waits for the place of an old one (a port of
/// the node, or a `podAntiAffinity` that demands a node for each), it writes `maxUnavailable: 1` and `maxSurge: 0` for two or
/// more Pods. For a single Pod it writes nothing then, nor where that Pod mounts a PersistentVolumeClaim. Where neither was written, the webhook
/// (with `mutate` on) does, too.
///
/// ## Assumptions
/// Where not all Services are known, some Service is assumed to select the Pods. Where not all autoscalers are known,
/// none is assumed to scale the workload. Findings are warnings then. Where nobody can tell whether the 25% were written,
/// they are assumed to be. Kubernetes obeys a StatefulSet's `maxUnavailable` in 1.35.0 to 1.35.3 and from 1.37 on. Of 1.35
/// without a patch release it is assumed to.
///
/// ## Order
/// Another workload behind the Service makes this milder. A StatefulSet, DaemonSet, ReplicaSet or ReplicationController that
/// comes last is not judged by it.
#[policy(
    on = Kinds,
    kinds = [
        "apps/Deployment", "apps/StatefulSet", "argoproj.io/Rollout", "/Service", "autoscaling/HorizontalPodAutoscaler",
        "keda.sh/ScaledObject"
    ],
    severity = Error, since = "0.1.0",
    refines = [
        "/Service", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "apps/Deployment",
        "argoproj.io/Rollout", "apps/StatefulSet", "apps/DaemonSet", "apps/ReplicaSet", "/ReplicationController",
        "monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor"
    ],
    edits = [
        "/spec/strategy/rollingUpdate/maxSurge", "/spec/strategy/rollingUpdate/maxUnavailable",
        "/spec/strategy/canary/maxSurge", "/spec/strategy/canary/maxUnavailable",
        "/spec/updateStrategy/rollingUpdate/maxUnavailable"
    ],
    default = Deny(TakesDown), fills_in = Mutate,
    reads = [Workloads, Autoscalers, Services],
    covers = ["rollout-both-zero", "rollout-zero-available"]
)]
pub fn rollout_without_capacity(review: &Review, findings: &mut Findings) {
    if review.is(Kind::STATEFUL_SET) {
        return stateful_sets::none_left(review, findings);
    }
    if last::workloads(review, findings, &ROLLING, rollout_without_capacity) {
        return;
    }
    let Some(rollout) = Rollout::of(review) else { return };
    let Rollout { replicas, max_surge, max_unavailable, .. } = rollout;
    if rollout.is_stuck() {
        let message = "maxSurge 0 and maxUnavailable 0: nothing could ever be replaced, so the API server refuses it";
        let fix = Fix::changing("replace Pods by one more at a time").replace(&rollout.max_surge_at, 1_i64);
        let finding = findings.error(&rollout.max_unavailable_at, message, "write maxSurge: 1");
        finding.fix(fix).about(&rollout.max_surge_at);
        return;
    }
    if replicas == 0 {
        return;
    }
    let autoscaler = autoscaler(review);
    let pods = autoscaler.floor.unwrap_or(replicas);
    // KEDA keeps it at 0.
    if pods == 0 {
        return;
    }
    let posts = rollout.fenceposts(pods);
    let count = describe_count(pods, autoscaler.floor.is_some());
    if posts.min_available(pods) == 0 {
        let taken = match posts.forced {
            true => "both come to 0, so the controller takes 1 down".to_owned(),
            false => format!("an update takes {} down", posts.unavailable),
        };
        let message = format!("{count}, maxSurge {max_surge}, maxUnavailable {max_unavailable}: {taken}, leaving 0");
        // An author who lets the only Pod go has chosen that: the defaults would start a second one first.
        let worst = if pods == 1 { Severity::Warning } else { Severity::Error };
        let is_scale_known = autoscaler.complete || autoscaler.floor.is_some();
        no_capacity(review, &rollout, pods, (worst, message), is_scale_known, findings);
    } else if posts.unavailable > 0 && (max_surge, max_unavailable) == (DEFAULT, DEFAULT) && !is_in_place(review) {
        let left = posts.min_available(pods);
        let message =
            format!("{count}: the default maxUnavailable 25% takes {} down, leaving {left}", posts.unavailable);
        taken_by_default(review, &rollout, message, findings);
    }
}

fn no_capacity(
    review: &Review<'_>,
    rollout: &Rollout<'_>,
    pods: i64,
    (worst, message): (Severity, String),
    is_scale_known: bool,
    findings: &mut Findings,
) {
    let served = is_served(review);
    if served == Knowledge::Unknown {
        findings.assume("some Service selects these Pods");
    }
    if !is_scale_known && served != Knowledge::No {
        findings.assume("no autoscaler scales this workload");
    }
    // Pods of others answer in the meantime.
    let beside = if served == Knowledge::Yes { others(review) } else { None };
    let (severity, message) = match (served, beside) {
        (Knowledge::No, _) => (Severity::Info, format!("{message}; no Service selects these Pods")),
        (_, Some(other)) => (Severity::Info, format!("{message}; the Service still has the Pods of {other}")),
        (Knowledge::Yes, None) if is_scale_known => (worst, message),
        _ => (Severity::Warning, message),
    };
    let (surge_at, unavailable_at) = (&rollout.max_surge_at, &rollout.max_unavailable_at);
    let write =
        |fix: Fix, at: &Cursor<'_>, value: i64| if at.exists() { fix.replace(at, value) } else { fix.add(at, value) };
    let mut finding = |help: &str, fix: Option<Fix>| {
        let finding = findings.report(severity, unavailable_at, message.as_str(), help);
        // Another number of Pods makes nothing worse: none is left of any.
        finding.about(surge_at);
        if let Some(fix) = fix {
            finding.fix(fix);
        }
    };
    // With a surge the new Pod would wait for the place of an old one, and the old one for the new one.
    let mounts = pods == 1 && review.template().is_some_and(|template| claims(template).next().is_some());
    if mounts || is_in_place(review) {
        let help = match own_domains(review).next().and(revision_label(review)) {
            _ if pods > 1 => {
                "write maxUnavailable: 1 and maxSurge: 0, for a new Pod waits for the place of an old one".to_owned()
            }
            _ if mounts => {
                "leave it where an interruption does no harm; else write maxUnavailable: 0 and maxSurge: 1, if \
                            several nodes may mount the volume at once"
                    .to_owned()
            }
            Some(label) => format!(
                "leave it where an interruption does no harm; else write matchLabelKeys: [{label}] in the podAntiAffinity, \
                 maxUnavailable: 0 and maxSurge: 1"
            ),
            None => "leave it where an interruption does no harm; else take the port of the node out, and write \
                     maxUnavailable: 0 and maxSurge: 1"
                .to_owned(),
        };
        let mut fix = write(Fix::changing("replace one Pod at a time"), unavailable_at, 1);
        if !matches!(rollout.max_surge, IntOrPercent::Int(0) | IntOrPercent::Percent(0)) {
            fix = write(fix, surge_at, 0);
        }
        return finding(&help, (pods > 1).then_some(fix));
    }
    let mut fix = write(Fix::changing("start a new Pod before an old one goes"), unavailable_at, 0);
    if matches!(rollout.max_surge, IntOrPercent::Int(0) | IntOrPercent::Percent(0)) {
        fix = write(fix, surge_at, 1);
    }
    finding("write maxUnavailable: 0 and maxSurge: 1, so that a new Pod is ready before an old one goes", Some(fix));
}

fn taken_by_default(review: &Review<'_>, rollout: &Rollout<'_>, message: String, findings: &mut Findings) {
    let places = [&rollout.max_surge_at, &rollout.max_unavailable_at];
    let written = places.map(|at| if at.exists() { review.authored(at) } else { Knowledge::No });
    if written.contains(&Knowledge::Yes) {
        return;
    }
    if written.contains(&Knowledge::Unknown) {
        findings.assume("maxSurge and maxUnavailable of 25% were written");
        return;
    }
    let help = "write maxSurge: 1 and maxUnavailable: 0, or the 25% where that is meant";
    let fix = Fix::changing("start a new Pod before an old one goes");
    let fix = fix.add(&rollout.max_surge_at, 1_i64).add(&rollout.max_unavailable_at, 0_i64);
    let finding = findings.info(&rollout.max_unavailable_at, message, help);
    finding.fix(fix).about(&rollout.max_surge_at).about(&rollout.replicas_at);
}
