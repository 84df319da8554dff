use plimsoll_sdk::prelude::*;
use plimsoll_sdk::workload::{PodTemplate, describe_all};

const USER: &str = "/securityContext/runAsUser";
const USER_NAME: &str = "/securityContext/windowsOptions/runAsUserName";

/// Containers that never start, because they run as root and also forbid root.
///
/// ## What it finds
/// `error`: both of these values apply to a container of any class, from the container itself or from its Pod:
///
/// - `runAsNonRoot: true`, with `runAsUser: 0`;
/// - `runAsNonRoot: true`, with `runAsUserName: ContainerAdministrator`, if the Pod runs on Windows.
///
/// Containers that inherit the user of their Pod have one finding, at the Pod. A container's own value overrides that
/// of its Pod. Pods with `hostProcess` are skipped, because they run as an account of their Windows node. On Windows
/// `runAsUser` has no effect, and on Linux `runAsUserName` has none.
///
/// ## Why
/// The kubelet refuses to start such a container: "container's runAsUser breaks non-root policy". The Pod stays in
/// CreateContainerConfigError. The API server accepts it, so `kubectl apply` reports success, and a rollout waits until
/// its deadline.
///
/// ## What to write
/// The user of the image:
///
/// ```yaml
/// securityContext:
///   runAsNonRoot: true
///   runAsUser: 1001
/// ```
///
/// An image that needs root needs `runAsNonRoot: false`, which `runs-as-root` reports.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    default = Deny(CannotWork),
    covers = ["sec-run-as-root-uid"]
)]
pub fn root_against_non_root(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    if template.host_process().is_some() {
        return;
    }
    match template.is_windows() {
        true => find(
            template,
            USER_NAME,
            |at| at.as_str().is_some_and(|name| name.eq_ignore_ascii_case("ContainerAdministrator")),
            [
                "runAsUserName: ContainerAdministrator",
                "write runAsUserName: ContainerUser, or another user of the image",
            ],
            findings,
        ),
        false => find(
            template,
            USER,
            |at| at.as_i64() == Some(0),
            ["runAsUser: 0", "write the user of the image, a number from 1, such as runAsUser: 1001"],
            findings,
        ),
    }
}

/// Compares the effective values, as `verifyRunAsNonRoot` in `pkg/kubelet/kuberuntime` does.
fn find(
    template: &PodTemplate<'_>,
    field: &'static str,
    is_root: impl Fn(&Cursor<'_>) -> bool,
    [root, help]: [&str; 2],
    findings: &mut Findings,
) {
    let of_pod = template.spec().at(field);
    let mut inheriting = Vec::new();
    let mut report = |at: &Cursor<'_>, who: &str| {
        findings.error(at, format!("runAsNonRoot: true forbids {root}: the kubelet never starts {who}"), help);
    };
    for container in template.all_containers().filter(|it| it.security("/runAsNonRoot").as_bool() == Some(true)) {
        let own = container.at(field);
        if is_root(&own) {
            report(&own, &container.describe());
        } else if own.is_absent() && is_root(&of_pod) {
            inheriting.push(container);
        }
    }
    if !inheriting.is_empty() {
        report(&of_pod, &describe_all(&inheriting));
    }
}
