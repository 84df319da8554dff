use plimsoll_sdk::prelude::*;

/// Pods that share a namespace of their node's kernel.
///
/// ## What it finds
/// `error`: `hostNetwork: true`, `hostPID: true` and `hostIPC: true` in a pod spec; each field is a separate finding.
/// This is the check of the baseline Pod Security Standard, with the same meaning in all versions of Kubernetes.
///
/// ## Why
/// | field | what the containers can do |
/// | --- | --- |
/// | `hostNetwork` | reach programs that listen only on the node's `localhost`, listen on its ports, bypass NetworkPolicies |
/// | `hostPID` | see every process of the node, with its arguments and often its environment; with a capability or the same user also trace and kill them |
/// | `hostIPC` | read and write the shared memory of the node's processes |
///
/// With `hostNetwork` a Pod also uses ports of the node, so a second such Pod does not fit on that node.
///
/// ## What to write
/// Remove the field. An app that must be reachable from outside needs a Service, an Ingress or a Gateway instead of
/// `hostNetwork`. A debugger needs `shareProcessNamespace: true`, which shares only the processes of its own Pod.
///
/// Agents of the node (network drivers, `kube-proxy`, node exporters) need these fields. Keep the agents in a namespace
/// of their own, and exempt that namespace.
///
/// `--fix=unsafe` removes the field. An app that needs it fails after that.
#[policy(
    on = Workloads, severity = Error, since = "0.1.0",
    edits = ["{template}/spec/hostNetwork", "{template}/spec/hostPID", "{template}/spec/hostIPC"],
    default = Warn,
    covers = ["sec-host-namespaces"]
)]
pub fn host_namespaces(review: &Review, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    for (field, harm) in NAMESPACES {
        let at = template.spec().key(field);
        if at.as_bool() != Some(true) {
            continue;
        }
        let message = format!("{field}: true gives the Pod {harm}");
        // The API server requires `hostNetwork` beside a hostProcess.
        if field == "hostNetwork" && template.host_process().is_some() {
            let help = "remove hostProcess: true, and then hostNetwork, which hostProcess requires, or exempt the \
                        workload if it is a node agent";
            findings.error(&at, message, help);
            continue;
        }
        let help = format!("remove {field}: true, or exempt the workload if it is a node agent");
        findings.error(&at, message, help).fix(Fix::changing(format!("Remove {field}: true")).remove(&at));
    }
}

/// Fields of the pod spec, and what they give the Pod.
const NAMESPACES: [(&str, &str); 3] = [
    (
        "hostNetwork",
        "the network of its node: containers can bypass NetworkPolicies and \
         reach programs that listen only on the node",
    ),
    ("hostPID", "the processes of its node: containers can see all processes and their arguments"),
    ("hostIPC", "the shared memory of its node: containers can read and write the data of other processes"),
];
