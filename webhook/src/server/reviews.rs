//! A review on the event loop: rejects what needs no evaluation, and passes the rest to an evaluating thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use tokio::time::timeout_at;

use super::connections::Seat;
use super::gate::Place;
use super::judging::{self, Reply, Task};
use super::tls::Peer;
use super::{App, Webhook, timeout};
use crate::model::MAX_BODY;

/// Maximum number of bytes of an oversized body that are read and discarded. If a connection is closed with unread
/// data, it is reset, and the client does not get the answer.
const MAX_DISCARDED: usize = 3 * MAX_BODY;

/// How long to drain the body of a rejected request, over HTTP/1.1. HTTP/2 does not need this.
const PATIENCE: Duration = Duration::from_secs(1);

/// The outcome of a request that found no place.
pub(super) const OVERLOADED: &str = "overloaded";

const MALFORMED: &str = "malformed";

/// The query of a review. Other parameters are ignored.
#[derive(Debug, serde::Deserialize)]
struct Parameters {
    timeout: Option<String>,
}

pub(super) async fn answer(State(app): State<Arc<App>>, webhook: Webhook, request: Request) -> Reply {
    let started = Instant::now();
    let in_flight = app.metrics.enter();
    let answer = review(&app, webhook, request, started).await.unwrap_or_else(|refusal| refusal);
    drop(in_flight);
    app.metrics.reviewed(webhook, answer.outcome, started.elapsed());
    answer
}

/// Answers a request for a review.
///
/// # Errors
/// The answer to a request that is rejected without an evaluation.
async fn review(app: &App, webhook: Webhook, request: Request, started: Instant) -> Result<Reply, Reply> {
    let (head, body) = request.into_parts();
    check_peer(head.extensions.get())?;
    let Some(seat) = head.extensions.get::<Arc<Seat>>() else { return Err(overloaded()) };
    let reads_away = head.version < Version::HTTP_2;
    if !app.loaded.get().context.is_ready() {
        // Without these objects, the verdict of a policy would have no meaning.
        read_away_shortly(body, reads_away).await;
        return Err(Reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            OVERLOADED,
            "plimsoll: not ready, for the objects of the cluster were not all listed yet",
        ));
    }
    let timeout = wanted_timeout(&head.uri);
    let deadline = started + timeout::ours(*timeout.as_ref().unwrap_or(&timeout::DEFAULT));
    let Ok(place) = app.gate.enter(seat.address(), deadline).await else {
        app.metrics.rejected();
        read_away_shortly(body, reads_away).await;
        return Err(overloaded());
    };
    // The client's own timeout does not count here. Otherwise a sender could hold a place as long as it likes.
    let by = deadline.min(Instant::now() + app.body_timeout);
    let body = tokio::select! {
        body = read(body, declared_length(&head.headers), &place, by) => body,
        () = place.given_up() => Err(overloaded()),
    };
    let body = body.inspect_err(|refusal| {
        if refusal.outcome == OVERLOADED {
            app.metrics.rejected();
        }
    })?;
    place.finished();
    // Checked after the body was read, because a client that is still sending would not see the answer.
    timeout?;
    check_content_type(&head.headers)?;
    if body.is_empty() {
        return Err(Reply::error(
            StatusCode::BAD_REQUEST,
            MALFORMED,
            "plimsoll: the body is empty; send an AdmissionReview",
        ));
    }
    let active = seat.active();
    let parties = app.parties.of(place.address(), &body);
    let Ok(answer) = app.pool.submit(parties, body.len(), Task { webhook, body, deadline }) else {
        app.metrics.rejected();
        return Err(overloaded());
    };
    let answer = match timeout_at(deadline.into(), answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => {
            Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "panicked", "plimsoll: it failed on this request")
        }
        Err(_) => judging::late(),
    };
    if answer.status == StatusCode::OK {
        app.gate.reviewed(place.address());
        seat.reviewed();
    }
    drop((place, active));
    Ok(answer)
}

