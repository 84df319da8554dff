use plimsoll_sdk::affinity::{Pods, anti_affinity};
use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::kind::SCALABLE;
use plimsoll_sdk::last;
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::revision_label;
use plimsoll_sdk::selector;

/// Settings of `missing-spread`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Number of Pods from which a workload must be spread
    #[settings(default = 2, minimum = 2)]
    replicas: i64,
    /// Whether the cluster's scheduler spreads Pods by its own configuration (`defaultConstraints`)
    #[settings(default = false)]
    cluster_default: bool,
}

/// Workloads with several Pods that may all run on one node.
///
/// ## What it finds
/// `info`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout with two or more Pods. It has
/// neither `topologySpreadConstraints` nor a `podAntiAffinity` that selects its own Pods. If a HorizontalPodAutoscaler
/// or a ScaledObject scales it, the greater of `replicas` and the autoscaler's maximum counts.
///
/// The policy reads a term of `podAntiAffinity` with its `namespaces`, `namespaceSelector`, `matchLabelKeys` and
/// `mismatchLabelKeys`. It skips workloads that an operator manages. `spread-selects-others` reports constraints that
/// select other Pods.
///
/// The policy reports the problem at the object that is applied last: the workload, or the autoscaler at its
/// `scaleTargetRef`. `plimsoll check` reports it once for a set.
///
/// ## Why
/// If three Pods run on one node, a single failure stops all of them. Without constraints in the manifest, the
/// scheduler uses its own constraints for these Pods:
///
/// | between | `maxSkew` | `whenUnsatisfiable` |
/// | --- | --- | --- |
/// | nodes | 3 | `ScheduleAnyway` |
/// | zones | 5 | `ScheduleAnyway` |
///
/// They are one preference among others, such as free resources and images that a node already has. The Pods are spread
/// most of the time, so the policy only records this. Explicit constraints with a smaller `maxSkew` weigh more.
///
/// ## What to write
/// Constraints that prefer other nodes and zones. `ScheduleAnyway` never prevents a Pod from starting. `--fix=unsafe`
/// writes these constraints. The change replaces all Pods:
///
/// ```yaml
/// topologySpreadConstraints:
///   - topologyKey: kubernetes.io/hostname
///     maxSkew: 1
///     whenUnsatisfiable: ScheduleAnyway
///     labelSelector: {matchLabels: {app: shop}}
///     matchLabelKeys: [pod-template-hash]
///   - topologyKey: topology.kubernetes.io/zone
///     maxSkew: 1
///     whenUnsatisfiable: ScheduleAnyway
///     labelSelector: {matchLabels: {app: shop}}
///     matchLabelKeys: [pod-template-hash]
/// ```
///
/// `matchLabelKeys` counts only the Pods of one revision (for Deployments and Rollouts, from Kubernetes 1.27).
/// Constraints in the manifest replace those of the scheduler's configuration. So the webhook writes them only if a
/// PolicySet sets `mutate: true` for this policy.
///
/// ## Settings
/// `replicas`: the number of Pods from which a workload must be spread. `clusterDefault: true`: the scheduler of the
/// cluster has `defaultConstraints` that spread Pods, so the policy finds nothing.
///
/// ## Assumptions
/// If not all autoscalers are known, the policy assumes that no other one scales the workload. If the result of a
/// `namespaceSelector` is not known, the policy assumes that it selects the workload's own namespace.
#[policy(
    on = Kinds,
    kinds = [Scalable, Autoscalers],
    severity = Info, since = "0.1.0",
    refines = [Scalable, Autoscalers],
    edits = ["{template}/spec/topologySpreadConstraints"],
    reads = [Workloads, Autoscalers],
    covers = ["avail-spread-missing", "sts-anti-affinity"]
)]
pub fn missing_spread(review: &Review, settings: &Settings, findings: &mut Findings) {
    if last::workloads(review, findings, &SCALABLE, |review, findings| missing_spread(review, settings, findings)) {
        return;
    }
    let template =
        review.template().filter(|template| !settings.cluster_default && template.all_containers().next().is_some());
    let Some(template) = template else { return };
    let at = template.spec().at("/topologySpreadConstraints");
    if at.has_content() || is_reviewed_owned(review) {
        return;
    }
    let mut others = "";
    for term in anti_affinity(template) {
        match term.selects(review, Pods::Same) {
            Knowledge::Yes => return,
            Knowledge::Unknown => return findings.assume("podAntiAffinity applies to the namespace of these Pods"),
            Knowledge::No if !term.at.at("/labelSelector").exists() => {
                others = " (podAntiAffinity without a labelSelector selects no Pods)";
            }
            Knowledge::No => others = " (podAntiAffinity selects only other Pods)",
        }
    }
    let Some(kind) = SCALABLE.into_iter().find(|kind| review.is(*kind)) else { return };
    let replicas_at = review.at("/spec/replicas");
    let replicas = if replicas_at.is_absent() { Some(1) } else { replicas_at.as_i64() };
    let Some(replicas) = replicas.filter(|replicas| *replicas > 0) else { return };
    let (bounds, is_complete) = bounds(review, kind, review.name());
    let most = bounds.iter().filter_map(|bounds| Some((bounds.most?, &bounds.by))).max();
    let (pods, by) = match most {
        Some((most, by)) if most > replicas => (most, format!(" at the maximum of {by}")),
        _ => (replicas, String::new()),
    };
    if pods < settings.replicas {
        if !is_complete {
            findings.assume("no autoscaler scales these Pods");
        }
        return;
    }
    let message =
        format!("{pods} Pods{by}, and nothing in the manifest spreads them{others}: all of them may run on one node");
    let help = "write topologySpreadConstraints or a podAntiAffinity, with the selector of this workload";
    let fix = spread(review);
    let finding = findings.info(&at, message, help);
    if let Some(constraints) = fix {
        let fix = Fix::changing("Set topologySpreadConstraints for nodes and zones");
        finding.fix(if at.exists() { fix.replace(&at, constraints) } else { fix.add(&at, constraints) });
    }
}

/// The constraints, with the workload's own selector. `None` if that selector is not clear.
fn spread(review: &Review<'_>) -> Option<Value> {
    let labels = review.template()?.labels();
    let written = review.at("/spec/selector").node();
    let selector = if review.is(Kind::REPLICATION_CONTROLLER) {
        // Without a written selector, it selects the labels of its template.
        let map = written.or(labels).filter(|map| selector::matches_map(*map, labels))?;
        Value::object([("matchLabels", Value::copy(map)?)])
    } else {
        Value::copy(written.filter(|own| own.len() > 0 && selector::matches(*own, labels).is_yes())?)?
    };
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 27));
    let revision = revision_label(review).filter(|_| is_known);
    let constraint = |key: &str| {
        let mut members = vec![
            ("topologyKey".to_owned(), Value::from(key)),
            ("maxSkew".to_owned(), Value::Int(1)),
            ("whenUnsatisfiable".to_owned(), "ScheduleAnyway".into()),
            ("labelSelector".to_owned(), selector.clone()),
        ];
        if let Some(label) = revision {
            members.push(("matchLabelKeys".to_owned(), Value::list([label.into()])));
        }
        Value::Object(members)
    };
    Some(Value::list([constraint("kubernetes.io/hostname"), constraint("topology.kubernetes.io/zone")]))
}
