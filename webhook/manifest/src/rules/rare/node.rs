//! Nodes.

use std::collections::HashSet;

use super::super::check::{field, shown};
use super::super::{meta, selector, warnings};
use crate::formats::{address, names};
use crate::{At, Faults, Rule};

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let spec = object.at("spec");
    let old = spec.at("externalID");
    if !old.text().is_empty() {
        let message = "`externalID` is deprecated, and Kubernetes does not read it";
        faults.warning(Rule::ServerWarning, &old, message, "remove `externalID`");
    }
    let mut seen = HashSet::new();
    for taint in spec.at("taints").items() {
        selector::key_field(field(&taint, "key"), faults);
        field(&taint, "value").form(&names::LABEL_VALUE, Rule::InvalidLabel, faults);
        let effect = field(&taint, "effect").need_one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"], faults);
        let key = taint.at("key").text();
        if !seen.insert((key, effect)) {
            let message = format!("the taint `{}` is there twice with the same effect", shown(key));
            faults.error(Rule::DuplicateEntry, &taint, message, "remove one of the two taints");
        }
    }
    let (one, all) = (spec.at("podCIDR"), spec.at("podCIDRs"));
    let mut ranges: Vec<(At<'_>, &str)> = all.items().map(|range| (range, range.text())).collect();
    // The older field counts if it is not the first of the list.
    if !one.text().is_empty() && ranges.first().is_none_or(|(_, first)| *first != one.text()) {
        ranges = vec![(one, one.text())];
    }
    for (at, text) in &ranges {
        if address::lenient_range(text).is_none() {
            let message = format!("`{}` is not a range of addresses", shown(text));
            faults.error(Rule::InvalidFormat, at, message, "write a range such as `10.244.0.0/24`");
        } else {
            warnings::range(at, faults);
        }
    }
    if ranges.len() > 1 {
        let is_v6 = |text: &str| address::lenient_range(text).map(|(address, _)| address.is_ipv6());
        let dual = ranges.len() == 2 && is_v6(ranges[0].1) != is_v6(ranges[1].1);
        if !dual {
            let message = "`podCIDRs` has more than one range of an IP family";
            faults.error(Rule::InvalidValue, &all, message, "leave at most one IPv4 range and one IPv6 range");
        }
    }
}
