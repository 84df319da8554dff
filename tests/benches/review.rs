//! Cost of a review: decoding and answering alone, 150 synthetic policies, and the built-in policies, as WebAssembly
//! and natively. All times are from one process and one run, so the ratios hold on any machine.
//!
//! `make bench` prints the table. docs/performance.md has the budget.
#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::admission::respond;
use plimsoll::context::{Context, Surrounded, Unknown};
use plimsoll::engine::{BUILTIN, Engine, Limits, Surroundings};
use plimsoll::judge;
use plimsoll::model::{Knowledge, Review, Subject as HostSubject};
use plimsoll::registry::{Options, Profile, Registry, read};
use plimsoll_sdk::bundle::{Answer, Host, RunPolicy, evaluate};
use plimsoll_sdk::guest::{Knowledge as GuestKnowledge, Subject};

const ROUNDS: usize = 60;
const PER_ROUND: u32 = 100;

/// A name, and the code to time.
type Row<'a> = (&'a str, Box<dyn Fn(&[u8]) + 'a>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fixture = |name: &str| std::fs::read(root.join("sdk/flat/benches").join(name));
    let reviews = [("CREATE", fixture("create.json")?), ("UPDATE", fixture("update.json")?)];
    // The same review with an image that is denied. The old object has another image, so it excuses nothing.
    let denied = reviews.clone().map(|(_, body)| denied(&body));
    let synthetic = synthetic(&root)?;
    let engine = Engine::new(Limits::default())?;
    let all_on =
        "{apiVersion: plimsoll.dev/v1alpha1, kind: ClusterPolicySet, metadata: {name: bench}, spec: {mode: enforce}}";
    let registry = |bundle: &[u8], profile| {
        let sets = read(all_on, "bench").map_err(|errors| format!("{errors:?}"))?;
        let options = Options { profile: Some(profile), ..Options::default() };
        Registry::with_bundle(&engine, bundle, sets, options).map_err(|errors| format!("{errors:?}"))
    };
    let none = registry(BUILTIN, Profile::None)?;
    let ten = registry(BUILTIN, Profile::Production)?;
    let many = registry(&synthetic, Profile::Production)?;

    let one = {
        let text = all_on
            .replace("spec: {mode: enforce}", "spec: {mode: enforce, profile: none, policies: [{id: synthetic-000}]}");
        let sets = read(&text, "bench").map_err(|errors| format!("{errors:?}"))?;
        Registry::with_bundle(&engine, &synthetic, sets, Options::default()).map_err(|errors| format!("{errors:?}"))?
    };

    println!(
        "{} and {} policies; bundle {} and {} bytes",
        plimsoll_policies::POLICIES.len(),
        plimsoll_synthetic::POLICIES.len(),
        BUILTIN.len(),
        synthetic.len()
    );
    println!("microseconds of one review, best of {ROUNDS} interleaved rounds of {PER_ROUND}\n");
    println!("{:28} {:>9} {:>9}", "", "CREATE", "UPDATE");
    let only = std::env::var("PLIMSOLL_BENCH_ONLY").unwrap_or_default();
    let rows: Vec<Row> = vec![
        ("decode and answer", Box::new(|body| through(&none, body))),
        ("1 synthetic, WebAssembly", Box::new(|body| through(&one, body))),
        ("150 synthetic, WebAssembly", Box::new(|body| through(&many, body))),
        ("150 synthetic, native", Box::new(|body| natively(&many, plimsoll_synthetic::run_policy, body))),
        ("built-in, WebAssembly", Box::new(|body| through(&ten, body))),
        ("built-in, denied", Box::new(|body| through(&ten, body))),
        ("built-in, native", Box::new(|body| natively(&ten, plimsoll_policies::run_policy, body))),
    ];
    let mut best = vec![[Duration::MAX; 2]; rows.len()];
    for _ in 0..ROUNDS {
        for (row, (name, run)) in rows.iter().enumerate() {
            if !name.contains(&only) {
                continue;
            }
            for (column, (_, body)) in reviews.iter().enumerate() {
                let body = if name.ends_with("denied") { &denied[column] } else { body };
                let start = Instant::now();
                for _ in 0..PER_ROUND {
                    run(body);
                }
                best[row][column] = best[row][column].min(start.elapsed() / PER_ROUND);
            }
        }
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    for ((name, _), times) in rows.iter().zip(&best) {
        println!("{name:28} {:9.1} {:9.1}", micros(times[0]), micros(times[1]));
    }
    println!();
    for (column, (name, _)) in reviews.iter().enumerate() {
        let cost = |row: usize| micros(best[row][column]) - micros(best[0][column]);
        println!(
            "{name}: 150 synthetic cost {:.1} over none ({:.2} each), WebAssembly/native {:.2}",
            cost(2),
            (cost(2) - cost(1)) / 149.0,
            cost(2) / cost(3)
        );
        println!("{name}: built-in cost {:.1} over none, WebAssembly/native {:.2}", cost(4), cost(4) / cost(6));
        println!("{name}: built-in, denied over admitted {:.2}", cost(5) / cost(4));
    }
    Ok(())
}

