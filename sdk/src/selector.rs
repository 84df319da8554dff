//! Label selectors, as controllers and the API server evaluate them.

use plimsoll_flat::{Kind as Json, Node};

/// Result of comparing a selector with labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The selector selects the labels.
    Yes,
    /// The selector does not select the labels.
    No,
    /// The selector is invalid: an unknown operator, `In` or `NotIn` without values, `Exists` or `DoesNotExist` with
    /// values, or another shape than the API accepts. It selects nothing, and the API server rejects it.
    Invalid,
}

impl Match {
    /// Whether the selector selects the labels; an invalid one does not.
    #[must_use]
    pub fn is_yes(self) -> bool {
        self == Match::Yes
    }
}

/// Whether a `LabelSelector` (`matchLabels`, `matchExpressions`) selects these labels.
///
/// The rules are those of `metav1.LabelSelectorAsSelector`:
///
/// - All requirements must hold.
/// - `NotIn` also holds if the label is absent.
/// - The empty selector selects everything, and `null` selects nothing.
/// - One invalid requirement makes the result [`Match::Invalid`], whatever the others are.
///
/// The meaning of an absent selector differs between fields, so the caller decides. `None` as labels is the same as
/// `{}`. The syntax of keys and values is not checked.
#[must_use]
pub fn matches<'a>(selector: Node<'a>, labels: impl Into<Option<Node<'a>>>) -> Match {
    match selector.kind() {
        Json::Object => selects(selector, labels.into()).map_or(Match::Invalid, Match::from),
        Json::Null => Match::No,
        _ => Match::Invalid,
    }
}

/// Whether a plain map, as in `spec.selector` of a Service or a ReplicationController, selects these labels. Each label
/// of the map must exist with the same value.
///
/// A map that is empty, `null` or no map of strings selects nothing. Kubernetes makes no endpoints for a Service
/// without a selector (`pkg/controller/endpointslice`). In a `nodeSelector` an empty map selects every node, so the
/// caller must handle that case.
#[must_use]
pub fn matches_map<'a>(selector: Node<'a>, labels: impl Into<Option<Node<'a>>>) -> bool {
    let labels = labels.into();
    selector.kind() == Json::Object
        && selector.len() > 0
        && selector.members().all(|(key, value)| value.as_str().is_some_and(|value| has(labels, key, value)))
}

impl From<bool> for Match {
    fn from(is_match: bool) -> Self {
        if is_match { Match::Yes } else { Match::No }
    }
}

/// `None` if the selector is invalid. Reads every requirement, so that validity does not depend on the labels.
fn selects(selector: Node<'_>, labels: Option<Node<'_>>) -> Option<bool> {
    let mut is_match = true;
    if let Some(map) = typed(selector.get("matchLabels"), Json::Object)? {
        for (key, value) in map.members() {
            is_match &= has(labels, key, value.as_str()?);
        }
    }
    if let Some(list) = typed(selector.get("matchExpressions"), Json::Array)? {
        for expression in list.items() {
            is_match &= holds(expression, labels)?;
        }
    }
    Some(is_match)
}

fn holds(expression: Node<'_>, labels: Option<Node<'_>>) -> Option<bool> {
    let key = expression.get("key")?.as_str()?;
    let values = typed(expression.get("values"), Json::Array)?;
    let mut is_listed = false;
    for value in values.iter().flat_map(|values| values.items()) {
        is_listed |= has(labels, key, value.as_str()?);
    }
    let has_values = values.is_some_and(|values| values.len() > 0);
    let is_present = labels.is_some_and(|labels| labels.get(key).is_some());
    match (expression.get("operator")?.as_str()?, has_values) {
        ("In", true) => Some(is_listed),
        ("NotIn", true) => Some(!is_listed),
        ("Exists", false) => Some(is_present),
        ("DoesNotExist", false) => Some(!is_present),
        _ => None,
    }
}

fn has(labels: Option<Node<'_>>, key: &str, value: &str) -> bool {
    labels.and_then(|labels| labels.get(key)).and_then(Node::as_str) == Some(value)
}

