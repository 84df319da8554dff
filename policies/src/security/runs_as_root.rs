use plimsoll_sdk::prelude::*;
use plimsoll_sdk::windows::is_host_process;
use plimsoll_sdk::workload::{PodTemplate, about_all, describe_all};

/// Containers that run as root, or that may run as root.
///
/// ## What it finds
/// Each of these is a separate finding, for containers of every class:
///
/// - `error`: `runAsUser: 0`, in the Pod's or a container's `securityContext`;
/// - `error`: `runAsNonRoot: false`, in either;
/// - `info`: `runAsUser: 0`, if `runAsNonRoot: true` prevents each such container from starting, which
///   `root-against-non-root` reports;
/// - `warning`: neither a container nor its Pod sets `runAsNonRoot`. There is one finding at the Pod. It names the
///   containers, except those with a `runAsUser`. An ephemeral container has its own finding, because the existing Pod
///   cannot be changed any more;
/// - `info`: the same, but each of these containers has a `runAsUser` of 1 or more, so none runs as root.
///
/// At the Pod, `runAsUser: 0` and `runAsNonRoot: false` are a `warning` if each container states another value. They
/// then count only for containers that are added later, such as injected and ephemeral ones.
///
/// These are two checks of the restricted Pod Security Standard. It exempts Pods with `hostUsers: false` from
/// Kubernetes 1.35 on, because their root is an unprivileged user on the node. It does not exempt Windows Pods: there
/// `runAsNonRoot` rejects ContainerAdministrator, though `runAsUser` does not apply. Pods with `hostProcess` run as an
/// account of their Windows node, which `runAsUserName` names. They are exempt if something keeps them on such nodes.
///
/// ## Why
/// Root in a container is root of the node's kernel. Only the restrictions of the container runtime limit it. So a hole
/// in the app, the runtime or the kernel gives away the node. With `runAsNonRoot: true` the kubelet refuses to start an
/// image whose user is root, even if only a later build makes it root.
///
/// ## What to write
/// Once for all containers, in the pod spec. The number is the user of the image:
///
/// ```yaml
/// securityContext:
///   runAsNonRoot: true
///   runAsUser: 1001
/// ```
///
/// If every container already has a `runAsUser` of 1 or more, `runAsNonRoot: true` changes nothing for the containers.
/// The webhook adds it then. `--fix=hardening` adds it too, and replaces all Pods once. In other cases an image that
/// runs as root no longer starts with it, so only `--fix=unsafe` writes it. The choice of a `runAsUser` is yours: no
/// fix writes one.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0", subresources = ["ephemeralcontainers"],
    // If the user of the image is unknown, an image that runs as root would be admitted and then not start.
    mutates = Hardening,
    edits = [
        "{template}/spec/securityContext/runAsNonRoot",
        "{template}/spec/containers/*/securityContext/runAsNonRoot",
        "{template}/spec/initContainers/*/securityContext/runAsNonRoot",
        "{template}/spec/ephemeralContainers/*/securityContext/runAsNonRoot",
    ],
    default = Audit, production = Deny, fills_in = Default,
    covers = ["sec-run-as-non-root", "sec-run-as-root-uid"]
)]
pub fn runs_as_root(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let has_own_users = template.spec().at("/hostUsers").as_bool() == Some(false);
    if has_own_users && review.kubernetes_version().is_some_and(|version| version.at_least(1, 35)) {
        return;
    }
    if is_host_process(review, findings) {
        return;
    }
    if !template.is_windows() {
        root_user_of_pod(template, findings);
        for container in template.all_containers() {
            let at = container.at("/securityContext/runAsUser");
            let never_starts = container.security("/runAsNonRoot").as_bool() == Some(true);
            root_user(&at, &container.describe(), never_starts, findings);
        }
    }
    may_be_root(template, findings);
}

fn root_user(at: &Cursor<'_>, who: &str, never_starts: bool, findings: &mut Findings) {
    if at.as_i64() == Some(0) && never_starts {
        // `root-against-non-root` has the finding that counts.
        let message = format!("{who} has runAsUser: 0, but runAsNonRoot: true forbids root: it never starts");
        findings.info(at, message, USER);
    } else if at.as_i64() == Some(0) {
        let message = format!("{who} runs as root (runAsUser: 0): a security hole in it can give away the node");
        findings.error(at, message, USER);
    }
}

/// Judges the user of the Pod, which counts for the containers that state none.
fn root_user_of_pod(template: &PodTemplate<'_>, findings: &mut Findings) {
    let at = template.security("/runAsUser");
    let has_own = |container: &Container<'_>| container.at("/securityContext/runAsUser").exists();
    if !template.all_containers().all(has_own) {
        let mut inheriting = template.all_containers().filter(|container| !has_own(container));
        let never_starts = inheriting.all(|container| container.security("/runAsNonRoot").as_bool() == Some(true));
        return root_user(&at, "the Pod", never_starts, findings);
    }
    if at.as_i64() == Some(0) {
        findings.warning(&at, format!("runAsUser of the Pod is 0 (root): {ADDED}"), USER);
    }
}

/// Consequence of a Pod's value that each container overrides.
const ADDED: &str = "the containers override it, but a container that is added later (injected, ephemeral) inherits it";

