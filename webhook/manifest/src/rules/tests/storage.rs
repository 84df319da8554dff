use serde_json::json;

use super::{errors, silent, warnings};
use crate::Rule::*;

#[test]
fn claim() {
    let object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    errors(
        &object,
        "/spec",
        &[
            ("/accessModes", json!([]), MissingField, "/accessModes"),
            ("/accessModes/0", json!("RWO"), NotOneOf, "/accessModes/0"),
            ("/accessModes/-", json!("ReadWriteOncePod"), ExclusiveFields, "/accessModes"),
            ("/resources/requests/storage", json!("()"), MissingField, "/resources/requests storage"),
            ("/resources/requests/storage", json!("0"), OutOfRange, "/resources/requests/storage"),
            ("/volumeMode", json!("File"), NotOneOf, "/volumeMode"),
            ("/storageClassName", json!("A"), InvalidName, "/storageClassName"),
            ("/dataSourceRef", json!({"kind": "VolumeSnapshot", "name": "a"}), NotOneOf, "/dataSourceRef/kind"),
        ],
    );
    warnings(
        &object,
        "/spec",
        &[("/resources/requests/storage", json!("1500m"), ServerWarning, "/resources/requests/storage")],
    );
}

#[test]
fn volume() {
    let object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "csi": {"driver": "csi.example.com", "volumeHandle": "a"},
        },
    });
    errors(
        &object,
        "/spec",
        &[
            ("/capacity", json!({}), MissingField, "/capacity"),
            ("/capacity/cpu", json!("1"), InvalidValue, "/capacity/cpu"),
            ("/csi", json!("()"), MissingField, ""),
            ("/nfs", json!({"server": "a", "path": "/"}), ExclusiveFields, "/csi"),
            ("/csi/driver", json!("a_b"), InvalidName, "/csi/driver"),
            ("/csi/nodePublishSecretRef", json!({"name": "a"}), MissingField, "/csi/nodePublishSecretRef namespace"),
            ("/persistentVolumeReclaimPolicy", json!("Keep"), NotOneOf, "/persistentVolumeReclaimPolicy"),
            ("/nodeAffinity", json!({}), MissingField, "/nodeAffinity required"),
            ("/volumeAttributesClassName", json!(""), MissingField, "/volumeAttributesClassName"),
        ],
    );
    warnings(
        &object,
        "/spec",
        &[("/persistentVolumeReclaimPolicy", json!("Recycle"), ServerWarning, "/persistentVolumeReclaimPolicy")],
    );
}

#[test]
fn storage_class() {
    let object = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "fast"},
        "provisioner": "csi.example.com",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]}],
    });
    let topology = object["allowedTopologies"][0].clone();
    errors(
        &object,
        "",
        &[
            ("/provisioner", json!("()"), MissingField, " provisioner"),
            ("/reclaimPolicy", json!("Recycle"), NotOneOf, "/reclaimPolicy"),
            ("/volumeBindingMode", json!("Later"), NotOneOf, "/volumeBindingMode"),
            ("/allowedTopologies/-", topology, DuplicateEntry, "/allowedTopologies/1"),
            ("/allowedTopologies/-", json!({}), MissingField, "/allowedTopologies/1 matchLabelExpressions"),
            ("/parameters", json!({"": "a"}), InvalidName, "/parameters/"),
        ],
    );
    silent(&object);
}
