use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::disruption::{AUTOSCALERS, SCALABLE, Selected, name, short, target};
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Side, limit_ranges_unknown, pod_total};
use plimsoll_sdk::rollout::Rollout;
use plimsoll_sdk::workload::PodTemplate;

/// Workloads that outgrow the quota of their namespace.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout, or the autoscaler of one, for which a
/// ResourceQuota of the namespace leaves too little at its peak:
///
/// - all of its Pods, at the maximum of its HorizontalPodAutoscaler or ScaledObject where there is one, and those that an
///   update adds (`maxSurge`), beside the other workloads of the namespace at their minimum;
/// - it has a container without a request or limit that the quota counts, so that none of its Pods can be made.
///
/// `requests.cpu`, `requests.memory`, `limits.cpu`, `limits.memory` and `pods` are compared with `spec.hard`. Of quotas with
/// scopes (`BestEffort`, `NotBestEffort`, `NotTerminating`, `PriorityClass`) those count that hold for these Pods by what is
/// written. What DaemonSets, Jobs and single Pods use is left out: the finding is sure, its absence is not.
///
/// ## Why
/// Each Pod beyond the quota is refused: "exceeded quota". The autoscaler stops in the middle of the load that it is there
/// for, or an update never ends, because its first new Pod is refused.
///
/// ## What to write
/// A quota with room for the peak, a smaller `maxReplicas`, or `maxSurge: 0` with `maxUnavailable: 1`.
///
/// ## Assumptions
/// Where the quotas of the namespace are not known, nothing is judged. Where its LimitRanges are not, they fill in nothing.
///
/// ## Order
/// A ResourceQuota or a LimitRange that comes last is not judged: it changes no Pod that runs. The next change of a workload
/// or an autoscaler is judged by it.
#[policy(
    category = "availability", on = Kinds,
    kinds = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout",
        "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"
    ],
    severity = Warning, since = "0.1.0", requires = ["/ResourceQuota"],
    refines = [
        "/LimitRange", "autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject", "apps/Deployment",
        "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout", "apps/DaemonSet",
        "batch/Job"
    ]
)]
pub fn peak_over_quota(review: &Review, findings: &mut Findings) {
    let quotas = review.listing("/ResourceQuota");
    let Some(object) = review.object().node().filter(|_| !is_reviewed_owned(review)) else { return };
    if !quotas.complete && quotas.nodes().next().is_none() {
        return findings.skip("the ResourceQuotas of the namespace are not known");
    }
    if quotas.documents.is_empty() {
        return;
    }
    if let Some(kind) = SCALABLE.into_iter().find(|kind| review.is(kind)) {
        let Some(template) = review.template() else { return };
        for quota in quotas.nodes().filter(|quota| counts(review, *quota, template)) {
            of_workload(review, &Peak::of(review, kind, review.name(), review.object()), template, quota, findings);
        }
        return;
    }
    let Some((kind, scaled)) = target(review, object) else { return };
    let Some(kind) = SCALABLE.into_iter().find(|known| *known == kind) else { return };
    let answer = review.get(kind, &scaled);
    let Some(workload) = answer.nodes().next() else { return };
    let Some(template) = review.template_in(kind, workload) else { return };
    for quota in quotas.nodes().filter(|quota| counts(review, *quota, &template)) {
        of_workload(review, &Peak::of(review, kind, &scaled, &Cursor::of(workload)), &template, quota, findings);
    }
}

/// Whether all scopes of a quota hold for the Pods of a template. What else could be filled in does not count.
fn counts(review: &Review<'_>, quota: Node<'_>, template: &PodTemplate<'_>) -> bool {
    let all = |pointer: &str| quota.at(pointer).into_iter().flat_map(Node::items);
    let named = all("/spec/scopes").map(|scope| (scope.as_str(), "Exists", None));
    let selected = all("/spec/scopeSelector/matchExpressions").map(|expression| {
        let text = |pointer: &str| expression.at(pointer).and_then(Node::as_str);
        (text("/scopeName"), text("/operator").unwrap_or_default(), expression.at("/values"))
    });
    named.chain(selected).all(|(scope, operator, values)| match scope {
        Some("NotTerminating") => true,
        Some("BestEffort") => is_best_effort(review, template),
        Some("NotBestEffort") => !is_best_effort(review, template),
        Some("PriorityClass") => template.spec().at("priorityClassName").as_str().is_some_and(|class| {
            let is_among = values.into_iter().flat_map(Node::items).any(|value| value.as_str() == Some(class));
            match operator {
                "Exists" => true,
                "In" => is_among,
                "NotIn" => !is_among,
                _ => false,
            }
        }),
        // Of Pods that end by themselves, and what there may be one day.
        _ => false,
    })
}

/// Whether no container requests or is limited to any CPU or memory.
fn is_best_effort(review: &Review<'_>, template: &PodTemplate<'_>) -> bool {
    ["cpu", "memory"].into_iter().flat_map(|resource| [(resource, Side::Request), (resource, Side::Limit)]).all(
        |(resource, side)| {
            let total = pod_total(review, template, resource, side);
            total.is_some_and(|total| total.sum.is_none_or(Quantity::is_zero))
        },
    )
}

