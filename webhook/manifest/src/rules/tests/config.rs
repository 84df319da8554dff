use serde_json::{Value, json};

use super::{errors, fine, put, silent, warnings};
use crate::Rule::*;

#[test]
fn config_map() {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"a": "b"},
        "binaryData": {"c": "YQ=="},
    });
    errors(
        &object,
        "",
        &[
            ("/data/a b", json!("c"), InvalidName, "/data/a b"),
            ("/data/c", json!("c"), ExclusiveFields, "/data/c"),
            ("/binaryData/..", json!("YQ=="), InvalidName, "/binaryData/.."),
            ("/data/big", json!("x".repeat(1024 * 1024)), OutOfRange, ""),
        ],
    );
}

fn secret(kind: &str, texts: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": kind, "stringData": texts})
}

#[test]
fn secrets() {
    silent(&secret("Opaque", json!({"a": "b"})));
    let object = secret("kubernetes.io/tls", json!({"tls.crt": "-----BEGIN CERTIFICATE-----", "tls.key": "b"}));
    errors(&object, "", &[("/stringData/tls.key", json!("()"), MissingField, " data/tls.key")]);
    warnings(&object, "/stringData", &[("/tls.crt", json!("a"), ServerWarning, "/tls.crt")]);
    let object = secret("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "{}"}));
    errors(&object, "/stringData", &[("/.dockerconfigjson", json!("a"), InvalidFormat, "/.dockerconfigjson")]);
    let object = secret("kubernetes.io/basic-auth", json!({"username": "a"}));
    errors(&object, "", &[("/stringData", json!({}), MissingField, " data")]);
    let object = secret("kubernetes.io/ssh-auth", json!({"ssh-privatekey": "a"}));
    errors(&object, "", &[("/stringData/ssh-privatekey", json!(""), MissingField, " data/ssh-privatekey")]);
    let mut object = secret("kubernetes.io/service-account-token", json!({}));
    put(&mut object, "/metadata/annotations", &json!({"kubernetes.io/service-account.name": "a"}));
    errors(&object, "/metadata", &[("/annotations", json!({}), MissingField, "/annotations")]);
    fine(&object, "", &[("/data", json!({"a": "YQ=="}))]);
}

#[test]
fn quotas() {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "a"},
        "spec": {"hard": {"requests.cpu": "4", "pods": "10"}, "scopes": ["NotBestEffort"]},
    });
    errors(
        &object,
        "/spec",
        &[
            ("/hard/disk", json!("1"), InvalidName, "/hard/disk"),
            ("/hard/pods", json!("1.5"), InvalidQuantity, "/hard/pods"),
            ("/hard/secrets", json!("1"), ExclusiveFields, "/scopes/0"),
            ("/scopes/0", json!("All"), NotOneOf, "/scopes/0"),
            ("/scopes/-", json!("BestEffort"), ExclusiveFields, "/scopes"),
            (
                "/scopeSelector",
                json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}),
                MissingField,
                "/scopeSelector/matchExpressions/0 values",
            ),
        ],
    );
    warnings(&object, "/spec", &[("/hard/limits.cpu", json!("2"), ServerWarning, "/hard/requests.cpu")]);
    let object = json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "a"},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1"}}]},
    });
    errors(
        &object,
        "/spec/limits",
        &[
            ("/0/type", json!("Node"), NotOneOf, "/0/type"),
            ("/0/min/cpu", json!("2"), DependentFields, "/0/max/cpu"),
            ("/0/default", json!({"cpu": "2"}), DependentFields, "/0/max/cpu"),
            ("/0/maxLimitRequestRatio", json!({"cpu": "0.5"}), OutOfRange, "/0/max/cpu"),
            ("/-", json!({"type": "Container"}), DuplicateEntry, "/1/type"),
            ("/-", json!({"type": "Pod", "default": {"cpu": "1"}}), ExclusiveFields, "/1/default"),
            ("/-", json!({"type": "PersistentVolumeClaim"}), MissingField, "/1"),
        ],
    );
    fine(&object, "/metadata", &[("/name", json!("()"))]);
}
