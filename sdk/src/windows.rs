//! Pods on Windows. Policies neither demand nor fill in fields there that only Linux has.

use crate::cursor::Cursor;
use crate::findings::Findings;
use crate::review::Review;
use crate::workload::{Container, PodTemplate};

const HOST_PROCESS: &str = "/securityContext/windowsOptions/hostProcess";

/// Labels of nodes that name their operating system.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

/// Operating systems of nodes.
const SYSTEMS: [&str; 2] = ["linux", "windows"];

impl<'a> PodTemplate<'a> {
    /// Whether the Pod runs on Windows: by [`Self::is_kept_on_windows`], or by a `hostProcess`.
    pub fn is_windows(&self) -> bool {
        self.is_kept_on_windows() || self.host_process().is_some()
    }

    /// Whether no Linux node takes the Pod, because of `os`, `nodeSelector` or the required node affinity. The kubelet
    /// also checks each of them, so `nodeName` is no way around them.
    pub fn is_kept_on_windows(&self) -> bool {
        self.is_kept_on("windows")
    }

    /// Whether the Pod runs on Windows, or may do so later: one of its fields is for Windows, and nothing keeps the Pod
    /// on Linux. Policies must not fill in fields of Linux here, because the API server rejects these fields once the
    /// author writes `os: {name: windows}`. A RuntimeClass may also choose the nodes.
    pub fn may_run_on_windows(&self) -> bool {
        if self.is_kept_on("linux") {
            return false;
        }
        let names_windows =
            |cursor: &Cursor<'_>| cursor.as_str().is_some_and(|text| text.to_ascii_lowercase().contains("windows"));
        let has_options = |at: &Cursor<'_>| at.at("/securityContext/windowsOptions").has_content();
        let tolerates =
            |toleration: Cursor<'_>| [toleration.at("/key"), toleration.at("/value")].iter().any(names_windows);
        let selects = |(label, value): (&str, Cursor<'_>)| {
            label.to_ascii_lowercase().contains("windows") || names_windows(&value)
        };
        self.is_windows()
            || self.spec().at("/runtimeClassName").as_str().is_some_and(|name| !name.is_empty())
            || has_options(self.spec())
            || self.all_containers().any(|container| has_options(container.cursor()))
            || self.spec().at("/tolerations").items().any(tolerates)
            || self.spec().at("/nodeSelector").members().any(selects)
            || self.node_terms().any(|term| {
                term.at("/matchExpressions").items().any(|expression| {
                    names_windows(&expression.at("/key"))
                        || expression.at("/values").items().any(|it| names_windows(&it))
                })
            })
    }

    /// The terms of the node affinity, both required and preferred.
    fn node_terms(&self) -> impl Iterator<Item = Cursor<'a>> + use<'a> {
        let affinity = self.spec().at("/affinity/nodeAffinity");
        let required = affinity.at("/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms").items();
        let preferred = affinity.at("/preferredDuringSchedulingIgnoredDuringExecution").items();
        required.chain(preferred.map(|preference| preference.at("/preference")))
    }

    /// Whether only nodes of this system take the Pod. `NotIn` with the other system counts too, because there are two
    /// systems, and the kubelet labels each node.
    fn is_kept_on(&self, system: &str) -> bool {
        let is_it = |value: &Cursor<'_>| value.as_str() == Some(system);
        let is_other = |value: Cursor<'_>| value.as_str().is_some_and(|it| SYSTEMS.contains(&it) && it != system);
        if is_it(&self.spec().at("/os/name")) {
            return true;
        }
        let selector = self.spec().at("/nodeSelector");
        if OS_LABELS.into_iter().any(|label| is_it(&selector.key(label))) {
            return true;
        }
        let required = self.spec().at("/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution");
        let mut terms = required.at("/nodeSelectorTerms").items().peekable();
        // A node needs to match only one of the terms.
        terms.peek().is_some()
            && terms.all(|term| {
                term.at("/matchExpressions").items().any(|expression| {
                    let mut values = expression.at("/values").items().peekable();
                    expression.at("/key").as_str().is_some_and(|key| OS_LABELS.contains(&key))
                        && match expression.at("/operator").as_str() {
                            Some("In") => values.peek().is_some() && values.all(|value| is_it(&value)),
                            Some("NotIn") => values.any(is_other),
                            _ => false,
                        }
                })
            })
    }

    /// The first `hostProcess: true`, at the Pod or at a container. The kubelet of a Linux node ignores the field.
    pub fn host_process(&self) -> Option<Cursor<'a>> {
        self.host_processes().next().map(|(_, at)| at)
    }

    /// Each `hostProcess: true`, with its container; `None` for the Pod itself.
    pub fn host_processes(&self) -> impl Iterator<Item = (Option<&Container<'a>>, Cursor<'a>)> {
        let of_containers = self.all_containers().map(|container| (Some(container), container.at(HOST_PROCESS)));
        let places = std::iter::once((None, self.spec().at(HOST_PROCESS))).chain(of_containers);
        places.filter(|(_, at)| at.as_bool() == Some(true))
    }
}

/// Whether this Pod is exempt from checks of fields that only Linux has, because it runs on Windows. The Pod Security
/// Standards exempt Pods with `os: {name: windows}` from Kubernetes 1.25, where the API server rejects these fields.
pub fn is_exempt_as_windows(review: &Review<'_>) -> bool {
    let Some(template) = review.template() else { return false };
    let is_by_name = template.spec().at("/os/name").as_str() == Some("windows");
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 25));
    template.is_windows() && (!is_by_name || is_known)
}

/// Whether the Pods are processes of their Windows nodes, so that checks of fields that only Linux has do not apply.
/// Reports an error if the Pods may run on Linux nodes. These nodes ignore `hostProcess`, and the skipped checks would
/// be missing there.
pub fn is_host_process(review: &Review<'_>, findings: &mut Findings) -> bool {
    let Some((template, at)) = review.template().and_then(|template| Some((template, template.host_process()?))) else {
        return false;
    };
    if !template.is_kept_on_windows() {
        let message = "hostProcess: true works only on Windows, but the Pod may run on a Linux node, which ignores it";
        findings.error(&at, message, "write nodeSelector: {kubernetes.io/os: windows} in the pod spec");
    }
    true
}
