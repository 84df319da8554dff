//! Guests that loop, use up memory, crash and lie. Each is a failure of its own policy, within the time limit. The
//! other policies still count, and the next review is not affected.
#![allow(clippy::unwrap_used, reason = "a test")]

mod bundle;
mod end_to_end;
mod raw;
mod refused;
mod settings;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bundle::{CREATE, HOSTILE, engine, judged, registry};
use plimsoll::admission::{Verdict, message};
use plimsoll::context::{Surrounded, Unknown};
use plimsoll::engine::{Bundle, Call, Engine, Input, Limits, Session};
use plimsoll::model::{Action, Failure, Review, Subject};
use plimsoll::registry::{Options, Registry, read};
use raw::{Finding, Memory, component, component_of};

/// Each hostile policy, and the kind of its failure.
const EACH: [(&str, &str); 9] = [
    ("endless-loop", "deadline"),
    ("asks-for-ever", "deadline"),
    ("memory-bomb", "memory"),
    ("deep-recursion", "trap"),
    ("guest-panics", "trap"),
    ("huge-output", "output"),
    ("undeclared-edit", "contract"),
    ("too-severe", "contract"),
    ("asks-long-questions", "contract"),
];

#[test]
fn each_fails_alone_and_in_time() {
    let engine = engine();
    for (id, kind) in EACH {
        let registry = registry(&engine, &HOSTILE, &["well-behaved", id, "last-and-well-behaved"]);
        // Twice, because a failure must not affect the next review.
        for _ in 0..2 {
            let (verdict, took) = judged(&registry, Duration::from_secs(2));
            assert_eq!(failures(&verdict), [(id, kind)], "{:?}", verdict.failed);
            assert_eq!(findings(&verdict), ["well-behaved", "last-and-well-behaved"], "{id}");
            assert_eq!(verdict.action(), Action::Deny);
            // The batch may use a quarter of the time, and a repeat 50 ms. The rest is a margin for slow machines.
            assert!(took < Duration::from_secs(1), "{id} took {took:?}");
        }
    }
}

#[test]
fn all_of_them_in_one_batch() {
    let engine = engine();
    let hostile: Vec<&str> = EACH.iter().map(|(id, _)| *id).collect();
    let ids = [&["well-behaved"], hostile.as_slice(), &["last-and-well-behaved"]].concat();
    let (verdict, took) = judged(&registry(&engine, &HOSTILE, &ids), Duration::from_secs(4));
    let failed: Vec<&str> = failures(&verdict).into_iter().map(|(id, _)| id).collect();
    assert_eq!(sorted(failed), sorted(hostile));
    assert_eq!(findings(&verdict), ["well-behaved", "last-and-well-behaved"]);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// Twenty endless loops, and one second in total. The answer comes within the second, and names each failure.
#[test]
fn many_that_loop_still_leave_an_answer() {
    let engine = engine();
    let bundle = Bundle::load(&engine, &HOSTILE).unwrap();
    let number = |id: &str| {
        let position = bundle.metadata().policies.iter().position(|policy| policy.id == id).unwrap();
        Call { policy: u32::try_from(position).unwrap(), settings: &[] }
    };
    for loops in [20, 400] {
        let mut calls = vec![number("endless-loop"); loops];
        calls.insert(0, number("well-behaved"));
        let (outcomes, took) = evaluated(&bundle, &calls, Duration::from_secs(1));
        assert!(took < Duration::from_millis(1050), "{loops} took {took:?}");
        let failed = outcomes.iter().filter(|outcome| matches!(outcome, Err(Failure::Deadline))).count();
        assert_eq!((failed, outcomes[0].is_ok()), (loops, true));
    }
}

/// With fuel in place of a clock, each policy fails after the same number of instructions, on an idle and on a busy
/// machine.
#[test]
fn by_fuel_each_fails_alone_however_busy_the_machine_is() {
    let engine = Engine::metered(Limits { instances: 1, fuel: 50_000_000, ..Limits::default() }).unwrap();
    let judge_all = || {
        EACH.map(|(id, kind)| {
            let registry = registry(&engine, &HOSTILE, &["well-behaved", id, "last-and-well-behaved"]);
            let before = registry.bundles()[0].burnt();
            let (verdict, _) = judged(&registry, Duration::from_secs(600));
            let kind = match (id, kind) {
                ("asks-for-ever", _) => "questions",
                (_, "deadline") => "fuel",
                _ => kind,
            };
            assert_eq!(failures(&verdict), [(id, kind)], "{:?}", verdict.failed);
            assert_eq!(findings(&verdict), ["well-behaved", "last-and-well-behaved"], "{id}");
            registry.bundles()[0].burnt() - before
        })
    };
    let idle = judge_all();
    assert!(idle[0] > 50_000_000, "the batch and the repeat: {idle:?}");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let busy = std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let busy = judge_all();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        busy
    });
    assert_eq!(idle, busy);
}

