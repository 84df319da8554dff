//! Objects that come last: a Service, an autoscaler or a claim after the workload that it makes wrong, or a workload after
//! its PodDisruptionBudget.
//!
//! In the cluster any object of a set may come last. A policy that judges one object by another one calls [`workloads`] or
//! [`budgets`] first: where the other one is reviewed, the policy judges what that bears on, once with it and once without
//! it, and only what it makes wrong is reported, at the reviewed object.

use plimsoll_flat::Node;

use crate::bundle::{Answer, Host};
use crate::cursor::Cursor;
use crate::disruption::{self, AUTOSCALERS, BUDGET, SCALABLE, short};
use crate::findings::Findings;
use crate::guest::{Knowledge, RawFinding, Subject};
use crate::owners::is_owned;
use crate::review::Review;
use crate::value::Value;
use crate::volumes::CLAIM;

/// The kind that sends requests to Pods.
pub const SERVICE: &str = "/Service";

/// Maximum number of budgets of one workload that are judged again: two are one too many, and another policy says so.
const MAX_BUDGETS: usize = 4;

/// Maximum number of ports of a Service, times the workloads that it selects, which a policy about ports compares.
const MAX_PAIRS: usize = 1 << 14;

/// What the reviewed object bears on.
#[derive(Debug, Default)]
pub(crate) struct Concerned {
    /// `group/Kind` and document.
    subjects: Vec<(String, Vec<u8>)>,
    /// The reviewed object, where it is a Service, and no Service at all.
    services: Option<[Answer; 2]>,
}

/// Where the reviewed object is a Service, an autoscaler or a claim, judges each workload of these kinds that it bears on,
/// and answers true. Without kinds: every workload that runs on.
pub fn workloads(
    review: &Review<'_>,
    findings: &mut Findings,
    kinds: &[&str],
    judge: impl Fn(&Review<'_>, &mut Findings),
) -> bool {
    let Some(concerned) = review.concerned(0, || concerned_workloads(review)) else { return false };
    each(review, concerned, kinds, findings, judge);
    true
}

/// Where the reviewed object is no PodDisruptionBudget, judges each budget of the workload that it is or scales, and answers
/// true.
pub fn budgets(review: &Review<'_>, findings: &mut Findings, judge: impl Fn(&Review<'_>, &mut Findings)) -> bool {
    let Some(concerned) = review.concerned(1, || concerned_budgets(review)) else { return false };
    each(review, concerned, &[BUDGET], findings, judge);
    true
}

/// A Service has too many ports, for the workloads that it selects, to compare each with each. Answers whether it is so.
pub fn has_too_many_ports(review: &Review<'_>, findings: &mut Findings) -> bool {
    let ports = review.at("spec/ports");
    let count = ports.node().map_or(0, Node::len);
    let workloads = review.concerned(0, || concerned_workloads(review)).map_or(0, |concerned| concerned.subjects.len());
    let has = review.is(SERVICE) && count.saturating_mul(workloads) > MAX_PAIRS;
    if has {
        let message = format!("{count} ports over {workloads} workloads are too many to judge");
        findings.error(&ports, message, "write fewer ports, or the selector of one workload");
    }
    has
}

