//! Sources of volumes that belong to a vendor or protocol, of Pods and of PersistentVolumes.

use super::check::{field, list, shown};
use super::volume::no_backstep;
use crate::formats::{names, paths};
use crate::{At, Faults, Rule};

/// A source of a volume of a Pod.
pub(super) fn volume(volume: &At<'_>, kind: &str, source: &At<'_>, faults: &mut Faults) {
    match kind {
        "iscsi" => {
            iscsi(source, faults);
            iscsi_length(volume.at("name").text(), source, faults);
        }
        "glusterfs" => glusterfs(source, faults),
        "rbd" => {
            monitors(source, faults);
            field(source, "image").need("the name of the image", faults);
        }
        "cinder" => {
            field(source, "volumeID").need("the id of the volume", faults);
            secret_name(source, faults);
        }
        "cephfs" => monitors(source, faults),
        "storageos" => {
            storage_os(source, faults);
            secret_name(source, faults);
        }
        "azureFile" => azure_file(source, faults),
        "scaleIO" => scale_io(source, faults),
        _ => shared(kind, source, faults),
    }
}

/// A source of a PersistentVolume.
pub(super) fn persistent(volume: &At<'_>, kind: &str, source: &At<'_>, faults: &mut Faults) {
    match kind {
        "iscsi" => {
            iscsi(source, faults);
            iscsi_length(volume.at("metadata").at("name").text(), source, faults);
            secret_name(source, faults);
        }
        "glusterfs" => {
            glusterfs(source, faults);
            let namespace = field(source, "endpointsNamespace");
            namespace.form(&names::DNS_LABEL, Rule::InvalidName, faults);
        }
        "rbd" => {
            monitors(source, faults);
            field(source, "image").need("the name of the image", faults);
        }
        "cinder" => {
            field(source, "volumeID").need("the id of the volume", faults);
            secret_reference(source, faults);
        }
        "cephfs" => monitors(source, faults),
        "storageos" => {
            storage_os(source, faults);
            secret_reference(source, faults);
        }
        "azureFile" => {
            azure_file(source, faults);
            let namespace = field(source, "secretNamespace");
            if namespace.at.str() == Some("") {
                namespace.missing("the namespace of the Secret", faults);
            }
        }
        "scaleIO" => scale_io(source, faults),
        "hostPath" => super::volume::host_path(source, faults),
        "local" => {
            let path = field(source, "path");
            if path.need("a path on the node", faults).is_some() {
                no_backstep(path, faults);
            }
        }
        "csi" => csi(source, faults),
        _ => shared(kind, source, faults),
    }
}

/// Sources that Pods and PersistentVolumes have in the same form.
fn shared(kind: &str, source: &At<'_>, faults: &mut Faults) {
    match kind {
        "nfs" => {
            field(source, "server").need("the name or address of the server", faults);
            let path = field(source, "path");
            path.need("an absolute path on the server", faults);
            let fault = |path: &str| (!path.starts_with('/')).then_some("it must be absolute, with `/` at the start");
            path.without_fault(Rule::InvalidFormat, fault, faults);
        }
        "gcePersistentDisk" => {
            field(source, "pdName").need("the name of the disk", faults);
            field(source, "partition").range(0, 255, faults);
        }
        "awsElasticBlockStore" => {
            field(source, "volumeID").need("the id of the volume", faults);
            field(source, "partition").range(0, 255, faults);
        }
        "flocker" => flocker(source, faults),
        "quobyte" => quobyte(source, faults),
        "fc" => fibre_channel(source, faults),
        "flexVolume" => flex(source, faults),
        "vsphereVolume" => {
            field(source, "volumePath").need("the path of the volume", faults);
        }
        "photonPersistentDisk" => {
            field(source, "pdID").need("the id of the disk", faults);
        }
        "portworxVolume" => {
            field(source, "volumeID").need("the id of the volume", faults);
        }
        "azureDisk" => azure_disk(source, faults),
        _ => {}
    }
}

fn secret_name(source: &At<'_>, faults: &mut Faults) {
    let secret = source.at("secretRef");
    if secret.is_present() {
        field(&secret, "name").need("the name of a Secret", faults);
    }
}

fn secret_reference(source: &At<'_>, faults: &mut Faults) {
    let secret = source.at("secretRef");
    if secret.is_present() {
        field(&secret, "name").need("the name of a Secret", faults);
        field(&secret, "namespace").need("the namespace of the Secret", faults);
    }
}

fn monitors(source: &At<'_>, faults: &mut Faults) {
    let monitors = field(source, "monitors");
    if monitors.at.count() == 0 {
        monitors.missing("a list of the addresses of Ceph monitors", faults);
    }
}

fn iscsi(source: &At<'_>, faults: &mut Faults) {
    field(source, "targetPortal").need("the address of the target", faults);
    let iqn = field(source, "iqn");
    iqn.need("the qualified name of the target, such as `iqn.2015-02.example.com:test`", faults);
    let fault = |name: &str| {
        (!name.is_empty() && !paths::is_iscsi_name(name))
            .then_some("it must be a name such as `iqn.2015-02.example.com:test`")
    };
    iqn.without_fault(Rule::InvalidName, fault, faults);
    let initiator = field(source, "initiatorName");
    let fault = |name: &str| {
        (!paths::is_iscsi_name(name)).then_some("it must be a name such as `iqn.2015-02.example.com:test`")
    };
    initiator.without_fault(Rule::InvalidName, fault, faults);
    field(source, "lun").range(0, 255, faults);
    let chap = source.at("chapAuthDiscovery").is_true() || source.at("chapAuthSession").is_true();
    if chap {
        field(source, "secretRef").need_value("the Secret for CHAP", faults);
    }
}

