//! Shared parts of the targets that run policies: one engine, one compiled bundle, and requests for a registry.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use plimsoll::engine::{Bundle, Engine, Limits};
use plimsoll::model::Review;
use plimsoll::registry::{Documents, Options, Registry, read};
use serde_json::{Value, json};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    Engine::new(Limits { instances: 16, ..Limits::default() }).expect("WebAssembly runs on this machine")
});

/// Selects every policy of the default profile, and lets every policy mutate that can.
pub(crate) static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let builtin = Registry::new(&ENGINE, Vec::new(), Options::default()).expect("the built-in bundle loads");
    let fills = builtin.policies().filter(|policy| !policy.metadata.edits.is_empty());
    let fills: Vec<Value> = fills.map(|policy| json!({"id": policy.id, "mutate": true})).collect();
    let set = json!({"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "fuzz"},
        "spec": {"mode": "enforce", "policies": fills}});
    let sets = read(&set.to_string(), "fuzz").expect("the PolicySet is sound");
    Registry::reload(&ENGINE, builtin.bundles(), sets, Options::default()).expect("the PolicySet fits the bundle")
});

static COMPILED: LazyLock<Vec<Bundle>> = LazyLock::new(|| REGISTRY.bundles().to_vec());

/// A registry of these sets on the built-in bundle, which is compiled once.
pub(crate) fn registry(documents: Documents) -> Result<Registry, Vec<plimsoll::registry::ConfigError>> {
    Registry::reload(&ENGINE, &COMPILED, documents, Options::default())
}

/// Long enough for any machine, so a timeout is a bug and not a slow moment.
pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Requests that PolicySets distinguish.
pub(crate) static REQUESTS: LazyLock<Vec<Arc<Review>>> = LazyLock::new(|| {
    let kinds = [
        ("apps", "Deployment", "deployments"),
        ("", "Pod", "pods"),
        ("batch", "CronJob", "cronjobs"),
        ("", "Service", "services"),
    ];
    let places = [("kube-system", "CREATE", ""), ("shop", "UPDATE", ""), ("shop", "CREATE", "scale")];
    let request = |(group, kind, resource): (&str, &str, &str),
                   (namespace, operation, subresource): (&str, &str, &str)| {
        let object = json!({"metadata": {"name": "a", "namespace": namespace}, "spec": {}});
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": operation, "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": resource}, "subResource": subresource,
            "namespace": namespace, "name": "a", "object": object, "oldObject": object}});
        Arc::new(Review::from_admission_review(body.to_string().as_bytes()).expect("a sound request"))
    };
    kinds.into_iter().flat_map(|kind| places.map(|place| request(kind, place))).collect()
});
