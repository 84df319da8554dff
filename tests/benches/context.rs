//! Cost of a question about other objects: among many namespaces compared with one, and in a namespace with many
//! workloads. Also the memory that objects take.
//!
//! `make bench` prints the table. Targets: 1,000 namespaces of 100 objects cost at most 1.2 times as much as one
//! namespace; a question among 5,000 workloads takes at most 200 µs.
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::context::files::{Files, Objects};
use plimsoll::context::{Context, Question};
use plimsoll::engine::{Engine, Limits};
use plimsoll::registry::{Options, Registry, Workloads};
use plimsoll_flat::{Node, json::from_json};
use serde_json::{Value, json};

const ROUNDS: usize = 200;
const PER_ROUND: u32 = 200;

const DEPLOYMENT: &str = "apps/Deployment";
const KINDS: [&str; 5] =
    ["/Service", "/LimitRange", DEPLOYMENT, "policy/PodDisruptionBudget", "autoscaling/HorizontalPodAutoscaler"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let request: Value = serde_json::from_slice(&std::fs::read(root.join("sdk/flat/benches/create.json"))?)?;
    let deployment = request["request"]["object"].clone();

    let engine = Engine::new(Limits::default())?;
    let registry = Registry::new(&engine, Vec::new(), Options::default()).map_err(|errors| format!("{errors:?}"))?;
    let (workloads, all) = (registry.workloads(), &Arc::default());
    let before = resident();
    let whole = world(&deployment, all, 100, 25);
    let taken = resident().saturating_sub(before);
    println!("memory: {:.1} MB for 10,000 objects, were they kept whole", per(taken, 100 * (4 * 25 + 1)));
    drop(whole);

    let one = world(&deployment, workloads, 1, 25);
    let before = resident();
    let many = world(&deployment, workloads, 1000, 25);
    let objects = 1000 * (4 * 25 + 1);
    let taken = resident().saturating_sub(before);
    println!("memory: {:.1} MB for 10,000 objects, a quarter of them Deployments of 8.6 KB", per(taken, objects));
    let before = resident();
    let large = world(&deployment, workloads, 1, 5000);
    let taken = resident().saturating_sub(before);
    println!("memory: {:.1} MB for 10,000 objects in a namespace of 20,001\n", per(taken, 20_001));

    println!("microseconds of a question, best of {ROUNDS} interleaved rounds of {PER_ROUND}\n");
    println!("{:44} {:>8} {:>10} {:>8} {:>10}", "", "one", "of 1,000", "ratio", "documents");
    let documents = Documents::new();
    for (name, kind, question) in documents.questions("w0007") {
        let (mut alone, mut among) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            alone = alone.min(time(PER_ROUND, || one.answer("n0", kind, question)));
            among = among.min(time(PER_ROUND, || many.answer("n0", kind, question)));
        }
        let found = many.answer("n0", kind, question).documents.len();
        println!(
            "{name:44} {:8.2} {:10.2} {:8.2} {found:10}",
            micros(alone),
            micros(among),
            micros(among) / micros(alone)
        );
    }
    // Each question goes to another namespace, so that no cache holds the answer. `alone` has a context for each
    // namespace, and `among` has one context with all namespaces.
    let alone: Vec<Files> = (0..1000).map(|_| world(&deployment, workloads, 1, 25)).collect();
    let order: Vec<usize> = (0..1000).map(|number| (number * 617) % 1000).collect();
    let namespaces: Vec<String> = (0..1000).map(|number| format!("n{number}")).collect();
    for (name, kind, question) in documents.questions("w0007") {
        let mut best = [Duration::MAX; 2];
        for _ in 0..20 {
            let start = Instant::now();
            order.iter().for_each(|&number| drop(black_box(alone[number].answer("n0", kind, question))));
            best[0] = best[0].min(start.elapsed() / 1000);
            let start = Instant::now();
            order.iter().for_each(|&number| drop(black_box(many.answer(&namespaces[number], kind, question))));
            best[1] = best[1].min(start.elapsed() / 1000);
        }
        let [alone, among] = best.map(micros);
        println!("{:44} {alone:8.2} {among:10.2} {:8.2}", format!("{name}, cold"), among / alone);
    }

    println!("\n{:44} {:>8} {:>10} {:>10}", "a namespace of 5,000 workloads", "µs", "documents", "bytes");
    for (name, kind, question) in documents.questions("w4321") {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS / 4 {
            best = best.min(time(10, || large.answer("n0", kind, question)));
        }
        let answer = large.answer("n0", kind, question);
        let bytes: usize = answer.documents.iter().map(Vec::len).sum();
        println!("{name:44} {:8.1} {:10} {bytes:10}", micros(best), answer.documents.len());
    }
    Ok(())
}

