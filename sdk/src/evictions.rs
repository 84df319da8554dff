//! Budgets over Pods that no pod template describes: labels that controllers add to Pods, labels that a user added to a
//! running Pod, and Pods that no workload created.
//!
//! The rules follow Kubernetes 1.36, `pkg/controller/disruption`. Pods without a controller do not count as expected. A
//! budget that expects no Pods allows no eviction.

use std::collections::BTreeSet;

use plimsoll_flat::{Kind as Json, Node};

use crate::disruption::{Blocked, PodBudget, Selected, Workload, kinds, name, workloads_of};
use crate::int_or_percent::IntOrPercent;
use crate::kind::Kind;
use crate::owners::{controller, is_owned};
use crate::review::Review;
use crate::rounding::Budget;
use crate::selector;
use crate::value::Value;

/// Labels that only Pods have, the kinds whose Pods have them, and whether one value identifies a single Pod of a
/// workload.
const LABELS: [(&str, &[Kind<'static>], bool); 11] = [
    ("statefulset.kubernetes.io/pod-name", &[Kind::STATEFUL_SET], true),
    ("apps.kubernetes.io/pod-index", &[Kind::STATEFUL_SET], true),
    ("batch.kubernetes.io/job-completion-index", &[Kind::JOB], true),
    ("pod-template-hash", &[Kind::DEPLOYMENT], false),
    ("rollouts-pod-template-hash", &[Kind::ROLLOUT], false),
    ("controller-revision-hash", &[Kind::STATEFUL_SET, Kind::DAEMON_SET], false),
    ("pod-template-generation", &[Kind::DAEMON_SET], false),
    ("batch.kubernetes.io/job-name", &[Kind::JOB], false),
    ("job-name", &[Kind::JOB], false),
    ("batch.kubernetes.io/controller-uid", &[Kind::JOB], false),
    ("controller-uid", &[Kind::JOB], false),
];

/// Selection by labels that only Pods have.
#[derive(Debug)]
pub struct Pinned {
    /// The first of these labels.
    label: &'static str,
    /// Maximum number of Pods of each workload that the labels select; `None` if it may be all of them.
    each: Option<i64>,
    /// The workloads whose Pods may have the labels.
    workloads: Vec<Workload>,
    complete: bool,
}

impl Pinned {
    /// Reads a selector. `None` if it names no such label.
    #[must_use]
    pub fn read(review: &Review<'_>, selector: Node<'_>) -> Option<Self> {
        let demands = demands(selector)?;
        let first = demands.first()?;
        let each = demands.iter().filter(|demand| demand.is_single && !demand.values.is_empty());
        let each = each.map(|demand| i64::try_from(demand.values.len()).unwrap_or(i64::MAX)).min();
        let rest = rest(selector)?.to_document();
        let rest = Node::root(&rest).ok()?;
        let of = kinds(review).filter(|(kind, _)| demands.iter().all(|demand| demand.kinds.contains(kind)));
        let answers: Vec<_> = of.map(|(kind, _)| (kind, review.selected_by(kind, rest))).collect();
        let complete = answers.iter().all(|(_, answer)| answer.complete);
        let named: Vec<_> = answers.iter().map(|(kind, _)| (*kind, names(&demands, *kind))).collect();
        let workloads = workloads_of(review, &answers, |kind, object| {
            let names = named.iter().find(|(of, _)| *of == kind).and_then(|(_, names)| names.as_ref());
            names.is_none_or(|names| names.contains(name(object)))
        });
        Some(Self { label: first.label, each, workloads, complete })
    }

    /// Why a budget never allows the eviction of these Pods, and whether this applies to every workload that may own
    /// the Pods.
    #[must_use]
    pub fn blocks(&self, budget: &PodBudget) -> Option<(Blocked, bool)> {
        let sets: Vec<&[Workload]> = match self.each {
            Some(_) if self.workloads.is_empty() => Vec::new(),
            Some(_) => vec![&self.workloads],
            // A revision belongs to one workload.
            None => self.workloads.chunks(1).collect(),
        };
        let blocked: Vec<Blocked> = sets.iter().filter_map(|set| self.blocks_set(budget, set)).collect();
        let is_sure = blocked.len() == sets.len() && self.complete;
        blocked.into_iter().next().map(|first| (first, is_sure))
    }

    fn blocks_set(&self, budget: &PodBudget, set: &[Workload]) -> Option<Blocked> {
        let Some(each) = self.each else { return budget.blocks(set) };
        let all = set.iter().map(Workload::pods).try_fold(0_i64, |sum, pods| Some(sum.saturating_add(pods?)));
        let there = set.iter().map(|workload| workload.pods().map_or(each, |pods| pods.min(each)));
        let there = there.fold(0_i64, i64::saturating_add);
        let of = set.iter().take(3).map(Workload::describe).collect::<Vec<_>>().join(", ");
        let count = if there == 1 { "1 Pod".to_owned() } else { format!("{there} Pods") };
        let how = format!("the budget selects {count} of {of} by the label {}", self.label);
        let narrow = narrow(budget, all, there, how).map(|blocked| match blocked {
            Blocked::NoScale(_) => Blocked::NoScale(of.clone()),
            blocked => blocked,
        });
        narrow.or_else(|| (there > 0).then(|| budget.blocks(set)).flatten())
    }
}

/// Why the reviewed Pod can never be evicted under a budget that selects it, and whether that is certain. `None` if the
/// policy judges its workload instead.
#[must_use]
pub fn blocks_pod(review: &Review<'_>, budget: &PodBudget, selector: Node<'_>) -> Option<(Blocked, bool)> {
    let Some((kind, maker)) = review.object().node().and_then(controller) else {
        return blocks_bare(review, budget, selector);
    };
    let answer = review.resolve(kind.get(), maker);
    let is_owner = review.object().node().is_some_and(|pod| is_owned(review, Kind::POD, pod));
    let Some(owner) = answer.nodes().next().filter(|_| is_owner) else {
        if answer.complete {
            return blocks_bare(review, budget, selector);
        }
        let (blocked, _) = blocks_bare(review, budget, selector)?;
        let who = format!("{} {maker}", kind.name());
        return Some((if blocked == Blocked::NoController { Blocked::NoScale(who) } else { blocked }, false));
    };
    let labels = review.template_in(kind.get(), owner).and_then(|template| template.labels());
    if selector::matches(selector, labels).is_yes() {
        return None;
    }
    let is_scaled = kinds(review).any(|(known, is_scaled)| is_scaled && known == kind);
    let all = is_scaled.then(|| owner.at("/spec/replicas").and_then(Node::as_i64).unwrap_or(1));
    let who = format!("{} {maker}", kind.name());
    let how = format!("the budget selects this Pod of {who} by labels that the pod template does not have");
    let blocked = narrow(budget, all, 1, how)?;
    Some((if matches!(blocked, Blocked::NoScale(_)) { Blocked::NoScale(who) } else { blocked }, true))
}

/// The same as [`blocks_pod`] for a Pod that no workload created.
fn blocks_bare(review: &Review<'_>, budget: &PodBudget, selector: Node<'_>) -> Option<(Blocked, bool)> {
    let selected = Selected::by(review, Some(selector));
    let pods = selected.workloads.iter().map(Workload::pods).sum::<Option<i64>>()?;
    match budget.budget {
        Some(asked @ Budget::MinAvailable(IntOrPercent::Int(least))) => {
            let there = pods.saturating_add(1);
            let how = match pods {
                0 => "the budget selects only this one known Pod".to_owned(),
                _ => format!("the budget selects only {there} known Pods"),
            };
            // Pods are not watched, so there may be more Pods without a workload.
            (least >= there).then_some((Blocked::Narrow { budget: asked, all: None, kept: least, how }, false))
        }
        _ if pods > 0 => None,
        _ => Some((Blocked::NoController, selected.complete)),
    }
}

/// Why a budget allows no eviction of `there` Pods, if it expects all Pods of their controllers.
fn narrow(budget: &PodBudget, all: Option<i64>, there: i64, how: String) -> Option<Blocked> {
    let (asked, kept) = match (budget.budget, all) {
        (None, _) => return Some(Blocked::NothingAsked),
        (Some(asked @ Budget::MinAvailable(IntOrPercent::Int(least))), _) => (asked, least),
        (Some(_), None) => return Some(Blocked::NoScale(String::new())),
        (Some(asked), Some(all)) => (asked, asked.desired_healthy(all)),
    };
    let all = all.filter(|_| !matches!(asked, Budget::MinAvailable(IntOrPercent::Int(_))));
    (there > 0 && kept >= there).then_some(Blocked::Narrow { budget: asked, all, kept, how })
}

/// A label that only Pods have, and the values that the selector allows; no values mean any value.
struct Demand<'a> {
    label: &'static str,
    kinds: &'static [Kind<'static>],
    is_single: bool,
    values: Vec<&'a str>,
}

