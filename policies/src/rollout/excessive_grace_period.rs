use plimsoll_sdk::prelude::*;
use plimsoll_sdk::shutdown::grace_period;

/// Settings of `excessive-grace-period`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Seconds that a Pod may take to end
    #[settings(default = 600, minimum = 1)]
    seconds: i64,
}

/// Pods that may take longer to end than a drain waits.
///
/// ## What it finds
/// `warning`: a long-running workload has a `terminationGracePeriodSeconds` of more than `seconds`. This policy is on
/// only if a PolicySet lists it.
///
/// ## Why
/// The cluster autoscaler waits 600 seconds for the Pods of a node (`--max-graceful-termination-sec`). Then it removes
/// the node, even if Pods still run on it. An upgrade of the nodes waits the full period for each Pod, so one program
/// that hangs delays the upgrade by that time.
///
/// ## What to write
/// The time that the program needs. Or let the program hand its work over to another Pod.
///
/// ```yaml
/// terminationGracePeriodSeconds: 60
/// ```
///
/// ## Settings
/// `seconds`: how long the drains of this cluster wait.
#[policy(
    on = LongRunning, severity = Warning, since = "0.1.0",
    profile = OptIn,
    covers = ["shutdown-grace-huge"]
)]
pub fn excessive_grace_period(review: &Review, settings: &Settings, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let Some(grace) = grace_period(template).filter(|grace| *grace > settings.seconds) else { return };
    let most = settings.seconds;
    let message = format!(
        "terminationGracePeriodSeconds is {grace}: this is longer than the {most} s that a drain waits for a Pod"
    );
    let at = template.spec().at("/terminationGracePeriodSeconds");
    findings.warning(&at, message, format!("write a terminationGracePeriodSeconds of at most {most}"));
}
