//! The cost of every policy is linear in the object and in its context: doubling either or both takes only about twice
//! the fuel. The largest input that the limits allow stays below a fixed bound.
//!
//! The policies, their kinds, operations and subresources come from the bundle's metadata, so this test covers a new
//! policy without a change. A new kind of context needs an entry in `world`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod world;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use plimsoll::context::{Context as _, Surrounded, files::Files};
use plimsoll::engine::{Answer, Bundle, Call, Engine, Input, Limits, Session, Surroundings};
use plimsoll::model::{Knowledge, Review, Subject};
use plimsoll::registry::{Options, Policy, Registry};
use plimsoll_sdk::metadata::{ANY, Operation, Stage, Workloads};

use world::{Shape, Size, World};

/// Maximum ratio of the fuel for a doubled input. Sorting, and searching in sorted lists, explain the part above 2.
const DOUBLED: f64 = 2.3;

/// Maximum fuel of one policy for one version of the largest object with the largest context. On the machine of the
/// author (one of two shared cores), 6 million took a millisecond, so this is 35 ms.
const MOST: u64 = 210_000_000;

/// Maximum number of questions of one policy about one version of an object, for any size.
const QUESTIONS: usize = 160;

/// The same over files, where time matters less.
const FILE_QUESTIONS: usize = 256;

/// Maximum number of questions of all policies together. Most are about claims (at most 128) with their volumes and
/// classes and, over files, about ConfigMaps (at most 256).
const ALL_QUESTIONS: usize = 500;

/// Maximum fuel of all policies together for one version of an object: 167 ms on the same machine. The server stops a
/// batch after 250 ms, and a stopped policy is an error.
const ALL: u64 = 1_000_000_000;

/// Number of objects and documents of the smaller input. The doubled input reaches 256 documents or 512 KiB for each
/// question.
const HALF: Size = Size { object: 100, context: 128 };

#[test]
fn fuel_grows_no_faster_than_object_and_context() {
    let engine = Engine::metered(Limits::default()).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let bundle = &registry.bundles()[0];
    let policies: Vec<_> = registry.policies().collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    for shape in [Shape::ManySmall, Shape::FewLarge, Shape::Pinned] {
        let worlds = [1, 2].map(|factor| World::new(&registry, shape, HALF.context * factor));
        let reviews = Reviews::new(shape);
        next.store(0, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    while let Some(policy) = policies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let spend = |asked: &Asked, object: usize, world: usize| {
                            let review = reviews.get(asked, HALF.object * object);
                            spend(&registry, bundle, &review, &worlds[world - 1], &[policy.index])
                        };
                        wrong.lock().unwrap().extend(judge(policy, shape, &spend));
                    }
                });
            }
        });
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The problems of one policy.
fn judge(policy: &Policy, shape: Shape, spend: &dyn Fn(&Asked, usize, usize) -> Spent) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut fuel, mut ratio, mut questions) = ((0, String::new()), (0.0, String::new()), 0);
    for asked in Asked::all_of(policy) {
        let is_first = asked.kind == "apps/Deployment" || !WORKLOADS.contains(&asked.kind.as_str());
        let is_asked = match shape {
            Shape::ManySmall => true,
            Shape::FewLarge => is_first,
            Shape::Pinned => asked.kind == "policy/PodDisruptionBudget",
        };
        if !is_asked {
            continue;
        }
        let mut tell = |what: String| wrong.push(format!("{} on {asked:?}, {shape:?}: {what}", policy.id));
        let once = spend(&asked, 1, 1);
        let doubled = [("the object", 2, 1), ("the context", 1, 2), ("both", 2, 2)];
        for (what, object, context) in doubled.into_iter().filter(|(what, ..)| is_first || *what == "both") {
            let spent = spend(&asked, object, context);
            let grown = spent.fuel as f64 / once.fuel as f64;
            if grown > DOUBLED {
                tell(format!("twice {what} takes {grown:.2} times the fuel"));
            }
            if spent.fuel > MOST {
                tell(format!("{} fuel, and {MOST} are allowed", spent.fuel));
            }
            if spent.questions > if policy.stage == Stage::Source { FILE_QUESTIONS } else { QUESTIONS } {
                tell(format!("{} questions to the host", spent.questions));
            }
            spent.failed.into_iter().for_each(&mut tell);
            if grown > ratio.0 {
                ratio = (grown, format!("{what} of {} {} {}", asked.operation, asked.kind, asked.subresource));
            }
            if spent.fuel > fuel.0 {
                fuel = (spent.fuel, format!("{} {} {}", asked.operation, asked.kind, asked.subresource));
            }
            questions = questions.max(spent.questions);
        }
    }
    println!(
        "{shape:?} {:38} {:>11} fuel ({}), {:4.2} ({}), {questions} questions",
        policy.id, fuel.0, fuel.1, ratio.0, ratio.1
    );
    wrong
}

