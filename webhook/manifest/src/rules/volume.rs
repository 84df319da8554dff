//! Volumes of a Pod.

use std::collections::HashMap;

use super::check::{Field, Seen, duplicate, exclusive, field};
use super::env::{self, FILE_FIELDS};
use super::{claim, projected, vendor};
use crate::formats::{names, paths};
use crate::{At, Faults, Rule};

/// Kinds of volumes. One with none of them is an `emptyDir`.
const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

const HOST_PATH_TYPES: &[&str] =
    &["", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

/// The volumes of a Pod by name.
#[derive(Default)]
pub(super) struct Volumes<'a> {
    few: Vec<(&'a str, Known<'a>)>,
    many: HashMap<&'a str, Known<'a>>,
}

/// A volume that mounts refer to.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    /// A volume of the Pod.
    Written(At<'a>),
    /// A volume that a template of claims of a StatefulSet adds.
    Claim,
}

impl Known<'_> {
    /// Whether the volume can be a block device.
    pub(super) fn is_claim(self) -> bool {
        match self {
            Self::Claim => true,
            Self::Written(at) => at.at("persistentVolumeClaim").is_present() || at.at("ephemeral").is_present(),
        }
    }

    /// Whether the volume is an `emptyDir`, perhaps because nothing else is written.
    pub(super) fn is_empty_dir(self) -> bool {
        match self {
            Self::Claim => false,
            Self::Written(at) => {
                at.at("emptyDir").is_present() || SOURCES.iter().all(|source| at.at(source).is_absent())
            }
        }
    }
}

impl<'a> Volumes<'a> {
    pub(super) fn add(&mut self, name: &'a str, known: Known<'a>) {
        if self.few.len() < 16 {
            self.few.push((name, known));
        } else {
            self.many.entry(name).or_insert(known);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Known<'a>> {
        let few = self.few.iter().find(|(known, _)| *known == name).map(|(_, known)| *known);
        few.or_else(|| self.many.get(name).copied())
    }

    /// The name that is spelt most like this one.
    pub(super) fn nearest(&self, name: &str) -> Option<&'a str> {
        let mut best: Option<(f64, &str)> = None;
        for (known, _) in &self.few {
            let likeness = strsim::jaro_winkler(known, name);
            if likeness > best.map_or(0.7, |(most, _)| most) {
                best = Some((likeness, known));
            }
        }
        best.map(|(_, known)| known)
    }
}

/// Checks the volumes of a Pod. `pod` is the name of the Pod, or `""` if it has none yet.
pub(super) fn probe<'a>(volumes: &At<'a>, known: &mut Volumes<'a>, pod: &str, faults: &mut Faults) {
    let mut seen = Seen::default();
    for volume in volumes.items() {
        let name = field(&volume, "name");
        // A template of claims of the same name replaces the volume.
        let replaced = matches!(known.find(name.at.text()), Some(Known::Claim));
        if let Some(text) = name.need_form(&names::DNS_LABEL, Rule::InvalidName, faults) {
            if !seen.insert(text) {
                duplicate(&name.at, "the volume", text, faults);
            }
            known.add(text, Known::Written(volume));
        }
        if !replaced {
            source(&volume, pod, faults);
        }
    }
    if !pod.is_empty() {
        created_claims(volumes, pod, faults);
    }
}

/// A volume must not use a claim that another volume of the Pod creates.
fn created_claims(volumes: &At<'_>, pod: &str, faults: &mut Faults) {
    let mut created: Vec<&str> =
        volumes.items().filter(|at| at.at("ephemeral").is_present()).map(|at| at.at("name").text()).collect();
    created.sort_unstable();
    for volume in volumes.items().filter(|_| !created.is_empty()) {
        let claim = volume.at("persistentVolumeClaim").at("claimName");
        let suffix = claim.text().strip_prefix(pod).and_then(|rest| rest.strip_prefix('-'));
        if suffix.is_some_and(|suffix| created.binary_search(&suffix).is_ok()) {
            let message =
                "the claim is created for an ephemeral volume of this Pod, so that no other volume can use it";
            faults.error(Rule::ExclusiveFields, &claim, message, "use the ephemeral volume, or another claim");
        }
    }
}

