//! What VerticalPodAutoscalers set.

use plimsoll_flat::Node;

/// The kind that sets requests of Pods.
pub const VERTICAL: &str = "autoscaling.k8s.io/VerticalPodAutoscaler";

/// Whether this one sets the request of a container for a resource when a Pod is made: in every `updateMode` but `Off`,
/// unless `mode: Off` or `controlledResources` leave it out. What is said of `*` holds for containers without a policy of
/// their own.
#[must_use]
pub fn fills(vertical: Node<'_>, container: &str, resource: &str) -> bool {
    if vertical.at("/spec/updatePolicy/updateMode").and_then(Node::as_str) == Some("Off") {
        return false;
    }
    let policies = || vertical.at("/spec/resourcePolicy/containerPolicies").into_iter().flat_map(Node::items);
    let of = |name: &str| policies().find(|policy| policy.get("containerName").and_then(Node::as_str) == Some(name));
    of(container).or_else(|| of("*")).is_none_or(|policy| {
        let resources = policy.get("controlledResources").filter(|list| !list.is_null());
        let is_listed = resources.is_none_or(|list| list.items().any(|item| item.as_str() == Some(resource)));
        policy.get("mode").and_then(Node::as_str) != Some("Off") && is_listed
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::fills;

    #[test]
    fn modes_and_policies() {
        for (spec, app, other) in [
            ("{}", true, true),
            (r#"{"updatePolicy": {"updateMode": "Initial"}}"#, true, true),
            (r#"{"updatePolicy": {"updateMode": "Off"}}"#, false, false),
            (r#"{"resourcePolicy": {"containerPolicies": [{"containerName": "app", "mode": "Off"}]}}"#, false, true),
            (
                r#"{"resourcePolicy": {"containerPolicies": [
                    {"containerName": "*", "controlledResources": ["memory"]}, {"containerName": "app"}]}}"#,
                true,
                false,
            ),
        ] {
            let document = json::from_json(format!(r#"{{"spec": {spec}}}"#).as_bytes()).unwrap();
            let vertical = Node::root(&document).unwrap();
            assert_eq!((fills(vertical, "app", "cpu"), fills(vertical, "other", "cpu")), (app, other), "{spec}");
        }
    }
}
