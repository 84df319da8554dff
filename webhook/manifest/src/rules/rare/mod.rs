//! Kinds that few people write by hand.

mod access;
mod admission;
mod aggregation;
mod cel_tokens;
pub(super) mod celex;
mod certificate;
mod csi;
mod device;
mod event;
mod flow;
mod node;
mod range;

use super::check::field;
use super::meta;
use crate::formats::names;
use crate::{At, Faults, Rule};

/// Judges the object if its kind is one of these. Returns whether it is.
pub(super) fn probe(api_version: &str, kind: &str, at: &At<'_>, faults: &mut Faults) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("storage.k8s.io", _) => return csi::probe(kind, at, faults),
        ("admissionregistration.k8s.io", _) => return admission::probe(kind, at, faults),
        ("flowcontrol.apiserver.k8s.io", _) => return flow::probe(kind, at, faults),
        ("resource.k8s.io", _) => return device::probe(api_version, kind, at, faults),
        ("authorization.k8s.io" | "authentication.k8s.io", _) => access::probe(kind, at, faults),
        ("apiregistration.k8s.io", "APIService") => aggregation::probe(at, faults),
        ("certificates.k8s.io", "CertificateSigningRequest") => certificate::probe(at, faults),
        ("" | "events.k8s.io", "Event") => event::probe(group, at, faults),
        ("", "Node") => node::probe(at, faults),
        ("networking.k8s.io", "IPAddress") => range::address(at, faults),
        ("networking.k8s.io", "ServiceCIDR") => range::probe(at, faults),
        ("apps", "ControllerRevision") => revision(at, faults),
        _ => return false,
    }
    true
}

fn revision(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    field(object, "revision").least(0, faults);
    let data = field(object, "data");
    if data.need_value("an object", faults).is_some_and(|data| !data.is_object()) {
        faults.error(Rule::WrongType, &data.at, "`data` must be an object", "write an object");
    }
}
