use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::time_to_ready;

/// Rollouts that fail without a sign.
///
/// ## What it finds
/// `warning`: `progressDeadlineSeconds` of a Deployment or Rollout is more than an hour, or 2147483647, which means
/// never. There is no finding if the Pods need such a deadline: their probes allow half of it for a start, or
/// `minReadySeconds` requires it.
///
/// ## Why
/// A version that never becomes ready stops a rollout halfway. The deadline turns that into a failure: a condition that
/// alerts can see, and an exit of `kubectl rollout status`. Without a deadline, a pipeline waits until it times out
/// itself, and does not say why.
///
/// ## What to write
/// Nothing: the default is 600. `--fix=unsafe` writes that, or more if the Pods need more: twice the time that the
/// probes allow for a start, or `minReadySeconds` plus 300 seconds.
#[policy(
    on = Kinds, kinds = [Rolling], severity = Warning,
    since = "0.1.0", edits = ["/spec/progressDeadlineSeconds"],
    covers = ["rollout-deadline-infinite"]
)]
pub fn rollout_without_deadline(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/progressDeadlineSeconds");
    let start = time_to_ready(review).map_or(0, |(seconds, ..)| seconds).saturating_mul(2);
    let steady = review.at("/spec/minReadySeconds").as_i64().unwrap_or(0).saturating_add(300);
    let needed = start.max(steady).max(600);
    let Some(seconds) = at.as_i64().filter(|seconds| *seconds > needed.max(3600)) else { return };
    let message = match seconds {
        0x7fff_ffff => format!("progressDeadlineSeconds {seconds} means never: a rollout that hangs never fails"),
        _ => format!("progressDeadlineSeconds {seconds}: a rollout that hangs fails after {} minutes", seconds / 60),
    };
    let help = match needed {
        600 => "remove progressDeadlineSeconds (the default is 600), or write the longest time of a start".to_owned(),
        _ => format!("write progressDeadlineSeconds: {needed}, which the probes or minReadySeconds require"),
    };
    let title = format!("Set progressDeadlineSeconds to {needed}");
    findings.warning(&at, message, help).fix(Fix::changing(title).replace(&at, needed));
}
