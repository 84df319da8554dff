//! The routes, and those that are not reviews.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::judging::{Answer, Content};
use super::{App, Webhook, metrics, reviews};

pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/validate", post(|app, request| reviews::answer(app, Webhook::Validate, request)))
        .route("/mutate", post(|app, request| reviews::answer(app, Webhook::Mutate, request)))
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .fallback(unknown)
        .with_state(app)
}

/// A URL that nobody serves is an error, never an answer: a webhook that is registered under it must not allow.
async fn unknown(uri: Uri) -> Response {
    let text = format!(
        "plimsoll: nothing is served at {}, only /validate, /mutate, /livez, /readyz and /metrics\n",
        uri.path()
    );
    (StatusCode::NOT_FOUND, text).into_response()
}

/// The checks that hold since the server was made are listed all the same: people look for them when it is not ready.
async fn readyz(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let draining = app.draining.load(Ordering::Relaxed);
    let status = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let verbose =
        uri.query().is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")));
    let mut text = String::new();
    if verbose {
        let loaded = app.loaded.get();
        let (bundles, policies) = (loaded.registry.bundles().len(), loaded.registry.policies().count());
        let _ = writeln!(text, "[+] bundles compiled: {bundles}");
        let _ = writeln!(text, "[+] settings valid: {policies} policies");
        let _ = writeln!(text, "[+] certificate loaded");
        let _ = writeln!(text, "[{}] not shutting down", if draining { '-' } else { '+' });
    }
    text.push_str(if draining { "shutting down" } else { "ok" });
    (status, text).into_response()
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.encode(&app.loaded.get()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = match self.content {
            Content::Json(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Content::Text(text) => format!("{text}\n").into_response(),
        };
        *response.status_mut() = self.status;
        if self.outcome == reviews::OVERLOADED {
            // The API server repeats a request that was answered with 429 or 5xx and this header, in whole seconds, as
            // long as its own deadline lasts; without the header it gives up at once.
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