fn each(
    review: &Review<'_>,
    concerned: &Concerned,
    kinds: &[&str],
    findings: &mut Findings,
    judge: impl Fn(&Review<'_>, &mut Findings),
) {
    let with = Seen { host: review.host(), without: None };
    let kind = [review.group(), "/", review.kind()].concat();
    let without = Seen { without: Some((&kind, review.name())), ..with };
    let [given, none] = match &concerned.services {
        Some([given, none]) => [Some(given), Some(none)],
        None => [None, None],
    };
    for (kind, document) in &concerned.subjects {
        let Ok(object) = Node::root(document) else { continue };
        if !kinds.is_empty() && !kinds.contains(&kind.as_str()) {
            continue;
        }
        let mut found = Findings::default();
        judge(&review.other(&with, kind, object, given), &mut found);
        if found.has_findings() {
            let mut before = Findings::default();
            judge(&review.other(&without, kind, object, none), &mut before);
            report(review, (kind, disruption::name(object)), found, &before, findings);
        }
    }
}

/// Reports what is found of the other object, and was not found without the reviewed one.
fn report(
    review: &Review<'_>,
    (kind, name): (&str, &str),
    found: Findings,
    before: &Findings,
    findings: &mut Findings,
) {
    let (found, assumptions) = found.into_parts();
    let was = |new: &RawFinding| {
        let is_there = |old: &RawFinding| old.at.pointer == new.at.pointer && old.at.missing == new.at.missing;
        before.raw().any(|old| is_there(old) && rank(old) >= rank(new))
    };
    let mut new: Vec<RawFinding> = found.into_iter().filter(|finding| !was(finding)).collect();
    new.sort_by_key(|finding| std::cmp::Reverse(rank(finding)));
    let more = new.len().saturating_sub(1);
    let Some(worst) = new.into_iter().next() else { return };
    let (at, about) = places(review);
    let other = format!("{} {name}", short(kind));
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let message = format!("{other}: {}{more}", worst.message);
    let finding = findings.report(worst.severity, &at, message, format!("in {other}: {}", worst.help));
    for place in &about {
        finding.about(place);
    }
    finding.related(format!("{}/{name}", short(kind)));
    if worst.companion {
        finding.companion();
    }
    if let Some(since) = &worst.since {
        finding.since(since);
    }
    assumptions.iter().for_each(|text| findings.assume(text));
}

fn rank(finding: &RawFinding) -> u8 {
    use crate::guest::Severity;
    match finding.severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }
}

/// Where a finding about another object stands, and what of the reviewed one it depends on.
fn places<'a>(review: &Review<'a>) -> (Cursor<'a>, Vec<Cursor<'a>>) {
    let spec: &[&'static str] = if review.is(SERVICE) {
        &["spec/selector", "spec/ports", "spec/publishNotReadyAddresses", "spec/type"]
    } else if review.is(CLAIM) {
        &["spec/accessModes"]
    } else if review.is(AUTOSCALERS[0]) {
        &["spec/scaleTargetRef", "spec/minReplicas", "spec/maxReplicas"]
    } else if review.is(AUTOSCALERS[1]) {
        &["spec/scaleTargetRef", "spec/minReplicaCount", "spec/maxReplicaCount"]
    } else {
        let labels = review.template().map(|template| template.root().at("metadata/labels"));
        let labels = labels.unwrap_or_else(|| review.at("spec"));
        return (labels.clone(), vec![labels, review.at("spec/replicas")]);
    };
    let about: Vec<Cursor<'a>> = spec.iter().map(|path| review.at(path)).collect();
    (review.at(spec.first().copied().unwrap_or("spec")), about)
}

/// None where the reviewed object is none of the kinds that bear on workloads.
fn concerned_workloads(review: &Review<'_>) -> Option<Concerned> {
    let mut concerned = Concerned::default();
    if !review.subresource().is_empty() {
        return None;
    }
    if review.is(SERVICE) {
        let answers = [of_service(review), Some(Answer { documents: Vec::new(), complete: true })];
        if let ([Some(own), Some(none)], Some(selector)) = (answers, service_selector(review)) {
            concerned.services = Some([own, none]);
            for (kind, answer) in
                kinds(review).zip(review.selected_by_each(&kinds(review).collect::<Vec<_>>(), &selector))
            {
                concerned.add(review, kind, answer);
            }
        }
    } else if review.is(CLAIM) {
        for kind in kinds(review) {
            concerned.add(review, kind, review.referring(kind, CLAIM, review.name()));
        }
    } else if AUTOSCALERS.iter().any(|scaler| review.is(scaler)) {
        if let Some((kind, name)) = review.object().node().and_then(|object| disruption::target(review, object)) {
            let is_known = kinds(review).any(|known| known == kind);
            if is_known {
                concerned.add(review, &kind, review.get(&kind, &name));
            }
        }
    } else {
        return None;
    }
    Some(concerned)
}

