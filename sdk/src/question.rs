//! The five questions about other objects, and whether one object belongs to the answer. The host answers with them,
//! and so does the world of a test ([`crate::testing`]).

pub mod references;

use std::borrow::Cow;

use plimsoll_flat::{Kind as Json, Node};

use self::references::EVERY;
use crate::kind::Kind;
use crate::selector;

/// The pointer to the pod template in most kinds.
pub const TEMPLATE: &str = "/spec/template";

/// Kinds with a pod template: the kind, the pointer to the template, and whether its Pods are meant to keep running.
pub const TEMPLATES: [(Kind<'static>, &str, bool); 11] = [
    (Kind::POD, "", false),
    (Kind::new("/PodTemplate"), "/template", false),
    (Kind::REPLICATION_CONTROLLER, TEMPLATE, true),
    // A StatefulSet or DaemonSet is rolled back to this. A handmade one would be a way around the policies.
    (Kind::CONTROLLER_REVISION, "/data/spec/template", false),
    (Kind::DAEMON_SET, TEMPLATE, true),
    (Kind::DEPLOYMENT, TEMPLATE, true),
    (Kind::REPLICA_SET, TEMPLATE, true),
    (Kind::STATEFUL_SET, TEMPLATE, true),
    (Kind::ROLLOUT, TEMPLATE, true),
    (Kind::CRON_JOB, "/spec/jobTemplate/spec/template", false),
    (Kind::JOB, TEMPLATE, false),
];

/// An RFC 6901 pointer to a pod template. `*` stands for every item of a list, or for every member of an object.
pub type Template = Cow<'static, str>;

/// Maximum number of pod templates of one object.
pub const MAX_TEMPLATES: usize = 64;

/// What a policy can ask about the objects of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// The object with this name.
    Get {
        /// `metadata.name`
        name: &'a str,
    },
    /// Objects whose own selector matches these labels.
    Selecting {
        /// An object whose values are strings.
        labels: Node<'a>,
    },
    /// Workloads with a pod template whose labels match this selector.
    SelectedBy {
        /// `matchLabels` and `matchExpressions`.
        selector: Node<'a>,
    },
    /// Objects that refer to this one. Objects that name a Namespace can be in other namespaces.
    Referring {
        /// `group/Kind`
        kind: &'a str,
        /// `metadata.name`
        name: &'a str,
    },
    /// All objects of the kind.
    Listing,
}

/// The facts about a kind that are needed to read its objects.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    /// `group/Kind`
    pub kind: &'a str,
    /// The pointers to its pod templates. Empty for a kind without one.
    pub templates: &'a [Template],
}

impl Question<'_> {
    /// Whether an object belongs to the answer to a question from this namespace. Indexes leave out only objects for
    /// which this is false.
    pub fn matches(&self, shape: Shape<'_>, namespace: &str, object: Node<'_>) -> bool {
        match *self {
            Question::Get { name } => object.at("/metadata/name").and_then(Node::as_str) == Some(name),
            Question::Selecting { labels } => {
                own_selector(shape.kind, object).is_some_and(|selector| selector.matches(labels))
            }
            Question::SelectedBy { selector } => templates(shape, object)
                .any(|template| selector::matches(selector, template.at("/metadata/labels")).is_yes()),
            Question::Referring { kind, name } => {
                let mut refers = false;
                references::each(shape, object, &mut |reference| {
                    let is_named =
                        reference.name == name || kind == Kind::NAMESPACE.as_str() && reference.name == EVERY;
                    refers |= reference.kind == kind && is_named && reference.is_from(namespace);
                });
                refers
            }
            Question::Listing => true,
        }
    }
}

/// The pod templates of a workload.
pub fn templates<'a>(shape: Shape<'_>, object: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let places = shape.templates.iter().flat_map(move |template| places(template, object));
    places.filter_map(move |place| object.at(&place)).filter(|template| template.kind() == Json::Object)
}

/// The selector by which an object selects Pods.
#[derive(Clone, Copy, Debug)]
pub enum Selector<'a> {
    /// `matchLabels` and `matchExpressions`.
    Labels(Node<'a>),
    /// A plain map. An empty map selects nothing.
    Map(Node<'a>),
}

impl Selector<'_> {
    /// Whether the selector selects a Pod with these labels.
    pub fn matches(self, labels: Node<'_>) -> bool {
        match self {
            Selector::Labels(selector) => selector::matches(selector, labels).is_yes(),
            Selector::Map(selector) => selector::matches_map(selector, labels),
        }
    }
}

/// The selector of an object of this kind. None if it can't match anything.
pub fn own_selector<'a>(kind: &str, object: Node<'a>) -> Option<Selector<'a>> {
    const NETWORK_POLICY: Kind<'static> = Kind::new("networking.k8s.io/NetworkPolicy");
    match Kind::parse(kind) {
        Some(Kind::SERVICE | Kind::REPLICATION_CONTROLLER) => {
            object.at("/spec/selector").filter(|selector| selector.len() > 0).map(Selector::Map)
        }
        Some(NETWORK_POLICY) => object.at("/spec/podSelector").map(Selector::Labels),
        _ => object.at("/spec/selector").filter(|selector| !selector.is_null()).map(Selector::Labels),
    }
}

/// The pointers that match a pattern in an object, in its order. The list ends one above the maximum number of
/// templates.
pub fn places(pattern: &str, object: Node<'_>) -> Vec<String> {
    let parts: Vec<&str> = pattern.split('/').skip(1).collect();
    let mut found = Vec::new();
    visit(&parts, object, &mut String::new(), &mut found);
    found
}

fn visit(parts: &[&str], node: Node<'_>, place: &mut String, found: &mut Vec<String>) {
    if found.len() > MAX_TEMPLATES {
        return;
    }
    let Some((part, rest)) = parts.split_first() else { return found.push(place.clone()) };
    let mut below = |name: &str, node: Node<'_>| {
        let length = place.len();
        place.push('/');
        place.push_str(name);
        visit(rest, node, place, found);
        place.truncate(length);
    };
    if *part != "*" {
        node.at(&format!("/{part}")).into_iter().for_each(|node| below(part, node));
        return;
    }
    node.items().enumerate().for_each(|(index, node)| below(&index.to_string(), node));
    node.members().for_each(|(name, node)| below(&name.replace('~', "~0").replace('/', "~1"), node));
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::places;

    #[test]
    fn a_star_is_every_item_and_every_member() {
        let object = json::from_json(
            br#"{"spec": {"groups": [{"template": {}}, {}, {"template": {}}], "replicas": {"a/b": {"template": {}}}}}"#,
        )
        .unwrap();
        let found = |pattern: &str| places(pattern, Node::root(&object).unwrap());
        assert_eq!(found("/spec/groups/*/template"), ["/spec/groups/0/template", "/spec/groups/2/template"]);
        assert_eq!(found("/spec/replicas/*/template"), ["/spec/replicas/a~1b/template"]);
        assert_eq!(found("/spec/groups"), ["/spec/groups"]);
        assert!(found("/spec/none/*/template").is_empty());
        assert_eq!(found(""), [""]);
    }
}
