//! The budgets of some Pods.

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption::{BUDGET, STAND_IN, name};
use crate::review::Review;
use crate::selector;

/// The budgets of some Pods.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    /// By name.
    documents: Vec<Vec<u8>>,
    /// Whether there are no others.
    pub complete: bool,
}

/// Maximum number of budgets of the same Pods that are compared with all that they select. The API server evicts no Pod
/// that two budgets select, so a third one changes nothing.
const MAX_BUDGETS: usize = 2;

/// Maximum size in bytes of a selector that the host can be asked with.
const MAX_SELECTOR: usize = 64 << 10;

impl Budgets {
    pub(crate) fn of(review: &Review<'_>, labels: Node<'_>, answer: &Answer) -> Self {
        let own = review.is(BUDGET).then(|| review.name());
        let is_other = |document: &&Vec<u8>| own.is_none_or(|own| name_of(document) != own);
        let mut documents: Vec<_> = answer.documents.iter().filter(is_other).cloned().collect();
        if own.is_some() {
            let selector = review.at("spec/selector").node();
            if selector.is_some_and(|selector| selector::matches(selector, labels).is_yes()) {
                documents.extend(review.object().node().map(Node::to_document));
            }
        }
        let mut budgets = Self { documents, complete: answer.complete };
        budgets.prefer_somebodys();
        budgets.documents.sort_by(|left, right| name_of(left).cmp(name_of(right)));
        budgets
    }

    /// A stand-in is withdrawn as soon as there is another one, and counts no longer.
    fn prefer_somebodys(&mut self) {
        let is_stand_in = |document: &Vec<u8>| {
            let labels = Node::root(document).ok().and_then(|object| object.at("/metadata/labels"));
            labels.is_some_and(|labels| labels.get(STAND_IN).is_some())
        };
        if !self.documents.iter().all(is_stand_in) {
            self.documents.retain(|document| !is_stand_in(document));
        }
    }

    /// Those to compare with what they select: the first by name. A selector that is longer than a question to the host may be
    /// is left out: no such budget can be judged, so none is admitted.
    pub fn compared(&self) -> impl Iterator<Item = Node<'_>> {
        let is_short = |budget: &Node<'_>| {
            budget.at("/spec/selector").is_none_or(|selector| selector.to_document().len() <= MAX_SELECTOR)
        };
        self.nodes().filter(is_short).take(MAX_BUDGETS)
    }

    /// Bytes of their documents.
    #[must_use]
    pub fn size(&self) -> usize {
        self.documents.iter().map(Vec::len).sum()
    }

    /// Each of them, by name.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.documents.iter().filter_map(|document| Node::root(document).ok())
    }

    /// Their names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.nodes().map(name).collect()
    }
}

/// The name of another object by its document; empty where there is none.
fn name_of(document: &[u8]) -> &str {
    Node::root(document).map(name).unwrap_or_default()
}
