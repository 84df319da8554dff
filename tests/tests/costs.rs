//! Maximum costs of a review, as counts that are equal on every machine: fuel, instances, copied bytes, and memory to
//! clear. `benches/review.rs` measures times.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::context::{Surrounded, Unknown};
use plimsoll::engine::{BUILTIN, Bundle, Call, Cost, Engine, Input, Limits, Session};
use plimsoll::model::{Review, Subject};
use plimsoll::registry::{Options, Registry};
use wasmparser::{Parser, Payload};

/// A CREATE of a Deployment of 8.6 KB. The benches of the flat encoding use it too.
const CREATE: &[u8] = include_bytes!("../../sdk/flat/benches/create.json");

/// The reference for all policies of a build: one loop over the containers that reads one string.
const REFERENCE: &str = "latest-image-tag";

/// Maximum fuel of a policy beyond an empty call, as a multiple of the reference. The slowest enabled policies are at
/// 5. One policy that is off by default is at 7.6.
const MOST: f64 = 8.0;

fn cost(registry: &Registry, bundle: &Bundle, policies: &[u32]) -> Cost {
    let review = Arc::new(Review::from_admission_review(CREATE).unwrap());
    let environment = registry.environment(&review);
    let surrounded = Arc::new(Surrounded::new(Arc::clone(&review), Arc::new(Unknown)));
    let calls: Vec<Call<'_>> = policies.iter().map(|&policy| Call { policy, settings: &[] }).collect();
    let input = Input { environment: &environment, review: review.document(), subject: Subject::Object };
    let mut session = Session::new(bundle.clone(), surrounded, Instant::now() + Duration::from_secs(20));
    let outcomes = session.evaluate(&input, &calls);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    session.cost()
}

#[test]
fn fuel_of_every_policy_is_a_small_multiple_of_the_reference() {
    let engine = Engine::metered(Limits::default()).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let bundle = &registry.bundles()[0];
    let index = |id: &str| registry.policies().find(|policy| policy.id == id).unwrap().index;
    // All policies of a call share the decoded view of the containers, and the first policy pays for it.
    let reference = index(REFERENCE);
    let once = cost(&registry, bundle, &[reference]).fuel;
    let twice = cost(&registry, bundle, &[reference, reference]).fuel;
    let unit = (twice - once) as f64;
    assert!(unit > 0.0);
    let mut above = Vec::new();
    for policy in registry.policies() {
        let both = cost(&registry, bundle, &[reference, policy.index]).fuel;
        let ratio = (both - once) as f64 / unit;
        println!("{:38} {ratio:6.2}", policy.id);
        if ratio > MOST {
            above.push(format!("{} burns {ratio:.1} times what {REFERENCE} does", policy.id));
        }
    }
    assert!(above.is_empty(), "{above:?}");
}

#[test]
fn one_instance_and_one_copy_for_all_policies_of_a_review() {
    let engine = Engine::metered(Limits::default()).unwrap();
    let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
    let bundle = &registry.bundles()[0];
    let all: Vec<u32> = registry.policies().map(|policy| policy.index).collect();
    let review = Review::from_admission_review(CREATE).unwrap();
    let documents = review.document().len() + registry.environment(&review).len();
    let cost = cost(&registry, bundle, &all);
    assert_eq!((cost.instances, cost.copied), (1, documents));
    // The flat document is copied for every review. It must be smaller than twice the text.
    assert!(review.document().len() < 2 * CREATE.len(), "{} bytes of {}", review.document().len(), CREATE.len());
}

/// Dropping an instance clears all of its memory, used or not.
#[test]
fn the_memory_of_an_instance_is_small() {
    let (mut data, mut pages) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(BUILTIN) {
        match payload.unwrap() {
            Payload::DataSection(section) => {
                data += section.into_iter().map(|segment| segment.unwrap().data.len()).sum::<usize>();
            }
            Payload::MemorySection(section) => {
                pages.extend(section.into_iter().map(|memory| memory.unwrap().initial));
            }
            _ => {}
        }
    }
    println!("data segments: {data} bytes; memory: {pages:?} pages of 64 KiB");
    assert_eq!(pages, [3], "32 KiB of stack, the data and the heap of a usual review");
    assert!(data <= 72 << 10, "{data} bytes of data leave too little heap");
}
