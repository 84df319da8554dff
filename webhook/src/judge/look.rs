//! Looks up facts in the cluster for one review: first in the watches, then at the API server, with a time limit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_flat::Node;

use crate::admission::decide::{Looked, Owner, Revision};
use crate::context::{Context, Live, NAMESPACE, Question};
use crate::model::Review;

/// Total time that one review may spend on requests to the API server.
const LOOKING: Duration = Duration::from_millis(100);

/// Looks up facts for one review.
pub(super) struct Look<'a> {
    context: &'a Arc<dyn Context>,
    review: &'a Review,
    /// End of the time for requests. It is set at the first request.
    until: Option<Instant>,
    deadline: Instant,
}

impl<'a> Look<'a> {
    pub(super) fn new(context: &'a Arc<dyn Context>, review: &'a Review, deadline: Instant) -> Self {
        Self { context, review, until: None, deadline }
    }

    /// Whether an owner exists. A watched owner exists, or did a moment ago. The API server is asked only if no watch
    /// has it.
    pub(super) fn owner(&mut self, owner: &Owner) -> Looked<()> {
        let review = self.review;
        let (group, _) = owner.api_version.split_once('/').unwrap_or_default();
        let kind = format!("{group}/{}", owner.kind);
        let known = self.watched(&review.namespace, &kind, &owner.name, |object| {
            object.at("/metadata/uid").and_then(Node::as_str) == Some(&owner.uid)
        });
        match known {
            Some(true) => Looked::Found(()),
            _ => self.at(|live, until| live.owner(&review.namespace, owner, until)),
        }
    }

    /// Whether the review's namespace is being deleted.
    pub(super) fn terminating(&mut self) -> Looked<bool> {
        let namespace = &self.review.namespace;
        let known = self.watched("", NAMESPACE, namespace, |object| {
            object.at("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
        });
        match known {
            Some(known) => Looked::Found(known),
            None => self.at(|live, until| live.terminating(namespace, until)),
        }
    }

    /// The revisions of the reviewed workload. They are not watched, because their templates would take more memory
    /// than all other objects together.
    pub(super) fn revisions(&mut self) -> Looked<Vec<Revision>> {
        let review = self.review;
        self.at(|live, until| live.revisions(review, until))
    }

    /// The context, read freshly. None without a cluster.
    pub(super) fn anew(&mut self) -> Option<Arc<dyn Context>> {
        let live = self.context.live()?;
        Some(live.anew(self.context, self.until()))
    }

    /// Whether `says` holds for an object in the watch. None if the watch does not know the object.
    fn watched(&self, namespace: &str, kind: &str, name: &str, says: impl Fn(Node<'_>) -> bool) -> Option<bool> {
        let answer = self.context.answer(namespace, kind, Question::Get { name });
        let document = answer.documents.first().filter(|_| answer.complete)?;
        Node::root(document).ok().map(says)
    }

    fn at<T>(&mut self, look: impl FnOnce(&dyn Live, Instant) -> Looked<T>) -> Looked<T> {
        let Some(live) = self.context.live() else { return Looked::Unknown };
        let looked = look(live, self.until());
        if matches!(looked, Looked::Unknown) && is_due() {
            tracing::warn!(
                uid = self.review.uid,
                "the API server did not say in time what a decision depends on; this is mentioned once a minute"
            );
        }
        looked
    }

    fn until(&mut self) -> Instant {
        *self.until.get_or_insert_with(|| self.deadline.min(Instant::now() + LOOKING))
    }
}

/// Whether the log may mention a slow API server again. Otherwise every review could write this line.
fn is_due() -> bool {
    const QUIET: Duration = Duration::from_secs(60);
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let is_due = last.is_none_or(|at| at.elapsed() >= QUIET);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}
