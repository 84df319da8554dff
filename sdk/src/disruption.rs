//! Evictions: PodDisruptionBudgets, the workloads whose Pods they select, and the autoscalers of these workloads.
//!
//! The rules follow Kubernetes 1.36, `pkg/controller/disruption` and `pkg/registry/core/pod/storage/eviction.go`. A
//! policy that uses this module needs [`Kind::POD_DISRUPTION_BUDGET`], both autoscalers and the kinds of workloads in
//! `requires` or `refines`.

use std::rc::Rc;

use plimsoll_flat::Node;

use crate::autoscaling::Scalers;
use crate::budgets::Budgets;
use crate::bundle::Answer;
use crate::cursor::Cursor;
pub use crate::floors::Floor;
use crate::floors::floor;
use crate::int_or_percent::{IntOrPercent, pods_at};
use crate::keda::{PAUSED_REPLICAS, Paused};
use crate::kind::{Autoscaler, Kind, OwnedKind, SCALABLE};
use crate::owners::is_owned;
use crate::references::{REFERRED, is_handed_over, workload_ref};
use crate::review::Review;
use crate::rounding::Budget;
use crate::selector;
use crate::value::Value;
use crate::workload::PodTemplate;

/// Number of Pods that no namespace exceeds: Kubernetes supports clusters of 150,000 Pods
/// (<https://kubernetes.io/docs/setup/best-practices/cluster-large/>).
const MOST_PODS: i64 = 150_000;

/// Label of a PodDisruptionBudget that `plimsoll serve --write-budgets` wrote because there was no other one.
pub const STAND_IN: &str = "plimsoll.dev/stand-in";

/// Kinds that have Pods but no scale.
const UNSCALABLE: [Kind<'static>; 2] = [Kind::DAEMON_SET, Kind::JOB];

/// Name and requirement of a PodDisruptionBudget.
#[derive(Clone, Debug)]
pub struct PodBudget {
    /// Name of the budget.
    pub name: String,
    /// `None` if it has neither field: the controller then expects no Pods and allows no eviction.
    pub budget: Option<Budget>,
}

impl PodBudget {
    /// Reads a budget. `None` if the API server rejects it: both fields, a value that is no count, or more than 100%.
    #[must_use]
    pub fn read(object: Node<'_>) -> Option<Self> {
        let field = |pointer: &str| object.at(pointer).filter(|node| !node.is_null());
        let count = |node: Node<'_>| {
            IntOrPercent::from_node(node)
                .filter(|count| !matches!(count, IntOrPercent::Int(..0) | IntOrPercent::Percent(101..)))
        };
        let budget = match (field("/spec/minAvailable"), field("/spec/maxUnavailable")) {
            (None, None) => None,
            (Some(node), None) => Some(Budget::MinAvailable(count(node)?)),
            (None, Some(node)) => Some(Budget::MaxUnavailable(count(node)?)),
            (Some(_), Some(_)) => return None,
        };
        Some(Self { name: name(object).to_owned(), budget })
    }

    /// Whether it allows no eviction for any number of Pods.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.budget.is_none_or(|budget| budget.fewest_evictable().is_none_or(|fewest| fewest > MOST_PODS))
    }

    /// Whether the controller needs the scale of the Pods' owners. Only a number in `minAvailable` needs none.
    fn needs_scale(&self) -> bool {
        !matches!(self.budget, None | Some(Budget::MinAvailable(IntOrPercent::Int(_))))
    }

    /// Why no Pod of these workloads can ever be evicted while all are healthy. `None` if an eviction is allowed, or if
    /// there are no Pods. Also `None` for a number in `minAvailable` if a workload has no scale, because the number of
    /// its Pods is not known.
    #[must_use]
    pub fn blocks(&self, workloads: &[Workload]) -> Option<Blocked> {
        let pods = workloads.iter().map(Workload::pods).try_fold(0_i64, |sum, pods| Some(sum.saturating_add(pods?)));
        match (self.budget, pods) {
            _ if workloads.is_empty() || pods == Some(0) => None,
            (None, _) => Some(Blocked::NothingAsked),
            (Some(_), None) if self.needs_scale() => {
                let unscalable = workloads.iter().find(|workload| workload.replicas.is_none())?;
                Some(Blocked::NoScale(unscalable.describe()))
            }
            (Some(budget), Some(pods)) if budget.allowed(pods) == 0 => Some(Blocked::All { budget, pods }),
            _ => None,
        }
    }
}

