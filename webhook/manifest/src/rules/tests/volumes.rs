use serde_json::json;

use super::{errors, fine, pod, put, warnings};
use crate::Rule::*;

#[test]
fn volumes_and_mounts() {
    let mut object = pod();
    object["spec"]["volumes"] = json!([
        {"name": "empty"},
        {"name": "config", "configMap": {"name": "web", "items": [{"key": "a", "path": "a"}]}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "web"}},
        {"name": "host", "hostPath": {"path": "/var/lib"}},
    ]);
    object["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "empty", "mountPath": "/empty"}]);
    object["spec"]["containers"][0]["volumeDevices"] = json!([{"name": "claim", "devicePath": "/dev/a"}]);
    errors(
        &object,
        "/spec/volumes",
        &[
            ("/0/name", json!("Empty"), InvalidName, "/0/name"),
            ("/1/name", json!("empty"), DuplicateEntry, "/1/name"),
            ("/1/secret", json!({"secretName": "a"}), ExclusiveFields, "/1/configMap"),
            ("/1/configMap/name", json!("()"), MissingField, "/1/configMap name"),
            ("/1/configMap/defaultMode", json!(512), OutOfRange, "/1/configMap/defaultMode"),
            ("/1/configMap/items/0/path", json!("../a"), InvalidFormat, "/1/configMap/items/0/path"),
            ("/1/configMap/items/0/key", json!("()"), MissingField, "/1/configMap/items/0 key"),
            ("/2/persistentVolumeClaim/claimName", json!(""), MissingField, "/2/persistentVolumeClaim/claimName"),
            ("/3/hostPath/path", json!("/a/../b"), InvalidFormat, "/3/hostPath/path"),
            ("/3/hostPath/type", json!("Dir"), NotOneOf, "/3/hostPath/type"),
            ("/0/emptyDir", json!({"sizeLimit": "-1"}), OutOfRange, "/0/emptyDir/sizeLimit"),
            ("/0/csi", json!({}), MissingField, "/0/csi driver"),
            ("/0/nfs", json!({"server": "a", "path": "b"}), InvalidFormat, "/0/nfs/path"),
            ("/0/ephemeral", json!({}), MissingField, "/0/ephemeral volumeClaimTemplate"),
            ("/0/downwardAPI", json!({"items": [{"path": "a"}]}), MissingField, "/0/downwardAPI/items/0"),
        ],
    );
    errors(
        &object,
        "/spec/containers/0",
        &[
            ("/volumeMounts/0/name", json!("emty"), UnknownReference, "/volumeMounts/0/name"),
            ("/volumeMounts/0/mountPath", json!("()"), MissingField, "/volumeMounts/0 mountPath"),
            ("/volumeMounts/0/subPath", json!("/a"), InvalidFormat, "/volumeMounts/0/subPath"),
            (
                "/volumeMounts/0/mountPropagation",
                json!("Bidirectional"),
                DependentFields,
                "/volumeMounts/0/mountPropagation",
            ),
            (
                "/volumeMounts/0/recursiveReadOnly",
                json!("Enabled"),
                DependentFields,
                "/volumeMounts/0/recursiveReadOnly",
            ),
            (
                "/volumeMounts/-",
                json!({"name": "host", "mountPath": "/empty"}),
                DuplicateEntry,
                "/volumeMounts/1/mountPath",
            ),
            ("/volumeDevices/0/name", json!("host"), DependentFields, "/volumeDevices/0/name"),
            ("/volumeDevices/0/devicePath", json!("/empty"), DuplicateEntry, "/volumeDevices/0/devicePath"),
        ],
    );
    warnings(
        &object,
        "/spec/volumes",
        &[
            ("/0/gitRepo", json!({"repository": "a"}), ServerWarning, "/0/gitRepo"),
            ("/1/configMap/items/-", json!({"key": "b", "path": "a/b"}), ServerWarning, "/1/configMap/items/1/path"),
        ],
    );
}

#[test]
fn projected() {
    let mut object = pod();
    object["spec"]["volumes"] = json!([{"name": "all", "projected": {"sources": [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]}}]);
    errors(
        &object,
        "/spec/volumes/0/projected/sources",
        &[
            (
                "/0/serviceAccountToken/expirationSeconds",
                json!(60),
                OutOfRange,
                "/0/serviceAccountToken/expirationSeconds",
            ),
            ("/0/serviceAccountToken/path", json!("()"), MissingField, "/0/serviceAccountToken path"),
            ("/0/secret", json!({"name": "a"}), ExclusiveFields, "/0/serviceAccountToken"),
            ("/1/configMap/name", json!("()"), MissingField, "/1/configMap name"),
            (
                "/-",
                json!({"secret": {"name": "a", "items": [{"key": "a", "path": "ca.crt"}]}}),
                DuplicateEntry,
                "/2/secret/items/0/path",
            ),
        ],
    );
}

#[test]
fn rare_sources() {
    let mut object = pod();
    put(&mut object, "/spec/volumes", &json!([{"name": "a"}]));
    fine(
        &object,
        "/spec/volumes/0",
        &[
            ("/iscsi", json!({"targetPortal": "a", "iqn": "iqn.2015-02.example.com:a", "lun": 0})),
            ("/fc", json!({"targetWWNs": ["a"], "lun": 1})),
            ("/quobyte", json!({"registry": "a:1,[::1]:2", "volume": "a"})),
            ("/azureDisk", json!({"diskName": "a", "diskURI": "https://a/b.vhd"})),
            ("/flexVolume", json!({"driver": "a", "options": {"example.com/a": "b"}})),
        ],
    );
    errors(
        &object,
        "/spec/volumes/0",
        &[
            ("/iscsi", json!({"targetPortal": "a", "iqn": "b", "lun": 0}), InvalidName, "/iscsi/iqn"),
            ("/fc", json!({"targetWWNs": ["a"]}), MissingField, "/fc lun"),
            ("/quobyte", json!({"registry": "a", "volume": "a"}), InvalidFormat, "/quobyte/registry"),
            ("/azureDisk", json!({"diskName": "a", "diskURI": "b"}), InvalidFormat, "/azureDisk/diskURI"),
            (
                "/flexVolume",
                json!({"driver": "a", "options": {"k8s.io/a": "b"}}),
                InvalidName,
                "/flexVolume/options/k8s.io~1a",
            ),
            ("/rbd", json!({"image": "a", "monitors": []}), MissingField, "/rbd/monitors"),
            (
                "/gcePersistentDisk",
                json!({"pdName": "a", "partition": 256}),
                OutOfRange,
                "/gcePersistentDisk/partition",
            ),
            ("/flocker", json!({"datasetName": "a/b"}), InvalidName, "/flocker/datasetName"),
            ("/azureFile", json!({"secretName": "a"}), MissingField, "/azureFile shareName"),
        ],
    );
}
