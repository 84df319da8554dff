//! Terms of `podAntiAffinity`, as the API server and the scheduler read them.

use plimsoll_flat::{Kind as Json, Node};

use crate::cursor::Cursor;
use crate::guest::Knowledge;
use crate::kind::Kind;
use crate::review::Review;
use crate::selector;
use crate::workload::PodTemplate;

/// A term of `podAntiAffinity`.
#[derive(Clone, Debug)]
pub struct Term<'a> {
    /// Place of the term, with members such as `topologyKey` and `labelSelector`.
    pub at: Cursor<'a>,
    /// Weight of a preferred term; `None` for a required one.
    pub weight: Option<i64>,
}

/// The terms of `podAntiAffinity`, required terms first.
pub fn anti_affinity<'a>(template: &PodTemplate<'a>) -> impl Iterator<Item = Term<'a>> + use<'a> {
    let apart = template.spec().at("/affinity/podAntiAffinity");
    let required = apart.at("/requiredDuringSchedulingIgnoredDuringExecution").items();
    let preferred = apart.at("/preferredDuringSchedulingIgnoredDuringExecution").items();
    required.map(|at| Term { at, weight: None }).chain(preferred.map(|preference| Term {
        weight: Some(preference.at("/weight").as_i64().unwrap_or(0)),
        at: preference.at("/podAffinityTerm"),
    }))
}

/// Other Pods of the same workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pods {
    /// Pods of the same revision.
    Same,
    /// Pods of the old revision, which an update replaces.
    Old,
}

impl<'a> Term<'a> {
    /// Whether the term keeps a Pod of the reviewed workload away from these other Pods of the workload.
    #[must_use]
    pub fn selects(&self, review: &Review<'a>, pods: Pods) -> Knowledge {
        let labels = review.template().and_then(PodTemplate::labels);
        let by_labels =
            self.at.at("/labelSelector").node().is_some_and(|node| selector::matches(node, labels).is_yes());
        all([known(by_labels), self.looks_into(review.namespace())].into_iter().chain(self.by_keys(review, pods)))
    }

    /// Whether the term applies to Pods of this namespace. A term without namespaces applies only to the Pod's own
    /// namespace. `namespaceSelector` adds to `namespaces` (`getNamespacesFromPodAffinityTerm` in
    /// `pkg/scheduler/framework`).
    #[must_use]
    pub fn looks_into(&self, own: Option<&str>) -> Knowledge {
        let (names, selector) = (self.at.at("/namespaces"), self.at.at("/namespaceSelector"));
        if !names.has_content() && !selector.exists() {
            return Knowledge::Yes;
        }
        let selected = selector.node().map_or(Knowledge::No, |node| selects_namespace(node, own));
        match own {
            Some(own) if names.items().any(|name| name.as_str() == Some(own)) => Knowledge::Yes,
            None if names.has_content() && selected != Knowledge::Yes => Knowledge::Unknown,
            _ => selected,
        }
    }

    /// Result of each key in `matchLabelKeys` and `mismatchLabelKeys`. From Kubernetes 1.31, the API server adds the
    /// values of the Pod's own labels to the selector when it creates the Pod. It ignores keys that the Pod does not
    /// have.
    fn by_keys(&self, review: &Review<'a>, pods: Pods) -> impl Iterator<Item = Knowledge> {
        let has_keys = review.kubernetes_version().is_none_or(|version| version.at_least(1, 31));
        let alike = |key: &str| if has_keys { are_alike(review, pods, key) } else { None };
        let same = self.at.at("/matchLabelKeys").items().filter_map(|key| alike(key.as_str()?));
        let other = self.at.at("/mismatchLabelKeys").items().filter_map(|key| {
            Some(match alike(key.as_str()?)? {
                Knowledge::Yes => Knowledge::No,
                Knowledge::No => Knowledge::Yes,
                Knowledge::Unknown => Knowledge::Unknown,
            })
        });
        same.chain(other).collect::<Vec<_>>().into_iter()
    }
}