/// Why a budget allows no eviction.
#[derive(Clone, Debug, PartialEq)]
pub enum Blocked {
    /// It has neither `minAvailable` nor `maxUnavailable`.
    NothingAsked,
    /// This workload has no scale, so the controller can't compute the budget and allows no eviction.
    NoScale(String),
    /// It allows no eviction for any number of Pods, and the workloads that it selects are not known.
    Closed(Option<Budget>),
    /// No controller made the Pod, and only a number in `minAvailable` counts such Pods.
    NoController,
    /// The budget selects no more Pods than must stay.
    Narrow {
        /// The budget's requirement.
        budget: Budget,
        /// Number of Pods that the controller expects, if the number of kept Pods depends on it.
        all: Option<i64>,
        /// Number of Pods that must stay.
        kept: i64,
        /// Part of the message that says which Pods the budget selects, and by which labels.
        how: String,
    },
    /// All of these Pods must stay.
    All {
        /// The budget's requirement.
        budget: Budget,
        /// Number of Pods: the minimum of the autoscaler, if there is one.
        pods: i64,
    },
}

/// A workload whose Pods a budget selects.
#[derive(Clone, Debug)]
pub struct Workload {
    /// `group/Kind`.
    pub kind: OwnedKind,
    /// Its name.
    pub name: String,
    /// `replicas`: 1 if unset, `None` if the kind has no scale.
    pub replicas: Option<i64>,
    /// The minimum of its autoscaler, if one is known.
    pub floor: Option<Floor>,
    /// Whether all autoscalers that may scale it are known.
    pub autoscalers_known: bool,
    source: Source,
    /// The object that has its template, and the `group/Kind` of that object, if it is another object (`workloadRef`).
    holder: Option<(OwnedKind, Rc<Answer>)>,
}

/// Where the object of a workload comes from.
#[derive(Clone, Debug)]
enum Source {
    /// It is the reviewed object.
    Reviewed,
    /// The host answered with it.
    Answered(Rc<Answer>, usize),
}

impl Source {
    fn object<'s>(&'s self, review: &'s Review<'_>) -> Option<Node<'s>> {
        match self {
            Source::Reviewed => review.object().node(),
            Source::Answered(answer, index) => Node::root(answer.documents.get(*index)?).ok(),
        }
    }
}

impl Workload {
    /// Minimum number of its Pods: the minimum of its autoscaler, else `replicas`. A budget that allows an eviction at
    /// this number also allows one at any greater number.
    #[must_use]
    pub fn pods(&self) -> Option<i64> {
        let replicas = self.replicas?;
        Some(self.floor.as_ref().map_or(replicas, |floor| floor.pods).max(0))
    }

