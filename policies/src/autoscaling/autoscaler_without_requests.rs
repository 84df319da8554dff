use std::collections::BTreeSet;

use plimsoll_sdk::autoscaling::{Utilization, measuring, metrics, utilizations};
use plimsoll_sdk::disruption::target;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::workload_ref;
use plimsoll_sdk::resources::Resources as _;

use crate::autoscaling::lack::{Containers, Harm, Lack, injected};

/// Autoscalers that measure a share of a request that does not exist.
///
/// ## What it finds
/// `error`: a HorizontalPodAutoscaler or a ScaledObject aims at a share of the requested cpu or memory. A container or
/// native sidecar of the workload has no such request. The metric has `type: Utilization`; without any metric the
/// default is 80% of cpu. The finding appears at the object that is applied last: at the container's request, or at the
/// metric. A metric of type `ContainerResource` needs only its own container, and the request of this container.
///
/// `warning`: the autoscaler has other metrics too, and adds Pods by those.
///
/// `info`: the annotation `dapr.io/enabled` or `linkerd.io/inject` injects a container, no annotation states its
/// request, and all written requests are sufficient. If the settings of the injector do not set a request, the
/// container requests nothing.
///
/// The effective request counts: a copied limit, the default of a LimitRange, or the value of a VerticalPodAutoscaler
/// in any `updateMode` except `Off`. If the Pod as a whole states any resource (from Kubernetes 1.34), one request is
/// enough, of the Pod or of any container.
///
/// ## Why
/// The autoscaler can't compute a share of nothing: "missing request for cpu in container proxy". It then does nothing
/// at all, under any load, and only its status shows this. One forgotten sidecar is enough. If it can compute another
/// metric, it adds Pods, and never removes one.
///
/// ## What to write
/// A request in every long-running container:
///
/// ```yaml
/// resources:
///   requests: {cpu: 100m}
/// ```
///
/// ## Assumptions
/// If the LimitRanges or the VerticalPodAutoscalers of the namespace are not known, the policy assumes that none fills
/// in requests. Findings are then warnings. If the scaled workload or the autoscaler is not known, nothing is judged.
///
/// ## Order
/// A LimitRange or a VerticalPodAutoscaler that comes last is not judged: it fills in missing values only for Pods that
/// are created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
#[policy(
    on = LongRunning,
    kinds = [Autoscalers], severity = Error, since = "0.1.0",
    requires = [Scalable, "autoscaling/HorizontalPodAutoscaler"],
    refines = ["keda.sh/ScaledObject", "/LimitRange", "autoscaling.k8s.io/VerticalPodAutoscaler"],
    default = Deny(CannotWork),
    reads = [Workloads, Autoscalers, VerticalAutoscalers, LimitRanges, crate::autoscaling::lack::READS],
    covers = ["hpa-request-missing", "hpa-container-missing: the nearest name is not proposed"]
)]
pub fn autoscaler_without_requests(review: &Review, findings: &mut Findings) {
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
    let mut containers = Containers::of(review, kind.get(), &name, &template);
    let judged = containers.judge(review, measured);
    let harm = Harm::of(lacking(&judged) < metrics(scaler, object));
    let workload = format!("{} {name}", kind.name());
    for (measure, lack) in judged {
        let at = measure.place(review, scaler);
        let Some(lack) = lack else {
            if let Some((_, message, help)) = injected(&template, &measure) {
                let message = format!("{message} in {workload}: the autoscaler scales by a share of this request");
                findings.info(&at, message, help).related(format!("{}/{name}", kind.name()));
            }
            continue;
        };
        let message = lack.message(&measure, Some(&workload), "the autoscaler", &harm);
        let severity = lack.severity(review, &containers, &harm, findings);
        findings.report(severity, &at, message, lack.help(&measure)).related(format!("{}/{name}", kind.name()));
    }
}

fn of_workload(review: &Review<'_>, findings: &mut Findings) {
    let referenced = review.referenced();
    let Some(template) = review.template().or(referenced.as_ref()) else { return };
    let mut is_known = true;
    let mut said: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let kind = review.own_kind();
    let mut containers = Containers::of(review, kind.get(), review.name(), template);
    for scaler in Autoscaler::ALL {
        let (answers, complete) = measuring(review, scaler);
        is_known &= scaler.is_known(complete);
        for object in answers.iter().flat_map(|answer| answer.nodes()) {
            let judged = containers.judge(review, utilizations(scaler, object));
            let harm = Harm::of(lacking(&judged) < metrics(scaler, object));
            for (measure, lack) in judged {
                let Some(lack) = lack else {
                    let found = injected(template, &measure);
                    let found = found.filter(|_| said.insert((measure.resource.clone(), measure.container.clone())));
                    if let Some((at, message, help)) = found {
                        let at = if review.template().is_some() { at } else { review.at("/spec/workloadRef") };
                        let message = format!("{message}: {} scales by a share of it", scaler.describe(object));
                        findings.info(&at, message, help);
                    }
                    continue;
                };
                // A ScaledObject and the HorizontalPodAutoscaler that KEDA makes for it have the same finding.
                if !said.insert((measure.resource.clone(), measure.container.clone())) {
                    continue;
                }
                let at = match &lack {
                    _ if review.template().is_none() => review.at("/spec/workloadRef"),
                    Lack::Request { container, .. } => container.request_at(&measure.resource),
                    Lack::Container => template.spec().at("/containers"),
                };
                let message = lack.message(&measure, None, &scaler.describe(object), &harm);
                let severity = lack.severity(review, &containers, &harm, findings);
                let finding = findings.report(severity, &at, message, lack.help(&measure));
                if let Some((kind, name)) = review.object().node().and_then(|object| workload_ref(kind.get(), object)) {
                    finding.related(format!("{}/{name}", kind.name()));
                }
            }
        }
    }
    if said.is_empty() && !is_known {
        findings.skip("not all autoscalers of the namespace are known");
    }
}

fn lacking<'t, 'a>(judged: &[(Utilization, Option<Lack<'t, 'a>>)]) -> usize {
    judged.iter().filter(|(_, lack)| lack.is_some()).count()
}
