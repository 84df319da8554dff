//! ResourceQuotas: the amounts that they count, and the Pods to which they apply.

use std::collections::BTreeMap;

use plimsoll_flat::Node;

use crate::disruption::Selected;
use crate::kind::Kind;
use crate::quantity::Quantity;
use crate::resources::{Side, Total, pod_total};
use crate::review::Review;
use crate::value::Value;
use crate::workload::PodTemplate;

/// The scopes of a ResourceQuota, read once for many Pods. Scopes are compared with the manifest of a Pod, without
/// values that admission may add later.
#[derive(Debug, Default)]
pub struct Scopes<'a> {
    /// Whether one scope applies to no Pod of a long-running workload, or is not known.
    is_never: bool,
    /// Whether the quota applies to Pods with requests or limits, and whether it applies to Pods without any.
    best_effort: [bool; 2],
    /// Whether the quota applies only to Pods with a priority class.
    is_classed: bool,
    /// Number of scopes with operator `In`, each with a list of classes.
    lists: usize,
    /// For each class: the number of these lists that contain it, and whether `NotIn` excludes it.
    classes: BTreeMap<&'a str, (usize, bool)>,
}

impl<'a> Scopes<'a> {
    /// Reads the scopes of a quota.
    #[must_use]
    pub fn of(quota: Node<'a>) -> Self {
        let mut scopes = Self { best_effort: [true; 2], ..Self::default() };
        let all = |pointer: &str| quota.at(pointer).into_iter().flat_map(Node::items);
        for scope in all("/spec/scopes") {
            scopes.read(scope.as_str(), "Exists", None);
        }
        for expression in all("/spec/scopeSelector/matchExpressions") {
            let text = |member: &str| expression.get(member).and_then(Node::as_str);
            scopes.read(text("scopeName"), text("operator").unwrap_or_default(), expression.get("values"));
        }
        scopes
    }

    /// Whether all scopes apply to Pods of this priority class. `is_best_effort`: the Pods have no requests and limits.
    #[must_use]
    pub fn hold(&self, is_best_effort: bool, class: Option<&str>) -> bool {
        let is_class = || {
            class.is_some_and(|class| {
                let (lists, is_excluded) = self.classes.get(class).copied().unwrap_or_default();
                lists == self.lists && !is_excluded
            })
        };
        !self.is_never && self.best_effort[usize::from(is_best_effort)] && (!self.is_classed || is_class())
    }

    fn read(&mut self, scope: Option<&str>, operator: &str, values: Option<Node<'a>>) {
        match scope {
            Some("NotTerminating") => {}
            Some("BestEffort") => self.best_effort[0] = false,
            Some("NotBestEffort") => self.best_effort[1] = false,
            Some("PriorityClass") => {
                self.is_classed = true;
                let classes = values.into_iter().flat_map(Node::items).filter_map(Node::as_str);
                match operator {
                    "Exists" => {}
                    "In" => {
                        for class in classes {
                            let entry = self.classes.entry(class).or_default();
                            // A class that a list names twice counts once.
                            entry.0 += usize::from(entry.0 == self.lists);
                        }
                        self.lists += 1;
                    }
                    "NotIn" => classes.for_each(|class| self.classes.entry(class).or_default().1 = true),
                    _ => self.is_never = true,
                }
            }
            // `Terminating` applies to Pods that end by themselves. Future scopes are not known.
            _ => self.is_never = true,
        }
    }
}

/// Resources that quotas count, with the side of `resources`.
pub const COUNTED: [(&str, Side); 4] =
    [("cpu", Side::Request), ("memory", Side::Request), ("cpu", Side::Limit), ("memory", Side::Limit)];

/// Index of the number of Pods, after the entries of [`COUNTED`].
pub const PODS: usize = COUNTED.len();

/// Amounts of [`COUNTED`] and [`PODS`], in this order.
pub type Sums = [Quantity; COUNTED.len() + 1];

/// Index in [`COUNTED`], or [`PODS`], of a key of `spec.hard`. `None` for any other key.
#[must_use]
pub fn counted(key: &str) -> Option<usize> {
    Some(match key {
        "cpu" | "requests.cpu" => 0,
        "memory" | "requests.memory" => 1,
        "limits.cpu" => 2,
        "limits.memory" => 3,
        "pods" | "count/pods" => PODS,
        _ => return None,
    })
}

/// Amounts of [`COUNTED`] of one Pod of a template.
#[must_use]
pub fn totals<'a>(review: &Review<'_>, template: &PodTemplate<'a>) -> [Option<Total<'a>>; COUNTED.len()] {
    COUNTED.map(|(resource, side)| pod_total(review, template, resource, side))
}

/// Properties of Pods that scopes distinguish: whether they have no requests and limits, and their priority class.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Group {
    is_best_effort: bool,
    class: Option<String>,
}