    /// `Deployment web`
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }

    /// The object itself, as far as policies may see it.
    #[must_use]
    pub fn object<'s>(&'s self, review: &'s Review<'_>) -> Option<Node<'s>> {
        self.source.object(review)
    }

    /// The template of its Pods: its own, or that of the workload that it refers to.
    #[must_use]
    pub fn template<'s>(&'s self, review: &'s Review<'_>) -> Option<PodTemplate<'s>> {
        self.template_root(review).map(PodTemplate::new)
    }

    fn template_root<'s>(&'s self, review: &'s Review<'_>) -> Option<Cursor<'s>> {
        match &self.holder {
            Some((kind, answer)) => review.template_root_in(kind.get(), answer.nodes().next()?),
            None => review.template_root_in(self.kind.get(), self.object(review)?),
        }
    }

    fn labels<'s>(&'s self, review: &'s Review<'_>) -> Option<Node<'s>> {
        self.template_root(review)?.at("/metadata/labels").node()
    }

    /// Whether it takes its template from this other workload, so that no selector can distinguish their Pods.
    #[must_use]
    pub fn takes_template_of(&self, other: &Workload) -> bool {
        let is_other = |object: Node<'_>| name(object) == other.name;
        self.holder.as_ref().is_some_and(|(kind, answer)| *kind == other.kind && answer.nodes().any(is_other))
    }

    /// The budgets that select its Pods.
    #[must_use]
    pub fn budgets(&self, review: &Review<'_>) -> Budgets {
        let none = Value::object([]).to_document();
        let Some(labels) = self.labels(review).or_else(|| Node::root(&none).ok()) else { return Budgets::default() };
        let answer = match is_reviewed(review, self.kind.get(), &self.name) {
            true => Rc::clone(review.disruption_budgets()),
            false => review.selecting(Kind::POD_DISRUPTION_BUDGET, labels),
        };
        Budgets::of(review, labels, &answer)
    }

    fn read(review: &Review<'_>, kind: Kind<'_>, source: Source, scalers: &Scalers) -> Option<Self> {
        let object = source.object(review)?;
        // The scale of a Deployment counts, not those of its ReplicaSets.
        if kind == Kind::REPLICA_SET && is_owned(review, kind, object) {
            return None;
        }
        let holder = workload_ref(kind, object).and_then(|(kind, name)| Some((review.holder(kind.get(), name)?, kind)));
        // If a kind has several templates, only the host knows that one of them has the labels.
        let is_further = || review.further_workloads().any(|(known, _)| known == kind);
        let has_template = match &holder {
            Some((answer, kind)) => {
                answer.nodes().next().is_some_and(|object| review.template_root_in(kind.get(), object).is_some())
            }
            None => review.template_root_in(kind, object).is_some() || is_further(),
        };
        if !has_template {
            return None;
        }
        let holder = holder.map(|(answer, kind)| (kind, answer));
        let name = match source {
            // With `generateName`, only the review may know the name.
            Source::Reviewed => review.name(),
            Source::Answered(..) => name(object),
        };
        let name = name.to_owned();
        let is_scaled = kinds(review).any(|(known, scaled)| scaled && known == kind);
        let replicas = match is_scaled {
            false => None,
            true if is_handed_over(review, kind, &name) => Some(0),
            true => Some(replicas(review, kind, &name, object)?),
        };
        let is_sized = object.at("/spec/replicas").is_some_and(|replicas| !replicas.is_null());
        let (floor, autoscalers_known) =
            if replicas.is_some() { floor(review, scalers, kind, &name, is_sized) } else { (None, true) };
        Some(Self { kind: kind.into(), name, replicas, floor, autoscalers_known, source, holder })
    }
}

