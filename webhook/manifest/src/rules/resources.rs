//! Requests, limits and claims of containers and Pods.

use super::check::{Seen, duplicate, field, item, shown};
use crate::formats::names;
use crate::formats::quantity::Quantity;
use crate::{At, Faults, Rule};

/// Resources of Kubernetes that need no domain.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that are counted, so that their quantities are whole numbers.
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Whose resources a list is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Container,
    Pod,
}

pub(super) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && {
        let (prefix, rest) = name.split_once('/').unwrap_or(("", name));
        // The name behind `requests.` has to be well-formed too.
        names::is_qualified_name(name) && prefix.len() + "requests.".len() <= 253 && !rest.is_empty()
    }
}

/// Whether requests of the resource may be below the limit.
pub(super) fn is_overcommitted(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

/// A name of a resource, with a domain unless it is one of Kubernetes' own.
pub(super) fn name(at: &At<'_>, name: &str, faults: &mut Faults) -> bool {
    if !names::is_qualified_name(name) {
        let message =
            format!("`{}` is not a valid name of a resource: use {}", shown(name), names::QUALIFIED_NAME.allowed);
        faults.error(Rule::InvalidName, at, message, "write a resource such as `cpu` or `example.com/gpu`");
        return false;
    }
    let known =
        name.contains('/') || STANDARD.contains(&name) || is_huge_page(name) || name.starts_with("requests.hugepages-");
    if !known {
        unknown(
            at,
            name,
            "a resource of Kubernetes, and has no domain",
            "`cpu`, `memory` or `example.com/gpu`",
            faults,
        );
    }
    known
}

fn unknown(at: &At<'_>, name: &str, is_not: &str, such_as: &str, faults: &mut Faults) {
    let message = format!("`{}` is not {is_not}", shown(name));
    faults.error(Rule::InvalidName, at, message, format!("write a resource such as {such_as}"));
}

/// A name of a resource that containers can have.
pub(super) fn container_name(at: &At<'_>, resource: &str, faults: &mut Faults) {
    if !name(at, resource, faults) {
        return;
    }
    let standard = matches!(resource, "cpu" | "memory" | "ephemeral-storage") || is_huge_page(resource);
    let allowed = if resource.contains('/') { is_native(resource) || is_extended(resource) } else { standard };
    if !allowed {
        let such_as = "`cpu`, `memory`, `ephemeral-storage`, `hugepages-2Mi` or `example.com/gpu`";
        unknown(at, resource, "a resource of containers", such_as, faults);
    }
}

/// The quantity of a resource: not negative, and whole if the resource is counted.
pub(super) fn amount(at: &At<'_>, resource: &str, faults: &mut Faults) {
    item(at, "quantity").not_negative(faults);
    let counted = COUNTED.contains(&resource) || is_extended(resource);
    if counted && Quantity::at(at).is_some_and(|value| !value.thousandths().is_whole()) {
        let message = format!("`{}` is counted, so that its quantity must be a whole number", shown(resource));
        faults.error(Rule::InvalidQuantity, at, message, "write a whole number");
    }
}

/// `resources` of a container or Pod. `claims` are the claims of the Pod, if they matter.
pub(super) fn probe(resources: &At<'_>, owner: Owner, claims: Option<&Seen<'_>>, faults: &mut Faults) {
    let limits = resources.at("limits");
    let requests = resources.at("requests");
    lists(resources, &limits, Some(&requests), owner, faults);
    if let Some(claims) = claims {
        self::claims(&resources.at("claims"), claims, faults);
    }
}

/// Limits alone, such as the overhead of a RuntimeClass.
pub(super) fn limits_only(limits: &At<'_>, faults: &mut Faults) {
    lists(limits, limits, None, Owner::Container, faults);
}

fn lists(resources: &At<'_>, limits: &At<'_>, requests: Option<&At<'_>>, owner: Owner, faults: &mut Faults) {
    let (mut basic, mut huge) = (false, false);
    for (list, is_request) in [(Some(limits), false), (requests, true)] {
        for (resource, value) in list.into_iter().flat_map(At::members) {
            match owner {
                Owner::Container => container_name(&value, resource, faults),
                Owner::Pod if matches!(resource, "cpu" | "memory") || is_huge_page(resource) => {}
                Owner::Pod => {
                    unknown(&value, resource, "a resource of Pods", "`cpu`, `memory` or `hugepages-2Mi`", faults);
                }
            }
            amount(&value, resource, faults);
            basic |= matches!(resource, "cpu" | "memory");
            if is_huge_page(resource) {
                huge = true;
                pages(&value, resource, faults);
            }
            if is_request {
                request(&value, resource, limits, faults);
            }
        }
    }
    if huge && !basic {
        let message = "huge pages are set without `cpu` or `memory`, but need one of them";
        faults.error(Rule::DependentFields, resources, message, "add `cpu` or `memory`");
    }
}

/// A request, beside the limit of the same resource.
fn request(request: &At<'_>, resource: &str, limits: &At<'_>, faults: &mut Faults) {
    let overcommitted = is_overcommitted(resource);
    let Some(limit) = limits.entry(resource) else {
        if !overcommitted {
            let message = format!("`{}` has a request without a limit, but both must be equal", shown(resource));
            faults.error(Rule::DependentFields, request, message, format!("add `{resource}` to `limits`"));
        }
        return;
    };
    let (Some(wanted), Some(most)) = (Quantity::entry(request), Quantity::entry(&limit)) else {
        return;
    };
    let relation = match overcommitted {
        false if wanted != most => "equal to",
        true if wanted > most => "at most",
        _ => return,
    };
    let message =
        format!("the request for `{}` is {wanted}, but must be {relation} the limit of {most}", shown(resource));
    faults.error(Rule::DependentFields, request, message, "lower the request, or raise the limit");
}

/// A quantity of huge pages: a multiple of the size of a page.
fn pages(at: &At<'_>, resource: &str, faults: &mut Faults) {
    let size = resource.strip_prefix("hugepages-").and_then(Quantity::parse);
    let Some(value) = Quantity::entry(at) else {
        return;
    };
    let size = size.filter(|size| size.is_positive() && size.thousandths().is_whole());
    if size.is_none_or(|size| value.whole() % size.whole() != 0) {
        let message = format!("the quantity of `{}` is not a multiple of its page size", shown(resource));
        faults.error(Rule::InvalidQuantity, at, message, "write a multiple of the page size");
    }
}

fn claims(claims: &At<'_>, known: &Seen<'_>, faults: &mut Faults) {
    // Before 1.34 claims were removed.
    if !faults.since(34) {
        return;
    }
    let mut whole = Seen::default();
    let mut named = Seen::default();
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for claim in claims.items() {
        let Some(name) = field(&claim, "name").need("the name of a claim of the Pod", faults) else {
            continue;
        };
        let request = claim.at("request").text();
        let again = whole.has(name)
            || match request {
                "" => named.has(name),
                _ => pairs.contains(&(name, request)),
            };
        if again {
            duplicate(&claim, "the claim", name, faults);
        }
        if request.is_empty() {
            whole.insert(name);
        } else {
            field(&claim, "request").form(&names::DNS_LABEL, Rule::InvalidName, faults);
            if pairs.len() < 256 {
                pairs.push((name, request));
            }
        }
        named.insert(name);
        if !known.has(name) {
            let message = format!("`{}` is not one of `resourceClaims` of the Pod", shown(name));
            faults.error(Rule::UnknownReference, &claim.at("name"), message, "add the claim to `resourceClaims`");
        }
    }
}
