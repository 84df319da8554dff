//! Objects that come last: a Service, an autoscaler or a claim after its workload, or a workload after its
//! PodDisruptionBudget.
//!
//! In the cluster, any object of a set may come last. A policy that judges one object by another one calls
//! [`workloads`] or [`budgets`] first. If the other object is reviewed, the policy judges the objects that depend on
//! it, once with it and once without it. Only the problems that it causes are reported, at the reviewed object.

use std::collections::BTreeMap;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::cursor::Cursor;
use crate::disruption::{self};
use crate::findings::Findings;
use crate::guest::RawFinding;
use crate::kind::{Autoscaler, Kind, OwnedKind, long_running};
use crate::owners::owned;
use crate::review::{Review, Seen};
use crate::value::Value;

/// Maximum number of workloads that are judged again because of an object that comes last. Every policy judges each
/// workload twice, and asks the host again each time.
const MAX_WORKLOADS: usize = 16;

/// Maximum size in bytes of these workloads, without the first one.
const MAX_READ: usize = 128 << 10;

/// Maximum of the ports of a Service, multiplied by the number of workloads that are judged by it. One workload is
/// always judged.
const MAX_PORTS: usize = 1 << 13;

/// The objects that depend on the reviewed object.
#[derive(Debug, Default)]
pub(crate) struct Concerned {
    /// The first ones by name.
    subjects: Vec<Subject>,
    /// Number of further objects.
    more: usize,
    /// If the reviewed object is a Service: an answer with this Service, and an empty answer.
    services: Option<[Rc<Answer>; 2]>,
}

/// Another object, in an answer of the host.
#[derive(Debug)]
struct Subject {
    /// `group/Kind`
    kind: OwnedKind,
    answer: Rc<Answer>,
    index: usize,
}

impl Subject {
    fn document(&self) -> &[u8] {
        self.answer.documents.get(self.index).map_or(&[], Vec::as_slice)
    }
}

