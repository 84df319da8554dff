//! The bundle of hostile policies, and a review by some of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use plimsoll::admission::Verdict;
use plimsoll::context::{Context, Unknown};
use plimsoll::engine::{Engine, Limits};
use plimsoll::judge;
use plimsoll::model::Review;
use plimsoll::registry::{Options, Registry, read};
use plimsoll_sdk::metadata::SECTION;

pub(crate) const CREATE: &[u8] = include_bytes!("../../../sdk/flat/benches/create.json");

/// The core module of `tests/guests/hostile`.
pub(crate) static MODULE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let root = root();
    let module = plimsoll_bundle::compile(&root.join("Cargo.toml"), "plimsoll-hostile", &root.join("target/guests"));
    std::fs::read(module.unwrap()).unwrap()
});

/// The bundle as an author of policies would build it.
pub(crate) static HOSTILE: LazyLock<Vec<u8>> =
    LazyLock::new(|| with_metadata(&plimsoll_hostile::metadata().to_json().unwrap()));

pub(crate) fn with_metadata(metadata: &str) -> Vec<u8> {
    plimsoll_bundle::componentize(&MODULE, SECTION, metadata).unwrap()
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A pool with one instance. If an instance is not returned, the next review fails.
pub(crate) fn engine() -> Engine {
    Engine::new(Limits { instances: 1, ..Limits::default() }).unwrap()
}

/// A PolicySet of these policies of a bundle.
pub(crate) fn registry(engine: &Engine, bundle: &[u8], ids: &[&str]) -> Registry {
    let policies: Vec<String> = ids.iter().map(|id| format!("{{id: {id}}}")).collect();
    let text = format!(
        "{{apiVersion: plimsoll.dev/v1alpha1, kind: ClusterPolicySet, metadata: {{name: hostile}}, \
         spec: {{mode: enforce, profile: none, policies: [{}]}}}}",
        policies.join(", ")
    );
    Registry::with_bundle(engine, bundle, read(&text, "test").unwrap(), Options::default()).unwrap()
}

/// One review within this time, and the time that it took.
pub(crate) fn judged(registry: &Registry, time: Duration) -> (Verdict, Duration) {
    let review = Arc::new(Review::from_admission_review(CREATE).unwrap());
    let context: Arc<dyn Context> = Arc::new(Unknown);
    let started = Instant::now();
    let verdict = judge::validate(registry, &review, &context, started + time);
    (verdict, started.elapsed())
}
