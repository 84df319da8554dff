//! Owner references that count. Any user can write one, so a reference alone proves nothing.

use std::collections::BTreeMap;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::disruption;
use crate::kind::{Kind, OwnedKind};
use crate::review::Review;

/// Maximum number of owners that one review asks the host for. Any object can name an owner, so each reference could be
/// a new question. Owners in earlier answers of the host need no question.
const MAX_OWNERS: usize = 32;

/// The owners that a review knows.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// The uid of each existing owner, by `group/Kind` and name.
    uids: BTreeMap<OwnedKind, BTreeMap<String, Option<String>>>,
    /// Answers of the host that were not searched yet, by `group/Kind`.
    shown: BTreeMap<OwnedKind, Vec<Rc<Answer>>>,
    asked: usize,
}

impl Owners {
    /// Remembers these objects of a `group/Kind` in an answer of the host.
    pub(crate) fn saw(&mut self, kind: Kind<'_>, answer: &Rc<Answer>) {
        if !answer.documents.is_empty() {
            self.shown.entry(kind.into()).or_default().push(Rc::clone(answer));
        }
    }

    /// The uid of the object of this kind and name, if it is known.
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

/// Whether another object created this one, of this `group/Kind`, and manages it.
///
/// The controller of the object must exist in this namespace, with the uid of the reference. It must also be of a kind
/// that creates such objects: a Deployment creates ReplicaSets, but never another Deployment. A kind from the
/// configuration may create anything. A controller does not count if it does not exist, or if its kind is not known.
pub fn is_owned(review: &Review<'_>, kind: Kind<'_>, object: Node<'_>) -> bool {
    owned(review, kind, object) == Some(true)
}

/// The same; `None` if the review has asked for too many owners to know.
pub(crate) fn owned(review: &Review<'_>, kind: Kind<'_>, object: Node<'_>) -> Option<bool> {
    match controlling(object) {
        Some(owner) if group_kind(owner).is_some_and(|maker| makes(review, maker.get(), kind)) => exists(review, owner),
        _ => Some(false),
    }
}

/// `group/Kind` and name of the controller that an object names, whether that controller exists or not.
pub fn controller(object: Node<'_>) -> Option<(OwnedKind, &str)> {
    let owner = controlling(object)?;
    Some((group_kind(owner)?, text(owner, "name")?))
}

/// The API server rejects a second controller.
fn controlling(object: Node<'_>) -> Option<Node<'_>> {
    references(object).find(|owner| owner.get("controller").and_then(Node::as_bool) == Some(true))
}

/// Whether [`is_owned`] is true for the reviewed object.
pub fn is_reviewed_owned(review: &Review<'_>) -> bool {
    review.object().node().is_some_and(|object| is_owned(review, review.own_kind().get(), object))
}

/// Whether an object of this `group/Kind` owns this one, and exists in this namespace with the uid of the reference.
pub fn is_owned_by(review: &Review<'_>, kind: Kind<'_>, object: Node<'_>) -> bool {
    let mut owners = references(object).filter(|owner| group_kind(*owner).is_some_and(|owner| owner == kind));
    owners.any(|owner| exists(review, owner) == Some(true))
}

/// Kinds of objects that the built-in controllers, Argo Rollouts and KEDA create, and the kinds that they create them
/// for.
const MAKERS: [(Kind<'static>, &[Kind<'static>]); 5] = [
    (Kind::POD, &[Kind::REPLICA_SET, Kind::STATEFUL_SET, Kind::DAEMON_SET, Kind::REPLICATION_CONTROLLER, Kind::JOB]),
    (Kind::REPLICA_SET, &[Kind::DEPLOYMENT, Kind::ROLLOUT]),
    (Kind::JOB, &[Kind::CRON_JOB]),
    (Kind::CONTROLLER_REVISION, &[Kind::STATEFUL_SET, Kind::DAEMON_SET]),
    (Kind::HORIZONTAL_POD_AUTOSCALER, &[Kind::SCALED_OBJECT]),
];

/// Whether the controller of `maker` objects creates `made` objects.
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

/// `None` if the review has asked for too many owners to know.
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
    let answer = review.resolve(kind.get(), name);
    let known = answer.nodes().next().and_then(|object| object.at("/metadata/uid")).and_then(Node::as_str);
    let mut owners = review.owners().borrow_mut();
    owners.uids.entry(kind).or_default().insert(name.to_owned(), known.map(str::to_owned));
    Some(known == Some(uid))
}