fn source(volume: &At<'_>, pod: &str, faults: &mut Faults) {
    // Before 1.35 volumes of images were removed.
    if volume.at("image").is_present() && !faults.since(35) {
        return;
    }
    exclusive(volume, SOURCES, "a volume", faults);
    // Few volumes have a source of a vendor: only the members that are there are looked at.
    for (kind, source) in volume.members() {
        if source.is_absent() {
            continue;
        }
        match kind {
            "emptyDir" => {
                field(&source, "sizeLimit").not_negative(faults);
                field(&source, "mode").range(0, 0o1777, faults);
            }
            "hostPath" => host_path(&source, faults),
            "gitRepo" => {
                field(&source, "repository").need("the URL of the repository", faults);
                field(&source, "directory").without_fault(Rule::InvalidFormat, paths::relative_fault, faults);
            }
            "secret" => {
                field(&source, "secretName").need("the name of a Secret", faults);
                files(&source, faults);
            }
            "configMap" => {
                field(&source, "name").need("the name of a ConfigMap", faults);
                files(&source, faults);
            }
            "persistentVolumeClaim" => {
                field(&source, "claimName").need("the name of a PersistentVolumeClaim", faults);
            }
            "downwardAPI" => {
                field(&source, "defaultMode").file_mode(faults);
                for file in source.at("items").items() {
                    downward_file(&file, faults);
                }
            }
            "projected" => projected::probe(&source, faults),
            "csi" => {
                field(&source, "driver").need_form(&names::DRIVER, Rule::InvalidName, faults);
                let secret = source.at("nodePublishSecretRef");
                if secret.is_present() {
                    field(&secret, "name").need_name(faults);
                }
            }
            "ephemeral" => ephemeral(volume, &source, pod, faults),
            "image" => {
                if !pod.is_empty() || faults.since(37) {
                    field(&source, "reference").need("the reference of an image", faults);
                }
                field(&source, "pullPolicy").one_of_or_empty(&["Always", "IfNotPresent", "Never"], faults);
            }
            _ => vendor::volume(volume, kind, &source, faults),
        }
    }
}

pub(super) fn host_path(source: &At<'_>, faults: &mut Faults) {
    let path = field(source, "path");
    if path.need("an absolute path on the node", faults).is_some() {
        no_backstep(path, faults);
        field(source, "type").one_of(HOST_PATH_TYPES, faults);
    }
}

/// A path without a part `..`.
pub(super) fn no_backstep(path: Field<'_>, faults: &mut Faults) {
    let fault = |path: &str| paths::has_backstep(path).then_some("it must not have a part `..`");
    path.without_fault(Rule::InvalidFormat, fault, faults);
}

/// `defaultMode` and `items` of a Secret or ConfigMap.
fn files(source: &At<'_>, faults: &mut Faults) {
    field(source, "defaultMode").file_mode(faults);
    for file in source.at("items").items() {
        key_file(&file, faults);
    }
}

/// A file that has the value of a key.
pub(super) fn key_file(file: &At<'_>, faults: &mut Faults) {
    field(file, "key").need("the key whose value the file has", faults);
    file_path(field(file, "path"), faults);
    field(file, "mode").file_mode(faults);
}

/// The path of a file in a volume, which is required.
pub(super) fn file_path(path: Field<'_>, faults: &mut Faults) {
    path.need("the path of the file in the volume", faults);
    path.without_fault(Rule::InvalidFormat, paths::file_fault, faults);
}

/// A file that has a field of the Pod, or a resource of a container.
pub(super) fn downward_file(file: &At<'_>, faults: &mut Faults) {
    file_path(field(file, "path"), faults);
    let sources = ["fieldRef", "resourceFieldRef"];
    if exclusive(file, &sources, "a file", faults) == 0 {
        super::check::need_one(file, &sources, "a file", faults);
    }
    env::field_ref(&file.at("fieldRef"), FILE_FIELDS, faults);
    env::resource_ref(&file.at("resourceFieldRef"), true, faults);
    field(file, "mode").file_mode(faults);
}

fn ephemeral(volume: &At<'_>, source: &At<'_>, pod: &str, faults: &mut Faults) {
    let template = field(source, "volumeClaimTemplate");
    let Some(template) = template.need_value("a template with a `spec` for the claim", faults) else {
        return;
    };
    let meta = template.at("metadata");
    super::meta::template(&meta, faults);
    for (name, value) in meta.members() {
        let fine = matches!(name, "labels" | "annotations") || value.is_absent() || value.is_zero();
        if !fine {
            let message = format!("`{name}` must not be set in the metadata of a template of claims");
            faults.error(Rule::ExclusiveFields, &value, message, format!("remove `{name}`"));
        }
    }
    claim::spec(&template.at("spec"), true, faults);
    let name = volume.at("name").text();
    if !pod.is_empty() && !name.is_empty() && pod.len() + 1 + name.len() > 253 {
        let message = format!("the claim of this volume would be named `{pod}-{name}`, which is too long");
        faults.error(Rule::OutOfRange, &volume.at("name"), message, "shorten the name of the volume or of the Pod");
    }
}
