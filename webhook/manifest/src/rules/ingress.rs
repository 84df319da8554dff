//! Ingresses, their classes, and NetworkPolicies.

use super::check::{exclusive, field, item, need_one, shown};
use super::{PROTOCOLS, cidr, selector, warnings};
use crate::formats::{address, names};
use crate::{At, Faults, Rule};

const CLASS: &str = "kubernetes.io/ingress.class";

pub(super) fn ingress(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    let rules = spec.at("rules");
    let default = spec.at("defaultBackend");
    if rules.count() == 0 && default.is_absent() {
        need_one(&spec, &["rules", "defaultBackend"], "an Ingress", faults);
    }
    if default.is_present() {
        backend(&default, faults);
    }
    for rule in rules.items() {
        self::rule(&rule, faults);
    }
    for tls in spec.at("tls").items() {
        for name in tls.at("hosts").items() {
            if name.text().is_empty() {
                item(&name, "hosts").missing("the name of a host", faults);
            }
            host(&name, faults);
        }
        field(&tls, "secretName").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    }
    let class = field(&spec, "ingressClassName");
    class.form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    let Some(annotation) = object.at("metadata").at("annotations").entry(CLASS) else {
        return;
    };
    if class.at.is_absent() {
        let message = format!("the annotation `{CLASS}` is deprecated");
        faults.warning(Rule::ServerWarning, &annotation, message, "write the field `ingressClassName` instead");
    } else if class.at.text() != annotation.text() {
        let message = format!("the annotation `{CLASS}` and `ingressClassName` differ");
        faults.error(Rule::DependentFields, &annotation, message, "remove the annotation");
    }
}

fn host(at: &At<'_>, faults: &mut Faults) {
    let form = if at.text().contains('*') { &names::WILDCARD_SUBDOMAIN } else { &names::DNS_SUBDOMAIN };
    item(at, "host").form_or_empty(form, Rule::InvalidName, faults);
}

fn rule(rule: &At<'_>, faults: &mut Faults) {
    let name = rule.at("host");
    if address::lenient(name.text()).is_some() {
        let message = format!("`{}` is an address, but `host` must be a DNS name", shown(name.text()));
        faults.error(Rule::InvalidName, &name, message, "write a DNS name, or remove `host`");
    } else {
        host(&name, faults);
    }
    let http = rule.at("http");
    if http.is_absent() {
        return;
    }
    let paths = field(&http, "paths");
    if paths.at.count() == 0 {
        paths.missing("a list of at least one path", faults);
    }
    for path in paths.at.items() {
        let text = path.at("path").text();
        let kind = field(&path, "pathType");
        if kind.at.is_absent() {
            kind.missing("one of `Exact`, `Prefix`, `ImplementationSpecific`", faults);
            continue;
        }
        kind.one_of(&["Exact", "Prefix", "ImplementationSpecific"], faults);
        let exact = matches!(kind.at.text(), "Exact" | "Prefix");
        let fault = match kind.at.text() {
            _ if !text.starts_with('/') && (exact || !text.is_empty()) => Some("it must begin with `/`"),
            "Exact" | "Prefix" => path_fault(text),
            _ => None,
        };
        if let Some(fault) = fault {
            let message = format!("`path` is `{}`, but {fault}", shown(text));
            faults.error(Rule::InvalidFormat, &path.at("path"), message, "write a path such as `/` or `/app`");
        }
        backend(&path.at("backend"), faults);
    }
}

fn path_fault(path: &str) -> Option<&'static str> {
    if ["//", "/./", "/../"].iter().any(|part| path.contains(part)) || path.ends_with("/..") || path.ends_with("/.") {
        return Some("it must not have an empty part, `.` or `..`");
    }
    (path.contains("%2f") || path.contains("%2F")).then_some("it must not have an encoded `/`")
}

