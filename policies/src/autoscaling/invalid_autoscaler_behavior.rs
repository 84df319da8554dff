use plimsoll_sdk::prelude::*;

/// Autoscaler behaviour that the API rejects, or that prevents growth.
///
/// ## What it finds
/// The policy looks at `behavior` of a HorizontalPodAutoscaler, or of the one that a ScaledObject asks for, over files
/// and in the cluster:
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
    on = Kinds, kinds = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"],
    severity = Error, since = "0.1.0",
    default = Deny(CannotWork),
    covers = ["hpa-behavior-invalid"]
)]
pub fn invalid_autoscaler_behavior(review: &Review, findings: &mut Findings) {
    let behavior = match review.is(Kind::SCALED_OBJECT) {
        true => review.at("/spec/advanced/horizontalPodAutoscalerConfig/behavior"),
        false => review.at("/spec/behavior"),
    };
    for direction in ["scaleUp", "scaleDown"] {
        let rules = behavior.key(direction);
        let window = rules.at("/stabilizationWindowSeconds");
        if let Some(seconds) = window.as_i64().filter(|seconds| !(0..=3600).contains(seconds)) {
            let message = format!("a window of {seconds} s: it may be 0 to 3600");
            findings.error(&window, message, "write stabilizationWindowSeconds: 300, or another number up to 3600");
        }
        let select = rules.at("/selectPolicy");
        match select.as_str() {
            Some("Disabled") if direction == "scaleUp" => {
                let message = "scaling up is disabled: Pods are never added, whatever the load";
                findings.warning(&select, message, "take selectPolicy out of scaleUp, which makes it Max");
            }
            None | Some("Max" | "Min" | "Disabled") => {}
            Some(other) => {
                findings.error(&select, format!("{other:?} is no selectPolicy"), "write Max, Min or Disabled");
            }
        }
        let policies = rules.at("/policies");
        if policies.node().is_some_and(|node| node.len() == 0) {
            findings.error(&policies, "there is no policy in policies", "write a policy, or take policies out");
        }
        for policy in policies.items() {
            of_policy(&policy, findings);
        }
    }
}

fn of_policy(policy: &Cursor<'_>, findings: &mut Findings) {
    let (kind, value, period) = (policy.at("/type"), policy.at("/value"), policy.at("/periodSeconds"));
    if let Some(other) = kind.as_str().filter(|kind| !matches!(*kind, "Pods" | "Percent")) {
        findings.error(&kind, format!("{other:?} is no type of a policy"), "write Pods or Percent");
    }
    if let Some(number) = value.as_i64().filter(|number| *number < 1) {
        findings.error(&value, format!("a policy of {number} changes nothing"), "write a value of 1 or more");
    }
    if let Some(seconds) = period.as_i64().filter(|seconds| !(1..=1800).contains(seconds)) {
        let message = format!("a period of {seconds} s: it may be 1 to 1800");
        findings.error(&period, message, "write a number from 1 to 1800");
    }
}
