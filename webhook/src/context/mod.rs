//! The other objects that a policy may ask for: five questions, answered from one snapshot.
//!
//! ```text
//! files of a check ─▶ files ─┐                       ┌─ Surrounded: lays the reviewed object over it
//!                            ├─ index ─▶ a snapshot ─┤
//! API server ─▶ watch ───────┘                       └─ live: asks the API server itself, before a Deny
//! ```

#[cfg(feature = "serve")]
mod events;
pub mod files;
mod gaps;
mod index;
mod kept;
#[cfg(feature = "serve")]
pub mod live;
#[cfg(feature = "serve")]
mod revisions;
mod rights;
#[cfg(feature = "serve")]
pub(crate) mod served;
mod versions;
#[cfg(feature = "serve")]
pub mod watch;

use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use plimsoll_flat::Node;
use plimsoll_sdk::kind::Kind;

pub use plimsoll_sdk::question::Question;
pub use rights::rights;

use crate::admission::authored::Authorship;
use crate::admission::decide::{Looked, Owner, Revision};
use crate::engine::{Answer, Surroundings};
use crate::model::{Knowledge, Operation, Review, Subject};
use crate::registry::Workloads;
use kept::Keeping;

/// Maximum number of documents in an answer. A longer answer is cut, and is then incomplete.
pub const MAX_DOCUMENTS: usize = 256;

/// Maximum size of the documents in an answer, in bytes; the first document may be larger. Copying this many bytes
/// takes 0.13 ms.
pub const MAX_BYTES: usize = 512 << 10;

/// `group/Kind` of namespaces.
pub const NAMESPACE: &str = Kind::NAMESPACE.as_str();

/// Kind of Secrets.
const SECRET: Kind<'static> = Kind::new("/Secret");

/// Answers questions about the objects of a namespace.
pub trait Context: Send + Sync + std::fmt::Debug {
    /// The known objects of this `group/Kind` that belong to the answer.
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer;
    /// The part that a review in this namespace sees, which never changes. None if the context itself never changes.
    fn snapshot(&self, _namespace: &str) -> Option<Arc<dyn Context>> {
        None
    }
    /// The cluster itself, if there is one.
    fn live(&self) -> Option<&dyn Live> {
        None
    }
    /// Whether all required objects were listed once.
    fn is_ready(&self) -> bool {
        true
    }
    /// The state of the watched kinds.
    fn watched(&self) -> Vec<Watched> {
        Vec::new()
    }
}

/// The context that one review sees from start to end.
pub fn pinned(context: &Arc<dyn Context>, review: &Review) -> Arc<dyn Context> {
    context.snapshot(&review.namespace).unwrap_or_else(|| Arc::clone(context))
}

/// A kind that is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Watched {
    /// `group/Kind`
    pub kind: String,
    /// How well it is known.
    pub state: Knowing,
    /// The current problem, if there is one.
    pub trouble: Option<String>,
    /// Number of known objects.
    pub objects: usize,
    /// Size of their documents, in bytes.
    pub bytes: usize,
    /// Number of failed lists and watches.
    pub failures: u64,
}

/// How well a kind is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knowing {
    /// It was not listed yet, so answers about it are incomplete.
    Awaited,
    /// The API server is reporting its changes.
    Current,
    /// The last known state is in use, because the API server stopped reporting.
    Stale,
    /// The API server does not serve the kind, so no objects exist.
    NotServed,
}

/// No policy ever sees a Secret, even if it declares the kind.
pub(crate) fn is_secret(kind: &str) -> bool {
    kind == SECRET.as_str()
}

/// Reads the cluster itself, freshly and with a time limit, for facts that a Deny may depend on.
pub trait Live: Send + Sync + std::fmt::Debug {
    /// Whether this owner exists.
    fn owner(&self, namespace: &str, owner: &Owner, until: Instant) -> Looked<()>;
    /// The revisions that the workload controls, if they can be read in time.
    fn revisions(&self, workload: &Review, until: Instant) -> Looked<Vec<Revision>>;
    /// Whether the namespace is being deleted.
    fn terminating(&self, namespace: &str, until: Instant) -> Looked<bool>;
    /// The same context, freshly read. If a part can't be read in time, `known` answers, so that slowness changes
    /// nothing.
    fn anew(&self, known: &Arc<dyn Context>, until: Instant) -> Arc<dyn Context>;
    /// Records an Event about the reviewed object, without waiting.
    fn record(&self, review: &Review, reason: &str, message: String);
}

/// No other objects are known: every answer is incomplete.
#[derive(Clone, Copy, Debug)]
pub struct Unknown;

impl Context for Unknown {
    fn answer(&self, _: &str, _: &str, _: Question<'_>) -> Answer {
        Answer::unknown()
    }
}

