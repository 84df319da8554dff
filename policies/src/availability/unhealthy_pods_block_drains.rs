use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets that keep Pods which are not healthy.
///
/// ## What it finds
/// `info`: a PodDisruptionBudget that says nothing in `unhealthyPodEvictionPolicy`. It then means `IfHealthyBudget`: a
/// Pod that runs and is not ready may only be evicted while as many others are healthy as the budget asks for. Nearly all
/// budgets are like that, so it is recorded and not warned of. An author who wrote `IfHealthyBudget` meant it.
///
/// From Kubernetes 1.27 on, where the field has an effect.
///
/// ## Why
/// An application that crashes has no healthy Pods. Nothing would be lost if they moved, but the budget keeps them where
/// they are, and a drain waits for somebody to mend the application first.
///
/// ## What to write
/// `--fix=unsafe` writes it, for a Pod that only catches up with the others may then be evicted, too:
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
    let message = "Pods that are not ready may not be evicted while too few are: a broken application blocks drains";
    let fix = Fix::changing("let Pods go that are not ready").add(&at, "AlwaysAllow");
    findings.info(&at, message, "write unhealthyPodEvictionPolicy: AlwaysAllow").fix(fix);
}
