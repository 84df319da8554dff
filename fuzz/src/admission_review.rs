//! Bodies of requests: rejected with a reason, or read as serde_json reads them.

use std::sync::Arc;

use plimsoll::admission::authored::Authorship;
use plimsoll::admission::{Verdict, respond};
use plimsoll::model::review::{LAST_APPLIED, Malformed};
use plimsoll::model::{Review, Subject};
use plimsoll_flat::{Node, validate};
use serde_json::Value;

use crate::same::{is_wider, means, pointers};

/// Any bytes as the body of an AdmissionReview.
pub const TARGET: crate::Target = crate::Target { name: "admission_review", run, words: WORDS, bounded: 30_000 };

const WORDS: &[&str] = &[
    "\"kind\":\"AdmissionReview\"",
    "\"apiVersion\":\"admission.k8s.io/v1\"",
    "\"request\":",
    "\"uid\":\"u\"",
    "\"operation\":\"UPDATE\"",
    "\"CREATE\"",
    "\"DELETE\"",
    "\"CONNECT\"",
    "\"object\":{}",
    "\"oldObject\":",
    "\"metadata\":",
    "\"managedFields\":",
    "\"annotations\":",
    "\"kubectl.kubernetes.io/last-applied-configuration\":\"{}\"",
    "\"kind\":{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"}",
    "\"userInfo\":{\"username\":\"u\",\"groups\":[\"g\"]}",
    "\"dryRun\":true",
    "\"subResource\":\"scale\"",
    "\"namespace\":\"n\"",
    "\"resource\":{\"resource\":\"pods\"}",
    "{\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}",
    "\"f:spec\":",
    "\"k:{\\\"name\\\":\\\"a\\\"}\":",
    "null",
    "[]",
    "{}",
    "1e400",
    "\\ud800",
    "\\u0000",
];

fn run(body: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(body);
    let review = match Review::from_admission_review(body) {
        Ok(review) => Arc::new(review),
        Err(malformed) => return refused(&malformed, theirs.as_ref().ok()),
    };
    assert!(!review.uid.is_empty());
    assert_eq!(validate(review.document()), Ok(()));
    answered(&review);
    for object in [review.object(), review.old_object()].into_iter().flatten() {
        let at = |name: &str| object.get("metadata").and_then(|metadata| metadata.get(name));
        assert!(at("managedFields").is_none());
        assert!(at("annotations").and_then(|annotations| annotations.get(LAST_APPLIED)).is_none());
    }
    match theirs {
        Ok(theirs) => agrees(&review, &theirs),
        Err(error) => assert!(is_wider(&error), "read, but serde_json says: {error}"),
    }
    let authorship = Authorship::new(Arc::clone(&review));
    let object = review.object().and_then(|object| serde_json::to_value(object).ok()).unwrap_or_default();
    for pointer in pointers(&object, 20) {
        for subject in [Subject::Object, Subject::OldObject] {
            authorship.ask(subject, &pointer);
        }
    }
}

fn refused(malformed: &Malformed, theirs: Option<&Value>) {
    match (malformed, theirs) {
        (Malformed::Json(error), Some(_)) => panic!("Plimsoll rejects the body, but serde_json reads it: {error}"),
        (Malformed::Request { uid, reason }, theirs) => {
            let answer = respond::refused(uid, reason);
            assert_eq!(answer["response"]["uid"], uid.as_str());
            assert_eq!(answer["response"]["allowed"], false);
            if let Some(theirs) = theirs {
                assert_eq!(theirs["request"]["uid"], uid.as_str());
            }
        }
        (Malformed::Shape(_), Some(theirs)) => {
            let named = theirs["kind"] == "AdmissionReview" && theirs["apiVersion"] == "admission.k8s.io/v1";
            let uid = theirs["request"]["uid"].as_str().unwrap_or_default();
            assert!(!named || uid.is_empty(), "{malformed}, although the request has a uid");
        }
        _ => {}
    }
}

fn answered(review: &Review) {
    for answer in [respond::validated(review, &Verdict::default()), respond::mutated(review, None)] {
        let text = answer.to_string();
        let read: Value = serde_json::from_str(&text).expect("an answer is JSON");
        assert_eq!(read["response"]["uid"], review.uid.as_str());
        assert_eq!(read["response"]["allowed"], true);
    }
}

/// The review has the same contents as the body.
fn agrees(review: &Review, theirs: &Value) {
    let request = &theirs["request"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(review.uid, text(&request["uid"]));
    assert_eq!(review.operation.as_str(), text(&request["operation"]));
    assert_eq!(review.kind.group, text(&request["kind"]["group"]));
    assert_eq!(review.kind.version, text(&request["kind"]["version"]));
    assert_eq!(review.kind.kind, text(&request["kind"]["kind"]));
    assert_eq!(review.resource, text(&request["resource"]["resource"]));
    assert_eq!(review.subresource, text(&request["subResource"]));
    assert_eq!(review.namespace, text(&request["namespace"]));
    assert_eq!(review.name, text(&request["name"]));
    assert_eq!(review.username, text(&request["userInfo"]["username"]));
    let groups: Vec<_> =
        request["userInfo"]["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(review.groups, groups);
    assert_eq!(review.dry_run, request["dryRun"] == true);
    let mut request = request.clone();
    for object in ["object", "oldObject"] {
        let Some(metadata) = request.pointer_mut(&format!("/{object}/metadata")).and_then(Value::as_object_mut) else {
            continue;
        };
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    let ours = |node: Node<'_>| serde_json::to_value(node).expect("serde_json can hold a value that it reads");
    let document = ours(Node::root(review.document()).expect("a valid document has a root"));
    assert!(means(&document, &request), "{document} is not {request}");
    assert_eq!(review.object().is_some(), request["object"].is_object());
    assert_eq!(review.old_object().is_some(), request["oldObject"].is_object());
}
