//! What the operating system of a Pod allows, and users and processes of the node.

use super::check::field;
use super::pod::Pod;
use crate::{At, Faults, Rule};

/// Fields of the Pod's security context that Windows does not have.
const POD_CONTEXT: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];

/// Fields of a container's security context that Windows does not have.
const CONTEXT: &[&str] = &[
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

/// Checks `os`, `hostUsers` and host processes.
pub(super) fn probe(pod: &Pod<'_>, faults: &mut Faults) {
    let os = pod.spec.at("os");
    if os.is_present() {
        match field(&os, "name").need_one_of(&["linux", "windows"], faults) {
            "linux" => linux(pod, faults),
            "windows" => windows(pod, faults),
            _ => {}
        }
    }
    host_users(pod, faults);
    host_processes(pod, faults);
}

fn contexts<'a>(spec: &At<'a>) -> impl Iterator<Item = At<'a>> + use<'a> {
    let containers = spec.at("initContainers").items().chain(spec.at("containers").items());
    containers.map(|container| container.at("securityContext"))
}

fn linux(pod: &Pod<'_>, faults: &mut Faults) {
    let why = "for a Linux Pod";
    field(&pod.spec.at("securityContext"), "windowsOptions").forbid(Rule::ExclusiveFields, why, faults);
    for context in contexts(&pod.spec) {
        field(&context, "windowsOptions").forbid(Rule::ExclusiveFields, why, faults);
    }
}

fn windows(pod: &Pod<'_>, faults: &mut Faults) {
    let why = "for a Windows Pod";
    let spec = &pod.spec;
    for name in ["hostPID", "hostIPC"] {
        if spec.at(name).is_true() {
            field(spec, name).forbid(Rule::ExclusiveFields, why, faults);
        }
    }
    field(spec, "shareProcessNamespace").forbid(Rule::ExclusiveFields, why, faults);
    // Fields that an older server removes are not checked by it.
    let recent = faults.since(33);
    if recent {
        field(spec, "hostUsers").forbid(Rule::ExclusiveFields, why, faults);
    }
    let context = spec.at("securityContext");
    for name in POD_CONTEXT {
        if recent || !matches!(*name, "supplementalGroupsPolicy" | "seLinuxChangePolicy") {
            field(&context, name).forbid(Rule::ExclusiveFields, why, faults);
        }
    }
    let sysctls = field(&context, "sysctls");
    if sysctls.at.count() > 0 {
        sysctls.forbid(Rule::ExclusiveFields, why, faults);
    }
    for context in contexts(spec) {
        for name in CONTEXT {
            if recent || *name != "procMount" {
                field(&context, name).forbid(Rule::ExclusiveFields, why, faults);
            }
        }
    }
}

fn host_users(pod: &Pod<'_>, faults: &mut Faults) {
    if pod.host_users(faults) {
        return;
    }
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        if pod.spec.at(name).is_true() {
            field(&pod.spec, name).forbid(Rule::ExclusiveFields, "with `hostUsers: false`", faults);
        }
    }
    if faults.since(34) {
        for container in pod.spec.at("initContainers").items().chain(pod.spec.at("containers").items()) {
            let devices = field(&container, "volumeDevices");
            if devices.at.count() > 0 {
                devices.forbid(Rule::ExclusiveFields, "with `hostUsers: false`", faults);
            }
        }
    }
}

fn host_process<'a>(context: &At<'a>) -> At<'a> {
    context.path(&["windowsOptions", "hostProcess"])
}

fn host_processes(pod: &Pod<'_>, faults: &mut Faults) {
    let whole = host_process(&pod.spec.at("securityContext")).bool();
    let (mut count, mut hosts) = (0, 0);
    for context in contexts(&pod.spec) {
        let own = host_process(&context);
        if let (Some(whole), Some(value)) = (whole, own.bool())
            && whole != value
        {
            let message = format!("`hostProcess` is {value}, but {whole} for the whole Pod");
            faults.error(Rule::DependentFields, &own, message, format!("write `hostProcess: {whole}`"));
        }
        count += 1;
        hosts += usize::from(own.bool().or(whole) == Some(true));
    }
    if hosts == 0 {
        return;
    }
    if hosts != count {
        let message = "some containers have `hostProcess: true`, but then all of the Pod need it";
        faults.error(Rule::DependentFields, &pod.spec, message, "write `hostProcess: true` for the whole Pod");
    }
    let network = field(&pod.spec, "hostNetwork");
    if !network.at.is_true() {
        let message = "host process containers need `hostNetwork: true`";
        faults.error(Rule::DependentFields, &network.at, message, "write `hostNetwork: true`");
    }
}
