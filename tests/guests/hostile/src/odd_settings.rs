//! Settings of every shape, and a check of them that can be hostile.

use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::settings::Faults;

/// Settings of the tests.
#[derive(Debug, Settings)]
#[settings(check = check)]
pub struct Settings {
    /// What the check does.
    #[settings(default = Conduct::Fine)]
    conduct: Conduct,
    /// Words in capital letters.
    #[settings(pattern = "^[A-Z]+$", max_items = 3, default = ["A"])]
    words: Vec<String>,
    /// A limit for each team.
    limits: BTreeMap<String, Limit>,
    /// The limit of everyone else.
    other: Limit,
    /// A team to ask.
    contact: Option<String>,
}

/// What the check does.
#[derive(Debug, Settings)]
pub enum Conduct {
    /// It compares the limits.
    Fine,
    /// It never ends.
    Loop,
    /// It panics.
    Panic,
    /// It names places that do not exist.
    Nowhere,
    /// It finds ten thousand errors.
    #[settings(name = "too-much")]
    TooMuch,
}

/// A limit.
#[derive(Debug, Settings)]
#[settings(check = is_ordered)]
pub struct Limit {
    /// Smallest number of Pods.
    #[settings(default = 1, minimum = 1)]
    least: i64,
    /// Largest number of Pods.
    #[settings(default = 10, maximum = 1000)]
    most: i64,
}

fn is_ordered(limit: &Limit, faults: &mut Faults) {
    if limit.least > limit.most {
        faults.add("/least", format!("must be at most {}, the value of `most`", limit.most));
    }
}

fn check(settings: &Settings, faults: &mut Faults) {
    match settings.conduct {
        Conduct::Fine => {}
        Conduct::Loop => {
            for number in 0_u64.. {
                std::hint::black_box(number);
            }
        }
        Conduct::Panic => panic!("the settings are odd"),
        Conduct::Nowhere => {
            faults.add("/no/such/place", "is \u{1b}[2J odd");
            faults.add("no pointer", "is odd");
        }
        Conduct::TooMuch => (0..10_000).for_each(|number| faults.add("/words", format!("error {number}"))),
    }
}

/// A policy of the tests that says what its settings are.
#[policy(category = "manifest", on = Workloads, severity = Error, since = "0.1.0")]
pub fn odd_settings(review: &Review, settings: &Settings, findings: &mut Findings) {
    if review.name() == "odd-settings" {
        findings.error(review.object(), format!("{settings:?}"), "write nothing");
    }
}
