use plimsoll_sdk::prelude::*;

/// Argo Rollouts that wait for ever, or leave no way back.
///
/// ## What it finds
/// `warning`, of an Argo Rollout:
///
/// - a step of its canary that pauses without a `duration`;
/// - `progressDeadlineSeconds` without `progressDeadlineAbort: true`;
/// - `scaleDownDelaySeconds` of less than 30, with `blueGreen` or with a canary whose traffic is routed.
///
/// For everything else a Rollout is what a Deployment is to all policies.
///
/// ## Why
/// A pause without an end holds two versions beside each other until somebody remembers to promote it. A Rollout that misses
/// its deadline is marked as degraded and goes on trying, with the broken version beside the good one, until somebody
/// aborts it. And when the old Pods go sooner than every node has heard of the switch, requests still go to them.
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
/// Where a person is meant to promote, ignore this policy for the Rollout.
#[policy(category = "rollout", on = Kinds, kinds = ["argoproj.io/Rollout"], severity = Warning, since = "0.1.0")]
pub fn careless_argo_rollout(review: &Review, findings: &mut Findings) {
    let strategy = review.at("spec/strategy");
    for step in strategy.at("canary/steps").items() {
        // `pause: {}` and `pause:` are the same to the controller; only the step's name says that it is one.
        let is_pause = step.members().any(|(name, _)| name == "pause");
        if is_pause && !step.at("pause/duration").exists() {
            let message = "this pause has no end: two versions run until somebody promotes the Rollout";
            findings.warning(&step.at("pause/duration"), message, "write pause: {duration: 10m}");
        }
    }
    let deadline = review.at("spec/progressDeadlineSeconds");
    let abort = review.at("spec/progressDeadlineAbort");
    if deadline.exists() && abort.as_bool() != Some(true) {
        let message = "a Rollout that misses its deadline is not aborted: the broken version stays beside the good one";
        findings.warning(&abort, message, "write progressDeadlineAbort: true").about(&deadline);
    }
    let routed = strategy.at("canary").at("trafficRouting").exists();
    for (at, counts) in
        [(strategy.at("blueGreen/scaleDownDelaySeconds"), true), (strategy.at("canary/scaleDownDelaySeconds"), routed)]
    {
        if let Some(seconds) = at.as_i64().filter(|seconds| counts && *seconds < 30) {
            let message = format!("the old Pods go {seconds} s after the switch, while nodes still send them requests");
            findings.warning(&at, message, "take scaleDownDelaySeconds out, which means 30, or write more");
        }
    }
}
