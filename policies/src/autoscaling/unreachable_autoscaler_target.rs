use plimsoll_sdk::autoscaling::{Utilization, measuring, metrics, utilizations};
use plimsoll_sdk::disruption::target;
use plimsoll_sdk::measured::{Measured, Total};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::Resources as _;

/// Autoscalers with a target that the limits of the Pods make unreachable.
///
/// ## What it finds
/// A HorizontalPodAutoscaler or a ScaledObject aims at a share of the requested cpu or memory. The Pods can't exceed
/// this target by enough, because their limits stop them before. The policy compares the effective requests and limits.
/// It adds them up over the app containers and native sidecars, or takes those of the one measured container. There is
/// no finding if a measured container has no limit, or if the Pod as a whole has `resources`.
///
/// - `error`: for memory, the limit is not above the target. The container is killed.
/// - `warning`: for cpu, the limit is not above the target. The container is throttled.
/// - `warning`: the limit is above the target, but only within the tolerance (`behavior.scaleUp.tolerance`, default
///   10%). Within the tolerance an autoscaler does nothing.
///
/// The finding appears at the object that is applied last. In a set it is reported once, at the workload.
///
/// ## Why
/// The number of Pods never grows, whatever the load, because the limit keeps the measured value below the target.
/// Users see a slow service, or one that restarts, while the autoscaler reports no problem.
///
/// ## What to write
/// A target well below limit divided by request. If the limit equals the request, that is up to 90%:
///
/// ```yaml
/// resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
/// ```
///
/// ## Assumptions
/// If the scaled workload or the autoscaler is not known, nothing is judged.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no running Pod, and fills in missing values only for Pods
/// that are created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a
/// whole.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers], severity = Error, since = "0.1.0",
    requires = [Scalable, "autoscaling/HorizontalPodAutoscaler"],
    refines = ["keda.sh/ScaledObject", "/LimitRange"],
    default = Warn,
    reads = [
        Workloads, Autoscalers, LimitRanges, "autoscaling/HorizontalPodAutoscaler/spec/behavior/scaleUp/tolerance",
        "keda.sh/ScaledObject/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleUp/tolerance"
    ],
    covers = ["hpa-target-unreachable: also if only the tolerance is left"]
)]
pub fn unreachable_autoscaler_target(review: &Review, findings: &mut Findings) {
    match Autoscaler::of(review) {
        Some(scaler) => of_autoscaler(review, scaler, findings),
        None => of_workload(review, findings),
    }
}

fn of_autoscaler(review: &Review<'_>, scaler: Autoscaler, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let measured = utilizations(scaler, object);
    let Some((kind, name)) = target(review, object).filter(|_| !measured.is_empty()) else { return };
    let (holder, answer) = review.template_of(kind.get(), &name);
    let Some(template) = answer.nodes().next().and_then(|object| review.template_in(holder.get(), object)) else {
        if !answer.complete {
            findings.skip("the scaled workload is not known");
        }
        return;
    };
    let mut containers = Measured::of(&template);
    for measure in measured {
        let Some(end) = End::of(review, &mut containers, scaler, object, &measure) else { continue };
        let message = format!("{} of {} {name}: {}", end.describe(&measure), kind.name(), end.harm(&measure));
        let finding = findings.report(end.severity(&measure), &measure.place(review, scaler), message, end.help());
        finding.related(format!("{}/{name}", kind.name()));
    }
}

fn of_workload(review: &Review<'_>, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let (mut is_known, mut is_found) = (true, false);
    let mut containers = Measured::of(template);
    for scaler in Autoscaler::ALL {
        let (answers, complete) = measuring(review, scaler);
        is_known &= scaler.is_known(complete);
        for object in answers.iter().flat_map(|answer| answer.nodes()) {
            for measure in utilizations(scaler, object) {
                let Some(end) = End::of(review, &mut containers, scaler, object, &measure) else { continue };
                let Some(container) = containers.first(&measure) else { continue };
                let by = scaler.describe(object);
                let message = format!("{}, the target of {by}: {}", end.describe(&measure), end.harm(&measure));
                let at = container.limit_at(&measure.resource);
                let finding = findings.report(end.severity(&measure), &at, message, end.help());
                finding.about(&container.request_at(&measure.resource));
                is_found = true;
            }
        }
    }
    if !is_found && !is_known {
        findings.skip("not all autoscalers of the namespace are known");
    }
}

/// Limits that stop the measured value before the autoscaler scales up.
struct End {
    share: i64,
    request: Quantity,
    limit: Quantity,
    /// The limits are above the target, but within the tolerance.
    is_near: bool,
    /// The autoscaler has no other metric.
    is_alone: bool,
}

impl End {
    fn of(
        review: &Review<'_>,
        containers: &mut Measured<'_, '_>,
        scaler: Autoscaler,
        object: Node<'_>,
        measure: &Utilization,
    ) -> Option<Self> {
        if containers.template().spec().at("/resources").has_content() {
            return None;
        }
        let Total { request, limit } = containers.total(review, measure)?;
        let share = measure.share.filter(|share| *share > 0 && !request.is_zero())?;
        let config = if scaler == Autoscaler::Horizontal { "" } else { "/advanced/horizontalPodAutoscalerConfig" };
        let tolerance = object.at(&format!("/spec{config}/behavior/scaleUp/tolerance"));
        let tolerance = tolerance.and_then(Quantity::from_node).map_or(100, Quantity::milli).max(0);
        // The highest possible use, and the value that it must exceed, in the same unit.
        let most = limit.checked_mul(100)?.checked_mul(1000)?;
        let aimed_at = request.checked_mul(share)?;
        let is_near = most > aimed_at.checked_mul(1000)?;
        (most <= aimed_at.checked_mul(1000_i64.saturating_add(tolerance))?).then_some(Self {
            share,
            request,
            limit,
            is_near,
            is_alone: metrics(scaler, object) == 1,
        })
    }

    fn severity(&self, measure: &Utilization) -> Severity {
        if measure.resource == "memory" && !self.is_near { Severity::Error } else { Severity::Warning }
    }

    fn describe(&self, measure: &Utilization) -> String {
        let (limit, share, request) = (self.limit, self.share, self.request);
        match self.is_near {
            true => {
                format!("the limit {limit} caps {} just above {share}% of the request {request}", measure.resource)
            }
            false => {
                format!("the limit {limit} caps {} at no more than {share}% of the request {request}", measure.resource)
            }
        }
    }

    fn harm(&self, measure: &Utilization) -> &'static str {
        match (self.is_near, measure.resource.as_str()) {
            (true, _) if !self.is_alone => "the difference is within the tolerance, so no Pod is added by this metric",
            (false, "memory") if !self.is_alone => "the container is killed, and no Pod is added by this metric",
            (false, _) if !self.is_alone => "the container is throttled, and no Pod is added by this metric",
            (true, _) => "the difference is within the tolerance, so no Pod is ever added",
            (false, "memory") => "the container is killed, and no Pod is added",
            (false, _) => "the container is throttled, and no Pod is added",
        }
    }

    fn help(&self) -> String {
        format!("set the target to less than {}%, or raise the limit", self.share)
    }
}
