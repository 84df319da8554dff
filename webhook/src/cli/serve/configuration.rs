//! Reads the files of `--config` and builds the registry from them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arguments::ServeArgs;
use super::watched::{Fingerprint, files};
use crate::cli::Failure;
use crate::context::watch::Watches;
use crate::context::{Context, Unknown};
use crate::engine::{Bundle, Cache, CacheError, Engine, Limits};
use crate::files as bounded;
use crate::registry::{self, ConfigError, Documents, PolicySet, Profile, Registry};
use crate::serving::Loaded;

/// Minimum number of bundles that the engine reserves instances for. So a few bundles can be added without a new
/// engine.
const ROOM: usize = 4;

/// Why a configuration was not loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLoaded {
    /// The files contain errors.
    #[error("{}", .0.iter().map(ConfigError::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigError>),
    /// The machine has too little address space.
    #[error("cannot reserve memory for {instances} instances: {reason}; give fewer --threads")]
    Memory { instances: usize, reason: String },
    /// The folder for compiled code cannot be used.
    #[error("--bundle-cache: {0}")]
    Cache(#[from] CacheError),
}

impl NotLoaded {
    /// All errors, as one text each.
    pub(super) fn problems(&self) -> Vec<String> {
        match self {
            Self::Config(problems) => problems.iter().map(ConfigError::to_string).collect(),
            other => vec![other.to_string()],
        }
    }
}

impl From<Vec<ConfigError>> for NotLoaded {
    fn from(problems: Vec<ConfigError>) -> Self {
        Self::Config(problems)
    }
}

impl From<NotLoaded> for Failure {
    fn from(error: NotLoaded) -> Self {
        match error {
            NotLoaded::Config(problems) => Failure::config(&problems),
            NotLoaded::Memory { .. } => Failure::usage(error.to_string(), "raise the limit of `ulimit -v`"),
            NotLoaded::Cache(_) => Failure::usage(error.to_string(), "give a folder that only its owner can access"),
        }
    }
}

/// Loads one configuration after the other, and reuses the engine and the compiled bundles.
#[derive(Debug)]
pub(super) struct Loader {
    /// The files of `--config`.
    paths: Vec<PathBuf>,
    /// The PolicySet that is used if the files contain none.
    unsaid: PolicySet,
    options: registry::Options,
    context: Arc<dyn Context>,
    threads: usize,
    /// Limits of one instance.
    limits: Limits,
    /// The folder of `--bundle-cache`.
    cache: Option<PathBuf>,
    /// The engine, and the number of bundles that it has instances for.
    engine: Option<(Engine, usize)>,
    /// The compiled bundles of the last valid configuration.
    compiled: Vec<Bundle>,
    /// The bundle files that the last readable configuration names.
    bundles: BTreeSet<PathBuf>,
}

impl Loader {
    /// A loader for the files of the command line, with instances for `threads` evaluating threads.
    pub(super) fn new(
        args: &ServeArgs,
        threads: usize,
        kubernetes_version: Option<String>,
        watches: Option<Arc<Watches>>,
    ) -> Self {
        let context: Arc<dyn Context> = match watches {
            Some(watches) => watches,
            None => Arc::new(Unknown),
        };
        let options = registry::Options {
            profile: args.profile,
            kubernetes_version,
            whole_workloads: args.write_budgets.is_some(),
            ..registry::Options::default()
        };
        Self {
            paths: args.config.clone(),
            unsaid: PolicySet::new("default", Profile::Default).with_mode(args.mode.into()),
            options,
            context,
            // The task that writes budgets runs policies on a thread of its own.
            threads: threads + usize::from(args.write_budgets.is_some()),
            limits: Limits { time: args.evaluation_time, ..Limits::default() },
            cache: args.bundle_cache.clone(),
            engine: None,
            compiled: Vec::new(),
            bundles: BTreeSet::new(),
        }
    }

