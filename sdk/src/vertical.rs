//! The requests that VerticalPodAutoscalers set.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_flat::Node;

/// The containers for which VerticalPodAutoscalers set the request of a resource when a Pod is created.
///
/// They do so in every `updateMode` except `Off`, unless `mode: Off` or `controlledResources` excludes it. The policy
/// for `*` applies to containers without a policy of their own. Each policy is read once, because there may be hundreds
/// of policies and of containers.
#[derive(Debug, Default)]
pub struct Filled {
    /// Number of autoscalers that fill the containers that they do not name.
    others: usize,
    /// The containers that an autoscaler names, by their names.
    named: BTreeMap<String, Named>,
}

#[derive(Debug, Default)]
struct Named {
    /// Whether an autoscaler that names the container fills it.
    is_filled: bool,
    /// Number of autoscalers that name the container, and fill those that they do not name.
    exceptions: usize,
}

impl Filled {
    /// Reads these autoscalers for this resource.
    #[must_use]
    pub fn by<'a>(verticals: impl Iterator<Item = Node<'a>>, resource: &str) -> Self {
        let mut filled = Self::default();
        for vertical in verticals {
            if vertical.at("/spec/updatePolicy/updateMode").and_then(Node::as_str) != Some("Off") {
                filled.add(vertical, resource);
            }
        }
        filled
    }

    fn add(&mut self, vertical: Node<'_>, resource: &str) {
        let sets = |policy: Node<'_>| {
            let resources = policy.get("controlledResources").filter(|list| !list.is_null());
            let is_listed = resources.is_none_or(|list| list.items().any(|item| item.as_str() == Some(resource)));
            policy.get("mode").and_then(Node::as_str) != Some("Off") && is_listed
        };
        let policies = vertical.at("/spec/resourcePolicy/containerPolicies").into_iter().flat_map(Node::items);
        let name = |policy: Node<'_>| policy.get("containerName").and_then(Node::as_str).map(str::to_owned);
        let named: Vec<_> = policies.filter_map(|policy| Some((name(policy)?, sets(policy)))).collect();
        // If several policies have the same name, the first one counts.
        let fills_others = named.iter().find(|(name, _)| name == "*").is_none_or(|(_, sets)| *sets);
        self.others += usize::from(fills_others);
        let mut seen = BTreeSet::new();
        for (name, sets) in named {
            if seen.insert(name.clone()) {
                let known = self.named.entry(name).or_default();
                known.is_filled |= sets;
                known.exceptions += usize::from(fills_others);
            }
        }
    }

    /// Whether an autoscaler fills this container.
    #[must_use]
    pub fn has(&self, container: &str) -> bool {
        match self.named.get(container) {
            Some(named) => named.is_filled || self.others > named.exceptions,
            None => self.others > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::Filled;

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
            let filled = Filled::by([vertical].into_iter(), "cpu");
            assert_eq!((filled.has("app"), filled.has("other")), (app, other), "{spec}");
        }
    }

    #[test]
    fn one_of_several_is_enough() {
        let documents = [
            r#"{"spec": {"resourcePolicy": {"containerPolicies": [{"containerName": "app", "mode": "Off"}]}}}"#,
            r#"{"spec": {"resourcePolicy": {"containerPolicies": [
                {"containerName": "*", "mode": "Off"}, {"containerName": "log"}, {"containerName": "log", "mode": "Off"}]}}}"#,
            r#"{"spec": {"updatePolicy": {"updateMode": "Off"}}}"#,
        ]
        .map(|text| json::from_json(text.as_bytes()).unwrap());
        let filled =
            |which: &[usize]| Filled::by(which.iter().map(|index| Node::root(&documents[*index]).unwrap()), "cpu");
        assert!(!filled(&[0]).has("app") && filled(&[0]).has("log"));
        assert!(!filled(&[1]).has("app") && filled(&[1]).has("log"));
        assert!(!filled(&[0, 1]).has("app") && filled(&[0, 1]).has("log") && filled(&[0, 1]).has("other"));
        assert!(!filled(&[2]).has("app") && !filled(&[]).has("app"));
    }
}
