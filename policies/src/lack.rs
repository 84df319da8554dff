//! What a share of a request lacks, so that an autoscaler can't compute it.

use plimsoll_sdk::autoscaling::Utilization;
use plimsoll_sdk::measured::Measured;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::resources::{Request, Resources as _, limit_ranges_unknown};
use plimsoll_sdk::vertical::VERTICAL;
use plimsoll_sdk::workload::PodTemplate;

/// What follows where a share can't be computed.
pub(crate) struct Harm {
    severity: Severity,
    pub(crate) text: &'static str,
}

impl Harm {
    /// An autoscaler adds Pods by each metric that it can compute. It takes none away while it can't compute one
    /// (`computeReplicasForMetrics`).
    pub(crate) fn of(has_others: bool) -> Self {
        match has_others {
            true => {
                let text = "it can't be computed, so the autoscaler adds Pods by its other metrics and takes none away";
                Self { severity: Severity::Warning, text }
            }
            false => {
                let text = "it can't be computed, and the autoscaler does nothing";
                Self { severity: Severity::Error, text }
            }
        }
    }
}

/// The containers that an autoscaler measures, and what sets their requests.
pub(crate) struct Containers<'t, 'a> {
    measured: Measured<'t, 'a>,
    /// Whether no VerticalPodAutoscaler may exist that is not known.
    is_known: bool,
}

impl<'t, 'a> Containers<'t, 'a> {
    pub(crate) fn of(review: &Review<'_>, kind: &str, name: &str, template: &'t PodTemplate<'a>) -> Self {
        let verticals = review.referring(VERTICAL, kind, name);
        Self { is_known: verticals.complete, measured: Measured::of(template).filled_by(verticals) }
    }

    pub(crate) fn lacks(
        &mut self,
        review: &Review<'_>,
        measures: Vec<Utilization>,
    ) -> Vec<(Utilization, Lack<'t, 'a>)> {
        let lack = |measure| Some((Lack::of(review, &mut self.measured, &measure)?, measure));
        measures.into_iter().filter_map(lack).map(|(lack, measure)| (measure, lack)).collect()
    }
}

/// What a share of a request lacks.
pub(crate) enum Lack<'t, 'a> {
    /// The first container that has none.
    Request { container: &'t Container<'a> },
    /// The container itself.
    Container,
}

impl<'t, 'a> Lack<'t, 'a> {
    pub(crate) fn of(review: &Review<'_>, containers: &mut Measured<'t, 'a>, measure: &Utilization) -> Option<Self> {
        let Some(name) = &measure.container else {
            let first = containers.first_lacking(review, &measure.resource);
            return first.map(|container| Lack::Request { container });
        };
        let Some(container) = containers.container(name) else { return Some(Lack::Container) };
        // What the Pod requests as a whole is no part of one container's.
        let request = container.request(review, &measure.resource);
        let is_zero = request.quantity().is_some_and(Quantity::is_zero);
        let is_none = is_zero || matches!(request, Request::Missing | Request::FromPod);
        let is_none = is_none && !containers.is_filled(container, &measure.resource);
        is_none.then_some(Lack::Request { container })
    }

    pub(crate) fn message(&self, measure: &Utilization) -> String {
        match self {
            Lack::Request { container } => format!("{} requests no {}", container.describe(), measure.resource),
            Lack::Container => {
                format!("there is no container {:?}", measure.container.as_deref().unwrap_or_default())
            }
        }
    }

    pub(crate) fn help(&self, measure: &Utilization) -> String {
        match self {
            Lack::Request { .. } => {
                format!("write resources.requests.{}: what the container needs in normal operation", measure.resource)
            }
            Lack::Container => "name a container of the workload in the metric".to_owned(),
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
            findings.assume("no LimitRange fills in requests");
        }
        if !containers.is_known {
            findings.assume("no VerticalPodAutoscaler fills in requests");
        }
        if ranges_unknown || !containers.is_known { Severity::Warning } else { harm.severity }
    }
}
