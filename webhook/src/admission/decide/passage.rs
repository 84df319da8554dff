//! What must always go through: at most it is warned of.

use plimsoll_flat::{Kind, Node};

use super::Case;
use crate::admission::review::{Operation, Review};
use crate::admission::verdict::{Action, Judged, Spared};

/// The accounts of the controllers of kube-controller-manager lie here. Who can act as one of them owns the cluster.
const CONTROLLERS: &str = "system:serviceaccount:kube-system:";

/// The controllers that make Pods, ReplicaSets and Jobs from what an owner says.
const MAKERS: [&str; 7] = [
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "job-controller",
    "replicaset-controller",
    "replication-controller",
    "statefulset-controller",
];

/// Those that delete what has lost its owner or its namespace.
const COLLECTORS: [&str; 3] = ["generic-garbage-collector", "namespace-controller", "ttl-after-finished-controller"];

const AUTOSCALER: &str = "horizontal-pod-autoscaler";

/// As whom all controllers speak where `--use-service-account-credentials` is off.
const ALL_IN_ONE: &str = "system:kube-controller-manager";

/// A request that nobody may be stopped from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage {
    pub(super) most: Action,
    pub(super) why: Spared,
}

impl Passage {
    pub(super) fn of(case: &Case<'_>) -> Option<Self> {
        let review = case.review;
        if is_metadata_only(review) {
            return Some(Self { most: Action::Warn, why: Spared::MetadataOnly });
        }
        if review.subresource == "scale" && is_controller(review, &[AUTOSCALER]) {
            return Some(Self { most: Action::Warn, why: Spared::Autoscaler });
        }
        None
    }
}

/// Whether the garbage collector or the namespace controller clears up: nothing is worth asking then.
pub fn is_system_deletion(review: &Review) -> bool {
    review.operation == Operation::Delete && is_controller(review, &COLLECTORS)
}

/// Everyone in the control plane whom we must not be in the way of, even while we do not answer.
pub fn control_plane() -> Vec<String> {
    let names = MAKERS.iter().chain(&COLLECTORS).chain([&AUTOSCALER]);
    let accounts = names.map(|name| format!("{CONTROLLERS}{name}"));
    accounts.chain([ALL_IN_ONE.to_owned()]).collect()
}

/// Those of [`control_plane`] who clear up, whose deletions nobody need ask about.
pub fn collectors() -> Vec<String> {
    let accounts = COLLECTORS.iter().map(|name| format!("{CONTROLLERS}{name}"));
    accounts.chain([ALL_IN_ONE.to_owned()]).collect()
}

fn is_controller(review: &Review, names: &[&str]) -> bool {
    let name = review.username.strip_prefix(CONTROLLERS);
    review.username == ALL_IN_ONE || name.is_some_and(|name| names.contains(&name))
}

/// An update that leaves everything but `metadata` (and `status`, which is another's) as it was. A Pod's labels decide
/// which Services and PodDisruptionBudgets it belongs to, so those count.
fn is_metadata_only(review: &Review) -> bool {
    let (Some(old), Some(new)) = (review.old_object(), review.object()) else { return false };
    if review.operation != Operation::Update || !review.subresource.is_empty() {
        return false;
    }
    let counts = |name: &str| !matches!(name, "metadata" | "status");
    let covered = |left: Node<'_>, right: Node<'_>| {
        left.members().filter(|(name, _)| counts(name)).all(|(name, value)| right.get(name) == Some(value))
    };
    let pod = review.kind.group.is_empty() && review.kind.kind == "Pod";
    covered(old, new) && covered(new, old) && (!pod || old.at("/metadata/labels") == new.at("/metadata/labels"))
}

/// The controller that an object says it is owned by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// `apps/v1`
    pub api_version: String,
    /// `ReplicaSet`
    pub kind: String,
    /// In the object's namespace.
    pub name: String,
    /// Which one of this name.
    pub uid: String,
}

