//! Stand-ins: PodDisruptionBudgets that Plimsoll wrote because a workload had none.

use plimsoll_flat::Node;

use crate::disruption::{PodBudget, STAND_IN, kinds, name};
use crate::int_or_percent::IntOrPercent;
use crate::kind::Kind;
use crate::owners::is_owned_by;
use crate::review::Review;
use crate::rounding::Budget;

/// Whether a budget has the label of a stand-in, and `maxUnavailable: 1` as stand-ins do.
pub(crate) fn claims_to_be_stand_in(object: Node<'_>) -> bool {
    let is_labelled = object.at("/metadata/labels").is_some_and(|labels| labels.get(STAND_IN).is_some());
    is_labelled
        && PodBudget::read(object).and_then(|budget| budget.budget)
            == Some(Budget::MaxUnavailable(IntOrPercent::Int(1)))
}

/// Whether a budget is a stand-in as `plimsoll serve --write-budgets` writes it: a workload owns it, and the two have
/// the same name and selector.
pub(crate) fn is_stand_in(review: &Review<'_>, object: Node<'_>) -> bool {
    claims_to_be_stand_in(object)
        && kinds(review).any(|(kind, _)| {
            is_owned_by(review, kind, object)
                && review.get(kind, name(object)).nodes().next().is_some_and(|owner| {
                    let wanted = owner.at("/spec/selector");
                    let selector = object.at("/spec/selector");
                    // The selector of a ReplicationController is a plain map.
                    let is_map = kind == Kind::REPLICATION_CONTROLLER;
                    wanted == if is_map { selector.and_then(|selector| selector.get("matchLabels")) } else { selector }
                })
        })
}
