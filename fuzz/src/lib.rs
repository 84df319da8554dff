//! What is fuzzed: for each target one function from bytes to nothing, which panics where Plimsoll does what it should not.
//!
//! cargo-fuzz runs these functions through libFuzzer (`targets/`), `cargo test` for a bounded number of inputs that are the
//! same every time ([`bounded`]). `README.md` says what each target holds to be true.

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

/// Something that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of the binary and of the folder in `corpus/`.
    pub name: &'static str,
    /// Panics where something is wrong.
    pub run: fn(&[u8]),
    /// What random bytes would hardly ever hit upon.
    pub words: &'static [&'static str],
    /// How many mutations `cargo test` tries, so that all targets together take seconds.
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

/// The whole of a binary in `targets/`: libFuzzer's where cargo-fuzz builds it, else one that replays files.
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| ($crate::$target::TARGET.run)(input));

        // Half of the mutations are libFuzzer's own, half know the target's words.
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
