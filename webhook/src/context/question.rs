//! The five questions, and whether one object belongs to the answer.

use plimsoll_flat::{Kind as Json, Node};
use plimsoll_sdk::kind::Kind;
use plimsoll_sdk::selector;

use super::NAMESPACE;
use super::references::{self, EVERY};
use crate::registry::{Template, Workloads, places};

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
pub(super) struct Shape<'a> {
    /// `group/Kind`
    pub(super) kind: &'a str,
    /// The pointers to its pod templates. Empty for a kind without one.
    pub(super) templates: &'a [Template],
}

impl<'a> Shape<'a> {
    pub(super) fn of(kind: &'a str, workloads: &'a Workloads) -> Self {
        Self { kind, templates: workloads.templates(kind) }
    }
}

impl Question<'_> {
    /// Whether an object belongs to the answer to a question from this namespace. Indexes leave out only objects for
    /// which this is false.
    pub(super) fn matches(&self, shape: Shape<'_>, namespace: &str, object: Node<'_>) -> bool {
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
                    let is_named = reference.name == name || kind == NAMESPACE && reference.name == EVERY;
                    refers |= reference.kind == kind && is_named && reference.is_from(namespace);
                });
                refers
            }
            Question::Listing => true,
        }
    }
}

/// The pod templates of a workload.
pub(super) fn templates<'a>(shape: Shape<'_>, object: Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let places = shape.templates.iter().flat_map(move |template| places(template, object));
    places.filter_map(move |place| object.at(&place)).filter(|template| template.kind() == Json::Object)
}

/// The selector by which an object selects Pods.
#[derive(Clone, Copy, Debug)]
pub(super) enum Selector<'a> {
    /// `matchLabels` and `matchExpressions`.
    Labels(Node<'a>),
    /// A plain map. An empty map selects nothing.
    Map(Node<'a>),
}

impl Selector<'_> {
    pub(super) fn matches(self, labels: Node<'_>) -> bool {
        match self {
            Selector::Labels(selector) => selector::matches(selector, labels).is_yes(),
            Selector::Map(selector) => selector::matches_map(selector, labels),
        }
    }
}

/// The selector of an object of this kind. None if it can't match anything.
pub(super) fn own_selector<'a>(kind: &str, object: Node<'a>) -> Option<Selector<'a>> {
    const NETWORK_POLICY: Kind<'static> = Kind::new("networking.k8s.io/NetworkPolicy");
    match Kind::parse(kind) {
        Some(Kind::SERVICE | Kind::REPLICATION_CONTROLLER) => {
            object.at("/spec/selector").filter(|selector| selector.len() > 0).map(Selector::Map)
        }
        Some(NETWORK_POLICY) => object.at("/spec/podSelector").map(Selector::Labels),
        _ => object.at("/spec/selector").filter(|selector| !selector.is_null()).map(Selector::Labels),
    }
}
