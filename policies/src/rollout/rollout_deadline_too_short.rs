use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::time_to_ready;

/// Default deadline of both controllers, in seconds.
const DEFAULT: i64 = 600;
/// A deadline of this value never expires.
const NEVER: i64 = i32::MAX as i64;

/// Rollouts that are declared failed before they can succeed.
///
/// ## What it finds
/// The policy looks at `progressDeadlineSeconds` of Deployments and Argo Rollouts (default 600).
///
/// - `warning`: the deadline is not longer than the time that a Pod may take to become ready.
/// - `error`: the deadline is not longer than `minReadySeconds`. The API server rejects that.
///
/// The time to become ready is the longest startup window of the app containers and native sidecars:
///
/// | the container has | startup window |
/// | --- | --- |
/// | a startupProbe | its initialDelaySeconds + failureThreshold × periodSeconds |
/// | no startupProbe | initialDelaySeconds + successThreshold × periodSeconds of the readinessProbe |
///
/// ## Why
/// The deadline restarts whenever a Pod is updated, becomes ready or becomes available. A Pod that starts slowly, but
/// within the limits of its probes, can exceed the deadline. Then the rollout counts as failed, and
/// `kubectl rollout status` returns an error. A pipeline that reacts to this error rolls back a good version.
///
/// ## What to write
/// A deadline of at least twice the time that a Pod may take:
///
/// ```yaml
/// progressDeadlineSeconds: 600
/// ```
///
/// Or write a shorter startup window, if a Pod that takes so long is broken. `--fix=unsafe` writes the longer deadline.
#[policy(
    on = Kinds, kinds = [Rolling], severity = Error,
    since = "0.1.0", edits = ["/spec/progressDeadlineSeconds"],
    default = Deny(CannotWork),
    covers = ["rollout-deadline-invalid", "rollout-deadline-short"]
)]
pub fn rollout_deadline_too_short(review: &Review, findings: &mut Findings) {
    let (deadline_at, min_ready_at) = (review.at("/spec/progressDeadlineSeconds"), review.at("/spec/minReadySeconds"));
    let read = |at: &Cursor<'_>, default: i64| if at.is_absent() { Some(default) } else { at.as_i64() };
    let (Some(deadline), Some(min_ready)) = (read(&deadline_at, DEFAULT), read(&min_ready_at, 0)) else { return };
    if deadline < 0 || min_ready < 0 {
        return;
    }
    let (ready, probe, who) = match time_to_ready(review) {
        Some((seconds, probe, container)) => (seconds, Some(probe), container.describe()),
        None => (0, None, String::new()),
    };
    let enough_to_get_ready = ready.saturating_mul(2).max(DEFAULT);
    let (severity, message, needed) = if deadline <= min_ready {
        let message = format!(
            "progressDeadlineSeconds {deadline} is not longer than minReadySeconds {min_ready}: the API server rejects it"
        );
        let needed = min_ready.saturating_add(300);
        (Severity::Error, message, if needed < ready { enough_to_get_ready } else { needed })
    } else if deadline <= ready && deadline != NEVER {
        let kind = probe.as_ref().and_then(|probe| probe_name(probe.cursor())).unwrap_or("probe");
        let when = if deadline < ready { "before" } else { "just when" };
        let message = format!(
            "progressDeadlineSeconds {deadline} expires {when} {who} must be ready: its {kind} allows {ready} s"
        );
        (Severity::Warning, message, enough_to_get_ready)
    } else {
        return;
    };
    let needed = needed.min(NEVER);
    let help = match severity {
        Severity::Error => format!("write progressDeadlineSeconds: {needed}, or a shorter minReadySeconds"),
        _ => format!("write progressDeadlineSeconds: {needed}, or a shorter startup window in the probe"),
    };
    let finding = findings.report(severity, &deadline_at, message, help);
    finding.about(&min_ready_at);
    if let Some(probe) = probe.filter(|_| severity == Severity::Warning) {
        for field in ["initialDelaySeconds", "periodSeconds", "failureThreshold", "successThreshold"] {
            finding.about(&probe.cursor().key(field));
        }
    }
    // No deadline can exceed the longest possible minReadySeconds.
    if needed > min_ready {
        let fix = Fix::changing(format!("Set progressDeadlineSeconds to {needed}"));
        finding.fix(if deadline_at.exists() {
            fix.replace(&deadline_at, needed)
        } else {
            fix.add(&deadline_at, needed)
        });
    }
}

fn probe_name(probe: &Cursor<'_>) -> Option<&'static str> {
    let pointer = probe.pointer();
    ["startupProbe", "readinessProbe"].into_iter().find(|name| pointer.ends_with(name))
}
