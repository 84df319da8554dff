//! PersistentVolumes and the classes of storage.

use super::check::{Seen, duplicate, field, item};
use super::{claim, selector, vendor, warnings};
use crate::formats::names;
use crate::{At, Faults, Rule};

/// Kinds of sources, in the order in which the API server looks at them. `flexVolume` does not exclude those before it.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// Kinds that are gone.
const GONE: &[&str] = &["cephfs", "photonPersistentDisk", "scaleIO", "storageos", "glusterfs", "rbd"];

/// Largest total size of the parameters of a class, in bytes.
const PARAMETERS: usize = 256 * 1024;

pub(super) fn volume(object: &At<'_>, faults: &mut Faults) {
    let spec = object.at("spec");
    claim::access_modes(&spec, faults);
    capacity(&spec, faults);
    let policy = field(&spec, "persistentVolumeReclaimPolicy");
    policy.one_of_or_empty(&["Delete", "Recycle", "Retain"], faults);
    let affinity = field(&spec, "nodeAffinity");
    if affinity.at.is_present()
        && let Some(required) = field(&affinity.at, "required").need_value("terms that select nodes", faults)
    {
        selector::node_selector(&required, faults);
    }
    source(object, &spec, faults);
    if spec.at("local").is_present() && affinity.at.is_absent() {
        affinity.missing("the node of a local volume", faults);
    }
    let root = spec.path(&["hostPath", "path"]);
    if policy.at.text() == "Recycle" && is_root(root.text()) {
        let message = "`Recycle` would empty the whole file system of the node";
        faults.error(Rule::ExclusiveFields, &policy.at, message, "write `Retain`, or another path");
    }
    field(&spec, "storageClassName").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    field(&spec, "volumeMode").one_of(&["Block", "Filesystem"], faults);
    let class = field(&spec, "volumeAttributesClassName");
    // Before 1.34 the field was removed.
    if class.at.is_present() && faults.since(34) {
        class.need_name(faults);
        field(&spec, "csi").need_value("a source of a CSI driver, with `volumeAttributesClassName`", faults);
    }
    warn(object, &spec, faults);
}

fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "."))
}

fn capacity(spec: &At<'_>, faults: &mut Faults) {
    let capacity = field(spec, "capacity");
    if capacity.at.at("storage").is_absent() {
        capacity.missing("`storage` with a size such as `10Gi`", faults);
    }
    for (name, value) in capacity.at.members() {
        if name != "storage" {
            let message = "`capacity` has only `storage`";
            faults.error(Rule::InvalidValue, &value, message, format!("remove `{name}`"));
        }
        item(&value, "storage").positive(faults);
    }
}

fn source(object: &At<'_>, spec: &At<'_>, faults: &mut Faults) {
    let mut found = SOURCES.iter().filter(|name| spec.at(name).is_present());
    let first = found.next();
    for other in found {
        if *other != "flexVolume" {
            let first = first.copied().unwrap_or_default();
            let why = format!("with `{first}`: a volume has only one source");
            field(spec, other).forbid(Rule::ExclusiveFields, &why, faults);
        }
    }
    if first.is_none() {
        let message = "the volume has no source";
        faults.error(Rule::MissingField, spec, message, "write a source such as `csi`, `nfs` or `hostPath`");
    }
    for (kind, source) in spec.members() {
        if source.is_present() && SOURCES.contains(&kind) {
            vendor::persistent(object, kind, &source, faults);
        }
    }
}

fn warn(object: &At<'_>, spec: &At<'_>, faults: &mut Faults) {
    let known = [
        ("volume.beta.kubernetes.io/storage-class", "storageClassName"),
        ("volume.beta.kubernetes.io/mount-options", "mountOptions"),
    ];
    warnings::storage_annotations(object, &known, faults);
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if policy.text() == "Recycle" {
        let message = "the reclaim policy `Recycle` is deprecated";
        faults.warning(Rule::ServerWarning, &policy, message, "write `Retain`, or let a provisioner make volumes");
    }
    for term in spec.path(&["nodeAffinity", "required", "nodeSelectorTerms"]).items() {
        warnings::node_term(&term, faults);
    }
    for kind in GONE {
        let source = spec.at(kind);
        if source.is_present() {
            let message = format!("the volume kind `{kind}` does nothing any more");
            faults.warning(Rule::ServerWarning, &source, message, "use a volume of a CSI driver");
        }
    }
}

pub(super) fn storage_class(object: &At<'_>, faults: &mut Faults) {
    let provisioner = field(object, "provisioner");
    provisioner.need_form(&names::QUALIFIED_NAME_ANY_CASE, Rule::InvalidName, faults);
    parameters(object, faults);
    field(object, "reclaimPolicy").one_of_or_empty(&["Delete", "Retain"], faults);
    field(object, "volumeBindingMode").one_of(&["Immediate", "WaitForFirstConsumer"], faults);
    let mut terms: Vec<Vec<(&str, Vec<&str>)>> = Vec::new();
    for term in object.at("allowedTopologies").items() {
        let key = topology(&term);
        if key.is_empty() {
            field(&term, "matchLabelExpressions").missing("a list of at least one label", faults);
        } else if terms.contains(&key) {
            duplicate(&term, "the topology of", key.first().map_or("", |(name, _)| name), faults);
        } else if terms.len() < 64 {
            terms.push(key);
        }
        let mut seen = Seen::default();
        for expression in term.at("matchLabelExpressions").items() {
            let key = field(&expression, "key");
            selector::key_field(key, faults);
            warnings::label(&key.at, key.at.text(), faults);
            if !seen.insert(key.at.text()) {
                duplicate(&key.at, "the key", key.at.text(), faults);
            }
            let values = field(&expression, "values");
            if values.at.count() == 0 {
                values.missing("a list of at least one value", faults);
            }
            let mut seen = Seen::default();
            for value in values.at.items() {
                if !seen.insert(value.text()) {
                    duplicate(&value, "the value", value.text(), faults);
                }
            }
        }
    }
}

/// What a term of a topology selects, in a form that can be compared.
fn topology<'a>(term: &At<'a>) -> Vec<(&'a str, Vec<&'a str>)> {
    let expressions = term.at("matchLabelExpressions").items().map(|expression| {
        let mut values: Vec<&str> = expression.at("values").items().map(|value| value.text()).collect();
        values.sort_unstable();
        (expression.at("key").text(), values)
    });
    let mut key: Vec<_> = expressions.collect();
    key.sort_unstable();
    key
}

fn parameters(object: &At<'_>, faults: &mut Faults) {
    let parameters = field(object, "parameters");
    parameters.at_most(parameters.at.count(), 512, "parameters", faults);
    let mut size = 0;
    for (key, value) in parameters.at.members() {
        if key.is_empty() {
            faults.error(Rule::InvalidName, &value, "a parameter has no name", "write a name for the parameter");
        }
        size += key.len() + value.text().len();
    }
    parameters.at_most(size, PARAMETERS, "bytes", faults);
}
