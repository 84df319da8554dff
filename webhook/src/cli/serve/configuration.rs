//! What `--config` names: read, and made into what reviews are judged by.

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

/// Instances are reserved for so many bundles, so that a few more than there are at start cost nothing.
const ROOM: usize = 4;

/// Why there is nothing to judge by.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLoaded {
    /// The files are wrong.
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
    /// Everything that is wrong, one text each.
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
            NotLoaded::Memory { .. } => Failure::usage(error.to_string(), "see `ulimit -v`"),
            NotLoaded::Cache(_) => Failure::usage(error.to_string(), "give a folder that only its owner can use"),
        }
    }
}

/// Makes one configuration after the other, and keeps of each what the next one needs too.
#[derive(Debug)]
pub(super) struct Loader {
    /// The files of `--config`.
    paths: Vec<PathBuf>,
    /// What counts without any.
    unsaid: PolicySet,
    options: registry::Options,
    context: Arc<dyn Context>,
    threads: usize,
    /// Of one instance.
    limits: Limits,
    /// Of `--bundle-cache`.
    cache: Option<PathBuf>,
    /// With the number of bundles that it has room for.
    engine: Option<(Engine, usize)>,
    /// Of the last good configuration.
    compiled: Vec<Bundle>,
    /// The files of bundles that the last readable configuration names.
    bundles: BTreeSet<PathBuf>,
}

impl Loader {
    /// A loader of what the command line names, with room for so many evaluating threads.
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
            // What writes budgets judges beside the evaluating threads.
            threads: threads + usize::from(args.write_budgets.is_some()),
            limits: Limits { time: args.evaluation_time, ..Limits::default() },
            cache: args.bundle_cache.clone(),
            engine: None,
            compiled: Vec::new(),
            bundles: BTreeSet::new(),
        }
    }

    /// What the configuration is made of.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.bundles).cloned().collect()
    }

    /// Reads and compiles what is there now. The fingerprint is that of what was read; with an error, that of what is to
    /// change before it is worth another try. None where it changed meanwhile.
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

    /// The one in use, as long as it has room; the others live on until the last review with them has ended.
    fn engine(&mut self, bundles: usize) -> Result<Engine, NotLoaded> {
        if let Some((engine, _)) = self.engine.as_ref().filter(|(_, room)| *room >= bundles) {
            return Ok(engine.clone());
        }
        let room = bundles.next_power_of_two().max(ROOM);
        // A thread holds one instance of each bundle until its review is decided, of the old or of the new version; one
        // more is what a bundle is tried on when it is loaded.
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

/// Checks the files, as far as this is possible without their bundles.
pub(super) fn readable(paths: &[PathBuf]) -> Result<(), NotLoaded> {
    read(paths).map(drop)
}

/// The documents of all files.
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
        // Half a file, most likely. The default set in its place would judge by what nobody asked for.
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
