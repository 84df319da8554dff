//! Environment variables of containers, and the fields that they may come from.

use super::check::{Field, exclusive, field, list, need_one, shown};
use super::meta;
use crate::formats::{Form, names, paths, quantity};
use crate::{At, Faults, Rule};

/// What a variable can come from.
const SOURCES: &[&str] = &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// Fields of the Pod that an environment variable can have.
const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of the Pod that a file of a volume can have.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"];

/// Resources of the container that a variable or file can have, besides those of huge pages.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
];

/// `env` and `envFrom` of a container.
pub(super) fn probe(container: &At<'_>, faults: &mut Faults) {
    for variable in container.at("env").items() {
        field(&variable, "name").need_form(&names::ENV_NAME, Rule::InvalidName, faults);
        source(&variable, faults);
    }
    for source in container.at("envFrom").items() {
        field(&source, "prefix").form_or_empty(&names::ENV_NAME, Rule::InvalidName, faults);
        let kinds = ["configMapRef", "secretRef"];
        if exclusive(&source, &kinds, "an entry of `envFrom`", faults) == 0 {
            need_one(&source, &kinds, "an entry of `envFrom`", faults);
        }
        for kind in kinds {
            let reference = source.at(kind);
            if reference.is_absent() {
                continue;
            }
            let name = field(&reference, "name");
            // A `-` at the end is let through.
            match name.need("the name of the ConfigMap or Secret", faults) {
                Some(text) if !meta::is_prefix(text, &names::DNS_SUBDOMAIN) => {
                    name.form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
                }
                _ => {}
            }
        }
    }
}

fn source(variable: &At<'_>, faults: &mut Faults) {
    let from = variable.at("valueFrom");
    if from.is_absent() {
        return;
    }
    let files = faults.since(35);
    // Before 1.35 references to files were removed.
    let kinds = if files { SOURCES } else { SOURCES.split_at(4).0 };
    let count = exclusive(&from, kinds, "`valueFrom`", faults);
    if count == 0 {
        need_one(&from, kinds, "`valueFrom`", faults);
    } else if !variable.at("value").text().is_empty() {
        let message = "`value` and `valueFrom` are both set, but a variable has only one of them";
        faults.error(Rule::ExclusiveFields, &from, message, "remove `value` or `valueFrom`");
    }
    field_ref(&from.at("fieldRef"), ENV_FIELDS, faults);
    resource_ref(&from.at("resourceFieldRef"), false, faults);
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        let reference = from.at(kind);
        if reference.is_present() {
            field(&reference, "name").need_name(faults);
            field(&reference, "key").need_form(&names::CONFIG_KEY, Rule::InvalidName, faults);
        }
    }
    let file = from.at("fileKeyRef");
    if files && file.is_present() {
        field(&file, "key").need_form(&names::ENV_NAME, Rule::InvalidName, faults);
        field(&file, "volumeName").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
        let path = field(&file, "path");
        path.need("the path of the file in the volume", faults);
        path.without_fault(
            Rule::InvalidFormat,
            |path| paths::has_backstep(path).then_some("it must not have a part `..`"),
            faults,
        );
    }
}

/// A reference to a field of the Pod.
pub(super) fn field_ref(reference: &At<'_>, allowed: &[&str], faults: &mut Faults) {
    if reference.is_absent() {
        return;
    }
    field(reference, "apiVersion").one_of_or_empty(&["v1"], faults);
    let path = field(reference, "fieldPath");
    let Some(text) = path.need("the path of a field, such as `metadata.name`", faults) else {
        return;
    };
    let subscript = text.strip_suffix("']").and_then(|rest| rest.split_once("['")).filter(|(path, _)| !path.is_empty());
    match subscript {
        Some(("metadata.annotations", key)) => subscript_key(path, key, &names::QUALIFIED_NAME_ANY_CASE, faults),
        Some(("metadata.labels", key)) => subscript_key(path, key, &names::QUALIFIED_NAME, faults),
        // An old name of `spec.nodeName`.
        None if text == "spec.host" && allowed.contains(&"spec.nodeName") => {}
        None if allowed.contains(&text) => {}
        _ => {
            let known = list(allowed);
            let message = format!(
                "`{}` is not a field that can be used here: use one of {known}, or `metadata.labels['KEY']` or \
                 `metadata.annotations['KEY']`",
                shown(text)
            );
            faults.error(Rule::NotOneOf, &path.at, message, "write the path of one of these fields");
        }
    }
}

fn subscript_key(path: Field<'_>, key: &str, form: &Form, faults: &mut Faults) {
    if !(form.holds)(key) {
        let message = format!("`{}` is not a valid key of a label or annotation: use {}", shown(key), form.allowed);
        faults.error(Rule::InvalidLabel, &path.at, message, "write a key such as `app` or `example.com/app`");
    }
}

/// A reference to a resource of a container; `file` if it is one of a volume.
pub(super) fn resource_ref(reference: &At<'_>, file: bool, faults: &mut Faults) {
    if reference.is_absent() {
        return;
    }
    if file {
        field(reference, "containerName").need("the name of the container", faults);
    }
    let resource = field(reference, "resource");
    let Some(name) = resource.need("a resource such as `limits.memory`", faults) else {
        return;
    };
    let huge = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if !huge {
        resource.one_of(RESOURCES, faults);
    }
    let divisor = reference.at("divisor");
    let Some(value) = quantity::Quantity::at(&divisor).filter(|value| *value != quantity::Quantity::ZERO) else {
        return;
    };
    let cpu = name.ends_with(".cpu");
    let spelt = divisor.node().map(|node| node.as_str().map_or_else(|| node.to_json(), |text| text.trim().into()));
    let spelt = spelt.unwrap_or_default();
    let fine = match cpu {
        true => value == quantity::Quantity::ONE || (value == quantity::Quantity::MILLI && !spelt.contains(['e', 'E'])),
        false => quantity::is_unit(&spelt),
    };
    if !fine && (huge || RESOURCES.contains(&name)) {
        let allowed = if cpu { "`1` or `1m`" } else { "1 of any unit: `1`, `1k`, `1Mi`, `1Gi`, …" };
        let message = format!("`divisor` is `{}`, but for `{}` must be {allowed}", shown(&spelt), shown(name));
        faults.error(Rule::InvalidQuantity, &divisor, message, format!("write {allowed}"));
    }
}
