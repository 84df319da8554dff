use serde_json::{Value, json};

use super::*;
use crate::engine::{Engine, Limits};
use crate::registry::{Options, Registry};

fn configurations_of(place: &Place, fail: bool) -> (Value, Value) {
    let engine = Engine::new(Limits::default()).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let wanted = Wanted { enforces: true, rules: Rules::of(&registry), ca_bundle: b"authority".to_vec() };
    let (validating, mutating) =
        (configurations::validating(place, &wanted, fail), configurations::mutating(place, &wanted));
    (serde_json::to_value(validating).unwrap(), serde_json::to_value(mutating).unwrap())
}

fn configurations(fail: bool) -> (Value, Value) {
    configurations_of(&place(Reach::Url("https://127.0.0.1:8443/".to_owned())), fail)
}

fn place(reach: Reach) -> Place {
    Place { name: "plimsoll".to_owned(), reach, only_namespaces: Vec::new(), take_over: false }
}

fn service() -> Reach {
    Reach::Service { namespace: "ours".to_owned(), name: "load-line".to_owned(), port: 8443 }
}

#[test]
fn what_is_registered() {
    let (validating, mutating) = configurations(true);
    assert_eq!(validating["kind"], "ValidatingWebhookConfiguration");
    assert_eq!(mutating["kind"], "MutatingWebhookConfiguration");
    for (configuration, path, timeout) in [(&validating, "validate", 10), (&mutating, "mutate", 5)] {
        assert_eq!(configuration["apiVersion"], "admissionregistration.k8s.io/v1");
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

/// Without a policy that can deny, an apply never fails.
#[test]
fn failure_policies() {
    let policies = |fail| {
        let (validating, mutating) = configurations(fail);
        [validating, mutating]
            .map(|configuration| configuration["webhooks"][0]["failurePolicy"].as_str().unwrap().to_owned())
    };
    assert_eq!(policies(true), ["Fail", "Ignore"]);
    assert_eq!(policies(false), ["Ignore", "Ignore"]);
}

/// The rules are narrow: no wildcard of resources, and no nodes, leases, events or reviews.
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

/// With a Service, its namespace can always be repaired, and resources of the control plane are not reviewed.
#[test]
fn what_is_excluded() {
    let (validating, mutating) = configurations_of(&place(service()), false);
    for (configuration, path) in [(&validating, "/validate"), (&mutating, "/mutate")] {
        let webhook = &configuration["webhooks"][0];
        let service = json!({"namespace": "ours", "name": "load-line", "port": 8443, "path": path});
        assert_eq!(webhook["clientConfig"], json!({"service": service, "caBundle": "YXV0aG9yaXR5"}));
        let selector = json!([{
            "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "ours"],
        }]);
        assert_eq!(webhook["namespaceSelector"]["matchExpressions"], selector);
        let conditions = webhook["matchConditions"].as_array().unwrap();
        assert_eq!(
            conditions[0]["expression"],
            "!has(request.namespace) || !(request.namespace in ['kube-system', 'ours'])"
        );
        let never = conditions[1]["expression"].as_str().unwrap();
        for name in ["/nodes", "/events", "coordination.k8s.io/leases", "authentication.k8s.io/tokenreviews"] {
            assert!(never.contains(&format!("'{name}'")), "{never}");
        }
    }
}

#[test]
fn only_some_namespaces() {
    let only = Place { only_namespaces: vec!["demo".to_owned(), "try".to_owned()], ..place(service()) };
    let (validating, _) = configurations_of(&only, false);
    let webhook = &validating["webhooks"][0];
    assert_eq!(webhook["namespaceSelector"]["matchExpressions"][1]["operator"], "In");
    assert_eq!(webhook["namespaceSelector"]["matchExpressions"][1]["values"], json!(["demo", "try"]));
    let expression = webhook["matchConditions"][0]["expression"].as_str().unwrap();
    assert!(expression.ends_with(" && has(request.namespace) && request.namespace in ['demo', 'try']"), "{expression}");
}

#[test]
fn errors_say_what_to_do() {
    let status = |code, message: &str| {
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message});
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    };
    let access = errors::Access {
        kind: "ValidatingWebhookConfiguration",
        name: "plimsoll",
        verbs: "`get` and `patch`",
        resource: "validatingwebhookconfigurations.admissionregistration.k8s.io",
        advice: ", or start without --register",
    };
    let text = access.failed(status(403, "bob may not")).to_string();
    assert_eq!(
        text,
        "ValidatingWebhookConfiguration `plimsoll`: not allowed: bob may not\n  grant its user the verbs `get` and `patch` on \
         `validatingwebhookconfigurations.admissionregistration.k8s.io`, or start without --register"
    );
    let text = access.failed(status(422, "odd")).to_string();
    assert_eq!(text, "ValidatingWebhookConfiguration `plimsoll`: rejected by the API server: odd");
}

/// Requests of the control plane, and deletions of unprotected objects, succeed while no server answers.
#[test]
fn deletions_and_the_control_plane_never_wait_for_us() {
    let (validating, _) = configurations(true);
    let webhooks = validating["webhooks"].as_array().unwrap();
    let names: Vec<_> = webhooks.iter().map(|webhook| webhook["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["validate.plimsoll.dev", "protected.plimsoll.dev", "lenient.plimsoll.dev"]);
    let [strict, protected, lenient] = &webhooks[..] else { panic!() };
    let policy = |webhook: &Value| webhook["failurePolicy"].as_str().unwrap().to_owned();
    assert_eq!([strict, protected, lenient].map(policy), ["Fail", "Fail", "Ignore"]);
    let has = |webhook: &Value, operation| webhook["rules"].to_string().contains(operation);
    assert_eq!([strict, protected, lenient].map(|webhook| has(webhook, "DELETE")), [false, true, true]);
    assert!(!has(protected, "CREATE") && !has(protected, "UPDATE"));
    let resources = strict["rules"].to_string();
    assert!(resources.contains("deployments/scale") && !resources.contains("daemonsets/scale"));
    let condition = |webhook: &Value| webhook["matchConditions"][2]["expression"].as_str().unwrap().to_owned();
    for controller in ["replicaset-controller", "horizontal-pod-autoscaler", "namespace-controller"] {
        let account = format!("'system:serviceaccount:kube-system:{controller}'");
        assert!(condition(strict).starts_with("!(") && condition(strict).contains(&account));
        assert!(condition(lenient).contains(&account));
    }
    // A deletion is sent to exactly one of the two webhooks.
    let last = |webhook: &Value| webhook["matchConditions"][3]["expression"].as_str().unwrap().to_owned();
    let not = condition(protected);
    let control_plane = not.strip_prefix("!(").unwrap().strip_suffix(")").unwrap();
    assert_eq!(last(lenient), format!("!({}) || {control_plane}", last(protected)));
    for account in
        ["kube-system:deployment-controller'", "kube-system:pvc-protection-controller'", "'system:kube-scheduler'"]
    {
        assert!(control_plane.contains(account), "{control_plane}");
    }
}
