//! Plans which budgets to write and to delete in a namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use plimsoll_flat::Node;
use plimsoll_sdk::disruption::STAND_IN;
use plimsoll_sdk::kind::{Autoscaler, Kind};
use plimsoll_sdk::metadata::Judges;
use serde_json::Value;

use crate::context::watch::Watches;
use crate::context::{Context, Question};
use crate::engine::Answer;
use crate::judge::validate;
use crate::model::{Action, Moment, Review};
use crate::registry::{Registry, Selected};

const BUDGET: &str = Kind::POD_DISRUPTION_BUDGET.as_str();

/// Timeout for all policies on one workload. No request waits for them.
const TIME: Duration = Duration::from_secs(5);

/// The changes in one namespace.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) namespace: String,
    pub(super) write: Vec<PodDisruptionBudget>,
    pub(super) withdraw: Vec<Withdrawn>,
}

/// A budget of ours that is no longer needed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Withdrawn {
    pub(super) name: String,
    pub(super) uid: String,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.write.is_empty() && self.withdraw.is_empty()
    }
}

/// Plans the changes of a namespace. The plan is empty if some of its objects are not known, or if a policy that
/// proposes budgets failed. In both cases it is unknown which budgets are missing.
pub(super) fn plan(registry: &Registry, watches: &Watches, namespace: &str, now: Moment) -> Plan {
    let mut plan = Plan { namespace: namespace.to_owned(), ..Plan::default() };
    let kinds: BTreeSet<&str> = kinds(registry).collect();
    let known = kinds.into_iter().map(|kind| watches.objects(namespace, kind)).collect::<Option<Vec<_>>>();
    let (Some(workloads), Some(budgets)) = (known, watches.objects(namespace, BUDGET)) else { return plan };
    let Some(snapshot) = watches.snapshot(namespace) else { return plan };
    let context: Arc<dyn Context> = Arc::new(WithoutStandIns(snapshot));
    let mut wanted: BTreeMap<String, PodDisruptionBudget> = BTreeMap::new();
    for workload in workloads.iter().flatten().filter_map(|document| value(document)) {
        match budget(registry, &workload, &context, now) {
            Ok(Some(budget)) => drop(wanted.insert(budget.metadata.name.clone().unwrap_or_default(), budget)),
            Ok(None) => {}
            Err(FailedPolicy(policy)) => {
                tracing::warn!(
                    namespace,
                    policy,
                    "a policy failed, so no PodDisruptionBudget is written or deleted in this namespace"
                );
                return plan;
            }
        }
    }
    for document in budgets.iter().filter(|document| is_stand_in(document)) {
        let Some(Value::Object(stored)) = value(document) else { continue };
        let metadata = |name: &str| stored.get("metadata").and_then(|metadata| metadata.get(name));
        let text = |name: &str| metadata(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, uid) = (text("name"), text("uid"));
        let is_as_wanted = |wanted: &PodDisruptionBudget| {
            let spec = serde_json::to_value(&wanted.spec).unwrap_or_default();
            let owners = serde_json::to_value(&wanted.metadata.owner_references).unwrap_or_default();
            stored.get("spec") == Some(&spec) && metadata("ownerReferences") == Some(&owners)
        };
        // A budget that differs from the wanted one is deleted now, and written again in the next round.
        let is_right = wanted.remove(&name).is_some_and(|wanted| is_as_wanted(&wanted));
        if !is_right && metadata("deletionTimestamp").is_none() {
            plan.withdraw.push(Withdrawn { name, uid });
        }
    }
    plan.write = wanted.into_values().collect();
    plan
}

