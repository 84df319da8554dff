//! Requests that must never be blocked: their findings warn at most.

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::Judges;

use super::Case;
use crate::admission::verdict::Judged;
use crate::model::{Action, Operation, Review, Spared};

/// Prefix of the service accounts of the controllers of kube-controller-manager. A user who can act as one of them
/// controls the cluster.
const CONTROLLERS: &str = "system:serviceaccount:kube-system:";

/// Controllers that create Pods, ReplicaSets and Jobs for an owner.
const MAKERS: [&str; 7] = [
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "job-controller",
    "replicaset-controller",
    "replication-controller",
    "statefulset-controller",
];

/// Controllers that delete objects whose owner or namespace is gone, and finished Jobs.
const COLLECTORS: [&str; 3] = ["generic-garbage-collector", "namespace-controller", "ttl-after-finished-controller"];

const AUTOSCALER: &str = "horizontal-pod-autoscaler";

/// Controllers that write objects which others also judge: they bind volumes to claims, remove finalizers of claims,
/// and give load balancers to Services. Their requests are judged like any other. But if the webhook does not answer,
/// they don't wait for it.
const KEEPERS: [&str; 5] = [
    "ephemeral-volume-controller",
    "expand-controller",
    "persistent-volume-binder",
    "pvc-protection-controller",
    "service-controller",
];

/// User name of the scheduler, which writes the node of a claim.
const SCHEDULER: &str = "system:kube-scheduler";

/// User name of all controllers if `--use-service-account-credentials` is off.
const ALL_IN_ONE: &str = "system:kube-controller-manager";

/// A request that must not be blocked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage {
    pub(super) most: Action,
    pub(super) why: Spared,
    /// The changed metadata contains a new owner, and the user is not a controller of the control plane.
    new_owner: bool,
}

impl Passage {
    pub(super) fn of(case: &Case<'_>) -> Option<Self> {
        let review = case.review;
        if is_metadata_only(review) {
            let is_ours = is_controller(review, &MAKERS) || is_controller(review, &COLLECTORS);
            return Some(Self { most: Action::Warn, why: Spared::MetadataOnly, new_owner: !is_ours });
        }
        if review.subresource == "scale" && is_controller(review, &[AUTOSCALER]) {
            return Some(Self { most: Action::Warn, why: Spared::Autoscaler, new_owner: false });
        }
        None
    }

    /// Whether the passage covers a finding. An owner reference decides when an object is deleted. So a finding about a
    /// new owner counts like any other.
    pub(super) fn covers(&self, judged: &Judged) -> bool {
        let is_about_owners = || judged.finding.at.full().starts_with("/metadata/ownerReferences");
        !(self.new_owner && judged.policy.judges == Judges::Transition && is_about_owners())
    }
}

/// Whether the garbage collector or the namespace controller deletes the object. Such a deletion is not judged.
pub fn is_system_deletion(review: &Review) -> bool {
    review.operation == Operation::Delete && is_controller(review, &COLLECTORS)
}

/// The users of the control plane that the webhook must not block, even when it does not answer.
pub fn control_plane() -> Vec<String> {
    let names = MAKERS.iter().chain(&COLLECTORS).chain([&AUTOSCALER]).chain(&KEEPERS);
    let accounts = names.map(|name| format!("{CONTROLLERS}{name}"));
    accounts.chain([ALL_IN_ONE.to_owned(), SCHEDULER.to_owned()]).collect()
}

/// The users of [`control_plane`] that clean up. Their deletions need no review.
pub fn collectors() -> Vec<String> {
    let accounts = COLLECTORS.iter().map(|name| format!("{CONTROLLERS}{name}"));
    accounts.chain([ALL_IN_ONE.to_owned()]).collect()
}

fn is_controller(review: &Review, names: &[&str]) -> bool {
    let name = review.username.strip_prefix(CONTROLLERS);
    review.username == ALL_IN_ONE || name.is_some_and(|name| names.contains(&name))
}

/// Whether an update changes only `metadata` and `status`, which belongs to another controller. The labels of a Pod
/// count as a change, because they decide its Services and PodDisruptionBudgets.
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

/// The controller that an object names as its owner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// `apps/v1`
    pub api_version: String,
    /// `ReplicaSet`
    pub kind: String,
    /// Name in the object's namespace.
    pub name: String,
    /// Distinguishes owners with the same name.
    pub uid: String,
}

impl Owner {
    /// The owner of an object that a built-in controller creates, changes or deletes. For example, the deployment
    /// controller copies annotations to old ReplicaSets and deletes them. Any user can write an owner reference, so
    /// requests of other users have no owner here.
    pub(super) fn of(review: &Review) -> Option<Self> {
        if review.operation == Operation::Connect || !is_controller(review, &MAKERS) {
            return None;
        }
        let owners = review.subject()?.at("/metadata/ownerReferences")?;
        let owner = owners.items().find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true))?;
        let text = |name: &str| owner.get(name).and_then(Node::as_str).map(str::to_owned);
        Some(Self { api_version: text("apiVersion")?, kind: text("kind")?, name: text("name")?, uid: text("uid")? })
    }
}
