use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::time_to_ready;

/// Rollouts that fail without saying so.
///
/// ## What it finds
/// `warning`: a Deployment or Rollout whose `progressDeadlineSeconds` is more than an hour, or 2147483647, which means
/// never. There is none where the probes allow the Pods half of that time to start, or `minReadySeconds` asks for it.
///
/// ## Why
/// A version that never becomes ready stops a rollout in the middle. The deadline is what makes that a failure: a condition
/// that alerts see, and the end of `kubectl rollout status`. A pipeline that waits without one waits until it is ended
/// itself, and says nothing of why.
///
/// ## What to write
/// Nothing: it is 600 where it is not written. `--fix=unsafe` writes that, or twice what the probes allow the Pods to start,
/// where that is more.
#[policy(
    on = Kinds, kinds = ["apps/Deployment", "argoproj.io/Rollout"], severity = Warning,
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
        0x7fff_ffff => "a rollout that hangs never fails".to_owned(),
        _ => format!("a rollout that hangs fails after {seconds} s, {} minutes", seconds / 60),
    };
    let help = match needed {
        600 => "take progressDeadlineSeconds out, which makes it 600, or write what a start takes at most".to_owned(),
        _ => format!("write progressDeadlineSeconds: {needed}, twice what the probes allow for a start"),
    };
    let title = format!("let a rollout fail after {} minutes", needed.saturating_add(59) / 60);
    findings.warning(&at, message, help).fix(Fix::changing(title).replace(&at, needed));
}