/// The workloads in these answers that `is_wanted` accepts, in the order of the answers.
pub(crate) fn workloads_of(
    review: &Review<'_>,
    answers: &[(Kind<'_>, Rc<Answer>)],
    is_wanted: impl Fn(Kind<'_>, Node<'_>) -> bool,
) -> Vec<Workload> {
    let scalers = Scalers::of(review, answers.iter().map(|(_, answer)| answer.documents.len()).sum());
    let mut workloads = Vec::new();
    for (kind, answer) in answers {
        for (index, document) in answer.documents.iter().enumerate() {
            if Node::root(document).is_ok_and(|object| is_wanted(*kind, object)) {
                let source = Source::Answered(Rc::clone(answer), index);
                workloads.extend(Workload::read(review, *kind, source, &scalers));
            }
        }
    }
    workloads
}

/// The workloads whose Pods a selector selects.
#[derive(Clone, Debug, Default)]
pub struct Selected {
    /// By kind.
    pub workloads: Vec<Workload>,
    /// Whether there are no others.
    pub complete: bool,
}

impl Selected {
    /// The workloads that this selector of a budget selects. The reviewed object counts as the review has it. `None`
    /// selects nothing.
    pub fn by(review: &Review<'_>, selector: Option<Node<'_>>) -> Rc<Self> {
        match selector.filter(|selector| !selector.is_null()) {
            Some(selector) => review.selected(selector, || Self::read(review, selector)),
            None => Rc::new(Self { workloads: Vec::new(), complete: true }),
        }
    }

    /// The same selection without one workload.
    pub(crate) fn without(&self, kind: Kind<'_>, name: &str) -> Self {
        let others = self.workloads.iter().filter(|workload| workload.kind != kind || workload.name != name);
        Self { workloads: others.cloned().collect(), complete: self.complete }
    }

    fn read(review: &Review<'_>, selector: Node<'_>) -> Self {
        let mut answers: Vec<_> = kinds(review).map(|(kind, _)| (kind, review.selected_by(kind, selector))).collect();
        add_referring(review, &mut answers);
        let complete = answers.iter().all(|(_, answer)| answer.complete);
        let mut workloads = workloads_of(review, &answers, |kind, object| !is_reviewed(review, kind, name(object)));
        let matches = |workload: &Workload| selector::matches(selector, workload.labels(review)).is_yes();
        workloads.extend(reviewed(review).filter(matches));
        // The API server rejects these values of `replicas`, so the number of Pods is not known.
        let is_odd = |object: Node<'_>| pods_at(object, "/spec/replicas", 1).is_none();
        let complete = complete
            && !review.object().node().is_some_and(is_odd)
            && !answers.iter().any(|(_, answer)| answer.nodes().any(is_odd));
        Self { workloads, complete: complete && !review.leaves_out_holders() }
    }

    /// `Deployment web at the minimum of HorizontalPodAutoscaler web`; at most three of them.
    #[must_use]
    pub fn describe(&self) -> String {
        let one = |workload: &Workload| match &workload.floor {
            Some(floor) if floor.is_paused() => format!("{} paused by {}", workload.describe(), floor.by),
            Some(floor) => format!("{} at the minimum of {}", workload.describe(), floor.by),
            None => workload.describe(),
        };
        let mut text = self.workloads.iter().take(3).map(one).collect::<Vec<_>>().join(", ");
        if self.workloads.len() > 3 {
            text.push_str(&format!(" and {} more", self.workloads.len() - 3));
        }
        text
    }

    /// How a drain finishes although none of these Pods may be evicted; `None` if it never finishes.
    #[must_use]
    pub fn drain_ends(&self) -> Option<&'static str> {
        let are_all =
            |kind: Kind<'_>| !self.workloads.is_empty() && self.workloads.iter().all(|workload| workload.kind == kind);
        let is_left = |workload: &Workload| workload.floor.as_ref().is_some_and(|floor| floor.is_left);
        match () {
            () if !self.workloads.is_empty() && self.workloads.iter().all(is_left) => {
                Some("a drain ends when KEDA has scaled the Pods to zero")
            }
            () if are_all(Kind::DAEMON_SET) => {
                Some("kubectl drain --ignore-daemonsets leaves Pods of DaemonSets on the node and ends")
            }
            () if are_all(Kind::JOB) => Some("a drain ends when the Job has ended"),
            () => None,
        }
    }

    /// Whether each workload has a known autoscaler, or certainly none.
    #[must_use]
    pub fn is_scale_known(&self) -> bool {
        self.workloads.iter().all(|workload| workload.autoscalers_known || workload.floor.is_some())
    }
}

/// Effect on evictions of a review that is not about a budget: the workload that it changes, and the place of the
/// change.
#[derive(Debug)]
pub enum Change<'a> {
    /// This workload: the reviewed one, or the one that the reviewed object scales.
    Of(Box<Workload>, Cursor<'a>),
    /// The review scales a workload that does not exist.
    Nothing,
    /// The review scales a workload that is not known.
    Unknown,
    /// The review changes no workload, or one that another workload owns.
    Other,
}

impl<'a> Change<'a> {
    /// Reads the review of a workload, of its Scale, or of an autoscaler.
    pub fn of(review: &Review<'a>) -> Self {
        if let Some(own) = reviewed(review) {
            let at = match own.replicas {
                Some(_) => review.at("/spec/replicas"),
                // Kinds without a scale have their template at this path.
                None => review.at("/spec/template/metadata/labels"),
            };
            return Change::Of(Box::new(own), at);
        }
        let (kind, name, at) = if let Some(kind) = review.scaled() {
            (kind.into(), review.name().to_owned(), review.at("/spec/replicas"))
        } else if let Some((kind, name)) = review.object().node().and_then(|object| target(review, object)) {
            let at = match review.object().node().map(Paused::of) {
                _ if review.is(Kind::HORIZONTAL_POD_AUTOSCALER) => review.at(Autoscaler::Horizontal.min()),
                Some(Some(Paused::At(_))) => review.at("/metadata/annotations").key(PAUSED_REPLICAS),
                _ => review.at(Autoscaler::Keda.min()),
            };
            (kind, name, at)
        } else {
            return Change::Other;
        };
        if !kinds(review).any(|(known, scaled)| scaled && known == kind) {
            return Change::Other;
        }
        let answer = review.resolve(kind.get(), &name);
        match answer.nodes().next() {
            Some(_) => {
                match Workload::read(
                    review,
                    kind.get(),
                    Source::Answered(Rc::clone(&answer), 0),
                    &Scalers::of(review, 1),
                ) {
                    Some(workload) => Change::Of(Box::new(workload), at),
                    None if review.leaves_out_holders() => Change::Unknown,
                    None => Change::Other,
                }
            }
            None if answer.complete => Change::Nothing,
            None => Change::Unknown,
        }
    }
}

/// Adds the Argo Rollouts that take their template from one of these workloads.
pub(crate) fn add_referring(review: &Review<'_>, answers: &mut Vec<(Kind<'_>, Rc<Answer>)>) {
    let referred = answers.iter().filter(|(kind, _)| REFERRED.contains(kind));
    let named = referred.flat_map(|(kind, answer)| answer.nodes().map(|workload| (*kind, name(workload))));
    let referring: Vec<_> = named.map(|(kind, name)| (Kind::ROLLOUT, review.rollouts_of(kind, name))).collect();
    answers.extend(referring);
}