/// After the deadline no policy runs. `check` reports this when the fuel of a run is used up.
#[test]
fn by_fuel_nothing_is_judged_after_the_end() {
    let engine = Engine::metered(Limits { instances: 1, ..Limits::default() }).unwrap();
    let registry = registry(&engine, &HOSTILE, &["well-behaved"]);
    let (verdict, _) = judged(&registry, Duration::ZERO);
    assert_eq!(failures(&verdict), [("well-behaved", "spent")]);
}

/// A bundle can only use up its own time.
#[test]
fn another_bundle_keeps_its_share_of_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let ids: Vec<String> = (0..30).map(|number| format!("loop-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    // Each policy loops, in the batch and alone.
    let realloc = r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop (br 0)) (unreachable))"#;
    std::fs::write(folder.path().join("loops.wasm"), component_of(&Memory::default(), realloc, "(i32.const 0)", &ids))
        .unwrap();
    std::fs::write(folder.path().join("hostile.wasm"), &*HOSTILE).unwrap();
    let set = |name: &str, policies: &str| {
        format!(
            "---\n{{apiVersion: plimsoll.dev/v1alpha1, kind: ClusterPolicySet, metadata: {{name: {name}}}, \
             spec: {{mode: enforce, bundle: {name}.wasm, {policies}}}}}\n"
        )
    };
    let text = set("loops", "profile: default") + &set("hostile", "profile: none, policies: [{id: well-behaved}]");
    let sets = read(&text, folder.path().join("sets.yaml").to_str().unwrap()).unwrap();
    let engine = Engine::new(Limits { instances: 2, ..Limits::default() }).unwrap();
    let registry = Registry::new(&engine, sets, Options::default()).unwrap();
    let (verdict, took) = judged(&registry, Duration::from_secs(1));
    assert_eq!(verdict.failed.len(), 30);
    assert!(verdict.failed.iter().all(|failed| failed.failure == Failure::Deadline));
    assert_eq!(findings(&verdict), ["well-behaved"]);
    assert!(took < Duration::from_millis(1050), "{took:?}");
}

#[test]
fn thousands_of_findings_are_cut_and_counted() {
    let (verdict, _) = judged(&registry(&engine(), &HOSTILE, &["many-findings"]), Duration::from_secs(2));
    assert!(verdict.failed.is_empty());
    assert_eq!(verdict.judged.len(), 256);
    assert_eq!(verdict.more.iter().map(|(_, more)| *more).collect::<Vec<_>>(), [3000 - 256]);
    let review = Review::from_admission_review(CREATE).unwrap();
    let denial = message::denial(&review, &verdict);
    assert!(denial.starts_with("Deployment checkout is refused, for more than 256 reasons:\n"), "{denial}");
    let bullets: Vec<_> = denial.lines().filter_map(|line| line.strip_prefix("• ")).collect();
    let (last, shown) = bullets.split_last().unwrap();
    let left_out = 3000 - shown.len();
    assert_eq!(*last, format!("{left_out} more: many-findings ({left_out})"));
    assert!(shown.len() > 5 && denial.chars().count() <= 1000, "{denial}");
}

/// Text of guests reaches terminals and logs. It cannot reverse, clear or flood them.
#[test]
fn words_are_cleaned_and_cut() {
    let ids = ["long-words", "guest-panics", "undeclared-edit"];
    let (verdict, _) = judged(&registry(&engine(), &HOSTILE, &ids), Duration::from_secs(2));
    assert_eq!((findings(&verdict), verdict.failed.len()), (vec!["long-words"], 2));
    let review = Review::from_admission_review(CREATE).unwrap();
    let denial = message::denial(&review, &verdict);
    assert!(denial.chars().count() <= 1000, "{denial}");
    assert!(!denial.chars().any(|character| character != '\n' && (character.is_control() || character == '\u{202e}')));
    // The text of the panic is kept.
    assert!(denial.contains("very long very long") && denial.contains("could not be judged"), "{denial}");
}

/// Questions with invalid documents and pointers have an empty answer.
#[test]
fn nonsense_is_answered_with_nothing() {
    let (verdict, _) = judged(&registry(&engine(), &HOSTILE, &["asks-nonsense"]), Duration::from_secs(2));
    assert_eq!(findings(&verdict), ["asks-nonsense"], "{:?}", verdict.failed);
}

