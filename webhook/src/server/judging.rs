//! Judges one request on an evaluating thread: from the bytes of the body to the bytes of the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::Value;

use super::Webhook;
use super::complaints::Complaints;
use super::metrics::Metrics;
use crate::admission::{Verdict, respond};
use crate::judge;
use crate::model::review::Malformed;
use crate::model::{Action, Review};
use crate::serving::Loaded;

/// A queued request.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) webhook: Webhook,
    pub(super) body: Bytes,
    pub(super) deadline: Instant,
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) content: Content,
    /// One word for metrics.
    pub(super) outcome: &'static str,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    /// An AdmissionReview.
    Json(Vec<u8>),
    /// An error. The API server quotes plain text in its own message.
    Text(String),
}

impl Reply {
    pub(super) fn error(status: StatusCode, outcome: &'static str, message: impl Into<String>) -> Self {
        Self { status, content: Content::Text(message.into()), outcome }
    }

    fn review(outcome: &'static str, review: &Value) -> Self {
        match serde_json::to_vec(review) {
            Ok(body) => Self { status: StatusCode::OK, content: Content::Json(body), outcome },
            // Only a map with keys that are not strings could fail, and there is none.
            Err(error) => Self::error(StatusCode::INTERNAL_SERVER_ERROR, "failed", error.to_string()),
        }
    }
}

/// Where results are recorded.
#[derive(Debug)]
pub(super) struct Witnesses {
    pub(super) metrics: Arc<Metrics>,
    pub(super) complaints: Complaints,
}

pub(super) fn judge(loaded: &Loaded, witnesses: &Witnesses, task: &Task) -> Reply {
    let started = Instant::now();
    let answer = judged(loaded, witnesses, task, started);
    let metrics = &witnesses.metrics;
    metrics.evaluated(task.webhook, started.elapsed());
    answer
}

fn judged(loaded: &Loaded, witnesses: &Witnesses, task: &Task, started: Instant) -> Reply {
    let Task { webhook, body, deadline } = task;
    if *deadline <= started {
        return late();
    }
    let review = match Review::from_admission_review(body) {
        Ok(review) => Arc::new(review),
        Err(Malformed::Request { uid, reason }) => {
            tracing::debug!(%uid, reason, "cannot be judged");
            return Reply::review("refused", &respond::refused(&uid, reason));
        }
        // The API server quotes the text of a denial, but not of an HTTP error. If no PolicySet enforces, an HTTP error
        // is necessary.
        Err(Malformed::TooLarge { uid: Some(uid), reason }) if *webhook == Webhook::Validate && loaded.enforces => {
            return Reply::review("refused", &respond::refused(&uid, &reason));
        }
        Err(Malformed::TooLarge { reason, .. }) => {
            return Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "malformed", format!("plimsoll: {reason}"));
        }
        Err(malformed) => return Reply::error(StatusCode::BAD_REQUEST, "malformed", malformed.to_string()),
    };
    let answer = catch_unwind(AssertUnwindSafe(|| match webhook {
        Webhook::Validate => validate(loaded, witnesses, &review, *deadline),
        Webhook::Mutate => mutate(loaded, &witnesses.metrics, &review, *deadline),
    }));
    let answer = answer.unwrap_or_else(|_| panicked(loaded, *webhook, &review));
    tracing::debug!(
        uid = review.uid,
        kind = review.kind.group_kind(),
        operation = review.operation.as_str(),
        webhook = webhook.as_str(),
        outcome = answer.outcome,
        "answered"
    );
    answer
}

/// The client no longer waits, so `failurePolicy` has already decided.
pub(super) fn late() -> Reply {
    Reply::error(StatusCode::SERVICE_UNAVAILABLE, "late", "plimsoll: the time of this request is over")
}

fn validate(loaded: &Loaded, witnesses: &Witnesses, review: &Arc<Review>, deadline: Instant) -> Reply {
    let verdict = judge::validate(&loaded.registry, review, &loaded.context, deadline);
    witnesses.metrics.validated(&verdict);
    witnesses.complaints.log(review, &verdict);
    if !review.dry_run {
        record(loaded, review, &verdict);
    }
    let outcome = match verdict.action() {
        Action::Deny => "denied",
        Action::Warn => "warned",
        Action::Audit | Action::Off => "allowed",
    };
    Reply::review(outcome, &respond::validated(review, &verdict))
}

/// Records the use of break-glass: in the log, and as an Event of the object.
fn record(loaded: &Loaded, review: &Review, verdict: &Verdict) {
    let policies = verdict.broken_glass();
    if policies.is_empty() {
        return;
    }
    let (user, policies) = (&review.username, policies.join(", "));
    tracing::warn!(uid = review.uid, user, policies, "the glass was broken: this would have been denied");
    if let Some(live) = loaded.context.live() {
        let message = format!("{user} broke the glass: {policies} would have denied this");
        live.record(review, "BrokeGlass", message);
    }
}

fn mutate(loaded: &Loaded, metrics: &Metrics, review: &Arc<Review>, deadline: Instant) -> Reply {
    let mutation = judge::mutate(&loaded.registry, review, &loaded.context, deadline);
    metrics.mutated(&mutation);
    let outcome = if mutation.patch.0.is_empty() { "allowed" } else { "patched" };
    Reply::review(outcome, &respond::mutated(review, Some(&mutation.patch)))
}

/// An error is never an allow. If no PolicySet enforces, it is not a denial either. Then the answer is an HTTP error,
/// and the registered `failurePolicy` decides, which is `Ignore`.
fn panicked(loaded: &Loaded, webhook: Webhook, review: &Review) -> Reply {
    const MESSAGE: &str = "it failed on this object, which is a defect of Plimsoll: please report it";
    tracing::error!(
        uid = review.uid,
        kind = review.kind.group_kind(),
        webhook = webhook.as_str(),
        "evaluation panicked"
    );
    if webhook == Webhook::Validate && loaded.enforces {
        return Reply { outcome: "panicked", ..Reply::review("", &respond::refused(&review.uid, MESSAGE)) };
    }
    Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "panicked", format!("plimsoll: {MESSAGE}"))
}
