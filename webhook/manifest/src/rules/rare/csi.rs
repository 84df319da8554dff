//! Storage drivers, what they attach, and what they can hold.

use super::super::check::{self, Seen, field, item};
use super::super::{meta, selector};
use crate::formats::names;
use crate::{At, Faults, Rule};

/// Longest id of a node, in bytes.
const NODE_ID: usize = 256;

pub(super) fn probe(kind: &str, at: &At<'_>, faults: &mut Faults) -> bool {
    match kind {
        "CSIDriver" => driver(at, faults),
        "CSINode" => node(at, faults),
        "CSIStorageCapacity" => capacity(at, faults),
        "VolumeAttachment" => attachment(at, faults),
        "VolumeAttributesClass" => attributes(at, faults),
        _ => return false,
    }
    true
}

fn driver(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let spec = object.at("spec");
    let policy = field(&spec, "fsGroupPolicy");
    policy.one_of(&["ReadWriteOnceWithFSType", "File", "None"], faults);
    field(&spec, "nodeAllocatableUpdatePeriodSeconds").least(10, faults);
    let requests = spec.at("tokenRequests");
    let mut audiences = Seen::default();
    for request in requests.items() {
        let audience = request.at("audience");
        if !audiences.insert(audience.text()) {
            check::duplicate(&audience, "the audience", audience.text(), faults);
            continue;
        }
        field(&request, "expirationSeconds").range(600, 1 << 32, faults);
    }
    for mode in spec.at("volumeLifecycleModes").items() {
        item(&mode, "volumeLifecycleModes").need_one_of(&["Persistent", "Ephemeral"], faults);
    }
    let secrets = field(&spec, "serviceAccountTokenInSecrets");
    if requests.count() == 0 && faults.since(36) {
        secrets.forbid(Rule::DependentFields, "without `tokenRequests`", faults);
    } else if requests.count() > 0 && secrets.at.is_absent() && faults.since(36) {
        let message = "`serviceAccountTokenInSecrets` is not set: drivers may log tokens of volume attributes";
        let help = "write `serviceAccountTokenInSecrets: true` if the driver supports it";
        faults.warning(Rule::ServerWarning, &secrets.at, message, help);
    }
}

fn node(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let mut drivers = Seen::default();
    for driver in object.path(&["spec", "drivers"]).items() {
        let name = field(&driver, "name").need_form(&names::DRIVER, Rule::InvalidName, faults).unwrap_or_default();
        if !drivers.insert(name) {
            check::duplicate(&driver.at("name"), "the driver", name, faults);
        }
        let id = field(&driver, "nodeID");
        if let Some(text) = id.need("the id of the node", faults) {
            id.at_most(text.len(), NODE_ID, "bytes", faults);
        }
        field(&driver.at("allocatable"), "count").least(0, faults);
        let mut keys = Seen::default();
        for key in driver.at("topologyKeys").items() {
            item(&key, "topologyKeys").need_form(&names::QUALIFIED_NAME, Rule::InvalidLabel, faults);
            if !keys.insert(key.text()) {
                check::duplicate(&key, "the key", key.text(), faults);
            }
        }
    }
}

fn capacity(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    selector::label_selector(&object.at("nodeTopology"), faults);
    field(object, "storageClassName").need_name(faults);
    field(object, "capacity").not_negative(faults);
}

fn attachment(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let spec = object.at("spec");
    field(&spec, "attacher").need_form(&names::DRIVER, Rule::InvalidName, faults);
    field(&spec, "nodeName").need_name(faults);
    let source = spec.at("source");
    let names = ["inlineVolumeSpec", "persistentVolumeName"];
    if check::exclusive(&source, &names, "a source", faults) == 0 {
        check::need_one(&source, &names, "a source", faults);
    }
    let volume = field(&source, "persistentVolumeName");
    if volume.at.is_present() {
        volume.need_name(faults);
    }
}

fn attributes(object: &At<'_>, faults: &mut Faults) {
    meta::probe(object, &names::DNS_SUBDOMAIN, true, faults);
    let driver = field(object, "driverName");
    if let Some(name) = driver.need("the name of the driver", faults)
        && !names::is_qualified_name(&name.to_lowercase())
    {
        driver.form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
    }
    let parameters = field(object, "parameters");
    if parameters.at.count() == 0 {
        parameters.missing("at least one parameter", faults);
    }
    parameters.at_most(parameters.at.count(), 512, "parameters", faults);
    for (key, value) in parameters.at.members().filter(|(key, _)| key.is_empty()) {
        faults.error(Rule::InvalidName, &value, format!("the key `{key}` is empty"), "write a key");
    }
}
