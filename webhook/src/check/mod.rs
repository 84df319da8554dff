//! The offline checker: the cluster's verdict on files, with line, column and fix.
//!
//! [`run`] reads the input, judges it as the webhook would, edits it if requested, and returns a [`Report`]. The module
//! `report` prints it.

pub mod beside;
pub mod bounds;
pub mod collect;
mod companions;
pub mod config;
mod declared;
pub mod exit;
pub mod fix;
mod makers;
#[cfg(feature = "manifest")]
pub mod manifest;
mod patches;
mod patterns;
mod places;
pub mod rendered;
pub mod report;
pub mod run;
mod sets;
mod threads;
mod unnamed;
mod unread;
pub mod world;
mod write;

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use crate::check::report::{Made, Passed, Report};
use crate::model::{Action, FixClass};
use crate::registry::{ConfigError, Registry};
use beside::Beside;
use collect::Input;
pub use exit::ExitStatus;
use fix::Fixed;
pub(crate) use places::Places;
use run::{Checked, Found};
pub use world::World;
use write::{Prepared, WriteError};

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files, folders, or `-`.
    pub paths: Vec<PathBuf>,
    /// The files that the report is about. None for all.
    pub only: Option<Vec<PathBuf>>,
    /// Patterns of paths that are skipped in folders.
    pub exclude: Vec<String>,
    pub config: config::Choice,
    /// A record of a cluster, or a folder of manifests, with objects that are not in the input.
    pub context: Option<PathBuf>,
    /// Overrides whether the input counts as complete.
    pub closed: Option<bool>,
    pub edits: Option<Edits>,
    pub limits: Limits,
}

/// Conditions under which a run fails.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A finding with this action or a stricter one fails the run.
    pub fail_on: Action,
    pub max_warnings: Option<usize>,
    pub allow_empty: bool,
    /// Findings never fail the run.
    pub exit_zero: bool,
}

/// Which fixes are applied, and whether files are written.
#[derive(Clone, Copy, Debug)]
pub struct Edits {
    pub class: FixClass,
    /// Only shows the edits: nothing is written, and the report is about the unchanged input.
    pub only_shown: bool,
}

/// The result of a run.
#[derive(Debug)]
pub struct CheckResult {
    pub report: Report,
    /// The input that the report is about.
    pub world: World,
    pub edited: Vec<Edited>,
    /// Standard input after the edits, if edits were requested.
    pub stdin: Option<String>,
}

/// An edited text.
#[derive(Clone, Debug)]
pub struct Edited {
    pub name: String,
    /// None for standard input.
    path: Option<PathBuf>,
    /// None for a new file and for standard input.
    found: Option<write::Found>,
    /// None for a new file.
    pub before: Option<String>,
    pub after: String,
}

/// A part of the input that could not be judged.
#[derive(Clone, Debug)]
pub struct Unjudged {
    pub file: String,
    /// Line and column, 1-based, if the problem has one place.
    pub place: Option<(usize, usize)>,
    pub message: String,
    pub help: Option<String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("{message}")]
    Usage { message: String, help: String },
    #[error("the configuration is wrong")]
    Config(Vec<ConfigError>),
    /// The input as a whole cannot be read.
    #[error("{message}")]
    Input { message: String, help: String },
}