/// Labels that controllers add to the Pods of a kind, and how their values differ.
const OF_CONTROLLERS: &[(Kind<'static>, &[(&str, Differs)])] = &[
    (Kind::DEPLOYMENT, &[("pod-template-hash", Differs::ByRevision)]),
    (Kind::ROLLOUT, &[("rollouts-pod-template-hash", Differs::ByRevision)]),
    (
        Kind::STATEFUL_SET,
        &[
            ("controller-revision-hash", Differs::ByRevision),
            ("statefulset.kubernetes.io/pod-name", Differs::ByPod),
            ("apps.kubernetes.io/pod-index", Differs::ByPod),
        ],
    ),
    (
        Kind::DAEMON_SET,
        &[("controller-revision-hash", Differs::ByRevision), ("pod-template-generation", Differs::ByRevision)],
    ),
    (Kind::JOB, OF_JOBS),
    (Kind::CRON_JOB, OF_JOBS),
];

const OF_JOBS: &[(&str, Differs)] = &[
    ("job-name", Differs::ByRevision),
    ("controller-uid", Differs::ByRevision),
    ("batch.kubernetes.io/job-name", Differs::ByRevision),
    ("batch.kubernetes.io/controller-uid", Differs::ByRevision),
    ("batch.kubernetes.io/job-completion-index", Differs::ByPod),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Differs {
    /// Pods of one revision have the same value, and Pods of different revisions have different values.
    ByRevision,
    /// No two Pods that run at the same time have the same value.
    ByPod,
}

/// How the values of a label differ that a controller adds to Pods of the reviewed workload.
fn of_controller(review: &Review<'_>, key: &str) -> Option<Differs> {
    let (_, labels) = OF_CONTROLLERS.iter().find(|(kind, _)| review.is(*kind))?;
    labels.iter().find(|(label, _)| *label == key).map(|(_, differs)| *differs)
}

/// Whether Pods of the reviewed workload have this label: from the template, or from their controller.
#[must_use]
pub fn has_label(review: &Review<'_>, key: &str) -> bool {
    let labels = review.template().and_then(PodTemplate::labels);
    labels.is_some_and(|labels| labels.get(key).is_some()) || of_controller(review, key).is_some()
}

/// Whether a Pod and another Pod of its workload have the same value of a label. `None` if the Pods have no such label.
fn are_alike(review: &Review<'_>, pods: Pods, key: &str) -> Option<Knowledge> {
    match of_controller(review, key) {
        Some(Differs::ByRevision) => return Some(known(pods == Pods::Same)),
        Some(Differs::ByPod) => return Some(Knowledge::No),
        None => {}
    }
    review.template()?.labels()?.get(key)?;
    // A label in the workload's own selector is the same in all revisions. Another label may be a version.
    let is_fixed = || {
        let own = review.at("/spec/selector");
        own.at("/matchLabels").key(key).exists() || own.key(key).exists()
    };
    Some(if pods == Pods::Same || is_fixed() { Knowledge::Yes } else { Knowledge::Unknown })
}

/// Label of each namespace with its name. Other labels of namespaces are not known.
const NAME: &str = "kubernetes.io/metadata.name";

fn selects_namespace(selector: Node<'_>, own: Option<&str>) -> Knowledge {
    if selector.kind() != Json::Object {
        return Knowledge::No;
    }
    let list = |member: &str| selector.get(member).into_iter();
    let of_label = |(key, value): (&str, Node<'_>)| match own {
        Some(own) if key == NAME => known(value.as_str() == Some(own)),
        _ => Knowledge::Unknown,
    };
    let of_expression = |expression: Node<'_>| {
        let text = |member: &str| expression.get(member).and_then(Node::as_str);
        let is_listed = |own: &str| {
            let values = expression.get("values").into_iter().flat_map(Node::items);
            values.into_iter().any(|value| value.as_str() == Some(own))
        };
        match (text("key"), text("operator"), own) {
            (Some(NAME), Some("Exists"), _) => Knowledge::Yes,
            (Some(NAME), Some("DoesNotExist"), _) => Knowledge::No,
            (Some(NAME), Some("In"), Some(own)) => known(is_listed(own)),
            (Some(NAME), Some("NotIn"), Some(own)) => known(!is_listed(own)),
            _ => Knowledge::Unknown,
        }
    };
    let by_labels = list("matchLabels").flat_map(Node::members).map(of_label);
    all(by_labels.chain(list("matchExpressions").flat_map(Node::items).map(of_expression)))
}

fn known(is_so: bool) -> Knowledge {
    if is_so { Knowledge::Yes } else { Knowledge::No }
}

/// Whether all answers are yes. One clear no decides, even if other answers are unknown.
fn all(answers: impl Iterator<Item = Knowledge>) -> Knowledge {
    let mut all = Knowledge::Yes;
    for answer in answers {
        match answer {
            Knowledge::No => return Knowledge::No,
            Knowledge::Unknown => all = Knowledge::Unknown,
            Knowledge::Yes => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::{Knowledge, Term};
    use crate::cursor::Cursor;

    #[test]
    fn namespaces_of_a_term() {
        use Knowledge::{No, Unknown, Yes};
        let name = |operator: &str, values: &str| {
            format!(
                r#"{{"namespaceSelector": {{"matchExpressions": [{{"key": "kubernetes.io/metadata.name",
                    "operator": "{operator}", "values": {values}}}]}}}}"#
            )
        };
        for (term, in_blue, unstated) in [
            ("{}".to_owned(), Yes, Yes),
            (r#"{"namespaces": []}"#.to_owned(), Yes, Yes),
            (r#"{"namespaces": ["blue", "green"]}"#.to_owned(), Yes, Unknown),
            (r#"{"namespaces": ["green"]}"#.to_owned(), No, Unknown),
            (r#"{"namespaceSelector": {}}"#.to_owned(), Yes, Yes),
            (r#"{"namespaceSelector": {}, "namespaces": ["green"]}"#.to_owned(), Yes, Yes),
            (r#"{"namespaceSelector": {"matchLabels": {"team": "a"}}}"#.to_owned(), Unknown, Unknown),
            (
                r#"{"namespaceSelector": {"matchLabels": {"team": "a"}}, "namespaces": ["blue"]}"#.to_owned(),
                Yes,
                Unknown,
            ),
            (
                r#"{"namespaceSelector": {"matchLabels": {"team": "a", "kubernetes.io/metadata.name": "green"}}}"#
                    .to_owned(),
                No,
                Unknown,
            ),
            (name("In", r#"["blue"]"#), Yes, Unknown),
            (name("In", r#"["green"]"#), No, Unknown),
            (name("NotIn", r#"["blue"]"#), No, Unknown),
            (name("NotIn", r#"["green"]"#), Yes, Unknown),
            (name("Exists", "[]"), Yes, Yes),
            (name("DoesNotExist", "[]"), No, No),
        ] {
            let document = json::from_json(term.as_bytes()).unwrap();
            let read = Term { at: Cursor::of(Node::root(&document).unwrap()), weight: None };
            assert_eq!((read.looks_into(Some("blue")), read.looks_into(None)), (in_blue, unstated), "{term}");
        }
    }
}
