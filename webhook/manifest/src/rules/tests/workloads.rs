use serde_json::{Value, json};

use super::{errors, fine, put, silent, warnings};
use crate::Rule::*;

fn workload(api_version: &str, kind: &str) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]},
            },
        },
    })
}

#[test]
fn deployment() {
    let object = workload("apps/v1", "Deployment");
    errors(
        &object,
        "/spec",
        &[
            ("/replicas", json!(-1), OutOfRange, "/replicas"),
            ("/selector", json!("()"), MissingField, " selector"),
            ("/selector", json!({}), MissingField, "/selector"),
            ("/selector/matchLabels/app", json!("other"), DependentFields, "/template/metadata/labels"),
            ("/template/metadata", json!({}), DependentFields, "/template/metadata labels"),
            (
                "/selector/matchExpressions",
                json!([{"key": "a", "operator": "Is"}]),
                NotOneOf,
                "/selector/matchExpressions/0/operator",
            ),
            ("/strategy", json!({"type": "Other"}), NotOneOf, "/strategy/type"),
            ("/strategy", json!({"type": "Recreate", "rollingUpdate": {}}), ExclusiveFields, "/strategy/rollingUpdate"),
            (
                "/strategy",
                json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
                DependentFields,
                "/strategy/rollingUpdate/maxUnavailable",
            ),
            (
                "/strategy",
                json!({"rollingUpdate": {"maxUnavailable": "101%"}}),
                OutOfRange,
                "/strategy/rollingUpdate/maxUnavailable",
            ),
            (
                "/strategy",
                json!({"rollingUpdate": {"maxSurge": "1"}}),
                InvalidFormat,
                "/strategy/rollingUpdate/maxSurge",
            ),
            ("/minReadySeconds", json!(600), DependentFields, " progressDeadlineSeconds"),
            ("/template/spec/restartPolicy", json!("Never"), NotOneOf, "/template/spec/restartPolicy"),
            ("/template/spec/activeDeadlineSeconds", json!(1), ExclusiveFields, "/template/spec/activeDeadlineSeconds"),
        ],
    );
    fine(&object, "/spec", &[("/strategy", json!({"type": "Recreate", "rollingUpdate": null}))]);
    warnings(&object, "/metadata", &[("/name", json!("a.b"), ServerWarning, "/name")]);
}

#[test]
fn other_sets() {
    let object = workload("apps/v1", "DaemonSet");
    errors(
        &object,
        "/spec",
        &[
            ("/updateStrategy", json!({"type": "Recreate"}), NotOneOf, "/updateStrategy/type"),
            (
                "/updateStrategy",
                json!({"rollingUpdate": {"maxSurge": 1}}),
                ExclusiveFields,
                "/updateStrategy/rollingUpdate/maxSurge",
            ),
            (
                "/updateStrategy",
                json!({"rollingUpdate": {"maxUnavailable": 0}}),
                DependentFields,
                "/updateStrategy/rollingUpdate/maxUnavailable",
            ),
        ],
    );
    fine(&object, "/spec", &[("/updateStrategy", json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}))]);
    silent(&workload("apps/v1", "ReplicaSet"));
    let mut object = workload("v1", "ReplicationController");
    put(&mut object, "/spec/selector", &json!({"app": "web"}));
    errors(
        &object,
        "/spec",
        &[
            ("/selector/app", json!("other"), DependentFields, "/template/metadata/labels"),
            ("/template", json!(null), MissingField, "/template"),
        ],
    );
    silent(&json!({
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "web"},
        "template": {"spec": {"containers": [{"name": "web", "image": "nginx:1.29"}]}},
    }));
}

