use plimsoll_sdk::disruption::name;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::{REFERRED, scales_down, workload_ref};

/// Argo Rollouts that wait forever, or that leave no way back.
///
/// ## What it finds
/// `warning`, for an Argo Rollout:
///
/// - A canary step pauses without a `duration`.
/// - `progressDeadlineSeconds` is set without `progressDeadlineAbort: true`.
/// - `scaleDownDelaySeconds` is less than 30, with `blueGreen` or with a canary that has traffic routing.
/// - A `workloadRef` points to a Deployment that keeps its own Pods: it has `replicas`, and `scaleDown` is `never` (the
///   default). The finding appears at the object that is applied last.
/// - A `workloadRef` points to a Deployment or ReplicaSet that does not exist, or to a kind that Argo Rollouts takes no
///   template from.
///
/// In all other respects, every policy treats a Rollout like a Deployment.
///
/// If other Deployments may exist that are not known, the policy reports no missing reference. It never reports a
/// missing PodTemplate.
///
/// ## Why
/// A pause without an end keeps two versions running until a person promotes the Rollout. A Rollout that misses its
/// deadline is marked as degraded and keeps trying. The broken version stays beside the good one until a person aborts
/// the Rollout.
///
/// A Deployment that keeps running beside its Rollout has Pods with the same labels. Services send requests to them,
/// and budgets and autoscalers count them. Without a template the controller marks the Rollout as invalid and creates
/// no Pods.
///
/// If the old Pods stop before every node knows about the switch, they still receive requests.
///
/// ## What to write
/// ```yaml
/// spec:
///   progressDeadlineAbort: true
///   strategy:
///     canary:
///       steps:
///         - setWeight: 20
///         - pause: {duration: 10m}
/// ```
///
/// If a person is meant to promote the Rollout, ignore this policy for it.
#[policy(
    on = Kinds, kinds = [Rolling], severity = Warning,
    since = "0.1.0", refines = [Rolling, "apps/ReplicaSet"],
    reads = [Workloads],
    covers = ["argo-rollout-basics"]
)]
pub fn careless_argo_rollout(review: &Review, findings: &mut Findings) {
    if review.is(Kind::DEPLOYMENT) {
        return of_deployment(review, findings);
    }
    without_template(review, findings);
    beside_deployment(review, findings);
    let strategy = review.at("/spec/strategy");
    for step in strategy.at("/canary/steps").items() {
        // The controller treats `pause: {}` and `pause:` the same, so only the name of the step counts.
        let is_pause = step.members().any(|(name, _)| name == "pause");
        if is_pause && !step.at("/pause/duration").exists() {
            let message = "pause has no duration: two versions run until a user promotes the Rollout";
            findings.warning(&step.at("/pause/duration"), message, "write pause: {duration: 10m}");
        }
    }
    let deadline = review.at("/spec/progressDeadlineSeconds");
    let abort = review.at("/spec/progressDeadlineAbort");
    if deadline.exists() && abort.as_bool() != Some(true) {
        let message =
            "progressDeadlineAbort is not true: after the deadline, the broken version stays beside the good one";
        findings.warning(&abort, message, "write progressDeadlineAbort: true").about(&deadline);
    }
    let routed = strategy.at("/canary").at("/trafficRouting").exists();
    for (at, counts) in [
        (strategy.at("/blueGreen/scaleDownDelaySeconds"), true),
        (strategy.at("/canary/scaleDownDelaySeconds"), routed),
    ] {
        if let Some(seconds) = at.as_i64().filter(|seconds| counts && *seconds < 30) {
            let message =
                format!("scaleDownDelaySeconds is {seconds}: the old Pods stop while nodes still send them requests");
            findings.warning(&at, message, "remove scaleDownDelaySeconds (the default is 30), or write at least 30");
        }
    }
}

const POD_TEMPLATE: Kind<'static> = Kind::new("/PodTemplate");

/// The controller can't resolve the reference, marks the Rollout as invalid, and does nothing more for it
/// (`rollout/templateref.go` of Argo Rollouts).
fn without_template(review: &Review<'_>, findings: &mut Findings) {
    let Some((kind, of)) = review.object().node().and_then(|object| workload_ref(Kind::ROLLOUT, object)) else {
        return;
    };
    let at = review.at("/spec/workloadRef");
    let what = kind.name();
    if !REFERRED.contains(&kind.get()) && kind != POD_TEMPLATE {
        let message =
            format!("a Rollout takes no template from {:?}: the controller creates no Pods", kind.get().as_str());
        let help = "refer to a Deployment or ReplicaSet (apps/v1), or a PodTemplate (v1)";
        findings.warning(&at.at("/kind"), message, help).about(&at.at("/apiVersion"));
        return;
    }
    // The host shows no PodTemplates to policies.
    let answer = review.resolve(kind.get(), of);
    if kind != POD_TEMPLATE && answer.complete && answer.documents.is_empty() {
        let message = format!(
            "workloadRef names {what} {of}, which this namespace does not have: the controller creates no Pods"
        );
        let help = format!("write the name of a {what} of this namespace, or write template instead of workloadRef");
        findings.warning(&at.at("/name"), message, help).about(&at.at("/kind")).companion();
    }
}

fn beside_deployment(review: &Review<'_>, findings: &mut Findings) {
    let Some(object) = review.object().node().filter(|object| !scales_down(*object)) else { return };
    let Some((_, of)) = workload_ref(Kind::ROLLOUT, object).filter(|(kind, _)| *kind == Kind::DEPLOYMENT) else {
        return;
    };
    let answer = review.get(Kind::DEPLOYMENT, of);
    let replicas = answer.nodes().next().map(|object| object.at("/spec/replicas").and_then(Node::as_i64).unwrap_or(1));
    let Some(pods @ 1..) = replicas else { return };
    let at = review.at("/spec/workloadRef/scaleDown");
    let message = format!("Deployment {of} keeps {} of its own beside the Pods of this Rollout: {HARM}", count(pods));
    let help = format!("write scaleDown: onsuccess, or replicas: 0 in Deployment {of}");
    findings.warning(&at, message, help).about(&review.at("/spec/workloadRef/name"));
}

fn of_deployment(review: &Review<'_>, findings: &mut Findings) {
    let at = review.at("/spec/replicas");
    let pods = at.as_i64().unwrap_or(1);
    let rollouts = review.rollouts_of(Kind::DEPLOYMENT, review.name());
    let Some(rollout) = rollouts.nodes().find(|rollout| pods > 0 && !scales_down(*rollout)) else { return };
    let of = name(rollout);
    let message = format!("{} beside the Pods of Rollout {of}, which uses this template: {HARM}", count(pods));
    let help = format!("write replicas: 0, or workloadRef.scaleDown: onsuccess in Rollout {of}");
    findings.warning(&at, message, help).related(format!("Rollout/{of}"));
}

const HARM: &str = "both have the same labels, so Services, budgets and autoscalers count both";

fn count(pods: i64) -> String {
    if pods == 1 { "1 Pod".to_owned() } else { format!("{pods} Pods") }
}
