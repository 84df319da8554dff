//! Cases of a bundle other than the built-in one. A crate of policies outside of this repository runs its cases like
//! this.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_cases::{Suite, main_of};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/companion");
    let (metadata, run_policy) = (plimsoll_companion::metadata(), plimsoll_companion::run_policy);
    main_of(Suite::of_package(folder, "plimsoll-companion", metadata, run_policy))
}
