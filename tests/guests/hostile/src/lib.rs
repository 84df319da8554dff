//! Policies that loop, use up memory, crash and lie, and two policies that behave: they test the host.
//!
//! Tests that the SDK cannot express, such as invalid pointers, are in `tests/tests/hostile_guests/raw.rs`.

use plimsoll_sdk::prelude::*;

#[cfg(target_arch = "wasm32")]
mod asking;
pub mod odd_settings;

macro_rules! hostile {
    ($($name:ident [$($argument:tt)*] |$review:ident, $findings:ident| $body:block)*) => {
        $(pub mod $name {
            #[allow(unused_imports, reason = "not every policy of the list needs them")]
            use super::*;

            /// A policy of the tests.
            #[policy(category = "manifest", on = Workloads, since = "0.1.0", $($argument)*)]
            pub fn $name($review: &Review, $findings: &mut Findings) $body
        })*

        plimsoll_sdk::export_policies![$($name::POLICY,)* odd_settings::POLICY];
    };
}

hostile! {
    well_behaved [severity = Error] |review, findings| {
        findings.error(review.object(), "it is an object", "write nothing");
    }
    endless_loop [severity = Error] |_review, _findings| {
        for number in 0_u64.. {
            std::hint::black_box(number);
        }
    }
    memory_bomb [severity = Error] |_review, _findings| {
        let mut blocks = Vec::new();
        loop {
            blocks.push(std::hint::black_box(Vec::<u8>::with_capacity(1 << 20)));
        }
    }
    // Unlike the memory bomb, this makes every page resident. It may run out of time first.
    memory_eater [severity = Error] |_review, _findings| {
        let mut blocks = Vec::new();
        loop {
            blocks.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }
    deep_recursion [severity = Error] |_review, _findings| {
        std::hint::black_box(deeper(0));
    }
    huge_output [severity = Error] |review, findings| {
        findings.error(review.object(), "x".repeat(8 << 20), "write less");
    }
    many_findings [severity = Error] |review, findings| {
        for number in 0..3000 {
            findings.error(review.object(), format!("it is number {number}"), "write nothing");
        }
    }
    long_words [severity = Error] |review, findings| {
        findings.error(review.object(), format!("\u{1b}[2J\u{202e}{}", "long ".repeat(20_000)), "a\nb\r\0c");
    }
    undeclared_edit [severity = Error, edits = ["/spec/paused"]] |review, findings| {
        let replicas = review.at("/spec/replicas");
        findings.error(&replicas, "there are replicas", "write 0").fix(Fix::safe("stop it").replace(&replicas, 0_i64));
    }
    too_severe [severity = Warning] |review, findings| {
        findings.error(review.object(), "it is worse than it may be", "write nothing");
    }
    guest_panics [severity = Error] |_review, _findings| {
        panic!("\u{1b}[31mred\u{7}\n{}", "very long ".repeat(50_000));
    }
    asks_for_ever [severity = Error] |_review, _findings| {
        #[cfg(target_arch = "wasm32")]
        asking::for_ever();
    }
    asks_long_questions [severity = Error] |_review, _findings| {
        #[cfg(target_arch = "wasm32")]
        asking::long_questions();
    }
    asks_nonsense [severity = Error] |review, findings| {
        #[cfg(target_arch = "wasm32")]
        asking::nonsense();
        findings.error(review.object(), "nonsense was answered with nothing", "ask better");
    }
    asks_undeclared [severity = Error, refines = ["/Service"]] |review, findings| {
        if review.listing(Kind::LIMIT_RANGE).nodes().next().is_none() {
            findings.error(review.object(), "there are no LimitRanges", "write one");
        }
    }
    last_and_well_behaved [severity = Warning] |review, findings| {
        findings.warning(review.object(), "it is an object still", "write nothing");
    }
}

#[expect(unconditional_recursion, reason = "the test needs endless recursion")]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 32]);
    deeper(depth + 1) + frame[(depth % 32) as usize]
}
