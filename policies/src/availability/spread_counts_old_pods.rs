use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::revision_label;
use plimsoll_sdk::selector;

/// Required spread constraints that count the Pods of old revisions too.
///
/// ## What it finds
/// `warning`: a `topologySpreadConstraints` item of a Deployment or Rollout with `whenUnsatisfiable: DoNotSchedule`,
/// but without the revision label in `matchLabelKeys`. This label is `pod-template-hash`, and for a Rollout
/// `rollouts-pod-template-hash`. Such a constraint counts the Pods of all revisions. The policy skips Deployments of
/// type `Recreate`, which never have two revisions.
///
/// The policy applies from Kubernetes 1.27, because `matchLabelKeys` has no effect before.
///
/// ## Why
/// During an update, the scheduler places new Pods where the old Pods leave room by this count. The old Pods go
/// afterwards. The remaining Pods are not spread, and stay so. If the old Pods are badly spread, no new Pod fits
/// anywhere, and the update hangs.
///
/// ## What to write
/// `--fix=unsafe` writes the revision label. The change replaces all Pods, and the scheduler places them by the new
/// constraint:
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
    on = Kinds, kinds = [Rolling], severity = Warning,
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
        // A selector with the revision label already counts one revision only.
        let is_by_hand = selector.at("/matchLabels").key(label).exists()
            || selector.at("/matchExpressions").items().any(|item| item.at("/key").as_str() == Some(label));
        let at = constraint.at("/matchLabelKeys");
        let is_there = at.items().any(|key| key.as_str() == Some(label));
        let is_hard = constraint.at("/whenUnsatisfiable").as_str() == Some("DoNotSchedule");
        let Some(key) = constraint.at("/topologyKey").as_str() else { continue };
        if !is_hard || !is_own || is_by_hand || is_there {
            continue;
        }
        let message = format!(
            "the constraint on {key} also counts Pods of old revisions: updates hang, or leave Pods badly spread"
        );
        let fix = Fix::changing(format!("Add {label} to matchLabelKeys")).append(&at, label);
        findings.warning(&at, message, format!("write matchLabelKeys: [{label}]")).fix(fix).about(&selector);
    }
}