/// One review with its surroundings, from which a policy's imports are answered.
#[derive(Debug)]
pub struct Surrounded {
    review: Arc<Review>,
    authorship: Authorship,
    context: Arc<dyn Context>,
    workloads: Arc<Workloads>,
    /// The object and the old object as they appear in answers. They are made at the first question, because many
    /// policies ask.
    own: [OnceLock<Option<Vec<u8>>>; 2],
    /// The last valid document that a guest asked with. A guest often asks for several kinds with the same selector.
    sound: Mutex<Vec<u8>>,
}

impl Surrounded {
    /// A review among these other objects.
    pub fn new(review: Arc<Review>, context: Arc<dyn Context>) -> Self {
        static KNOWN: LazyLock<Arc<Workloads>> = LazyLock::new(Arc::default);
        let authorship = Authorship::new(Arc::clone(&review));
        let own = [OnceLock::new(), OnceLock::new()];
        Self { authorship, review, context, workloads: Arc::clone(&KNOWN), own, sound: Mutex::default() }
    }

    /// Uses the kinds with a pod template of a configuration.
    #[must_use]
    pub fn knowing(self, workloads: &Arc<Workloads>) -> Self {
        Self { workloads: Arc::clone(workloads), ..self }
    }

    /// Tells which fields the author of the review wrote.
    pub fn authorship(&self) -> &Authorship {
        &self.authorship
    }

    /// Validates a guest's document first, because it is not trusted. A broken document gets no answer.
    fn with(&self, document: &[u8], answer: impl FnOnce(Node<'_>) -> Answer) -> Answer {
        let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
        if *sound != document {
            if plimsoll_flat::validate(document).is_err() {
                return Answer::unknown();
            }
            document.clone_into(&mut sound);
        }
        drop(sound);
        Node::root(document).map_or_else(|_| Answer::unknown(), answer)
    }

    fn answer(&self, subject: Subject, kind: &str, question: Question<'_>) -> Answer {
        if is_secret(kind) {
            return Answer::unknown();
        }
        let answer = self.context.answer(&self.review.namespace, kind, question);
        let own = &self.review.kind;
        if kind.split_once('/') == Some((&own.group, &own.kind)) {
            self.overlay(subject, kind, question, answer)
        } else {
            answer
        }
    }

    /// The answer with the judged version of the reviewed object in place of the stored one. A deleted object is left
    /// out.
    fn overlay(&self, subject: Subject, kind: &str, question: Question<'_>, mut answer: Answer) -> Answer {
        let review = &self.review;
        let (object, own) = match (review.operation, subject) {
            (Operation::Delete, _) => (None, &self.own[0]),
            (_, Subject::Object) => (review.object(), &self.own[0]),
            (_, Subject::OldObject) => (review.old_object(), &self.own[1]),
        };
        let is_before = |document: &Vec<u8>| name_of(document) < review.name.as_str();
        if !review.name.is_empty() {
            answer.documents.retain(|document| name_of(document) != review.name);
        }
        let shape = self.workloads.shape(kind);
        let keeping = Keeping::new(shape, self.workloads.shown(kind));
        let called = object.filter(|_| review.is_called()).and_then(|_| review.object_as_called());
        let called = called.and_then(|object| plimsoll_flat::to_document(&object).ok());
        let object = called.as_deref().and_then(|document| Node::root(document).ok()).or(object);
        let belongs = object.filter(|object| question.matches(shape, &review.namespace, *object));
        if let Some(own) = belongs.and_then(|object| own.get_or_init(|| keeping.document(object)).as_ref()) {
            answer.documents.insert(answer.documents.partition_point(is_before), own.clone());
            if answer.documents.len() > MAX_DOCUMENTS {
                answer.documents.truncate(MAX_DOCUMENTS);
                answer.complete = false;
            }
        }
        answer
    }
}

fn name_of(document: &[u8]) -> &str {
    Node::root(document).ok().and_then(|object| object.at("/metadata/name")?.as_str()).unwrap_or_default()
}

impl Surroundings for Surrounded {
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer {
        self.answer(subject, kind, Question::Get { name })
    }

    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer {
        self.with(labels, |labels| self.answer(subject, kind, Question::Selecting { labels }))
    }

    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer {
        self.with(selector, |selector| self.answer(subject, kind, Question::SelectedBy { selector }))
    }

    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        self.answer(subject, kind, Question::Referring { kind: ref_kind, name: ref_name })
    }

    fn listing(&self, subject: Subject, kind: &str) -> Answer {
        self.answer(subject, kind, Question::Listing)
    }

    fn authored(&self, subject: Subject, pointer: &str) -> Knowledge {
        self.authorship.ask(subject, pointer)
    }
}

#[cfg(test)]
mod tests;
