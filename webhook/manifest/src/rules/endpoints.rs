//! Endpoints and EndpointSlices.

use super::check::{Seen, duplicate, field, item, shown};
use super::{PROTOCOLS, ip, warnings};
use crate::formats::{address, names};
use crate::{At, Faults, Rule};

pub(super) fn endpoints(object: &At<'_>, faults: &mut Faults) {
    for subset in object.at("subsets").items() {
        let lists = ["addresses", "notReadyAddresses"];
        if lists.iter().all(|list| subset.at(list).count() == 0) {
            super::check::need_one(&subset, &lists, "a subset", faults);
        }
        for list in lists {
            for address in subset.at(list).items() {
                let place = field(&address, "ip");
                if place.need("an IP address", faults).is_some() && ip(&place.at, "ip", faults) {
                    not_special(&place.at, faults);
                    warnings::ip(&place.at, faults);
                }
                field(&address, "hostname").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
                field(&address, "nodeName").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
            }
        }
        let ports = subset.at("ports");
        for port in ports.items() {
            let name = field(&port, "name");
            if name.at.text().is_empty() && ports.count() > 1 {
                name.missing("a name, because there are several ports", faults);
            }
            name.form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
            field(&port, "port").need_port(faults);
            field(&port, "protocol").one_of_or_empty(PROTOCOLS, faults);
            field(&port, "appProtocol").form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
        }
    }
}

/// Records an address that no endpoint can have.
pub(super) fn not_special(at: &At<'_>, faults: &mut Faults) {
    if let Some(why) = address::lenient(at.text()).and_then(address::special) {
        let message = format!("`{}` can't be the address of an endpoint: {why}", shown(at.text()));
        faults.error(Rule::InvalidValue, at, message, "write another address");
    }
}

pub(super) fn slice(object: &At<'_>, faults: &mut Faults) {
    let kind = field(object, "addressType").need_one_of(&["IPv4", "IPv6", "FQDN"], faults);
    if kind == "FQDN" {
        let message = "the address type `FQDN` is deprecated";
        faults.warning(Rule::ServerWarning, &object.at("addressType"), message, "write addresses of `IPv4` or `IPv6`");
    }
    ports(object, faults);
    let endpoints = field(object, "endpoints");
    endpoints.at_most(endpoints.at.count(), 1000, "endpoints", faults);
    for endpoint in endpoints.at.items() {
        let addresses = field(&endpoint, "addresses");
        if addresses.at.count() == 0 {
            addresses.missing("a list of at least one address", faults);
        }
        addresses.at_most(addresses.at.count(), 100, "addresses", faults);
        for address in addresses.at.items() {
            self::address(&address, kind, faults);
        }
        field(&endpoint, "nodeName").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
        field(&endpoint, "hostname").form(&names::DNS_LABEL, Rule::InvalidName, faults);
        hints(&endpoint.at("hints"), faults);
    }
}

fn address(at: &At<'_>, kind: &str, faults: &mut Faults) {
    let text = at.text();
    let wrong = match kind {
        "FQDN" => {
            if text.is_empty() {
                item(at, "addresses").missing("a domain name", faults);
            }
            return item(at, "addresses").form_or_empty(&names::DOMAIN_NAME, Rule::InvalidFormat, faults);
        }
        "IPv4" => {
            if !ip(at, "addresses", faults) {
                return;
            }
            address::lenient(text).is_some_and(|read| !read.is_ipv4())
        }
        "IPv6" => {
            let read = address::lenient(text);
            // Since 1.33 the address has its one right form.
            let canonical = address::strict(text).is_some_and(|read| read.to_string() == text);
            read.is_none_or(|read| !read.is_ipv6()) || (!canonical && faults.since(33))
        }
        _ => return,
    };
    if wrong {
        let message = format!("`{}` is not an {kind} address in its usual form", shown(text));
        return faults.error(Rule::InvalidFormat, at, message, format!("write an {kind} address"));
    }
    not_special(at, faults);
    if kind == "IPv4" {
        warnings::ip(at, faults);
    }
}

fn ports(object: &At<'_>, faults: &mut Faults) {
    let ports = field(object, "ports");
    ports.at_most(ports.at.count(), 20_000, "ports", faults);
    let mut seen = Seen::default();
    for port in ports.at.items() {
        let name = field(&port, "name");
        name.form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
        if !seen.insert(name.at.text()) {
            duplicate(&port, "the port", name.at.text(), faults);
        }
        field(&port, "protocol").one_of(PROTOCOLS, faults);
        field(&port, "appProtocol").form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
    }
}

fn hints(hints: &At<'_>, faults: &mut Faults) {
    for (list, form) in [("forZones", &names::LABEL_VALUE), ("forNodes", &names::DNS_SUBDOMAIN)] {
        let list = field(hints, list);
        list.at_most(list.at.count(), 8, "hints", faults);
        let mut seen = Seen::default();
        for hint in list.at.items() {
            let name = field(&hint, "name");
            name.form(form, Rule::InvalidName, faults);
            if name.at.is_absent() && !(form.holds)("") {
                name.missing("the name of a node", faults);
            }
            if !seen.insert(name.at.text()) {
                duplicate(&name.at, "the hint", name.at.text(), faults);
            }
        }
    }
}
