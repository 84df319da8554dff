use plimsoll_sdk::prelude::*;
use plimsoll_sdk::windows::is_host_process;
use plimsoll_sdk::workload::{PodTemplate, about_all, describe_all};

const USER_NAME: &str = "securityContext/windowsOptions/runAsUserName";

/// Containers that run as root, or may.
///
/// ## What it finds
/// Each of these is a finding of its own, for containers of every class:
///
/// - `error`: `runAsUser: 0`, in the Pod's or a container's `securityContext`;
/// - `error`: `runAsNonRoot: false`, in either;
/// - `error`: on Windows, `runAsNonRoot: true` and `runAsUserName: ContainerAdministrator`, which never starts;
/// - `warning`: `runAsNonRoot` set neither by a container nor by its Pod. That is one finding at the Pod, which names the
///   containers, except those that run as user 0. An ephemeral container has a finding of its own, because the Pod that it is added to cannot be changed
///   any more.
///
/// These are two checks of the restricted Pod Security Standard. As there, Pods with `hostUsers: false` are exempt from
/// Kubernetes 1.35 (their root is nobody on the node), and Windows Pods are not: there `runAsNonRoot` refuses
/// ContainerAdministrator, though `runAsUser` does not apply. Pods with `hostProcess` run as an account of their Windows
/// node, which `runAsUserName` names, and are exempt, if something keeps them on such nodes.
///
/// ## Why
/// Root in a container is root of the node's kernel, held back only by what the container runtime takes away. A hole in
/// the app, the runtime or the kernel then costs the node. With `runAsNonRoot: true` the kubelet refuses to start an
/// image whose user is root, whatever a later build of it does.
///
/// ## What to write
/// Once for all containers, in the pod spec; the number is the user of the image:
///
/// ```yaml
/// securityContext:
///   runAsNonRoot: true
///   runAsUser: 1001
/// ```
///
/// Where every container already has a `runAsUser` from 1, no container notices `runAsNonRoot: true`: the webhook adds
/// it, and so does `--fix=hardening`, which replaces all Pods once. Else an image that runs as root no longer starts with it, which is
/// why only `--fix=unsafe` writes it. A `runAsUser` is yours to choose: no fix writes one.
#[policy(
    category = "security", on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    // Where the user is not known, an image that runs as root would be admitted and then not start.
    mutates = Hardening,
    edits = [
        "{template}/spec/securityContext/runAsNonRoot",
        "{template}/spec/containers/*/securityContext/runAsNonRoot",
        "{template}/spec/initContainers/*/securityContext/runAsNonRoot",
        "{template}/spec/ephemeralContainers/*/securityContext/runAsNonRoot",
    ]
)]
pub fn runs_as_root(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let has_own_users = template.spec().at("hostUsers").as_bool() == Some(false);
    if has_own_users && review.kubernetes_version().is_some_and(|version| version.at_least(1, 35)) {
        return;
    }
    if is_host_process(review, findings) {
        return;
    }
    if !template.is_windows() {
        root_user(&template.security("runAsUser"), "the Pod", findings);
        for container in template.all_containers() {
            root_user(&container.at("securityContext/runAsUser"), &container.describe(), findings);
        }
    }
    if template.is_windows() {
        administrators(template, findings);
    }
    may_be_root(template, findings);
}

/// Containers that the kubelet of a Windows node never starts (`verifyRunAsNonRoot` in `pkg/kubelet/kuberuntime`).
fn administrators(template: &PodTemplate<'_>, findings: &mut Findings) {
    let of_pod = template.spec().at(USER_NAME);
    let is_administrator =
        |at: &Cursor<'_>| at.as_str().is_some_and(|name| name.eq_ignore_ascii_case("ContainerAdministrator"));
    let mut inheriting = Vec::new();
    for container in template.all_containers().filter(|it| it.security("runAsNonRoot").as_bool() == Some(true)) {
        let own = container.at(USER_NAME);
        if is_administrator(&own) {
            administrator(&own, &container.describe(), findings);
        } else if own.is_absent() && is_administrator(&of_pod) {
            inheriting.push(container);
        }
    }
    if !inheriting.is_empty() {
        administrator(&of_pod, &describe_all(&inheriting), findings);
    }
}

