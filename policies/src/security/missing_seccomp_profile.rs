use plimsoll_sdk::prelude::*;
use plimsoll_sdk::windows::{is_exempt_as_windows, is_host_process};
use plimsoll_sdk::workload::{about_all, describe_all};

const TYPE: &str = "/seccompProfile/type";

/// Containers without a filter for system calls.
///
/// ## What it finds
/// - `error`: a `seccompProfile` of type `Unconfined`, in the `securityContext` of the Pod or of any container. The
///   Pod's `Unconfined` is a `warning` if each container has its own profile: it then counts only for containers that
///   are added later.
/// - `warning`: containers for which neither they nor the Pod state a profile. There is one finding at the Pod, which
///   names them. An ephemeral container has its own finding, because the existing Pod cannot be changed any more.
///
/// Pods that run on Windows are exempt, by the same rules as in `privilege-escalation`. If they may run on Windows,
/// nothing is filled in. These are the checks of the baseline and the restricted Pod Security Standard. The old
/// `seccomp.security.alpha.kubernetes.io` annotations do not count: since Kubernetes 1.27 nothing reads them.
///
/// ## Why
/// Without a profile a container may make every system call of the node's kernel. Hundreds of these calls are not
/// needed by any app, and some of them have had security holes. The container runtime's default profile rejects those
/// calls. A kubelet uses this profile by default only if `seccompDefault` is set.
///
/// ## What to write
/// Once for all containers, in the pod spec:
///
/// ```yaml
/// securityContext:
///   seccompProfile: {type: RuntimeDefault}
/// ```
///
/// Programs that use io_uring or trace other processes may fail with it. They need a profile of their own: type
/// `Localhost`.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    edits = [
        "{template}/spec/securityContext/seccompProfile/type",
        "{template}/spec/containers/*/securityContext/seccompProfile/type",
        "{template}/spec/initContainers/*/securityContext/seccompProfile/type",
        "{template}/spec/ephemeralContainers/*/securityContext/seccompProfile/type",
    ],
    default = Audit, fills_in = Mutate,
    covers = ["sec-seccomp"]
)]
pub fn missing_seccomp_profile(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    if is_host_process(review, findings) || is_exempt_as_windows(review) {
        return;
    }
    let of_pod = template.security(TYPE);
    let inherits = |container: &Container<'_>| container.at("/securityContext").at(TYPE).is_absent();
    if template.all_containers().any(inherits) {
        unconfined(&of_pod, "the Pod", findings);
    } else if of_pod.as_str() == Some("Unconfined") {
        let message = "seccompProfile.type of the Pod is Unconfined: the containers override it, but a container that \
                       is added later (injected, ephemeral) inherits it";
        let finding = findings.warning(&of_pod, message, CONFINE);
        finding.fix(confining(&of_pod, "the Pod"));
    }
    let mut missing = Vec::new();
    for (index, container) in template.all_containers().enumerate() {
        let own = container.at("/securityContext").at(TYPE);
        unconfined(&own, &container.describe(), findings);
        // A webhook that injects containers fills in missing values, and keeps written ones.
        if !own.is_absent() || index >= template.containers().len() {
            continue;
        }
        if container.class() == Class::Ephemeral {
            if of_pod.is_absent() || of_pod.as_str() == Some("Unconfined") {
                findings.warning(
                    &own,
                    unset(&[container]),
                    "write securityContext.seccompProfile.type: RuntimeDefault in the ephemeral container",
                );
            }
        } else if of_pod.is_absent() {
            missing.push(container);
        }
    }
    if !missing.is_empty() {
        let finding = findings.warning(
            &of_pod,
            unset(&missing),
            "write securityContext.seccompProfile.type: RuntimeDefault in the pod spec",
        );
        if !template.may_run_on_windows() {
            let fix = Fix::hardening("Set seccompProfile.type of the Pod to RuntimeDefault");
            finding.fix(fix.add(&of_pod, "RuntimeDefault"));
        }
        about_all(finding, &missing, "/name");
    }
}

fn unset(containers: &[&Container<'_>]) -> String {
    let who = describe_all(containers);
    format!("seccompProfile is not set for {who}: every system call is allowed, unless the kubelet sets seccompDefault")
}

fn unconfined(at: &Cursor<'_>, who: &str, findings: &mut Findings) {
    if at.as_str() == Some("Unconfined") {
        findings
            .error(at, format!("seccompProfile.type of {who} is Unconfined: every system call is allowed"), CONFINE)
            .fix(confining(at, who));
    }
}

const CONFINE: &str = "write seccompProfile.type: RuntimeDefault, or Localhost with a profile for the app";

fn confining(at: &Cursor<'_>, who: &str) -> Fix {
    Fix::changing(format!("Set seccompProfile.type of {who} to RuntimeDefault")).replace(at, "RuntimeDefault")
}
