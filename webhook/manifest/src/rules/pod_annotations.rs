//! Annotations of Pods that mean something to Kubernetes.

use super::check::shown;
use super::pod::Pod;
use crate::formats::paths;
use crate::{At, Faults, Rule};

pub(super) const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
pub(super) const SECCOMP: &str = "container.seccomp.security.alpha.kubernetes.io/";
pub(super) const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Checks the annotations of a Pod or template.
pub(super) fn probe(pod: &Pod<'_>, faults: &mut Faults) {
    for (key, value) in pod.object.at("metadata").at("annotations").members() {
        match key {
            "kubernetes.io/config.mirror" if pod.spec.at("nodeName").text().is_empty() => {
                let message = "the annotation `kubernetes.io/config.mirror` needs `nodeName`";
                faults.error(Rule::DependentFields, &value, message, "remove the annotation");
            }
            "controller.kubernetes.io/pod-deletion-cost" if !is_cost(value.text()) => {
                let message = format!("`{}` is not a whole number of 32 bits", shown(value.text()));
                faults.error(Rule::InvalidFormat, &value, message, "write a number such as `100`");
            }
            SECCOMP_POD => seccomp(&value, &pod.spec, faults),
            _ => of_container(pod, key, &value, faults),
        }
    }
}

fn is_cost(text: &str) -> bool {
    let canonical = match text.strip_prefix('-') {
        Some(_) => true,
        None => text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9')),
    };
    canonical && text.parse::<i32>().is_ok()
}

fn of_container(pod: &Pod<'_>, key: &str, value: &At<'_>, faults: &mut Faults) {
    if let Some(name) = key.strip_prefix(SECCOMP) {
        match container(&pod.spec, name) {
            Some(container) => seccomp(value, &container, faults),
            None => is_profile(value, faults),
        }
    } else if let Some(name) = key.strip_prefix(APP_ARMOR) {
        let Some(container) = container(&pod.spec, name) else {
            let message = format!("no container of the Pod is named `{}`", shown(name));
            return faults.error(Rule::UnknownReference, value, message, "write the name of a container behind `/`");
        };
        let profile = value.text();
        let fine = matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/");
        if !fine {
            let message = format!("`{}` is not an AppArmor profile", shown(profile));
            faults.error(Rule::NotOneOf, value, message, "write `runtime/default`, `unconfined` or `localhost/NAME`");
        } else if pod.spec.path(&["os", "name"]).text() != "windows" {
            let own = container.path(&["securityContext", "appArmorProfile"]);
            let whole = pod.spec.path(&["securityContext", "appArmorProfile"]);
            agree(value, if own.is_present() { &own } else { &whole }, &["runtime/default"], faults);
        }
    }
}

fn container<'a>(spec: &At<'a>, name: &str) -> Option<At<'a>> {
    let mut all = spec.at("initContainers").items().chain(spec.at("containers").items());
    all.find(|container| container.at("name").text() == name)
}

/// A seccomp profile in an annotation, and in the security context of the same Pod or container.
fn seccomp(value: &At<'_>, owner: &At<'_>, faults: &mut Faults) {
    is_profile(value, faults);
    agree(value, &owner.path(&["securityContext", "seccompProfile"]), &["runtime/default", "docker/default"], faults);
}

fn is_profile(value: &At<'_>, faults: &mut Faults) {
    let profile = value.text();
    let fine = match profile.strip_prefix("localhost/") {
        Some(path) => paths::relative_fault(path).is_none(),
        None => matches!(profile, "runtime/default" | "docker/default" | "unconfined"),
    };
    if !fine {
        let message = format!("`{}` is not a seccomp profile", shown(profile));
        faults.error(Rule::NotOneOf, value, message, "remove the annotation, and write `seccompProfile`");
    }
}

/// Records that an annotation and a field name different profiles.
fn agree(value: &At<'_>, profile: &At<'_>, default: &[&str], faults: &mut Faults) {
    let annotation = value.text();
    let same = match profile.at("type").text() {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => default.contains(&annotation),
        "Localhost" => annotation.strip_prefix("localhost/") == profile.at("localhostProfile").str(),
        _ => true,
    };
    if !same {
        let message = format!(
            "the annotation asks for the profile `{}`, and the security context for another",
            shown(annotation)
        );
        faults.error(Rule::DependentFields, value, message, "remove the annotation");
    }
}
