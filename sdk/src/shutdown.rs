//! How Pods end: the grace period, and the part of it that hooks take.

use crate::shell;
use crate::workload::{Container, PodTemplate};

/// Seconds from the deletion of a Pod to SIGKILL, `preStop` included. The default is 30. `None` for an invalid value.
#[must_use]
pub fn grace_period(template: &PodTemplate<'_>) -> Option<i64> {
    let at = template.spec().at("/terminationGracePeriodSeconds");
    if at.is_absent() { Some(30) } else { at.as_i64().filter(|grace| *grace >= 0) }
}

/// Duration of a `preStop` hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sleep {
    /// Minimum number of seconds; `i64::MAX` if the hook never ends.
    pub seconds: i64,
    /// Whether a command in the container sleeps, instead of the kubelet.
    pub is_command: bool,
    /// Whether the hook only sleeps, so that `seconds` is the exact duration.
    pub is_all: bool,
}

/// The time that a container's `preStop` certainly sleeps: `sleep`, or the sleeps of a command that have a constant
/// length and always run. `None` if there is no such time.
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