/// Each workload has a Service, a PodDisruptionBudget and an autoscaler. Each namespace has one LimitRange.
fn world(deployment: &Value, workloads: &Arc<Workloads>, namespaces: usize, each: usize) -> Files {
    let mut objects = Objects::new(KINDS.map(str::to_owned).into(), Arc::clone(workloads));
    for namespace in (0..namespaces).map(|number| format!("n{number}")) {
        let metadata = |name: &str| json!({"name": name, "namespace": namespace});
        objects.add(
            &json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata("limits"), "spec": {"limits": []}}),
        );
        for number in 0..each {
            let name = format!("w{number:04}");
            let labels = json!({"app": name, "team": format!("t{}", number % 10), "managed-by": "helm"});
            let mut deployment = deployment.clone();
            deployment["metadata"]["name"] = json!(name);
            deployment["metadata"]["namespace"] = json!(namespace);
            deployment["spec"]["template"]["metadata"]["labels"] = labels;
            objects.add(&deployment);
            objects.add(&json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(&name),
                "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}}));
            objects.add(&json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(&name),
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}}));
            let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
            objects.add(
                &json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata(&name),
                "spec": {"minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": target}}),
            );
        }
    }
    Files::new(true, Arc::new(objects))
}

/// The documents that questions carry.
struct Documents {
    labels: Vec<u8>,
    by_app: Vec<u8>,
    by_team: Vec<u8>,
    negative: Vec<u8>,
    hardly_any: Vec<u8>,
}

impl Documents {
    fn new() -> Self {
        let document = |text: &str| from_json(text.as_bytes()).expect("JSON");
        Self {
            labels: document(r#"{"app": "w0007", "team": "t7", "managed-by": "helm"}"#),
            by_app: document(r#"{"matchLabels": {"app": "w0007"}}"#),
            by_team: document(r#"{"matchLabels": {"team": "t7"}}"#),
            negative: document(r#"{"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["t7"]}]}"#),
            hardly_any: document(
                r#"{"matchExpressions": [{"key": "managed-by", "operator": "NotIn", "values": ["helm"]}]}"#,
            ),
        }
    }

    fn questions<'a>(&'a self, name: &'a str) -> Vec<(&'static str, &'static str, Question<'a>)> {
        let node = |document: &'a [u8]| Node::root(document).expect("a document");
        let selected = |document| Question::SelectedBy { selector: node(document) };
        vec![
            ("get a Service", "/Service", Question::Get { name }),
            ("listing LimitRanges", "/LimitRange", Question::Listing),
            ("Services selecting labels", "/Service", Question::Selecting { labels: node(&self.labels) }),
            (
                "budgets selecting labels",
                "policy/PodDisruptionBudget",
                Question::Selecting { labels: node(&self.labels) },
            ),
            (
                "autoscalers of a Deployment",
                "autoscaling/HorizontalPodAutoscaler",
                Question::Referring { kind: DEPLOYMENT, name },
            ),
            ("Deployments selected by one label", DEPLOYMENT, selected(&self.by_app)),
            ("Deployments selected by a common label", DEPLOYMENT, selected(&self.by_team)),
            ("Deployments selected by NotIn, most", DEPLOYMENT, selected(&self.negative)),
            ("Deployments selected by NotIn, none", DEPLOYMENT, selected(&self.hardly_any)),
            ("listing budgets", "policy/PodDisruptionBudget", Question::Listing),
        ]
    }
}

fn time<T>(times: u32, work: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        black_box(work());
    }
    start.elapsed() / times
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn per(bytes: usize, objects: usize) -> f64 {
    bytes as f64 / objects as f64 * 10_000.0 / 1e6
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statistics = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statistics.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
