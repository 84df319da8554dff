//! Whether a volume is attached to one node at a time.
//!
//! Only an attached volume keeps a Pod on a second node waiting ("Multi-Attach error", from the attach/detach
//! controller of Kubernetes 1.36). Kubernetes does not enforce `ReadWriteOnce` for two kinds of volumes:
//!
//! - a volume that lies on one node: the `nodeAffinity` of its PersistentVolume places all Pods on that node;
//! - a volume of a file server: it is mounted without an attachment.

use plimsoll_flat::Node;

use crate::disruption::name;
use crate::kind::Kind;
use crate::review::Review;

/// How a volume gets to the node of a Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Storage {
    /// The volume is attached to one node at a time.
    Attached,
    /// The volume keeps no second Pod waiting, because it lies on one node or on a file server.
    Free,
    /// The StorageClass of the volume, or its driver, is not known.
    Unknown,
}

impl Storage {
    /// The volume of a PersistentVolumeClaim. Needs [`Kind::STORAGE_CLASS`] and [`Kind::PERSISTENT_VOLUME`] in
    /// `refines`.
    ///
    /// A claim without a class gets the default class of the cluster. This class differs between k3s or kind and a
    /// managed cluster. If the default class is not known, the volume is not known either. The name of a class alone
    /// does not prove an attachment.
    #[must_use]
    pub fn of_claim(review: &Review<'_>, claim: Node<'_>) -> Self {
        let text = |pointer: &str| claim.at(pointer).and_then(Node::as_str);
        let class = text("/spec/storageClassName").or_else(|| text(LEGACY_CLASS));
        if let Some(volume) = text("/spec/volumeName").filter(|volume| !volume.is_empty()) {
            let answer = review.get(Kind::PERSISTENT_VOLUME, volume);
            if let Some(volume) = answer.nodes().next() {
                return Self::of_volume(volume);
            }
            if class.is_none_or(str::is_empty) {
                return Self::Unknown;
            }
        }
        // Kubernetes writes the driver into a claim that waits for its volume or is bound.
        if let Some(provisioner) = PROVISIONER.iter().find_map(|pointer| text(pointer)) {
            return Self::of_driver(provisioner);
        }
        match class {
            Some(class) if !class.is_empty() => {
                let answer = review.get(Kind::STORAGE_CLASS, class);
                let known = answer.nodes().next().map(Self::of_class);
                match known.filter(|known| *known != Self::Unknown) {
                    Some(known) => known,
                    None => Self::of_volumes(review, claim, class).unwrap_or_else(|| match known {
                        Some(known) => known,
                        None => Self::of_class_name(class),
                    }),
                }
            }
            Some(_) => Self::of_volumes(review, claim, "").unwrap_or(Self::Unknown),
            None => {
                let volumes = || Self::of_volumes(review, claim, "").unwrap_or(Self::Unknown);
                Self::of_default(review).unwrap_or_else(volumes)
            }
        }
    }

