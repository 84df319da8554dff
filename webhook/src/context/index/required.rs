//! The labels that a selector requires. With them, an index finds the few objects that can match.

use std::sync::Arc;

use plimsoll_flat::Node;
use plimsoll_sdk::selector::{self, Match};

use super::sorted::Sorted;
use super::{Pair, Posting, Postings};
use plimsoll_sdk::question::{Selector, own_selector};

/// A label that an object's own selector requires.
pub(super) enum Required<'a> {
    /// At least this label with this value.
    Pair(&'a str, &'a str),
    /// No single label.
    None,
    /// The selector matches nothing.
    Never,
}

pub(super) fn required<'a>(kind: &str, object: Node<'a>) -> Required<'a> {
    let pairs = match own_selector(kind, object) {
        None => return Required::Never,
        Some(Selector::Map(map)) => map,
        Some(Selector::Labels(selector)) => {
            let matched = selector::matches(selector, None);
            if selector.is_null() || matched == Match::Invalid {
                return Required::Never;
            }
            match selector.get("matchLabels").filter(|labels| labels.len() > 0) {
                Some(labels) => labels,
                None => return single(selector).map_or(Required::None, |(label, value)| Required::Pair(label, value)),
            }
        }
    };
    // Long values are rarer: `shop-checkout-7` rather than `web`.
    let texts = pairs.members().filter_map(|(label, value)| Some((label, value.as_str()?)));
    texts.max_by_key(|(_, value)| value.len()).map_or(Required::Never, |(label, value)| Required::Pair(label, value))
}

/// A label with its value, from an expression that allows only one value.
fn single(selector: Node<'_>) -> Option<(&str, &str)> {
    let expressions = selector.get("matchExpressions").into_iter().flat_map(Node::items);
    let mut ins = expressions.filter(|it| it.get("operator").and_then(Node::as_str) == Some("In"));
    ins.find_map(|expression| {
        let values = expression.get("values").filter(|values| values.len() == 1)?;
        Some((expression.get("key")?.as_str()?, values.item(0)?.as_str()?))
    })
}

/// A label selector, parsed once for many objects.
pub(super) struct Requirements<'a>(Vec<(&'a str, Demand<'a>)>);

enum Demand<'a> {
    In(Vec<&'a str>),
    NotIn(Vec<&'a str>),
    Exists,
    DoesNotExist,
}

impl<'a> Requirements<'a> {
    /// None if the selector matches nothing.
    pub(super) fn of(selector: Node<'a>) -> Option<Self> {
        if selector.is_null() || selector::matches(selector, None) == Match::Invalid {
            return None;
        }
        let mut demands = Vec::new();
        for (label, value) in selector.get("matchLabels").into_iter().flat_map(Node::members) {
            demands.push((label, Demand::In(vec![value.as_str()?])));
        }
        for expression in selector.get("matchExpressions").into_iter().flat_map(Node::items) {
            let values =
                || expression.get("values").into_iter().flat_map(Node::items).filter_map(Node::as_str).collect();
            let demand = match expression.get("operator")?.as_str()? {
                "In" => Demand::In(values()),
                "NotIn" => Demand::NotIn(values()),
                "Exists" => Demand::Exists,
                _ => Demand::DoesNotExist,
            };
            demands.push((expression.get("key")?.as_str()?, demand));
        }
        Some(Self(demands))
    }

    pub(super) fn hold(&self, labels: &[Arc<Pair>]) -> bool {
        self.0.iter().all(|(label, demand)| {
            let value = labels.iter().find(|pair| *pair.0 == **label).map(|pair| &*pair.1);
            match demand {
                Demand::In(values) => value.is_some_and(|value| values.contains(&value)),
                Demand::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
                Demand::Exists => value.is_some(),
                Demand::DoesNotExist => value.is_none(),
            }
        })
    }

    /// The shortest list that contains every object that can match. The outer option is none if no label narrows the
    /// search. The inner option is none if no object has a required label.
    pub(super) fn narrowest<'b>(&self, by_label: &'b Postings) -> Option<Option<&'b Posting>> {
        let demanded = self.0.iter().filter_map(|(label, demand)| match demand {
            Demand::In(values) => {
                <[&str; 1]>::try_from(values.as_slice()).ok().map(|[value]| by_label.of(label, value))
            }
            _ => None,
        });
        demanded.min_by_key(|posting| posting.map_or(0, Sorted::len))
    }
}
