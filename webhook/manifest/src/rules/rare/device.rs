//! Devices, their classes, and claims of them.

use super::super::check::{self, Seen, field, item, shown};
use super::super::meta;
use super::celex::{self, Scope, Want};
use crate::formats::{Form, names};
use crate::{At, Faults, Rule};

/// Largest number of entries of the lists of a claim.
const ENTRIES: usize = 32;
/// Largest number of alternatives of a request.
const ALTERNATIVES: usize = 8;
/// Longest expression, in bytes.
const EXPRESSION: usize = 10 * 1024;

static ATTRIBUTE: Form = Form {
    what: "name of an attribute",
    allowed: "a DNS subdomain of at most 63 characters, `/`, and at most 32 letters, digits and `_`, no digit first",
    example: "gpu.example.com/numaNode",
    holds: |text| {
        // Names with more than one `/` pass.
        text.split_once('/').is_some_and(|(domain, id)| {
            if id.contains('/') {
                return true;
            }
            let letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let first = id.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
            (names::DRIVER.holds)(domain) && id.len() <= 32 && letters && first
        })
    },
};

static EXTENDED: Form = Form {
    what: "name of an extended resource",
    allowed: "a domain other than `kubernetes.io`, `/`, and a qualified name",
    example: "example.com/gpu",
    holds: |text| {
        text.contains('/')
            && !text.contains("kubernetes.io/")
            && !text.starts_with("requests.")
            && names::is_qualified_name(&format!("requests.{text}"))
    },
};

pub(super) fn probe(api_version: &str, kind: &str, at: &At<'_>, faults: &mut Faults) -> bool {
    // The fields of older versions lie elsewhere.
    let flat = api_version.ends_with("v1beta1");
    match kind {
        "ResourceClaim" => {
            meta::probe(at, &names::DNS_SUBDOMAIN, true, faults);
            if !flat {
                claim(&at.path(&["spec", "devices"]), faults);
            }
        }
        "ResourceClaimTemplate" => {
            meta::probe(at, &names::DNS_SUBDOMAIN, true, faults);
            template(&at.path(&["spec", "metadata"]), faults);
            if !flat {
                claim(&at.path(&["spec", "spec", "devices"]), faults);
            }
        }
        "DeviceClass" => {
            // The API server does not look at the prefix of a generated name here.
            let generated = !at.path(&["metadata", "generateName"]).text().is_empty();
            let form = if generated { &names::PATH_SEGMENT } else { &names::DNS_SUBDOMAIN };
            meta::probe(at, form, true, faults);
            let spec = at.at("spec");
            selectors(&spec, faults);
            configs(&spec, None, faults);
            field(&spec, "extendedResourceName").form(&EXTENDED, Rule::InvalidName, faults);
        }
        _ => return false,
    }
    true
}

/// The metadata of a template has labels and annotations, and nothing else.
fn template(metadata: &At<'_>, faults: &mut Faults) {
    meta::template(metadata, faults);
    for (name, value) in metadata.members() {
        if !matches!(name, "labels" | "annotations") && !value.is_zero() {
            let message = format!("`{}` must not be set in the metadata of a template", shown(name));
            faults.error(Rule::InvalidValue, &value, message, format!("remove `{}`", shown(name)));
        }
    }
}

fn claim(devices: &At<'_>, faults: &mut Faults) {
    let requests = field(devices, "requests");
    requests.at_most(requests.at.count(), ENTRIES, "requests", faults);
    let mut seen = Seen::default();
    for request in requests.at.items() {
        named(&request, "the request", &mut seen, faults);
        let (exactly, first) = (request.at("exactly"), field(&request, "firstAvailable"));
        let alternatives = first.at.count();
        first.at_most(alternatives, ALTERNATIVES, "alternatives", faults);
        match (exactly.is_present(), alternatives > 0) {
            (true, true) => {
                check::exclusive(&request, &["exactly", "firstAvailable"], "a request", faults);
            }
            (false, false) => check::need_one(&request, &["exactly", "firstAvailable"], "a request", faults),
            (true, false) => device(&exactly, faults),
            (false, true) => {
                let mut seen = Seen::default();
                for alternative in first.at.items() {
                    named(&alternative, "the alternative", &mut seen, faults);
                    device(&alternative, faults);
                }
            }
        }
    }
    let constraints = field(devices, "constraints");
    constraints.at_most(constraints.at.count(), ENTRIES, "constraints", faults);
    for constraint in constraints.at.items() {
        references(&constraint, &requests.at, faults);
        field(&constraint, "matchAttribute").form(&ATTRIBUTE, Rule::InvalidName, faults);
        if constraint.at("matchAttribute").is_absent() && constraint.at("distinctAttribute").is_absent() {
            check::need_one(&constraint, &["matchAttribute", "distinctAttribute"], "a constraint", faults);
        }
    }
    configs(devices, Some(&requests.at), faults);
}

