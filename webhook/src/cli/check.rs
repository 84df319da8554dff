//! `plimsoll check`: the arguments, and where the reports go.

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

/// Check manifests as the cluster would, and fix them
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// Files, folders (all .yaml, .yml and .json below), or - for the standard input; without, the current folder
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Report on these files alone, and know the folder around them, as a hook on changed files needs it; write the folder
    /// in front, `check FOLDER --only FILE…`. Files that were deleted are no error
    #[arg(long, value_name = "FILE", num_args = 0..)]
    only: Option<Vec<PathBuf>>,

    /// File of ClusterPolicySets; without, the nearest .plimsoll.yaml of each path upward
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where PolicySets start from, in place of what they say: none, default, mutate, production or strict
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// Folder for the compiled code of bundles other than the built-in one; only its owner may have rights in it
    #[arg(long, value_name = "FOLDER")]
    bundle_cache: Option<PathBuf>,

    /// Version of Kubernetes that is meant, such as 1.34; without, the newest known
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,

    /// human or json, to a file where one is named; may be given more than once
    #[arg(long, value_name = "FORMAT[=PATH]", value_parser = parse_format, default_value = "human")]
    format: Vec<Format>,

    /// Whether what is not in the input exists nowhere (closed) or may exist elsewhere (open); without, folders and
    /// the standard input are closed, named files open
    #[arg(long, value_name = "WORLD")]
    world: Option<World>,

    /// Folder of `plimsoll scan --record`, or of manifests: the objects that are there when the input is applied
    #[arg(long, value_name = "FOLDER", conflicts_with = "world")]
    context: Option<PathBuf>,

    /// Pass over these files and folders, where a folder holds them: a name, or a path with * and **; may be given more
    /// than once
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,

    /// Edit the files: safe changes nothing at run time, hardening nothing that a well-behaved workload notices,
    /// unsafe changes behaviour; each includes those before it
    #[arg(long, value_name = "CLASS", num_args = 0..=1, require_equals = true, default_missing_value = "safe")]
    fix: Option<Class>,

    /// Print the edits of --fix as a unified diff, and write nothing
    #[arg(long)]
    diff: bool,

    /// The mildest action that fails the run
    #[arg(long, value_name = "ACTION", default_value = "deny")]
    fail_on: FailOn,

    /// Fail where there are more warnings
    #[arg(long, value_name = "N")]
    max_warnings: Option<usize>,

    /// Finding no Kubernetes object is no failure
    #[arg(long)]
    allow_empty: bool,

    /// Findings fail nothing; what cannot be read or judged still does
    #[arg(long)]
    exit_zero: bool,

    /// Colours: auto means on a terminal, and not where NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,

    /// Show only what fails the run
    #[arg(long, short)]
    quiet: bool,

    /// Show findings that are only recorded, and name everything that was passed over, with the commands that check it
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

/// Checks, and prints the reports.
pub(super) fn run(arguments: &CheckArgs) -> Result<ExitCode, Failure> {
    if arguments.format.iter().filter(|format| format.path.is_none()).count() > 1 {
        return Err(Failure::usage(
            "two reports cannot share the standard output",
            "give all but one a file: --format human --format json=report.json",
        ));
    }
    let options = arguments.options();
    let outcome = check::run(&options, &mut io::stdin().lock()).map_err(|error| match error {
        CheckError::Usage { message, help } => Failure::usage(message, help),
        CheckError::Config(problems) => Failure::config(&problems),
        CheckError::Input { message, help } => Failure::unread(message, help),
    })?;
    // The standard output is for one thing: the diff, the fixed text, or else the report.
    let text = match (&outcome.stdin, arguments.diff) {
        (_, true) => Some(diff(&outcome)),
        (Some(text), false) => Some(text.clone()),
        (None, false) => None,
    };
    if let Some(text) = &text {
        // Programs read both, and the diff has nothing in it that a terminal would obey.
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
                    "`--format F=PATH` writes to PATH",
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
        Some((_, "")) => return Err("a file must follow `=`".to_owned()),
        Some((kind, path)) => (kind, Some(PathBuf::from(path))),
        None => (text, None),
    };
    let kind = Kind::from_str(kind, false).map_err(|_| "there are `human` and `json`".to_owned())?;
    Ok(Format { kind, path })
}

fn diff(outcome: &CheckResult) -> String {
    let mut text = String::new();
    for edited in &outcome.edited {
        let before = edited.before.as_deref().unwrap_or_default();
        let name = edited.name.trim_start_matches('/');
        // What `patch` and `git apply` take for a new file.
        let from = edited.before.as_ref().map_or("/dev/null".to_owned(), |_| name_of_side("a", name));
        let diff = TextDiff::from_lines(before, &edited.after);
        let diff = diff.unified_diff().context_radius(3).header(&from, &name_of_side("b", name)).to_string();
        if !printed::is_plain(&diff) {
            // `patch` passes over a line like this. `--fix` makes the same edits.
            text.push_str("# this diff shows escapes in place of control characters: read it, and do not apply it\n");
        }
        text.push_str(&printed::text(&diff));
    }
    text
}

/// As git writes it, which ends a name that has a blank with a tab.
fn name_of_side(side: &str, name: &str) -> String {
    let full = format!("{side}/{name}");
    match printed::quoted(&full) {
        Cow::Borrowed(plain) if plain.contains(' ') => format!("{plain}\t"),
        quoted => quoted.into_owned(),
    }
}
