//! PodDisruptionBudgets that select the same Pods.

use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption::name;
use crate::kind::Kind;
use crate::review::Review;
use crate::selector;
use crate::stand_in::{claims_to_be_stand_in, is_stand_in};
use crate::value::Value;

/// The PodDisruptionBudgets that select some Pods.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    shown: Rc<Answer>,
    /// The reviewed budget, if it is one of them.
    own: Option<Vec<u8>>,
    /// Indexes by name; `None` is the reviewed budget. The documents are not copied, because a guest frees no memory
    /// during a call.
    order: Vec<Option<usize>>,
    /// Whether there are no others.
    pub complete: bool,
}

/// Maximum number of budgets of the same Pods that are compared with the workloads that they select. The API server
/// evicts no Pod that two budgets select, so a third budget changes nothing.
const MAX_BUDGETS: usize = 2;

/// Maximum number of budgets of the same Pods that are checked for being stand-ins. Further ones count as any other
/// budget. Plimsoll writes no stand-in for Pods that have a budget.
const MAX_STAND_INS: usize = 2;

/// Maximum size in bytes of a selector in a question to the host.
const MAX_SELECTOR: usize = 64 << 10;

impl Budgets {
    /// The budgets of the reviewed Pod.
    #[must_use]
    pub fn of_pod(review: &Review<'_>) -> Self {
        let labels = review.template().and_then(|template| template.labels());
        let none = Value::object([]).to_document();
        match labels.or(Node::root(&none).ok()) {
            Some(labels) => Self::of(review, labels, review.disruption_budgets()),
            None => Self::default(),
        }
    }

    pub(crate) fn of(review: &Review<'_>, labels: Node<'_>, answer: &Rc<Answer>) -> Self {
        let mut budgets = Self { shown: Rc::clone(answer), own: None, order: Vec::new(), complete: answer.complete };
        let own = review.is(Kind::POD_DISRUPTION_BUDGET).then(|| review.name());
        let is_other = |document: &[u8]| own.is_none_or(|own| name_of(document) != own);
        let others = answer.documents.iter().enumerate().filter(|(_, document)| is_other(document));
        budgets.order = others.map(|(index, _)| Some(index)).collect();
        if own.is_some() {
            let selector = review.at("/spec/selector").node();
            if selector.is_some_and(|selector| selector::matches(selector, labels).is_yes()) {
                budgets.own = reviewed(review);
                budgets.order.extend(budgets.own.as_ref().map(|_| None));
            }
        }
        let mut order = std::mem::take(&mut budgets.order);
        order.sort_by(|left, right| name_of(budgets.document(*left)).cmp(name_of(budgets.document(*right))));
        budgets.order = budgets.without_stand_ins(review, order);
        budgets
    }

    fn document(&self, index: Option<usize>) -> &[u8] {
        let document = match index {
            Some(index) => self.shown.documents.get(index),
            None => self.own.as_ref(),
        };
        document.map_or(&[], Vec::as_slice)
    }

    fn documents(&self) -> impl Iterator<Item = &[u8]> {
        self.order.iter().map(|index| self.document(*index))
    }

    /// Removes the stand-ins if there is another budget, because the server then deletes them. Any user can write the
    /// label. So a budget counts as a stand-in only if it looks as Plimsoll writes it. The reviewed budget never counts
    /// as one.
    fn without_stand_ins(&self, review: &Review<'_>, order: Vec<Option<usize>>) -> Vec<Option<usize>> {
        if order.len() < 2 {
            return order;
        }
        let mut asked = 0;
        let is_one = |index: &Option<usize>| {
            index.is_some()
                && Node::root(self.document(*index)).is_ok_and(|object| {
                    let may_be = claims_to_be_stand_in(object);
                    asked += usize::from(may_be);
                    may_be && asked <= MAX_STAND_INS && is_stand_in(review, object)
                })
        };
        let (stand_ins, others): (Vec<_>, Vec<_>) = order.into_iter().partition(is_one);
        if others.is_empty() { stand_ins } else { others }
    }

    /// The budgets to compare with the workloads that they select: the first ones by name. A budget is left out if its
    /// selector is too long for a question to the host. No policy can judge such a budget, so none is admitted.
    pub fn compared(&self) -> impl Iterator<Item = Node<'_>> {
        let is_short = |budget: &Node<'_>| {
            budget.at("/spec/selector").is_none_or(|selector| selector.to_document().len() <= MAX_SELECTOR)
        };
        self.nodes().filter(is_short).take(MAX_BUDGETS)
    }

    /// Size of their documents in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.documents().map(<[u8]>::len).sum()
    }

    /// The budgets, sorted by name.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.documents().filter_map(|document| Node::root(document).ok())
    }

    /// Their names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.nodes().map(name).collect()
    }
}

/// The reviewed object. If the object has no name because the API server generates it, it gets the name of the review.
fn reviewed(review: &Review<'_>) -> Option<Vec<u8>> {
    let object = review.object().node()?;
    if review.name().is_empty() || !name(object).is_empty() {
        return Some(object.to_document());
    }
    let Value::Object(mut members) = Value::copy(object)? else { return None };
    let metadata = members.iter().position(|(member, _)| member == "metadata");
    let mut metadata = match metadata.map(|index| members.remove(index)) {
        Some((_, Value::Object(metadata))) => metadata,
        _ => Vec::new(),
    };
    metadata.retain(|(member, _)| member != "name");
    metadata.push(("name".to_owned(), review.name().into()));
    members.push(("metadata".to_owned(), Value::Object(metadata)));
    Some(Value::Object(members).to_document())
}

/// Name of the object in a document; empty if it has none.
fn name_of(document: &[u8]) -> &str {
    Node::root(document).map(name).unwrap_or_default()
}