/// Checks the input, and edits it if requested.
///
/// # Errors
/// If the command line or the configuration is wrong, or if an edited file cannot be written.
pub fn run(options: &Options, stdin: &mut dyn Read) -> Result<CheckResult, CheckError> {
    let configuration = config::Configuration::read(&options.config, &options.paths)?;
    let manifests = options.context.as_deref().filter(|folder| !beside::is_record(folder));
    let input = Input { arguments: &options.paths, only: options.only.as_deref(), context: manifests };
    let mut collected = collect::collect(input, configuration.patterns(&options.exclude)?, stdin)?;
    // With a record, all other objects are known.
    if let Some(closed) = options.closed.or(options.context.as_ref().map(|_| true)) {
        collected.sources.iter_mut().for_each(|source| source.closed = closed);
    }
    let registry = config::load(&options.config, configuration)?;
    let mut beside = match &options.context {
        Some(folder) if manifests.is_none() => Beside::read(folder, &registry)?,
        _ => Beside::default(),
    };
    beside.gaps = collected.gaps;
    let mut world = World::read(collected.sources, &registry, Arc::new(beside));
    let mut checked = judge(&registry, &world);
    let (mut edited, mut made) = (Vec::new(), None);
    let mut text_of_stdin = None;
    if let Some(edits) = options.edits {
        let fixed = fix::fix(&registry, &world, &checked, edits.class);
        edited = difference(&world, fixed.after.as_ref().map(|(world, _)| world));
        let refused = match edits.only_shown {
            true => refused_before(&checked, &fixed),
            false => fixed.refused.iter().cloned().collect(),
        };
        made = Some(Made {
            class: edits.class,
            counts: fixed.made,
            files: edited.len(),
            new_files: new_files(&edited),
            only_shown: edits.only_shown,
            refused,
            end: fixed.end,
        });
        if !edits.only_shown {
            save(&edited)?;
            (world, checked) = fixed.after.unwrap_or((world, checked));
            let piped = world.files.iter().find(|file| file.source.path.is_none());
            text_of_stdin = piped.map(|file| file.source.text.clone());
        }
    }
    let mut problems = collected.problems;
    problems.append(&mut world.problems);
    let mut patches = collected.patches;
    patches.append(&mut world.patches);
    let passed_over = Passed {
        folders: collected.passed_over,
        links: collected.links,
        hidden_links: collected.hidden_links,
        templates: std::mem::take(&mut world.templates),
        excluded: collected.excluded,
        patches,
        named: collected.named,
        deleted: collected.deleted,
    };
    let allow_empty = options.limits.allow_empty || !passed_over.deleted.is_empty();
    let limits = Limits { allow_empty, ..options.limits };
    let report = Report::new(&registry, &world, checked, problems, passed_over, made, limits);
    Ok(CheckResult { report, world, edited, stdin: text_of_stdin })
}

/// Judges the input: as the API server does, and by the policies.
#[cfg_attr(not(feature = "manifest"), expect(unused_mut, reason = "only the feature adds to the results"))]
fn judge(registry: &Registry, world: &World) -> Checked {
    let mut checked = run::check(registry, world);
    #[cfg(feature = "manifest")]
    manifest::judge(registry, world, &mut checked);
    checked
}

/// Why fixes were refused, by the findings of the unchanged input.
fn refused_before(before: &Checked, fixed: &Fixed) -> HashMap<usize, String> {
    let after = fixed.after.as_ref().map_or(before, |(_, after)| after);
    let key = |found: &Found| (found.object, found.judged.key.clone());
    let refused = fixed.refused.iter();
    let reasons: HashMap<_, &String> =
        refused.filter_map(|(finding, reason)| Some((key(after.findings.get(*finding)?), reason))).collect();
    let findings = before.findings.iter().enumerate();
    findings.filter_map(|(number, found)| Some((number, (*reasons.get(&key(found))?).clone()))).collect()
}

fn difference(before: &World, after: Option<&World>) -> Vec<Edited> {
    let Some(after) = after else { return Vec::new() };
    let edited = after.files.iter().enumerate().map(|(index, file)| Edited {
        name: file.source.name.clone(),
        path: file.source.path.clone(),
        found: file.source.found.clone(),
        before: before.files.get(index).map(|file| file.source.text.clone()),
        after: file.source.text.clone(),
    });
    edited.filter(|edited| edited.before.as_ref() != Some(&edited.after)).collect()
}

fn new_files(edited: &[Edited]) -> Vec<String> {
    edited.iter().filter(|edited| edited.before.is_none()).map(|edited| edited.name.clone()).collect()
}

/// Writes all files, or none if one of them cannot be written.
fn save(edited: &[Edited]) -> Result<(), CheckError> {
    let failed = |edited: &Edited, error: &WriteError, help: &str| CheckError::Usage {
        message: format!("cannot write {}: {error}", edited.name),
        help: help.to_owned(),
    };
    let mut prepared = Vec::new();
    for edited in edited {
        let Some(path) = &edited.path else { continue };
        let written = match (&edited.before, &edited.found) {
            (Some(before), Some(found)) => Prepared::replace(path, found, before, &edited.after),
            _ => Prepared::create(path, &edited.after),
        };
        let help = "nothing was written, neither here nor elsewhere. `--diff` shows the edits";
        prepared.push((edited, written.map_err(|error| failed(edited, &error, help))?));
    }
    for (edited, prepared) in prepared {
        let help = "this file is as it was; those before it are fixed. `--diff` shows the edits without writing";
        prepared.commit().map_err(|error| failed(edited, &error, help))?;
    }
    Ok(())
}
