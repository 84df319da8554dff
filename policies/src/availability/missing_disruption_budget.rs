use plimsoll_sdk::disruption::{Change, Selected, Workload};
use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;

/// Settings of `missing-disruption-budget`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Pods from which on a workload needs a budget
    #[settings(default = 2, minimum = 2)]
    replicas: i64,
}

/// Workloads of several Pods that a drain may take all at once.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout of two or more Pods, or a workload of
/// a further kind that the configuration names, of which no PodDisruptionBudget selects the Pods by their labels. Where a
/// HorizontalPodAutoscaler or a ScaledObject scales it, the greater of `replicas` and of its minimum counts.
///
/// It rests on something absent: in the cluster it is not said when a workload is made, and while this is young a change
/// of it only warns. Workloads that an operator looks after are left out, and DaemonSets, whose Pods a drain does not
/// evict.
///
/// It is found whichever object comes last: at the workload, or at the target of the autoscaler. `plimsoll check` says
/// it once for a set.
///
/// ## Why
/// A drain evicts as fast as it is allowed to. Without a budget it takes all Pods of a node at once, and those of the
/// next node before the first ones are ready elsewhere. An upgrade of the nodes is then an outage.
///
/// ## What to write
/// A budget beside the workload, with its selector:
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
/// `maxUnavailable: 1` never blocks a drain, however many Pods there are. `AlwaysAllow` lets Pods go that are not ready
/// anyway. `--fix=unsafe` writes this to a new file beside the manifest, unless a budget of this name is there already, or
/// the selector also selects other workloads' Pods.
///
/// ## Settings
/// `replicas`: from how many Pods on a budget is asked for.
///
/// ## Assumptions
/// Where the budgets are not all known, nothing is judged. Where not all autoscalers are known, none scales the workload.
#[policy(
    on = LongRunning,
    kinds = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"], severity = Warning, since = "0.1.0",
    judges = Companion, requires = ["policy/PodDisruptionBudget"],
    refines = [
        "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "apps/Deployment", "apps/StatefulSet",
        "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout", "apps/DaemonSet", "batch/Job"
    ],
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
        return findings.skip("the PodDisruptionBudgets of the namespace are not all known");
    }
    let count = match floor {
        Some(floor) if floor.pods == pods => format!("{pods} Pods at the minimum of {}", floor.by),
        _ => format!("{pods} Pods"),
    };
    let message = format!("{count}, and no PodDisruptionBudget selects them: a drain may take all at once");
    // A budget counts ready Pods, which without a probe is every Pod that has started.
    let help = match review.template().is_none_or(|template| template.has_readiness_probe()) {
        true => "write a PodDisruptionBudget with maxUnavailable: 1 and the selector of this workload",
        false => {
            "write a readinessProbe, by which it counts, and a PodDisruptionBudget with maxUnavailable: 1 and the selector \
             of this workload"
        }
    };
    let fix = budget(review, &workload);
    let finding = findings.warning(&at, message, help);
    if let Some(object) = fix {
        finding.fix(Fix::changing("a PodDisruptionBudget that lets one Pod go at a time").companion(object));
    }
}

/// The budget for a new file. None where it could meet another one, or select more than these Pods.
fn budget(review: &Review<'_>, workload: &Workload) -> Option<Value> {
    // Where the API server generates the name, nobody knows it yet.
    let name = review.at("/metadata/name").as_str().filter(|name| !name.is_empty())?;
    let written = review.at("/spec/selector");
    let is_map = review.is(Kind::REPLICATION_CONTROLLER);
    let labels = Value::copy(if is_map && !written.exists() {
        // Its selector is that of its labels where it is not written.
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
