//! How Pods end: the grace period, and what hooks take of it.

use crate::workload::{Container, PodTemplate};

/// Seconds between the wish that a Pod ends and its being killed, `preStop` included; 30 where nobody wrote it, none
/// where what is written is not a period.
#[must_use]
pub fn grace_period(template: &PodTemplate<'_>) -> Option<i64> {
    let at = template.spec().at("terminationGracePeriodSeconds");
    if at.is_absent() { Some(30) } else { at.as_i64().filter(|grace| *grace >= 0) }
}

/// A `preStop` that does nothing but wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sleep {
    /// How long.
    pub seconds: i64,
    /// Whether a program of the image waits, in the place of the kubelet.
    pub is_command: bool,
}

/// What a container's `preStop` sleeps, where it does nothing else: `sleep`, or a command that is `sleep` and a number of
/// seconds, with or without a shell around it.
#[must_use]
pub fn pre_stop_sleep(container: &Container<'_>) -> Option<Sleep> {
    let hook = container.at("lifecycle/preStop");
    if let Some(seconds) = hook.at("sleep/seconds").as_i64() {
        return Some(Sleep { seconds, is_command: false });
    }
    let words: Vec<&str> = hook.at("exec/command").items().map(|word| word.as_str()).collect::<Option<_>>()?;
    let words: Vec<&str> = match words.as_slice() {
        [shell, "-c", line] if is_shell(shell) => line.split_whitespace().collect(),
        words => words.to_vec(),
    };
    match words.as_slice() {
        [sleep, seconds] if program(sleep) == "sleep" => {
            let seconds = seconds.strip_suffix('s').unwrap_or(seconds).parse().ok()?;
            Some(Sleep { seconds, is_command: true })
        }
        _ => None,
    }
}

/// Whether this word starts a shell, by its name.
#[must_use]
pub fn is_shell(word: &str) -> bool {
    ["sh", "bash", "ash", "dash", "zsh", "ksh"].contains(&program(word))
}

/// The name of a program without its folder.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}
