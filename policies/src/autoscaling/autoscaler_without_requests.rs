use std::collections::BTreeSet;

use plimsoll_sdk::autoscaling::{Utilization, measuring, metrics, utilizations};
use plimsoll_sdk::disruption::target;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::references::workload_ref;
use plimsoll_sdk::resources::Resources as _;

use crate::autoscaling::lack::{Containers, Harm, Lack, injected};

/// Autoscalers that measure a share of a request which nobody states.
///
/// ## What it finds
/// `error`: a HorizontalPodAutoscaler or a ScaledObject that aims at a share of the requested cpu or memory
/// (`type: Utilization`; without any metric it is 80% of cpu), while a container or native sidecar of the workload
/// requests none of it. It is found whichever comes last: at the container's request, or at the metric. A metric of type
/// `ContainerResource` asks for the request of its own container alone, and for that container to be there.
///
/// `warning`: the autoscaler has other metrics too. It adds Pods by those.
///
/// `info`: the annotation `dapr.io/enabled` or `linkerd.io/inject` has a container injected whose request no annotation
/// states, and all requests that are written are enough. Without a setting of the injection itself it requests nothing.
///
/// The effective request counts: a limit is copied, a LimitRange fills in, and so does a VerticalPodAutoscaler in any
/// `updateMode` but `Off`. Where the Pod as a whole states any resource (from Kubernetes 1.34), it takes one request for it,
/// of the Pod or of any container.
///
/// ## Why
/// A share of nothing can't be computed: "missing request for cpu in container proxy". The autoscaler then does nothing at
/// all, under any load, and says so only in its status. One forgotten sidecar is enough. With another metric that can be
/// computed it adds Pods, and never takes one away.
///
/// ## What to write
/// A request in every container that runs on:
///
/// ```yaml
/// resources:
///   requests: {cpu: 100m}
/// ```
///
/// ## Assumptions
/// Where the LimitRanges or the VerticalPodAutoscalers of the namespace are not known, none is assumed to fill in requests,
/// and findings are warnings.
/// Where what is scaled, or what scales it, is not known, nothing is judged.
///
/// ## Order
/// A LimitRange or a VerticalPodAutoscaler that comes last is not judged: it fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
#[policy(
    on = LongRunning,
    kinds = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"], severity = Error, since = "0.1.0",
    requires = [
        "autoscaling/HorizontalPodAutoscaler", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet",
        "/ReplicationController", "argoproj.io/Rollout"
    ],
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
            findings.skip("what is scaled is not known");
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
                let message = format!("{message} of {workload}");
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
                        findings.info(&at, format!("{message}, which {} measures", scaler.describe(object)), help);
                    }
                    continue;
                };
                // KEDA and what it makes say the same.
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
        findings.skip("the autoscalers of the namespace are not all known");
    }
}

fn lacking<'t, 'a>(judged: &[(Utilization, Option<Lack<'t, 'a>>)]) -> usize {
    judged.iter().filter(|(_, lack)| lack.is_some()).count()
}