/// Return values of a component that break the canonical ABI or the contract.
#[test]
fn what_is_handed_back_is_not_trusted() {
    let engine = engine();
    for (name, kind, component) in broken_answers() {
        let registry = registry(&engine, &component, &["hostile", "well-behaved"]);
        for _ in 0..2 {
            let (verdict, took) = judged(&registry, Duration::from_secs(2));
            assert_eq!(failures(&verdict), [("hostile", kind)], "{name}: {:?}", verdict.failed);
            assert_eq!(findings(&verdict), ["well-behaved"], "{name}");
            assert!(took < Duration::from_secs(2), "{name} took {took:?}");
        }
    }
}

fn broken_answers() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut cases = Vec::new();
    let empty = Memory::default();
    for (name, kind, body) in [
        ("an address past the memory", "contract", "(i32.const 0xfffffff0)"),
        ("an address that is not aligned", "contract", "(i32.const 1025)"),
        ("a trap", "trap", "(unreachable)"),
        ("a loop", "deadline", "(loop (br 0)) (unreachable)"),
        ("a load past the memory", "trap", "(i32.load (i32.const -4))"),
        ("a division by zero", "trap", "(i32.div_u (i32.const 1) (i32.const 0))"),
    ] {
        cases.push((name, kind, component(&empty, body)));
    }
    for (name, words) in [
        ("a list past the memory", [0xffff_0000, 1]),
        ("a list of four thousand million", [1024, u32::MAX]),
        ("a list whose end overflows", [0xffff_ffe0, 0x0800_0000]),
        ("a list that is not aligned", [1026, 1]),
    ] {
        let mut memory = Memory::default();
        let at = memory.words(&words);
        cases.push((name, "contract", component(&memory, &format!("(i32.const {at})"))));
    }
    let mut judgement = |name, kind, make: &dyn Fn(&mut Memory) -> [u8; 32]| {
        let mut memory = Memory::default();
        let record = make(&mut memory);
        let good = memory.finding(&Finding::default());
        let good = memory.evaluated(1, good, 1);
        let (alone, both) = (memory.judgements(&[record]), memory.judgements(&[record, good]));
        // The second judgement belongs to the other policy, if that policy is among the calls.
        let body = format!("(select (i32.const {both}) (i32.const {alone}) (i32.gt_u (local.get 6) (i32.const 1)))");
        cases.push((name, kind, component(&memory, &body)));
    };
    judgement("a call that was not made", "contract", &|memory| memory.evaluated(7, 0, 0));
    judgement("a variant that does not exist", "contract", &|memory| {
        let mut record = memory.evaluated(0, 0, 0);
        record[8] = 7;
        record
    });
    judgement("words that are no UTF-8", "contract", &|memory| {
        let words = memory.bytes(b"\xff\xfe\xc0");
        memory.failed(words)
    });
    judgement("words past the memory", "contract", &|memory| memory.failed([0x7fff_0000, 0x1000]));
    judgement("control characters in its own failure", "policy", &|memory| {
        let words = memory.bytes("\u{1b}]0;title\u{7}\0\u{202e}".repeat(1000).as_bytes());
        memory.failed(words)
    });
    judgement("findings past the memory", "contract", &|memory| memory.evaluated(0, 0x7fff_0000, 3));
    for (name, finding) in [
        ("a severity that does not exist", Finding { severity: 9, ..Finding::default() }),
        ("a place that is no pointer", Finding { pointer: b"spec".to_vec(), ..Finding::default() }),
        ("a place that escapes nothing", Finding { pointer: b"/spec/~2".to_vec(), ..Finding::default() }),
        ("a place that is no UTF-8", Finding { pointer: b"/\xed\xa0\x80".to_vec(), ..Finding::default() }),
        ("a message past the memory", Finding { message: Some([0x7fff_0000, 9]), ..Finding::default() }),
        ("an option that is neither", Finding { fix: Some((2, [0, 0])), ..Finding::default() }),
        ("edits past the memory", Finding { fix: Some((1, [0x7fff_0000, 1])), ..Finding::default() }),
    ] {
        judgement(name, "contract", &|memory| {
            let at = memory.finding(&finding);
            memory.evaluated(0, at, 1)
        });
    }
    for (name, pointer, document) in [
        ("an edit of another place", &b"/spec/paused"[..], &[1, 0][..]),
        ("an edit of what is no pointer", b"spec/replicas", &[1, 0]),
        ("an edit of every name", b"/\x1b[2J\n", &[1, 0]),
        ("an empty document", b"/spec/replicas", &[]),
        ("a document of another version", b"/spec/replicas", &[9, 0]),
        ("a document of an unknown tag", b"/spec/replicas", &[1, 0xee]),
        ("a string that is longer than its document", b"/spec/replicas", &[1, 7, 0xff, 0xff, 0xff, 0xff, 0x61]),
        ("a list that counts more than it has", b"/spec/replicas", &[1, 8, 9, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f]),
    ] {
        judgement(name, "contract", &|memory| {
            let value = memory.bytes(document);
            let edits = memory.edit(pointer, value);
            let at = memory.finding(&Finding { fix: Some((1, edits)), ..Finding::default() });
            memory.evaluated(0, at, 1)
        });
    }
    // Each string counts as often as it is used.
    judgement("one long string a hundred times", "output", &|memory| {
        let long = memory.bytes(&vec![b'x'; 64 << 10]);
        let finding = memory.finding_bytes(&Finding { message: Some(long), ..Finding::default() });
        let findings = memory.bytes(&finding.repeat(100));
        memory.evaluated(0, findings[0], 100)
    });
    cases.extend(broken_questions());
    cases
}