fn denied(body: &[u8]) -> Vec<u8> {
    let (tag, latest) = ("checkout:2.14", "checkout:latest\",\"x\":\"");
    String::from_utf8_lossy(body).replacen(tag, latest, 1).into_bytes()
}

fn through(registry: &Registry, body: &[u8]) {
    let review = Arc::new(Review::from_admission_review(body).expect("the fixture is an AdmissionReview"));
    let context: Arc<dyn Context> = Arc::new(Unknown);
    let verdict = judge::validate(registry, &review, &context, Instant::now() + Duration::from_secs(10));
    std::hint::black_box(respond::validated(&review, &verdict));
}

/// The same work with the policies compiled into this program: decode, select, evaluate.
fn natively(registry: &Registry, run: RunPolicy, body: &[u8]) {
    let review = Arc::new(Review::from_admission_review(body).expect("the fixture is an AdmissionReview"));
    let surrounded = Surrounded::new(Arc::clone(&review), Arc::new(Unknown));
    let calls: Vec<u32> = registry.select(&review).iter().map(|selected| selected.policy.index).collect();
    let documents = (&*registry.environment(&review), review.document());
    let judgements = evaluate(run, &Native(&surrounded), documents, Subject::Object, &calls, &[]);
    assert!(judgements.iter().all(|judgement| judgement.outcome.is_ok()));
    std::hint::black_box(respond::validated(&review, &plimsoll::admission::Verdict::default()));
}

struct Native<'a>(&'a Surrounded);

impl Host for Native<'_> {
    fn get(&self, _: Subject, _: &str, _: &str) -> Answer {
        Answer::default()
    }
    fn selecting(&self, _: Subject, _: &str, _: &[u8]) -> Answer {
        Answer::default()
    }
    fn selected_by(&self, _: Subject, _: &str, _: &[u8]) -> Answer {
        Answer::default()
    }
    fn referring(&self, _: Subject, _: &str, _: &str, _: &str) -> Answer {
        Answer::default()
    }
    fn listing(&self, _: Subject, _: &str) -> Answer {
        Answer::default()
    }
    fn is_authored(&self, _: Subject, pointer: &str) -> GuestKnowledge {
        match self.0.authored(HostSubject::Object, pointer) {
            Knowledge::Yes => GuestKnowledge::Yes,
            Knowledge::No => GuestKnowledge::No,
            Knowledge::Unknown => GuestKnowledge::Unknown,
        }
    }
    fn log(&self, _: &str) {}
}

fn synthetic(root: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let target = root.join("target/guests");
    let module = plimsoll_bundle::compile(&root.join("Cargo.toml"), "plimsoll-synthetic", &target)?;
    let metadata = plimsoll_synthetic::metadata().to_json()?;
    Ok(plimsoll_bundle::componentize(&std::fs::read(module)?, plimsoll_sdk::metadata::SECTION, &metadata)?)
}