fn administrator(at: &Cursor<'_>, who: &str, findings: &mut Findings) {
    let message = format!("with runAsNonRoot: true the kubelet never starts ContainerAdministrator: {who}");
    findings.error(at, message, "write runAsUserName: ContainerUser, or another user of the image");
}

fn root_user(at: &Cursor<'_>, who: &str, findings: &mut Findings) {
    if at.as_i64() == Some(0) {
        findings.error(
            at,
            format!("{who} runs as user 0, which is root"),
            "write the image's own user, a number from 1 such as runAsUser: 1001",
        );
    }
}

fn may_be_root(template: &PodTemplate<'_>, findings: &mut Findings) {
    let of_pod = template.security("runAsNonRoot");
    let inherits = |container: &&Container<'_>| container.at("securityContext/runAsNonRoot").is_absent();
    let (ephemeral, others): (Vec<_>, Vec<_>) =
        template.containers().iter().partition(|container| container.class() == Class::Ephemeral);
    let inheriting: Vec<_> = others.into_iter().filter(inherits).collect();
    // Of these there is an error already.
    let (is_windows, of_all) = (template.is_windows(), template.security("runAsUser").as_i64());
    let is_root = |container: &&Container<'_>| {
        let own = container.at("securityContext/runAsUser");
        !is_windows && own.as_i64().or(of_all) == Some(0)
    };
    let perhaps: Vec<_> = inheriting.iter().copied().filter(|container| !is_root(container)).collect();

    if of_pod.as_bool() == Some(false) {
        explicit(&of_pod, "the Pod", &inheriting, findings);
    } else if of_pod.is_absent() && !perhaps.is_empty() {
        let finding = findings.warning(
            &of_pod,
            format!("may run as root: {}", describe_all(&perhaps)),
            match template.is_windows() {
                true => "write securityContext.runAsNonRoot: true in the pod spec",
                false => {
                    "write securityContext.runAsNonRoot: true in the pod spec, and a runAsUser from 1 where the image's is root"
                }
            },
        );
        let title = "refuse to start containers as root";
        let mut affected = template.containers().iter().filter(inherits);
        if affected.all(|container| user(container).is_some_and(|user| user >= 1)) && !template.is_windows() {
            finding.fix(Fix::hardening(title).add(&of_pod, true));
        } else if !inheriting.iter().any(|container| user(container) == Some(0)) {
            finding.fix(Fix::changing(title).add(&of_pod, true));
        }
        about_all(finding, &perhaps, "name");
    }
    for container in template.all_containers() {
        let at = container.at("securityContext/runAsNonRoot");
        if at.as_bool() == Some(false) {
            explicit(&at, &container.describe(), &[container], findings);
        }
    }
    for container in ephemeral.into_iter().filter(inherits).filter(|container| !is_root(container)) {
        if of_pod.is_absent() || of_pod.as_bool() == Some(false) {
            findings.warning(
                &container.at("securityContext/runAsNonRoot"),
                format!("may run as root: {}", container.describe()),
                "write securityContext.runAsNonRoot: true in the ephemeral container (kubectl debug --profile=restricted)",
            );
        }
    }
}

/// `runAsNonRoot: false`, and the containers for which it holds.
fn explicit(at: &Cursor<'_>, who: &str, containers: &[&Container<'_>], findings: &mut Findings) {
    let finding = findings.error(
        at,
        format!("{who} says that it may run as root"),
        "write runAsNonRoot: true, and a runAsUser from 1 where the image's user is root",
    );
    // A container with both runAsNonRoot: true and user 0 does not start.
    if !containers.iter().any(|container| user(container) == Some(0)) {
        finding.fix(Fix::changing(format!("refuse to start {who} as root")).replace(at, true));
    }
}

/// The user as whom the container runs, if anybody states one.
fn user(container: &Container<'_>) -> Option<i64> {
    container.security("runAsUser").as_i64()
}
