use plimsoll_sdk::prelude::*;

/// Containers that use a port of their node.
///
/// ## What it finds
/// `error`: a `hostPort` of 1 or more in the `ports` of a container, a native sidecar or an init container; one finding
/// for each port. This is the check of the baseline Pod Security Standard, with the same meaning in all versions of
/// Kubernetes.
///
/// Pods with `hostNetwork: true` are skipped. All of their ports are ports of the node, declared or not (the API server
/// copies `containerPort` to `hostPort` there). `host-namespaces` has a finding for these Pods.
///
/// ## Why
/// The port is open at every address of the node, also to the outside. No Service, Ingress or Gateway checks the
/// clients. The port may conflict with one that the node itself needs. And only one such Pod fits on a node: the next
/// one stays Pending, in a rollout too (`rollout-blocked-by-host-port`).
///
/// ## What to write
/// Remove `hostPort`, and let a Service forward to the `containerPort`. The Service is of type `LoadBalancer` or
/// `NodePort`, or behind an Ingress or a Gateway. For a debugging session `kubectl port-forward` is enough.
///
/// `--fix=unsafe` removes `hostPort`. After that, clients that use the node's address can't connect.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0",
    edits = [
        "{template}/spec/containers/*/ports/*/hostPort",
        "{template}/spec/initContainers/*/ports/*/hostPort",
    ],
    default = Warn,
    covers = ["sec-host-ports: Pods with `hostNetwork` have a finding of `host-namespaces` instead"]
)]
pub fn host_port(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    if template.spec().at("/hostNetwork").as_bool() == Some(true) {
        return;
    }
    for container in template.all_containers().filter(|container| container.class() != Class::Ephemeral) {
        let who = container.describe();
        for port in container.at("/ports").items() {
            let at = port.at("/hostPort");
            let Some(number) = at.as_i64().filter(|number| *number != 0) else { continue };
            findings
                .error(
                    &at,
                    format!(
                        "{who} has hostPort {number}: every client that reaches the node can connect, and only one such \
                         Pod fits on a node"
                    ),
                    format!("remove hostPort: {number}, and let a Service forward to the containerPort"),
                )
                .fix(Fix::changing(format!("Remove hostPort {number} of {who}")).remove(&at));
        }
    }
}
