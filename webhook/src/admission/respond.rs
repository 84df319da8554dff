//! Turns a verdict into the AdmissionReview that the API server reads.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::message;
use super::verdict::{Silence, Verdict};
use crate::model::{Action, Review};
use crate::printed;

/// Keys of the audit annotations. The API server puts the webhook's name before them.
const DENIED: &str = "denied";
const WARNED: &str = "warned";
const AUDITED: &str = "audited";

/// The answer to `/validate`.
pub fn validated(review: &Review, verdict: &Verdict) -> Value {
    let mut response = Map::new();
    response.insert("uid".to_owned(), review.uid.clone().into());
    response.insert("allowed".to_owned(), verdict.allowed().into());
    if !verdict.allowed() {
        let causes: Vec<Value> = message::causes(review, verdict)
            .into_iter()
            .map(|(reason, field, message)| json!({"reason": reason, "field": field, "message": message}))
            .collect();
        response.insert(
            "status".to_owned(),
            json!({
                "status": "Failure",
                "code": 403,
                "reason": "Forbidden",
                "message": message::denial(review, verdict),
                "details": {
                    "name": review.name,
                    "group": review.kind.group,
                    "kind": review.kind.kind,
                    "causes": causes,
                },
            }),
        );
    }
    let warnings = message::warnings(review, verdict);
    if !warnings.is_empty() {
        response.insert("warnings".to_owned(), warnings.into());
    }
    let annotations = annotations(verdict);
    if !annotations.is_empty() {
        response.insert("auditAnnotations".to_owned(), Value::Object(annotations));
    }
    envelope(response)
}

/// The answer to `/mutate`: always allowed, with a patch if there is something to add.
pub fn mutated(review: &Review, patch: Option<&json_patch::Patch>) -> Value {
    let mut response = Map::new();
    response.insert("uid".to_owned(), review.uid.clone().into());
    response.insert("allowed".to_owned(), true.into());
    // A patch always serialises, because its values come from JSON.
    if let Some(text) = patch.filter(|patch| !patch.0.is_empty()).and_then(|patch| serde_json::to_vec(patch).ok()) {
        response.insert("patchType".to_owned(), "JSONPatch".into());
        response.insert("patch".to_owned(), BASE64.encode(&text).into());
    }
    envelope(response)
}

/// The answer to a request that has a uid but can't be judged.
pub fn refused(uid: &str, reason: &str) -> Value {
    let mut response = Map::new();
    response.insert("uid".to_owned(), uid.into());
    response.insert("allowed".to_owned(), false.into());
    response.insert(
        "status".to_owned(),
        json!({"status": "Failure", "code": 400, "reason": "BadRequest", "message": format!("plimsoll: {}", printed::line(reason))}),
    );
    envelope(response)
}

/// The policies by action, for the audit log: only ids, no values.
fn annotations(verdict: &Verdict) -> Map<String, Value> {
    let mut annotations = Map::new();
    for (name, action) in [(DENIED, Action::Deny), (WARNED, Action::Warn), (AUDITED, Action::Audit)] {
        let findings = verdict.judged.iter().filter(|judged| judged.action == action).map(|judged| &judged.policy.id);
        let failures = verdict.failed.iter().filter(|failed| failed.action == action).map(|failed| &failed.policy.id);
        let mut ids: Vec<&str> = findings.chain(failures).map(String::as_str).collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            annotations.insert(name.to_owned(), ids.join(",").into());
        }
    }
    // Why an action is lower than in the PolicySets. Auditors search for this after a break-glass or a rollback.
    let findings = verdict.judged.iter().filter_map(|judged| Some((judged.spared?, &judged.policy.id)));
    let failures = verdict.failed.iter().filter_map(|failed| Some((failed.spared?, &failed.policy.id)));
    let mut spared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (why, id) in findings.chain(failures) {
        spared.entry(why.as_str()).or_default().insert(id);
    }
    for (judged, silence) in &verdict.silenced {
        let by = match silence {
            Silence::Annotation { .. } => "ignored",
            Silence::Exemption(_) => "exempted",
        };
        spared.entry(by).or_default().insert(&judged.policy.id);
    }
    for (why, ids) in spared {
        annotations.insert(why.to_owned(), ids.into_iter().collect::<Vec<_>>().join(",").into());
    }
    annotations
}

fn envelope(response: Map<String, Value>) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}