/// The kinds of workloads that may lack a companion object. Autoscalers are left out: an autoscaler only affects
/// its workload, and the workload is judged itself.
fn kinds(registry: &Registry) -> impl Iterator<Item = &str> {
    let companions = registry.active().filter(|policy| policy.metadata.judges == Judges::Companion);
    companions.flat_map(|policy| {
        let named = policy.metadata.on.kinds.iter().map(String::as_str);
        let workloads = registry.workloads().kinds().chain(named);
        workloads.filter(|kind| {
            let is_scaler = Autoscaler::ALL.iter().any(|scaler| scaler.kind().as_str() == *kind);
            *kind != BUDGET && !is_scaler && registry.workloads().match_on(&policy.metadata.on, kind)
        })
    })
}

/// The budget that a policy proposes for this workload, if the policy is in force there. The mode must be `enforce`,
/// and no exemption or annotation may silence the policy. The workload must be older than `enforceAfter`, so that its
/// own budget had time to arrive.
fn budget(
    registry: &Registry,
    workload: &Value,
    context: &Arc<dyn Context>,
    now: Moment,
) -> Result<Option<PodDisruptionBudget>, FailedPolicy> {
    let created = workload.pointer("/metadata/creationTimestamp").and_then(Value::as_str).and_then(Moment::parse);
    let review = Review::from_object(workload).map(Arc::new);
    let (Some(created), Some(review)) = (created, review) else { return Ok(None) };
    if workload.pointer("/metadata/deletionTimestamp").is_some() {
        return Ok(None);
    }
    let is_due = |selected: &Selected| {
        selected.spared.is_none() && created.age(now).is_some_and(|age| age >= selected.enforce_after)
    };
    let due: Vec<Selected> = registry.select(&review).into_iter().filter(is_due).collect();
    if due.is_empty() {
        return Ok(None);
    }
    let verdict = validate(registry, &review, context, Instant::now() + TIME);
    let mut failed = verdict.failed.iter().map(|failed| &failed.policy);
    if let Some(policy) = failed.find(|policy| policy.metadata.judges == Judges::Companion) {
        return Err(FailedPolicy(policy.id.clone()));
    }
    let judged = verdict.judged.into_iter().filter(|judged| judged.action >= Action::Warn);
    let in_force = judged.filter(|judged| due.iter().any(|selected| selected.policy.id == judged.policy.id));
    let proposed = in_force.filter_map(|judged| judged.finding.fix?.companion);
    let mut budgets =
        proposed.filter(|object| object.get("kind").is_some_and(|kind| kind == Kind::POD_DISRUPTION_BUDGET.name()));
    Ok(budgets.next().and_then(|object| owned(object, workload)))
}

/// A policy that failed on a workload: its id.
struct FailedPolicy(String);

/// The proposed budget with our label and an owner reference.
fn owned(object: Value, workload: &Value) -> Option<PodDisruptionBudget> {
    let mut budget: PodDisruptionBudget = serde_json::from_value(object).ok()?;
    let text = |pointer: &str| Some(workload.pointer(pointer)?.as_str()?.to_owned());
    budget.metadata.labels.get_or_insert_default().insert(STAND_IN.to_owned(), "true".to_owned());
    // The garbage collector deletes the budget with its workload.
    budget.metadata.owner_references = Some(vec![OwnerReference {
        api_version: text("/apiVersion")?,
        kind: text("/kind")?,
        name: text("/metadata/name")?,
        uid: text("/metadata/uid")?,
        ..OwnerReference::default()
    }]);
    Some(budget)
}

fn value(document: &[u8]) -> Option<Value> {
    serde_json::to_value(Node::root(document).ok()?).ok()
}

fn is_stand_in(document: &[u8]) -> bool {
    let labels = Node::root(document).ok().and_then(|object| object.at("/metadata/labels"));
    labels.is_some_and(|labels| labels.members().any(|(name, _)| name == STAND_IN))
}

/// The cluster without the budgets that Plimsoll wrote.
#[derive(Debug)]
struct WithoutStandIns(Arc<dyn Context>);

impl Context for WithoutStandIns {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let mut answer = self.0.answer(namespace, kind, question);
        if kind == BUDGET {
            answer.documents.retain(|document| !is_stand_in(document));
        }
        answer
    }
}
