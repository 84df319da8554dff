use plimsoll_sdk::prelude::*;

/// Containers with more capabilities than the baseline Pod Security Standard allows.
///
/// ## What it finds
/// `error`: `capabilities.add` of a container of any class names a capability that the baseline standard does not
/// allow. There is one finding for each list, which names these capabilities. The standard allows these:
///
/// `AUDIT_WRITE`, `CHOWN`, `DAC_OVERRIDE`, `FOWNER`, `FSETID`, `KILL`, `MKNOD`, `NET_BIND_SERVICE`, `SETFCAP`,
/// `SETGID`, `SETPCAP`, `SETUID`, `SYS_CHROOT`.
///
/// This is the check of the baseline Pod Security Standard, with the same meaning in all versions of Kubernetes. Like
/// the standard, the policy compares names exactly, so `CAP_CHOWN` and `chown` are findings. Not every container
/// runtime treats them as `CHOWN`.
///
/// A container with `privileged: true` has all capabilities anyway, which `privileged-container` reports.
///
/// ## Why
/// | capability | gives |
/// | --- | --- |
/// | `ALL` | every right of root: nearly the same as `privileged: true` |
/// | `SYS_ADMIN` | mounts, namespaces and much else: enough to leave the container |
/// | `SYS_MODULE`, `SYS_RAWIO`, `BPF` | code in the kernel, or its memory |
/// | `SYS_PTRACE`, `DAC_READ_SEARCH` | the memory of other processes, or any file |
/// | `NET_ADMIN`, `NET_RAW` | addresses, routes and firewall of the Pod (with `hostNetwork` of the node); forged packets |
///
/// ## What to write
/// Remove the capabilities that the app does not need. `NET_RAW` is usually there for `ping`, which needs no capability
/// if the node's sysctl `net.ipv4.ping_group_range` allows it. For a port below 1024, `NET_BIND_SERVICE` is enough; a
/// higher port needs no capability.
///
/// `kubectl debug` adds `SYS_PTRACE` to its ephemeral container. `--profile=baseline` and `--profile=restricted` do
/// not.
///
/// Agents of the node may need such capabilities. Keep these agents in a namespace of their own, and exempt that
/// namespace.
///
/// `--fix=unsafe` removes the capabilities from the list. An app that needs them fails after that.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    edits = [
        "{template}/spec/containers/*/securityContext/capabilities/add",
        "{template}/spec/initContainers/*/securityContext/capabilities/add",
        "{template}/spec/ephemeralContainers/*/securityContext/capabilities/add",
    ],
    default = Warn,
    covers = ["sec-capabilities-baseline"]
)]
pub fn dangerous_capabilities(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    for container in template.all_containers() {
        let at = container.at("/securityContext/capabilities/add");
        let (kept, added): (Vec<&str>, Vec<&str>) =
            at.items().filter_map(|item| item.as_str()).partition(|name| HARMLESS.contains(name));
        let is_privileged = container.at("/securityContext/privileged").as_bool() == Some(true);
        if added.is_empty() || is_privileged {
            continue;
        }
        let (who, names) = (container.describe(), added.join(", "));
        let fix = Fix::changing(format!("Remove {names} from capabilities.add of {who}"));
        let kept: Vec<Value> = kept.into_iter().map(Value::from).collect();
        findings
            .error(
                &at,
                format!("{who} adds capabilities that the baseline Pod Security Standard forbids: {names}"),
                match container.class() {
                    Class::Ephemeral => "use kubectl debug --profile=baseline, which adds no capabilities".to_owned(),
                    _ => format!("remove {names} from capabilities.add, or exempt the workload if it is a node agent"),
                },
            )
            .fix(if kept.is_empty() { fix.remove(&at) } else { fix.replace(&at, Value::List(kept)) });
    }
}

/// Capabilities that the baseline standard lets containers add.
const HARMLESS: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