    /// Storage of the volumes that a claim of this class can be bound to. `None` if there is no such volume.
    fn of_volumes(review: &Review<'_>, claim: Node<'_>, class: &str) -> Option<Self> {
        let answer = review.listing(Kind::PERSISTENT_VOLUME);
        let fits = |volume: &Node<'_>| {
            let of_class = volume.at("/spec/storageClassName").and_then(Node::as_str).unwrap_or_default() == class;
            let bound = |pointer: &str| volume.at(pointer).and_then(Node::as_str);
            let (to, of) = (bound("/spec/claimRef/name"), bound("/spec/claimRef/namespace"));
            let is_here = || review.namespace().zip(of).is_none_or(|(own, of)| own == of);
            of_class && to.is_none_or(|to| to == name(claim) && is_here())
        };
        // The answer leaves out volumes, and these may be different.
        if !answer.complete && !answer.documents.is_empty() {
            return Some(Self::Unknown);
        }
        same(answer.nodes().filter(fits).map(Self::of_volume))
    }

    /// Storage of the default class. `None` if no class is known to be the default.
    fn of_default(review: &Review<'_>) -> Option<Self> {
        let answer = review.listing(Kind::STORAGE_CLASS);
        let is_default = |class: &Node<'_>| {
            DEFAULT_CLASS.iter().any(|pointer| class.at(pointer).and_then(Node::as_str) == Some("true"))
        };
        same(answer.nodes().filter(is_default).map(Self::of_class))
    }

    fn of_class(class: Node<'_>) -> Self {
        let text = |pointer: &str| class.at(pointer).and_then(Node::as_str).unwrap_or_default();
        match text("/provisioner") {
            // An administrator creates these volumes by hand. Only volumes of a node wait for their first Pod.
            "kubernetes.io/no-provisioner" if text("/volumeBindingMode") == "WaitForFirstConsumer" => Self::Free,
            provisioner => Self::of_driver(provisioner),
        }
    }

    fn of_volume(volume: Node<'_>) -> Self {
        let has = |member: &str| volume.at("/spec").and_then(|spec| spec.get(member)).is_some_and(|it| !it.is_null());
        if ["local", "hostPath", "nfs"].into_iter().any(has) {
            return Self::Free;
        }
        if IN_TREE.into_iter().any(has) {
            return Self::Attached;
        }
        volume.at("/spec/csi/driver").and_then(Node::as_str).map_or(Self::Unknown, Self::of_driver)
    }

    fn of_driver(driver: &str) -> Self {
        // Default domain of provisioners, if the installation sets no other one.
        let driver = driver.trim_start_matches("cluster.local/");
        let has = |words: &[&str]| words.iter().any(|word| driver.contains(word));
        match driver {
            _ if FREE_DRIVERS.contains(&driver) || has(&FREE_WORDS) => Self::Free,
            _ if ATTACHED_DRIVERS.contains(&driver) || has(&ATTACHED_WORDS) => Self::Attached,
            _ => Self::Unknown,
        }
    }

    /// Storage by the usual names of classes. The author of a class is free to choose its name, so a name never proves
    /// an attachment.
    fn of_class_name(class: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| class.contains(word));
        if has(&FREE_WORDS) || has(&["azurefile", "efs"]) { Self::Free } else { Self::Unknown }
    }
}

/// The value that all items have. `None` if there are no items, and unknown if the items differ.
fn same(mut all: impl Iterator<Item = Storage>) -> Option<Storage> {
    let first = all.next()?;
    Some(if all.all(|next| next == first) { first } else { Storage::Unknown })
}

const LEGACY_CLASS: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
const PROVISIONER: [&str; 2] = [
    "/metadata/annotations/volume.kubernetes.io~1storage-provisioner",
    "/metadata/annotations/volume.beta.kubernetes.io~1storage-provisioner",
];
const DEFAULT_CLASS: [&str; 2] = [
    "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
    "/metadata/annotations/storageclass.beta.kubernetes.io~1is-default-class",
];

/// Words in the names of drivers and classes whose volumes lie on one node or on a file server.
const FREE_WORDS: [&str; 9] = ["local", "hostpath", "host-path", "lvm", "topolvm", "zfs", "nfs", "smb", "filestore"];

/// Drivers whose volumes lie on one node or on a file server. Drivers of file servers have `attachRequired: false` in
/// their CSIDriver.
const FREE_DRIVERS: [&str; 7] = [
    "efs.csi.aws.com",
    "fsx.csi.aws.com",
    "file.csi.azure.com",
    "kubernetes.io/azure-file",
    "directpv-min-io",
    "rawfile.csi.openebs.io",
    "carina.storage.io",
];

/// Words in the names of drivers whose volumes are attached.
const ATTACHED_WORDS: [&str; 5] = [".rbd.csi.ceph.com", "ceph-block", "ceph-rbd", "longhorn", "linstor"];

