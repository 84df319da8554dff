//! Pods of Jobs and CronJobs that an autoscaler counts by mistake.

use plimsoll_sdk::autoscaling::{Utilization, measuring, utilizations};
use plimsoll_sdk::disruption::{name, target};
use plimsoll_sdk::kind::LONG_RUNNING;
use plimsoll_sdk::measured::Measured;
use plimsoll_sdk::owners::is_owned;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::workload::PodTemplate;

use crate::autoscaling::lack::Lack;
use crate::rollout::overlapping_workload_selectors::{as_selector, is_selector};

/// Kinds whose Pods run to completion, and stay in the namespace for a while after that.
pub(crate) const JOBS: [Kind<'static>; 2] = [Kind::CRON_JOB, Kind::JOB];

/// Reports a scaled workload whose selector also selects Pods of Jobs.
pub(crate) fn of_workload(review: &Review<'_>, own: Kind<'_>, findings: &mut Findings) {
    let at = review.at("/spec/selector");
    let Some(selector) = as_selector(own, at.node()) else { return };
    for scaler in Autoscaler::ALL {
        let (answers, _) = measuring(review, scaler);
        for object in answers.iter().flat_map(|answer| answer.nodes()) {
            let counting = Counting { by: scaler.describe(object), measures: utilizations(scaler, object) };
            if let Some((job, harm)) = counting.first_of(review, &selector) {
                let message = format!("spec.selector also matches the Pods of {job}: {harm}");
                findings.warning(&at, message, HELP).related(job.replace(' ', "/"));
                return;
            }
        }
    }
}

/// Reports an autoscaler that also counts Pods of Jobs.
pub(crate) fn of_autoscaler(review: &Review<'_>, scaler: Autoscaler, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let Some((kind, of)) = target(review, object).filter(|(kind, _)| LONG_RUNNING.contains(&kind.get())) else {
        return;
    };
    let answer = review.resolve(kind.get(), &of);
    let selector = answer.nodes().next().and_then(|workload| as_selector(kind.get(), workload.at("/spec/selector")));
    let counting = Counting { by: "the autoscaler".to_owned(), measures: utilizations(scaler, object) };
    let Some((job, harm)) = selector.and_then(|selector| counting.first_of(review, &selector)) else { return };
    let message = format!("the selector of {} {of} also matches the Pods of {job}: {harm}", kind.name());
    findings.warning(&review.at("/spec/scaleTargetRef"), message, HELP).related(job.replace(' ', "/"));
}

/// Reports a Job whose Pods a scaled workload selects.
pub(crate) fn of_job(review: &Review<'_>, findings: &mut Findings) {
    let Some((template, labels)) = review.template().and_then(|template| Some((template, template.labels()?))) else {
        return;
    };
    for (kind, answer) in LONG_RUNNING.into_iter().zip(review.selecting_each(&LONG_RUNNING, labels)) {
        let is_meant = |other: &Node<'_>| is_selector(kind, *other, labels) && !is_owned(review, kind, *other);
        let selecting: Vec<_> = answer.nodes().filter(is_meant).collect();
        if selecting.len() > MAX_WORKLOADS {
            let more = selecting.len() - MAX_WORKLOADS;
            findings.assume(&format!(
                "no autoscaler scales {more} more workloads of kind {} that select its Pods",
                kind.name()
            ));
        }
        for workload in selecting.into_iter().take(MAX_WORKLOADS) {
            for scaler in Autoscaler::ALL {
                for object in review.referring(scaler.kind(), kind, name(workload)).nodes() {
                    let counting = Counting { by: scaler.describe(object), measures: utilizations(scaler, object) };
                    let Some(harm) = counting.harm(review, template) else { continue };
                    let message =
                        format!("the selector of {} {} also matches these Pods: {harm}", kind.name(), name(workload));
                    findings.warning(&template.root().at("/metadata/labels"), message, HELP);
                    return;
                }
            }
        }
    }
}

/// Maximum number of workloads of a kind whose autoscalers are looked up.
const MAX_WORKLOADS: usize = 4;

const HELP: &str = "give the Pods of the Job other labels, or add a label to the selector that these Pods do not have";

/// The measures of an autoscaler that covers all Pods of a selector.
struct Counting {
    by: String,
    measures: Vec<Utilization>,
}

impl Counting {
    /// The first Job whose Pods count, as a message names it, and the consequence.
    fn first_of(&self, review: &Review<'_>, selector: &[u8]) -> Option<(String, String)> {
        if self.measures.is_empty() {
            return None;
        }
        let answers = review.selected_by_each(&JOBS, selector);
        JOBS.into_iter().zip(&answers).find_map(|(kind, answer)| {
            let job = answer.nodes().find(|job| !is_owned(review, kind, *job))?;
            let harm = self.harm(review, &review.template_in(kind, job)?)?;
            Some((format!("{} {}", kind.name(), name(job)), harm))
        })
    }

    /// The controller adds up the requests of all Pods, completed ones included. It gives up at the first Pod without a
    /// request (`calculateRequests`). When the controller considers a scale-down, it assumes that a completed Pod uses
    /// what it requests.
    fn harm(&self, review: &Review<'_>, template: &PodTemplate<'_>) -> Option<String> {
        let mut containers = Measured::of(template);
        let by = &self.by;
        let lacking = self
            .measures
            .iter()
            .find_map(|measure| Some(Lack::of(review, &mut containers, measure)?.describe(measure, None)));
        (!self.measures.is_empty()).then(|| match lacking {
            Some(why) => {
                format!("{by} can't compute a share of requests while one exists, running or completed, because {why}")
            }
            None => format!("{by} counts these Pods, running or completed, and removes too few Pods"),
        })
    }
}
