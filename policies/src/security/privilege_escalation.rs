use plimsoll_sdk::prelude::*;
use plimsoll_sdk::windows::{is_exempt_as_windows, is_host_process};

/// Containers whose processes may gain privileges.
///
/// ## What it finds
/// `securityContext.allowPrivilegeEscalation` of a container of any class is `true` or not set, which means the same.
/// The Pod has no such field: each container needs its own. This is the check of the restricted Pod Security Standard.
///
/// - `error`: `true` is written, or the container adds `CAP_SYS_ADMIN`;
/// - `warning`: nothing is written;
/// - `info`: the container is privileged. `privileged-container` has the finding that counts.
///
/// Pods that run on Windows are exempt. One of these shows it:
///
/// - `os: {name: windows}` (from Kubernetes 1.25), with which the API rejects the field;
/// - the label `kubernetes.io/os` in `nodeSelector` or in the required node affinity;
/// - `hostProcess`. The kubelet of a Linux node ignores it, so there is a finding unless something else keeps the Pods
///   on Windows nodes.
///
/// Nothing is filled in if the Pods may run on Windows and nothing keeps them on Linux. This is so with a
/// `runtimeClassName`, `windowsOptions`, or a toleration, node selector or node affinity that names Windows. The API
/// server would reject the field as soon as the author writes `os: {name: windows}`.
///
/// ## Why
/// With `false`, the kernel sets `no_new_privs` for every process of the container. A program with setuid, such as
/// `sudo`, or with file capabilities then gives a process no more rights than its parent has. Without it, one forgotten
/// setuid file in the image lets an app's user become root in the container.
///
/// ## What to write
/// `allowPrivilegeEscalation: false` in each container's `securityContext`. It affects only programs that need a setuid
/// helper (`sudo`, `ping` in old images). The API server rejects `false` together with `privileged: true` or the
/// capability `CAP_SYS_ADMIN`: remove these first, or exempt the workload.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    edits = [
        "{template}/spec/containers/*/securityContext/allowPrivilegeEscalation",
        "{template}/spec/initContainers/*/securityContext/allowPrivilegeEscalation",
        "{template}/spec/ephemeralContainers/*/securityContext/allowPrivilegeEscalation",
    ],
    default = Audit, fills_in = Mutate,
    covers = ["sec-allow-privilege-escalation"]
)]
pub fn privilege_escalation(review: &Review, findings: &mut Findings) {
    if is_host_process(review, findings) || is_exempt_as_windows(review) {
        return;
    }
    let Some(template) = review.template() else { return };
    // The call reads all containers, so the result is computed once.
    let may_fix = !template.may_run_on_windows();
    for (index, container) in template.all_containers().enumerate() {
        let at = container.at("/securityContext/allowPrivilegeEscalation");
        let is_explicit = at.as_bool() == Some(true);
        if !is_explicit && !at.is_absent() {
            continue;
        }
        // A webhook that injects containers fills in missing values, and keeps written ones.
        let is_injected = index >= template.containers().len();
        if is_injected && !is_explicit && forbids_false(container).is_none() {
            continue;
        }
        let who = container.describe();
        if let Some((what, remedy)) = forbids_false(container) {
            let help = format!(
                "{remedy}, and write allowPrivilegeEscalation: false (the API server rejects the two together), or \
                 exempt the workload"
            );
            let severity = if is_privileged(container) { Severity::Info } else { Severity::Error };
            findings.report(severity, &at, format!("{who} {what}, so its processes may gain privileges"), help);
        } else if is_explicit {
            findings
                .error(
                    &at,
                    format!("allowPrivilegeEscalation of {who} is true: {GAIN}"),
                    "write allowPrivilegeEscalation: false",
                )
                .fix(Fix::changing(format!("Set allowPrivilegeEscalation of {who} to false")).replace(&at, false));
        } else {
            let finding = findings.warning(
                &at,
                format!("allowPrivilegeEscalation of {who} is not set (default: true): {GAIN}"),
                "write securityContext.allowPrivilegeEscalation: false in the container",
            );
            if may_fix {
                finding.fix(Fix::hardening(format!("Set allowPrivilegeEscalation of {who} to false")).add(&at, false));
            }
        }
    }
}

const GAIN: &str = "its processes may gain privileges through setuid programs";

/// The field that the API server rejects beside `allowPrivilegeEscalation: false`, and the remedy.
/// `ValidateSecurityContext` knows `CAP_SYS_ADMIN` only in this spelling.
fn forbids_false(container: &Container<'_>) -> Option<(&'static str, &'static str)> {
    if is_privileged(container) {
        return Some(("is privileged", "remove privileged: true"));
    }
    let mut added = container.at("/securityContext/capabilities/add").items();
    let is_admin = added.any(|capability| capability.as_str() == Some("CAP_SYS_ADMIN"));
    is_admin.then_some(("adds CAP_SYS_ADMIN", "remove CAP_SYS_ADMIN"))
}

fn is_privileged(container: &Container<'_>) -> bool {
    container.at("/securityContext/privileged").as_bool() == Some(true)
}
