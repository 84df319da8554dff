use plimsoll_sdk::prelude::*;

/// HorizontalPodAutoscalers that would remove every Pod.
///
/// ## What it finds
/// `error`, over files: a HorizontalPodAutoscaler has `minReplicas: 0`, and one of these is true:
///
/// - It has no metric of type `Object` or `External`. Without Pods the other metrics have nothing to measure, so
///   nothing would ever start a Pod again.
/// - The version of Kubernetes is below 1.37. There the feature `HPAScaleToZero` is off by default.
///
/// In a cluster the API server itself reports this. A ScaledObject of KEDA may scale to zero, because KEDA itself reads
/// the metric then.
///
/// ## Why
/// The API server rejects the object when it is applied.
///
/// ## What to write
/// `--fix=unsafe` writes 1. The page of `autoscaler-down-to-one` says why two are better:
///
/// ```yaml
/// spec:
///   minReplicas: 2
/// ```
///
/// ## Assumptions
/// The policy assumes that the feature is off before Kubernetes 1.37.
#[policy(
    on = Kinds, kinds = ["autoscaling/HorizontalPodAutoscaler"], severity = Error,
    since = "0.1.0", stage = Source, edits = ["/spec/minReplicas"],
    default = Deny(CannotWork),
    covers = ["hpa-min-zero: only over files, because the API server itself rejects it"]
)]
pub fn autoscaler_down_to_zero(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/minReplicas");
    if at.as_i64() != Some(0) {
        return;
    }
    let metrics = review.at("/spec/metrics");
    let wakes = |metric: Cursor<'_>| matches!(metric.at("/type").as_str(), Some("Object" | "External"));
    let is_early = review.kubernetes_version().is_some_and(|version| !version.at_least(1, 37));
    let fix = Fix::changing("Set minReplicas to 1").replace(&at, 1_i64);
    if !metrics.items().any(wakes) {
        let message = "minReplicas is 0 without a metric of type Object or External: nothing would start a Pod again";
        findings
            .error(&at, message, "write minReplicas: 2, or a metric of type Object or External")
            .fix(fix)
            .about(&metrics);
    } else if is_early {
        findings.assume("the feature HPAScaleToZero is off");
        let message = "minReplicas is 0 before Kubernetes 1.37, where HPAScaleToZero is off: the API server rejects it";
        findings.error(&at, message, "write minReplicas: 2, or scale to zero with a ScaledObject of KEDA").fix(fix);
    }
}
