//! The fuzz targets. Each is a function that takes bytes, and panics if Plimsoll does something wrong.
//!
//! cargo-fuzz runs these functions with libFuzzer (`targets/`). `cargo test` runs them on a number of inputs, which are
//! the same every time ([`bounded`]). `README.md` says what each target checks.

pub mod admission_review;
pub mod bounded;
pub mod fixer;
pub mod flat_bytes;
pub mod flat_text;
pub mod flat_writer;
pub mod judge;
pub mod mutate;
pub mod policy_sets;
mod same;
mod script;
mod surroundings;
pub mod yaml;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the binary, and of the folder in `corpus/`.
    pub name: &'static str,
    /// Panics on a bug.
    pub run: fn(&[u8]),
    /// Words that random bytes would hardly ever contain.
    pub words: &'static [&'static str],
    /// Number of mutations in `cargo test`, chosen so that all targets together take seconds.
    pub bounded: u32,
}

/// Every target.
pub const TARGETS: [Target; 8] = [
    flat_text::TARGET,
    flat_bytes::TARGET,
    flat_writer::TARGET,
    admission_review::TARGET,
    judge::TARGET,
    policy_sets::TARGET,
    yaml::TARGET,
    fixer::TARGET,
];

/// The whole code of a binary in `targets/`: libFuzzer's if cargo-fuzz builds it, else a program that replays files.
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| ($crate::$target::TARGET.run)(input));

        // Half of the mutations are libFuzzer's own. The other half uses the words of the target.
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
            if seed % 2 == 0 {
                return libfuzzer_sys::fuzzer_mutate(data, size, most);
            }
            let mut mutator = $crate::mutate::Mutator::new(u64::from(seed));
            let mut input = data[..size].to_vec();
            mutator.mutate(&mut input, &[], $crate::$target::TARGET.words);
            let length = input.len().min(most).min(data.len());
            data[..length].copy_from_slice(&input[..length]);
            length
        });

        #[cfg(not(fuzzing))]
        fn main() -> anyhow::Result<()> {
            $crate::bounded::replay(&$crate::$target::TARGET, std::env::args_os().skip(1))
        }
    };
}
