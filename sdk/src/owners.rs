//! Which owner references count: anyone can write one, so that it says nothing by itself.

use std::collections::BTreeMap;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption;
use crate::kind::{Kind, OwnedKind};
use crate::review::Review;

/// Maximum number of owners that one review asks the host for. Any object can name one, so each question could be another one.
/// Owners among the objects that the host showed anyway need no question.
const MAX_OWNERS: usize = 32;

/// The owners that are known in a review.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// By `group/Kind` and name, the uid of the one that exists.
    uids: BTreeMap<OwnedKind, BTreeMap<String, Option<String>>>,
    /// By `group/Kind`, what the host showed and was not looked through.
    shown: BTreeMap<OwnedKind, Vec<Rc<Answer>>>,
    asked: usize,
}

impl Owners {
    /// The host showed these objects of a `group/Kind`.
    pub(crate) fn saw(&mut self, kind: Kind<'_>, answer: &Rc<Answer>) {
        if !answer.documents.is_empty() {
            self.shown.entry(kind.into()).or_default().push(Rc::clone(answer));
        }
    }

    /// The uid of the one of this name, if that is known.
    fn find(&mut self, kind: &OwnedKind, name: &str) -> Option<&Option<String>> {
        if let Some(shown) = self.shown.remove(kind) {
            let uids = self.uids.entry(kind.clone()).or_default();
            for object in shown.iter().flat_map(|answer| answer.nodes()) {
                let uid = object.at("/metadata/uid").and_then(Node::as_str).map(str::to_owned);
                uids.entry(disruption::name(object).to_owned()).or_insert(uid);
            }
        }
        self.uids.get(kind)?.get(name)
    }
}

/// Whether another object made this one, of this `group/Kind`, and looks after it.
///
/// Its controller has to exist in this namespace with the uid of the reference, and to be of a kind that makes such
/// objects: a Deployment makes ReplicaSets and never another Deployment. A kind that the configuration brought may make
/// anything. A controller that does not exist, or of a kind that is not known here, does not count.
pub fn is_owned(review: &Review<'_>, kind: Kind<'_>, object: Node<'_>) -> bool {
    owned(review, kind, object) == Some(true)
}

/// The same; none where too many owners were asked for to know.
pub(crate) fn owned(review: &Review<'_>, kind: Kind<'_>, object: Node<'_>) -> Option<bool> {
    match controlling(object) {
        Some(owner) if group_kind(owner).is_some_and(|maker| makes(review, maker.get(), kind)) => exists(review, owner),
        _ => Some(false),
    }
}

/// `group/Kind` and name of the controller that an object names, whether that exists or not.
pub fn controller(object: Node<'_>) -> Option<(OwnedKind, &str)> {
    let owner = controlling(object)?;
    Some((group_kind(owner)?, text(owner, "name")?))
}

/// The API server refuses a second one.
fn controlling(object: Node<'_>) -> Option<Node<'_>> {
    references(object).find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true))
}

/// Whether the reviewed object is owned in this sense.
pub fn is_reviewed_owned(review: &Review<'_>) -> bool {
    review.object().node().is_some_and(|object| is_owned(review, review.own_kind().get(), object))
}

/// Whether an object of this `group/Kind` owns this one, and exists in this namespace with the uid of the reference.
pub fn is_owned_by(review: &Review<'_>, kind: Kind<'_>, object: Node<'_>) -> bool {
    let mut owners = references(object).filter(|owner| group_kind(*owner).is_some_and(|owner| owner == kind));
    owners.any(|owner| exists(review, owner) == Some(true))
}

/// What the built-in controllers, Argo Rollouts and KEDA make, and of what.
const MAKERS: [(Kind<'static>, &[Kind<'static>]); 5] = [
    (Kind::POD, &[Kind::REPLICA_SET, Kind::STATEFUL_SET, Kind::DAEMON_SET, Kind::REPLICATION_CONTROLLER, Kind::JOB]),
    (Kind::REPLICA_SET, &[Kind::DEPLOYMENT, Kind::ROLLOUT]),
    (Kind::JOB, &[Kind::CRON_JOB]),
    (Kind::CONTROLLER_REVISION, &[Kind::STATEFUL_SET, Kind::DAEMON_SET]),
    (Kind::HORIZONTAL_POD_AUTOSCALER, &[Kind::SCALED_OBJECT]),
];

/// Whether the controller of objects of one `group/Kind` makes those of another one, `made`.
#[must_use]
pub fn is_made_of(made: Kind<'_>, maker: Kind<'_>) -> bool {
    MAKERS.iter().any(|(kind, makers)| *kind == made && makers.contains(&maker))
}

fn makes(review: &Review<'_>, maker: Kind<'_>, made: Kind<'_>) -> bool {
    is_made_of(made, maker) || review.further_workloads().any(|(kind, _)| kind == maker)
}

fn references(object: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    object.at("/metadata/ownerReferences").into_iter().flat_map(Node::items)
}

fn text<'a>(owner: Node<'a>, member: &str) -> Option<&'a str> {
    owner.get(member).and_then(Node::as_str).filter(|text| !text.is_empty())
}

fn group_kind(owner: Node<'_>) -> Option<OwnedKind> {
    Some(OwnedKind::new(text(owner, "apiVersion")?, text(owner, "kind")?))
}

/// None where too many were asked for to know.
fn exists(review: &Review<'_>, owner: Node<'_>) -> Option<bool> {
    let (Some(kind), Some(name), Some(uid)) = (group_kind(owner), text(owner, "name"), text(owner, "uid")) else {
        return Some(false);
    };
    let may_ask = {
        let mut owners = review.owners().borrow_mut();
        if let Some(known) = owners.find(&kind, name) {
            return Some(known.as_deref() == Some(uid));
        }
        owners.asked += 1;
        owners.asked <= MAX_OWNERS
    };
    if !may_ask {
        return None;
    }
    let answer = review.get(kind.get(), name);
    let known = answer.nodes().next().and_then(|object| object.at("/metadata/uid")).and_then(Node::as_str);
    let mut owners = review.owners().borrow_mut();
    owners.uids.entry(kind).or_default().insert(name.to_owned(), known.map(str::to_owned));
    Some(known == Some(uid))
}
