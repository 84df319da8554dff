//! The reviewed object among the others.

use serde_json::{Value, json};

use super::*;
use crate::context::files::{Files, Objects, Place};

fn context(objects: &[Value]) -> Arc<dyn Context> {
    let kinds =
        ["/Service", "/Secret", "apps/Deployment", "policy/PodDisruptionBudget", "scheduling.k8s.io/PriorityClass"];
    let mut known = Objects::new(kinds.map(str::to_owned).into(), Arc::default());
    objects.iter().for_each(|object| known.add(object));
    Arc::new(Files::new(true, Arc::new(known)))
}

fn deployment(name: &str, app: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "n"},
        "spec": {"template": {"metadata": {"labels": {"app": app}}}}})
}

fn review(operation: &str, old: Option<Value>, new: Option<Value>) -> Arc<Review> {
    let name = old.as_ref().or(new.as_ref()).unwrap()["metadata"]["name"].clone();
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "operation": operation, "namespace": "n", "name": name,
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "object": new, "oldObject": old,
    }});
    Arc::new(Review::from_admission_review(body.to_string().as_bytes()).unwrap())
}

/// The names of the Deployments with this label, or of all.
fn names(surrounded: &Surrounded, subject: Subject, app: Option<&str>) -> Vec<String> {
    let answer = match app {
        Some(app) => {
            let selector = plimsoll_flat::to_document(&json!({"matchLabels": {"app": app}})).unwrap();
            surrounded.selected_by(subject, "apps/Deployment", &selector)
        }
        None => surrounded.listing(subject, "apps/Deployment"),
    };
    assert!(answer.complete);
    answer.documents.iter().map(|document| name_of(document).to_owned()).collect()
}

#[test]
fn the_reviewed_object_takes_the_place_of_what_is_stored() {
    let stored = context(&[deployment("a", "x"), deployment("b", "x"), deployment("c", "x")]);
    let (old, new) = (deployment("b", "x"), deployment("b", "y"));
    for (operation, old, new, subject, with_x, with_y, all) in [
        ("CREATE", None, Some(&new), Subject::Object, &["a", "c"][..], &["b"][..], &["a", "b", "c"][..]),
        ("UPDATE", Some(&old), Some(&new), Subject::Object, &["a", "c"], &["b"], &["a", "b", "c"]),
        ("UPDATE", Some(&old), Some(&new), Subject::OldObject, &["a", "b", "c"], &[], &["a", "b", "c"]),
        ("DELETE", Some(&old), None, Subject::OldObject, &["a", "c"], &[], &["a", "c"]),
    ] {
        let surrounded = Surrounded::new(review(operation, old.cloned(), new.cloned()), Arc::clone(&stored));
        let seen = |app| names(&surrounded, subject, app);
        assert_eq!(
            (seen(Some("x")), seen(Some("y")), seen(None)),
            (owned(with_x), owned(with_y), owned(all)),
            "{operation}"
        );
        let own = surrounded.get(subject, "apps/Deployment", "b").documents.len();
        assert_eq!(own, usize::from(operation != "DELETE"), "{operation} {subject:?}");
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn one_without_a_name_is_there_beside_all_others() {
    let mut generated = deployment("", "x");
    generated["metadata"]["generateName"] = json!("d-");
    let surrounded = Surrounded::new(review("CREATE", None, Some(generated)), context(&[deployment("a", "x")]));
    assert_eq!(names(&surrounded, Subject::Object, Some("x")), ["", "a"]);
}

#[test]
fn the_256th_is_the_last_with_the_reviewed_object_too() {
    let others: Vec<Value> = (0..MAX_DOCUMENTS).map(|number| deployment(&format!("d{number}"), "x")).collect();
    let surrounded = Surrounded::new(review("CREATE", None, Some(deployment("a", "x"))), context(&others));
    let answer = surrounded.listing(Subject::Object, "apps/Deployment");
    assert_eq!((answer.documents.len(), answer.complete), (MAX_DOCUMENTS, false));
    assert_eq!(name_of(&answer.documents[0]), "a");
}

#[test]
fn only_what_is_declared_and_never_a_secret() {
    let objects = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}, "data": {"a": "Yg=="}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "v", "namespace": "other"}}),
        json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "p"}}),
    ];
    let surrounded = Surrounded::new(review("CREATE", None, Some(deployment("a", "x"))), context(&objects));
    for (kind, name, documents, complete) in [
        ("/Secret", "s", 0, false),
        ("/ConfigMap", "c", 0, false),
        ("/Service", "v", 0, true),
        ("scheduling.k8s.io/PriorityClass", "p", 1, true),
    ] {
        let answer = surrounded.get(Subject::Object, kind, name);
        assert_eq!((answer.documents.len(), answer.complete), (documents, complete), "{kind}");
    }
}

/// A monitor as seen from objects. Every namespace that it names sees it. An object without a namespace sees the
/// monitors of its set.
#[test]
fn who_names_a_namespace_is_seen_in_it() {
    const KIND: &str = "monitoring.coreos.com/ServiceMonitor";
    let monitor = |name: &str, namespace: &str, selector: Value| {
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"namespaceSelector": selector}})
    };
    let mut known = Objects::new([KIND.to_owned()].into(), Arc::default());
    let place = |set| Place { set, ..Place::default() };
    for (number, (set, monitor)) in (0..).zip([
        (0, monitor("own", "shop", Value::Null)),
        (0, monitor("none", "shop", json!({"any": false, "matchNames": []}))),
        (0, monitor("all", "watch", json!({"any": true}))),
        (0, monitor("one", "watch", json!({"matchNames": ["bank", "shop"]}))),
        (0, monitor("one", "other", json!({"matchNames": ["bank"]}))),
        (1, monitor("set", "", Value::Null)),
    ]) {
        known.add_at(number, place(set), &monitor);
    }
    let known = Arc::new(known);
    let seen = |set, namespace: &str| {
        let question = Question::Referring { kind: NAMESPACE, name: namespace };
        let answer = Files::new(true, Arc::clone(&known)).seen_from(place(set)).answer(namespace, KIND, question);
        assert!(answer.complete);
        answer.documents.iter().map(|document| name_of(document).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(seen(0, "shop"), ["none", "own", "all", "one"]);
    assert_eq!(seen(1, "bank"), ["one", "all", "one"]);
    assert_eq!(seen(0, "watch"), ["all"]);
    assert_eq!(seen(1, ""), ["set"]);
    assert_eq!(seen(0, "").len(), 5);
    // For any other question, a monitor counts only in its own namespace.
    let own = Files::new(true, known).answer("watch", KIND, Question::Listing);
    assert_eq!(own.documents.iter().map(|document| name_of(document)).collect::<Vec<_>>(), ["all", "one"]);
}