impl<'a> Demand<'a> {
    fn of(key: &str, values: Vec<&'a str>) -> Option<Self> {
        let (label, kinds, is_single) = LABELS.into_iter().find(|(label, ..)| *label == key)?;
        Some(Self { label, kinds, is_single, values })
    }

    /// Names of the workloads of this kind whose Pods may have such a value. Controllers derive the values from the
    /// names. `None` if any workload is possible.
    fn names(&self, kind: Kind<'_>) -> Option<BTreeSet<&'a str>> {
        let of_value = match (self.label, kind) {
            ("statefulset.kubernetes.io/pod-name", _) | ("controller-revision-hash", Kind::STATEFUL_SET) => {
                |value: &'a str| value.rsplit_once('-').map(|(of, _)| of)
            }
            ("batch.kubernetes.io/job-name" | "job-name", _) => |value: &'a str| Some(value),
            _ => return None,
        };
        (!self.values.is_empty()).then(|| self.values.iter().copied().filter_map(of_value).collect())
    }
}

/// Names of the workloads of this kind whose Pods may satisfy all these demands; `None` if any workload is possible.
fn names<'a>(demands: &[Demand<'a>], kind: Kind<'_>) -> Option<BTreeSet<&'a str>> {
    let each = demands.iter().filter_map(|demand| demand.names(kind));
    each.reduce(|mut all, next| {
        all.retain(|name| next.contains(name));
        all
    })
}

