use plimsoll_sdk::prelude::*;

/// Manifests of rollouts that never start.
///
/// ## What it finds
/// `warning`: a Deployment or Rollout whose author wrote `paused: true`. `kubectl rollout pause` is nobody's manifest.
///
/// ## Why
/// It was written to try something and then committed. Since then every deployment is accepted, changes the template, and
/// starts no Pod; `kubectl rollout status` waits for its end.
///
/// ## What to write
/// Nothing; `--fix=unsafe` takes it out. To hold a rollout for a moment:
///
/// ```sh
/// kubectl rollout pause deployment/shop
/// kubectl rollout resume deployment/shop
/// ```
///
/// ## Assumptions
/// Where nobody can tell whether it was written, it was not.
#[policy(
    on = Kinds, kinds = ["apps/Deployment", "argoproj.io/Rollout"], severity = Warning,
    since = "0.1.0", edits = ["/spec/paused"],
    covers = ["rollout-paused"]
)]
pub fn paused_rollout(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/paused");
    if at.as_bool() != Some(true) {
        return;
    }
    match review.authored(&at) {
        Knowledge::No => return,
        Knowledge::Unknown => return findings.assume("paused was not written"),
        Knowledge::Yes => {}
    }
    let message = "paused: true, so a change of the pod template is not rolled out";
    findings.warning(&at, message, "take paused out").fix(Fix::changing("let rollouts go on").remove(&at));
}
