//! Compares the index with a full scan, for random objects, changes and questions.

use plimsoll_flat::json;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::*;
use crate::context::kept::Keeping;
use crate::registry::{Parts, Workloads};

const KINDS: [&str; 8] = [
    "/Service",
    "policy/PodDisruptionBudget",
    "networking.k8s.io/NetworkPolicy",
    "apps/Deployment",
    "/Pod",
    "autoscaling/HorizontalPodAutoscaler",
    "networking.k8s.io/Ingress",
    "/LimitRange",
];

/// Few labels, so that objects share them. One value is not text.
fn labels() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        8 => select(vec!["a", "b", "a-long-one"]).prop_map(Value::from),
        1 => Just(json!(1)),
    ];
    let map = proptest::collection::btree_map(select(vec!["app", "tier", "x"]), value, 0..3);
    map.prop_map(|labels| Value::Object(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()))
}

fn selector() -> impl Strategy<Value = Value> {
    let operator = select(vec!["In", "NotIn", "Exists", "DoesNotExist", "Within"]);
    let values = proptest::collection::vec(select(vec!["a", "b", "a-long-one"]), 0..3);
    let expression = (select(vec!["app", "tier", "x"]), operator, values)
        .prop_map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values}));
    let selector = (proptest::option::of(labels()), proptest::collection::vec(expression, 0..3));
    prop_oneof![
        10 => selector.prop_map(|(labels, expressions)| {
            let mut selector = Map::new();
            selector.extend(labels.map(|labels| ("matchLabels".to_owned(), labels)));
            if !expressions.is_empty() {
                selector.insert("matchExpressions".to_owned(), expressions.into());
            }
            Value::Object(selector)
        }),
        1 => Just(Value::Null),
        1 => Just(json!("app=a")),
    ]
}

fn object(kind: &'static str) -> BoxedStrategy<Value> {
    let spec = match kind {
        "/Service" => prop_oneof![labels().prop_map(|it| json!({"selector": it})), Just(json!({}))].boxed(),
        "policy/PodDisruptionBudget" => selector().prop_map(|it| json!({"selector": it})).boxed(),
        "networking.k8s.io/NetworkPolicy" => selector().prop_map(|it| json!({"podSelector": it})).boxed(),
        "apps/Deployment" => (proptest::option::of(labels()), select(vec!["a", "b"]))
            .prop_map(|(labels, claim)| {
                let volumes = json!([{"persistentVolumeClaim": {"claimName": claim}}, {"configMap": {"name": claim}}]);
                json!({"template": {"metadata": {"labels": labels}, "spec": {"volumes": volumes}}})
            })
            .boxed(),
        "autoscaling/HorizontalPodAutoscaler" => select(vec!["a", "b", ""])
            .prop_map(|name| json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}))
            .boxed(),
        "networking.k8s.io/Ingress" => select(vec!["a", "b"])
            .prop_map(|name| {
                let backend = json!({"service": {"name": name}});
                json!({"defaultBackend": backend, "rules": [{"http": {"paths": [{"backend": backend}]}}]})
            })
            .boxed(),
        _ => Just(json!({})).boxed(),
    };
    (spec, labels()).prop_map(|(spec, labels)| json!({"metadata": {"labels": labels}, "spec": spec})).boxed()
}

