use plimsoll_sdk::flat::Kind as Json;
use plimsoll_sdk::prelude::*;

/// Autoscalers that remove Pods at the first quiet moment.
///
/// ## What it finds
/// `warning`: a HorizontalPodAutoscaler, or the one that KEDA makes for a ScaledObject, has
/// `behavior.scaleDown.stabilizationWindowSeconds: 0`, and nothing slows it down. It has no policies, or the default of
/// 100% in 15 seconds.
///
/// ## Why
/// Within the window the autoscaler keeps the highest number of Pods that it has computed. The default is five minutes.
/// Without a window, a pause of fifteen seconds between two bursts of requests removes all Pods down to the minimum.
/// The second burst hits the remaining Pods, while new ones start.
///
/// ## What to write
/// Remove the field: the default is 300. `--fix=unsafe` writes 300. Or a policy that limits how fast Pods are removed:
///
/// ```yaml
/// behavior:
///   scaleDown:
///     policies: [{type: Percent, value: 50, periodSeconds: 60}]
/// ```
#[policy(
    on = Kinds, kinds = [Autoscalers],
    severity = Warning, since = "0.1.0",
    edits = [
        "/spec/behavior/scaleDown/stabilizationWindowSeconds",
        "/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds",
    ],
    covers = ["hpa-flapping"]
)]
pub fn flapping_autoscaler(review: &Review, findings: &mut Findings) {
    let down = match review.is(Kind::SCALED_OBJECT) {
        true => review.at("/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown"),
        false => review.at("/spec/behavior/scaleDown"),
    };
    let at = down.at("/stabilizationWindowSeconds");
    let is_fast = |policy: Cursor<'_>| {
        let number = |field: &'static str| policy.key(field).as_i64();
        policy.at("/type").as_str() == Some("Percent")
            && number("value").is_some_and(|value| value >= 100)
            && number("periodSeconds").is_some_and(|seconds| seconds <= 15)
    };
    let policies = down.at("/policies");
    let is_list = policies.is_absent() || policies.node().is_some_and(|node| node.kind() == Json::Array);
    let is_off = down.at("/selectPolicy").as_str() == Some("Disabled");
    if at.as_i64() != Some(0) || is_off || !is_list || !policies.items().all(is_fast) {
        return;
    }
    let message =
        "stabilizationWindowSeconds is 0 in scaleDown: 15 s with little load remove all Pods down to the minimum";
    let help = "remove stabilizationWindowSeconds from scaleDown (the default is 300), or write policies";
    let fix = Fix::changing("Set stabilizationWindowSeconds to 300").replace(&at, 300_i64);
    findings.warning(&at, message, help).fix(fix).about(&policies);
}
