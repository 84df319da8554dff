//! How Pods end: the grace period, and what hooks take of it.

use crate::shell;
use crate::workload::{Container, PodTemplate};

/// Seconds between the wish that a Pod ends and its being killed, `preStop` included; 30 where nobody wrote it, none
/// where what is written is not a period.
#[must_use]
pub fn grace_period(template: &PodTemplate<'_>) -> Option<i64> {
    let at = template.spec().at("/terminationGracePeriodSeconds");
    if at.is_absent() { Some(30) } else { at.as_i64().filter(|grace| *grace >= 0) }
}

/// How long a `preStop` waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sleep {
    /// Seconds, at least; `i64::MAX` where it never ends.
    pub seconds: i64,
    /// Whether a program of the image waits, in the place of the kubelet.
    pub is_command: bool,
    /// Whether it does nothing else, so that it takes exactly so long.
    pub is_all: bool,
}

/// What a container's `preStop` sleeps for certain: `sleep`, or the sleeps of constant length of a command that run whatever
/// happens. None where that is nothing.
#[must_use]
pub fn pre_stop_sleep(container: &Container<'_>) -> Option<Sleep> {
    let hook = container.at("/lifecycle/preStop");
    if let Some(seconds) = hook.at("/sleep/seconds").as_i64() {
        return Some(Sleep { seconds, is_command: false, is_all: true });
    }
    let words: Vec<&str> = hook.at("/exec/command").items().map(|word| word.as_str()).collect::<Option<_>>()?;
    let slept = shell::slept(&words);
    let sleep = Sleep { seconds: slept.seconds, is_command: true, is_all: slept.is_all };
    (slept.seconds > 0).then_some(sleep)
}
