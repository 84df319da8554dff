//! Patches of kustomize, which look like objects but are only parts of them.

use serde_json::Value;

use crate::model::Kind;
use crate::registry::{Workloads, is_group_of_kubernetes};

/// Directives of a strategic merge patch for a list or a value.
const DIRECTIVES: [&str; 4] = ["$patch", "$retainKeys", "$setElementOrder/", "$deleteFromPrimitiveList/"];

/// Whether a value that looks like an object is a patch. It is one if it contains a directive, or if it is a workload
/// whose containers all lack an image. The API server rejects both. Next to a kustomization, a workload without
/// containers is a patch, too.
pub(super) fn is_patch(value: &Value, workloads: &Workloads, is_beside: bool) -> bool {
    let text = |member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default();
    let kind = Kind::from_api_version(text("apiVersion"), text("kind"));
    let is_beside = is_beside && is_group_of_kubernetes(&kind.group);
    let kind = kind.group_kind();
    let templates = workloads.templates(&kind);
    if templates.is_empty() {
        return value.get("$patch").is_some();
    }
    if has_directive(value) {
        return true;
    }
    // A patch of a kind with several templates may change only one of them, so it can't be recognised.
    let [template] = templates else { return false };
    let Some(spec) = value.pointer(template).and_then(|template| template.get("spec")) else { return is_beside };
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let mut containers = lists.iter().filter_map(|list| spec.get(*list)?.as_array()).flatten().peekable();
    let has_image = |container: &Value| container.get("image").is_some_and(|image| !image.is_null());
    (containers.peek().is_some() || is_beside) && !containers.any(has_image)
}

fn has_directive(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            DIRECTIVES.iter().any(|directive| name.starts_with(directive)) || has_directive(value)
        }),
        Value::Array(items) => items.iter().any(has_directive),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn workloads_that_are_no_whole_objects() {
        let workloads = Workloads::default();
        let of = |kind: &str, containers: Value| json!({"apiVersion": "apps/v1", "kind": kind, "spec": {"template": {"spec": {"containers": containers}}}});
        for (value, expected) in [
            (of("Deployment", json!([{"name": "app", "resources": {}}])), true),
            (of("Deployment", json!([{"name": "app", "image": "app:1"}, {"name": "more"}])), false),
            (of("Deployment", json!([{"name": "app", "image": "app:1", "env": [{"$patch": "replace"}]}])), true),
            // It has no containers at all, which is a different fault.
            (of("Deployment", json!([])), false),
            (json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 5}}), false),
            (json!({"apiVersion": "v1", "kind": "Service", "$patch": "delete"}), true),
            (json!({"apiVersion": "kyverno.io/v1", "kind": "Policy", "spec": {"x": {"$patch": "delete"}}}), false),
        ] {
            assert_eq!(is_patch(&value, &workloads, false), expected, "{value}");
        }
    }

    /// A whole workload has containers. Kinds of other groups may describe their Pods in a different way.
    #[test]
    fn workloads_without_containers_beside_a_kustomization() {
        for (api_version, kind, spec, expected) in [
            ("apps/v1", "Deployment", json!({"replicas": 5}), true),
            (
                "apps/v1",
                "Deployment",
                json!({"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}),
                false,
            ),
            ("argoproj.io/v1alpha1", "Rollout", json!({"workloadRef": {"name": "web"}}), false),
            ("v1", "Service", json!({"type": "NodePort"}), false),
        ] {
            let value = json!({"apiVersion": api_version, "kind": kind, "spec": spec});
            assert_eq!(is_patch(&value, &Workloads::default(), true), expected, "{value}");
        }
    }
}
