use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets that block the eviction of unhealthy Pods.
///
/// ## What it finds
/// `info`: a PodDisruptionBudget without `unhealthyPodEvictionPolicy`. The default is `IfHealthyBudget`. A running Pod
/// that is not ready may then be evicted only while as many other Pods are healthy as the budget requires. Nearly all
/// budgets are like this, so the policy only records it. It accepts a written `IfHealthyBudget`, because the author
/// meant it.
///
/// The policy applies from Kubernetes 1.27, because the field has no effect before.
///
/// ## Why
/// An application that crashes has no healthy Pods. An eviction would do no harm, but the budget blocks it. A drain
/// then waits until a user repairs the application.
///
/// ## What to write
/// `--fix=unsafe` writes `AlwaysAllow`. The fix is unsafe because a Pod that is only catching up with the others may
/// then be evicted too:
///
/// ```yaml
/// spec:
///   unhealthyPodEvictionPolicy: AlwaysAllow
/// ```
#[policy(
    on = Kinds, kinds = ["policy/PodDisruptionBudget"], severity = Info, since = "0.1.0",
    edits = ["/spec/unhealthyPodEvictionPolicy"],
    covers = ["avail-pdb-unhealthy-policy"]
)]
pub fn unhealthy_pods_block_drains(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/unhealthyPodEvictionPolicy");
    if !at.is_absent() || review.kubernetes_version().is_some_and(|version| !version.at_least(1, 27)) {
        return;
    }
    let message = "unhealthyPodEvictionPolicy is not set: Pods that are not ready can't be evicted while too few are \
                   ready, so a broken application blocks drains";
    let fix = Fix::changing("Set unhealthyPodEvictionPolicy to AlwaysAllow").add(&at, "AlwaysAllow");
    findings.info(&at, message, "write unhealthyPodEvictionPolicy: AlwaysAllow").fix(fix);
}
