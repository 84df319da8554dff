//! Resources of a Pod as a whole, beside those of its containers.

use super::check::field;
use super::pod::Pod;
use super::resources::{self, Owner, is_huge_page};
use crate::formats::quantity::Quantity;
use crate::{At, Faults, Rule};

/// Checks `resources` of a Pod.
pub(super) fn probe(pod: &Pod<'_>, faults: &mut Faults) {
    let resources = field(&pod.spec, "resources");
    // Before 1.34 the field was removed.
    if resources.at.is_absent() || !faults.since(34) {
        return;
    }
    if pod.spec.path(&["os", "name"]).text() == "windows" {
        return resources.forbid(Rule::ExclusiveFields, "for a Windows Pod", faults);
    }
    field(&resources.at, "claims").forbid(Rule::InvalidValue, "for a whole Pod", faults);
    resources::probe(&resources.at, Owner::Pod, None, faults);
    let requests = resources.at.at("requests");
    for (resource, request) in requests.members() {
        let sum = sum(pod, "requests", resource);
        below(&request, sum, resource, "requests", faults);
    }
    for (resource, limit) in resources.at.at("limits").members() {
        if is_huge_page(resource) {
            below(&limit, sum(pod, "limits", resource), resource, "limits", faults);
        } else if pod.is_pod && requests.entry(resource).is_none() {
            // A Pod without the request gets the sum of its containers.
            below(&limit, sum(pod, "requests", resource), resource, "requests", faults);
        }
        for container in pod.spec.at("containers").items() {
            own_limit(&container, resource, &limit, faults);
        }
    }
}

/// The value of the Pod must not be below the sum of the containers.
fn below(at: &At<'_>, sum: Option<Quantity>, resource: &str, list: &str, faults: &mut Faults) {
    if let (Some(whole), Some(sum)) = (Quantity::entry(at), sum)
        && sum > whole
    {
        let message = format!("the Pod {list} {whole} of `{resource}`, but its containers {list} {sum}");
        faults.error(Rule::DependentFields, at, message, format!("write at least {sum}"));
    }
}

fn own_limit(container: &At<'_>, resource: &str, limit: &At<'_>, faults: &mut Faults) {
    let Some(own) = container.path(&["resources", "limits"]).entry(resource) else {
        return;
    };
    if let (Some(value), Some(most)) = (Quantity::entry(&own), Quantity::entry(limit))
        && value > most
    {
        let message = format!("the container's limit for `{resource}` is {value}, but the Pod's limit is {most}");
        faults.error(Rule::DependentFields, &own, message, format!("write at most {most}"));
    }
}

/// What the containers need together: all containers at once, or the init container that needs most.
fn sum(pod: &Pod<'_>, list: &'static str, resource: &str) -> Option<Quantity> {
    let of = |container: &At<'_>| {
        let resources = container.at("resources");
        let own = Quantity::in_list(&resources.at(list), resource);
        // In a Pod a missing request is the limit.
        let limit = || Quantity::in_list(&resources.at("limits"), resource);
        own.or_else(|| if pod.is_pod && list == "requests" { limit() } else { None })
    };
    let mut found = false;
    let mut running = Quantity::ZERO;
    for container in pod.spec.at("containers").items() {
        if let Some(value) = of(&container) {
            found = true;
            running = running.plus(value);
        }
    }
    let mut sidecars = Quantity::ZERO;
    let mut most = Quantity::ZERO;
    for container in pod.spec.at("initContainers").items() {
        let value = of(&container);
        found |= value.is_some();
        let value = value.unwrap_or(Quantity::ZERO);
        if container.at("restartPolicy").text() == "Always" {
            running = running.plus(value);
            sidecars = sidecars.plus(value);
            most = most.max(sidecars);
        } else {
            most = most.max(sidecars.plus(value));
        }
    }
    found.then_some(running.max(most))
}
