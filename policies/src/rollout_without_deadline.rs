use plimsoll_sdk::prelude::*;

/// Rollouts that fail without saying so.
///
/// ## What it finds
/// `warning`: a Deployment or Rollout whose `progressDeadlineSeconds` is more than an hour, or 2147483647, which means
/// never.
///
/// ## Why
/// A version that never becomes ready stops a rollout in the middle. The deadline is what makes that a failure: a condition
/// that alerts see, and the end of `kubectl rollout status`. A pipeline that waits without one waits until it is ended
/// itself, and says nothing of why.
///
/// ## What to write
/// Nothing: it is 600 where it is not written. `--fix` writes that. Where Pods take longer to be ready,
/// `rollout-deadline-too-short` says by how much.
#[policy(
    category = "rollout", on = Kinds, kinds = ["apps/Deployment", "argoproj.io/Rollout"], severity = Warning,
    since = "0.1.0", edits = ["/spec/progressDeadlineSeconds"]
)]
pub fn rollout_without_deadline(review: &Review, findings: &mut Findings) {
    let at = review.at("spec/progressDeadlineSeconds");
    let Some(seconds) = at.as_i64().filter(|seconds| *seconds > 3600) else { return };
    let message = match seconds {
        0x7fff_ffff => "a rollout that hangs never fails".to_owned(),
        _ => format!("a rollout that hangs fails after {seconds} s, {} minutes", seconds / 60),
    };
    let help = "take progressDeadlineSeconds out, which makes it 600, or write what a start takes at most";
    findings.warning(&at, message, help).fix(Fix::safe("let a rollout fail after 10 minutes").replace(&at, 600_i64));
}
