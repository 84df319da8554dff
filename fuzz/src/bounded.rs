//! Targets without libFuzzer: each input of the corpus, then a number of mutations, which are the same on every run.

use std::ffi::OsString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::Target;
use crate::mutate::Mutator;

/// Maximum size of an input. Longer inputs take more time, and find little more.
const MAX_BYTES: usize = 4096;

/// The corpus of a target, sorted by file name. `PLIMSOLL_FUZZ_CORPUS` names another folder of corpora.
///
/// # Errors
/// If the folder is missing or empty, or a file cannot be read.
pub fn corpus(target: &Target) -> Result<Vec<Vec<u8>>> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folder = std::env::var_os("PLIMSOLL_FUZZ_CORPUS").map_or_else(own, PathBuf::from).join(target.name);
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    ensure!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).with_context(|| format!("cannot read {}", file.display()))).collect()
}

/// Runs the corpus, then `count` mutations of it.
///
/// # Errors
/// If there is no corpus.
///
/// # Panics
/// With the target's own panic. The input is first written to a file, and the name of the file to the standard error.
pub fn run(target: &Target, seed: u64, count: u32) -> Result<()> {
    let corpus = corpus(target)?;
    for input in &corpus {
        attempt(target, input, 0);
    }
    let mut mutator = Mutator::new(seed);
    for number in 1..=count {
        let mut input = corpus[mutator.below(corpus.len())].clone();
        mutator.mutate(&mut input, &corpus, target.words);
        input.truncate(MAX_BYTES);
        attempt(target, &input, number);
    }
    Ok(())
}

/// Runs the named files in order.
///
/// # Errors
/// If no file is named, or a file cannot be read.
pub fn replay(target: &Target, files: impl Iterator<Item = OsString>) -> Result<()> {
    let mut some = false;
    for file in files {
        let input = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        (target.run)(&input);
        some = true;
    }
    ensure!(some, "name the files that {} is to run on; to fuzz it: cargo fuzz run {0}", target.name);
    Ok(())
}

fn attempt(target: &Target, input: &[u8], number: u32) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(input))) {
        report(target, input, number);
        resume_unwind(panic);
    }
}

#[expect(clippy::print_stderr, reason = "the message names the failing input")]
fn report(target: &Target, input: &[u8], number: u32) {
    let file = std::env::temp_dir().join(format!("plimsoll-fuzz-{}", target.name));
    match fs::write(&file, input) {
        Ok(()) => eprintln!(
            "mutation {number}: the input is in {}; again: cargo run --release --package plimsoll-fuzz --bin {} {0}",
            file.display(),
            target.name
        ),
        Err(error) => eprintln!("cannot write {}: {error}; the input: {input:?}", file.display()),
    }
}
