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
/// `warning`: a `terminationGracePeriodSeconds` of more than `seconds`, in a workload that runs on. On only where a PolicySet
/// lists it.
///
/// ## Why
/// The cluster autoscaler waits 600 seconds for the Pods of a node (`--max-graceful-termination-sec`), then takes it away
/// with what still runs. An upgrade of the nodes waits as long for each of them, and a program that hangs holds it up for
/// all of that time.
///
/// ## What to write
/// The time that the program needs, or a way for it to leave its work to another:
///
/// ```yaml
/// terminationGracePeriodSeconds: 60
/// ```
///
/// ## Settings
/// `seconds`: what the drains of this cluster wait for.
#[policy(
    on = LongRunning, severity = Warning, since = "0.1.0",
    profile = OptIn,
    covers = ["shutdown-grace-huge"]
)]
pub fn excessive_grace_period(review: &Review, settings: &Settings, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let Some(grace) = grace_period(template).filter(|grace| *grace > settings.seconds) else { return };
    let most = settings.seconds;
    let message = format!("a grace period of {grace} s is longer than the {most} s that a drain waits for a Pod");
    let at = template.spec().at("/terminationGracePeriodSeconds");
    findings.warning(&at, message, format!("write a terminationGracePeriodSeconds of at most {most}"));
}
