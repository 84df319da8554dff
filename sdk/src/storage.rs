//! Whether a volume is attached to one node at a time.
//!
//! Only a volume that is attached keeps a second node waiting ("Multi-Attach error", by the attach/detach controller of
//! Kubernetes 1.36). A volume of one node brings all of its Pods there, by the `nodeAffinity` of its PersistentVolume, and
//! the files of a server are mounted without an attachment. `ReadWriteOnce` is not enforced for either.

use plimsoll_flat::Node;

use crate::disruption::name;
use crate::kind::Kind;
use crate::review::Review;

/// How a volume gets to the node of a Pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Storage {
    /// It is attached to one node at a time.
    Attached,
    /// Nothing keeps a second Pod waiting: it lies on one node, or on a server of files.
    Free,
    /// Its StorageClass, or the driver of that, is not known.
    Unknown,
}

impl Storage {
    /// The volume of a PersistentVolumeClaim. Needs [`Kind::STORAGE_CLASS`] and [`Kind::PERSISTENT_VOLUME`] in `refines`.
    ///
    /// A claim without a class gets the default of the cluster, which is another one in k3s or kind than in a managed
    /// cluster. Where that is not known, the volume is not known either. A name of a class alone proves no attachment.
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
        // Where the claim waits for its volume, or has got it, Kubernetes has noted the driver.
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

    /// The volumes that a claim of this class can be bound to; none where there is none.
    fn of_volumes(review: &Review<'_>, claim: Node<'_>, class: &str) -> Option<Self> {
        let answer = review.listing(Kind::PERSISTENT_VOLUME);
        let fits = |volume: &Node<'_>| {
            let of_class = volume.at("/spec/storageClassName").and_then(Node::as_str).unwrap_or_default() == class;
            let bound = |pointer: &str| volume.at(pointer).and_then(Node::as_str);
            let (to, of) = (bound("/spec/claimRef/name"), bound("/spec/claimRef/namespace"));
            let is_here = || review.namespace().zip(of).is_none_or(|(own, of)| own == of);
            of_class && to.is_none_or(|to| to == name(claim) && is_here())
        };
        // Those that are not shown may be others.
        if !answer.complete && !answer.documents.is_empty() {
            return Some(Self::Unknown);
        }
        same(answer.nodes().filter(fits).map(Self::of_volume))
    }

    /// The class of claims that name none; none where none is known to be the default.
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
            // Volumes that somebody makes by hand. Only those of a node have to wait for the Pod that uses them.
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
        // The domain of provisioners that were installed without another one.
        let driver = driver.trim_start_matches("cluster.local/");
        let has = |words: &[&str]| words.iter().any(|word| driver.contains(word));
        match driver {
            _ if FREE_DRIVERS.contains(&driver) || has(&FREE_WORDS) => Self::Free,
            _ if ATTACHED_DRIVERS.contains(&driver) || has(&ATTACHED_WORDS) => Self::Attached,
            _ => Self::Unknown,
        }
    }

    /// By the names that installations give to their classes. Whoever makes a class chooses its name, so that none says for
    /// certain that volumes are attached.
    fn of_class_name(class: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| class.contains(word));
        if has(&FREE_WORDS) || has(&["azurefile", "efs"]) { Self::Free } else { Self::Unknown }
    }
}

/// What all of them are; none of none, and unknown where they differ.
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

/// Words in the names of drivers and classes whose volumes lie on one node, or on a server of files.
const FREE_WORDS: [&str; 9] = ["local", "hostpath", "host-path", "lvm", "topolvm", "zfs", "nfs", "smb", "filestore"];

/// Drivers of the same sort. Those of files have `attachRequired: false` in their CSIDriver.
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

/// Members of a PersistentVolume whose volume is attached.
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
