//! The budgets of some Pods.

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption::{BUDGET, name};
use crate::review::Review;
use crate::selector;
use crate::stand_in::{claims_to_be_stand_in, is_stand_in};
use crate::value::Value;

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

/// Maximum number of budgets of the same Pods of which is asked whether they are stand-ins; further ones count as any other.
/// Plimsoll writes none for Pods that have a budget.
const MAX_STAND_INS: usize = 2;

/// Maximum size in bytes of a selector that the host can be asked with.
const MAX_SELECTOR: usize = 64 << 10;

impl Budgets {
    /// Those of the reviewed Pod.
    #[must_use]
    pub fn of_pod(review: &Review<'_>) -> Self {
        let labels = review.template().and_then(|template| template.labels());
        let none = Value::object([]).to_document();
        match labels.or(Node::root(&none).ok()) {
            Some(labels) => Self::of(review, labels, review.disruption_budgets()),
            None => Self::default(),
        }
    }

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
        budgets.documents.sort_by(|left, right| name_of(left).cmp(name_of(right)));
        budgets.leave_out_stand_ins(review);
        budgets
    }

    /// A stand-in is withdrawn as soon as there is another one, and counts no longer. Anyone can write the label, so one
    /// counts as a stand-in only if it is as Plimsoll writes it, and the reviewed budget never does.
    fn leave_out_stand_ins(&mut self, review: &Review<'_>) {
        if self.documents.len() < 2 {
            return;
        }
        let own = review.is(BUDGET).then(|| review.name());
        let mut asked = 0;
        let is_one = |document: &Vec<u8>| {
            Node::root(document).is_ok_and(|object| {
                let may_be = own.is_none_or(|own| name(object) != own) && claims_to_be_stand_in(object);
                asked += usize::from(may_be);
                may_be && asked <= MAX_STAND_INS && is_stand_in(review, object)
            })
        };
        let (stand_ins, others): (Vec<_>, Vec<_>) = self.documents.drain(..).partition(is_one);
        self.documents = if others.is_empty() { stand_ins } else { others };
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
