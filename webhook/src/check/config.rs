//! The configuration: which file, and the registry that it makes.

use std::fs;
use std::path::{Path, PathBuf};

use super::collect::is_stdin;
use super::{CheckError, threads};
use crate::engine::{Cache, Engine, Limits};
use crate::registry::{self, Documents, Options, Profile, Registry, Site, nearest};

/// The name under which a repository keeps its configuration.
pub const FILE: &str = ".plimsoll.yaml";

/// What the command line says about it.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// `--config`
    pub file: Option<PathBuf>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--kubernetes-version`
    pub kubernetes_version: Option<String>,
    /// `--bundle-cache`
    pub bundle_cache: Option<PathBuf>,
}

/// The policies to check by.
///
/// # Errors
/// Where the configuration is wrong, or cannot be read.
pub fn load(choice: &Choice, paths: &[PathBuf]) -> Result<Registry, CheckError> {
    let profile = choice.profile.as_deref().map(profile).transpose()?;
    let documents = match choice.file.clone().or_else(|| find(paths)) {
        Some(file) => read(&file)?,
        None => Documents::default(),
    };
    let threads = u32::try_from(threads::most()).unwrap_or(1);
    // Each thread has one instance of each bundle, and no set has more than one.
    let bundles = u32::try_from(documents.sets.len()).unwrap_or(1).max(1);
    let instances = threads.saturating_mul(bundles).clamp(1, 1000);
    let engine = Engine::new(Limits { instances, ..Limits::default() }).map_err(|error| CheckError::Usage {
        message: format!("WebAssembly cannot run on this machine: {error:#}"),
        help: "the policies need some GiB of address space, though hardly any memory: see `ulimit -v`".to_owned(),
    })?;
    let engine = match &choice.bundle_cache {
        Some(folder) => engine.with_cache(Cache::open(folder).map_err(|error| CheckError::Usage {
            message: format!("the folder of --bundle-cache cannot be used: {error}"),
            help: "give a folder that only you can use, or none: it is made where it is missing".to_owned(),
        })?),
        None => engine,
    };
    let options = Options {
        profile,
        kubernetes_version: choice.kubernetes_version.clone(),
        site: Site::Files,
        ..Options::default()
    };
    Registry::new(&engine, documents, options).map_err(CheckError::Config)
}

fn profile(name: &str) -> Result<Profile, CheckError> {
    let names = || Profile::ALL.iter().map(|(name, _)| *name);
    Profile::parse(name).ok_or_else(|| {
        let known = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        CheckError::Usage {
            message: format!("there is no profile `{name}`"),
            help: match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`? Known: {known}"),
                None => format!("known: {known}"),
            },
        }
    })
}

fn read(file: &Path) -> Result<Documents, CheckError> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| CheckError::Usage {
        message: format!("cannot read the configuration {name}: {error}"),
        help: "`--config` names a file of ClusterPolicySets and PolicyExemptions".to_owned(),
    })?;
    registry::read(&text, &name).map_err(CheckError::Config)
}

/// The nearest `.plimsoll.yaml`, from the first path's folder upward to the root of its repository. For the standard
/// input, from the current folder.
fn find(paths: &[PathBuf]) -> Option<PathBuf> {
    let current = std::env::current_dir().and_then(fs::canonicalize).ok()?;
    let start = match paths.first().filter(|path| !is_stdin(path)) {
        Some(path) => fs::canonicalize(path).ok()?,
        None => current.clone(),
    };
    let start = if start.is_dir() { start.as_path() } else { start.parent()? };
    for folder in start.ancestors() {
        let file = folder.join(FILE);
        if file.is_file() {
            return Some(file.strip_prefix(&current).map(Path::to_owned).unwrap_or(file));
        }
        // What lies above the repository is another's.
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}
