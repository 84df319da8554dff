//! Addresses of Services.

use super::super::check::{field, shown};
use super::super::meta;
use crate::formats::{Form, address, names};
use crate::{At, Faults, Rule};

static ADDRESS: Form = Form {
    what: "canonical IP address",
    allowed: "an IPv4 address without leading zeros, or an IPv6 address in its shortest form",
    example: "10.0.0.9",
    holds: |text| address::strict(text).is_some_and(|address| address.to_string() == text),
};

pub(super) fn address(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &ADDRESS, true, faults);
    let Some(parent) = field(&object.at("spec"), "parentRef").need_value("the owner of the address", faults) else {
        return;
    };
    field(&parent, "group").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    field(&parent, "resource").need_form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
    field(&parent, "name").need_form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
    field(&parent, "namespace").form_or_empty(&names::PATH_SEGMENT, Rule::InvalidName, faults);
}

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let ranges = field(&object.at("spec"), "cidrs");
    if ranges.at.count() == 0 {
        return ranges.missing("at least one range of addresses", faults);
    }
    if ranges.at.count() > 2 {
        return ranges.at_most(ranges.at.count(), 2, "ranges", faults);
    }
    let mut families = Vec::new();
    for range in ranges.at.items() {
        match address::strict_range(range.text()) {
            None => {
                let message = format!("`{}` is not a range of addresses in its canonical form", shown(range.text()));
                faults.error(Rule::InvalidFormat, &range, message, "write a range such as `10.7.0.0/16`");
            }
            Some((address, _)) if families.contains(&address.is_ipv6()) => {
                let message = "`cidrs` has two ranges of the same IP family";
                faults.error(Rule::InvalidValue, &range, message, "leave one IPv4 range and one IPv6 range");
            }
            Some((address, _)) => families.push(address.is_ipv6()),
        }
    }
}
