//! What must always go through: at most it is warned of.

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::Judges;

use super::Case;
use crate::admission::verdict::Judged;
use crate::model::{Action, Operation, Review, Spared};

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

/// Those that write what others judge: claims get volumes and lose their finalizers, Services get load balancers. Of what they
/// write nothing is excused; it only does not wait for us.
const KEEPERS: [&str; 5] = [
    "ephemeral-volume-controller",
    "expand-controller",
    "persistent-volume-binder",
    "pvc-protection-controller",
    "service-controller",
];

/// The scheduler, which writes the node of a claim.
const SCHEDULER: &str = "system:kube-scheduler";

/// As whom all controllers speak where `--use-service-account-credentials` is off.
const ALL_IN_ONE: &str = "system:kube-controller-manager";

/// A request that nobody may be stopped from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passage {
    pub(super) most: Action,
    pub(super) why: Spared,
    /// A new owner is among the metadata that changes, and not written by a controller of the control plane.
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

    /// Whether it lets a finding pass. An owner reference decides over the end of an object, so that what a policy says of
    /// such a change counts like what it says of any other.
    pub(super) fn covers(&self, judged: &Judged) -> bool {
        let is_about_owners = || judged.finding.at.full().starts_with("/metadata/ownerReferences");
        !(self.new_owner && judged.policy.judges == Judges::Transition && is_about_owners())
    }
}

/// Whether the garbage collector or the namespace controller clears up: nothing is worth asking then.
pub fn is_system_deletion(review: &Review) -> bool {
    review.operation == Operation::Delete && is_controller(review, &COLLECTORS)
}

/// Everyone in the control plane whom we must not be in the way of, even while we do not answer.
pub fn control_plane() -> Vec<String> {
    let names = MAKERS.iter().chain(&COLLECTORS).chain([&AUTOSCALER]).chain(&KEEPERS);
    let accounts = names.map(|name| format!("{CONTROLLERS}{name}"));
    accounts.chain([ALL_IN_ONE.to_owned(), SCHEDULER.to_owned()]).collect()
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
    /// The owner of what a built-in controller makes, changes or deletes: a Deployment's old ReplicaSets have its
    /// annotations, and go as it says. Anyone can write an owner reference, so that it says
    /// nothing about what anyone else makes.
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
