use serde_json::json;

use super::{errors, fine, silent};
use crate::Rule::*;

#[test]
fn roles() {
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "system:reader"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    });
    errors(
        &object,
        "",
        &[
            ("/metadata/name", json!("a/b"), InvalidName, "/metadata/name"),
            ("/rules/0/verbs", json!([]), MissingField, "/rules/0/verbs"),
            ("/rules/0/apiGroups", json!([]), MissingField, "/rules/0/apiGroups"),
            ("/rules/0/nonResourceURLs", json!(["/metrics"]), ExclusiveFields, "/rules/0/nonResourceURLs"),
        ],
    );
    let object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "b"}, {"kind": "User", "name": "c"}],
    });
    errors(
        &object,
        "",
        &[
            ("/roleRef/kind", json!("Role"), NotOneOf, "/roleRef/kind"),
            ("/roleRef/name", json!("()"), MissingField, "/roleRef name"),
            ("/subjects/0/namespace", json!("()"), MissingField, "/subjects/0 namespace"),
            ("/subjects/1/kind", json!("Person"), NotOneOf, "/subjects/1/kind"),
            ("/subjects/1/apiGroup", json!("a"), NotOneOf, "/subjects/1/apiGroup"),
        ],
    );
}

#[test]
fn autoscaler() {
    let object = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        },
    });
    errors(
        &object,
        "/spec",
        &[
            ("/minReplicas", json!(0), OutOfRange, "/minReplicas"),
            ("/maxReplicas", json!(1), DependentFields, "/maxReplicas"),
            ("/maxReplicas", json!("()"), MissingField, " maxReplicas"),
            ("/scaleTargetRef/kind", json!(""), MissingField, "/scaleTargetRef/kind"),
            ("/scaleTargetRef/apiVersion", json!("v1"), MissingField, "/scaleTargetRef/apiVersion"),
            ("/metrics/0/type", json!("CPU"), NotOneOf, "/metrics/0/type"),
            ("/metrics/0/type", json!("Pods"), MissingField, "/metrics/0 pods"),
            ("/metrics/0/resource/target", json!({"type": "Utilization"}), MissingField, "/metrics/0/resource/target"),
            ("/behavior/scaleDown/policies", json!([]), MissingField, "/behavior/scaleDown/policies"),
            (
                "/behavior/scaleDown/policies/0/periodSeconds",
                json!(1801),
                OutOfRange,
                "/behavior/scaleDown/policies/0/periodSeconds",
            ),
        ],
    );
    let object = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}},
    });
    errors(
        &object,
        "/spec",
        &[
            ("/maxUnavailable", json!(1), ExclusiveFields, "/maxUnavailable"),
            ("/minAvailable", json!("150%"), OutOfRange, "/minAvailable"),
            ("/minAvailable", json!("half"), InvalidFormat, "/minAvailable"),
            ("/unhealthyPodEvictionPolicy", json!("Always"), NotOneOf, "/unhealthyPodEvictionPolicy"),
        ],
    );
}

#[test]
fn small_kinds() {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"b": "c"}}});
    errors(
        &object,
        "/metadata",
        &[
            ("/name", json!("a.b"), InvalidName, "/name"),
            (
                "/labels/pod-security.kubernetes.io~1enforce",
                json!("strict"),
                NotOneOf,
                "/labels/pod-security.kubernetes.io~1enforce",
            ),
        ],
    );
    let object =
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "a"}, "value": 1});
    errors(
        &object,
        "",
        &[
            ("/value", json!(1_000_000_001), OutOfRange, "/value"),
            ("/metadata/name", json!("system-a"), InvalidName, "/metadata/name"),
            ("/preemptionPolicy", json!("Yes"), NotOneOf, "/preemptionPolicy"),
        ],
    );
    let object =
        json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "a"}, "handler": "runsc"});
    errors(
        &object,
        "",
        &[
            ("/handler", json!("a.b"), InvalidName, "/handler"),
            ("/overhead", json!({"podFixed": {"disk": "1"}}), InvalidName, "/overhead/podFixed/disk"),
        ],
    );
    let object = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "a"},
        "spec": {"leaseDurationSeconds": 15},
    });
    errors(&object, "/spec", &[("/leaseDurationSeconds", json!(0), OutOfRange, "/leaseDurationSeconds")]);
    silent(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}));
}

#[test]
fn webhooks() {
    let object = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "a"},
        "webhooks": [{
            "name": "a.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"service": {"name": "a", "namespace": "b", "path": "/validate"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    });
    errors(
        &object,
        "/webhooks/0",
        &[
            ("/name", json!("a"), InvalidName, "/name"),
            ("/admissionReviewVersions", json!(["v2"]), NotOneOf, "/admissionReviewVersions"),
            ("/sideEffects", json!("()"), MissingField, " sideEffects"),
            ("/timeoutSeconds", json!(31), OutOfRange, "/timeoutSeconds"),
            ("/clientConfig", json!({}), MissingField, "/clientConfig"),
            ("/clientConfig", json!({"url": "http://a"}), InvalidFormat, "/clientConfig/url"),
            ("/rules/0/operations", json!(["*", "CREATE"]), ExclusiveFields, "/rules/0/operations"),
            ("/rules/0/resources", json!(["*", "pods"]), ExclusiveFields, "/rules/0/resources"),
            ("/failurePolicy", json!("Deny"), NotOneOf, "/failurePolicy"),
        ],
    );
}

#[test]
fn definitions() {
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gears", "kind": "Gear"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {
                    "type": "object",
                    "properties": {"teeth": {"type": "integer", "default": 8, "maximum": 64}},
                }}}},
                "selectableFields": [{"jsonPath": ".spec.teeth"}],
            }],
        },
    });
    let schema = "/versions/0/schema/openAPIV3Schema";
    errors(
        &object,
        "/spec",
        &[
            ("/group", json!("example"), InvalidName, "/group"),
            ("/scope", json!("Global"), NotOneOf, "/scope"),
            ("/names/kind", json!("gear s"), InvalidName, "/names/kind"),
            ("/versions/0/storage", json!(false), DependentFields, "/versions"),
            ("/versions/0/schema", json!("()"), MissingField, "/versions/0 schema/openAPIV3Schema"),
            (
                "/versions/0/selectableFields/0/jsonPath",
                json!(".spec.size"),
                UnknownReference,
                "/versions/0/selectableFields/0/jsonPath",
            ),
            ("/conversion", json!({"strategy": "Webhook"}), MissingField, "/conversion webhook"),
        ],
    );
    errors(
        &object,
        &format!("/spec{schema}/properties/spec/properties"),
        &[
            ("/teeth/type", json!("()"), MissingField, "/teeth type"),
            ("/teeth/type", json!("int"), NotOneOf, "/teeth/type"),
            ("/teeth/default", json!("8"), InvalidValue, "/teeth/default"),
            ("/teeth/default", json!(65), InvalidValue, "/teeth/default"),
            ("/list", json!({"type": "array"}), MissingField, "/list items"),
            (
                "/list",
                json!({"type": "object", "x-kubernetes-list-type": "set"}),
                DependentFields,
                "/list/x-kubernetes-list-type",
            ),
        ],
    );
    errors(&object, "/metadata", &[("/name", json!("gear.example.com"), InvalidName, "/name")]);
    fine(
        &object,
        &format!("/spec{schema}/properties/spec/properties"),
        &[("/either", json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}))],
    );
}
