//! What `--config` names: read, and made into what reviews are judged by.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::watched::{Fingerprint, files};
use crate::context::Context;
use crate::engine::{Bundle, Cache, Engine, Limits};
use crate::files as bounded;
use crate::registry::{self, ConfigError, Documents, PolicySet, Registry};
use crate::serving::Loaded;

/// Instances are reserved for so many bundles, so that a few more than there are at start cost nothing.
const ROOM: usize = 4;

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
    pub(super) fn new(
        (paths, unsaid): (Vec<PathBuf>, PolicySet),
        options: registry::Options,
        context: Arc<dyn Context>,
        (threads, limits): (usize, Limits),
        cache: Option<PathBuf>,
    ) -> Self {
        let bundles = BTreeSet::new();
        Self { paths, unsaid, options, context, threads, limits, cache, engine: None, compiled: Vec::new(), bundles }
    }

    /// What the configuration is made of.
    pub(super) fn watched(&self) -> Vec<PathBuf> {
        self.paths.iter().chain(&self.bundles).cloned().collect()
    }

    /// Reads and compiles what is there now. The fingerprint is that of what was read; with an error, that of what is to
    /// change before it is worth another try. None where it changed meanwhile.
    pub(super) fn load(&mut self) -> (Option<Fingerprint>, Result<Loaded, Vec<String>>) {
        if let Ok(documents) = read(&self.paths) {
            self.bundles = documents.sets.iter().filter_map(PolicySet::bundle_file).collect();
        }
        let before = Fingerprint::of(&self.watched());
        let loaded = read(&self.paths).and_then(|documents| self.compile(documents));
        let same = before == Fingerprint::of(&self.watched());
        (same.then_some(before), loaded)
    }

    fn compile(&mut self, mut documents: Documents) -> Result<Loaded, Vec<String>> {
        if documents.sets.is_empty() {
            documents.sets.push(self.unsaid.clone());
        }
        let enforces = documents.sets.iter().any(PolicySet::enforces);
        let engine = self.engine(distinct_bundles(&documents.sets)).map_err(|problem| vec![problem])?;
        let registry = Registry::reload(&engine, &self.compiled, documents, self.options.clone())
            .map_err(|problems| problems.iter().map(ConfigError::to_string).collect::<Vec<_>>())?;
        self.compiled = registry.bundles().to_vec();
        Ok(Loaded { registry, context: Arc::clone(&self.context), enforces })
    }

    /// The one in use, as long as it has room; the others live on until the last review with them has ended.
    fn engine(&mut self, bundles: usize) -> Result<Engine, String> {
        if let Some((engine, _)) = self.engine.as_ref().filter(|(_, room)| *room >= bundles) {
            return Ok(engine.clone());
        }
        let room = bundles.next_power_of_two().max(ROOM);
        // A thread holds one instance of each bundle until its review is decided, of the old or of the new version; one
        // more is what a bundle is tried on when it is loaded.
        let instances = self.threads * room + 1;
        let limits = Limits { instances: u32::try_from(instances).unwrap_or(u32::MAX), ..self.limits };
        let engine = Engine::new(limits).map_err(|error| {
            format!("cannot reserve memory for {instances} instances: {error:#}; give fewer --threads")
        })?;
        let engine = match &self.cache {
            Some(folder) => engine.with_cache(Cache::open(folder).map_err(|error| format!("--bundle-cache: {error}"))?),
            None => engine,
        };
        self.engine = Some((engine.clone(), room));
        Ok(engine)
    }
}

/// What is wrong with the files, as far as can be told without their bundles.
pub(super) fn readable(paths: &[PathBuf]) -> Result<(), Vec<String>> {
    read(paths).map(drop)
}

/// The documents of all files.
fn read(paths: &[PathBuf]) -> Result<Documents, Vec<String>> {
    let mut documents = Documents::default();
    let mut problems = Vec::new();
    for path in paths {
        match files(path) {
            Ok(files) if files.is_empty() => {
                problems.push(format!("{}: there is no .yaml, .yml or .json file in this folder", path.display()));
            }
            Ok(files) => files.iter().for_each(|file| add(&mut documents, file, &mut problems)),
            Err(error) => problems.push(format!("{}: cannot be read: {error}", path.display())),
        }
    }
    if problems.is_empty() && documents.sets.is_empty() && !paths.is_empty() {
        // Half a file, most likely. The default set in its place would judge by what nobody asked for.
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        problems.push(format!(
            "{}: there is no ClusterPolicySet in it; leave out --config for the default one",
            names.join(", ")
        ));
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems) }
}

fn add(documents: &mut Documents, file: &Path, problems: &mut Vec<String>) {
    let name = file.display().to_string();
    let text = match bounded::read_text(file, bounded::MAX_CONFIGURATION) {
        Ok(text) => text,
        Err(error) => return problems.push(format!("{name}: cannot be read: {error}")),
    };
    match registry::read(&text, &name) {
        Ok(read) => documents.extend(read),
        Err(errors) => problems.extend(errors.iter().map(ConfigError::to_string)),
    }
}

fn distinct_bundles(sets: &[PolicySet]) -> usize {
    sets.iter().map(PolicySet::bundle_file).collect::<BTreeSet<_>>().len().max(1)
}
