use plimsoll_sdk::prelude::*;

/// Seconds within which a restart is a warning. An app that does not answer for longer is rarely just slow.
const PATIENCE: i64 = 30;

/// Liveness probes that check the same as readiness probes, and fail no later.
///
/// ## What it finds
/// A container has a livenessProbe and a readinessProbe with the same handler: the same port, path, headers and
/// command. A named port equals the number that it stands for. A probe fails after failureThreshold × the larger of
/// periodSeconds and timeoutSeconds. Initial delays do not count, because they matter only once, at the start.
///
/// - `warning`: liveness fails within 30 seconds, and no later than readiness.
/// - `info`: liveness fails after more than 30 seconds, or later than readiness.
///
/// ## Why
/// Readiness says "send me no requests now", liveness says "kill me". Readiness exists to give a slow app a rest. With
/// one answer for both, an app that is slow for half a minute is restarted instead. Under load all Pods are slow at the
/// same time, so all restart at the same time, and an overload becomes an outage.
///
/// ## What to write
/// A separate liveness handler that fails only if a restart helps (it calls no database and no other service). Or let
/// liveness wait at least three times as long as readiness:
///
/// ```yaml
/// readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 10, failureThreshold: 3}
/// livenessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 10, failureThreshold: 9}
/// ```
#[policy(
    on = LongRunning, severity = Warning, since = "0.1.0",
    covers = ["probe-identical"]
)]
pub fn identical_probes(review: &Review, findings: &mut Findings) {
    for container in review.containers().iter().filter(|container| container.class().runs_on()) {
        let (Some(liveness), Some(readiness)) = (container.probe("livenessProbe"), container.probe("readinessProbe"))
        else {
            continue;
        };
        let handler = liveness.handler();
        if handler.is_none() || handler != readiness.handler() {
            continue;
        }
        let (kills, unready) = (liveness.detection_window(), readiness.detection_window());
        // The API server rejects negative values.
        if kills < 1 || unready < 1 || liveness.interval() < 1 {
            continue;
        }
        let who = container.describe();
        let finding = if kills <= unready && kills <= PATIENCE {
            let threshold = unready.saturating_mul(3).saturating_sub(1) / liveness.interval() + 1;
            findings.warning(
                liveness.cursor(),
                identical(&who, kills, unready),
                format!(
                    "write a livenessProbe that fails only if a restart helps, or livenessProbe.failureThreshold: \
                     {threshold} (3 × the {unready} s of readiness)"
                ),
            )
        } else {
            findings.info(
                liveness.cursor(),
                identical(&who, kills, unready),
                "write a livenessProbe that fails only if a restart helps, such as an httpGet of /health/live",
            )
        };
        finding.about(liveness.cursor()).about(readiness.cursor());
    }
}

fn identical(who: &str, kills: i64, unready: i64) -> String {
    format!(
        "{who}: livenessProbe and readinessProbe check the same: slow answers restart the container after {kills} s, \
         and take the Pod out of its Services after {unready} s"
    )
}
