use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::revision_label;
use plimsoll_sdk::selector;

/// Pods that must be spread, counted together with those that they replace.
///
/// ## What it finds
/// `warning`: a `topologySpreadConstraints` item of a Deployment or Rollout with `whenUnsatisfiable: DoNotSchedule` and
/// without the label of the revision in `matchLabelKeys` (`pod-template-hash`; of a Rollout `rollouts-pod-template-hash`).
/// It counts the Pods of all revisions. Deployments of type `Recreate`, which never have two, are left out.
///
/// From Kubernetes 1.27 on, where the field has an effect.
///
/// ## Why
/// In an update new Pods are placed where old ones leave room by this count, and these go afterwards: what is left is not
/// spread, and stays so. Where the old Pods lie badly, no new one fits anywhere, and the update hangs.
///
/// ## What to write
/// `--fix=unsafe` writes it; all Pods are replaced, and the scheduler places them by it:
///
/// ```yaml
/// topologySpreadConstraints:
///   - topologyKey: kubernetes.io/hostname
///     maxSkew: 1
///     whenUnsatisfiable: DoNotSchedule
///     labelSelector: {matchLabels: {app: shop}}
///     matchLabelKeys: [pod-template-hash]
/// ```
#[policy(
    on = Kinds, kinds = ["apps/Deployment", "argoproj.io/Rollout"], severity = Warning,
    since = "0.1.0", edits = ["{template}/spec/topologySpreadConstraints/*/matchLabelKeys"],
    covers = ["avail-spread-hash"]
)]
pub fn spread_counts_old_pods(review: &Review, findings: &mut Findings) {
    let Some((template, label)) = review.template().zip(revision_label(review)) else { return };
    let is_too_old = review.kubernetes_version().is_some_and(|version| !version.at_least(1, 27));
    if is_too_old || review.at("/spec/strategy/type").as_str() == Some("Recreate") {
        return;
    }
    for constraint in template.spec().at("/topologySpreadConstraints").items() {
        let selector = constraint.at("/labelSelector");
        let is_own = selector.node().is_some_and(|node| selector::matches(node, template.labels()).is_yes());
        // Whoever selects by the revision counts it already.
        let is_by_hand = selector.at("/matchLabels").key(label).exists()
            || selector.at("/matchExpressions").items().any(|item| item.at("/key").as_str() == Some(label));
        let at = constraint.at("/matchLabelKeys");
        let is_there = at.items().any(|key| key.as_str() == Some(label));
        let is_hard = constraint.at("/whenUnsatisfiable").as_str() == Some("DoNotSchedule");
        let Some(key) = constraint.at("/topologyKey").as_str() else { continue };
        if !is_hard || !is_own || is_by_hand || is_there {
            continue;
        }
        let message =
            format!("the constraint on {key} counts the Pods of old revisions too: updates hang, or end unspread");
        let fix = Fix::changing("count the Pods of one revision").append(&at, label);
        findings.warning(&at, message, format!("write matchLabelKeys: [{label}]")).fix(fix).about(&selector);
    }
}
