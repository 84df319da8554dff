//! Argo Rollouts that take their pod template from another workload (`workloadRef`).
//!
//! The Rollout has its own Pods with that template. The workload also keeps its own Pods, unless the controller scales
//! it down (`scaleDown`). The rules follow Argo Rollouts 1.8, `controller/workloadRef` and `rollout/controller.go`.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::kind::{Kind, OwnedKind};
use crate::review::Review;

/// Kinds that a Rollout may refer to and that have Pods of their own.
pub const REFERRED: [Kind<'static>; 2] = [Kind::DEPLOYMENT, Kind::REPLICA_SET];

/// The workload that an object of this kind takes its pod template from: `group/Kind` and name. `None` if the object
/// has its own template.
#[must_use]
pub fn workload_ref<'a>(kind: Kind<'_>, object: Node<'a>) -> Option<(OwnedKind, &'a str)> {
    let reference = object.at("/spec/workloadRef").filter(|_| kind == Kind::ROLLOUT)?;
    let text = |member: &str| reference.get(member).and_then(Node::as_str).filter(|text| !text.is_empty());
    Some((OwnedKind::new(text("apiVersion")?, text("kind")?), text("name")?))
}

/// Whether the controller scales down the workload that a Rollout refers to, once the Pods of the Rollout run.
#[must_use]
pub fn scales_down(rollout: Node<'_>) -> bool {
    let how = rollout.at("/spec/workloadRef/scaleDown").and_then(Node::as_str);
    matches!(how, Some("onsuccess" | "progressively"))
}

/// Maximum number of workloads of a review whose Rollouts are requested one by one. Beyond this number, the Rollouts of
/// the namespace are listed once. So the number of questions does not grow with the number of workloads.
const ASKED_EACH: usize = 4;

/// The Rollouts of the namespace that refer to workloads.
#[derive(Debug, Default)]
pub(crate) struct References {
    asked: RefCell<BTreeSet<(OwnedKind, String)>>,
    listed: OnceCell<Listed>,
}

/// All Rollouts of the namespace, by the workload that they refer to.
#[derive(Debug)]
struct Listed {
    answer: Rc<Answer>,
    by_target: BTreeMap<(OwnedKind, String), Vec<usize>>,
}

impl References {
    /// The Rollouts that take their template from the named workload of this kind.
    pub(crate) fn to(&self, review: &Review<'_>, kind: Kind<'_>, name: &str) -> Rc<Answer> {
        // The key owns its text, so a look-up needs an owned text too.
        let target = (kind.into(), name.to_owned());
        if self.listed.get().is_none() && self.may_ask_of(&target) {
            return review.referring(Kind::ROLLOUT, kind, name);
        }
        let Listed { answer, by_target } = self.listed.get_or_init(|| Listed::of(review));
        let indexes = by_target.get(&target).into_iter().flatten();
        let documents = indexes.filter_map(|index| answer.documents.get(*index)).cloned().collect();
        Rc::new(Answer { documents, complete: answer.complete })
    }

    fn may_ask_of(&self, target: &(OwnedKind, String)) -> bool {
        let mut asked = self.asked.borrow_mut();
        if asked.len() < ASKED_EACH {
            asked.insert(target.clone());
        }
        asked.contains(target)
    }
}

impl Listed {
    fn of(review: &Review<'_>) -> Self {
        let answer = review.listing(Kind::ROLLOUT);
        let mut by_target: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, document) in answer.documents.iter().enumerate() {
            let reference = Node::root(document).ok().and_then(|object| workload_ref(Kind::ROLLOUT, object));
            if let Some((kind, name)) = reference {
                by_target.entry((kind, name.to_owned())).or_default().push(index);
            }
        }
        Self { answer, by_target }
    }
}

/// Whether the named workload of this kind hands its Pods over to a Rollout. It then has no Pods in the end, whatever
/// its `replicas`.
#[must_use]
pub fn is_handed_over(review: &Review<'_>, kind: Kind<'_>, name: &str) -> bool {
    REFERRED.contains(&kind) && review.rollouts_of(kind, name).nodes().any(scales_down)
}

/// Whether [`is_handed_over`] is true for the reviewed workload.
#[must_use]
pub fn is_reviewed_handed_over(review: &Review<'_>) -> bool {
    let kind = REFERRED.into_iter().find(|kind| review.is(*kind));
    kind.is_some_and(|kind| is_handed_over(review, kind, review.name()))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use plimsoll_flat::{Node, json};

    use super::{ASKED_EACH, Kind, is_handed_over};
    use crate::bundle::{Answer, Host};
    use crate::guest::{Knowledge, Subject};
    use crate::review::Review;

    /// A namespace with one Rollout, which takes over Deployment `taken`. It records the questions.
    struct Namespace(RefCell<Vec<String>>);

    impl Namespace {
        fn answer(&self, question: String, has_rollout: bool) -> Answer {
            self.0.borrow_mut().push(question);
            let rollout = br#"{"metadata": {"name": "a"}, "spec": {"workloadRef":
                {"apiVersion": "apps/v1", "kind": "Deployment", "name": "taken", "scaleDown": "onsuccess"}}}"#;
            let documents = has_rollout.then(|| json::from_json(rollout).unwrap()).into_iter().collect();
            Answer { documents, complete: true }
        }
    }

    impl Host for Namespace {
        fn get(&self, _: Subject, kind: &str, name: &str) -> Answer {
            self.answer(format!("get {kind} {name}"), false)
        }
        fn selecting(&self, _: Subject, kind: &str, _: &[u8]) -> Answer {
            self.answer(format!("selecting {kind}"), false)
        }
        fn selected_by(&self, _: Subject, kind: &str, _: &[u8]) -> Answer {
            self.answer(format!("selected by {kind}"), false)
        }
        fn referring(&self, _: Subject, kind: &str, _: &str, name: &str) -> Answer {
            self.answer(format!("referring {kind} {name}"), name == "taken")
        }
        fn listing(&self, _: Subject, kind: &str) -> Answer {
            self.answer(format!("listing {kind}"), kind == Kind::ROLLOUT.as_str())
        }
        fn is_authored(&self, _: Subject, _: &str) -> Knowledge {
            Knowledge::Unknown
        }
        fn log(&self, _: &str) {}
    }

    /// The questions about this number of Deployments, the last of which is taken over.
    fn asked(deployments: usize) -> Vec<String> {
        let host = Namespace(RefCell::default());
        let document = json::from_json(b"{}").unwrap();
        let root = Node::root(&document).unwrap();
        let review = Review::new(&host, root, root, Subject::Object);
        for number in 1..deployments {
            assert!(!is_handed_over(&review, Kind::DEPLOYMENT, &format!("web-{number}")));
        }
        // The second time, no question is asked.
        for _ in 0..2 {
            assert!(is_handed_over(&review, Kind::DEPLOYMENT, "taken"));
        }
        host.0.into_inner()
    }

    #[test]
    fn one_workload_is_asked_for_and_many_are_listed_once() {
        assert_eq!(asked(1), ["referring argoproj.io/Rollout taken"]);
        assert!(asked(ASKED_EACH).iter().all(|question| question.starts_with("referring")));
        let many = asked(1000);
        assert_eq!(
            (many.len(), many.last().map(String::as_str)),
            (ASKED_EACH + 1, Some("listing argoproj.io/Rollout"))
        );
    }
}
