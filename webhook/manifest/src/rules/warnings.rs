//! Warnings of the API server that several kinds share.

use super::check::shown;
use crate::formats::quantity::Quantity;
use crate::formats::{address, names};
use crate::{At, Faults, Rule};

/// Labels of nodes that are deprecated, and what replaces them.
const LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ("app.kubernetes.io/created-by", ""),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", ""),
    ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"),
];

/// Warns about a deprecated label of nodes.
pub(super) fn label(at: &At<'_>, key: &str, faults: &mut Faults) {
    if let Some((_, instead)) = LABELS.iter().find(|(known, _)| *known == key) {
        let help = match *instead {
            "" => "remove it".into(),
            instead => format!("write `{instead}`"),
        };
        faults.warning(Rule::ServerWarning, at, format!("the label `{key}` of nodes is deprecated"), help);
    }
}

/// Warns about deprecated labels in a term that selects nodes.
pub(super) fn node_term(term: &At<'_>, faults: &mut Faults) {
    for expression in term.at("matchExpressions").items() {
        let key = expression.at("key");
        label(&key, key.text(), faults);
    }
}

/// Warns about a part of a byte: `512m` is half a byte, not half a megabyte.
pub(super) fn fraction(at: &At<'_>, value: Quantity, faults: &mut Faults) {
    if !value.thousandths().is_whole() {
        let message = format!("`{value}` is a fraction of a byte: `m` means thousandths");
        faults.warning(Rule::ServerWarning, at, message, "write a whole number of bytes, such as `512Mi`");
    }
}

/// Warns about fractions of bytes in the spec of a claim.
pub(super) fn claim(spec: &At<'_>, faults: &mut Faults) {
    for list in ["requests", "limits"] {
        let storage = spec.path(&["resources", list, "storage"]);
        if let Some(value) = Quantity::at(&storage) {
            fraction(&storage, value, faults);
        }
    }
}

/// Warns about an address that is not written in the usual form.
pub(super) fn ip(at: &At<'_>, faults: &mut Faults) {
    let text = at.text();
    let Some(read) = address::lenient(text) else {
        return;
    };
    let odd = match address::strict(text) {
        None => true,
        Some(strict) => strict.is_ipv6() && strict.to_string() != text,
    };
    if odd {
        let message = format!("`{}` is not the usual form of this address", shown(text));
        faults.warning(Rule::ServerWarning, at, message, format!("write `{read}`"));
    }
}

/// Warns about a range that is not written in the usual form.
pub(super) fn range(at: &At<'_>, faults: &mut Faults) {
    let text = at.text().trim();
    let Some((read, length)) = address::lenient_range(text) else {
        return;
    };
    let odd = match address::strict_range(text) {
        None => true,
        Some(_) => read.is_ipv6() && format!("{read}/{length}") != text,
    };
    if odd {
        let message = format!("`{}` is not the usual form of this range", shown(text));
        faults.warning(Rule::ServerWarning, at, message, "write it without leading zeros and bits behind the prefix");
    }
}

/// Warns that a name is no DNS label, although names of hosts are made from it.
pub(super) fn name_of_host(object: &At<'_>, faults: &mut Faults) {
    let name = object.at("metadata").at("name");
    if let Some(text) = name.str().filter(|text| names::is_dns_subdomain(text) && !names::is_dns_label(text)) {
        let message = format!("`{}` is not a DNS label, although the names of hosts are made from it", shown(text));
        faults.warning(Rule::ServerWarning, &name, message, format!("use {}", names::DNS_LABEL.allowed));
    }
}

/// Warns about deprecated annotations of a PersistentVolume or claim.
pub(super) fn storage_annotations(object: &At<'_>, known: &[(&str, &str)], faults: &mut Faults) {
    let annotations = object.at("metadata").at("annotations");
    for (key, instead) in known {
        if let Some(at) = annotations.entry(key) {
            let message = format!("the annotation `{key}` is deprecated");
            faults.warning(Rule::ServerWarning, &at, message, format!("write the field `{instead}` instead"));
        }
    }
}