/// If the reviewed object is a Service, an autoscaler or a claim, judges each workload of these kinds that depends on
/// it, and returns true. An empty list of kinds means every long-running workload.
pub fn workloads(
    review: &Review<'_>,
    findings: &mut Findings,
    kinds: &[Kind<'_>],
    judge: impl Fn(&Review<'_>, &mut Findings),
) -> bool {
    let Some(concerned) = review.concerned(0, || concerned_workloads(review)) else { return false };
    each(review, concerned, kinds, findings, judge);
    true
}

/// If the reviewed object is no PodDisruptionBudget, judges each budget of the workload that it is or scales, and
/// returns true.
pub fn budgets(review: &Review<'_>, findings: &mut Findings, judge: impl Fn(&Review<'_>, &mut Findings)) -> bool {
    let Some(concerned) = review.concerned(1, || concerned_budgets(review)) else { return false };
    each(review, concerned, &[Kind::POD_DISRUPTION_BUDGET], findings, judge);
    true
}

fn each(
    review: &Review<'_>,
    concerned: &Concerned,
    kinds: &[Kind<'_>],
    findings: &mut Findings,
    judge: impl Fn(&Review<'_>, &mut Findings),
) {
    let own = review.own_kind();
    let (with, without) = match &concerned.services {
        Some([own, none]) => (Some(own), Some(none)),
        None => (None, None),
    };
    let with = Seen { services: with, without: None };
    let without = Seen { services: without, without: Some((own.get(), review.name())) };
    for subject in &concerned.subjects {
        let Ok(object) = Node::root(subject.document()) else { continue };
        if !kinds.is_empty() && !kinds.contains(&subject.kind.get()) {
            continue;
        }
        let mut found = Findings::default();
        judge(&review.other(subject.kind.get(), object, with), &mut found);
        if found.has_findings() {
            let mut before = Findings::default();
            judge(&review.other(subject.kind.get(), object, without), &mut before);
            report(review, (subject.kind.get(), disruption::name(object)), found, &before, findings);
        }
    }
    // In files, each workload is judged by itself.
    if concerned.more > 0 && !review.is_from_file() {
        findings.assume(&format!("{} more workloads, which are not checked, have no finding", concerned.more));
    }
}

/// Reports the worst finding of the other object that does not exist without the reviewed object.
fn report(
    review: &Review<'_>,
    (kind, name): (Kind<'_>, &str),
    found: Findings,
    before: &Findings,
    findings: &mut Findings,
) {
    let (found, assumptions) = found.into_parts();
    let mut known: BTreeMap<_, u8> = BTreeMap::new();
    for old in before.raw() {
        let worst = known.entry((old.at.pointer.as_str(), old.at.missing.as_str())).or_default();
        *worst = rank(old).max(*worst);
    }
    let was = |new: &RawFinding| {
        known.get(&(new.at.pointer.as_str(), new.at.missing.as_str())).is_some_and(|old| *old >= rank(new))
    };
    let mut new: Vec<RawFinding> = found.into_iter().filter(|finding| !was(finding)).collect();
    new.sort_by_key(|finding| std::cmp::Reverse(rank(finding)));
    let more = new.len().saturating_sub(1);
    let Some(worst) = new.into_iter().next() else { return };
    let (at, about) = places(review);
    let other = format!("{} {name}", kind.name());
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let message = format!("{other}: {}{more}", worst.message);
    let finding = findings.report(worst.severity, &at, message, format!("in {other}: {}", worst.help));
    for place in &about {
        finding.about(place);
    }
    finding.related(format!("{}/{name}", kind.name()));
    if worst.companion {
        finding.companion();
    }
    if worst.unsettled {
        finding.unsettled();
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

/// Place of a finding about another object, and the places of the reviewed object that it depends on.
fn places<'a>(review: &Review<'a>) -> (Cursor<'a>, Vec<Cursor<'a>>) {
    let spec: &[&'static str] = if review.is(Kind::SERVICE) {
        &["/spec/selector", "/spec/ports", "/spec/publishNotReadyAddresses", "/spec/type"]
    } else if review.is(Kind::PERSISTENT_VOLUME_CLAIM) {
        &["/spec/accessModes"]
    } else if review.is(Kind::HORIZONTAL_POD_AUTOSCALER) {
        &["/spec/scaleTargetRef", "/spec/minReplicas", "/spec/maxReplicas"]
    } else if review.is(Kind::SCALED_OBJECT) {
        &["/spec/scaleTargetRef", "/spec/minReplicaCount", "/spec/maxReplicaCount"]
    } else {
        let labels = review.template().map(|template| template.root().at("/metadata/labels"));
        let labels = labels.unwrap_or_else(|| review.at("/spec"));
        return (labels.clone(), vec![labels, review.at("/spec/replicas")]);
    };
    let about: Vec<Cursor<'a>> = spec.iter().map(|path| review.at(path)).collect();
    (review.at(spec.first().copied().unwrap_or("/spec")), about)
}

/// `None` if workloads never depend on the kind of the reviewed object, or if it is a subresource.
fn concerned_workloads(review: &Review<'_>) -> Option<Concerned> {
    let none = Some(Concerned::default());
    if !review.subresource().is_empty() {
        return None;
    }
    if review.is(Kind::SERVICE) {
        let (Some(own), Some(selector)) = (of_service(review), service_selector(review)) else { return none };
        let nothing = Answer { documents: Vec::new(), complete: true };
        let known: Vec<_> = long_running(review).collect();
        let mut answers = known.iter().copied().zip(review.selected_by_each(&known, &selector)).collect();
        disruption::add_referring(review, &mut answers);
        let ports = review.at("/spec/ports").node().map_or(0, Node::len).max(1);
        let concerned = Concerned::of(review, answers, (MAX_PORTS / ports).clamp(1, MAX_WORKLOADS));
        return Some(Concerned { services: Some([Rc::new(own), Rc::new(nothing)]), ..concerned });
    }
    if review.is(Kind::PERSISTENT_VOLUME_CLAIM) {
        let mut answers = long_running(review)
            .map(|kind| (kind, review.referring(kind, Kind::PERSISTENT_VOLUME_CLAIM, review.name())))
            .collect();
        disruption::add_referring(review, &mut answers);
        return Some(Concerned::of(review, answers, MAX_WORKLOADS));
    }
    if Autoscaler::of(review).is_some() {
        let target = review.object().node().and_then(|object| disruption::target(review, object));
        let Some((kind, name)) = target.filter(|(kind, _)| long_running(review).any(|known| *kind == known)) else {
            return none;
        };
        return Some(Concerned::of(review, vec![(kind.get(), review.resolve(kind.get(), &name))], 1));
    }
    None
}

/// `None` if the reviewed object is a budget itself.
fn concerned_budgets(review: &Review<'_>) -> Option<Concerned> {
    if review.is(Kind::POD_DISRUPTION_BUDGET) {
        return None;
    }
    let mut concerned = Concerned::default();
    let disruption::Change::Of(workload, _) = disruption::Change::of(review) else { return Some(concerned) };
    let budgets = workload.budgets(review);
    let documents = budgets.compared().map(Node::to_document).collect();
    let answer = Rc::new(Answer { documents, complete: budgets.complete });
    let subject = |index| Subject { kind: Kind::POD_DISRUPTION_BUDGET.into(), answer: Rc::clone(&answer), index };
    concerned.subjects.extend((0..answer.documents.len()).map(subject));
    Some(concerned)
}

impl Concerned {
    /// The first objects by name, at most `most`. An object that another one owns is judged with its owner.
    fn of(review: &Review<'_>, answers: Vec<(Kind<'_>, Rc<Answer>)>, most: usize) -> Self {
        let mut all = Vec::new();
        for (kind, answer) in &answers {
            for (index, document) in answer.documents.iter().enumerate() {
                let Ok(object) = Node::root(document) else { continue };
                match owned(review, *kind, object) {
                    Some(true) => {}
                    owned => all.push((disruption::name(object), *kind, answer, index, owned.is_some())),
                }
            }
        }
        all.sort_unstable_by_key(|(name, kind, ..)| (*name, *kind));
        let (mut concerned, mut read) = (Self::default(), 0_usize);
        for (_, kind, answer, index, is_known) in all {
            let subject = Subject { kind: kind.into(), answer: Rc::clone(answer), index };
            let count = concerned.subjects.len();
            let size = read.saturating_add(subject.document().len());
            if is_known && (count == 0 || count < most && size <= MAX_READ) {
                read = size;
                concerned.subjects.push(subject);
            } else {
                concerned.more += 1;
            }
        }
        concerned
    }
}

/// The selector of the reviewed Service as a label selector; `None` if it selects nothing.
fn service_selector(review: &Review<'_>) -> Option<Vec<u8>> {
    let selector = review.at("/spec/selector");
    let is_external = review.at("/spec/type").as_str() == Some("ExternalName");
    let labels = selector.node().filter(|labels| labels.len() > 0 && !is_external)?;
    Some(Value::object([("matchLabels", Value::copy(labels)?)]).to_document())
}

/// The reviewed Service, with only the fields that policies read, because every workload is judged by it.
fn of_service(review: &Review<'_>) -> Option<Answer> {
    let mut spec = Vec::new();
    for field in ["ports", "type", "publishNotReadyAddresses", "selector"] {
        if let Some(value) = review.at("/spec").key(field).node().and_then(Value::copy) {
            spec.push((field.to_owned(), value));
        }
    }
    let mut metadata = vec![("name".to_owned(), review.name().into())];
    let annotations = review.at("/metadata/annotations");
    let scrape = ["prometheus.io/port", "prometheus.io/scrape"].into_iter();
    let scrape = scrape.filter_map(|name| Some((name.to_owned(), Value::copy(annotations.key(name).node()?)?)));
    let scrape: Vec<_> = scrape.collect();
    if !scrape.is_empty() {
        metadata.push(("annotations".to_owned(), Value::Object(scrape)));
    }
    // Monitors select Services by their labels.
    if let Some(labels) = review.at("/metadata/labels").node().and_then(Value::copy) {
        metadata.push(("labels".to_owned(), labels));
    }
    let metadata = Value::Object(metadata);
    let service = Value::object([("metadata", metadata), ("spec", Value::Object(spec))]);
    Some(Answer { documents: vec![service.to_document()], complete: true })
}
