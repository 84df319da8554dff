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
/// The policy computes the time that remains between the end of `preStop` and the end of
/// `terminationGracePeriodSeconds` (default 30). It looks at the containers of long-running workloads. The grace period
/// begins before `preStop`.
///
/// The duration of `preStop` is known for `sleep`. A command takes at least the sum of its sleeps of a constant length
/// that always run. These sleeps do not count:
///
/// - a sleep behind `||`, in a branch or in a loop;
/// - a sleep that runs beside other commands;
/// - a sleep after a command that ends the program;
/// - a sleep behind `&&` of a command that may fail.
///
/// Findings:
///
/// - `error`: `preStop` takes the whole period, so the program gets SIGTERM and, two seconds later, SIGKILL.
/// - `warning`: less than `drainSeconds` remain after `preStop`.
/// - `info`: the author wrote a period that is shorter than `drainSeconds`. That is a choice.
/// - `info`: the period is 0. The API server then deletes the Pod at once, and nothing waits for its containers. The
///   kubelet gives them 1 second for `preStop` and 2 seconds after SIGTERM. In a StatefulSet this is a `warning`:
///   another Pod of the same name may start and write to the same volume before the first has ended.
///
/// ## Why
/// Each rollout and each drain ends Pods. Running requests are cut off, and data that was not yet written is lost. A
/// native sidecar stops after the app, within the same period.
///
/// ## What to write
/// A grace period that covers `preStop` and the longest request:
///
/// ```yaml
/// terminationGracePeriodSeconds: 30
/// containers:
///   - name: app
///     lifecycle: {preStop: {sleep: {seconds: 10}}}
/// ```
///
/// If no period is written, `--fix=hardening` writes the time of `preStop` plus twice `drainSeconds`. If a period is
/// written, only `--fix=unsafe` replaces it.
///
/// ## Settings
/// `drainSeconds`: the time that the program needs after SIGTERM.
#[policy(
    on = LongRunning, severity = Error, since = "0.1.0",
    edits = ["{template}/spec/terminationGracePeriodSeconds"],
    default = Warn,
    covers = ["shutdown-prestop-ge-grace", "shutdown-budget", "shutdown-grace-zero", "sts-grace-zero"]
)]
pub fn shutdown_cut_short(review: &Review, settings: &Settings, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let at = template.spec().at("/terminationGracePeriodSeconds");
    let Some(grace) = grace_period(template) else { return };
    if grace == 0 {
        let message =
            "terminationGracePeriodSeconds is 0: the Pod is deleted at once, before its containers have ended";
        let (severity, message) = match review.is(Kind::STATEFUL_SET) {
            true => (Severity::Warning, format!("{message}; another Pod of the same name may start before that")),
            false => (Severity::Info, message.to_owned()),
        };
        let fix = Fix::changing("Set terminationGracePeriodSeconds to 30").replace(&at, 30_i64);
        findings.report(severity, &at, message, "write terminationGracePeriodSeconds: 30").fix(fix);
        return;
    }
    let running = template.containers().iter().filter(|container| container.class().runs_on());
    // All containers share one period, so the longest `preStop` decides.
    let hooks = running.filter_map(|container| Some((container, pre_stop_sleep(container)?)));
    let longest = hooks.reduce(|longest, next| if next.1.seconds > longest.1.seconds { next } else { longest });
    let taken = longest.as_ref().map_or(0, |(_, sleep)| sleep.seconds);
    let left = grace.saturating_sub(taken);
    if left >= settings.drain_seconds.max(1) {
        return;
    }
    let wanted = taken.saturating_add(settings.drain_seconds.saturating_mul(2).max(1));
    let is_endless = taken == i64::MAX;
    let help = match is_endless {
        true => "write a sleep that ends, and a longer terminationGracePeriodSeconds".to_owned(),
        false => format!("write terminationGracePeriodSeconds: {wanted}"),
    };
    // The author chose the period, whatever share of it `preStop` takes.
    let is_chosen = at.exists() && left > 0 && grace < settings.drain_seconds;
    let little = if is_chosen { Severity::Info } else { Severity::Warning };
    let takes = longest.as_ref().map(|(container, sleep)| {
        let who = container.describe();
        match sleep.is_all {
            _ if is_endless => format!("preStop of {who} never ends, and terminationGracePeriodSeconds is {grace}"),
            true => format!("preStop of {who} takes {taken} s of terminationGracePeriodSeconds {grace}"),
            false => format!("preStop of {who} takes at least {taken} s of terminationGracePeriodSeconds {grace}"),
        }
    });
    let (severity, message) = match takes {
        Some(takes) if left <= 0 => (Severity::Error, format!("{takes}: no time is left after SIGTERM")),
        Some(takes) => (little, format!("{takes}: {left} s are left after SIGTERM")),
        None => (little, format!("terminationGracePeriodSeconds is {grace}: only {grace} s are left after SIGTERM")),
    };
    let title = format!("Set terminationGracePeriodSeconds to {wanted}");
    // A program that ends in time is not affected by a longer period. A written period is the author's choice.
    let fix = match at.exists() {
        true => Fix::changing(title).replace(&at, wanted),
        false => Fix::hardening(title).add(&at, wanted),
    };
    let finding = findings.report(severity, &at, message, help);
    if !is_endless {
        finding.fix(fix);
    }
    if let Some((container, _)) = longest {
        finding.about(&container.at("/lifecycle/preStop"));
    }
}