/// The demands of a selector on labels that only Pods have. `None` if it is no valid selector.
fn demands<'a>(selector: Node<'a>) -> Option<Vec<Demand<'a>>> {
    let mut demands = Vec::new();
    for (key, value) in selector.get("matchLabels").into_iter().flat_map(Node::members) {
        demands.extend(Demand::of(key, vec![value.as_str()?]));
    }
    for expression in selector.get("matchExpressions").into_iter().flat_map(Node::items) {
        let values = || expression.get("values").into_iter().flat_map(Node::items).filter_map(Node::as_str).collect();
        let demand = match expression.get("operator")?.as_str()? {
            "In" => Demand::of(expression.get("key")?.as_str()?, values()),
            "Exists" => Demand::of(expression.get("key")?.as_str()?, Vec::new()),
            _ => None,
        };
        demands.extend(demand);
    }
    Some(demands)
}

/// The selector without its demands on labels that only Pods have.
fn rest(selector: Node<'_>) -> Option<Value> {
    let is_rest = |key: &str| LABELS.iter().all(|(label, ..)| *label != key);
    let labels = selector.get("matchLabels").into_iter().flat_map(Node::members).filter(|(key, _)| is_rest(key));
    let labels = labels.map(|(key, value)| Some((key.to_owned(), Value::copy(value)?))).collect::<Option<_>>()?;
    let expressions = selector.get("matchExpressions").into_iter().flat_map(Node::items);
    let expressions = expressions
        .filter(|item| item.kind() == Json::Object && item.get("key").and_then(Node::as_str).is_none_or(is_rest));
    let expressions = expressions.map(Value::copy).collect::<Option<_>>()?;
    Some(Value::object([("matchLabels", Value::Object(labels)), ("matchExpressions", Value::List(expressions))]))
}
