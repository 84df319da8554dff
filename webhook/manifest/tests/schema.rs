//! What the table alone says about an object: its kind, its fields and their types.

use plimsoll_flat::{Node, json};
use plimsoll_manifest::{Edit, Fault, Judgement, Known, Rule, Severity, Version, judge};
use serde_json::{Value, json};

fn judged(object: &Value, minor: u16) -> Judgement {
    let document = json::from_json(object.to_string().as_bytes()).expect("a document");
    judge(Node::root(&document).expect("a root"), Version { minor })
}

fn faults(object: &Value) -> Vec<Fault> {
    judged(object, 36).faults
}

/// The one fault with this rule.
#[track_caller]
fn one(object: &Value, rule: Rule) -> Fault {
    let all = faults(object);
    let mut found: Vec<Fault> = all.iter().filter(|fault| fault.rule == rule).cloned().collect();
    assert_eq!(found.len(), 1, "{all:#?}");
    found.remove(0)
}

fn edits(fault: &Fault) -> &[Edit] {
    fault.fix.as_ref().map_or(&[], |fix| &fix.edits)
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "app", "image": "shop", "ports": [{"containerPort": 8080}]}]}
            }
        }
    })
}

/// A Deployment with this value at a pointer whose parent exists.
fn with(pointer: &str, value: Value) -> Value {
    let mut object = deployment();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = object.pointer_mut(parent).expect("a parent");
    match key.parse::<usize>() {
        Ok(index) => parent[index] = value,
        Err(_) => parent[key] = value,
    }
    object
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn a_valid_object_has_no_faults() {
    assert_eq!(faults(&deployment()), []);
    let judgement = judged(&json!({"apiVersion": "example.com/v1", "kind": "Shop", "spec": {"a": 1}}), 36);
    assert_eq!((judgement.faults, judgement.known), (Vec::new(), Known::Custom));
}

#[test]
fn a_misspelt_field_is_renamed() {
    let fault = one(&with("/spec/replica", json!(3)), Rule::UnknownField);
    assert_eq!(fault.at.pointer, "/spec/replica");
    assert_eq!(fault.help, "write `replicas`");
    assert_eq!(edits(&fault), [Edit::Rename { pointer: "/spec/replica".into(), name: "replicas".into() }]);
    // Nothing is renamed to a field that takes another value, or that is there already.
    let fault = one(&with("/spec/replica", json!({"a": 1})), Rule::UnknownField);
    assert_eq!(edits(&fault), []);
    let fault = one(&with("/spec/Selector", json!({})), Rule::UnknownField);
    assert_eq!(edits(&fault), []);
}

#[test]
fn a_misplaced_field_is_moved() {
    let fault = one(&with(&format!("{CONTAINER}/minReadySeconds"), json!(3)), Rule::MisplacedField);
    let from = format!("{CONTAINER}/minReadySeconds");
    assert_eq!(edits(&fault), [Edit::Move { from, to: "/spec/minReadySeconds".into() }]);

    let fault = one(&with("/spec/restartPolicy", json!("Always")), Rule::MisplacedField);
    let to = "/spec/template/spec/restartPolicy".into();
    assert_eq!(edits(&fault), [Edit::Move { from: "/spec/restartPolicy".into(), to }]);

    let fault = one(&with("/replicas", json!(3)), Rule::MisplacedField);
    assert_eq!(edits(&fault), [Edit::Move { from: "/replicas".into(), to: "/spec/replicas".into() }]);

    // The field belongs to a Pod, but a probe has one of the same name: no fix, but the place around comes first.
    let mut object = with(&format!("{CONTAINER}/livenessProbe"), json!({"tcpSocket": {"port": 8080}}));
    object.pointer_mut(CONTAINER).expect("a container")["terminationGracePeriodSeconds"] = json!(60);
    let fault = one(&object, Rule::MisplacedField);
    assert_eq!(fault.help, "move it to `spec.template.spec.terminationGracePeriodSeconds`");
    assert_eq!(edits(&fault), []);
}

#[test]
fn values_have_the_type_of_their_field() {
    let port = format!("{CONTAINER}/ports/0/containerPort");
    let fault = one(&with(&port, json!("8080")), Rule::WrongType);
    assert_eq!(edits(&fault), [Edit::Replace { pointer: port.clone(), value: "8080".into() }]);
    assert_eq!(edits(&one(&with(&port, json!("08080")), Rule::WrongType)), []);
    one(&with(&port, json!(1.5)), Rule::WrongType);
    one(&with(&port, json!([80])), Rule::WrongType);
    assert!(faults(&with(&port, json!(4_294_967_296_i64))).iter().any(|fault| fault.rule == Rule::OutOfRange));
    one(&with("/metadata/name", json!(2024)), Rule::WrongType);
    one(&with("/metadata/labels", json!({"app": true})), Rule::WrongType);
    one(&with("/spec/template/spec/containers", json!({"name": "app"})), Rule::WrongType);
    one(&with("/metadata/creationTimestamp", json!("yesterday")), Rule::InvalidFormat);
    let memory = |text: &str| with(&format!("{CONTAINER}/resources"), json!({"requests": {"memory": text}}));
    assert_eq!(one(&memory("256MB"), Rule::InvalidQuantity).help, "write `256M`");
    assert_eq!(one(&memory("1 gi"), Rule::InvalidQuantity).help, "write `1Gi`");
    // `null` is no value, wherever it is.
    assert_eq!(faults(&with("/spec/replicas", Value::Null)), []);
    assert_eq!(faults(&with(&format!("{CONTAINER}/args"), json!([null]))), []);
}

#[test]
fn a_placeholder_is_named_once() {
    let fault = one(&with("/spec/replicas", json!("${REPLICAS}")), Rule::Placeholder);
    assert_eq!(fault.at.pointer, "/spec/replicas");
    assert_eq!(faults(&with("/spec/replicas", json!("{{ .Values.replicas }}"))).len(), 1);
    // A shell may well read this.
    assert_eq!(faults(&with(&format!("{CONTAINER}/args"), json!(["${HOME}"]))), []);
}

#[test]
fn apis_that_are_gone_or_never_were() {
    let replaced = |text: &str| vec![Edit::Replace { pointer: "/apiVersion".into(), value: format!("\"{text}\"") }];
    for version in ["v1", "extensions/v1beta1", "app/v1", "apps/v1beta2", "apps/v2", "batch/v1"] {
        let fault = one(&with("/apiVersion", json!(version)), Rule::UnservedKind);
        assert_eq!(edits(&fault), replaced("apps/v1"), "{version}");
    }
    let fault = one(&with("/kind", json!("deployment")), Rule::UnservedKind);
    assert_eq!(edits(&fault), [Edit::Replace { pointer: "/kind".into(), value: "\"Deployment\"".into() }]);
    let ingress = json!({"apiVersion": "extensions/v1beta1", "kind": "Ingress", "metadata": {"name": "web"}});
    assert_eq!(edits(&one(&ingress, Rule::UnservedKind)), []);
    one(&json!({"kind": "Pod"}), Rule::MissingKind);
    // What was served until a version, or is since one.
    let address = json!({
        "apiVersion": "networking.k8s.io/v1beta1", "kind": "IPAddress", "metadata": {"name": "10.0.0.1"},
        "spec": {"parentRef": {"resource": "services", "name": "a", "namespace": "b"}}
    });
    let severe = |minor| judged(&address, minor).faults.iter().any(|fault| fault.severity == Severity::Error);
    assert_eq!((severe(36), severe(37)), (false, true));
    // The list of a kind is sent item by item.
    assert_eq!(faults(&json!({"apiVersion": "v1", "kind": "List", "items": []})), []);
    assert_eq!(faults(&json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": []})), []);
}

#[test]
fn fields_depend_on_the_version() {
    // Fields of Pods that newer versions have.
    let object = with(&format!("{CONTAINER}/restartPolicyRules"), json!([]));
    let unknown = |minor| judged(&object, minor).faults.iter().any(|fault| fault.rule == Rule::UnknownField);
    assert_eq!((unknown(32), unknown(20), unknown(36), unknown(99)), (true, true, false, false));
}

#[test]
fn hostile_objects_end_soon() {
    let mut deep = json!({});
    for _ in 0..400 {
        deep = json!({"spec": deep, "items": [null]});
    }
    for object in [
        json!([]),
        json!("text"),
        json!({"apiVersion": 1, "kind": []}),
        json!({"apiVersion": "a/b/c", "kind": "é"}),
        with("/spec", deep),
        with("/spec", json!([[[[]]]])),
        with("/metadata", json!({"labels": {"": null}, "name": "\u{0}"})),
    ] {
        let all = faults(&object);
        assert!(!all.is_empty() && all.len() <= 200, "{all:#?}");
    }
    let many: serde_json::Map<String, Value> = (0..20_000).map(|index| (format!("key{index}"), json!(1))).collect();
    assert_eq!(faults(&with("/spec/template/spec", Value::Object(many))).len(), 200);
}
