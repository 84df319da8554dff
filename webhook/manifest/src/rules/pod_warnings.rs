//! Warnings of the API server about Pods and their templates.

use super::check::{Seen, shown};
use super::pod::Pod;
use super::pod_annotations::{APP_ARMOR, SECCOMP, SECCOMP_POD};
use super::{overlap, warnings};
use crate::formats::names;
use crate::formats::quantity::Quantity;
use crate::{At, Faults, Rule};

/// Annotations that do nothing any more, and what to write instead.
const ANNOTATIONS: &[(&str, &str)] = &[
    ("scheduler.alpha.kubernetes.io/critical-pod", "priorityClassName"),
    ("security.alpha.kubernetes.io/sysctls", "sysctls"),
    ("security.alpha.kubernetes.io/unsafe-sysctls", "sysctls"),
];

/// Kinds of volumes that are gone or going.
const VOLUMES: &[(&str, &str)] = &[
    ("photonPersistentDisk", "does nothing since 1.16"),
    ("gitRepo", "is deprecated, and disabled since 1.33"),
    ("scaleIO", "does nothing since 1.22"),
    ("flocker", "does nothing since 1.25"),
    ("storageos", "does nothing since 1.25"),
    ("quobyte", "does nothing since 1.25"),
    ("glusterfs", "does nothing since 1.26"),
    ("cephfs", "does nothing since 1.31"),
    ("rbd", "does nothing since 1.31"),
];

/// Maximum number of ports that are compared with each other.
const PORTS: usize = 64;

/// Warns about a Pod or template.
pub(super) fn probe(pod: &Pod<'_>, faults: &mut Faults) {
    let spec = &pod.spec;
    placement(spec, faults);
    annotations(pod, faults);
    volumes(&spec.at("volumes"), faults);
    overlap::volumes(&spec.at("volumes"), faults);
    lists(spec, faults);
    for resource in ["memory", "ephemeral-storage"] {
        bytes(&spec.at("overhead"), resource, faults);
    }
    for container in spec.at("initContainers").items().chain(spec.at("containers").items()) {
        for list in ["limits", "requests"] {
            let list = container.path(&["resources", list]);
            bytes(&list, "memory", faults);
            bytes(&list, "ephemeral-storage", faults);
        }
        variables(&container, faults);
    }
    ports(spec, faults);
    let grace = spec.at("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds < 0) && !pod.is_pod {
        let message = "`terminationGracePeriodSeconds` is negative, and counts as 1";
        faults.warning(Rule::ServerWarning, &grace, message, "write a number of 0 or more");
    }
}

