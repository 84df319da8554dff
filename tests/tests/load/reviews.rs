//! The reviews of the load test, and the expected answers of each version of the configuration.

use plimsoll_tests::{Manifest, named_policies};
use serde_json::{Value, json};

/// Placeholders for values that differ between reviews.
const UID: &str = "uid-0000000000";
const NAME: &str = "name-0000000000";

/// One version denies, warns and completes like the profile `production`. The other denies for one policy.
pub(crate) const CONFIGURATIONS: [&str; 2] = [
    "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: all}\nspec: {mode: enforce, profile: production}\n",
    "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: one}\n\
     spec: {mode: enforce, profile: none, policies: [{id: missing-resource-requests, action: Deny}]}\n",
];

/// A group of reviews whose objects differ only by name.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) what: &'static str,
    pub(crate) path: &'static str,
    body: String,
    /// Policies that deny, by the version of the configuration. These are constants, so that the test does not depend
    /// on an answer.
    pub(crate) denied_by: [&'static [&'static str]; 2],
    /// Whether the answer has a patch, by the version.
    pub(crate) patched: [bool; 2],
}

/// Good and bad objects.
pub(crate) fn shapes() -> Vec<Shape> {
    let good = || Manifest::good("Deployment", NAME);
    let latest = good().pod("/containers/0/image", json!("registry.example.com/shop:latest"));
    let no_requests = good().pod("/containers/0/resources", json!({}));
    let both = latest.clone().pod("/containers/0/resources", json!({}));
    let incomplete = good().pod("/securityContext/runAsNonRoot", Value::Null);
    let none: [&[&str]; 2] = [&[], &[]];
    let shape = |what, path, object: &Manifest, denied_by, patched| Shape {
        what,
        path,
        body: body(object),
        denied_by,
        patched,
    };
    vec![
        shape("good", "/validate", &good(), none, [false, false]),
        shape("latest", "/validate", &latest, [&["latest-image-tag"], &[]], [false, false]),
        shape(
            "no requests",
            "/validate",
            &no_requests,
            [&["missing-resource-requests"], &["missing-resource-requests"]],
            [false, false],
        ),
        shape(
            "both",
            "/validate",
            &both,
            [&["latest-image-tag", "missing-resource-requests"], &["missing-resource-requests"]],
            [false, false],
        ),
        shape("completed", "/mutate", &incomplete, none, [true, false]),
        shape("nothing to complete", "/mutate", &good(), none, [false, false]),
    ]
}

impl Shape {
    /// The body, and its uid.
    pub(crate) fn review(&self, number: u64) -> (String, String) {
        let (uid, name) = (format!("uid-{number:010}"), format!("name-{number:010}"));
        (self.body.replace(UID, &uid).replace(NAME, &name), uid)
    }

    /// An answer without the values that differ between reviews. `None` if it is not the answer to this review.
    pub(crate) fn normalised(&self, answer: &[u8], number: u64) -> Option<Value> {
        let text = std::str::from_utf8(answer).ok()?.replace(&format!("name-{number:010}"), NAME);
        let mut review: Value = serde_json::from_str(&text).ok()?;
        let response = review.get_mut("response")?.as_object_mut()?;
        let uid = response.remove("uid")?;
        (uid == format!("uid-{number:010}")).then_some(review)
    }

    /// Whether an answer is the expected one for this version.
    pub(crate) fn fits(&self, answer: &Value, version: usize) -> bool {
        let response = &answer["response"];
        let message = response["status"]["message"].as_str().unwrap_or_default();
        let denying = named_policies(message);
        let patched = response.get("patch").is_some();
        denying.iter().eq(self.denied_by[version])
            && response["allowed"] == denying.is_empty()
            && patched == self.patched[version]
    }
}

fn body(object: &Manifest) -> String {
    let mut object: Value = serde_json::from_str(&object.to_string()).unwrap();
    object["metadata"]["namespace"] = "shop".into();
    let request = json!({
        "uid": UID,
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": NAME,
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": object,
        "oldObject": null,
        "dryRun": false,
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}
