use plimsoll_sdk::kind::SCALABLE;
use std::collections::BTreeMap;

use plimsoll_sdk::autoscaling::bounds;
use plimsoll_sdk::bundle::Answer;
use plimsoll_sdk::disruption::{name, target};
use plimsoll_sdk::owners::is_reviewed_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::quota::{COUNTED, Group, PODS, Scopes, Sums, counted, others, sums, totals};
use plimsoll_sdk::resources::limit_ranges_unknown;
use plimsoll_sdk::rollout::Rollout;
use plimsoll_sdk::workload::PodTemplate;

/// Workloads whose peak exceeds the ResourceQuota of their namespace.
///
/// ## What it finds
/// `warning`: a Deployment, StatefulSet, ReplicaSet, ReplicationController or Rollout, or the autoscaler of one, if a
/// ResourceQuota of the namespace is too small for its peak:
///
/// - The quota has no room for all Pods of the workload. With a HorizontalPodAutoscaler or ScaledObject, its maximum
///   counts. The Pods that an update adds (`maxSurge`) count too. The other workloads of the namespace count with their
///   minimum.
/// - A container has no request or limit for a resource that the quota counts. Then no Pod of the workload can be
///   created.
///
/// The policy compares `requests.cpu`, `requests.memory`, `limits.cpu`, `limits.memory` and `pods` with `spec.hard`. A
/// quota with scopes (`BestEffort`, `NotBestEffort`, `NotTerminating`, `PriorityClass`) counts if it applies to these
/// Pods by their manifest. The policy leaves out the usage of DaemonSets, Jobs and single Pods. So a finding is
/// certain, but a quota without a finding may still be too small.
///
/// ## Why
/// The API server rejects each Pod beyond the quota: "exceeded quota". Then the autoscaler stops in the middle of the
/// load that it exists for. Or an update never finishes, because its first new Pod is rejected.
///
/// ## What to write
/// A quota with room for the peak, a smaller `maxReplicas`, or `maxSurge: 0` with `maxUnavailable: 1`.
///
/// ## Assumptions
/// If the quotas of the namespace are not known, the policy judges nothing. If its LimitRanges are not known, the
/// policy assumes that they set no default requests or limits.
///
/// ## Order
/// The policy does not judge a ResourceQuota or a LimitRange that comes last, because it changes no Pod that runs. It
/// judges the next change of a workload or an autoscaler by them.
#[policy(
    on = Kinds,
    kinds = [Scalable, Autoscalers],
    severity = Warning, since = "0.1.0", requires = ["/ResourceQuota"],
    refines = [LongRunning, Autoscalers, "/LimitRange", "batch/Job"],
    reads = [
        Workloads, Autoscalers, LimitRanges, "/ResourceQuota/spec/hard", "/ResourceQuota/spec/scopes",
        "/ResourceQuota/spec/scopeSelector"
    ],
    covers = [
        "res-quota-surge: by `spec.hard` and the known workloads; the used amounts in the status are not read",
        "cap-peak-over-quota: as above"
    ]
)]
pub fn peak_over_quota(review: &Review, findings: &mut Findings) {
    let quotas = review.listing(Kind::RESOURCE_QUOTA);
    let Some(object) = review.object().node().filter(|_| !is_reviewed_owned(review)) else { return };
    if !quotas.complete && quotas.nodes().next().is_none() {
        return findings.skip("the ResourceQuotas of the namespace are not known");
    }
    if quotas.documents.is_empty() {
        return;
    }
    if let Some(kind) = SCALABLE.into_iter().find(|kind| review.is(*kind)) {
        let referenced = review.referenced();
        let Some(template) = review.template().or(referenced.as_ref()) else { return };
        let peak = Peak::of(review, kind, review.name(), review.object());
        return of_workload(review, &peak, template, &quotas, findings);
    }
    let Some((kind, scaled)) = target(review, object) else { return };
    let Some(kind) = SCALABLE.into_iter().find(|known| *known == kind) else { return };
    let answer = review.resolve(kind, &scaled);
    let Some(workload) = answer.nodes().next() else { return };
    let (holder, of_template) = review.template_of(kind, &scaled);
    let template = of_template.nodes().next().and_then(|object| review.template_in(holder.get(), object));
    let Some(template) = template else { return };
    of_workload(review, &Peak::of(review, kind, &scaled, &Cursor::of(workload)), &template, &quotas, findings);
}

