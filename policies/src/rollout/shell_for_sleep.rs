use plimsoll_sdk::prelude::*;
use plimsoll_sdk::shutdown::{grace_period, pre_stop_sleep};

/// Hook commands that only sleep, which the kubelet can do itself.
///
/// ## What it finds
/// `info`: a `preStop` hook of type `exec` does nothing but `sleep` for a constant time. The policy looks at containers
/// and native sidecars of long-running workloads, from Kubernetes 1.30 on.
///
/// ## Why
/// The command needs a shell, or a `sleep`, in the image. In an image without them (distroless, scratch) the hook fails
/// at once, and SIGTERM comes without the wait. Only an event shows the failure. The kubelet can wait by itself.
///
/// ## What to write
/// `--fix=hardening` writes this; the wait keeps its length:
///
/// ```yaml
/// lifecycle:
///   preStop:
///     sleep: {seconds: 10}
/// ```
#[policy(
    on = LongRunning, severity = Info, since = "0.1.0",
    edits = [
        "{template}/spec/containers/*/lifecycle/preStop/exec",
        "{template}/spec/containers/*/lifecycle/preStop/sleep/seconds",
        "{template}/spec/initContainers/*/lifecycle/preStop/exec",
        "{template}/spec/initContainers/*/lifecycle/preStop/sleep/seconds",
    ],
    covers = ["shutdown-prestop-exec-sleep"]
)]
pub fn shell_for_sleep(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    if !review.kubernetes_version().is_some_and(|version| version.at_least(1, 30)) {
        return;
    }
    for container in template.containers().iter().filter(|container| container.class().runs_on()) {
        let Some(sleep) = pre_stop_sleep(container).filter(|sleep| sleep.is_command && sleep.is_all) else { continue };
        let hook = container.at("/lifecycle/preStop");
        let seconds = sleep.seconds;
        let message = format!(
            "preStop of {} sleeps {seconds} s by a command: the hook fails if the image lacks this command",
            container.describe()
        );
        let finding = findings.info(
            &hook.at("/exec"),
            message,
            format!("write sleep: {{seconds: {seconds}}} instead of exec, so that the kubelet waits"),
        );
        // Before 1.34 the API server rejects a sleep of 0. It always rejects a sleep that is longer than the grace
        // period.
        if seconds > 0 && grace_period(template).is_some_and(|grace| seconds <= grace) {
            let fix = Fix::hardening(format!("Set preStop to sleep: {{seconds: {seconds}}}"))
                .add(&hook.at("/sleep/seconds"), seconds)
                .remove(&hook.at("/exec"));
            finding.fix(fix);
        }
    }
}
