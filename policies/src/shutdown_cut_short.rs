use plimsoll_sdk::prelude::*;
use plimsoll_sdk::shutdown::{grace_period, pre_stop_sleep};

/// Settings of `shutdown-cut-short`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Seconds that a program needs between SIGTERM and its end
    #[settings(default = 10, minimum = 0)]
    drain_seconds: i64,
}

/// Pods that are killed before they can finish.
///
/// ## What it finds
/// The time between the end of a container's `preStop` and the end of `terminationGracePeriodSeconds` (30, where nobody
/// wrote it), in a workload that runs on. The grace period begins before `preStop`. What `preStop` takes is known for
/// `sleep`, and for a command that is nothing but `sleep` and a number of seconds.
///
/// - `error`: `preStop` takes all of it, so that the program gets SIGTERM and, two seconds later, SIGKILL.
/// - `error`: the grace period is 0. Then there is neither `preStop` nor SIGTERM. The Pod of a StatefulSet is taken as gone
///   before anybody knows that it is, so that two of one name may write to the same volume.
/// - `warning`: less than `drainSeconds` remain.
///
/// ## Why
/// Each rollout and each drain ends Pods. Requests that run are cut off, and what was to be written is lost; a native
/// sidecar stops after the app, within the same period.
///
/// ## What to write
/// A grace period of the time that `preStop` takes and that the longest request takes:
///
/// ```yaml
/// terminationGracePeriodSeconds: 30
/// containers:
///   - name: app
///     lifecycle: {preStop: {sleep: {seconds: 10}}}
/// ```
///
/// `--fix` raises it to the time of `preStop` and twice `drainSeconds`; in the place of a 0 `--fix=unsafe` writes 30.
///
/// ## Settings
/// `drainSeconds`: what the program needs after SIGTERM.
#[policy(
    category = "rollout", on = LongRunning, severity = Error, since = "0.1.0",
    edits = ["{template}/spec/terminationGracePeriodSeconds"]
)]
pub fn shutdown_cut_short(review: &Review, settings: &Settings, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let at = template.spec().at("terminationGracePeriodSeconds");
    let Some(grace) = grace_period(template) else { return };
    if grace == 0 {
        let mut message = "a grace period of 0 s: the Pod is killed at once, without preStop and SIGTERM".to_owned();
        if review.is("apps/StatefulSet") {
            message.push_str(", and another of its name may start before it has ended");
        }
        let fix = Fix::changing("give it 30 s to end").replace(&at, 30_i64);
        findings.error(&at, message, "write terminationGracePeriodSeconds: 30").fix(fix);
        return;
    }
    let running = template.containers().iter().filter(|container| container.class().runs_on());
    // One period for all of them, so the longest decides.
    let hooks = running.filter_map(|container| Some((container, pre_stop_sleep(container)?.seconds)));
    let longest = hooks.reduce(|longest, next| if next.1 > longest.1 { next } else { longest });
    let taken = longest.as_ref().map_or(0, |(_, seconds)| *seconds);
    let left = grace.saturating_sub(taken);
    if left >= settings.drain_seconds.max(1) {
        return;
    }
    let wanted = taken.saturating_add(settings.drain_seconds.saturating_mul(2).max(1));
    let help = format!("write terminationGracePeriodSeconds: {wanted}");
    let (severity, message) = match longest.as_ref().map(|(container, _)| container.describe()) {
        Some(who) if left <= 0 => (
            Severity::Error,
            format!("preStop of {who} takes {taken} s of a grace period of {grace} s: none is left after SIGTERM"),
        ),
        Some(who) => (
            Severity::Warning,
            format!("preStop of {who} takes {taken} s of a grace period of {grace} s: {left} s are left after SIGTERM"),
        ),
        None => (Severity::Warning, format!("a grace period of {grace} s is all that is left after SIGTERM")),
    };
    let fix = Fix::safe(format!("give it {wanted} s to end"));
    let fix = if at.exists() { fix.replace(&at, wanted) } else { fix.add(&at, wanted) };
    let finding = findings.report(severity, &at, message, help);
    finding.fix(fix);
    if let Some((container, _)) = longest {
        finding.about(&container.at("lifecycle/preStop"));
    }
}
