use plimsoll_sdk::prelude::*;

/// Hooks that the kubelet can't run.
///
/// ## What it finds
/// In a container or native sidecar of a workload that runs on:
///
/// - `error`: a `postStart` with `tcpSocket`. The container never stays.
/// - `warning`: a `preStop` with `tcpSocket`. It does nothing, and the container runs and stops without it.
///
/// ## Why
/// The API takes it, for the type is shared with probes: "NOT supported as a LifecycleHandler and kept for the backward
/// compatibility. There are no validation of this field and lifecycle hooks will fail in runtime when tcp handler is
/// specified." A `preStop` like that does nothing, and is not waited for; a container whose `postStart` fails is killed,
/// and started again, for ever.
///
/// ## What to write
/// Nothing, or a hook that does something:
///
/// ```yaml
/// lifecycle:
///   preStop: {sleep: {seconds: 10}}
/// ```
///
/// `--fix=hardening` takes a `preStop` out, which no container notices. `--fix=unsafe` takes out a `postStart`, after
/// which the container stays.
#[policy(
    on = LongRunning, severity = Error, since = "0.1.0",
    edits = [
        "{template}/spec/containers/*/lifecycle",
        "{template}/spec/containers/*/lifecycle/preStop",
        "{template}/spec/containers/*/lifecycle/postStart",
        "{template}/spec/initContainers/*/lifecycle",
        "{template}/spec/initContainers/*/lifecycle/preStop",
        "{template}/spec/initContainers/*/lifecycle/postStart",
    ],
    default = Deny(CannotWork),
    covers = ["shutdown-tcp-handler: of a postStart the fix is unsafe: the container then stays"]
)]
pub fn unsupported_lifecycle_handler(review: &Review, findings: &mut Findings) {
    for container in review.containers().iter().filter(|container| container.class().runs_on()) {
        let lifecycle = container.at("/lifecycle");
        let hooks = lifecycle.members().count();
        for (name, severity, hook, harm) in [
            ("preStop", Severity::Warning, lifecycle.at("/preStop"), "it does nothing"),
            (
                "postStart",
                Severity::Error,
                lifecycle.at("/postStart"),
                "the container is killed for it, again and again",
            ),
        ] {
            let at = hook.at("/tcpSocket");
            if !at.exists() {
                continue;
            }
            let who = container.describe();
            let message = format!("{name} of {who} has a tcpSocket, which the kubelet can't run: {harm}");
            let finding =
                findings.report(severity, &at, message, format!("take {name} out, or write sleep, exec or httpGet"));
            // With a second handler the API server refuses it, and which of them is meant nobody knows.
            if hook.members().count() == 1 {
                let title = format!("take out a {name} that can't run");
                let fix = if name == "preStop" { Fix::hardening(title) } else { Fix::changing(title) };
                // An object without members would be refused.
                finding.fix(fix.remove(if hooks == 1 { &lifecycle } else { &hook }));
            }
        }
    }
}