fn backend(backend: &At<'_>, faults: &mut Faults) {
    let kinds = ["service", "resource"];
    match exclusive(backend, &kinds, "a backend", faults) {
        0 => return need_one(backend, &kinds, "a backend", faults),
        1 => {}
        _ => return,
    }
    let resource = backend.at("resource");
    if resource.is_present() {
        field(&resource, "apiGroup").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
        for name in ["kind", "name"] {
            let part = field(&resource, name);
            part.need("what the backend is", faults);
            part.form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
        }
        return;
    }
    let service = backend.at("service");
    let form = if faults.since(36) { &names::DNS_LABEL } else { &names::DNS_1035_LABEL };
    field(&service, "name").need_form(form, Rule::InvalidName, faults);
    let port = service.at("port");
    let (named, numbered) = (!port.at("name").text().is_empty(), port.at("number").int().unwrap_or(0) != 0);
    match (named, numbered) {
        (true, true) => {
            let message = "`name` and `number` of the port are both set, but exclude each other";
            faults.error(Rule::ExclusiveFields, &port, message, "remove `name` or `number`");
        }
        (true, false) => field(&port, "name").form(&names::PORT_NAME, Rule::InvalidName, faults),
        (false, true) => field(&port, "number").port(faults),
        (false, false) => need_one(&port, &["name", "number"], "the port of a backend", faults),
    }
}

pub(super) fn class(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    let controller = field(&spec, "controller");
    controller.at_most(controller.at.text().len(), 250, "characters", faults);
    controller.need_form(&names::DOMAIN_PATH, Rule::InvalidName, faults);
    let parameters = spec.at("parameters");
    if parameters.is_absent() {
        return;
    }
    field(&parameters, "apiGroup").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    for name in ["kind", "name"] {
        let part = field(&parameters, name);
        part.need("what the parameters are in", faults);
        part.form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
    }
    let scope = field(&parameters, "scope");
    scope.one_of(&["Cluster", "Namespace"], faults);
    let namespace = field(&parameters, "namespace");
    match scope.at.str().unwrap_or("Cluster") {
        "Cluster" => namespace.forbid(Rule::ExclusiveFields, "with `scope: Cluster`", faults),
        "Namespace" => {
            namespace.need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
        }
        _ => {}
    }
}

pub(super) fn network_policy(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    selector::label_selector(&spec.at("podSelector"), faults);
    for (direction, side) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(direction).items() {
            for port in rule.at("ports").items() {
                policy_port(&port, faults);
            }
            for peer in rule.at(side).items() {
                self::peer(&peer, faults);
            }
        }
    }
    let types = field(&spec, "policyTypes");
    types.at_most(types.at.count(), 2, "types", faults);
    for kind in types.at.items() {
        item(&kind, "policyTypes").need_one_of(&["Ingress", "Egress"], faults);
    }
}

fn policy_port(port: &At<'_>, faults: &mut Faults) {
    field(port, "protocol").one_of(PROTOCOLS, faults);
    let (start, end) = (field(port, "port"), field(port, "endPort"));
    if start.at.is_absent() {
        return end.forbid(Rule::DependentFields, "without `port`", faults);
    }
    start.need_port_or_name(faults);
    if start.at.str().is_some() {
        return end.forbid(Rule::ExclusiveFields, "with the name of a port", faults);
    }
    end.port(faults);
    if let (Some(first), Some(last)) = (start.at.int(), end.at.int())
        && last < first
    {
        let message = format!("`endPort` is {last}, but must not be below `port`, which is {first}");
        faults.error(Rule::DependentFields, &end.at, message, "swap the two numbers");
    }
}

fn peer(peer: &At<'_>, faults: &mut Faults) {
    let kinds = ["podSelector", "namespaceSelector", "ipBlock"];
    let block = peer.at("ipBlock");
    if kinds.iter().all(|kind| peer.at(kind).is_absent()) {
        need_one(peer, &kinds, "a peer", faults);
    }
    for kind in ["podSelector", "namespaceSelector"] {
        let chosen = field(peer, kind);
        selector::label_selector(&chosen.at, faults);
        if block.is_present() {
            chosen.forbid(Rule::ExclusiveFields, "with `ipBlock`", faults);
        }
    }
    if block.is_absent() {
        return;
    }
    let range = field(&block, "cidr");
    let Some(text) = range.need("a range such as `10.0.0.0/8`", faults) else {
        return;
    };
    if !cidr(&range.at, text, faults) {
        return;
    }
    warnings::range(&range.at, faults);
    let outer = address::lenient_range(text);
    for except in block.at("except").items() {
        warnings::range(&except, faults);
        if !cidr(&except, except.text(), faults) {
            continue;
        }
        if let (Some(outer), Some(inner)) = (outer, address::lenient_range(except.text()))
            && !address::contains(outer, inner)
        {
            let message = format!("`{}` is not a smaller range in `{}`", shown(except.text()), shown(text));
            faults.error(Rule::DependentFields, &except, message, "write a range inside of `cidr`");
        }
    }
}