    /// All files that the configuration consists of.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.bundles).cloned().collect()
    }

    /// Reads and compiles the files. Returns the fingerprint of the files that were read, also after an error: a retry
    /// makes sense only when it changes. The fingerprint is None if the files changed meanwhile.
    pub(super) fn load(&mut self) -> (Option<Fingerprint>, Result<Loaded, NotLoaded>) {
        if let Ok(documents) = read(&self.paths) {
            self.bundles = documents.sets.iter().filter_map(PolicySet::bundle_file).collect();
        }
        let before = Fingerprint::of(&self.watched());
        let loaded = read(&self.paths).and_then(|documents| self.compile(documents));
        let same = before == Fingerprint::of(&self.watched());
        (same.then_some(before), loaded)
    }

    fn compile(&mut self, mut documents: Documents) -> Result<Loaded, NotLoaded> {
        if documents.sets.is_empty() {
            documents.sets.push(self.unsaid.clone());
        }
        let enforces = documents.sets.iter().any(PolicySet::enforces);
        let engine = self.engine(distinct_bundles(&documents.sets))?;
        let registry = Registry::reload(&engine, &self.compiled, documents, self.options.clone())?;
        self.compiled = registry.bundles().to_vec();
        Ok(Loaded { registry, context: Arc::clone(&self.context), enforces })
    }

    /// The current engine if it has room, else a new one. An old engine is dropped after its last review.
    fn engine(&mut self, bundles: usize) -> Result<Engine, NotLoaded> {
        if let Some((engine, _)) = self.engine.as_ref().filter(|(_, room)| *room >= bundles) {
            return Ok(engine.clone());
        }
        let room = bundles.next_power_of_two().max(ROOM);
        // A thread holds one instance of each bundle until its review is decided. Loading a bundle takes one more, to
        // test it.
        let instances = self.threads.saturating_mul(room).saturating_add(1);
        let limits = Limits { instances: u32::try_from(instances).unwrap_or(u32::MAX), ..self.limits };
        let engine =
            Engine::new(limits).map_err(|error| NotLoaded::Memory { instances, reason: format!("{error:#}") })?;
        let engine = match &self.cache {
            Some(folder) => engine.with_cache(Cache::open(folder)?),
            None => engine,
        };
        self.engine = Some((engine.clone(), room));
        Ok(engine)
    }
}

/// Checks the files without loading their bundles.
pub(super) fn readable(paths: &[PathBuf]) -> Result<(), NotLoaded> {
    read(paths).map(drop)
}

/// Reads the documents of all files.
fn read(paths: &[PathBuf]) -> Result<Documents, NotLoaded> {
    let mut documents = Documents::default();
    let mut problems = Vec::new();
    for path in paths {
        match files(path) {
            Ok(files) if files.is_empty() => {
                problems.push(ConfigError::of_file(path, "there is no .yaml, .yml or .json file in this folder"));
            }
            Ok(files) => files.iter().for_each(|file| add(&mut documents, file, &mut problems)),
            Err(error) => problems.push(ConfigError::of_file(path, format!("cannot be read: {error}"))),
        }
    }
    if problems.is_empty() && documents.sets.is_empty() && !paths.is_empty() {
        // The file is probably only half written. The default PolicySet would apply policies that the user did not
        // choose.
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let reason = "there is no ClusterPolicySet in it; leave out --config for the default one";
        problems.push(ConfigError::of_file(Path::new(&names.join(", ")), reason));
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems.into()) }
}

fn add(documents: &mut Documents, file: &Path, problems: &mut Vec<ConfigError>) {
    let text = match bounded::read_text(file, bounded::MAX_CONFIGURATION) {
        Ok(text) => text,
        Err(error) => return problems.push(ConfigError::of_file(file, format!("cannot be read: {error}"))),
    };
    match registry::read(&text, &file.display().to_string()) {
        Ok(read) => documents.extend(read),
        Err(errors) => problems.extend(errors),
    }
}

fn distinct_bundles(sets: &[PolicySet]) -> usize {
    sets.iter().map(PolicySet::bundle_file).collect::<BTreeSet<_>>().len().max(1)
}
