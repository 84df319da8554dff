use plimsoll_sdk::disruption::{Change, Selected, Workload};
use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;

/// Settings of `missing-disruption-budget`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Number of Pods from which a workload needs a budget
    #[settings(default = 2, minimum = 2)]
    replicas: i64,
}

/// Workloads with several Pods but without a PodDisruptionBudget.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout with two or more Pods that no
/// PodDisruptionBudget selects by their labels. Workloads of further kinds that the configuration names count too. If a
/// HorizontalPodAutoscaler or a ScaledObject scales the workload, the greater of `replicas` and its minimum counts.
///
/// The finding depends on a missing object. In the cluster, the policy reports nothing when a workload is created. It
/// only warns of an update while the workload is young. The policy skips workloads that an operator manages. It also
/// skips DaemonSets, because a drain does not evict their Pods.
///
/// The policy reports the problem at the object that is applied last: the workload, or the autoscaler at its
/// `scaleTargetRef`. `plimsoll check` reports it once for a set.
///
/// ## Why
/// A drain evicts Pods as fast as the API server allows. Without a budget, it evicts all Pods of a node at once. It
/// then evicts the Pods of the next node before the first ones are ready elsewhere. So a node upgrade is an outage.
///
/// ## What to write
/// A budget next to the workload, with its selector:
///
/// ```yaml
/// apiVersion: policy/v1
/// kind: PodDisruptionBudget
/// metadata: {name: shop}
/// spec:
///   maxUnavailable: 1
///   unhealthyPodEvictionPolicy: AlwaysAllow
///   selector:
///     matchLabels: {app: shop}
/// ```
///
/// `maxUnavailable: 1` never blocks a drain, however many Pods there are. `AlwaysAllow` allows the eviction of Pods
/// that are not ready anyway. `--fix=unsafe` writes this budget to a new file next to the manifest. It writes nothing
/// if a budget of this name exists, or if the selector also selects Pods of other workloads.
///
/// ## Settings
/// `replicas`: the number of Pods from which a workload needs a budget.
///
/// ## Assumptions
/// If not all budgets are known, the policy judges nothing. If not all autoscalers are known, the policy assumes that
/// no other one scales the workload.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers], severity = Warning, since = "0.1.0",
    judges = Companion, requires = ["policy/PodDisruptionBudget"],
    refines = [LongRunning, Autoscalers, "batch/Job"],
    production = Deny,
    reads = [Workloads, DisruptionBudgets, Autoscalers],
    covers = ["avail-pdb-missing", "sts-pdb"]
)]
pub fn missing_disruption_budget(review: &Review, settings: &Settings, findings: &mut Findings) {
    if last::workloads(review, findings, &SCALABLE, |review, findings| {
        missing_disruption_budget(review, settings, findings)
    }) {
        return;
    }
    if is_reviewed_owned(review) {
        return;
    }
    let Change::Of(workload, at) = Change::of(review) else { return };
    let floor = workload.floor.as_ref();
    let replicas = workload.replicas.unwrap_or(0);
    let pods = floor.map_or(replicas, |floor| floor.pods.max(replicas));
    if replicas == 0 || pods < settings.replicas {
        return;
    }
    let budgets = workload.budgets(review);
    if budgets.nodes().next().is_some() {
        return;
    }
    if !budgets.complete {
        return findings.skip("not all PodDisruptionBudgets of the namespace are known");
    }
    let count = match floor {
        Some(floor) if floor.pods == pods => format!("{pods} Pods at the minimum of {}", floor.by),
        _ => format!("{pods} Pods"),
    };
    let message = format!("{count}, and no PodDisruptionBudget selects them: a drain may evict all at once");
    // A budget counts ready Pods. Without a readiness probe, every Pod that has started is ready.
    let help = match review.template().is_none_or(|template| template.has_readiness_probe()) {
        true => "write a PodDisruptionBudget with maxUnavailable: 1 and the selector of this workload",
        false => {
            "write a PodDisruptionBudget with maxUnavailable: 1 and the selector of this workload, and a readinessProbe, \
             because a budget counts ready Pods"
        }
    };
    let fix = budget(review, &workload);
    let finding = findings.warning(&at, message, help);
    if let Some(object) = fix {
        finding.fix(Fix::changing("Add a PodDisruptionBudget with maxUnavailable: 1").companion(object));
    }
}

/// The budget for a new file. `None` if another budget may have this name, or if the selector may select more than
/// these Pods.
fn budget(review: &Review<'_>, workload: &Workload) -> Option<Value> {
    // A name that the API server generates is not known yet.
    let name = review.at("/metadata/name").as_str().filter(|name| !name.is_empty())?;
    let written = review.at("/spec/selector");
    let is_map = review.is(Kind::REPLICATION_CONTROLLER);
    let labels = Value::copy(if is_map && !written.exists() {
        // Without a written selector, it selects the labels of its template.
        review.template()?.labels()?
    } else {
        written.node()?
    })?;
    let selector = if is_map { Value::object([("matchLabels", labels)]) } else { labels };
    let document = selector.to_document();
    let selected = Selected::by(review, Some(Node::root(&document).ok()?));
    let is_only = matches!(selected.workloads.as_slice(), [only] if only.kind == workload.kind && only.name == name);
    let namesake = review.get(Kind::POD_DISRUPTION_BUDGET, name);
    if !is_only || !selected.complete || !namesake.complete || !namesake.documents.is_empty() {
        return None;
    }
    let mut metadata = vec![("name".to_owned(), Value::from(name))];
    if let Some(namespace) = review.at("/metadata/namespace").as_str() {
        metadata.push(("namespace".to_owned(), namespace.into()));
    }
    Some(Value::object([
        ("apiVersion", "policy/v1".into()),
        ("kind", "PodDisruptionBudget".into()),
        ("metadata", Value::Object(metadata)),
        (
            "spec",
            Value::object([
                ("maxUnavailable", Value::Int(1)),
                ("unhealthyPodEvictionPolicy", "AlwaysAllow".into()),
                ("selector", selector),
            ]),
        ),
    ]))
}
