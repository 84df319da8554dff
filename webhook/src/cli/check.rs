//! `plimsoll check`: its arguments, and the output of its reports.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use clap::{Args, ValueEnum};
use similar::TextDiff;

use super::{Failure, output};
use crate::check::config::Choice;
use crate::check::{self, CheckError, CheckResult, Edits, Limits, Options};
use crate::model::{Action, FixClass};
use crate::{printed, report};

/// Check manifest files with the policies that the cluster uses, and fix them
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Files, folders (all .yaml, .yml and .json files in them), or - for standard input
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Report only on these files, but use all other files of PATH as context. Meant for a hook on changed files:
    /// `plimsoll check FOLDER --only FILE…`. Deleted files are no error. By default, report on all files
    #[arg(long, value_name = "FILE", num_args = 0..)]
    only: Option<Vec<PathBuf>>,

    /// YAML file with ClusterPolicySets (which policies apply, and what they do). By default, the nearest
    /// .plimsoll.yaml in the folder of each path or above it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Replace the profile (the starting selection of policies) of every ClusterPolicySet: none, default, mutate,
    /// production or strict. By default, the profile that the ClusterPolicySet names, or `default`
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// Cache folder for the compiled code of policy bundles other than the built-in one. Only its owner may have access
    /// to it. By default, nothing is cached
    #[arg(long, value_name = "FOLDER")]
    bundle_cache: Option<PathBuf>,

    /// Kubernetes version of the target cluster, such as 1.34. By default, the version that the ClusterPolicySet names,
    /// or the newest that Plimsoll knows
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,

    /// Format of the report: human or json. With =PATH, write the report to this file instead of the standard output.
    /// Can be repeated
    #[arg(long, value_name = "FORMAT[=PATH]", value_parser = parse_format, default_value = "human")]
    format: Vec<Format>,

    /// closed: objects that are not in the input do not exist; open: they may exist in the cluster. By default, open
    /// for named files, and closed for folders and standard input
    #[arg(long, value_name = "WORLD")]
    world: Option<World>,

    /// Folder with the objects that the cluster already holds: written by `plimsoll scan --record`, or manifests. By
    /// default, none
    #[arg(long, value_name = "FOLDER", conflicts_with = "world")]
    context: Option<PathBuf>,

    /// Skip files and folders that match this pattern when reading a folder: a name, or a path with * and **. Can be
    /// repeated
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Edit the files to fix findings. CLASS is safe (no change at run time), hardening (also changes that a
    /// well-behaved workload does not notice) or unsafe (also changes of behaviour). It is safe if left out
    #[arg(long, value_name = "CLASS", num_args = 0..=1, require_equals = true, default_missing_value = "safe")]
    fix: Option<Class>,

    /// Print the edits of --fix as a unified diff, and write no file. Without --fix, the edits of class safe
    #[arg(long)]
    diff: bool,

    /// Exit with 1 if a finding has this action or a stricter one (audit: the finding is only recorded)
    #[arg(long, value_name = "ACTION", default_value = "deny")]
    fail_on: FailOn,

    /// Exit with 1 if there are more than N warnings. By default, there is no limit
    #[arg(long, value_name = "N")]
    max_warnings: Option<usize>,

    /// Exit with 0 if the input has no Kubernetes object. By default, the exit status is then 3
    #[arg(long)]
    allow_empty: bool,

    /// Exit with 0 whatever the findings are. Input that cannot be read and policies that fail are still errors
    #[arg(long)]
    exit_zero: bool,

    /// Colours in the report. auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,

    /// Print only the findings and errors that fail the run
    #[arg(long, short)]
    quiet: bool,

    /// Also print findings that are only recorded, and every skipped file and folder, with a command that checks it
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Clone, Debug)]
struct Format {
    kind: Kind,
    path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Kind {
    Human,
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum World {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Class {
    Safe,
    Hardening,
    Unsafe,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailOn {
    Deny,
    Warn,
    Audit,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// Checks the input and writes the reports.
pub(super) fn run(arguments: &CheckArgs) -> Result<ExitCode, Failure> {
    if arguments.format.iter().filter(|format| format.path.is_none()).count() > 1 {
        return Err(Failure::usage(
            "several reports cannot all go to the standard output",
            "write all but one to files: --format human --format json=report.json",
        ));
    }
    let options = arguments.options();
    let outcome = check::run(&options, &mut io::stdin().lock()).map_err(|error| match error {
        CheckError::Usage { message, help } => Failure::usage(message, help),
        CheckError::Config(problems) => Failure::config(&problems),
        CheckError::Input { message, help } => Failure::unread(message, help),
    })?;
    // The standard output carries one text: the diff, the fixed input, or the report.
    let text = match (&outcome.stdin, arguments.diff) {
        (_, true) => Some(diff(&outcome)),
        (Some(text), false) => Some(text.clone()),
        (None, false) => None,
    };
    if let Some(text) = &text {
        // Programs read both texts. `diff` has already escaped control characters.
        output::print_data(text).map_err(|error| Failure::output(&error))?;
    }
    for format in &arguments.format {
        let aside =
            text.is_some() || arguments.fix.is_some() && arguments.paths.iter().any(|path| path.as_os_str() == "-");
        let rendered = arguments.render(format, &outcome, aside);
        match &format.path {
            Some(path) => fs::write(path, rendered).map_err(|error| {
                Failure::usage(
                    format!("cannot write the report {}: {error}", path.display()),
                    "`--format FORMAT=PATH` needs a PATH that can be written",
                )
            })?,
            None if aside => output::print_aside(&rendered).map_err(|error| Failure::output(&error))?,
            None if format.kind == Kind::Json => {
                output::print_data(&rendered).map_err(|error| Failure::output(&error))?;
            }
            None => output::print_styled(&rendered).map_err(|error| Failure::output(&error))?,
        }
    }
    Ok(ExitCode::from(outcome.report.summary.exit_status.code()))
}

impl CheckArgs {
    fn options(&self) -> Options {
        let class = self.fix.map(|class| match class {
            Class::Safe => FixClass::Safe,
            Class::Hardening => FixClass::Hardening,
            Class::Unsafe => FixClass::Unsafe,
        });
        let class = class.or(self.diff.then_some(FixClass::Safe));
        Options {
            paths: self.paths.clone(),
            only: self.only.clone(),
            exclude: self.exclude.clone(),
            config: Choice {
                file: self.config.clone(),
                profile: self.profile.clone(),
                kubernetes_version: self.kubernetes_version.clone(),
                bundle_cache: self.bundle_cache.clone(),
            },
            context: self.context.clone(),
            closed: self.world.map(|world| world == World::Closed),
            edits: class.map(|class| Edits { class, only_shown: self.diff }),
            limits: Limits {
                fail_on: self.fail_on.action(),
                max_warnings: self.max_warnings,
                allow_empty: self.allow_empty,
                exit_zero: self.exit_zero,
            },
        }
    }

    fn render(&self, format: &Format, outcome: &CheckResult, aside: bool) -> String {
        match format.kind {
            Kind::Json => report::json(&outcome.report, &outcome.world),
            Kind::Human => {
                let color = format.path.is_none() && self.color.is_on(aside);
                let fail_on = self.fail_on.action();
                let look = report::Look { color, quiet: self.quiet, verbose: self.verbose, fail_on };
                let text = report::human(&outcome.report, &outcome.world, look);
                if color { printed::styled(&text).into_owned() } else { printed::text(&text).into_owned() }
            }
        }
    }
}

impl FailOn {
    fn action(self) -> Action {
        match self {
            FailOn::Deny => Action::Deny,
            FailOn::Warn => Action::Warn,
            FailOn::Audit => Action::Audit,
        }
    }
}

impl Color {
    fn is_on(self, aside: bool) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let terminal = if aside { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
                let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
                terminal && !set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

fn parse_format(text: &str) -> Result<Format, String> {
    let (kind, path) = match text.split_once('=') {
        Some((_, "")) => return Err("write a file name after `=`, or leave out `=`".to_owned()),
        Some((kind, path)) => (kind, Some(PathBuf::from(path))),
        None => (text, None),
    };
    let kind = Kind::from_str(kind, false).map_err(|_| "write `human` or `json`".to_owned())?;
    Ok(Format { kind, path })
}

fn diff(outcome: &CheckResult) -> String {
    let mut text = String::new();
    for edited in &outcome.edited {
        let before = edited.before.as_deref().unwrap_or_default();
        let name = edited.name.trim_start_matches('/');
        // `patch` and `git apply` then create the file.
        let from = edited.before.as_ref().map_or("/dev/null".to_owned(), |_| name_of_side("a", name));
        let diff = TextDiff::from_lines(before, &edited.after);
        let diff = diff.unified_diff().context_radius(3).header(&from, &name_of_side("b", name)).to_string();
        if !printed::is_plain(&diff) {
            // `patch` skips such a line. `--fix` makes the same edits.
            text.push_str("# this diff shows escapes in place of control characters: do not apply it, use --fix\n");
        }
        text.push_str(&printed::text(&diff));
    }
    text
}

/// Writes the name as git does: a tab follows a name that contains a space.
fn name_of_side(side: &str, name: &str) -> String {
    let full = format!("{side}/{name}");
    match printed::quoted(&full) {
        Cow::Borrowed(plain) if plain.contains(' ') => format!("{plain}\t"),
        quoted => quoted.into_owned(),
    }
}