/// The kinds of workloads, with those of the configuration, and whether each has a scale.
pub(crate) fn kinds<'a>(review: &Review<'a>) -> impl Iterator<Item = (Kind<'a>, bool)> {
    let scalable = SCALABLE.into_iter().map(|kind| (kind, true));
    scalable.chain(UNSCALABLE.into_iter().map(|kind| (kind, false))).chain(review.further_workloads())
}

/// The reviewed object as a workload. `None` if it is no workload or a subresource, or if another workload owns it.
fn reviewed(review: &Review<'_>) -> Option<Workload> {
    review.workload(|| {
        let (kind, _) = kinds(review).find(|(kind, _)| review.is(*kind))?;
        let scalers = Scalers::of(review, 1);
        Workload::read(review, kind, Source::Reviewed, &scalers).filter(|_| review.subresource().is_empty())
    })
}

pub(crate) fn is_reviewed(review: &Review<'_>, kind: Kind<'_>, name: &str) -> bool {
    review.is(kind) && name == review.name()
}

/// `None` for a value that cannot be a number of Pods: the API server rejects it.
fn replicas(review: &Review<'_>, kind: Kind<'_>, name: &str, object: Node<'_>) -> Option<i64> {
    if review.name() == name && review.scaled().is_some_and(|scaled| scaled == kind) {
        // A missing `replicas` in a Scale means 0.
        return pods_at(review.object().node()?, "/spec/replicas", 0);
    }
    pods_at(object, "/spec/replicas", 1)
}

/// Target of the reviewed autoscaler: `group/Kind` and name. `None` if the object is no autoscaler or names no target.
pub fn target(review: &Review<'_>, object: Node<'_>) -> Option<(OwnedKind, String)> {
    target_of(Autoscaler::of(review)?, object)
}

/// Target of an autoscaler of this kind: `group/Kind` and name.
pub(crate) fn target_of(scaler: Autoscaler, object: Node<'_>) -> Option<(OwnedKind, String)> {
    let reference = object.at("/spec/scaleTargetRef")?;
    let text = |member: &str| reference.get(member).and_then(Node::as_str).filter(|text| !text.is_empty());
    // The default kind of KEDA is a Deployment.
    let (version, kind) = match (text("apiVersion"), text("kind")) {
        (None, Some(kind)) if scaler == Autoscaler::Keda => ("apps/v1", kind),
        (version, Some(kind)) => (version.unwrap_or_default(), kind),
        (_, None) if scaler == Autoscaler::Keda => ("apps/v1", "Deployment"),
        _ => return None,
    };
    Some((OwnedKind::new(version, kind), text("name")?.to_owned()))
}

