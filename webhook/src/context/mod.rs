//! The other objects that a policy may ask for: five questions, answered from one snapshot.

#[cfg(feature = "serve")]
mod events;
pub mod files;
#[cfg(feature = "serve")]
pub mod live;

use std::sync::Arc;
use std::time::Instant;

use plimsoll_flat::Node;

use crate::admission::Review;
use crate::admission::authored::Authorship;
use crate::admission::decide::{Looked, Owner};
use crate::engine::{Answer, Knowledge, Subject, Surroundings};

/// More documents than this are cut from an answer, which is then incomplete.
pub const MAX_DOCUMENTS: usize = 256;

/// Answers questions about the objects of one namespace.
pub trait Context: Send + Sync + std::fmt::Debug {
    /// The object of this `group/Kind` and name.
    fn get(&self, namespace: &str, kind: &str, name: &str) -> Answer;
    /// Objects of this kind whose selector matches these labels.
    fn selecting(&self, namespace: &str, kind: &str, labels: Node<'_>) -> Answer;
    /// Workloads of this kind whose pod template's labels match this selector.
    fn selected_by(&self, namespace: &str, kind: &str, selector: Node<'_>) -> Answer;
    /// Objects of this kind that refer to the named one.
    fn referring(&self, namespace: &str, kind: &str, ref_kind: &str, ref_name: &str) -> Answer;
    /// All objects of a kind.
    fn listing(&self, namespace: &str, kind: &str) -> Answer;
    /// The cluster itself, where there is one to look at.
    fn live(&self) -> Option<&dyn Live> {
        None
    }
}

/// Looks at the cluster itself, each time anew and bounded: what a Deny may still depend on.
pub trait Live: Send + Sync + std::fmt::Debug {
    /// Whether this owner exists.
    fn owner(&self, namespace: &str, owner: &Owner, until: Instant) -> Looked<()>;
    /// The pod templates of the workload's revisions, as flat documents.
    fn revisions(&self, workload: &Review, until: Instant) -> Looked<Vec<Vec<u8>>>;
    /// Whether the namespace is being deleted.
    fn terminating(&self, namespace: &str, until: Instant) -> Looked<bool>;
    /// The same context, read anew.
    fn anew(&self) -> Arc<dyn Context>;
    /// Has something about the reviewed object recorded, without waiting for it.
    fn record(&self, review: &Review, reason: &str, message: String);
}

/// Nothing is known of the other objects: every answer is incomplete.
#[derive(Clone, Copy, Debug)]
pub struct Unknown;

impl Context for Unknown {
    fn get(&self, _: &str, _: &str, _: &str) -> Answer {
        Answer::unknown()
    }
    fn selecting(&self, _: &str, _: &str, _: Node<'_>) -> Answer {
        Answer::unknown()
    }
    fn selected_by(&self, _: &str, _: &str, _: Node<'_>) -> Answer {
        Answer::unknown()
    }
    fn referring(&self, _: &str, _: &str, _: &str, _: &str) -> Answer {
        Answer::unknown()
    }
    fn listing(&self, _: &str, _: &str) -> Answer {
        Answer::unknown()
    }
}

/// One review with what surrounds it: what a policy's imports are answered from.
#[derive(Debug)]
pub struct Surrounded {
    review: Arc<Review>,
    authorship: Authorship,
    context: Arc<dyn Context>,
}

impl Surrounded {
    /// The review among these other objects.
    pub fn new(review: Arc<Review>, context: Arc<dyn Context>) -> Self {
        Self { authorship: Authorship::new(Arc::clone(&review)), review, context }
    }

    /// No policy ever sees a Secret, whatever it declares.
    fn answer(&self, kind: &str, answer: impl FnOnce(&dyn Context, &str) -> Answer) -> Answer {
        if kind == "/Secret" { Answer::unknown() } else { answer(self.context.as_ref(), &self.review.namespace) }
    }

    /// What the review's author wrote.
    pub fn authorship(&self) -> &Authorship {
        &self.authorship
    }
}

impl Surroundings for Surrounded {
    fn get(&self, _: Subject, kind: &str, name: &str) -> Answer {
        self.answer(kind, |context, namespace| context.get(namespace, kind, name))
    }

    fn selecting(&self, _: Subject, kind: &str, labels: &[u8]) -> Answer {
        self.answer(kind, |context, namespace| with(labels, |labels| context.selecting(namespace, kind, labels)))
    }

    fn selected_by(&self, _: Subject, kind: &str, selector: &[u8]) -> Answer {
        self.answer(kind, |context, namespace| {
            with(selector, |selector| context.selected_by(namespace, kind, selector))
        })
    }

    fn referring(&self, _: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        self.answer(kind, |context, namespace| context.referring(namespace, kind, ref_kind, ref_name))
    }

    fn listing(&self, _: Subject, kind: &str) -> Answer {
        self.answer(kind, |context, namespace| context.listing(namespace, kind))
    }

    fn authored(&self, subject: Subject, pointer: &str) -> Knowledge {
        self.authorship.ask(subject, pointer)
    }
}

/// A guest's document is not trusted: a broken one gets no answer.
fn with(document: &[u8], answer: impl FnOnce(Node<'_>) -> Answer) -> Answer {
    match plimsoll_flat::validate(document).and_then(|()| Node::root(document)) {
        Ok(node) => answer(node),
        Err(_) => Answer::unknown(),
    }
}
