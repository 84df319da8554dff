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
/// `sleep`. A command takes at least the sum of its sleeps of a constant length that run whatever happens. A sleep behind
/// `||`, in a branch or a loop, beside other commands, or behind what ends the program does not count. Nor does one behind
/// `&&` of a command that may fail.
///
/// - `error`: `preStop` takes all of it, so that the program gets SIGTERM and, two seconds later, SIGKILL.
/// - `warning`: less than `drainSeconds` remain after `preStop`.
/// - `info`: the author wrote a period that is shorter than `drainSeconds`. That is a choice.
/// - `info`: the period is 0. The API server then deletes the Pod at once, and nothing waits for its containers. The
///   kubelet gives them 1 second for `preStop` and 2 seconds after SIGTERM. In a StatefulSet this is a `warning`: another
///   Pod of the same name may start and write to the same volume before the first has ended.
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
/// `--fix=hardening` writes the time of `preStop` and twice `drainSeconds` where no period is written. In the place of a
/// period only `--fix=unsafe` writes another one.
///
/// ## Settings
/// `drainSeconds`: what the program needs after SIGTERM.
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
            "a grace period of 0 s: the Pod is deleted at once, and nothing waits until its containers have ended";
        let (severity, message) = match review.is(Kind::STATEFUL_SET) {
            true => (Severity::Warning, format!("{message}; another of its name may start before that")),
            false => (Severity::Info, message.to_owned()),
        };
        let fix = Fix::changing("give it 30 s to end").replace(&at, 30_i64);
        findings.report(severity, &at, message, "write terminationGracePeriodSeconds: 30").fix(fix);
        return;
    }
    let running = template.containers().iter().filter(|container| container.class().runs_on());
    // One period for all of them, so the longest decides.
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
        true => "write a sleep that ends, and a terminationGracePeriodSeconds that is longer".to_owned(),
        false => format!("write terminationGracePeriodSeconds: {wanted}"),
    };
    // The author chose the period, whatever of it preStop takes.
    let is_chosen = at.exists() && left > 0 && grace < settings.drain_seconds;
    let little = if is_chosen { Severity::Info } else { Severity::Warning };
    let takes = longest.as_ref().map(|(container, sleep)| {
        let who = container.describe();
        match sleep.is_all {
            _ if is_endless => format!("preStop of {who} never ends, with a grace period of {grace} s"),
            true => format!("preStop of {who} takes {taken} s of a grace period of {grace} s"),
            false => format!("preStop of {who} takes at least {taken} s of a grace period of {grace} s"),
        }
    });
    let (severity, message) = match takes {
        Some(takes) if left <= 0 => (Severity::Error, format!("{takes}: none is left after SIGTERM")),
        Some(takes) => (little, format!("{takes}: {left} s are left after SIGTERM")),
        None => (little, format!("a grace period of {grace} s is all that is left after SIGTERM")),
    };
    let title = format!("give it {wanted} s to end");
    // A program that ends in time does not notice a longer period. A period that is written is its author's choice.
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
