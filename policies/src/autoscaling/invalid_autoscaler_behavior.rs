use plimsoll_sdk::prelude::*;

/// Autoscaler behaviour that the API rejects, or that prevents growth.
///
/// ## What it finds
/// The policy looks at `behavior` of a HorizontalPodAutoscaler, or of the one that KEDA makes for a ScaledObject, over
/// files and in the cluster:
///
/// - `error`: a `stabilizationWindowSeconds` below 0 or above 3600;
/// - `error`: a `selectPolicy` other than `Max`, `Min` and `Disabled`;
/// - `error`: an empty list of `policies`, or an invalid policy: its type is neither `Pods` nor `Percent`, its `value`
///   is below 1, or its `periodSeconds` is below 1 or above 1800;
/// - `warning`: `selectPolicy: Disabled` in `scaleUp`, so that Pods are never added.
///
/// ## Why
/// The schema of the API allows the three errors, so most checkers do too. The API server rejects the autoscaler when
/// it is applied. It accepts a ScaledObject, but KEDA then fails to make an autoscaler for it. The warning is often a
/// leftover of an incident.
///
/// ## What to write
/// ```yaml
/// behavior:
///   scaleUp:
///     policies: [{type: Percent, value: 100, periodSeconds: 30}]
///   scaleDown:
///     stabilizationWindowSeconds: 300
///     policies: [{type: Percent, value: 50, periodSeconds: 60}]
/// ```
#[policy(
    on = Kinds, kinds = [Autoscalers],
    severity = Error, since = "0.1.0",
    default = Deny(CannotWork),
    covers = ["hpa-behavior-invalid"]
)]
pub fn invalid_autoscaler_behavior(review: &Review, findings: &mut Findings) {
    let behavior = match review.is(Kind::SCALED_OBJECT) {
        true => review.at("/spec/advanced/horizontalPodAutoscalerConfig/behavior"),
        false => review.at("/spec/behavior"),
    };
    // The API server stores a ScaledObject, and rejects the HorizontalPodAutoscaler that KEDA makes for it.
    let rejected = match review.is(Kind::SCALED_OBJECT) {
        true => "KEDA can't create the HorizontalPodAutoscaler",
        false => "the API server rejects it",
    };
    for direction in ["scaleUp", "scaleDown"] {
        let rules = behavior.key(direction);
        let window = rules.at("/stabilizationWindowSeconds");
        if let Some(seconds) = window.as_i64().filter(|seconds| !(0..=3600).contains(seconds)) {
            let message = format!("stabilizationWindowSeconds {seconds} is not between 0 and 3600: {rejected}");
            findings.error(&window, message, "write stabilizationWindowSeconds: 300, or another number from 0 to 3600");
        }
        let select = rules.at("/selectPolicy");
        match select.as_str() {
            Some("Disabled") if direction == "scaleUp" => {
                let message = "selectPolicy of scaleUp is Disabled: Pods are never added, whatever the load";
                findings.warning(&select, message, "remove selectPolicy from scaleUp (the default is Max)");
            }
            None | Some("Max" | "Min" | "Disabled") => {}
            Some(other) => {
                let message = format!("selectPolicy {other:?} is unknown: {rejected}");
                findings.error(&select, message, "write selectPolicy: Max, Min or Disabled");
            }
        }
        let policies = rules.at("/policies");
        if policies.node().is_some_and(|node| node.len() == 0) {
            let message = format!("policies of {direction} is an empty list: {rejected}");
            findings.error(&policies, message, "write a policy, or remove policies");
        }
        for policy in policies.items() {
            of_policy(&policy, rejected, findings);
        }
    }
}

fn of_policy(policy: &Cursor<'_>, rejected: &str, findings: &mut Findings) {
    let (kind, value, period) = (policy.at("/type"), policy.at("/value"), policy.at("/periodSeconds"));
    if let Some(other) = kind.as_str().filter(|kind| !matches!(*kind, "Pods" | "Percent")) {
        let message = format!("type {other:?} of a policy is unknown: {rejected}");
        findings.error(&kind, message, "write type: Pods or type: Percent");
    }
    if let Some(number) = value.as_i64().filter(|number| *number < 1) {
        let message = format!("value {number} of a policy is less than 1: {rejected}");
        findings.error(&value, message, "write a value of 1 or more");
    }
    if let Some(seconds) = period.as_i64().filter(|seconds| !(1..=1800).contains(seconds)) {
        let message = format!("periodSeconds {seconds} is not between 1 and 1800: {rejected}");
        findings.error(&period, message, "write periodSeconds: 60, or another number from 1 to 1800");
    }
}