/// The most Pods that a workload has at a time.
struct Peak {
    kind: &'static str,
    name: String,
    pods: i64,
    surge: i64,
    by: String,
}

impl Peak {
    fn of(review: &Review<'_>, kind: &'static str, name: &str, object: &Cursor<'_>) -> Self {
        let replicas = object.at("spec/replicas").as_i64().unwrap_or(1).max(0);
        let (bounds, _) = bounds(review, kind, name);
        let most = bounds.into_iter().filter_map(|bounds| Some((bounds.most?, bounds.by))).max();
        let (pods, by) = match most {
            Some((most, by)) if most > replicas => (most, format!(" at the maximum of {by}")),
            _ => (replicas, String::new()),
        };
        let surge = Rollout::read(kind, object).map_or(0, |rollout| rollout.fenceposts(pods).surge);
        Self { kind, name: name.to_owned(), pods, surge, by }
    }
}

fn of_workload(review: &Review<'_>, peak: &Peak, template: &PodTemplate<'_>, quota: Node<'_>, findings: &mut Findings) {
    let quota_name = name(quota);
    let is_workload = review.is(peak.kind);
    let count = peak.pods.saturating_add(peak.surge);
    let mut others: Option<Vec<(PodCount, Vec<u8>)>> = None;
    for (key, hard) in quota.at("/spec/hard").into_iter().flat_map(Node::members) {
        let (Some(hard), Some(counted)) = (Quantity::from_node(hard), Counted::read(key)) else { continue };
        let one = match counted {
            Counted::Pods => Some(Quantity::from_milli(1000)),
            Counted::Of(resource, side) => {
                let total = pod_total(review, template, resource, side);
                if let Some(container) = total.as_ref().and_then(|total| total.lacking.as_ref()).filter(|_| is_workload)
                {
                    let at = container.at("resources").at(side.as_str()).key(resource);
                    if limit_ranges_unknown(review) {
                        findings.assume("no LimitRange fills in requests or limits");
                    }
                    let message = format!(
                        "{} says nothing of {key}, which ResourceQuota {quota_name} counts: no Pod can be made",
                        container.describe()
                    );
                    let help = format!("write resources.{}.{resource}", side.as_str());
                    findings.warning(&at, message, help);
                    continue;
                }
                total.and_then(|total| total.sum)
            }
        };
        let Some(own) = one.and_then(|one| one.checked_mul(count)).filter(|own| !own.is_zero()) else { continue };
        let others = others.get_or_insert_with(|| siblings(review, peak));
        let beside = others.iter().filter_map(|(pods, object)| {
            let template = review.template_in(&pods.kind, Node::root(object).ok()?)?;
            let one = match counted {
                _ if !counts(review, quota, &template) => return None,
                Counted::Pods => Quantity::from_milli(1000),
                Counted::Of(resource, side) => pod_total(review, &template, resource, side)?.sum?,
            };
            one.checked_mul(pods.pods)
        });
        let beside = beside.fold(Quantity::ZERO, |sum, next| sum.checked_add(next).unwrap_or(sum));
        let Some(sum) = own.checked_add(beside).filter(|sum| *sum > hard) else { continue };
        let surge = if peak.surge == 0 { String::new() } else { format!(", and {} of an update,", peak.surge) };
        let rest = if beside.is_zero() { String::new() } else { format!(" and the other workloads {beside}") };
        let message = format!(
            "{} Pods{}{surge} take {own} of {key}{rest}, {sum} in all: ResourceQuota {quota_name} allows {hard}",
            peak.pods, peak.by
        );
        let at = match AUTOSCALERS.into_iter().position(|scaler| review.is(scaler)) {
            None => review.at("spec/replicas"),
            Some(0) => review.at("spec/maxReplicas"),
            Some(_) => review.at("spec/maxReplicaCount"),
        };
        let help = "raise the quota, or lower the requests or the number of Pods";
        let finding = findings.warning(&at, message, help);
        if !is_workload {
            finding.related(format!("{}/{}", short(peak.kind), peak.name));
        }
    }
}

struct PodCount {
    kind: String,
    pods: i64,
}

/// The other workloads of the namespace at their minimum, as far as they are known.
fn siblings(review: &Review<'_>, peak: &Peak) -> Vec<(PodCount, Vec<u8>)> {
    let all = Value::object([]).to_document();
    let selected = Selected::by(review, Node::root(&all).ok());
    let others = selected.workloads.into_iter().filter(|other| other.kind != peak.kind || other.name != peak.name);
    others
        .filter_map(|other| {
            let document = review.get(&other.kind, &other.name).documents.into_iter().next()?;
            Some((PodCount { pods: other.pods()?, kind: other.kind }, document))
        })
        .collect()
}

/// What a line of a quota counts.
#[derive(Clone, Copy)]
enum Counted {
    Pods,
    Of(&'static str, Side),
}

impl Counted {
    fn read(key: &str) -> Option<Self> {
        Some(match key {
            "pods" | "count/pods" => Self::Pods,
            "cpu" | "requests.cpu" => Self::Of("cpu", Side::Request),
            "memory" | "requests.memory" => Self::Of("memory", Side::Request),
            "limits.cpu" => Self::Of("cpu", Side::Limit),
            "limits.memory" => Self::Of("memory", Side::Limit),
            _ => return None,
        })
    }
}
