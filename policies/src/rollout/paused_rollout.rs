use plimsoll_sdk::prelude::*;

/// Manifests of rollouts that never start.
///
/// ## What it finds
/// `warning`: the author of a Deployment or Rollout wrote `paused: true`. A pause by `kubectl rollout pause` is not in
/// a manifest, and is no finding.
///
/// ## Why
/// The field was added for a test and then committed. Since then every deployment is accepted and changes the template,
/// but starts no Pod. `kubectl rollout status` waits forever.
///
/// ## What to write
/// Nothing; `--fix=unsafe` removes the field. To pause a rollout for a moment:
///
/// ```sh
/// kubectl rollout pause deployment/shop
/// kubectl rollout resume deployment/shop
/// ```
///
/// ## Assumptions
/// If it is unknown whether the manifest contains the field, the policy assumes that it does not.
#[policy(
    on = Kinds, kinds = [Rolling], severity = Warning,
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
        Knowledge::Unknown => return findings.assume("the author of the manifest did not write paused"),
        Knowledge::Yes => {}
    }
    let message = "paused is true: a change of the pod template is not rolled out";
    findings.warning(&at, message, "remove paused").fix(Fix::changing("Remove paused").remove(&at));
}
