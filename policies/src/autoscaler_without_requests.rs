use plimsoll_sdk::autoscaling::{Utilization, describe, utilizations};
use plimsoll_sdk::disruption::{AUTOSCALERS, short, target};
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources as _, limit_ranges_unknown};
use plimsoll_sdk::workload::PodTemplate;

/// Autoscalers that measure a share of a request which nobody states.
///
/// ## What it finds
/// `error`: a HorizontalPodAutoscaler or a ScaledObject that aims at a share of the requested cpu or memory
/// (`type: Utilization`; without any metric it is 80% of cpu), while a container or native sidecar of the workload
/// requests none of it. It is found whichever comes last: at the container's request, or at the metric. A metric of type
/// `ContainerResource` asks for the request of its own container alone, and for that container to be there.
///
/// The effective request counts: a limit is copied, a LimitRange fills in, and what the Pod requests as a whole counts
/// for all of its containers, but not for a single one.
///
/// ## Why
/// A share of nothing can't be computed: "missing request for cpu in container proxy". The autoscaler then does nothing at
/// all, under any load, and says so only in its status. One forgotten sidecar is enough.
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
/// Where the LimitRanges of the namespace are not known, none is assumed to fill in requests, and findings are warnings.
/// Where what is scaled, or what scales it, is not known, nothing is judged.
///
/// ## Order
/// A LimitRange that comes last is not judged: it changes no Pod that runs, and fills in what is missing of Pods that are
/// created after it. The next change of the workload is judged by it, and `plimsoll check` judges a set as a whole.
#[policy(
    category = "autoscaling", on = LongRunning,
    kinds = ["autoscaling/HorizontalPodAutoscaler", "keda.sh/ScaledObject"], severity = Error, since = "0.1.0",
    requires = [
        "autoscaling/HorizontalPodAutoscaler", "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet",
        "/ReplicationController", "argoproj.io/Rollout"
    ],
    refines = ["keda.sh/ScaledObject", "/LimitRange"]
)]
pub fn autoscaler_without_requests(review: &Review, findings: &mut Findings) {
    match AUTOSCALERS.into_iter().find(|kind| review.is(kind)) {
        Some(scaler) => of_autoscaler(review, scaler, findings),
        None => of_workload(review, findings),
    }
}

fn of_autoscaler(review: &Review<'_>, scaler: &'static str, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let measured = utilizations(scaler, object);
    let Some((kind, name)) = target(review, object).filter(|_| !measured.is_empty()) else { return };
    let answer = review.get(&kind, &name);
    let Some(template) = answer.nodes().next().and_then(|object| review.template_in(&kind, object)) else {
        if !answer.complete {
            findings.skip("what is scaled is not known");
        }
        return;
    };
    for measure in measured {
        let Some(lack) = Lack::of(review, &template, &measure) else { continue };
        let at = measure.place(review, scaler);
        let message = format!("{} of {} {name}: {HARM}", lack.message(&measure), short(&kind));
        let severity = lack.severity(review, findings);
        findings.report(severity, &at, message, lack.help(&measure)).related(format!("{}/{name}", short(&kind)));
    }
}

fn of_workload(review: &Review<'_>, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let mut is_known = true;
    let mut said: Vec<Utilization> = Vec::new();
    for scaler in AUTOSCALERS {
        let answer = review.scaled_by(scaler);
        is_known &= answer.complete || scaler != AUTOSCALERS[0];
        for object in answer.nodes() {
            for measure in utilizations(scaler, object) {
                // KEDA and what it makes say the same.
                let is_same =
                    |known: &Utilization| known.resource == measure.resource && known.container == measure.container;
                let Some(lack) = Lack::of(review, template, &measure).filter(|_| !said.iter().any(is_same)) else {
                    continue;
                };
                let at = match &lack {
                    Lack::Request { container, .. } => container.request_at(&measure.resource),
                    Lack::Container => template.spec().at("containers"),
                };
                let message =
                    format!("{}, which {} measures: {HARM}", lack.message(&measure), describe(scaler, object));
                let severity = lack.severity(review, findings);
                findings.report(severity, &at, message, lack.help(&measure));
                said.push(measure);
            }
        }
    }
    if said.is_empty() && !is_known {
        findings.skip("the autoscalers of the namespace are not all known");
    }
}

const HARM: &str = "it can't be computed, and the autoscaler does nothing";

/// What a share of a request lacks.
enum Lack<'a> {
    /// The first container that has none.
    Request { container: Container<'a> },
    /// The container itself.
    Container,
}

impl<'a> Lack<'a> {
    fn of(review: &Review<'_>, template: &PodTemplate<'a>, measure: &Utilization) -> Option<Self> {
        let mut running = template.containers().iter().filter(|container| container.class().runs_on());
        let lacks = |container: &Container<'_>| match container.request(review, &measure.resource) {
            Request::Missing => true,
            // What the Pod requests as a whole is no part of one container's.
            Request::FromPod => measure.container.is_some(),
            _ => false,
        };
        match &measure.container {
            Some(name) => match running.find(|container| container.name() == name) {
                Some(container) => lacks(container).then(|| Lack::Request { container: container.clone() }),
                None => Some(Lack::Container),
            },
            None => running
                .find(|container| lacks(container))
                .map(|container| Lack::Request { container: container.clone() }),
        }
    }

    fn message(&self, measure: &Utilization) -> String {
        match self {
            Lack::Request { container } => format!("{} requests no {}", container.describe(), measure.resource),
            Lack::Container => {
                format!("there is no container {:?}", measure.container.as_deref().unwrap_or_default())
            }
        }
    }

    fn help(&self, measure: &Utilization) -> String {
        match self {
            Lack::Request { .. } => {
                format!("write resources.requests.{}: what the container needs in normal operation", measure.resource)
            }
            Lack::Container => "name a container of the workload in the metric".to_owned(),
        }
    }

    fn severity(&self, review: &Review<'_>, findings: &mut Findings) -> Severity {
        if matches!(self, Lack::Request { .. }) && limit_ranges_unknown(review) {
            findings.assume("no LimitRange fills in requests");
            return Severity::Warning;
        }
        Severity::Error
    }
}
