use serde_json::json;

use super::{errors, fine, pod, put, warnings};
use crate::Rule::*;

#[test]
fn affinity() {
    let mut object = pod();
    object["spec"]["affinity"] = json!({
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}],
            },
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}},
            ],
        },
    });
    let required = "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0";
    errors(
        &object,
        &format!("/spec/affinity{required}"),
        &[("/nodeSelectorTerms", json!([]), MissingField, "/nodeSelectorTerms")],
    );
    errors(
        &object,
        &format!("/spec/affinity{required}/nodeSelectorTerms/0/matchExpressions/0"),
        &[
            ("/operator", json!("in"), NotOneOf, "/operator"),
            ("/operator", json!("Exists"), ExclusiveFields, "/values"),
            ("/values", json!([]), MissingField, "/values"),
            ("/values/0", json!("a b"), InvalidLabel, "/values/0"),
            ("/key", json!(""), InvalidLabel, "/key"),
        ],
    );
    errors(
        &object,
        &format!("/spec/affinity{preferred}"),
        &[
            ("/weight", json!(101), OutOfRange, "/weight"),
            ("/weight", json!(0), MissingField, "/weight"),
            ("/podAffinityTerm/topologyKey", json!(""), MissingField, "/podAffinityTerm/topologyKey"),
            ("/podAffinityTerm/namespaces", json!(["A"]), InvalidName, "/podAffinityTerm/namespaces/0"),
            (
                "/podAffinityTerm/labelSelector/matchLabels/app",
                json!("a b"),
                InvalidLabel,
                "/podAffinityTerm/labelSelector/matchLabels/app",
            ),
        ],
    );
    warnings(
        &object,
        &format!("/spec/affinity{preferred}"),
        &[("/podAffinityTerm/labelSelector", json!("()"), ServerWarning, "/podAffinityTerm labelSelector")],
    );
}

#[test]
fn spread() {
    let mut object = pod();
    put(&mut object, "/metadata/labels", &json!({"app": "web"}));
    object["spec"]["topologySpreadConstraints"] = json!([{
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]);
    let same = object["spec"]["topologySpreadConstraints"][0].clone();
    errors(
        &object,
        "/spec/topologySpreadConstraints",
        &[
            ("/0/maxSkew", json!(0), MissingField, "/0/maxSkew"),
            ("/0/maxSkew", json!(-1), OutOfRange, "/0/maxSkew"),
            ("/0/topologyKey", json!("()"), MissingField, "/0 topologyKey"),
            ("/0/whenUnsatisfiable", json!("Never"), NotOneOf, "/0/whenUnsatisfiable"),
            ("/0/minDomains", json!(2), DependentFields, "/0/minDomains"),
            ("/0/nodeTaintsPolicy", json!("honor"), NotOneOf, "/0/nodeTaintsPolicy"),
            ("/0/matchLabelKeys", json!(["app"]), ExclusiveFields, "/0/labelSelector/matchLabels/app"),
            ("/-", same, DuplicateEntry, "/1"),
        ],
    );
    fine(&object, "/spec/topologySpreadConstraints", &[("/0/matchLabelKeys", json!(["pod-template-hash"]))]);
    warnings(
        &object,
        "/spec/topologySpreadConstraints",
        &[("/0/labelSelector", json!("()"), ServerWarning, "/0 labelSelector")],
    );
}

#[test]
fn tolerations() {
    let mut object = pod();
    object["spec"]["tolerations"] = json!([{"key": "a", "value": "b", "effect": "NoSchedule"}, {"operator": "Exists"}]);
    errors(
        &object,
        "/spec/tolerations/0",
        &[
            ("/key", json!(""), DependentFields, " operator"),
            ("/operator", json!("Is"), NotOneOf, "/operator"),
            ("/operator", json!("Exists"), ExclusiveFields, "/value"),
            ("/value", json!("a b"), InvalidLabel, "/value"),
            ("/effect", json!("No"), NotOneOf, "/effect"),
            ("/tolerationSeconds", json!(1), DependentFields, "/tolerationSeconds"),
        ],
    );
}
