use serde_json::json;

use super::*;
use crate::registry::policy_set::tests::set;
use crate::registry::test_bundle::request;

fn deployment() -> Review {
    request("apps", "deployments", "Deployment", "", "CREATE", "shop")
}

fn file(api_version: &str, kind: &str) -> Review {
    Review::from_object(&json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web"}})).unwrap()
}

fn rules(rules: &str) -> Match {
    set(&format!("match: {{resourceRules: [{rules}]}}")).requests
}

#[test]
fn rules_of_the_cluster() {
    let scale = request("apps", "deployments", "Deployment", "scale", "UPDATE", "shop");
    let namespace = request("", "namespaces", "Namespace", "", "CREATE", "shop");
    for (rule, create, scaled, whole) in [
        ("{resources: [\"*\"]}", true, false, true),
        ("{resources: [\"*/*\"]}", true, true, true),
        ("{resources: [deployments]}", true, false, false),
        ("{resources: [deployments/scale]}", false, true, false),
        ("{resources: [\"*/scale\"]}", false, true, false),
        ("{resources: [\"deployments/*\"]}", true, true, false),
        ("{resources: [pods, deployments]}", true, false, false),
        ("{resources: [\"*\"], apiGroups: [apps]}", true, false, false),
        ("{resources: [\"*\"], apiGroups: [\"\"]}", false, false, true),
        (
            "{resources: [\"*\"], apiGroups: [\"*\"], apiVersions: [\"*\"], operations: [\"*\"], scope: \"*\"}",
            true,
            false,
            true,
        ),
        ("{resources: [\"*\"], apiVersions: [v1]}", true, false, true),
        ("{resources: [\"*\"], apiVersions: [v1beta1]}", false, false, false),
        ("{resources: [\"*/*\"], operations: [UPDATE, DELETE]}", false, true, false),
        ("{resources: [\"*/*\"], scope: Cluster}", false, false, true),
        ("{resources: [\"*/*\"], scope: Namespaced}", true, true, false),
        ("{resources: [deployments], resourceNames: [web]}", true, false, false),
        ("{resources: [deployments], resourceNames: [api]}", false, false, false),
        ("{resources: [deployments], operations: [UPDATE]}, {resources: [namespaces]}", false, false, true),
    ] {
        let found = rules(rule);
        let matched = (found.matches(&deployment()), found.matches(&scale), found.matches(&namespace));
        assert_eq!(matched, (create, scaled, whole), "{rule}");
    }
}

/// The kind of a Scale is `autoscaling/v1`, but rules name the resource that it scales.
#[test]
fn a_subresource_has_the_group_of_its_resource() {
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "subResource": "scale",
            "operation": "UPDATE",
            "namespace": "shop",
            "object": {},
        },
    });
    let review = Review::from_admission_review(body.to_string().as_bytes()).unwrap();
    assert!(rules("{apiGroups: [apps], resources: [\"*/scale\"]}").matches(&review));
    assert!(!rules("{apiGroups: [autoscaling], resources: [\"*/scale\"]}").matches(&review));
}

#[test]
fn rules_of_files() {
    let rule = rules("{apiGroups: [apps], resources: [deployments], scope: Namespaced}");
    assert!(rule.matches(&file("apps/v1", "Deployment")), "a file without a namespace is namespaced all the same");
    assert!(!rule.matches(&file("apps/v1", "StatefulSet")));
    assert!(!rule.matches(&file("example.com/v1", "Deployment")));
    let rule = rules("{resources: [\"*\"], scope: Cluster}");
    assert!(rule.matches(&file("rbac.authorization.k8s.io/v1", "ClusterRole")));
    assert!(!rule.matches(&file("rbac.authorization.k8s.io/v1", "Role")));
    assert!(rules("{resources: [networkpolicies]}").matches(&file("networking.k8s.io/v1", "NetworkPolicy")));
}

#[test]
fn exclusions_win() {
    let excluding = |spec: &str| set(spec).requests.matches(&deployment());
    assert!(excluding("match: {}"));
    assert!(excluding("match: {resourceRules: []}"));
    assert!(!excluding("match: {excludeResourceRules: [{resources: [deployments]}]}"));
    assert!(excluding("match: {excludeResourceRules: [{resources: [deployments], operations: [UPDATE]}]}"));
    assert!(!excluding(
        "match: {resourceRules: [{resources: [\"*\"]}], excludeResourceRules: [{apiGroups: [apps], resources: [\"*\"]}]}"
    ));
}

#[test]
fn modes_of_namespaces() {
    let set = set(
        "mode: observe\nnamespaceModes:\n- {names: [\"team-*\"], mode: \"off\"}\n- {names: [\"team-a*\"], mode: observe}\n\
         - {names: [team-a, \"prod-?\"], mode: enforce}\n",
    );
    for (namespace, mode) in [
        ("team-a", Mode::Enforce),
        ("team-ab", Mode::Off),
        ("prod-1", Mode::Enforce),
        ("prod-12", Mode::Observe),
        ("other", Mode::Observe),
        ("", Mode::Observe),
    ] {
        assert_eq!(set.modes.of(namespace), mode, "{namespace:?}");
    }
}

#[test]
fn namespaces_by_name_and_pattern() {
    let named = set("match: {namespaces: [shop, \"team-*\"]}").requests;
    let deployment = |namespace: &str| request("apps", "deployments", "Deployment", "", "CREATE", namespace);
    for (namespace, expected) in [("shop", true), ("team-a", true), ("shops", false), ("a-team", false)] {
        assert_eq!(named.matches(&deployment(namespace)), expected, "{namespace}");
    }
    let node = request("", "nodes", "Node", "", "CREATE", "");
    assert!(!named.matches(&node), "what lies in no namespace");
    // An object of a file without a namespace may be applied to one of them.
    assert!(named.matches(&file("apps/v1", "Deployment")));
    assert!(!named.matches(&file("rbac.authorization.k8s.io/v1", "ClusterRole")));
    let stated =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "other"}});
    assert!(!named.matches(&Review::from_object(&stated).unwrap()));
    // If rules are given as well, both must match.
    let both = set("match: {namespaces: [shop], resourceRules: [{resources: [statefulsets]}]}").requests;
    assert!(!both.matches(&deployment("shop")));
}

#[test]
fn namespaces_that_are_none() {
    for (namespaces, expected) in [
        ("[]", "it is empty, so it would match nothing"),
        ("[Shop]", "\"Shop\" is no name of a namespace, nor a pattern of one with * and ?"),
        ("shop", "must be a list"),
    ] {
        let spec = format!("match: {{namespaces: {namespaces}}}");
        let text = format!(
            "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"
        );
        let problems = crate::registry::read(&text, "f.yaml").unwrap_err();
        assert!(problems.iter().any(|problem| problem.to_string().contains(expected)), "{namespaces}: {problems:?}");
    }
}