/// Checks the client before anything of the body is read.
fn check_peer(peer: Option<&Peer>) -> Result<(), Reply> {
    let (status, message) = match peer {
        Some(Peer::Trusted) => return Ok(()),
        Some(Peer::Stranger(name)) => (
            StatusCode::FORBIDDEN,
            format!("plimsoll: the client certificate is that of {name:?}, which --client-allowed-name does not name"),
        ),
        Some(Peer::Unknown) | None => (
            StatusCode::UNAUTHORIZED,
            "plimsoll: reviews are answered to clients with a certificate of --client-ca-file alone; give the API server \
             one by --admission-control-config-file"
                .to_owned(),
        ),
    };
    Err(Reply::error(status, "unauthorized", message))
}

fn overloaded() -> Reply {
    Reply::error(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, "plimsoll: too many requests at once; try again")
}

fn too_slow() -> Reply {
    Reply::error(StatusCode::REQUEST_TIMEOUT, MALFORMED, "plimsoll: the body did not arrive in time")
}

fn wanted_timeout(uri: &Uri) -> Result<Duration, Reply> {
    let refuse = |reason: String| Reply::error(StatusCode::BAD_REQUEST, MALFORMED, reason);
    let Query(parameters) =
        Query::<Parameters>::try_from_uri(uri).map_err(|error| refuse(format!("plimsoll: {}", error.body_text())))?;
    let Some(text) = parameters.timeout else { return Ok(timeout::DEFAULT) };
    crate::model::parse_duration(&text)
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| refuse(format!("plimsoll: timeout={text:.100?} is no duration; write for instance timeout=10s")))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Accepts JSON with any parameters, because `charset=utf-8` adds nothing. A missing type counts as JSON.
fn check_content_type(headers: &HeaderMap) -> Result<(), Reply> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let text: String = value.to_str().unwrap_or_default().chars().take(100).collect();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("plimsoll: the content type is {text:?}, not application/json");
    Err(Reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, MALFORMED, message))
}

async fn read(mut body: Body, declared: Option<usize>, place: &Place<'_>, by: Instant) -> Result<Bytes, Reply> {
    if declared.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large(body, 0, by).await);
    }
    let started = Instant::now();
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    loop {
        // A large body that keeps arriving gets more time: the same again for each MiB that has arrived.
        let arrived = u32::try_from((first.len() + whole.len()) >> 20).unwrap_or(u32::MAX);
        let by = by + (by - started).saturating_mul(arrived);
        let Some(frame) = timeout_at(by.into(), body.frame()).await.map_err(|_| too_slow())? else { break };
        let broken = |_| Reply::error(StatusCode::BAD_REQUEST, MALFORMED, "plimsoll: the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let length = first.len() + whole.len();
        if length + data.len() > MAX_BODY {
            return Err(too_large(body, length + data.len(), by).await);
        }
        place.hold(data.len(), by).await.map_err(|_| overloaded())?;
        if length == 0 {
            // Most reviews arrive in one piece, which is not copied.
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        // No memory is reserved for the declared length.
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

async fn too_large(body: Body, so_far: usize, by: Instant) -> Reply {
    let _ = timeout_at(by.into(), read_away(body, so_far)).await;
    let message = format!("plimsoll: the body is larger than {} MiB", MAX_BODY >> 20);
    Reply::error(StatusCode::PAYLOAD_TOO_LARGE, MALFORMED, message)
}

/// Drains a body for a short time. HTTP/1.1 resets a connection that is closed with unread data, and loses the answer.
async fn read_away_shortly(body: Body, needed: bool) {
    if needed {
        let _ = tokio::time::timeout(PATIENCE, read_away(body, 0)).await;
    }
}

async fn read_away(mut body: Body, so_far: usize) {
    let mut length = so_far;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
        if length > MAX_DISCARDED {
            return;
        }
    }
}
