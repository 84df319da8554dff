//! Compares the limits in `docs/contract.md` with the constants.

use super::imports::{ANSWERS, LONGEST_ARGUMENT, MAX_QUESTIONS, QUESTION};
use super::instance::{LOADING, MAX_FAULTS};
use super::outcome::{MAX_FINDINGS, MAX_POINTER, MAX_TEXT};
use super::session::ALONE;
use super::{Limits, MAX_CORE_INSTANCES, TICK};
use crate::files::MAX_BUNDLE;

#[test]
fn limits() {
    let page = include_str!("../../../docs/contract.md");
    let Limits { memory, output, time, fuel, .. } = Limits::default();
    for row in [
        format!("| size of the file | {} MiB, and ", MAX_BUNDLE >> 20),
        format!("| core instances of a component | {MAX_CORE_INSTANCES}, "),
        format!("| `policies()`, with the start of the instance | {} s |", LOADING.as_secs()),
        format!("| `check-settings` for one policy, with the start of the instance | {} s |", LOADING.as_secs()),
        format!("| errors of `check-settings` for one policy | {MAX_FAULTS} |"),
        format!("| linear memory of an instance | {} MiB |", memory >> 20),
        format!("| result of one call | {} MiB; ", output >> 20),
        format!("| an argument of a question | {} KiB |", LONGEST_ARGUMENT >> 10),
        format!("| findings of a policy, and its assumptions | {MAX_FINDINGS} each; "),
        format!("`skipped` | {},000 characters |", MAX_TEXT / 1000),
        format!("| a pointer as it is shown | {},000 characters |", MAX_POINTER / 1000),
        format!("| a call with several policies | {} ms of the processor ", time.as_millis()),
        format!("| a policy in the repeat | {} ms of the processor, ", ALONE.as_millis()),
        format!("checked every {} ms", TICK.as_millis()),
        format!(
            "| a call | {} million instructions, and {},{} questions or {} GiB of answers; ",
            millions(fuel),
            MAX_QUESTIONS / 1000,
            MAX_QUESTIONS % 1000,
            ANSWERS >> 30
        ),
        format!("each question counts {} KiB of the answers", QUESTION >> 10),
    ] {
        assert!(page.contains(&row), "docs/contract.md does not say {row:?}");
    }
}

/// `3,000` for three thousand million.
fn millions(number: u64) -> String {
    format!("{},{:03}", number / 1_000_000_000, number / 1_000_000 % 1000)
}