fn may_be_root(template: &PodTemplate<'_>, findings: &mut Findings) {
    let of_pod = template.security("/runAsNonRoot");
    let inherits = |container: &&Container<'_>| container.at("/securityContext/runAsNonRoot").is_absent();
    let (ephemeral, others): (Vec<_>, Vec<_>) =
        template.containers().iter().partition(|container| container.class() == Class::Ephemeral);
    let inheriting: Vec<_> = others.into_iter().filter(inherits).collect();
    // These containers already have an error.
    let (is_windows, of_all) = (template.is_windows(), template.security("/runAsUser").as_i64());
    let is_root = |container: &&Container<'_>| {
        let own = container.at("/securityContext/runAsUser");
        !is_windows && own.as_i64().or(of_all) == Some(0)
    };
    let perhaps: Vec<_> = inheriting.iter().copied().filter(|container| !is_root(container)).collect();
    let is_unknown = |container: &&Container<'_>| is_windows || user(container).is_none();
    let unknown: Vec<_> = perhaps.iter().copied().filter(is_unknown).collect();

    if of_pod.as_bool() == Some(false) {
        if inheriting.is_empty() && !template.containers().is_empty() {
            let finding = findings.warning(&of_pod, format!("runAsNonRoot of the Pod is false: {ADDED}"), TRUE);
            finding.fix(Fix::changing("Set runAsNonRoot of the Pod to true").replace(&of_pod, true));
        } else {
            explicit(&of_pod, "the Pod", &inheriting, findings);
        }
    } else if of_pod.is_absent() && !perhaps.is_empty() {
        let write = "write securityContext.runAsNonRoot: true in the pod spec";
        let finding = match (is_windows, unknown.as_slice()) {
            (false, []) => findings.info(&of_pod, is_forbidden(&perhaps), write),
            (true, _) => {
                findings.warning(&of_pod, is_unset(&perhaps, "the image may run as ContainerAdministrator"), write)
            }
            (false, _) => {
                let help = format!("{write}, and runAsUser (a number from 1) if the image runs as root");
                findings.warning(&of_pod, is_unset(&unknown, MAY_BE_ROOT), help)
            }
        };
        let title = "Set runAsNonRoot of the Pod to true";
        let mut affected = template.containers().iter().filter(inherits);
        if affected.all(|container| user(container).is_some_and(|user| user >= 1)) && !template.is_windows() {
            finding.fix(Fix::hardening(title).add(&of_pod, true));
        } else if !inheriting.iter().any(|container| user(container) == Some(0)) {
            finding.fix(Fix::changing(title).add(&of_pod, true));
        }
        about_all(finding, &perhaps, "/name");
    }
    for container in template.all_containers() {
        let at = container.at("/securityContext/runAsNonRoot");
        if at.as_bool() == Some(false) {
            explicit(&at, &container.describe(), &[container], findings);
        }
    }
    for container in ephemeral.into_iter().filter(inherits).filter(|container| !is_root(container)) {
        if of_pod.is_absent() || of_pod.as_bool() == Some(false) {
            let at = container.at("/securityContext/runAsNonRoot");
            match is_unknown(&container) {
                true => findings.warning(&at, is_unset(&[container], MAY_BE_ROOT), EPHEMERAL),
                false => findings.info(&at, is_forbidden(&[container]), EPHEMERAL),
            };
        }
    }
}

const USER: &str = "write the user of the image, a number from 1, such as runAsUser: 1001";
const TRUE: &str = "write runAsNonRoot: true, and runAsUser (a number from 1) if the image runs as root";
const EPHEMERAL: &str =
    "write securityContext.runAsNonRoot: true in the ephemeral container (kubectl debug --profile=restricted)";
const MAY_BE_ROOT: &str = "the image may run as root";

fn is_unset(containers: &[&Container<'_>], harm: &str) -> String {
    format!("runAsNonRoot is not set for {}: {harm}", describe_all(containers))
}

/// Each of these containers has a user, and nothing else forbids root.
fn is_forbidden(containers: &[&Container<'_>]) -> String {
    let mut users: Vec<_> = containers.iter().filter_map(|container| user(container)).collect();
    users.sort_unstable();
    users.dedup();
    match users.as_slice() {
        [user] => is_unset(containers, &format!("only runAsUser: {user} prevents root")),
        _ => is_unset(containers, "only runAsUser prevents root"),
    }
}

/// Reports `runAsNonRoot: false`, and names the containers to which it applies.
fn explicit(at: &Cursor<'_>, who: &str, containers: &[&Container<'_>], findings: &mut Findings) {
    let finding = findings.error(at, format!("{who} has runAsNonRoot: false, so it may run as root"), TRUE);
    // A container with both runAsNonRoot: true and user 0 does not start.
    if containers.iter().all(|container| user(container) != Some(0)) {
        finding.fix(Fix::changing(format!("Set runAsNonRoot of {who} to true")).replace(at, true));
    }
}

/// The user of the container, if the container or its Pod states one.
fn user(container: &Container<'_>) -> Option<i64> {
    container.security("/runAsUser").as_i64()
}