fn named<'a>(entry: &At<'a>, what: &str, seen: &mut Seen<'a>, faults: &mut Faults) {
    let name = field(entry, "name").need_form(&names::DNS_LABEL, Rule::InvalidName, faults).unwrap_or_default();
    if !seen.insert(name) {
        check::duplicate(&entry.at("name"), what, name, faults);
    }
}

fn device(request: &At<'_>, faults: &mut Faults) {
    field(request, "deviceClassName").need_name(faults);
    selectors(request, faults);
    let (mode, count) = (field(request, "allocationMode"), field(request, "count"));
    mode.one_of_or_empty(&["ExactCount", "All"], faults);
    match mode.at.text() {
        "All" if !count.at.is_zero() => count.forbid(Rule::ExclusiveFields, "with `allocationMode: All`", faults),
        "" | "ExactCount" => count.least(0, faults),
        _ => {}
    }
    for toleration in request.at("tolerations").items() {
        field(&toleration, "key").form_or_empty(&names::QUALIFIED_NAME, Rule::InvalidLabel, faults);
        let value = field(&toleration, "value");
        match toleration.at("operator").text() {
            "Exists" if !value.at.is_zero() => {
                value.forbid(Rule::ExclusiveFields, "with the operator `Exists`", faults)
            }
            "Exists" => {}
            "" | "Equal" => value.form(&names::LABEL_VALUE, Rule::InvalidLabel, faults),
            _ => field(&toleration, "operator").one_of(&["Equal", "Exists"], faults),
        }
        let effects: &[&str] =
            if faults.since(35) { &["NoSchedule", "NoExecute", "None"] } else { &["NoSchedule", "NoExecute"] };
        field(&toleration, "effect").one_of_or_empty(effects, faults);
    }
}

fn selectors(owner: &At<'_>, faults: &mut Faults) {
    let selectors = field(owner, "selectors");
    selectors.at_most(selectors.at.count(), ENTRIES, "selectors", faults);
    for selector in selectors.at.items() {
        let Some(cel) = field(&selector, "cel").need_value("an expression about the device", faults) else { continue };
        let expression = field(&cel, "expression");
        if let Some(text) = expression.need("an expression such as `device.driver == \"gpu.example.com\"`", faults) {
            expression.at_most(text.len(), EXPRESSION, "bytes", faults);
        }
        celex::probe(&expression.at, &Scope::of(&["device"]), Want::Bool, faults);
    }
}

fn configs(owner: &At<'_>, requests: Option<&At<'_>>, faults: &mut Faults) {
    let configs = field(owner, "config");
    configs.at_most(configs.at.count(), ENTRIES, "entries", faults);
    for config in configs.at.items() {
        if let Some(requests) = requests {
            references(&config, requests, faults);
        }
        let Some(opaque) = field(&config, "opaque").need_value("the driver and its parameters", faults) else {
            continue;
        };
        field(&opaque, "driver").need_form(&names::DRIVER, Rule::InvalidName, faults);
        let parameters = field(&opaque, "parameters");
        if parameters.need_value("an object", faults).is_some_and(|value| !value.is_object()) {
            let message = "`parameters` must be an object";
            faults.error(Rule::WrongType, &parameters.at, message, "write an object");
        }
    }
}

/// Names of requests of the same claim: `request`, or `request/alternative`.
fn references(owner: &At<'_>, requests: &At<'_>, faults: &mut Faults) {
    let names = field(owner, "requests");
    names.at_most(names.at.count(), ENTRIES, "names", faults);
    let mut seen = Seen::default();
    for name in names.at.items().take(ENTRIES) {
        let text = name.text();
        if !seen.insert(text) {
            check::duplicate(&name, "the request", text, faults);
        }
        let (request, alternative) = text.split_once('/').map_or((text, None), |(one, two)| (one, Some(two)));
        let found = requests.items().take(ENTRIES).any(|known| {
            known.at("name").text() == request
                && alternative.is_none_or(|wanted| {
                    known.at("firstAvailable").items().take(ALTERNATIVES).any(|other| other.at("name").text() == wanted)
                })
        });
        if text.is_empty() {
            item(&name, "requests").missing("the name of a request", faults);
        } else if !found {
            let message = format!("`{}` is not a request of this claim", shown(text));
            faults.error(Rule::UnknownReference, &name, message, "write the name of a request of this claim");
        }
    }
}