/// The name of another object.
#[must_use]
pub fn name<'a>(object: Node<'a>) -> &'a str {
    object.at("/metadata/name").and_then(Node::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::{Blocked, Budget, Floor, Kind, PodBudget, Source, Workload};
    use crate::int_or_percent::IntOrPercent::{self, Int, Percent};

    fn workload(replicas: Option<i64>, floor: Option<i64>) -> Workload {
        let floor = floor.map(|pods| Floor {
            pods,
            by: "HorizontalPodAutoscaler a".to_owned(),
            field: "minReplicas",
            is_left: false,
        });
        Workload {
            kind: if replicas.is_some() { Kind::DEPLOYMENT } else { Kind::DAEMON_SET }.into(),
            name: "a".to_owned(),
            replicas,
            floor,
            autoscalers_known: true,
            source: Source::Reviewed,
            holder: None,
        }
    }

    fn budget(budget: Budget) -> PodBudget {
        PodBudget { name: "a".to_owned(), budget: Some(budget) }
    }

    fn read(spec: &str) -> Option<PodBudget> {
        let document =
            json::from_json(format!(r#"{{"metadata": {{"name": "a"}}, "spec": {spec}}}"#).as_bytes()).unwrap();
        PodBudget::read(Node::root(&document).unwrap())
    }

    #[test]
    fn reads_budgets_that_the_api_server_accepts() {
        for (spec, expected) in [
            (r#"{"minAvailable": 2}"#, Some(Some(Budget::MinAvailable(Int(2))))),
            (r#"{"minAvailable": null, "maxUnavailable": "0%"}"#, Some(Some(Budget::MaxUnavailable(Percent(0))))),
            ("{}", Some(None)),
            (r#"{"minAvailable": 2, "maxUnavailable": 1}"#, None),
            (r#"{"minAvailable": "2"}"#, None),
            (r#"{"minAvailable": -1}"#, None),
            (r#"{"maxUnavailable": "101%"}"#, None),
        ] {
            assert_eq!(read(spec).map(|read| read.budget), expected, "{spec}");
        }
    }

    #[test]
    fn a_budget_that_allows_no_eviction_for_any_number_is_closed() {
        for (spec, expected) in [
            (r#"{"minAvailable": "100%"}"#, true),
            (r#"{"maxUnavailable": 0}"#, true),
            ("{}", true),
            (r#"{"minAvailable": "99%"}"#, false),
            (r#"{"minAvailable": 1000}"#, false),
            (r#"{"maxUnavailable": "1%"}"#, false),
        ] {
            assert_eq!(read(spec).unwrap().is_closed(), expected, "{spec}");
        }
    }

    #[test]
    fn pods_without_a_scale() {
        let mixed = [workload(Some(3), None), workload(None, None)];
        let no_scale = Some(Blocked::NoScale("DaemonSet a".to_owned()));
        assert_eq!(budget(Budget::MaxUnavailable(Int(1))).blocks(&mixed), no_scale);
        assert_eq!(budget(Budget::MinAvailable(Percent(1))).blocks(&mixed), no_scale);
        assert_eq!(budget(Budget::MinAvailable(Int(9))).blocks(&mixed), None, "the number of Pods is not known");
        let unsaid = PodBudget { name: "a".to_owned(), budget: None };
        assert_eq!(unsaid.blocks(&mixed), Some(Blocked::NothingAsked));
        assert_eq!(unsaid.blocks(&[]), None);
    }

    /// Takes one Pod away and checks whether the rest is enough. Shares are compared as cross products, without
    /// rounding.
    fn one_may_go(budget: Budget, pods: i64) -> bool {
        let left = pods - 1;
        match budget {
            Budget::MinAvailable(Int(least)) => left >= least,
            Budget::MinAvailable(Percent(share)) => left * 100 >= share * pods,
            Budget::MaxUnavailable(Int(most)) => most >= 1,
            // The controller rounds even the smallest share up to a whole Pod.
            Budget::MaxUnavailable(Percent(share)) => share * pods > 0,
        }
    }

    #[test]
    fn blocks_agree_with_taking_one_away() {
        let counts = || (0..=9).map(Int).chain((0..=100).map(Percent));
        let sizes: Vec<(i64, Option<i64>)> =
            (0..=5).flat_map(|replicas| [None, Some(1), Some(3), Some(6)].map(|floor| (replicas, floor))).collect();
        let budgets: Vec<Budget> = counts()
            .flat_map(|count: IntOrPercent| [Budget::MinAvailable(count), Budget::MaxUnavailable(count)])
            .collect();
        for (first, second) in sizes.iter().flat_map(|first| sizes.iter().map(move |second| (first, second))) {
            let workloads = [workload(Some(first.0), first.1), workload(Some(second.0), second.1)];
            let pods: i64 = [first, second].iter().map(|(replicas, floor)| floor.unwrap_or(*replicas)).sum();
            for written in &budgets {
                let blocked = budget(*written).blocks(&workloads);
                let may_go = pods == 0 || one_may_go(*written, pods);
                assert_eq!(blocked.is_none(), may_go, "{written:?} of {workloads:?}");
                if let Some(Blocked::All { pods: counted, .. }) = blocked {
                    assert_eq!(counted, pods);
                    // The proposed number of Pods is enough, and one less is not.
                    if let Some(fewest) = written.fewest_evictable() {
                        assert!(one_may_go(*written, fewest) && (fewest == 1 || !one_may_go(*written, fewest - 1)));
                    }
                }
            }
            assert_eq!(budget(Budget::MaxUnavailable(Int(1))).blocks(&workloads), None, "never a deadlock");
        }
    }
}
