use plimsoll_sdk::autoscaling::{measuring, utilizations};
use plimsoll_sdk::disruption::target;
use plimsoll_sdk::prelude::*;

/// Autoscalers that measure Pods which are still starting.
///
/// ## What it finds
/// `warning`: a HorizontalPodAutoscaler or a ScaledObject aims at a share of the requested cpu. In its workload no app
/// container and no native sidecar has a readinessProbe. The finding appears at the object that is applied last. In a
/// set it is reported once, at the workload. This policy is on in profile `strict`, or if a PolicySet lists it.
///
/// ## Why
/// The autoscaler ignores the cpu of Pods that are not ready yet. Without a probe they are ready at once. So the cpu
/// that a program uses to start, often all that it can get, counts as load. Each new Pod makes the autoscaler add
/// another Pod.
///
/// ## What to write
/// ```yaml
/// readinessProbe:
///   httpGet: {path: /health/ready, port: http}
/// ```
#[policy(
    on = LongRunning,
    kinds = [Autoscalers], severity = Warning, since = "0.1.0",
    requires = [Scalable, "autoscaling/HorizontalPodAutoscaler"],
    refines = ["keda.sh/ScaledObject"],
    profile = Strict,
    reads = [Workloads, Autoscalers],
    covers = ["hpa-cpu-no-readiness"]
)]
pub fn autoscaler_without_readiness(review: &Review, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let Some(scaler) = Autoscaler::of(review) else {
        return of_workload(review, findings);
    };
    let measured = utilizations(scaler, object);
    let cpu = measured.iter().find(|measure| measure.resource == "cpu");
    let (Some(measure), Some((kind, name))) = (cpu, target(review, object)) else { return };
    let (holder, answer) = review.template_of(kind.get(), &name);
    let Some(template) = answer.nodes().next().and_then(|object| review.template_in(holder.get(), object)) else {
        if !answer.complete {
            findings.skip("the scaled workload is not known");
        }
        return;
    };
    if !template.has_readiness_probe() {
        let message = format!("the autoscaler measures the cpu of the Pods of {} {name}, {HARM}", kind.name());
        let finding = findings.warning(&measure.place(review, scaler), message, HELP);
        finding.related(format!("{}/{name}", kind.name()));
    }
}

const HARM: &str = "which have no readinessProbe: the cpu that a Pod uses to start counts as load";
const HELP: &str = "add a readinessProbe that checks whether the container can serve requests";

fn of_workload(review: &Review<'_>, findings: &mut Findings) {
    let Some(template) = review.template().filter(|template| !template.has_readiness_probe()) else { return };
    let mut running = template.containers().iter().filter(|container| container.class().runs_on());
    let Some(container) = running.next() else { return };
    let mut is_known = true;
    for scaler in Autoscaler::ALL {
        let (answers, complete) = measuring(review, scaler);
        is_known &= scaler.is_known(complete);
        let is_cpu = |object: &Node<'_>| utilizations(scaler, *object).iter().any(|measure| measure.resource == "cpu");
        if let Some(object) = answers.iter().flat_map(|answer| answer.nodes()).find(is_cpu) {
            let message = format!("{} measures the cpu of these Pods, {HARM}", scaler.describe(object));
            findings.warning(&container.at("/readinessProbe"), message, HELP);
            return;
        }
    }
    if !is_known {
        findings.skip("not all autoscalers of the namespace are known");
    }
}