fn iscsi_length(name: &str, source: &At<'_>, faults: &mut Faults) {
    let portal = source.at("targetPortal").text();
    if source.at("initiatorName").is_present() && name.len() + 1 + portal.len() > 64 {
        let message = "the name of the volume and `targetPortal` have more than 63 characters together, which `initiatorName` does not allow";
        faults.error(Rule::OutOfRange, &source.at("targetPortal"), message, "shorten the name of the volume");
    }
}

fn glusterfs(source: &At<'_>, faults: &mut Faults) {
    field(source, "endpoints").need("the name of an Endpoints object", faults);
    field(source, "path").need("the name of the volume", faults);
}

fn flocker(source: &At<'_>, faults: &mut Faults) {
    let name = source.at("datasetName");
    let (named, identified) = (!name.text().is_empty(), !source.at("datasetUUID").text().is_empty());
    let names = ["datasetName", "datasetUUID"];
    if !named && !identified {
        super::check::need_one(source, &names, "a Flocker volume", faults);
    }
    if named && identified {
        let message = "`datasetName` and `datasetUUID` are both set, but exclude each other";
        faults.error(Rule::ExclusiveFields, &name, message, format!("leave one of {}", list(&names)));
    }
    let fault = |name: &str| name.contains('/').then_some("it must not have a `/`");
    field(source, "datasetName").without_fault(Rule::InvalidName, fault, faults);
}

fn quobyte(source: &At<'_>, faults: &mut Faults) {
    let registry = field(source, "registry");
    let tenant = source.at("tenant").text();
    if registry.need("a list of `HOST:PORT`, separated by commas", faults).is_some() {
        if tenant.len() > 64 {
            field(source, "tenant").at_most(tenant.len(), 64, "characters", faults);
        } else {
            let fault = |text: &str| {
                (!text.split(',').all(is_host_port)).then_some("it must be a list of `HOST:PORT`, separated by commas")
            };
            registry.without_fault(Rule::InvalidFormat, fault, faults);
        }
    }
    field(source, "volume").need("the name of the volume", faults);
}

/// Whether Go splits the text into a host and a port.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let fine = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|host| !host.contains(['[', ']'])),
        None => !host.contains([':', '[', ']']),
    };
    fine && !port.contains(['[', ']'])
}

fn fibre_channel(source: &At<'_>, faults: &mut Faults) {
    let worlds = source.at("targetWWNs");
    let (names, ids) = (worlds.count(), source.at("wwids").count());
    if names == 0 && ids == 0 {
        super::check::need_one(source, &["targetWWNs", "wwids"], "a Fibre Channel volume", faults);
    }
    if names > 0 && ids > 0 {
        let message = "`targetWWNs` and `wwids` are both set, but exclude each other";
        faults.error(Rule::ExclusiveFields, &worlds, message, "remove `targetWWNs` or `wwids`");
    }
    if names > 0 {
        let lun = field(source, "lun");
        match lun.at.is_absent() {
            true => lun.missing("the number of the unit, from 0 to 255, with `targetWWNs`", faults),
            false => lun.range(0, 255, faults),
        }
    }
}

fn flex(source: &At<'_>, faults: &mut Faults) {
    field(source, "driver").need("the name of the driver", faults);
    for (key, value) in source.at("options").members() {
        let domain = key.split_once('/').map_or(key, |(domain, _)| domain).to_ascii_lowercase();
        let reserved = ["kubernetes.io", "k8s.io"]
            .iter()
            .any(|own| domain.strip_suffix(own).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
        if reserved {
            let message = format!("the option `{}` is in a domain that Kubernetes reserves", shown(key));
            faults.error(Rule::InvalidName, &value, message, "rename or remove the option");
        }
    }
}

fn azure_file(source: &At<'_>, faults: &mut Faults) {
    field(source, "secretName").need("the name of a Secret", faults);
    field(source, "shareName").need("the name of the share", faults);
}

fn azure_disk(source: &At<'_>, faults: &mut Faults) {
    field(source, "diskName").need("the name of the disk", faults);
    let uri = field(source, "diskURI");
    uri.need("the URI of the disk", faults);
    field(source, "cachingMode").one_of(&["None", "ReadOnly", "ReadWrite"], faults);
    let kind = field(source, "kind");
    kind.one_of(&["Shared", "Dedicated", "Managed"], faults);
    // `Shared` is the default.
    let managed = kind.at.text() == "Managed";
    let fault = |uri: &str| match managed {
        true if !uri.starts_with("/subscriptions/") => Some("the URI of a managed disk begins with `/subscriptions/`"),
        false if !uri.starts_with("https://") => Some("the URI of a blob begins with `https://`"),
        _ => None,
    };
    uri.without_fault(Rule::InvalidFormat, fault, faults);
}

fn scale_io(source: &At<'_>, faults: &mut Faults) {
    field(source, "gateway").need("the address of the gateway", faults);
    field(source, "system").need("the name of the storage system", faults);
    field(source, "volumeName").need("the name of the volume", faults);
}

fn storage_os(source: &At<'_>, faults: &mut Faults) {
    field(source, "volumeName").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
    field(source, "volumeNamespace").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
}

fn csi(source: &At<'_>, faults: &mut Faults) {
    field(source, "driver").need_form(&names::DRIVER, Rule::InvalidName, faults);
    field(source, "volumeHandle").need("the id of the volume for the driver", faults);
    for name in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        let secret = source.at(name);
        if secret.is_present() {
            field(&secret, "name").need_name(faults);
            field(&secret, "namespace").need_form(&names::DNS_LABEL, Rule::InvalidName, faults);
        }
    }
}
