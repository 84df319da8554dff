//! Judges the objects of a cluster as if they were applied now. Nothing is installed in the cluster or written to it.

pub mod existing;
mod report;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use plimsoll_sdk::kind::Kind;
use plimsoll_sdk::owners::is_made_of;
use serde_json::{Value, json};

use crate::check::World;
use crate::check::beside::Beside;
use crate::check::collect::Source;
use crate::check::report::ObjectName;
use crate::check::run::{self, Found};
use crate::model::Action;
use crate::registry::Registry;
use crate::scan::existing::Existing;
use crate::yaml::Budget;

pub use report::{human, json, names};

const NODE: Kind<'static> = Kind::new("/Node");

/// Number of objects of a kind that are read as one document. The limits of a document allow a few thousand.
const TOGETHER: usize = 100;

/// The report on a cluster.
#[derive(Debug)]
pub struct Scan {
    pub kubernetes_version: String,
    /// The name of each PolicySet, and its profile.
    pub profiles: Vec<(String, &'static str)>,
    pub objects: usize,
    /// Number of objects that a controller made. Their owners are judged in their place.
    pub owned: usize,
    pub namespaces: usize,
    pub drains: Vec<Drain>,
    /// Findings that `mode: enforce` would deny.
    pub denied: Vec<Denied>,
    /// Number of findings that would only warn.
    pub warned: usize,
    /// Policies that could not judge, with the reason and the number of objects.
    pub unjudged: Vec<(String, String, usize)>,
    /// Kinds, `group/Kind`, that could not be read, and the reason.
    pub unread: BTreeMap<String, String>,
    /// Kinds, `group/Kind`, that the API server does not serve.
    pub unserved: BTreeSet<String>,
    /// Policies that failed. Their findings are unknown.
    pub failed: BTreeSet<String>,
}

/// A PodDisruptionBudget that blocks evictions now.
#[derive(Debug)]
pub struct Drain {
    pub namespace: String,
    /// Name of the PodDisruptionBudget.
    pub name: String,
    pub why: String,
}

/// A finding that `mode: enforce` would deny.
#[derive(Debug)]
pub struct Denied {
    pub policy: String,
    pub object: ObjectName,
    pub path: String,
    pub message: String,
    pub help: String,
}

/// Judges the objects of a cluster, with every mode treated as `enforce`.
pub fn scan(registry: &Registry, existing: &Existing) -> Scan {
    let mut beside = Beside { unread: existing.unread.keys().cloned().collect(), ..Beside::default() };
    let mut sources = Vec::new();
    let (mut owned, mut objects) = (0, 0);
    let mut namespaces = BTreeSet::new();
    let known = existing.kinds.iter().flat_map(|(kind, objects)| objects.iter().map(move |object| (kind, object)));
    let known: HashSet<Identity<'_>> = known.filter_map(|(kind, object)| Identity::of(kind, object)).collect();
    let workloads = registry.workloads();
    for (kind, of_kind) in &existing.kinds {
        let (made, own): (Vec<&Value>, Vec<&Value>) = of_kind.iter().partition(|object| {
            is_not_to_be_judged(kind, object, &known, |maker| workloads.further().any(|further| further == maker))
        });
        objects += of_kind.len();
        owned += made.len();
        namespaces.extend(of_kind.iter().filter_map(|object| object.pointer("/metadata/namespace")?.as_str()));
        beside.objects.extend(made.into_iter().cloned());
        for own in own.chunks(TOGETHER) {
            let text = json!({"apiVersion": "v1", "kind": "List", "items": own}).to_string();
            sources.push(Source::new(kind.clone(), text));
        }
    }
    // The size of the input was already limited when the cluster was read.
    let world = World::read_within(sources, registry, Arc::new(beside), &Budget::times(64), usize::MAX);
    let mut unread = existing.unread.clone();
    for problem in &world.problems {
        unread.insert(problem.file.clone(), format!("some objects cannot be judged: {}", problem.message));
    }
    let checked = run::check(registry, &world);
    let mut unjudged: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (policy, why) in &checked.skipped {
        *unjudged.entry((policy.id.clone(), why.clone())).or_default() += 1;
    }
    let mut failures = BTreeSet::new();
    for (_, failed) in &checked.failed {
        failures.insert(failed.policy.id.clone());
        *unjudged.entry((failed.policy.id.clone(), failed.failure.to_string())).or_default() += 1;
    }
    let counts = |action: Action| move |found: &&Found| !found.defaulted && found.judged.action == action;
    let denied = checked.findings.iter().filter(counts(Action::Deny));
    let pdbs = existing.kinds.get(Kind::POD_DISRUPTION_BUDGET.as_str()).map(Vec::as_slice).unwrap_or_default();
    Scan {
        kubernetes_version: registry.kubernetes_version().to_string(),
        profiles: registry.profiles().iter().map(|(set, profile)| (set.clone(), profile.as_str())).collect(),
        objects,
        owned,
        namespaces: namespaces.len(),
        drains: pdbs.iter().filter_map(drain).collect(),
        denied: denied.map(|found| Denied::new(&world, found)).collect(),
        warned: checked.findings.iter().filter(counts(Action::Warn)).count(),
        unjudged: unjudged.into_iter().map(|((policy, why), count)| (policy, why, count)).collect(),
        unread,
        unserved: existing.unserved.clone(),
        failed: failures,
    }
}

impl Scan {
    /// Kinds that the scan needs and could not read, so the report may lack denials. A custom resource that is not
    /// served is no gap, because not every cluster has it.
    pub fn gaps(&self) -> Vec<&str> {
        let unread = self.unread.keys().filter(|kind| !is_inert(kind));
        let unserved = self.unserved.iter().filter(|kind| is_of_kubernetes(kind) && !is_inert(kind));
        unread.chain(unserved).map(String::as_str).collect()
    }
}

/// Whether every API server serves this kind. The group of a custom resource contains a dot.
fn is_of_kubernetes(kind: &str) -> bool {
    kind.split_once('/').is_some_and(|(group, _)| !group.contains('.'))
}

/// Kinds that the role `view` does not cover, and that hide no denial if they are unknown. No controller makes Pods of
/// a PodTemplate. Without volumes and classes, policies judge a claim by the claim itself.
fn is_inert(kind: &str) -> bool {
    const INERT: [Kind<'static>; 3] = [Kind::new("/PodTemplate"), Kind::PERSISTENT_VOLUME, Kind::STORAGE_CLASS];
    INERT.iter().any(|inert| inert.as_str() == kind)
}

impl Denied {
    fn new(world: &World, found: &Found) -> Self {
        let finding = &found.judged.finding;
        Self {
            policy: found.judged.policy.id.clone(),
            object: ObjectName::of(&world.objects[found.object]),
            path: finding.at.full(),
            message: finding.message.clone(),
            help: finding.help.clone(),
        }
    }
}

/// The identity of an object in the cluster. An owner reference counts only if it names an existing object.
#[derive(Eq, Hash, PartialEq)]
struct Identity<'a> {
    namespace: &'a str,
    kind: &'a str,
    name: &'a str,
    uid: &'a str,
}

impl<'a> Identity<'a> {
    fn of(kind: &'a str, object: &'a Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let namespace = text("/metadata/namespace").unwrap_or_default();
        Some(Self { namespace, kind, name: text("/metadata/name")?, uid: text("/metadata/uid")? })
    }
}

/// Whether an object is skipped: its owner is judged in its place, or it is being deleted. Any user can write an owner
/// reference, so the owner must exist, and must be of a kind that makes such objects.
fn is_not_to_be_judged(
    kind: &str,
    object: &Value,
    known: &HashSet<Identity<'_>>,
    is_further: impl Fn(&str) -> bool,
) -> bool {
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let mut makers = owners.into_iter().flatten().filter(|owner| owner["controller"] == true);
    let is_made = makers.any(|owner| {
        let text = |member: &str| owner[member].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        let maker = format!("{group}/{}", text("kind"));
        // The kubelet creates a mirror Pod for each static Pod, and deletes any other Pod with this annotation.
        let is_mirror =
            maker == NODE.as_str() && object.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
        let owner = Identity { namespace, kind: &maker, name: text("name"), uid: text("uid") };
        let is_made = Kind::parse(kind).zip(Kind::parse(&maker)).is_some_and(|(kind, maker)| is_made_of(kind, maker));
        is_mirror || (is_made || is_further(&maker)) && known.contains(&owner)
    });
    is_made || object.pointer("/metadata/deletionTimestamp").is_some()
}

/// Describes a PodDisruptionBudget whose status allows no eviction.
fn drain(budget: &Value) -> Option<Drain> {
    let status = budget.get("status")?;
    let count = |name: &str| status.get(name).and_then(Value::as_i64).unwrap_or(0);
    let (allowed, healthy) = (count("disruptionsAllowed"), count("currentHealthy"));
    let (desired, expected) = (count("desiredHealthy"), count("expectedPods"));
    let failed = status["conditions"].as_array().into_iter().flatten().find(|it| it["reason"] == "SyncFailed");
    let why = match failed {
        Some(condition) => format!("its controller failed: {}", condition["message"].as_str().unwrap_or_default()),
        None if allowed > 0 || expected == 0 => return None,
        None if healthy >= expected => format!("all {expected} Pods are healthy, and {desired} must stay"),
        None => format!("{healthy} of {expected} Pods are healthy, and {desired} must stay"),
    };
    let text = |pointer: &str| budget.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Drain { namespace: text("/metadata/namespace"), name: text("/metadata/name"), why })
}

