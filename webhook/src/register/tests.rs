use serde_json::{Value, json};

use super::*;
use crate::engine::{Engine, Limits};
use crate::registry::Options;

fn configurations(enforces: bool) -> (Value, Value) {
    let engine = Engine::new(Limits::default()).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let target = Target { url: "https://127.0.0.1:8443/", ca_bundle: b"authority", enforces };
    let both = (validating(&registry, &target), mutating(&registry, &target));
    (serde_json::to_value(both.0).unwrap(), serde_json::to_value(both.1).unwrap())
}

#[test]
fn what_is_registered() {
    let (validating, mutating) = configurations(true);
    assert_eq!(validating["kind"], "ValidatingWebhookConfiguration");
    assert_eq!(mutating["kind"], "MutatingWebhookConfiguration");
    for (configuration, path, timeout) in [(&validating, "validate", 10), (&mutating, "mutate", 5)] {
        assert_eq!(configuration["apiVersion"], "admissionregistration.k8s.io/v1");
        assert_eq!(configuration["metadata"], json!({"name": "plimsoll"}));
        let webhook = &configuration["webhooks"][0];
        assert_eq!(webhook["name"], format!("{path}.plimsoll.dev"));
        let client = json!({"url": format!("https://127.0.0.1:8443/{path}"), "caBundle": "YXV0aG9yaXR5"});
        assert_eq!(webhook["clientConfig"], client);
        assert_eq!(webhook["timeoutSeconds"], timeout);
        assert_eq!(webhook["sideEffects"], "None");
        assert_eq!(webhook["matchPolicy"], "Equivalent");
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
    }
    assert_eq!(mutating["webhooks"][0]["reinvocationPolicy"], "IfNeeded");
}

/// Only what can deny may stop an apply.
#[test]
fn failure_policies() {
    let policies = |enforces| {
        let (validating, mutating) = configurations(enforces);
        [validating, mutating]
            .map(|configuration| configuration["webhooks"][0]["failurePolicy"].as_str().unwrap().to_owned())
    };
    assert_eq!(policies(true), ["Fail", "Ignore"]);
    assert_eq!(policies(false), ["Ignore", "Ignore"]);
}

/// Small and bootstrap-safe: no wildcard of resources, nothing of nodes, leases, events and reviews.
#[test]
fn rules_are_narrow() {
    let (validating, mutating) = configurations(true);
    for configuration in [&validating, &mutating] {
        let rules = configuration["webhooks"][0]["rules"].as_array().unwrap();
        assert!(!rules.is_empty());
        for rule in rules {
            assert_eq!(rule["operations"], json!(["CREATE", "UPDATE"]));
            let resources: Vec<_> =
                rule["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert!(resources.is_sorted() && !resources.is_empty(), "{resources:?}");
            for resource in resources {
                let forbidden = ["*", "nodes", "leases", "events", "tokenreviews", "subjectaccessreviews", "secrets"];
                assert!(!forbidden.contains(&resource), "{resource}");
            }
        }
        let apps = rules.iter().find(|rule| rule["apiGroups"] == json!(["apps"])).unwrap();
        assert_eq!(apps["apiVersions"], json!(["v1"]));
        assert!(apps["resources"].as_array().unwrap().contains(&"deployments".into()));
    }
    let text = mutating.to_string();
    assert!(!text.contains("pods/"), "a subresource is never mutated: {text}");
}

#[test]
fn errors_say_what_to_do() {
    let status = |code, message: &str| {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message});
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    };
    let text = explain("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", status(403, "bob may not"))
        .to_string();
    assert!(text.contains("bob may not") && text.contains("`patch` on `validatingwebhookconfigurations`"), "{text}");
    let text = explain("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", status(422, "odd")).to_string();
    assert!(text.ends_with("does not take MutatingWebhookConfiguration `plimsoll`: odd"), "{text}");
}