/// Puts an object, or removes one by its name.
#[derive(Clone, Debug)]
enum Step {
    Put(&'static str, String, u32, Value),
    Remove(&'static str, String),
    Retain(&'static str, Vec<String>),
}

fn name() -> impl Strategy<Value = String> {
    select((0..12).map(|number| format!("n{number}")).collect::<Vec<_>>())
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || select(KINDS.to_vec());
    prop_oneof![
        12 => (kind(), name(), 0_u32..2).prop_flat_map(|(kind, name, copy)| {
            object(kind).prop_map(move |object| Step::Put(kind, name.clone(), copy, object))
        }),
        3 => (kind(), name()).prop_map(|(kind, name)| Step::Remove(kind, name)),
        1 => (kind(), proptest::collection::vec(name(), 0..12)).prop_map(|(kind, names)| Step::Retain(kind, names)),
    ]
}

/// A question as JSON, so that it can be printed.
#[derive(Clone, Debug)]
enum Asked {
    Get(String),
    Selecting(Value),
    SelectedBy(Value),
    Referring(&'static str, &'static str),
    Listing,
}

fn asked() -> impl Strategy<Value = Asked> {
    let kinds = vec!["apps/Deployment", "/PersistentVolumeClaim", "/ConfigMap", "/Service", "/ServiceAccount"];
    prop_oneof![
        name().prop_map(Asked::Get),
        labels().prop_map(Asked::Selecting),
        selector().prop_map(Asked::SelectedBy),
        (select(kinds), select(vec!["a", "b", "default"])).prop_map(|(kind, name)| Asked::Referring(kind, name)),
        Just(Asked::Listing),
    ]
}

fn document(value: &Value) -> Vec<u8> {
    plimsoll_flat::to_document(value).unwrap()
}

/// Keeps the whole object.
fn kept(shape: Shape<'_>, value: &Value) -> Kept {
    Keeping::new(shape, None).keep(value).unwrap()
}

fn ask(asked: &Asked, answer: impl FnOnce(Question<'_>) -> Answer) -> Answer {
    let argument = match asked {
        Asked::Selecting(value) | Asked::SelectedBy(value) => document(value),
        _ => document(&Value::Null),
    };
    let node = Node::root(&argument).unwrap();
    answer(match asked {
        Asked::Get(name) => Question::Get { name },
        Asked::Selecting(_) => Question::Selecting { labels: node },
        Asked::SelectedBy(_) => Question::SelectedBy { selector: node },
        Asked::Referring(kind, name) => Question::Referring { kind, name },
        Asked::Listing => Question::Listing,
    })
}

/// Each object, and its kept part.
type Model = BTreeMap<(&'static str, String, u32), (Vec<u8>, Vec<u8>)>;

/// Every object that belongs to the answer, by name, found by a full scan.
fn scan(model: &Model, shape: Shape<'_>, question: Question<'_>) -> Vec<Vec<u8>> {
    let of_kind = model.iter().filter(|((kind, ..), _)| *kind == shape.kind);
    let matching = of_kind.filter(|(_, (whole, _))| question.matches(shape, "n", Node::root(whole).unwrap()));
    matching.map(|(_, (_, kept))| kept.clone()).collect()
}

proptest! {
    #[test]
    fn answers_what_a_scan_would(
        steps in proptest::collection::vec(step(), 0..120),
        in_part in any::<bool>(),
        questions in proptest::collection::vec((select(KINDS.to_vec()), asked()), 1..40),
    ) {
        let workloads = Workloads::default();
        let shape = |kind| Shape { kind, templates: workloads.templates(kind) };
        // The parts that questions look at. References are indexed and not kept.
        let mut parts = Parts::default();
        for pointer in ["/spec/selector", "/spec/podSelector", "/spec/template/metadata/labels"] {
            parts.add(pointer);
        }
        let (mut shard, mut model) = (Shard::default(), Model::new());
        let mut all = Growth::default();
        let (mut half, mut half_model) = (shard.clone(), model.clone());
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Put(kind, name, copy, object) => {
                    let mut object = object.clone();
                    object["metadata"]["name"] = name.as_str().into();
                    let kept = Keeping::new(shape(kind), Some(&parts).filter(|_| in_part)).keep(&object).unwrap();
                    let both = (document(&object), kept.document.clone());
                    let change = shard.put(shape(kind), name, *copy, kept);
                    let before = model.insert((kind, name.clone(), *copy), both.clone());
                    // A part that is not kept can change without a trace.
                    prop_assert!(change.is_some() || before.as_ref().is_some_and(|before| before.1 == both.1));
                    prop_assert!(change.is_none() || before.is_none_or(|before| before != both));
                    all += change.unwrap_or_default();
                }
                Step::Remove(kind, name) => {
                    all += shard.remove(shape(kind), name);
                    model.remove(&(*kind, name.clone(), 0));
                }
                // If several objects have the same name, nothing is listed again.
                Step::Retain(kind, _) if model.keys().any(|(of, _, copy)| of == kind && *copy > 0) => {}
                Step::Retain(kind, names) => {
                    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
                    names.sort_unstable();
                    all += shard.retain(shape(kind), &names);
                    model.retain(|(of, name, _), _| of != kind || names.contains(&name.as_str()));
                }
            }
            if number == steps.len() / 2 {
                (half, half_model) = (shard.clone(), model.clone());
            }
        }
        prop_assert_eq!(all.objects, signed(model.len()));
        prop_assert_eq!(all.bytes, model.values().map(|(_, kept)| signed(kept.len())).sum::<isize>());
        prop_assert_eq!(shard.is_empty(), model.is_empty());
        for (kind, asked) in &questions {
            for (shard, model) in [(&shard, &model), (&half, &half_model)] {
                let answer = ask(asked, |question| shard.answer(shape(kind), "n", question));
                let mut expected = Vec::new();
                ask(asked, |question| { expected = scan(model, shape(kind), question); Answer::default() });
                prop_assert!(answer.complete);
                prop_assert_eq!(answer.documents, expected, "{} {:?}", kind, asked);
            }
        }
        for kind in KINDS {
            shard.retain(shape(kind), &[]);
            for name in 0..12 {
                // Other copies stay: only files have them, and nothing is removed from files.
                let _ = model.remove(&(kind, format!("n{name}"), 0));
            }
        }
        prop_assert_eq!(shard.is_empty(), model.is_empty());
    }
}

fn shard_of(kind: &str, count: usize, make: impl Fn(usize) -> Value) -> Shard {
    let workloads = Workloads::default();
    let shape = Shape { kind, templates: workloads.templates(kind) };
    let mut shard = Shard::default();
    for number in 0..count {
        let name = format!("n{number:04}");
        let mut object = make(number);
        object["metadata"] = json!({"name": name});
        shard.put(shape, &name, 0, kept(shape, &object));
    }
    shard
}

fn names(answer: &Answer) -> Vec<String> {
    let name = |document: &Vec<u8>| {
        Node::root(document).unwrap().at("/metadata/name").and_then(Node::as_str).unwrap().to_owned()
    };
    answer.documents.iter().map(name).collect()
}

#[test]
fn cuts_after_256_documents_by_name() {
    let kind = "/Service";
    let shape = Shape { kind, templates: &[] };
    let labels = json::from_json(br#"{"app": "a", "tier": "b"}"#).unwrap();
    let labels = Node::root(&labels).unwrap();
    // Half of them are found by one label, half by the other.
    let of = |number: usize| json!({"spec": {"selector": if number.is_multiple_of(2) { json!({"app": "a"}) } else { json!({"tier": "b"}) }}});
    for (count, complete) in [(255, true), (256, true), (257, false), (1000, false)] {
        let shard = shard_of(kind, count, of);
        for question in [Question::Listing, Question::Selecting { labels }] {
            let answer = shard.answer(shape, "n", question);
            let first: Vec<String> = (0..count.min(256)).map(|number| format!("n{number:04}")).collect();
            assert_eq!((names(&answer), answer.complete), (first, complete), "{question:?} of {count}");
        }
    }
}

#[test]
fn cuts_by_size_too() {
    for (size, documents) in [(100 << 10, 5), (1 << 20, 1)] {
        let text = "x".repeat(size);
        let shard = shard_of("example.com/Large", 6, |_| json!({"spec": text}));
        let answer = shard.answer(Shape { kind: "example.com/Large", templates: &[] }, "n", Question::Listing);
        assert_eq!((names(&answer).len(), answer.complete), (documents, false));
    }
}

/// Run by hand with `--ignored --nocapture`: the cost of an event in a namespace of 5,000 workloads, while reviews hold
/// versions.
#[test]
#[ignore = "it measures"]
#[allow(clippy::print_stderr, reason = "it prints what it measures")]
fn a_burst_of_events() {
    const EVENTS: usize = 5000;
    let kind = "apps/Deployment";
    let workloads = Workloads::default();
    let shape = Shape { kind, templates: workloads.templates(kind) };
    let of = |number: usize, image: &str| {
        let labels = json!({"app": format!("n{number:04}"), "team": format!("t{}", number % 10), "managed-by": "helm"});
        let containers = json!([{"name": "app", "image": image, "env": vec![json!({"name": "A", "value": "b"}); 40]}]);
        json!({"spec": {"template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}})
    };
    let mut shard = shard_of(kind, EVENTS, |number| of(number, "one"));
    let mut documents: Vec<_> = (0..EVENTS)
        .map(|number| {
            let mut object = of(number, "two");
            object["metadata"] = json!({"name": format!("n{number:04}")});
            (format!("n{number:04}"), kept(shape, &object))
        })
        .collect();
    // Not sorted by name, as events arrive.
    documents.sort_by_key(|(name, _)| name.bytes().rev().collect::<Vec<_>>());
    let start = std::time::Instant::now();
    for (name, document) in documents {
        let held = shard.clone();
        shard.put(shape, &name, 0, document).unwrap();
        drop(held);
    }
    eprintln!("{:.1} µs for each of {EVENTS} events", start.elapsed().as_secs_f64() * 1e6 / EVENTS as f64);
}

#[test]
fn what_is_the_same_is_left_alone() {
    let shape = Shape { kind: "/Service", templates: &[] };
    let mut shard = shard_of("/Service", 3, |_| json!({}));
    let before = shard.clone();
    let same = kept(shape, &json!({"metadata": {"name": "n0001"}}));
    assert_eq!(shard.put(shape, "n0001", 0, same), None);
    assert!(Arc::ptr_eq(&shard.kinds["/Service"], &before.kinds["/Service"]));
    assert_eq!(shard.remove(shape, "absent"), Growth::default());
}
