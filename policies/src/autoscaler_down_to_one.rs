use plimsoll_sdk::disruption::AUTOSCALERS;
use plimsoll_sdk::owners::is_owned_by;
use plimsoll_sdk::prelude::*;

/// Autoscalers that leave a single Pod.
///
/// ## What it finds
/// `warning`: a HorizontalPodAutoscaler with `minReplicas: 1`, which it also is where nobody wrote it. What KEDA scales to
/// nothing, and wakes at the next message, is meant so and left out.
///
/// ## Why
/// Whenever it is quiet one Pod is left. A node that fails, a drain or a rollout that goes wrong is then an outage, at night,
/// of something that has ten Pods by day. A PodDisruptionBudget can't help: of one Pod it either keeps none or blocks the
/// drain.
///
/// ## What to write
/// `--fix=unsafe` writes it:
///
/// ```yaml
/// spec:
///   minReplicas: 2
/// ```
#[policy(
    category = "autoscaling", on = Kinds, kinds = ["autoscaling/HorizontalPodAutoscaler"], severity = Warning,
    since = "0.1.0", refines = ["keda.sh/ScaledObject"], edits = ["/spec/minReplicas"]
)]
pub fn autoscaler_down_to_one(review: &Review, findings: &mut Findings) {
    let at = review.at("spec/minReplicas");
    let is_one = at.is_absent() || at.as_i64() == Some(1);
    let most = review.at("spec/maxReplicas").as_i64();
    if !is_one || review.object().node().is_some_and(|object| is_owned_by(review, AUTOSCALERS[1], object)) {
        return;
    }
    // Where one is all that there is at most, `autoscaler-without-room` has to be mended first.
    let has_room = most.is_some_and(|most| most > 1);
    let help = match has_room {
        true => "write minReplicas: 2, or more",
        false => "write minReplicas: 2 and maxReplicas: 3, or more",
    };
    let finding = findings.warning(&at, "the autoscaler may leave a single Pod, whose loss is an outage", help);
    if has_room {
        let fix = Fix::changing("keep two Pods");
        finding.fix(if at.exists() { fix.replace(&at, 2_i64) } else { fix.add(&at, 2_i64) });
    }
}