/// `Some(Some(node))` if the node has this kind, `Some(None)` if it is absent or `null`, and `None` for another kind.
fn typed(node: Option<Node<'_>>, kind: Json) -> Option<Option<Node<'_>>> {
    match node.filter(|node| !node.is_null()) {
        Some(node) => (node.kind() == kind).then_some(Some(node)),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::Match::{self, Invalid, No, Yes};

    const LABELS: &str = r#"{"app": "shop", "tier": "web", "empty": ""}"#;

    fn matches(selector: &str, labels: &str) -> Match {
        let (selector, labels) =
            (json::from_json(selector.as_bytes()).unwrap(), json::from_json(labels.as_bytes()).unwrap());
        super::matches(Node::root(&selector).unwrap(), Node::root(&labels).unwrap())
    }

    #[test]
    fn labels_and_expressions_must_all_hold() {
        for (selector, expected) in [
            ("{}", Yes),
            ("null", No),
            (r#"{"matchLabels": null, "matchExpressions": []}"#, Yes),
            (r#"{"matchLabels": {"app": "shop"}}"#, Yes),
            (r#"{"matchLabels": {"app": "shop", "tier": "db"}}"#, No),
            (r#"{"matchLabels": {"other": "shop"}}"#, No),
            (r#"{"matchLabels": {"empty": ""}}"#, Yes),
            (r#"{"matchLabels": {"absent": ""}}"#, No),
            (
                r#"{"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["db"]}]}"#,
                No,
            ),
            (r#"{"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}"#, No),
            (
                r#"{"matchExpressions": [{"key": "app", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist"}]}"#,
                Yes,
            ),
        ] {
            assert_eq!(matches(selector, LABELS), expected, "{selector}");
        }
    }

    #[test]
    fn operators() {
        for (key, operator, values, expected) in [
            ("app", "In", r#"["x", "shop"]"#, Yes),
            ("app", "In", r#"["x"]"#, No),
            ("absent", "In", r#"["x"]"#, No),
            ("app", "NotIn", r#"["x", "shop"]"#, No),
            ("app", "NotIn", r#"["x"]"#, Yes),
            ("absent", "NotIn", r#"["x"]"#, Yes),
            ("app", "Exists", "null", Yes),
            ("empty", "Exists", "[]", Yes),
            ("absent", "Exists", "[]", No),
            ("app", "DoesNotExist", "[]", No),
            ("absent", "DoesNotExist", "[]", Yes),
            ("app", "In", "[]", Invalid),
            ("app", "NotIn", "null", Invalid),
            ("app", "Exists", r#"["shop"]"#, Invalid),
            ("app", "DoesNotExist", r#"["x"]"#, Invalid),
            ("app", "in", r#"["shop"]"#, Invalid),
            ("app", "Gt", r#"["1"]"#, Invalid),
            ("app", "In", r#"["shop", 1]"#, Invalid),
            ("app", "In", r#""shop""#, Invalid),
        ] {
            let expression = format!(r#"{{"key": "{key}", "operator": "{operator}", "values": {values}}}"#);
            let selector = format!(r#"{{"matchExpressions": [{expression}]}}"#);
            assert_eq!(matches(&selector, LABELS), expected, "{expression}");
            // An invalid requirement counts, whatever comes before it.
            let selector = format!(r#"{{"matchLabels": {{"app": "x"}}, "matchExpressions": [{expression}]}}"#);
            assert_eq!(matches(&selector, LABELS), if expected == Invalid { Invalid } else { No }, "{expression}");
        }
    }

    #[test]
    fn refuses_other_shapes() {
        for selector in [
            r#""app=shop""#,
            r#"{"matchLabels": []}"#,
            r#"{"matchLabels": {"app": 1}}"#,
            r#"{"matchExpressions": {}}"#,
            r#"{"matchExpressions": [{"operator": "Exists"}]}"#,
            r#"{"matchExpressions": [{"key": "app"}]}"#,
            r#"{"matchExpressions": ["app"]}"#,
        ] {
            assert_eq!(matches(selector, LABELS), Invalid, "{selector}");
        }
    }

    #[test]
    fn absent_labels_are_like_none() {
        let selector =
            json::from_json(br#"{"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}"#).unwrap();
        let selector = Node::root(&selector).unwrap();
        assert!(super::matches(selector, None).is_yes());
        assert_eq!(super::matches(selector, selector), Yes);
    }

    #[test]
    fn plain_maps() {
        for (selector, expected) in [
            (r#"{"app": "shop"}"#, true),
            (r#"{"app": "shop", "tier": "web"}"#, true),
            (r#"{"app": "shop", "tier": "db"}"#, false),
            (r#"{"absent": ""}"#, false),
            (r#"{"app": 1}"#, false),
            ("{}", false),
            ("null", false),
            ("[]", false),
        ] {
            let (selector, labels) =
                (json::from_json(selector.as_bytes()).unwrap(), json::from_json(LABELS.as_bytes()).unwrap());
            let labels = Node::root(&labels).unwrap();
            assert_eq!(super::matches_map(Node::root(&selector).unwrap(), labels), expected);
            assert!(!super::matches_map(Node::root(&selector).unwrap(), None));
        }
    }
}
