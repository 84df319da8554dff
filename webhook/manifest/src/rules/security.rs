//! Security contexts of containers and Pods.

use super::check::{Seen, duplicate, field, shown};
use crate::formats::{names, paths, windows};
use crate::{At, Faults, Rule};

/// Largest id of a user or group.
const MOST_ID: i64 = i32::MAX as i64;

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

/// The security context of a container.
pub(super) fn container(context: &At<'_>, host_users: bool, faults: &mut Faults) {
    field(context, "runAsUser").range(0, MOST_ID, faults);
    field(context, "runAsGroup").range(0, MOST_ID, faults);
    let mount = field(context, "procMount");
    // Before 1.33 the field was removed.
    if faults.since(33) {
        mount.one_of(&["Default", "Unmasked"], faults);
        if host_users && mount.at.text() == "Unmasked" {
            let message = "`procMount` is `Unmasked`, which needs `hostUsers: false` in the Pod";
            faults.error(
                Rule::DependentFields,
                &mount.at,
                message,
                "write `hostUsers: false`, or `procMount: Default`",
            );
        }
    }
    seccomp(&context.at("seccompProfile"), faults);
    app_armor(&context.at("appArmorProfile"), faults);
    windows_options(&context.at("windowsOptions"), faults);
    let escalation = context.at("allowPrivilegeEscalation");
    if escalation.bool() == Some(false) {
        if context.at("privileged").is_true() {
            let message = "`allowPrivilegeEscalation: false` and `privileged: true` exclude each other";
            faults.error(Rule::ExclusiveFields, &escalation, message, "remove `privileged: true`");
        }
        for capability in context.at("capabilities").at("add").items().filter(|at| at.text() == "CAP_SYS_ADMIN") {
            let message = "`allowPrivilegeEscalation: false` and the capability `CAP_SYS_ADMIN` exclude each other";
            faults.error(Rule::ExclusiveFields, &capability, message, "remove the capability");
        }
    }
}

/// The security context of a Pod.
pub(super) fn pod(spec: &At<'_>, faults: &mut Faults) {
    let context = spec.at("securityContext");
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        field(&context, name).range(0, MOST_ID, faults);
    }
    for group in context.at("supplementalGroups").items() {
        super::check::item(&group, "supplementalGroups").range(0, MOST_ID, faults);
    }
    let shared = spec.at("shareProcessNamespace");
    if shared.is_true() && spec.at("hostPID").is_true() {
        let message = "`shareProcessNamespace` and `hostPID` are both true, but exclude each other";
        faults.error(Rule::ExclusiveFields, &shared, message, "remove `shareProcessNamespace` or `hostPID`");
    }
    sysctls(spec, &context, faults);
    field(&context, "fsGroupChangePolicy").one_of(&["OnRootMismatch", "Always"], faults);
    if faults.since(33) {
        field(&context, "supplementalGroupsPolicy").one_of(&["Merge", "Strict"], faults);
        field(&context, "seLinuxChangePolicy").one_of(&["Recursive", "MountOption"], faults);
    }
    seccomp(&context.at("seccompProfile"), faults);
    app_armor(&context.at("appArmorProfile"), faults);
    windows_options(&context.at("windowsOptions"), faults);
}

fn sysctls(spec: &At<'_>, context: &At<'_>, faults: &mut Faults) {
    let mut seen = Seen::default();
    for sysctl in context.at("sysctls").items() {
        let name = field(&sysctl, "name");
        let Some(text) = name.need_form(&names::SYSCTL, Rule::InvalidName, faults) else {
            continue;
        };
        if !seen.insert(text) {
            duplicate(&name.at, "the sysctl", text, faults);
        }
        let namespace = match is_of(text, "net") {
            true => Some("hostNetwork"),
            false => is_ipc(text).then_some("hostIPC"),
        };
        if let Some(host) = namespace.filter(|host| spec.at(host).is_true()) {
            let message =
                format!("the sysctl `{}` must not be set with `{host}: true`: it would be the node's", shown(text));
            faults.error(Rule::ExclusiveFields, &name.at, message, format!("remove the sysctl, or `{host}`"));
        }
    }
}

/// Whether the sysctl begins with these parts; it may be written with `.` or `/`.
fn is_of(sysctl: &str, parts: &str) -> bool {
    sysctl.strip_prefix(parts).is_some_and(|rest| rest.starts_with(['.', '/']))
}

fn is_ipc(sysctl: &str) -> bool {
    const KERNEL: &[&str] =
        &["sem", "shm", "msg", "shmall", "shmmax", "shmmni", "shm_rmid_forced", "msgmax", "msgmnb", "msgmni"];
    sysctl
        .strip_prefix("kernel")
        .and_then(|rest| rest.strip_prefix(['.', '/']))
        .is_some_and(|rest| KERNEL.contains(&rest))
        || is_of(sysctl, "fs.mqueue")
        || is_of(sysctl, "fs/mqueue")
}

fn seccomp(profile: &At<'_>, faults: &mut Faults) {
    if profile.is_absent() {
        return;
    }
    let kind = field(profile, "type").need_one_of(PROFILES, faults);
    let local = field(profile, "localhostProfile");
    if kind != "Localhost" {
        return local.forbid(Rule::ExclusiveFields, "unless `type` is `Localhost`", faults);
    }
    if local.at.is_absent() {
        return local.missing("the path of a profile below the kubelet's folder `seccomp`", faults);
    }
    local.without_fault(Rule::InvalidFormat, paths::relative_fault, faults);
}

fn app_armor(profile: &At<'_>, faults: &mut Faults) {
    if profile.is_absent() {
        return;
    }
    let kind = field(profile, "type").need_one_of(PROFILES, faults);
    let local = field(profile, "localhostProfile");
    match kind {
        "Localhost" => {
            let Some(text) = local.need("the name of a profile on the node", faults) else {
                return;
            };
            if text.trim() != text {
                let message = "`localhostProfile` begins or ends with a space";
                faults.error(Rule::InvalidFormat, &local.at, message, "remove the spaces at both ends");
            }
            local.at_most(text.len(), 4095, "bytes", faults);
        }
        "RuntimeDefault" | "Unconfined" => {
            local.forbid(Rule::ExclusiveFields, "unless `type` is `Localhost`", faults);
        }
        _ => {}
    }
}

fn windows_options(options: &At<'_>, faults: &mut Faults) {
    field(options, "gmsaCredentialSpecName").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    let spec = field(options, "gmsaCredentialSpec");
    if let Some(text) = spec.at.str() {
        if text.is_empty() {
            spec.missing("the contents of a credential spec", faults);
        }
        spec.at_most(text.len(), 64 * 1024, "bytes", faults);
    }
    field(options, "runAsUserName").without_fault(Rule::InvalidName, windows::user_fault, faults);
}
