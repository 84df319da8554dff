//! Which owner references count: anyone can write one, so that it says nothing by itself.

use std::collections::BTreeMap;

use plimsoll_flat::Node;

use crate::review::Review;

/// The owners that were asked for in a review: `group/Kind` and name, and the uid of the one that exists.
pub(crate) type Owners = BTreeMap<(String, String), Option<String>>;

/// Whether another object made this one, of this `group/Kind`, and looks after it.
///
/// Its controller has to exist in this namespace with the uid of the reference, and to be of a kind that makes such
/// objects: a Deployment makes ReplicaSets and never another Deployment. A kind that the configuration brought may make
/// anything. A controller that does not exist, or of a kind that is not known here, does not count.
pub fn is_owned(review: &Review<'_>, kind: &str, object: Node<'_>) -> bool {
    let mut references =
        references(object).filter(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true));
    references.any(|owner| group_kind(owner).is_some_and(|maker| makes(review, &maker, kind)) && exists(review, owner))
}

/// `group/Kind` and name of the controller that an object names, whether that exists or not.
pub fn controller(object: Node<'_>) -> Option<(String, &str)> {
    let owner = references(object).find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true))?;
    Some((group_kind(owner)?, text(owner, "name")?))
}

/// Whether the reviewed object is owned in this sense.
pub fn is_reviewed_owned(review: &Review<'_>) -> bool {
    let kind = [review.group(), "/", review.kind()].concat();
    review.object().node().is_some_and(|object| is_owned(review, &kind, object))
}

/// Whether an object of this `group/Kind` owns this one, and exists in this namespace with the uid of the reference.
pub fn is_owned_by(review: &Review<'_>, kind: &str, object: Node<'_>) -> bool {
    references(object).any(|owner| group_kind(owner).is_some_and(|owner| owner == kind) && exists(review, owner))
}

/// What the built-in controllers, Argo Rollouts and KEDA make, and of what.
const MAKERS: [(&str, &[&str]); 5] = [
    ("/Pod", &["apps/ReplicaSet", "apps/StatefulSet", "apps/DaemonSet", "/ReplicationController", "batch/Job"]),
    ("apps/ReplicaSet", &["apps/Deployment", "argoproj.io/Rollout"]),
    ("batch/Job", &["batch/CronJob"]),
    ("apps/ControllerRevision", &["apps/StatefulSet", "apps/DaemonSet"]),
    ("autoscaling/HorizontalPodAutoscaler", &["keda.sh/ScaledObject"]),
];

/// Whether the controller of objects of one `group/Kind` makes those of another one, `made`.
#[must_use]
pub fn is_made_of(made: &str, maker: &str) -> bool {
    MAKERS.iter().any(|(kind, makers)| *kind == made && makers.contains(&maker))
}

fn makes(review: &Review<'_>, maker: &str, made: &str) -> bool {
    is_made_of(made, maker) || review.further_workloads().any(|(kind, _)| kind == maker)
}

fn references(object: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    object.at("/metadata/ownerReferences").into_iter().flat_map(Node::items)
}

fn text<'a>(owner: Node<'a>, member: &str) -> Option<&'a str> {
    owner.get(member).and_then(Node::as_str).filter(|text| !text.is_empty())
}

fn group_kind(owner: Node<'_>) -> Option<String> {
    let group = text(owner, "apiVersion")?.split_once('/').map_or("", |(group, _)| group);
    Some(format!("{group}/{}", text(owner, "kind")?))
}

fn exists(review: &Review<'_>, owner: Node<'_>) -> bool {
    let (Some(kind), Some(name), Some(uid)) = (group_kind(owner), text(owner, "name"), text(owner, "uid")) else {
        return false;
    };
    let mut owners = review.owners().borrow_mut();
    let known = owners.entry((kind, name.to_owned())).or_insert_with_key(|(kind, name)| {
        let answer = review.get(kind, name);
        let known = answer.nodes().next().and_then(|object| object.at("/metadata/uid")).and_then(Node::as_str);
        known.map(str::to_owned)
    });
    known.as_deref() == Some(uid)
}