const ATTACHED_DRIVERS: [&str; 21] = [
    "ebs.csi.aws.com",
    "ebs.csi.eks.amazonaws.com",
    "kubernetes.io/aws-ebs",
    "pd.csi.storage.gke.io",
    "kubernetes.io/gce-pd",
    "disk.csi.azure.com",
    "kubernetes.io/azure-disk",
    "cinder.csi.openstack.org",
    "kubernetes.io/cinder",
    "csi.vsphere.vmware.com",
    "kubernetes.io/vsphere-volume",
    "dobs.csi.digitalocean.com",
    "csi.hetzner.cloud",
    "block.csi.vultr.com",
    "csi.scaleway.com",
    "diskplugin.csi.alibabacloud.com",
    "blockvolume.csi.oraclecloud.com",
    "vpc.block.csi.ibm.io",
    "csi.exoscale.com",
    "pxd.portworx.com",
    "io.openebs.csi-mayastor",
];

/// Fields of `spec` of a PersistentVolume that mean an attached volume.
const IN_TREE: [&str; 8] =
    ["awsElasticBlockStore", "gcePersistentDisk", "azureDisk", "cinder", "vsphereVolume", "rbd", "iscsi", "fc"];

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::Storage::{self, Attached, Free, Unknown};

    #[test]
    fn drivers_and_classes() {
        for (driver, expected) in [
            ("ebs.csi.aws.com", Attached),
            ("kubernetes.io/aws-ebs", Attached),
            ("rook-ceph.rbd.csi.ceph.com", Attached),
            ("driver.longhorn.io", Attached),
            ("rancher.io/local-path", Free),
            ("cluster.local/mine", Unknown),
            ("k8s.io/minikube-hostpath", Free),
            ("topolvm.io", Free),
            ("nfs.csi.k8s.io", Free),
            ("efs.csi.aws.com", Free),
            ("rook-ceph.cephfs.csi.ceph.com", Unknown),
            ("example.com/mine", Unknown),
            ("", Unknown),
        ] {
            assert_eq!(Storage::of_driver(driver), expected, "{driver}");
        }
        for (class, expected) in [
            ("gp3", Unknown),
            ("rook-ceph-block", Unknown),
            ("local-path", Free),
            ("openebs-hostpath", Free),
            ("nfs-client", Free),
            ("azurefile-csi", Free),
            ("standard", Unknown),
            ("ebs-sc", Unknown),
            ("websites", Unknown),
            ("fast", Unknown),
        ] {
            assert_eq!(Storage::of_class_name(class), expected, "{class}");
        }
    }

    #[test]
    fn classes_and_volumes() {
        let read = |text: &str, of: fn(Node<'_>) -> Storage| {
            let document = json::from_json(text.as_bytes()).unwrap();
            of(Node::root(&document).unwrap())
        };
        for (class, expected) in [
            (r#"{"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer"}"#, Free),
            (r#"{"provisioner": "kubernetes.io/no-provisioner"}"#, Unknown),
            (r#"{"provisioner": "pd.csi.storage.gke.io", "volumeBindingMode": "WaitForFirstConsumer"}"#, Attached),
        ] {
            assert_eq!(read(class, Storage::of_class), expected, "{class}");
        }
        for (spec, expected) in [
            (r#"{"local": {"path": "/data"}}"#, Free),
            (r#"{"hostPath": {"path": "/data"}}"#, Free),
            (r#"{"nfs": {"server": "a"}}"#, Free),
            (r#"{"fc": {}}"#, Attached),
            (r#"{"csi": {"driver": "disk.csi.azure.com"}}"#, Attached),
            (r#"{"csi": {"driver": "example.com"}}"#, Unknown),
            ("{}", Unknown),
        ] {
            assert_eq!(read(&format!(r#"{{"spec": {spec}}}"#), Storage::of_volume), expected, "{spec}");
        }
    }
}
