use plimsoll_sdk::prelude::*;

/// Hooks that the kubelet can't run.
///
/// ## What it finds
/// The policy looks at containers and native sidecars of long-running workloads:
///
/// - `error`: a `postStart` with `tcpSocket`. The container never stays up.
/// - `warning`: a `preStop` with `tcpSocket`. The hook does nothing, and the container runs and stops without it.
///
/// ## Why
/// The API accepts it, because probes use the same type: "NOT supported as a LifecycleHandler and kept for the backward
/// compatibility. There are no validation of this field and lifecycle hooks will fail in runtime when tcp handler is
/// specified." Such a `preStop` does nothing, and the kubelet does not wait for it. A container whose `postStart` fails
/// is killed and restarted, forever.
///
/// ## What to write
/// Nothing, or a hook that does something:
///
/// ```yaml
/// lifecycle:
///   preStop: {sleep: {seconds: 10}}
/// ```
///
/// `--fix=hardening` removes a `preStop`, which changes nothing for the container. `--fix=unsafe` removes a
/// `postStart`; the container then stays up.
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
    covers = ["shutdown-tcp-handler: the fix of a postStart is unsafe, because the container then stays up"]
)]
pub fn unsupported_lifecycle_handler(review: &Review, findings: &mut Findings) {
    for container in review.containers().iter().filter(|container| container.class().runs_on()) {
        let lifecycle = container.at("/lifecycle");
        let hooks = lifecycle.members().count();
        for (name, severity, hook, harm) in [
            ("preStop", Severity::Warning, lifecycle.at("/preStop"), "the hook does nothing"),
            (
                "postStart",
                Severity::Error,
                lifecycle.at("/postStart"),
                "the container is killed and restarted, again and again",
            ),
        ] {
            let at = hook.at("/tcpSocket");
            if !at.exists() {
                continue;
            }
            let who = container.describe();
            let message = format!("{name} of {who} has a tcpSocket, which the kubelet can't run: {harm}");
            let finding =
                findings.report(severity, &at, message, format!("remove {name}, or write sleep, exec or httpGet"));
            // The API server rejects a hook with two handlers, and it is unclear which one the author meant.
            if hook.members().count() == 1 {
                let title = format!("Remove {name}");
                let fix = if name == "preStop" { Fix::hardening(title) } else { Fix::changing(title) };
                // The API server would reject an empty object.
                finding.fix(fix.remove(if hooks == 1 { &lifecycle } else { &hook }));
            }
        }
    }
}