impl Owner {
    /// The owner of what a built-in controller makes or changes. Anyone can write an owner reference, so that it says
    /// nothing about what anyone else makes.
    pub(super) fn of(review: &Review) -> Option<Self> {
        if !matches!(review.operation, Operation::Create | Operation::Update) || !is_controller(review, &MAKERS) {
            return None;
        }
        let owners = review.object()?.at("/metadata/ownerReferences")?;
        let owner = owners.items().find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true))?;
        let text = |name: &str| owner.get(name).and_then(Node::as_str).map(str::to_owned);
        Some(Self { api_version: text("apiVersion")?, kind: text("kind")?, name: text("name")?, uid: text("uid")? })
    }
}

/// Whether the request could be a rollback: it changes the pod template of a kind that keeps revisions.
pub(super) fn may_roll_back(case: &Case<'_>) -> bool {
    let (review, Some(template)) = (case.review, case.template) else { return false };
    let (Some(old), Some(new)) = (review.old_object(), review.object()) else { return false };
    review.operation == Operation::Update
        && review.subresource.is_empty()
        && keeps_revisions(&review.kind.group_kind())
        && old.at(template) != new.at(template)
}

fn keeps_revisions(kind: &str) -> bool {
    matches!(kind, "apps/Deployment" | "apps/StatefulSet" | "apps/DaemonSet" | "argoproj.io/Rollout")
}

/// A change back to a template that the workload has had.
pub(super) struct Rollback<'a> {
    template: &'a str,
    /// Nothing of `spec` differs but the template.
    all: bool,
}

impl<'a> Rollback<'a> {
    pub(super) fn of(case: &Case<'a>, revisions: &[Vec<u8>]) -> Option<Self> {
        let template = case.template?;
        let (old, new) = (case.review.old_object()?, case.review.object()?);
        let wanted = new.at(template)?;
        revisions
            .iter()
            .filter_map(|revision| Node::root(revision).ok())
            .any(|revision| is_same_template(revision, wanted))
            .then(|| Self { template, all: is_same_beside(old, new, template) })
    }

    /// Whether all of the request is the rollback, so that everything about it is excused.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// Whether a finding is about the template that the workload has had.
    pub(super) fn excuses(&self, judged: &Judged) -> bool {
        let pointer = judged.finding.at.full();
        pointer.strip_prefix(self.template).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Labels that a controller puts on each revision's template.
const REVISION_LABELS: [&str; 3] = ["pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"];

/// Equal but for the labels that tell revisions apart.
fn is_same_template(revision: Node<'_>, wanted: Node<'_>) -> bool {
    fn is_same(
        left: Node<'_>,
        right: Node<'_>,
        but: &[&str],
        below: &dyn Fn(&str, Node<'_>, Node<'_>) -> bool,
    ) -> bool {
        let covered = |one: Node<'_>, other: Node<'_>| {
            one.members()
                .filter(|(name, value)| !but.contains(name) && !value.is_null())
                .all(|(name, value)| other.get(name).is_some_and(|other| below(name, value, other)))
        };
        left.kind() == Kind::Object && right.kind() == Kind::Object && covered(left, right) && covered(right, left)
    }
    let equal = |_: &str, left: Node<'_>, right: Node<'_>| left == right;
    let labels = |name: &str, left: Node<'_>, right: Node<'_>| match name {
        "labels" => is_same(left, right, &REVISION_LABELS, &equal),
        // The API server writes one, of a template too.
        _ => left == right,
    };
    let metadata = |name: &str, left: Node<'_>, right: Node<'_>| match name {
        "metadata" => is_same(left, right, &["creationTimestamp"], &labels),
        _ => left == right,
    };
    is_same(revision, wanted, &["$patch"], &metadata)
}

/// Whether `spec` is the same beside the template.
fn is_same_beside(old: Node<'_>, new: Node<'_>, template: &str) -> bool {
    let (Some(old), Some(new)) = (old.get("spec"), new.get("spec")) else { return false };
    let Some(but) = template.strip_prefix("/spec/") else { return false };
    let covered = |left: Node<'_>, right: Node<'_>| {
        left.members().filter(|(name, _)| *name != but).all(|(name, value)| right.get(name) == Some(value))
    };
    covered(old, new) && covered(new, old)
}
