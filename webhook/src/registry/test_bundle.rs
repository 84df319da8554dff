//! Policies that exist only in tests: the metadata of bundles, without WebAssembly. And requests for them.

use std::collections::BTreeMap;

use plimsoll_sdk::metadata::{
    ABI, Bundle, FixClass, Judges, On, Policy, Profiles, Severity, Stage, Workloads, no_defaults, no_settings,
};
use serde_json::json;

use crate::model::Review;

pub(crate) fn bundle(policies: Vec<Policy>) -> Bundle {
    Bundle {
        abi: ABI.to_owned(),
        name: "test".to_owned(),
        version: "0.1.0".to_owned(),
        reads: BTreeMap::new(),
        policies,
    }
}

/// A policy on every workload.
pub(crate) fn policy(id: &str, category: &str, severity: Severity) -> Policy {
    Policy {
        id: id.to_owned(),
        title: String::new(),
        documentation: String::new(),
        category: category.to_owned(),
        severity,
        since: "0.1.0".to_owned(),
        stage: Stage::Both,
        judges: Judges::State,
        on: On { workloads: Workloads::All, ..On::default() },
        requires: Vec::new(),
        refines: Vec::new(),
        edits: vec!["{template}/spec".to_owned()],
        mutates: FixClass::Unsafe,
        profiles: Profiles::default(),
        settings_schema: no_settings(),
        settings_defaults: no_defaults(),
        checks_settings: false,
    }
}

pub(crate) fn with_settings(policy: Policy) -> Policy {
    let limit = json!({"anyOf": [{"type": "string", "pattern": "^[0-9]+$"}, {"type": "number"}], "default": "4"});
    Policy {
        settings_schema: json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "limit": limit,
                "replicas": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
                "mode": {"type": "string", "enum": ["strict", "lax"], "default": "strict"},
                "names": {"type": "array", "items": {"type": "string"}, "uniqueItems": true, "default": []},
            },
        }),
        settings_defaults: json!({"limit": "4", "replicas": 2, "mode": "strict", "names": []}),
        ..policy
    }
}

/// A request from the cluster for an object named `web`.
pub(crate) fn request(
    group: &str,
    resource: &str,
    kind: &str,
    subresource: &str,
    operation: &str,
    namespace: &str,
) -> Review {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": resource},
            "subResource": subresource,
            "operation": operation,
            "namespace": namespace,
            "name": "web",
            "object": {"metadata": {"name": "web"}},
        },
    });
    Review::from_admission_review(body.to_string().as_bytes()).unwrap()
}