impl Group {
    /// The group of the Pods of a template with these totals.
    #[must_use]
    pub fn of(template: &PodTemplate<'_>, totals: &[Option<Total<'_>>]) -> Self {
        let is_none =
            |total: &Option<Total<'_>>| total.as_ref().is_some_and(|total| total.sum.is_none_or(Quantity::is_zero));
        let class = template.spec().at("/priorityClassName").as_str().map(str::to_owned);
        Self { is_best_effort: totals.iter().all(is_none), class }
    }

    /// Whether all scopes apply to the Pods of this group.
    #[must_use]
    pub fn is_held(&self, scopes: &Scopes<'_>) -> bool {
        scopes.hold(self.is_best_effort, self.class.as_deref())
    }
}

/// Maximum number of workloads that are added up beside a reviewed one.
pub const MAX_WORKLOADS: usize = 512;

/// Amounts of the other known workloads of the namespace at their minimum, by group. The first [`MAX_WORKLOADS`] of
/// them count, by kind and name.
#[must_use]
pub fn others(review: &Review<'_>, kind: Kind<'_>, name: &str) -> BTreeMap<Group, Sums> {
    let all = Value::object([]).to_document();
    let selected = Selected::by(review, Node::root(&all).ok());
    let mut groups: BTreeMap<Group, Sums> = BTreeMap::new();
    let siblings = selected.workloads.iter().filter(|other| other.kind != kind || other.name != name);
    for other in siblings.take(MAX_WORKLOADS) {
        let template = other.template(review);
        let (Some(template), Some(pods)) = (template, other.pods()) else { continue };
        let totals = totals(review, &template);
        let sums = groups.entry(Group::of(&template, &totals)).or_insert([Quantity::ZERO; COUNTED.len() + 1]);
        let ones = totals.map(|total| total.and_then(|total| total.sum)).into_iter();
        for (sum, one) in sums.iter_mut().zip(ones.chain([Some(Quantity::from_milli(1000))])) {
            let of_all = one.and_then(|one| one.checked_mul(pods)).and_then(|more| sum.checked_add(more));
            *sum = of_all.unwrap_or(*sum);
        }
    }
    groups
}

/// Sum of the groups to which all scopes apply.
#[must_use]
pub fn sums(groups: &BTreeMap<Group, Sums>, scopes: &Scopes<'_>) -> Sums {
    let mut all = [Quantity::ZERO; COUNTED.len() + 1];
    for (_, sums) in groups.iter().filter(|(group, _)| group.is_held(scopes)) {
        for (sum, more) in all.iter_mut().zip(sums) {
            *sum = sum.checked_add(*more).unwrap_or(*sum);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::Scopes;

    #[test]
    fn all_scopes_must_apply() {
        let expression = |operator: &str, values: &str| {
            format!(r#"{{"scopeName": "PriorityClass", "operator": "{operator}", "values": {values}}}"#)
        };
        let selector = |expressions: &[String]| {
            format!(r#"{{"scopeSelector": {{"matchExpressions": [{}]}}}}"#, expressions.join(", "))
        };
        let in_ab = expression("In", r#"["a", "b", "a"]"#);
        let in_bc = expression("In", r#"["b", "c"]"#);
        let not_b = expression("NotIn", r#"["b"]"#);
        for (spec, expected) in [
            ("{}".to_owned(), [true, true, true, true]),
            (r#"{"scopes": ["NotTerminating"]}"#.to_owned(), [true, true, true, true]),
            (r#"{"scopes": ["Terminating"]}"#.to_owned(), [false; 4]),
            (r#"{"scopes": ["BestEffort"]}"#.to_owned(), [true, false, false, false]),
            (r#"{"scopes": ["NotBestEffort"]}"#.to_owned(), [false, true, true, true]),
            (r#"{"scopes": ["BestEffort", "NotBestEffort"]}"#.to_owned(), [false; 4]),
            (r#"{"scopes": ["PriorityClass"]}"#.to_owned(), [false, true, true, false]),
            (selector(std::slice::from_ref(&in_ab)), [false, true, true, false]),
            (selector(&[in_ab.clone(), in_bc.clone()]), [false, false, true, false]),
            (selector(&[in_ab.clone(), in_bc, not_b.clone()]), [false; 4]),
            (selector(&[not_b]), [false, true, false, false]),
            (selector(&[expression("DoesNotExist", "[]")]), [false; 4]),
        ] {
            let document = json::from_json(format!(r#"{{"spec": {spec}}}"#).as_bytes()).unwrap();
            let scopes = Scopes::of(Node::root(&document).unwrap());
            let pods = [(true, None), (false, Some("a")), (false, Some("b")), (false, None)];
            assert_eq!(pods.map(|(is_best_effort, class)| scopes.hold(is_best_effort, class)), expected, "{spec}");
        }
    }
}
