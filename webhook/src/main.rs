//! `plimsoll`: see [`plimsoll::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    plimsoll::cli::main(std::env::args_os())
}