/// The reviews of a run. Each is decoded once.
struct Reviews {
    shape: Shape,
    known: Mutex<HashMap<(Asked, usize), Arc<Review>>>,
}

impl Reviews {
    fn new(shape: Shape) -> Self {
        Self { shape, known: Mutex::default() }
    }

    fn get(&self, asked: &Asked, size: usize) -> Arc<Review> {
        let mut known = self.known.lock().unwrap();
        let made = || Arc::new(Review::from_admission_review(&world::review(asked, size, self.shape)).unwrap());
        Arc::clone(known.entry((asked.clone(), size)).or_insert_with(made))
    }
}

/// One instance with 48 MiB is enough for all policies and both versions of the object. No question is asked twice.
#[test]
fn all_policies_together_stay_in_one_instance() {
    // With a long time limit no policy is stopped, so that the test counts the whole cost.
    let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
    let engine = Engine::metered(limits).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let bundle = &registry.bundles()[0];
    // Counting fuel takes time itself, so the times come from an engine without it.
    let engine = Engine::new(limits).unwrap();
    let timed = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let mut wrong = Vec::new();
    for shape in [Shape::ManySmall, Shape::FewLarge] {
        let reviews = Reviews::new(shape);
        let world = World::new(&registry, shape, HALF.context * 2);
        let kinds: BTreeSet<Asked> = registry.policies().flat_map(|policy| Asked::all_of(policy)).collect();
        for asked in kinds {
            let policies: Vec<u32> = registry
                .policies()
                .filter(|policy| Asked::all_of(policy).contains(&asked))
                .map(|policy| policy.index)
                .collect();
            let review = reviews.get(&asked, HALF.object * 2);
            let spent = spend(&registry, bundle, &review, &world, &policies);
            let time = spend(&timed, &timed.bundles()[0], &review, &world, &policies).time;
            println!(
                "{shape:?} {asked:?}: {} policies, {} fuel, {} questions, {} bytes of answers, {:?} metered, {time:?} as used",
                policies.len(),
                spent.fuel,
                spent.questions,
                spent.bytes,
                spent.time
            );
            if spent.instances > 1 || spent.questions > ALL_QUESTIONS {
                wrong.push(format!(
                    "{asked:?}, {shape:?}: {} instances, {} questions",
                    spent.instances, spent.questions
                ));
            }
            if spent.fuel > ALL {
                wrong.push(format!("{asked:?}, {shape:?}: {} fuel, and {ALL} are allowed", spent.fuel));
            }
            wrong.extend(spent.failed.map(|failed| format!("{asked:?}, {shape:?}: {failed}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The subject of a review: kind, subresource and operation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Asked {
    /// `group/Kind`
    pub(crate) kind: String,
    pub(crate) subresource: String,
    pub(crate) operation: &'static str,
}

/// The kinds with a Pod template. The Pods of the first six run continuously.
const WORKLOADS: [&str; 10] = [
    "apps/Deployment",
    "apps/StatefulSet",
    "apps/DaemonSet",
    "apps/ReplicaSet",
    "/ReplicationController",
    "argoproj.io/Rollout",
    "/Pod",
    "/PodTemplate",
    "batch/Job",
    "batch/CronJob",
];

impl Asked {
    fn all_of(policy: &Policy) -> Vec<Self> {
        let on = &policy.metadata.on;
        let workloads = match on.workloads {
            Workloads::None => Vec::new(),
            Workloads::LongRunning => WORKLOADS[..6].to_vec(),
            Workloads::All => WORKLOADS.to_vec(),
        };
        let kinds = workloads
            .into_iter()
            .chain(on.kinds.iter().map(String::as_str))
            .map(|kind| (if kind == ANY { "/ConfigMap" } else { kind }, ""));
        // A Scale belongs to a Deployment here. The other subresources belong to Pods.
        let parts = on.subresources.iter().map(|part| match part.as_str() {
            "scale" => ("apps/Deployment", "scale"),
            part => ("/Pod", part),
        });
        let asked: Vec<_> = kinds.chain(parts).collect();
        let of = |operation: &Operation| {
            let operation = operation.as_str();
            let fits = move |(_, part): &&(&str, &str)| part.is_empty() || operation == "UPDATE";
            asked.iter().filter(fits).map(move |(kind, part)| Self {
                kind: (*kind).to_owned(),
                subresource: (*part).to_owned(),
                operation,
            })
        };
        on.operations.iter().flat_map(of).collect()
    }
}

struct Spent {
    fuel: u64,
    questions: usize,
    bytes: usize,
    instances: u32,
    time: Duration,
    failed: Option<String>,
}

/// Runs the policies on the object, and for UPDATE on the old object too, as the webhook does. Returns the cost of the
/// more expensive one.
fn spend(registry: &Registry, bundle: &Bundle, review: &Arc<Review>, world: &World, policies: &[u32]) -> Spent {
    let environment = registry.environment(review);
    let context = Arc::clone(&world.context);
    let surrounded = Surrounded::new(Arc::clone(review), context).knowing(registry.workloads());
    let counting = Arc::new(Counting { inner: surrounded, questions: AtomicUsize::new(0), bytes: AtomicUsize::new(0) });
    let calls: Vec<Call<'_>> = policies.iter().map(|&policy| Call { policy, settings: &[] }).collect();
    let start = Instant::now();
    let mut session = Session::new(bundle.clone(), Arc::clone(&counting) as _, start + Duration::from_secs(60));
    let mut failed = None;
    let (mut questions, mut fuel, mut before) = (0, 0, 0);
    for subject in [Subject::Object, Subject::OldObject] {
        if subject == Subject::OldObject && (review.old_object().is_none() || review.object().is_none()) {
            continue;
        }
        let input = Input { environment: &environment, review: review.document(), subject };
        let outcomes = session.evaluate(&input, &calls);
        failed = failed.or(outcomes.into_iter().find_map(|outcome| outcome.err()).map(|failure| failure.to_string()));
        questions = questions.max(counting.questions.swap(0, Ordering::Relaxed));
        let burnt = session.cost().fuel;
        fuel = fuel.max(burnt.saturating_sub(before));
        before = burnt;
    }
    let cost = session.cost();
    let bytes = counting.bytes.load(Ordering::Relaxed);
    Spent { fuel, questions, bytes, instances: cost.instances, time: start.elapsed(), failed }
}

/// Counts the questions of a guest, and the bytes of the answers.
struct Counting {
    inner: Surrounded,
    questions: AtomicUsize,
    bytes: AtomicUsize,
}

impl Counting {
    fn count(&self, answer: Answer) -> Answer {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(answer.documents.iter().map(Vec::len).sum::<usize>(), Ordering::Relaxed);
        answer
    }
}

impl Surroundings for Counting {
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer {
        self.count(self.inner.get(subject, kind, name))
    }
    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer {
        self.count(self.inner.selecting(subject, kind, labels))
    }
    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer {
        self.count(self.inner.selected_by(subject, kind, selector))
    }
    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        self.count(self.inner.referring(subject, kind, ref_kind, ref_name))
    }
    fn listing(&self, subject: Subject, kind: &str) -> Answer {
        self.count(self.inner.listing(subject, kind))
    }
    fn authored(&self, subject: Subject, pointer: &str) -> Knowledge {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.inner.authored(subject, pointer)
    }
}

/// The context is as large as intended: some answer is near the limits.
#[test]
fn the_worlds_reach_the_limits() {
    let engine = Engine::metered(Limits::default()).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let declared: BTreeSet<&str> = registry
        .policies()
        .flat_map(|policy| policy.metadata.requires.iter().chain(&policy.metadata.refines))
        .map(String::as_str)
        .collect();
    for shape in [Shape::ManySmall, Shape::FewLarge] {
        let world = World::new(&registry, shape, HALF.context * 2);
        for kind in &declared {
            let answer = Files::answer(&world.files, world::NAMESPACE, kind, plimsoll::context::Question::Listing);
            let bytes: usize = answer.documents.iter().map(Vec::len).sum();
            println!("{shape:?} {kind}: {} documents, {bytes} bytes", answer.documents.len());
            let enough = answer.documents.len() >= 250 || bytes > 300 << 10;
            assert!(
                enough || *kind == "/ConfigMap" && shape == Shape::FewLarge,
                "{shape:?} {kind}: {bytes} bytes; add it to `world`"
            );
        }
    }
}