#[cfg(test)]
mod tests {
    use crate::scan::*;

    #[test]
    fn drains_that_block() {
        let why = |status: Value| drain(&json!({"metadata": {"namespace": "shop", "name": "web"}, "status": status}));
        let status = |allowed: i64, healthy: i64, desired: i64, expected: i64| json!({"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected});
        assert!(why(status(1, 3, 2, 3)).is_none());
        assert!(why(status(0, 0, 0, 0)).is_none(), "it guards nothing");
        assert_eq!(why(status(0, 2, 2, 2)).unwrap().why, "all 2 Pods are healthy, and 2 must stay");
        assert_eq!(why(status(0, 2, 2, 3)).unwrap().why, "2 of 3 Pods are healthy, and 2 must stay");
        let failed = json!({"conditions": [{"reason": "SyncFailed", "message": "no scale"}]});
        assert_eq!(why(failed).unwrap().why, "its controller failed: no scale");
        assert!(drain(&json!({"metadata": {"name": "new"}})).is_none());
    }

    #[test]
    fn gaps() {
        let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<BTreeSet<_>>();
        let unread = |names: &[&str]| kinds(names).into_iter().map(|kind| (kind, "forbidden".to_owned())).collect();
        let scan = |unread, unserved| Scan {
            profiles: Vec::new(),
            kubernetes_version: String::new(),
            objects: 0,
            owned: 0,
            namespaces: 0,
            drains: Vec::new(),
            denied: Vec::new(),
            warned: 0,
            unjudged: Vec::new(),
            unread,
            unserved,
            failed: BTreeSet::new(),
        };
        let custom = ["argoproj.io/Rollout", "autoscaling.k8s.io/VerticalPodAutoscaler", "keda.sh/ScaledObject"];
        let inert = ["/PodTemplate", "/PersistentVolume", "storage.k8s.io/StorageClass"];
        assert!(scan(unread(&inert), kinds(&custom)).gaps().is_empty());
        assert_eq!(scan(unread(&[]), kinds(&["/Pod", "apps/Deployment"])).gaps(), ["/Pod", "apps/Deployment"]);
        assert_eq!(scan(unread(&custom), kinds(&["/Service"])).gaps()[2..], ["keda.sh/ScaledObject", "/Service"]);
    }

    #[test]
    fn what_is_judged() {
        let owner = json!({"metadata": {"namespace": "shop", "name": "web", "uid": "u"}});
        let known: HashSet<Identity<'_>> = Identity::of("apps/Deployment", &owner).into_iter().collect();
        let judged = |kind: &str, object: Value| !is_not_to_be_judged(kind, &object, &known, |_| false);
        let made = |uid: &str, controller: bool| {
            let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": controller});
            json!({"metadata": {"namespace": "shop", "ownerReferences": [owner]}})
        };
        assert!(!judged("apps/ReplicaSet", made("u", true)));
        assert!(judged("apps/ReplicaSet", made("forged", true)), "there is none with this uid");
        assert!(judged("apps/Deployment", made("u", true)), "a Deployment makes no Deployments");
        assert!(judged("apps/ReplicaSet", made("u", false)));
        assert!(!judged("/Pod", json!({"metadata": {"deletionTimestamp": "2026-11-21T00:00:00Z"}})));
        let mirror = |annotations: Value| {
            let node = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n", "controller": true});
            json!({"metadata": {"annotations": annotations, "ownerReferences": [node]}})
        };
        assert!(!judged("/Pod", mirror(json!({"kubernetes.io/config.mirror": "hash"}))));
        assert!(judged("/Pod", mirror(json!({}))));
    }
}
