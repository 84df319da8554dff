//! Argo Rollouts that take their pod template from another workload (`workloadRef`).
//!
//! The Rollout has Pods of its own by that template, and the workload keeps those that it asks for, unless the controller
//! scales it down (`scaleDown`). Read from Argo Rollouts 1.8, `controller/workloadRef` and `rollout/controller.go`.

use std::collections::BTreeMap;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption::name;
use crate::kind::{Kind, OwnedKind};
use crate::review::Review;

/// Kinds that a Rollout may refer to, and that have Pods of their own.
pub const REFERRED: [Kind<'static>; 2] = [Kind::DEPLOYMENT, Kind::REPLICA_SET];

/// What an object of this `group/Kind` takes its pod template from: `group/Kind` and name. None where it has its own.
#[must_use]
pub fn workload_ref<'a>(kind: Kind<'_>, object: Node<'a>) -> Option<(OwnedKind, &'a str)> {
    let reference = object.at("/spec/workloadRef").filter(|_| kind == Kind::ROLLOUT)?;
    let text = |member: &str| reference.get(member).and_then(Node::as_str).filter(|text| !text.is_empty());
    Some((OwnedKind::new(text("apiVersion")?, text("kind")?), text("name")?))
}

/// Whether the controller scales down what a Rollout refers to, once its own Pods run.
#[must_use]
pub fn scales_down(rollout: Node<'_>) -> bool {
    let how = rollout.at("/spec/workloadRef/scaleDown").and_then(Node::as_str);
    matches!(how, Some("onsuccess" | "progressively"))
}

/// The Rollouts of a namespace that refer to workloads, by these.
#[derive(Debug)]
pub struct References {
    answer: Rc<Answer>,
    by_target: BTreeMap<(OwnedKind, String), Vec<usize>>,
}

impl References {
    pub(crate) fn of(review: &Review<'_>) -> Self {
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

    /// Whether there are no others.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.answer.complete
    }

    /// Those that refer to the named workload of this `group/Kind`.
    pub fn to<'s>(&'s self, kind: Kind<'_>, name: &str) -> impl Iterator<Item = Node<'s>> + use<'s> {
        // The key owns its text, so a look-up needs some too.
        let indexes = self.by_target.get(&(kind.into(), name.to_owned()));
        let documents = indexes.into_iter().flatten().filter_map(|index| self.answer.documents.get(*index));
        documents.filter_map(|document| Node::root(document).ok())
    }

    /// The Rollouts that refer to one of these workloads of a `group/Kind`, as an answer of the host.
    pub(crate) fn to_any(&self, kind: Kind<'_>, workloads: &Answer) -> Answer {
        let found = workloads.nodes().flat_map(|workload| self.to(kind, name(workload)));
        Answer { documents: found.map(Node::to_document).collect(), complete: self.is_complete() }
    }
}

/// Whether the named workload of this `group/Kind` hands its Pods over to a Rollout: it has none in the end, whatever its
/// `replicas`.
#[must_use]
pub fn is_handed_over(review: &Review<'_>, kind: Kind<'_>, name: &str) -> bool {
    REFERRED.contains(&kind) && review.references().to(kind, name).any(scales_down)
}

/// Whether that is true of the reviewed workload.
#[must_use]
pub fn is_reviewed_handed_over(review: &Review<'_>) -> bool {
    let kind = REFERRED.into_iter().find(|kind| review.is(*kind));
    kind.is_some_and(|kind| is_handed_over(review, kind, review.name()))
}