fn placement(spec: &At<'_>, faults: &mut Faults) {
    for (key, value) in spec.at("nodeSelector").members() {
        warnings::label(&value, key, faults);
    }
    let affinity = spec.at("affinity");
    let nodes = affinity.at("nodeAffinity");
    for term in nodes.path(&["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]).items() {
        warnings::node_term(&term, faults);
    }
    for term in nodes.at("preferredDuringSchedulingIgnoredDuringExecution").items() {
        let preference = term.at("preference");
        warnings::node_term(&preference, faults);
        for expression in preference.at("matchExpressions").items() {
            for value in expression.at("values").items().filter(|at| !(names::LABEL_VALUE.holds)(at.text())) {
                let message = format!("`{}` is not a valid label value, so that no node has it", shown(value.text()));
                faults.warning(Rule::ServerWarning, &value, message, "write a value that a label can have");
            }
        }
    }
    for constraint in spec.at("topologySpreadConstraints").items() {
        let key = constraint.at("topologyKey");
        warnings::label(&key, key.text(), faults);
        null_selector(&constraint, faults);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.at(name);
        for term in pods.at("requiredDuringSchedulingIgnoredDuringExecution").items() {
            null_selector(&term, faults);
        }
        for term in pods.at("preferredDuringSchedulingIgnoredDuringExecution").items() {
            null_selector(&term.at("podAffinityTerm"), faults);
        }
    }
}

fn null_selector(term: &At<'_>, faults: &mut Faults) {
    let selector = term.at("labelSelector");
    if selector.is_absent() {
        let message = "`labelSelector` is missing, and then selects no Pod";
        faults.warning(Rule::ServerWarning, &selector, message, "write a `labelSelector`");
    }
}

fn annotations(pod: &Pod<'_>, faults: &mut Faults) {
    let annotations = pod.object.at("metadata").at("annotations");
    if annotations.count() == 0 {
        return;
    }
    let context = |owner: &At<'_>, name| owner.at("securityContext").at(name).is_present();
    for (key, value) in annotations.members() {
        let container = |prefix: &str| {
            let name = key.strip_prefix(prefix)?;
            let mut all = pod.spec.at("initContainers").items().chain(pod.spec.at("containers").items());
            all.find(|container| container.at("name").text() == name)
        };
        let instead = match ANNOTATIONS.iter().find(|(known, _)| *known == key) {
            Some((_, instead)) => Some(*instead),
            None if key == SECCOMP_POD && !context(&pod.spec, "seccompProfile") => Some("seccompProfile"),
            None if container(SECCOMP).is_some_and(|at| !context(&at, "seccompProfile")) => Some("seccompProfile"),
            None if container(APP_ARMOR).is_some_and(|at| !context(&at, "appArmorProfile")) => Some("appArmorProfile"),
            None => None,
        };
        if let Some(instead) = instead {
            let message = format!("the annotation `{}` is deprecated", shown(key));
            faults.warning(Rule::ServerWarning, &value, message, format!("write the field `{instead}` instead"));
        }
    }
}

fn volumes(volumes: &At<'_>, faults: &mut Faults) {
    for volume in volumes.items() {
        for (kind, source) in volume.members() {
            if let Some((_, state)) = VOLUMES.iter().find(|(known, _)| *known == kind).filter(|_| source.is_present()) {
                let message = format!("the volume kind `{kind}` {state}");
                faults.warning(Rule::ServerWarning, &source, message, "use a volume of a CSI driver");
            }
        }
        let claim = volume.path(&["ephemeral", "volumeClaimTemplate", "spec"]);
        warnings::claim(&claim, faults);
    }
}

fn lists(spec: &At<'_>, faults: &mut Faults) {
    let mut seen = Seen::default();
    for alias in spec.at("hostAliases").items() {
        let ip = alias.at("ip");
        if !seen.insert(ip.text()) {
            let message = format!("the address `{}` is there twice", shown(ip.text()));
            faults.warning(Rule::ServerWarning, &ip, message, "merge the two entries");
        }
        warnings::ip(&ip, faults);
    }
    for server in spec.path(&["dnsConfig", "nameservers"]).items() {
        warnings::ip(&server, faults);
    }
    let mut seen = Seen::default();
    for secret in spec.at("imagePullSecrets").items() {
        let name = secret.at("name");
        if name.text().is_empty() {
            faults.warning(Rule::ServerWarning, &name, "an image pull secret has no name", "write `name`");
        }
        if !seen.insert(name.text()) {
            let message = format!("the image pull secret `{}` is there twice", shown(name.text()));
            faults.warning(Rule::ServerWarning, &name, message, "remove one of the two");
        }
    }
}

/// Warns about a part of a byte.
fn bytes(list: &At<'_>, resource: &str, faults: &mut Faults) {
    if let Some((at, value)) = list.entry(resource).and_then(|at| Some((at, Quantity::at(&at)?))) {
        warnings::fraction(&at, value, faults);
    }
}

fn variables(container: &At<'_>, faults: &mut Faults) {
    let mut seen = Seen::default();
    for variable in container.at("env").items() {
        let name = variable.at("name").text();
        if seen.insert(name) {
            continue;
        }
        let value = variable.at("value").text();
        let extends = |value: &str| {
            let mut parts = value.split("$(").skip(1);
            parts.any(|part| part.strip_prefix(name).is_some_and(|rest| rest.starts_with(')')))
        };
        let reference = value.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')')) == Some(name);
        if variable.at("valueFrom").is_present() || reference || !extends(value) {
            let message = format!("the variable `{}` hides an earlier one of the same name", shown(name));
            faults.warning(Rule::ServerWarning, &variable, message, "remove one of the two");
        }
    }
}

fn ports(spec: &At<'_>, faults: &mut Faults) {
    let mut all: Vec<At<'_>> = Vec::new();
    let mut named = Seen::default();
    for container in spec.at("initContainers").items().chain(spec.at("containers").items()) {
        for port in container.at("ports").items() {
            let (address, host) = (port.at("hostIP").text(), port.at("hostPort").int().unwrap_or(0));
            if !address.is_empty() && host == 0 {
                let message = "`hostIP` is set without `hostPort`, and does nothing";
                faults.warning(Rule::ServerWarning, &port.at("hostIP"), message, "remove `hostIP`");
            }
            if let Some(why) = all.iter().find_map(|other| clash(&port, other)) {
                faults.warning(Rule::ServerWarning, &port, why, "remove one of the two ports");
            }
            let name = port.at("name").text();
            if !name.is_empty() && !named.insert(name) {
                let message =
                    format!("the port name `{}` is there twice: Services and probes use the first", shown(name));
                faults.warning(Rule::ServerWarning, &port.at("name"), message, "give one of the ports another name");
            }
            if all.len() < PORTS {
                all.push(port);
            }
        }
    }
}

fn clash(port: &At<'_>, other: &At<'_>) -> Option<&'static str> {
    let protocol = |port: &At<'_>| match port.at("protocol").text() {
        "UDP" => 1,
        "SCTP" => 2,
        _ => 0,
    };
    let same = port.at("containerPort").int() == other.at("containerPort").int() && protocol(port) == protocol(other);
    if !same {
        return None;
    }
    let host = |port: &At<'_>| port.at("hostPort").int().unwrap_or(0);
    let (one, two) = (port.at("hostIP").text(), other.at("hostIP").text());
    if one == two && host(port) == host(other) {
        Some("the port is there twice")
    } else if host(port) == 0 || host(other) == 0 {
        Some("the port overlaps with another entry of the same number and protocol")
    } else {
        (host(port) == host(other) && one.is_empty() != two.is_empty())
            .then_some("the port is ambiguous: another entry opens it at one address of the node")
    }
}
