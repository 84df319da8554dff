//! The budgets of some Pods.

use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption::name;
use crate::kind::Kind;
use crate::review::Review;
use crate::selector;
use crate::stand_in::{claims_to_be_stand_in, is_stand_in};
use crate::value::Value;

/// The budgets of some Pods.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    shown: Rc<Answer>,
    /// The reviewed budget, where it is one of them.
    own: Option<Vec<u8>>,
    /// By name; none for the reviewed one. They are not copied: a guest's memory is not given back during a call.
    order: Vec<Option<usize>>,
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

    /// A stand-in is withdrawn as soon as there is another one, and counts no longer. Anyone can write the label, so one
    /// counts as a stand-in only if it is as Plimsoll writes it, and the reviewed budget never does.
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
        self.documents().map(<[u8]>::len).sum()
    }

    /// Each of them, by name.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.documents().filter_map(|document| Node::root(document).ok())
    }

    /// Their names, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.nodes().map(name).collect()
    }
}

/// The reviewed object, by the name that the review calls it by where the API server makes one up.
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

/// The name of another object by its document; empty where there is none.
fn name_of(document: &[u8]) -> &str {
    Node::root(document).map(name).unwrap_or_default()
}
