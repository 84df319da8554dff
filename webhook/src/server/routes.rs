//! The routes, and the answers that are not reviews.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use time::OffsetDateTime;

use super::judging::{Content, Reply};
use super::{App, Webhook, metrics, reviews};
use crate::certs;
use crate::context::{Context, Knowing, Watched};
use crate::serving::{Part, health};

pub(super) fn all(app: Arc<App>) -> Router {
    routes_of_health()
        .route("/validate", post(|app, request| reviews::answer(app, Webhook::Validate, request)))
        .route("/mutate", post(|app, request| reviews::answer(app, Webhook::Mutate, request)))
        .fallback(|uri| unknown(uri, "/validate, /mutate, /livez, /readyz and /metrics"))
        .with_state(app)
}

/// Routes for health and metrics. Reviews are answered only over TLS.
pub(super) fn health(app: Arc<App>) -> Router {
    routes_of_health().fallback(|uri| unknown(uri, "/livez, /readyz and /metrics")).with_state(app)
}

fn routes_of_health() -> Router<Arc<App>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).route("/metrics", get(show_metrics))
}

/// An unknown URL is an error. A webhook that is registered under it must not allow anything.
async fn unknown(uri: Uri, known: &'static str) -> Response {
    let path: String = uri.path().chars().take(100).collect();
    let text = format!("plimsoll: nothing is served at {path}, only {known}\n");
    (StatusCode::NOT_FOUND, text).into_response()
}

/// Always alive: if the server can answer, a restart would not help.
async fn livez(uri: Uri) -> Response {
    checked("livez", &uri, &[Check::passed("ping", String::new())])
}

/// Lists all checks, even those that can't fail. Users look for them when the server is not ready.
async fn readyz(State(app): State<Arc<App>>, uri: Uri) -> Response {
    let loaded = app.loaded.get();
    let part = |part| app.health.of(part);
    let (bundles, policies) = (loaded.registry.bundles().len(), loaded.registry.policies().count());
    let configuration = part(Part::Configuration);
    let mut checks = vec![
        Check::passed("bundles", format!("{bundles} compiled, {policies} policies")),
        Check::passed("configuration", described(&configuration, &format!("generation {}", configuration.generation))),
        certificate(&app),
    ];
    let registration = part(Part::Registration);
    if registration.generation > 0 || registration.trouble.is_some() {
        checks.push(Check::passed("registration", registration.trouble.unwrap_or_default()));
    }
    let budgets = part(Part::Budgets);
    if budgets.generation > 0 || budgets.trouble.is_some() {
        checks.push(Check::passed("budgets", described(&budgets, "")));
    }
    checks.extend(context(&*loaded.context));
    checks.push(match app.draining.load(Ordering::Relaxed) {
        true => Check::failed("shutdown", "shutting down".to_owned()),
        false => Check::passed("shutdown", String::new()),
    });
    checked("readyz", &uri, &checks)
}

/// With an expired certificate, no client that checks it can connect. Another replica may have a valid one.
fn certificate(app: &App) -> Check {
    const NAME: &str = "certificate";
    let state = app.health.of(Part::Certificate);
    let end = app.certificate.get().cert.first().and_then(|leaf| certs::not_after(leaf));
    match end {
        Some(end) if end <= OffsetDateTime::now_utc() => {
            Check::failed(NAME, described(&state, &format!("it ended on {}", end.date())))
        }
        Some(end) => Check::passed(NAME, described(&state, &format!("until {}", end.date()))),
        None => Check::passed(NAME, described(&state, "")),
    }
}

/// The state of the context. None if nothing is watched. After the first complete lists it stays ready: old knowledge
/// is better than none, and other replicas would not know more.
fn context(context: &dyn Context) -> Option<Check> {
    const NAME: &str = "context";
    let watched = context.watched();
    let all: usize = watched.iter().map(|kind| kind.objects).sum();
    let mut detail = format!("{} kinds watched, {all} objects", watched.len());
    for Watched { kind, state, trouble, .. } in &watched {
        let why = trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
        match state {
            Knowing::Current => {}
            Knowing::NotServed if trouble.is_none() => {}
            Knowing::NotServed => detail.push_str(&format!("; {kind} was not served by the API server{why}")),
            Knowing::Awaited => detail.push_str(&format!("; {kind} is not listed yet{why}")),
            Knowing::Stale => detail.push_str(&format!("; {kind} as it was last known{why}")),
        }
    }
    let detail = health::bounded(&detail);
    match context.is_ready() {
        true if watched.is_empty() => None,
        true => Some(Check::passed(NAME, detail)),
        false => Some(Check::failed(NAME, detail)),
    }
}

fn described(state: &health::State, detail: &str) -> String {
    match &state.trouble {
        Some(trouble) if detail.is_empty() => format!("the newest change is refused: {trouble}"),
        Some(trouble) => format!("{detail}; the newest change is refused: {trouble}"),
        None => detail.to_owned(),
    }
}

/// One line of `?verbose`, in the format of kube-apiserver.
struct Check {
    name: &'static str,
    passed: bool,
    detail: String,
}

impl Check {
    fn passed(name: &'static str, detail: String) -> Self {
        Self { name, passed: true, detail }
    }

    fn failed(name: &'static str, detail: String) -> Self {
        Self { name, passed: false, detail }
    }
}

/// `ok`, or the list of all checks if one failed or `?verbose` asks for it.
fn checked(endpoint: &str, uri: &Uri, checks: &[Check]) -> Response {
    let passed = checks.iter().all(|check| check.passed);
    let wanted = |query: &str| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="));
    if passed && !uri.query().is_some_and(wanted) {
        return "ok".into_response();
    }
    let mut text = String::new();
    for Check { name, passed, detail } in checks {
        let (sign, word) = if *passed { ('+', "ok") } else { ('-', "failed") };
        let colon = if detail.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "[{sign}]{name} {word}{colon}{detail}");
    }
    let (status, word) = if passed { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    let _ = writeln!(text, "{endpoint} check {word}");
    (status, text).into_response()
}

async fn show_metrics(State(app): State<Arc<App>>) -> Response {
    match app.metrics.encode(&app) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match self.content {
            Content::Json(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Content::Text(text) => format!("{text}\n").into_response(),
        };
        *response.status_mut() = self.status;
        if self.outcome == reviews::OVERLOADED {
            // With this header, the API server retries a request that got 429 or 5xx, until its own deadline. The value
            // is in whole seconds. Without the header, it gives up at once.
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
