//! Builds the rules of the webhook configurations from the kinds that policies judge.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use kube::api::{ApiResource, GroupVersionKind};

use crate::registry::{Policy, Registry};
use plimsoll_sdk::kind::{Kind, SCALABLE};
use plimsoll_sdk::metadata::{Operation, Stage};

/// Groups and resources that the cluster itself depends on. A webhook for them could keep a cluster from starting, or
/// from being repaired.
pub(super) const NEVER: [(&str, &str); 10] = [
    ("", "events"),
    ("", "nodes"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("coordination.k8s.io", "leases"),
    ("events.k8s.io", "events"),
];

/// The rules of both webhooks.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub(super) validated: Vec<RuleWithOperations>,
    pub(super) deleted: Vec<RuleWithOperations>,
    pub(super) mutated: Vec<RuleWithOperations>,
}

impl Rules {
    /// The rules that the policies of all PolicySets need.
    pub fn of(registry: &Registry) -> Self {
        Self { validated: validated(registry), deleted: deleted(registry), mutated: mutated(registry) }
    }
}

/// Subresources that only Pods have.
const OF_PODS: [&str; 4] = ["binding", "ephemeralcontainers", "eviction", "resize"];

const CREATE_AND_UPDATE: [Operation; 2] = [Operation::Create, Operation::Update];

/// Resources by group and version.
type Resources = BTreeMap<(String, &'static str), BTreeSet<String>>;

/// Every kind that a policy judges, with the subresources that the policy declares.
fn validated(registry: &Registry) -> Vec<RuleWithOperations> {
    let mut resources = Resources::new();
    for policy in active(registry, &CREATE_AND_UPDATE) {
        for kind in kinds(registry, policy) {
            let resource = resource(kind);
            let subresources = policy.metadata.on.subresources.iter().filter(|name| match name.as_str() {
                "scale" => {
                    SCALABLE.iter().any(|known| known.as_str() == kind) || registry.workloads().is_further_scaled(kind)
                }
                name => kind == Kind::POD.as_str() || !OF_PODS.contains(&name),
            });
            let of_group = resources.entry(group_version(kind)).or_default();
            of_group.extend(subresources.map(|subresource| format!("{resource}/{subresource}")));
            of_group.insert(resource);
        }
    }
    rules(resources, &CREATE_AND_UPDATE)
}

/// Every kind whose deletion a policy judges.
fn deleted(registry: &Registry) -> Vec<RuleWithOperations> {
    let mut resources = Resources::new();
    for policy in active(registry, &[Operation::Delete]) {
        for kind in kinds(registry, policy) {
            resources.entry(group_version(kind)).or_default().insert(resource(kind));
        }
    }
    rules(resources, &[Operation::Delete])
}

/// Every kind that a policy may edit, without subresources.
fn mutated(registry: &Registry) -> Vec<RuleWithOperations> {
    let mut resources = Resources::new();
    for policy in active(registry, &CREATE_AND_UPDATE).filter(|policy| !policy.metadata.edits.is_empty()) {
        for kind in kinds(registry, policy) {
            resources.entry(group_version(kind)).or_default().insert(resource(kind));
        }
    }
    rules(resources, &CREATE_AND_UPDATE)
}

/// Every kind, `group/Kind`, whose creation or update a policy judges.
#[cfg(feature = "check")]
pub fn looked_at(registry: &Registry) -> BTreeSet<String> {
    let policies = active(registry, &CREATE_AND_UPDATE);
    policies.flat_map(|policy| kinds(registry, policy)).map(str::to_owned).collect()
}

/// Policies that are on in some PolicySet, and judge one of these operations.
fn active<'a>(registry: &'a Registry, operations: &'a [Operation]) -> impl Iterator<Item = &'a Policy> {
    let looks = |policy: &&Policy| policy.metadata.on.operations.iter().any(|known| operations.contains(known));
    registry.active().map(AsRef::as_ref).filter(|policy| policy.stage != Stage::Source).filter(looks)
}

fn kinds<'a>(registry: &'a Registry, policy: &'a Policy) -> impl Iterator<Item = &'a str> {
    let named = policy.metadata.on.kinds.iter().map(String::as_str);
    let workloads = registry.workloads();
    workloads.kinds().chain(named).filter(|kind| workloads.match_on(&policy.metadata.on, kind) && may_be_asked(kind))
}

fn may_be_asked(kind: &str) -> bool {
    let group = kind.split_once('/').map_or("", |(group, _)| group);
    !NEVER.contains(&(group, resource(kind).as_str()))
}

fn resource(kind: &str) -> String {
    let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
    // The plural is guessed as apimachinery guesses it, so a CRD is covered as soon as it is installed.
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "", kind)).plural
}

/// The version that policies are written for. With `matchPolicy: Equivalent`, the API server converts objects to it.
fn group_version(kind: &str) -> (String, &'static str) {
    let group = kind.split_once('/').map_or("", |(group, _)| group);
    let version = match group {
        "autoscaling" => "v2",
        "" | "apps" | "batch" | "policy" => "v1",
        group if group.ends_with(".k8s.io") && !group.starts_with("gateway.") => "v1",
        _ => "*",
    };
    (group.to_owned(), version)
}

fn rules(resources: Resources, operations: &[Operation]) -> Vec<RuleWithOperations> {
    let operations: Vec<String> = operations.iter().map(|operation| operation.as_str().to_owned()).collect();
    let rule = |((group, version), resources): ((String, &str), BTreeSet<String>)| RuleWithOperations {
        api_groups: Some(vec![group]),
        api_versions: Some(vec![version.to_owned()]),
        operations: Some(operations.clone()),
        resources: Some(resources.into_iter().collect()),
        scope: Some("*".to_owned()),
    };
    resources.into_iter().map(rule).collect()
}
