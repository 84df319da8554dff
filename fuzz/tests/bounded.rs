//! Runs each target over its corpus and a number of mutations. This takes seconds, and is the same on every run.
//!
//! `PLIMSOLL_FUZZ_RUNS` is the number of mutations. `PLIMSOLL_FUZZ_SEED` changes them.

use std::env;

use plimsoll_fuzz::{Target, bounded};

fn run(target: Target) -> anyhow::Result<()> {
    let number = |name: &str, default: u64| match env::var(name) {
        Ok(text) => text.parse().map_err(|_| anyhow::anyhow!("{name}={text} is no number")),
        Err(_) => Ok(default),
    };
    let count = number("PLIMSOLL_FUZZ_RUNS", target.bounded.into())?;
    bounded::run(&target, number("PLIMSOLL_FUZZ_SEED", 1)?, u32::try_from(count)?)
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() -> anyhow::Result<()> {
                run(plimsoll_fuzz::$name::TARGET)
            }
        )*

        #[test]
        fn every_target_is_here() {
            let here = [$(stringify!($name)),*];
            assert_eq!(plimsoll_fuzz::TARGETS.map(|target| target.name), here);
        }
    };
}

targets! { flat_text flat_bytes flat_writer admission_review judge policy_sets yaml fixer }