/// None where the reviewed object is a budget itself.
fn concerned_budgets(review: &Review<'_>) -> Option<Concerned> {
    if review.is(BUDGET) {
        return None;
    }
    let mut concerned = Concerned::default();
    let disruption::Change::Of(workload, _) = disruption::Change::of(review) else { return Some(concerned) };
    let budgets = workload.budgets(review);
    let documents = budgets.nodes().take(MAX_BUDGETS).map(Node::to_document);
    concerned.subjects.extend(documents.map(|document| (BUDGET.to_owned(), document)));
    Some(concerned)
}

impl Concerned {
    /// What another one made is judged with its owner.
    fn add(&mut self, review: &Review<'_>, kind: &str, answer: Answer) {
        for document in answer.documents {
            if Node::root(&document).is_ok_and(|object| !is_owned(review, kind, object)) {
                self.subjects.push((kind.to_owned(), document));
            }
        }
    }
}

fn kinds<'a>(review: &Review<'a>) -> impl Iterator<Item = &'a str> {
    let scalable = || SCALABLE.into_iter().chain(["apps/DaemonSet"]);
    scalable()
        .chain(review.further_workloads().map(|(kind, _)| kind).filter(move |kind| scalable().all(|of| of != *kind)))
}

/// The labels that the reviewed Service selects, as a label selector; none where it selects nothing.
fn service_selector(review: &Review<'_>) -> Option<Vec<u8>> {
    let selector = review.at("spec/selector");
    let is_external = review.at("spec/type").as_str() == Some("ExternalName");
    let labels = selector.node().filter(|labels| labels.len() > 0 && !is_external)?;
    Some(Value::object([("matchLabels", Value::copy(labels)?)]).to_document())
}

/// The reviewed Service with what policies read of one, and no more: it is judged by once for each workload.
fn of_service(review: &Review<'_>) -> Option<Answer> {
    let mut spec = Vec::new();
    for field in ["ports", "type", "publishNotReadyAddresses", "selector"] {
        if let Some(value) = review.at("spec").key(field).node().and_then(Value::copy) {
            spec.push((field.to_owned(), value));
        }
    }
    let metadata = Value::object([("name", review.name().into())]);
    let service = Value::object([("metadata", metadata), ("spec", Value::Object(spec))]);
    Some(Answer { documents: vec![service.to_document()], complete: true })
}

/// The other objects, as the reviewed one lets them be seen: with it, or without it.
struct Seen<'a> {
    host: &'a dyn Host,
    without: Option<(&'a str, &'a str)>,
}

impl Seen<'_> {
    fn leave_out(&self, kind: &str, mut answer: Answer) -> Answer {
        if let Some((_, own)) = self.without.filter(|(of, _)| *of == kind) {
            answer
                .documents
                .retain(|document| Node::root(document).is_ok_and(|object| disruption::name(object) != own));
        }
        answer
    }
}

impl Host for Seen<'_> {
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer {
        self.leave_out(kind, self.host.get(subject, kind, name))
    }
    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer {
        self.leave_out(kind, self.host.selecting(subject, kind, labels))
    }
    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer {
        self.leave_out(kind, self.host.selected_by(subject, kind, selector))
    }
    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        self.leave_out(kind, self.host.referring(subject, kind, ref_kind, ref_name))
    }
    fn listing(&self, subject: Subject, kind: &str) -> Answer {
        self.leave_out(kind, self.host.listing(subject, kind))
    }
    fn is_authored(&self, _: Subject, _: &str) -> Knowledge {
        // That is known of the reviewed object alone.
        Knowledge::Unknown
    }
    fn log(&self, message: &str) {
        self.host.log(message);
    }
}
