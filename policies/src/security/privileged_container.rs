use plimsoll_sdk::prelude::*;

/// Containers with every right of their node.
///
/// ## What it finds
/// `error`, once for each place:
///
/// - `privileged: true` in the `securityContext` of a container of any class;
/// - `windowsOptions.hostProcess: true`, in the Pod's or a container's `securityContext`: its counterpart on Windows.
///
/// These are two checks of the baseline Pod Security Standard, with the same meaning in all versions of Kubernetes. A
/// user namespace (`hostUsers: false`) does not change the result.
///
/// ## Why
/// A privileged container has all capabilities and all devices of its node, and neither a seccomp nor an AppArmor
/// profile applies to it. It can mount the node's disk, load kernel modules, and read the Secrets of every Pod there.
/// One hole in the app then gives away the node, and with the node's credentials often the cluster.
///
/// ## What to write
/// Remove `privileged: true`. If the app needs one of these rights, name it: a capability in `capabilities.add`, a
/// device by a device plugin, a `sysctl` in the pod spec.
///
/// Agents of the node (storage and network drivers, monitoring of the kernel) may need all rights. Keep these agents in
/// a namespace of their own, and exempt that namespace.
///
/// `--fix=unsafe` removes `privileged` and `hostProcess`. A container that needs them fails after that.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    edits = [
        "{template}/spec/securityContext/windowsOptions/hostProcess",
        "{template}/spec/containers/*/securityContext/privileged",
        "{template}/spec/containers/*/securityContext/windowsOptions/hostProcess",
        "{template}/spec/initContainers/*/securityContext/privileged",
        "{template}/spec/initContainers/*/securityContext/windowsOptions/hostProcess",
        "{template}/spec/ephemeralContainers/*/securityContext/privileged",
        "{template}/spec/ephemeralContainers/*/securityContext/windowsOptions/hostProcess",
    ],
    default = Warn,
    covers = ["sec-privileged", "sec-windows-hostprocess"]
)]
pub fn privileged_container(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    for (container, at) in template.host_processes() {
        let who = container.map_or_else(|| "the Pod".to_owned(), Container::describe);
        findings
            .error(
                &at,
                format!(
                    "hostProcess of {who} is true: it runs as a process of its Windows node, outside of any container"
                ),
                "remove windowsOptions.hostProcess: true, or exempt the workload if it is a node agent",
            )
            .fix(Fix::changing(format!("Remove windowsOptions.hostProcess from {who}")).remove(&at));
    }
    for container in template.all_containers() {
        let who = container.describe();
        let at = container.at("/securityContext/privileged");
        if at.as_bool() == Some(true) {
            findings
                .error(
                    &at,
                    format!(
                        "{who} is privileged: it has every right of its node, and can read the Secrets of all Pods on it"
                    ),
                    "remove privileged: true, or exempt the workload if it is a node agent",
                )
                .fix(Fix::changing(format!("Remove privileged: true from {who}")).remove(&at));
        }
    }
}