/// Maximum number of ResourceQuotas that are compared with the peak of one workload and its neighbours.
const MAX_QUOTAS: usize = 16;

/// Maximum number of Pods that a workload has at a time.
struct Peak {
    kind: Kind<'static>,
    name: String,
    pods: i64,
    surge: i64,
    by: String,
}

impl Peak {
    fn of(review: &Review<'_>, kind: Kind<'static>, name: &str, object: &Cursor<'_>) -> Self {
        let replicas = object.at("/spec/replicas").as_i64().unwrap_or(1).max(0);
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

fn of_workload(review: &Review<'_>, peak: &Peak, template: &PodTemplate<'_>, quotas: &Answer, findings: &mut Findings) {
    let is_workload = review.is(peak.kind);
    let count = peak.pods.saturating_add(peak.surge);
    let own = totals(review, template);
    let group = Group::of(template, &own);
    let scopes = quotas.nodes().map(|quota| (quota, Scopes::of(quota)));
    let mut holding = scopes.filter(|(_, scopes)| group.is_held(scopes));
    let mut siblings: Option<BTreeMap<Group, Sums>> = None;
    for (quota, scopes) in holding.by_ref().take(MAX_QUOTAS) {
        let quota_name = name(quota);
        let mut beside: Option<Sums> = None;
        for (key, hard) in quota.at("/spec/hard").into_iter().flat_map(Node::members) {
            let (Some(hard), Some(counted)) = (Quantity::from_node(hard), counted(key)) else { continue };
            let one = match counted {
                PODS => Some(Quantity::from_milli(1000)),
                index => {
                    let (resource, side) = COUNTED[index];
                    let total = own[index].as_ref();
                    let lacking = total.and_then(|total| total.lacking.as_ref());
                    if let Some(container) = lacking.filter(|_| is_workload) {
                        // A template in another object has no place in the reviewed object.
                        let at = match review.template() {
                            Some(_) => container.at("/resources").key(side.as_str()).key(resource),
                            None => review.at("/spec/workloadRef"),
                        };
                        if limit_ranges_unknown(review) {
                            findings.assume("no LimitRange fills in requests or limits");
                        }
                        let message = format!(
                            "{} has no {key}, which ResourceQuota {quota_name} requires: no Pod can be created",
                            container.describe()
                        );
                        findings.warning(&at, message, format!("write resources.{}.{resource}", side.as_str()));
                        continue;
                    }
                    total.and_then(|total| total.sum)
                }
            };
            let own = one.and_then(|one| one.checked_mul(count)).filter(|own| !own.is_zero());
            let Some(own) = own else { continue };
            let siblings = siblings.get_or_insert_with(|| others(review, peak.kind, &peak.name));
            let beside = beside.get_or_insert_with(|| sums(siblings, &scopes))[counted];
            let Some(sum) = own.checked_add(beside).filter(|sum| *sum > hard) else { continue };
            let surge =
                if peak.surge == 0 { String::new() } else { format!(", and {} more in an update,", peak.surge) };
            let rest = match beside.is_zero() {
                true => String::new(),
                false => format!(", and other workloads need {beside}, {sum} in total"),
            };
            let message = format!(
                "{} Pods{}{surge} need {own} of {key}{rest}: ResourceQuota {quota_name} allows {hard}",
                peak.pods, peak.by
            );
            let at = review.at(Autoscaler::of(review).map_or("/spec/replicas", Autoscaler::max));
            let help = "raise the quota, or lower the requests or the number of Pods";
            let finding = findings.warning(&at, message, help);
            if !is_workload {
                finding.related(format!("{}/{}", peak.kind.name(), peak.name));
            }
        }
    }
    if holding.next().is_some() {
        findings.assume("further ResourceQuotas are large enough");
    }
}