/// Questions to the host whose arguments break the canonical ABI.
fn broken_questions() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    const IMPORT: &str = r#"(import "plimsoll:policy/authored@0.1.0" "is-authored"
        (func $ask (param i32 i32 i32) (result i32)))"#;
    let mut memory = Memory::default();
    let broken = memory.bytes(b"/\xff")[0];
    let cases = [
        ("a pointer past the memory", "contract", "(i32.const 0) (i32.const 0x7fff0000) (i32.const 16)".to_owned()),
        ("a length past the memory", "contract", "(i32.const 0) (i32.const 1024) (i32.const -1)".to_owned()),
        ("a string that is no UTF-8", "contract", format!("(i32.const 0) (i32.const {broken}) (i32.const 2)")),
        ("a subject that does not exist", "contract", format!("(i32.const 9) (i32.const {broken}) (i32.const 1)")),
        ("a question of five MiB", "output", "(i32.const 0) (i32.const 1024) (i32.const 5242880)".to_owned()),
    ];
    let component = |arguments: &str| {
        let body = format!("(drop (call $ask {arguments})) (i32.const 0)");
        component_of(&memory, IMPORT, &body, &["hostile", "well-behaved"])
    };
    cases.map(|(name, kind, arguments)| (name, kind, component(&arguments))).to_vec()
}

/// The host calls the allocator of the guest. If the allocator is hostile, no policy of the bundle can run.
#[test]
fn an_allocator_that_lies_fails_its_bundle() {
    let engine = engine();
    for (name, kind, body) in [
        ("an address past the memory", "contract", "(i32.const 0xffff0000)"),
        ("an address that is not aligned", "contract", "(i32.const 4097)"),
        ("a trap", "trap", "(unreachable)"),
        ("a loop", "deadline", "(loop (br 0)) (unreachable)"),
    ] {
        let realloc = format!(r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {body})"#);
        let component = component_of(&Memory::default(), &realloc, "(i32.const 0)", &["hostile", "well-behaved"]);
        let registry = registry(&engine, &component, &["hostile", "well-behaved"]);
        let (verdict, took) = judged(&registry, Duration::from_secs(2));
        let expected: [(&str, &str); 2] = [("hostile", kind), ("well-behaved", kind)];
        // A byte list may have any address. A list of numbers must be aligned. The host allocates both.
        assert_eq!(failures(&verdict), expected, "{name}: {:?}", verdict.failed);
        assert!(took < Duration::from_secs(2), "{name} took {took:?}");
    }
}

fn evaluated(
    bundle: &Bundle,
    calls: &[Call],
    time: Duration,
) -> (Vec<Result<plimsoll::model::Outcome, Failure>>, Duration) {
    let review = Arc::new(Review::from_admission_review(CREATE).unwrap());
    let environment = Registry::new(bundle_engine(), Vec::new(), Options::default()).unwrap().environment(&review);
    let surrounded = Arc::new(Surrounded::new(Arc::clone(&review), Arc::new(Unknown)));
    let input = Input { environment: &environment, review: review.document(), subject: Subject::Object };
    let started = Instant::now();
    let outcomes = Session::new(bundle.clone(), surrounded, started + time).evaluate(&input, calls);
    (outcomes, started.elapsed())
}

fn bundle_engine() -> &'static Engine {
    static ENGINE: std::sync::LazyLock<Engine> = std::sync::LazyLock::new(engine);
    &ENGINE
}

fn failures(verdict: &Verdict) -> Vec<(&str, &'static str)> {
    verdict.failed.iter().map(|failed| (failed.policy.id.as_str(), failed.failure.kind())).collect()
}

fn findings(verdict: &Verdict) -> Vec<&str> {
    verdict.judged.iter().map(|judged| judged.policy.id.as_str()).collect()
}

fn sorted(mut ids: Vec<&str>) -> Vec<&str> {
    ids.sort_unstable();
    ids
}
