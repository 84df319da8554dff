//! The rights that a role needs so that policies get other objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::is_secret;
use crate::registry::{is_cluster_scoped, plural};

/// The rules of a role, in YAML: `get`, `list` and `watch` on each of these kinds. Cluster-scoped kinds are listed
/// separately, because they need a ClusterRole.
///
/// For a custom kind, the resource is guessed from the name of the kind, as the API server's own tools do.
pub fn rights<'a>(kinds: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let kinds: BTreeSet<&str> = kinds.into_iter().filter(|kind| !is_secret(kind)).collect();
    for (name, cluster) in [("namespaced", false), ("cluster", true)] {
        let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for kind in kinds.iter().filter(|kind| is_cluster_scoped(kind) == cluster) {
            let Some((group, kind)) = kind.split_once('/') else { continue };
            groups.entry(group).or_default().insert(plural(group, kind).into_owned());
        }
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name}:{}", if groups.is_empty() { " []" } else { "" });
        for (group, resources) in groups {
            let group = if group.is_empty() { "\"\"" } else { group };
            let resources = resources.into_iter().collect::<Vec<_>>().join(", ");
            let _ =
                writeln!(text, "  - apiGroups: [{group}]\n    resources: [{resources}]\n    verbs: [get, list, watch]");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_kinds() {
        let kinds = [
            "networking.k8s.io/NetworkPolicy",
            "/Service",
            "/Secret",
            "scheduling.k8s.io/PriorityClass",
            "/LimitRange",
            "/Service",
        ];
        let expected = "namespaced:\n  - apiGroups: [\"\"]\n    resources: [limitranges, services]\n    verbs: [get, list, watch]\n  \
                        - apiGroups: [networking.k8s.io]\n    resources: [networkpolicies]\n    verbs: [get, list, watch]\n\
                        cluster:\n  - apiGroups: [scheduling.k8s.io]\n    resources: [priorityclasses]\n    verbs: [get, list, watch]\n";
        assert_eq!(rights(kinds), expected);
        assert_eq!(rights([]), "namespaced: []\ncluster: []\n");
    }
}
