//! The reasons why an autoscaler can't compute a share of a request.

use plimsoll_sdk::autoscaling::Utilization;
use plimsoll_sdk::measured::Measured;
use plimsoll_sdk::prelude::*;
#[cfg(not(target_arch = "wasm32"))]
use plimsoll_sdk::reads::Read;
use plimsoll_sdk::resources::{Request, Resources as _, limit_ranges_unknown};
use plimsoll_sdk::workload::PodTemplate;

/// Further fields of workloads that the policy reads: annotations for injected containers and their requests.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const READS: &[Read] = &[Read::OfWorkloads(&[
    "{template}/metadata/annotations/config.linkerd.io~1proxy-cpu-request",
    "{template}/metadata/annotations/config.linkerd.io~1proxy-memory-request",
    "{template}/metadata/annotations/dapr.io~1enabled",
    "{template}/metadata/annotations/dapr.io~1sidecar-cpu-request",
    "{template}/metadata/annotations/dapr.io~1sidecar-memory-request",
    "{template}/metadata/annotations/linkerd.io~1inject",
])];

/// Consequence of a share that can't be computed.
pub(crate) struct Harm {
    severity: Severity,
    /// Behaviour of the autoscaler in this case.
    text: &'static str,
}

impl Harm {
    /// An autoscaler adds Pods by each metric that it can compute. While one metric can't be computed, it removes no
    /// Pod (`computeReplicasForMetrics`).
    pub(crate) fn of(has_others: bool) -> Self {
        match has_others {
            true => {
                let text = "adds Pods only by its other metrics, and removes none";
                Self { severity: Severity::Warning, text }
            }
            false => {
                let text = "never scales";
                Self { severity: Severity::Error, text }
            }
        }
    }
}

/// The containers that an autoscaler measures, and the objects that set their requests.
pub(crate) struct Containers<'t, 'a> {
    measured: Measured<'t, 'a>,
    /// Whether no unknown VerticalPodAutoscaler can exist.
    is_known: bool,
}

impl<'t, 'a> Containers<'t, 'a> {
    pub(crate) fn of(review: &Review<'_>, kind: Kind<'_>, name: &str, template: &'t PodTemplate<'a>) -> Self {
        let verticals = review.referring(Kind::VERTICAL_POD_AUTOSCALER, kind, name);
        Self { is_known: verticals.complete, measured: Measured::of(template).filled_by(verticals) }
    }

    /// Each measure, with the reason why it can't be computed, if there is one.
    pub(crate) fn judge(
        &mut self,
        review: &Review<'_>,
        measures: Vec<Utilization>,
    ) -> Vec<(Utilization, Option<Lack<'t, 'a>>)> {
        let lack = |measure| (Lack::of(review, &mut self.measured, &measure), measure);
        measures.into_iter().map(lack).map(|(lack, measure)| (measure, lack)).collect()
    }
}

/// Annotation that makes another webhook inject a container, its value, the container, and the annotations for the
/// requests of this container.
const INJECTIONS: [(&str, &str, &str, [&str; 2]); 2] = [
    ("dapr.io/enabled", "true", "daprd", ["dapr.io/sidecar-cpu-request", "dapr.io/sidecar-memory-request"]),
    (
        "linkerd.io/inject",
        "enabled",
        "linkerd-proxy",
        ["config.linkerd.io/proxy-cpu-request", "config.linkerd.io/proxy-memory-request"],
    ),
];

/// Finds a container that another webhook injects, if no annotation sets the request that a metric of the whole Pod
/// needs. Returns the place of the annotation, a message, and a help. The settings of the injector may still set a
/// request.
pub(crate) fn injected<'a>(template: &PodTemplate<'a>, measure: &Utilization) -> Option<(Cursor<'a>, String, String)> {
    let annotations = template.root().at("/metadata/annotations");
    let index = ["cpu", "memory"].iter().position(|name| *name == measure.resource && measure.container.is_none())?;
    INJECTIONS.iter().find_map(|(key, value, container, requests)| {
        let (at, request) = (annotations.key(key), *requests.get(index)?);
        (at.as_str() == Some(*value) && !annotations.key(request).exists()).then(|| {
            let resource = &measure.resource;
            let message = format!("container {container:?}, which {key} injects, may have no {resource} request");
            (at, message, format!("add the annotation {request} to the pod template"))
        })
    })
}

/// The missing part of a share.
pub(crate) enum Lack<'t, 'a> {
    /// The first container without a request.
    Request { container: &'t Container<'a> },
    /// The container that the metric names does not exist.
    Container,
}

impl<'t, 'a> Lack<'t, 'a> {
    pub(crate) fn of(review: &Review<'_>, containers: &mut Measured<'t, 'a>, measure: &Utilization) -> Option<Self> {
        let Some(name) = &measure.container else {
            let first = containers.first_lacking(review, &measure.resource);
            return first.map(|container| Lack::Request { container });
        };
        let Some(container) = containers.container(name) else { return Some(Lack::Container) };
        // A request of the Pod as a whole does not count for a single container.
        let request = container.request(review, &measure.resource);
        let is_zero = request.quantity().is_some_and(Quantity::is_zero);
        let is_none = is_zero || matches!(request, Request::Missing | Request::FromPod);
        let is_none = is_none && !containers.is_filled(container, &measure.resource);
        is_none.then_some(Lack::Request { container })
    }

    /// Describes it as in `container "app" has no cpu request`. `workload` names the workload if it is another object.
    pub(crate) fn describe(&self, measure: &Utilization, workload: Option<&str>) -> String {
        let resource = &measure.resource;
        match (self, workload) {
            (Lack::Request { container }, None) => format!("{} has no {resource} request", container.describe()),
            (Lack::Request { container }, Some(workload)) => {
                format!("{} of {workload} has no {resource} request", container.describe())
            }
            (Lack::Container, workload) => {
                let name = measure.container.as_deref().unwrap_or_default();
                format!("{} has no container {name:?}", workload.unwrap_or("the pod template"))
            }
        }
    }

    /// The description, with the consequence for the autoscaler.
    pub(crate) fn message(
        &self,
        measure: &Utilization,
        workload: Option<&str>,
        autoscaler: &str,
        harm: &Harm,
    ) -> String {
        let (lack, resource) = (self.describe(measure, workload), &measure.resource);
        format!("{lack}: {autoscaler} can't compute the {resource} utilization, and {}", harm.text)
    }

    pub(crate) fn help(&self, measure: &Utilization) -> String {
        match self {
            Lack::Request { .. } => {
                format!("set resources.requests.{} to what the container needs in normal operation", measure.resource)
            }
            Lack::Container => "in the metric, write the name of a container of the workload".to_owned(),
        }
    }

    pub(crate) fn severity(
        &self,
        review: &Review<'_>,
        containers: &Containers<'_, '_>,
        harm: &Harm,
        findings: &mut Findings,
    ) -> Severity {
        if matches!(self, Lack::Container) {
            return harm.severity;
        }
        let ranges_unknown = limit_ranges_unknown(review);
        if ranges_unknown {
            findings.assume("no LimitRange sets default requests");
        }
        if !containers.is_known {
            findings.assume("no VerticalPodAutoscaler sets requests");
        }
        if ranges_unknown || !containers.is_known { Severity::Warning } else { harm.severity }
    }
}
