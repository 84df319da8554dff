use plimsoll_sdk::prelude::*;

/// Autoscalers without a written target.
///
/// ## What it finds
/// `info`, over files, because the API server fills in the target: a HorizontalPodAutoscaler has no `metrics`, or one
/// of version 1 has no `targetCPUUtilizationPercentage`. It then aims at 80% of the requested cpu.
///
/// ## Why
/// For most services 80% of cpu is too late. For a service that waits for a database, cpu does not show the load. An
/// author who wrote no metric may not know that there is a default metric.
///
/// ## What to write
/// The intended target:
///
/// ```yaml
/// metrics:
///   - type: Resource
///     resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
/// ```
#[policy(
    on = Kinds, kinds = ["autoscaling/HorizontalPodAutoscaler"], severity = Info,
    since = "0.1.0", stage = Source,
    covers = ["hpa-default-metric"]
)]
pub fn autoscaler_without_metric(review: &Review, findings: &mut Findings) {
    let is_version_1 = review.at("/apiVersion").as_str() == Some("autoscaling/v1");
    let field = if is_version_1 { "targetCPUUtilizationPercentage" } else { "metrics" };
    let at = review.at("/spec").key(field);
    // Version 1 keeps metrics that it can't express in an annotation.
    let more = review.at("/metadata/annotations").key("autoscaling.alpha.kubernetes.io/metrics");
    if more.exists() || !(at.is_absent() || at.node().is_some_and(|node| !is_version_1 && node.len() == 0)) {
        return;
    }
    let help = if is_version_1 {
        "write targetCPUUtilizationPercentage: 70, or metrics in autoscaling/v2"
    } else {
        "write metrics, such as cpu with averageUtilization: 70"
    };
    findings.info(&at, format!("{field} is not set: the target is 80% of the requested cpu"), help);
}