#[test]
fn stateful_set() {
    let mut object = workload("apps/v1", "StatefulSet");
    object["spec"]["serviceName"] = json!("web");
    object["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }]);
    object["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "data", "mountPath": "/data"}]);
    errors(
        &object,
        "",
        &[
            ("/metadata/name", json!("a.b"), InvalidName, "/metadata/name"),
            ("/spec/serviceName", json!("A"), InvalidName, "/spec/serviceName"),
            ("/spec/podManagementPolicy", json!("Any"), NotOneOf, "/spec/podManagementPolicy"),
            (
                "/spec/updateStrategy",
                json!({"type": "OnDelete", "rollingUpdate": {}}),
                ExclusiveFields,
                "/spec/updateStrategy/rollingUpdate",
            ),
            ("/spec/ordinals", json!({"start": -1}), OutOfRange, "/spec/ordinals/start"),
            (
                "/spec/persistentVolumeClaimRetentionPolicy",
                json!({"whenScaled": "Keep"}),
                NotOneOf,
                "/spec/persistentVolumeClaimRetentionPolicy/whenScaled",
            ),
            (
                "/spec/volumeClaimTemplates/0/metadata/name",
                json!("disk"),
                UnknownReference,
                "/spec/template/spec/containers/0/volumeMounts/0/name",
            ),
            (
                "/spec/volumeClaimTemplates/0/spec/accessModes",
                json!([]),
                MissingField,
                "/spec/volumeClaimTemplates/0/spec/accessModes",
            ),
        ],
    );
    warnings(&object, "/spec", &[("/revisionHistoryLimit", json!(-1), ServerWarning, "/revisionHistoryLimit")]);
}

#[test]
fn jobs() {
    let job = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]}}});
    let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": job});
    errors(
        &object,
        "/spec",
        &[
            ("/backoffLimit", json!(-1), OutOfRange, "/backoffLimit"),
            ("/completionMode", json!("Any"), NotOneOf, "/completionMode"),
            ("/maxFailedIndexes", json!(1), DependentFields, "/maxFailedIndexes"),
            ("/managedBy", json!("a"), InvalidName, "/managedBy"),
            ("/template/spec/restartPolicy", json!("()"), MissingField, "/template/spec restartPolicy"),
            ("/template/spec/restartPolicy", json!("Always"), NotOneOf, "/template/spec/restartPolicy"),
            ("/selector", json!({"matchLabels": {"a": "b"}}), DependentFields, "/selector/matchLabels/a"),
            ("/manualSelector", json!(true), MissingField, " selector"),
            (
                "/template/metadata",
                json!({"labels": {"controller-uid": "1"}}),
                InvalidValue,
                "/template/metadata/labels/controller-uid",
            ),
            ("/podFailurePolicy", json!({"rules": [{"action": "Ignore"}]}), MissingField, "/podFailurePolicy/rules/0"),
            (
                "/podFailurePolicy",
                json!({"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 1]}}]}),
                DuplicateEntry,
                "/podFailurePolicy/rules/0/onExitCodes/values/1",
            ),
            ("/podReplacementPolicy", json!("Never"), NotOneOf, "/podReplacementPolicy"),
        ],
    );
    let mut indexed = object.clone();
    put(&mut indexed, "/spec/completionMode", &json!("Indexed"));
    put(&mut indexed, "/spec/completions", &json!(5));
    put(&mut indexed, "/spec/successPolicy", &json!({"rules": [{"succeededIndexes": "0,2-4"}]}));
    errors(
        &indexed,
        "/spec",
        &[
            (
                "/successPolicy/rules/0/succeededIndexes",
                json!("0-5"),
                InvalidFormat,
                "/successPolicy/rules/0/succeededIndexes",
            ),
            ("/successPolicy/rules", json!([]), MissingField, "/successPolicy/rules"),
            ("/parallelism", json!(100_001), OutOfRange, "/parallelism"),
        ],
    );
    let object = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "a"},
        "spec": {"schedule": "0 4 * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": job}},
    });
    errors(
        &object,
        "",
        &[
            ("/metadata/name", json!("a".repeat(53)), OutOfRange, "/metadata/name"),
            ("/spec/schedule", json!("()"), MissingField, "/spec schedule"),
            ("/spec/schedule", json!("0 25 * * *"), InvalidFormat, "/spec/schedule"),
            ("/spec/schedule", json!("TZ=UTC 0 4 * * *"), InvalidFormat, "/spec/schedule"),
            ("/spec/timeZone", json!("Berlin"), InvalidFormat, "/spec/timeZone"),
            ("/spec/concurrencyPolicy", json!("Wait"), NotOneOf, "/spec/concurrencyPolicy"),
            ("/spec/jobTemplate/spec/selector", json!({}), ExclusiveFields, "/spec/jobTemplate/spec/selector"),
            ("/spec/startingDeadlineSeconds", json!(-1), OutOfRange, "/spec/startingDeadlineSeconds"),
        ],
    );
}
