//! Runs the cases of a crate of policies (docs/policy-cases.md) as named tests: natively, as WebAssembly, fixed and
//! completed.
//!
//! A crate of policies runs them in `tests/cases.rs`, with `harness = false` in its `Cargo.toml`:
//!
//! ```no_run
//! # mod acme_policies {
//! #     pub fn metadata() -> plimsoll_sdk::metadata::Bundle { unimplemented!() }
//! #     pub fn run_policy(_: u32, _: &plimsoll_sdk::Review, _: &[u8], _: &mut plimsoll_sdk::Findings) -> Result<(), String> { Ok(()) }
//! # }
//! use plimsoll_cases::{Suite, main_of};
//!
//! fn main() -> std::process::ExitCode {
//!     let folder = env!("CARGO_MANIFEST_DIR");
//!     main_of(Suite::of_package(folder, "acme-policies", acme_policies::metadata(), acme_policies::run_policy))
//! }
//! ```
//!
//! `cargo test --test cases -- PART-OF-A-NAME` runs some of them. `PLIMSOLL_WRITE=1` replaces the expectations in the
//! files by the found results: check the difference before you commit it.

mod bench;
mod case;
mod native;
mod record;
mod running;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use plimsoll_sdk::bundle::RunPolicy;
use plimsoll_sdk::metadata::{self, SECTION};

pub use bench::{Bench, admission_review, documents, review};
pub use case::Case;
pub use libtest_mimic::{Arguments, Conclusion, Failed, Trial, run};

/// A crate of policies, and the folder of its cases.
#[derive(Debug)]
pub struct Suite {
    /// The WebAssembly bundle.
    pub component: Vec<u8>,
    /// The result of the crate's `metadata()`.
    pub metadata: metadata::Bundle,
    /// The crate's `run_policy`.
    pub run_policy: RunPolicy,
    /// The folder with `CATEGORY/ID.md`, or `ID.md`, for each policy.
    pub cases: PathBuf,
}

impl Suite {
    /// Compiles the package in a folder for WebAssembly. Its cases are in the folder `cases` beside the manifest.
    ///
    /// # Errors
    /// If the package does not compile.
    pub fn of_package(
        folder: impl AsRef<Path>,
        package: &str,
        metadata: metadata::Bundle,
        run_policy: RunPolicy,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        // Beside the folders of the profiles, because cargo puts the folder of a test program there.
        let program = std::env::current_exe().context("this program has no path")?;
        let target = program.ancestors().nth(3).unwrap_or(folder).join("guests");
        let module = plimsoll_bundle::compile(&folder.join("Cargo.toml"), package, &target)?;
        let module = std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        let component = plimsoll_bundle::componentize(&module, SECTION, &metadata.to_json()?)?;
        Ok(Self { component, metadata, run_policy, cases: folder.join("cases") })
    }
}

static SUITE: OnceLock<Suite> = OnceLock::new();

/// The only suite of this program.
pub(crate) fn suite() -> Result<&'static Suite> {
    SUITE.get().context("`trials` comes first")
}

/// Runs a suite like `cargo test`, with the arguments of the command line.
pub fn main_of(suite: Result<Suite>) -> ExitCode {
    let arguments = Arguments::from_args();
    run(&arguments, trials(suite).1).exit_code()
}

/// All cases of a suite, and a test for each. `PLIMSOLL_CASES=part of an id,another` selects policies. A program has
/// one suite.
pub fn trials(suite: Result<Suite>) -> (Vec<Arc<Case>>, Vec<Trial>) {
    let suite = match suite {
        Ok(suite) => SUITE.get_or_init(|| suite),
        Err(error) => return (Vec::new(), vec![failing("the bundle", &error)]),
    };
    let filter = std::env::var("PLIMSOLL_CASES").unwrap_or_default();
    let is_asked = |policy: &&metadata::Policy| filter.split(',').any(|part| policy.id.contains(part));
    let (mut cases, mut trials) = (Vec::new(), Vec::new());
    for policy in suite.metadata.policies.iter().filter(is_asked) {
        let file = format!("{}.md", policy.id);
        let of_category = suite.cases.join(&policy.category).join(&file);
        let path = if of_category.exists() { of_category } else { suite.cases.join(&file) };
        match Case::read(&path).with_context(|| format!("cannot read the cases {}", path.display())) {
            Ok(read) => cases.extend(read.into_iter().map(Arc::new)),
            Err(error) => trials.push(failing(&policy.id, &error)),
        }
    }
    let is_recorded = std::env::var_os("PLIMSOLL_WRITE").is_some_and(|write| !write.is_empty());
    let has_settings =
        |policy: &&metadata::Policy| policy.settings_defaults.as_object().is_some_and(|it| !it.is_empty());
    trials.extend(suite.metadata.policies.iter().filter(is_asked).filter(has_settings).map(|policy| {
        Trial::test(format!("{}: the defaults of its settings are valid", policy.id), || {
            bench::check_defaults(policy).map_err(|error| Failed::from(format!("{error:#}")))
        })
    }));
    trials.extend(cases.iter().map(|case| {
        let (name, case) = (case.name(), Arc::clone(case));
        Trial::test(name, move || {
            let run = running::run(&case);
            let run = if is_recorded && run.is_err() { record::record(&case) } else { run };
            run.map_err(|error| Failed::from(format!("{error:#}")))
        })
    }));
    (cases, trials)
}

fn failing(name: &str, error: &anyhow::Error) -> Trial {
    let why = format!("{error:#}");
    Trial::test(name.to_owned(), move || Err(Failed::from(why)))
}
