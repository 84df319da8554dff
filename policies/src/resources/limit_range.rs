//! The bounds that the LimitRanges of a namespace set, by resource.

use std::collections::BTreeMap;

use plimsoll_sdk::disruption::name;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quantity::ratio_exceeds;
use plimsoll_sdk::resources::filled;

/// An amount, and the LimitRange that sets it.
#[derive(Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub(crate) amount: Quantity,
    pub(crate) range: &'a str,
}

impl std::fmt::Display for Bound<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LimitRange {}", self.range)
    }
}

/// Bounds of one resource over all LimitRanges; the strictest bound counts.
#[derive(Default)]
pub(crate) struct Bounds<'a> {
    pub(crate) min: Option<Bound<'a>>,
    pub(crate) max: Option<Bound<'a>>,
    /// The first default, which is filled in.
    pub(crate) default: Option<Bound<'a>>,
    pub(crate) ratio: Option<Bound<'a>>,
}

/// Reads the bounds of each resource.
pub(crate) fn read<'a>(ranges: impl Iterator<Item = Node<'a>>, of: &str) -> BTreeMap<&'a str, Bounds<'a>> {
    let mut all: BTreeMap<_, Bounds<'a>> = BTreeMap::new();
    for range in ranges {
        let items = range.at("/spec/limits").into_iter().flat_map(Node::items);
        for item in items.filter(|item| item.get("type").and_then(Node::as_str) == Some(of)) {
            let range = name(range);
            let list = |list: &str| item.get(list).into_iter().flat_map(Node::members);
            let amounts =
                |of: &str| list(of).filter_map(|(resource, value)| Some((resource, Quantity::from_node(value)?)));
            for (resource, amount) in amounts("min") {
                let min = &mut all.entry(resource).or_default().min;
                *min = min.filter(|known| known.amount >= amount).or(Some(Bound { amount, range }));
            }
            for (resource, amount) in amounts("max") {
                let max = &mut all.entry(resource).or_default().max;
                *max = max.filter(|known| known.amount <= amount).or(Some(Bound { amount, range }));
            }
            for (resource, amount) in amounts("default") {
                all.entry(resource).or_default().default.get_or_insert(Bound { amount, range });
            }
            for (resource, amount) in amounts("maxLimitRequestRatio") {
                let ratio = &mut all.entry(resource).or_default().ratio;
                *ratio = ratio.filter(|known| known.amount <= amount).or(Some(Bound { amount, range }));
            }
        }
    }
    all
}

impl Bounds<'_> {
    /// Whether the values that LimitRanges fill in break a LimitRange themselves. Each of two LimitRanges may be sound
    /// alone.
    pub(crate) fn break_filled(&self, review: &Review<'_>, resource: &str) -> bool {
        let (request, limit) = filled(review, resource);
        let exceeds = |amount: Option<Quantity>| amount.zip(self.max).is_some_and(|(amount, max)| amount > max.amount);
        request.zip(self.min).is_some_and(|(request, min)| request < min.amount)
            || exceeds(limit)
            || exceeds(request)
            || request.zip(self.default).is_some_and(|(request, default)| request > default.amount)
            || request
                .zip(limit)
                .zip(self.ratio)
                .is_some_and(|((request, limit), ratio)| ratio_exceeds(limit, request, ratio.amount))
    }
}
