use std::collections::BTreeSet;

use plimsoll_sdk::autoscaling::{Utilization, describe, utilizations};
use plimsoll_sdk::disruption::{AUTOSCALERS, short, target};
use plimsoll_sdk::measured::Measured;
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
/// `info`: the annotation `dapr.io/enabled` or `linkerd.io/inject` has a container injected whose request no annotation
/// states, and all requests that are written are enough. Without a setting of the injection itself it requests nothing.
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
    let mut containers = Measured::of(&template);
    for measure in measured {
        let at = measure.place(review, scaler);
        let workload = format!("{} {name}", short(&kind));
        let Some(lack) = Lack::of(review, &mut containers, &measure) else {
            if let Some((_, message, help)) = injected(&template, &measure) {
                let message = format!("{message} of {workload}");
                findings.info(&at, message, help).related(format!("{}/{name}", short(&kind)));
            }
            continue;
        };
        let message = lack.message(&measure, Some(&workload), "the autoscaler");
        let severity = lack.severity(review, findings);
        findings.report(severity, &at, message, lack.help(&measure)).related(format!("{}/{name}", short(&kind)));
    }
}

fn of_workload(review: &Review<'_>, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let mut is_known = true;
    let mut said: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let mut containers = Measured::of(template);
    for scaler in AUTOSCALERS {
        let answer = review.scaled_by(scaler);
        is_known &= answer.complete || scaler != AUTOSCALERS[0];
        for object in answer.nodes() {
            for measure in utilizations(scaler, object) {
                let Some(lack) = Lack::of(review, &mut containers, &measure) else {
                    let found = injected(template, &measure);
                    let found = found.filter(|_| said.insert((measure.resource.clone(), measure.container.clone())));
                    if let Some((at, message, help)) = found {
                        findings.info(&at, format!("{message}, which {} measures", describe(scaler, object)), help);
                    }
                    continue;
                };
                // KEDA and what it makes say the same.
                if !said.insert((measure.resource.clone(), measure.container.clone())) {
                    continue;
                }
                let at = match &lack {
                    Lack::Request { container, .. } => container.request_at(&measure.resource),
                    Lack::Container => template.spec().at("containers"),
                };
                let message = lack.message(&measure, None, &describe(scaler, object));
                let severity = lack.severity(review, findings);
                findings.report(severity, &at, message, lack.help(&measure));
            }
        }
    }
    if said.is_empty() && !is_known {
        findings.skip("the autoscalers of the namespace are not all known");
    }
}

/// What asks for the injection of a container, its value, that container, and the annotations for its requests.
const INJECTIONS: [(&str, &str, &str, [&str; 2]); 2] = [
    ("dapr.io/enabled", "true", "daprd", ["dapr.io/sidecar-cpu-request", "dapr.io/sidecar-memory-request"]),
    (
        "linkerd.io/inject",
        "enabled",
        "linkerd-proxy",
        ["config.linkerd.io/proxy-cpu-request", "config.linkerd.io/proxy-memory-request"],
    ),
];

/// A container that another webhook adds without the request that a metric of the whole Pod needs, unless its own
/// configuration states one: where that is asked for, a message, and a help.
fn injected<'a>(template: &PodTemplate<'a>, measure: &Utilization) -> Option<(Cursor<'a>, String, String)> {
    let annotations = template.root().at("metadata/annotations");
    let index = ["cpu", "memory"].iter().position(|name| *name == measure.resource && measure.container.is_none())?;
    INJECTIONS.iter().find_map(|(key, value, container, requests)| {
        let (at, request) = (annotations.key(key), *requests.get(index)?);
        (at.as_str() == Some(*value) && !annotations.key(request).exists()).then(|| {
            let resource = &measure.resource;
            let message = format!("container {container:?}, which {key} injects, may request no {resource}");
            (at, message, format!("write the annotation {request} in the pod template"))
        })
    })
}

/// What a share of a request lacks.
enum Lack<'t, 'a> {
    /// The first container that has none.
    Request { container: &'t Container<'a> },
    /// The container itself.
    Container,
}

impl<'t, 'a> Lack<'t, 'a> {
    fn of(review: &Review<'_>, containers: &mut Measured<'t, 'a>, measure: &Utilization) -> Option<Self> {
        let Some(name) = &measure.container else {
            let first = containers.first_lacking(review, &measure.resource);
            return first.map(|container| Lack::Request { container });
        };
        let Some(container) = containers.container(name) else { return Some(Lack::Container) };
        // What the Pod requests as a whole is no part of one container's.
        let request = container.request(review, &measure.resource);
        let is_zero = request.quantity().is_some_and(Quantity::is_zero);
        let is_none = is_zero || matches!(request, Request::Missing | Request::FromPod);
        is_none.then_some(Lack::Request { container })
    }

    /// `workload`: where the message stands at another object.
    fn message(&self, measure: &Utilization, workload: Option<&str>, autoscaler: &str) -> String {
        let resource = &measure.resource;
        let lack = match (self, workload) {
            (Lack::Request { container }, None) => format!("{} requests no {resource}", container.describe()),
            (Lack::Request { container }, Some(workload)) => {
                format!("{} of {workload} requests no {resource}", container.describe())
            }
            (Lack::Container, workload) => {
                let name = measure.container.as_deref().unwrap_or_default();
                format!("{} has no container {name:?}", workload.unwrap_or("the pod template"))
            }
        };
        format!("{lack}: {autoscaler} can't compute the {resource} utilization, and never scales")
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
