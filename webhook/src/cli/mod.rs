//! The command line: one thin file for each subcommand. An error becomes a message, a hint and an exit status.

#[cfg(feature = "check")]
mod check;
mod explain;
mod output;
mod policy;
#[cfg(all(feature = "serve", feature = "check"))]
mod scan;
#[cfg(feature = "serve")]
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[cfg(feature = "check")]
use crate::check::ExitStatus;
use crate::engine::BUILTIN_DIGEST;
#[cfg(any(feature = "serve", feature = "check"))]
use crate::printed;
#[cfg(any(feature = "serve", feature = "check"))]
use crate::registry::{ConfigError, Problem};

/// Exit status for an error in the command line or in the configuration. clap uses the same number.
const USAGE: u8 = 2;

/// Maximum number of configuration errors that are printed. The others are counted.
#[cfg(any(feature = "serve", feature = "check"))]
const MOST_PROBLEMS: usize = 100;

/// Check Kubernetes objects with policies: in the cluster at `kubectl apply`, and in files
#[derive(Debug, Parser)]
#[command(name = "plimsoll", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "check")]
    Check(Box<check::CheckArgs>),
    Explain(explain::ExplainArgs),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    #[cfg(all(feature = "serve", feature = "check"))]
    Scan(scan::ScanArgs),
    #[cfg(feature = "serve")]
    Serve(Box<serve::ServeArgs>),
}

/// Runs the command line.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // clap needs a string that lives as long as the process.
    let command = Arguments::command().version(&*version().leak());
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            let text = error.render().to_string();
            if error.use_stderr() {
                output::complain(&text)
            } else {
                output::print_or_ignore(&text)
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let result = match arguments.command {
        #[cfg(feature = "check")]
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Policy(command) => policy::run(&command),
        #[cfg(all(feature = "serve", feature = "check"))]
        Command::Scan(arguments) => scan::run(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::run(*arguments),
    };
    result.unwrap_or_else(|failure| {
        output::complain(&failure.to_string());
        ExitCode::from(failure.status)
    })
}

/// The version of the program, and the digest of its built-in policies.
fn version() -> String {
    format!("{}\nbuilt-in bundle {BUILTIN_DIGEST}", env!("CARGO_PKG_VERSION"))
}

/// An error that the user can correct.
#[derive(Debug)]
struct Failure {
    message: String,
    help: Option<String>,
    status: u8,
}

impl Failure {
    fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()), status: USAGE }
    }

    /// The input can't be read, so it can't be judged.
    #[cfg(feature = "check")]
    fn unread(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: Some(help.into()), status: ExitStatus::Unparsable.code() }
    }

    /// Lists the errors of a configuration, one in a line.
    #[cfg(any(feature = "serve", feature = "check"))]
    fn config(problems: &[ConfigError]) -> Self {
        let mut lines: Vec<String> = problems
            .iter()
            .take(MOST_PROBLEMS)
            .map(|problem| printed::line(&problem.to_string()).into_owned())
            .collect();
        if problems.len() > MOST_PROBLEMS {
            lines.push(format!("and {} more", problems.len() - MOST_PROBLEMS));
        }
        let is_about_policies = |problem: &Problem| {
            matches!(problem, Problem::Setting { .. } | Problem::UnknownValue { what: "policy" | "category", .. })
        };
        let help = if problems.iter().any(|problem| is_about_policies(&problem.problem)) {
            Some("`plimsoll policy list` shows the policies, `plimsoll explain ID` the settings of one")
        } else {
            None
        };
        Self { message: lines.join("\nerror: "), help: help.map(str::to_owned), status: USAGE }
    }

    fn output(error: &std::io::Error) -> Self {
        Self { message: format!("cannot write the output: {error}"), help: None, status: USAGE }
    }
}

/// An error of the machine or of the API server.
#[cfg(feature = "serve")]
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { message: format!("{error:#}"), help: None, status: 1 }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "error: {}", self.message)?;
        match &self.help {
            Some(help) => writeln!(formatter, "help: {help}"),
            None => Ok(()),
        }
    }
}
