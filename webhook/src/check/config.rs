//! Finds and reads the configuration, and builds the registry from it.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::collect::is_stdin;
use super::patterns::{BadPattern, Patterns};
use super::{CheckError, bounds, threads};
use crate::engine::{Cache, Engine, Limits};
use crate::files;
use crate::registry::{self, CheckConfiguration, Documents, Options, Profile, Registry, Site, nearest};

/// Name of the configuration file in a repository.
pub const FILE: &str = ".plimsoll.yaml";

/// Names of folders that are never applied. Go's tools and npm reserve these names.
const NEVER_APPLIED: [&str; 2] = ["testdata", "node_modules"];

/// The options of the command line for the configuration.
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

/// A configuration as read.
#[derive(Debug, Default)]
pub struct Configuration {
    documents: Documents,
    /// The path patterns of each file, with the file's folder.
    checks: Vec<(PathBuf, CheckConfiguration)>,
}

impl Configuration {
    /// Reads the file that the command line names, or else the nearest configuration of each path.
    ///
    /// # Errors
    /// If a file is wrong or cannot be read, or if two of them contain policies.
    pub fn read(choice: &Choice, paths: &[PathBuf]) -> Result<Self, CheckError> {
        let files = match &choice.file {
            Some(file) => vec![file.clone()],
            None => find(paths)?,
        };
        let mut configuration = Self::default();
        let mut judge: Option<PathBuf> = None;
        for file in files {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut documents = read(&file)?;
            let checks = std::mem::take(&mut documents.checks);
            configuration.checks.extend(checks.into_iter().map(|check| (folder.to_owned(), check)));
            if documents.sets.is_empty() && documents.exemptions.is_empty() {
                continue;
            }
            if let Some(first) = judge {
                return Err(two_that_judge(&first, &file));
            }
            configuration.documents = documents;
            judge = Some(file);
        }
        Ok(configuration)
    }

    /// The patterns of skipped paths, and of folders that are applied as a whole. `exclude` comes from the command
    /// line.
    pub(super) fn patterns(&self, exclude: &[String]) -> Result<[Patterns; 2], CheckError> {
        let refuse = |error: BadPattern| CheckError::Usage {
            message: error.to_string(),
            help: "a pattern is a name, such as `vendor` or `*.tpl.yaml`, or a path with `*` and `**`".to_owned(),
        };
        let [mut excluded, mut sets] = [Patterns::default(), Patterns::default()];
        excluded.add(Path::new("/"), &NEVER_APPLIED.map(str::to_owned)).map_err(refuse)?;
        excluded.add(Path::new("."), exclude).map_err(refuse)?;
        for (folder, check) in &self.checks {
            excluded.add(folder, &check.exclude).map_err(refuse)?;
            sets.add(folder, &check.sets).map_err(refuse)?;
        }
        Ok([excluded, sets])
    }
}

/// Loads the policies.
///
/// # Errors
/// If the configuration is wrong or cannot be read.
pub fn load(choice: &Choice, configuration: Configuration) -> Result<Registry, CheckError> {
    let profile = choice.profile.as_deref().map(profile).transpose()?;
    let documents = configuration.documents;
    let threads = u32::try_from(threads::most()).unwrap_or(1);
    // Each thread has one instance of each bundle, and a set has at most one bundle.
    let bundles = u32::try_from(documents.sets.len()).unwrap_or(1).max(1);
    let instances = threads.saturating_mul(bundles).clamp(1, 1000);
    // Fuel instead of time, so that a busy machine changes no verdict.
    let engine = Engine::metered(Limits { instances, ..Limits::default() }).map_err(|error| CheckError::Usage {
        message: format!("WebAssembly cannot run on this machine: {error:#}"),
        help: "the policies need some GiB of address space, but little memory: raise `ulimit -v`".to_owned(),
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
            help: match Profile::renamed(name).or_else(|| nearest(name, names())) {
                Some(near) => format!("did you mean `{near}`? Known: {known}"),
                None => format!("known: {known}"),
            },
        }
    })
}

fn read(file: &Path) -> Result<Documents, CheckError> {
    let name = file.display().to_string();
    let text = files::read_text(file, bounds::MAX_CONFIGURATION).map_err(|error| CheckError::Usage {
        message: format!("cannot read the configuration {name}: {error}"),
        help: "`--config` names a file of ClusterPolicySets and PolicyExemptions".to_owned(),
    })?;
    registry::read(&text, &name).map_err(CheckError::Config)
}

/// The nearest `.plimsoll.yaml` of each path, without repetition, in the order of the paths. Standard input and an
/// empty list use the current folder.
fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CheckError> {
    let Ok(current) = std::env::current_dir().and_then(fs::canonicalize) else { return Ok(Vec::new()) };
    let mut starts: Vec<PathBuf> = Vec::new();
    let mut known: HashSet<PathBuf> = HashSet::new();
    let mut add = |folder: PathBuf| {
        if known.insert(folder.clone()) {
            starts.push(folder);
        }
    };
    for path in paths {
        match fs::canonicalize(path) {
            _ if is_stdin(path) => add(current.clone()),
            Ok(path) if path.is_dir() => add(path),
            Ok(path) => path.parent().map(Path::to_owned).into_iter().for_each(&mut add),
            // A path that does not exist is reported when it is read.
            Err(_) => {}
        }
    }
    if paths.is_empty() {
        add(current.clone());
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for start in starts {
        let file = nearest_file(&start, &current)?;
        files.extend(file.filter(|file| !files.contains(file)));
    }
    Ok(files)
}

/// The nearest `.plimsoll.yaml`, from a folder up to the root of its repository.
fn nearest_file(start: &Path, current: &Path) -> Result<Option<PathBuf>, CheckError> {
    let is_root = |folder: &&Path| folder.join(".git").exists();
    for folder in start.ancestors() {
        let file = folder.join(FILE);
        // A broken link or a pipe counts as an unreadable configuration, not as a missing one.
        if file.symlink_metadata().is_ok() {
            let root = folder.ancestors().find(is_root).unwrap_or(folder);
            let file = file.strip_prefix(current).map(Path::to_owned).unwrap_or(file);
            return if leads_out(&file, root) { Err(foreign(&file)) } else { Ok(Some(file)) };
        }
        // Folders above the repository belong to other projects.
        if is_root(&folder) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Whether a configuration file that was found by search leads out of the repository. The author of the repository
/// controls such a file. A link must not show other files to readers of the CI log.
fn leads_out(file: &Path, root: &Path) -> bool {
    fs::canonicalize(file).is_ok_and(|real| !real.starts_with(root))
}

/// A run has only one set of policies.
fn two_that_judge(first: &Path, second: &Path) -> CheckError {
    CheckError::Usage {
        message: format!(
            "the paths belong to two configurations with policies, {} and {}",
            first.display(),
            second.display()
        ),
        help: "check the paths of each in a run of its own, or name the one that counts for all by `--config`"
            .to_owned(),
    }
}

fn foreign(file: &Path) -> CheckError {
    CheckError::Usage {
        message: format!("the configuration {} is a symbolic link that leads out of its repository", file.display()),
        help: "name the file that is meant by `--config`".to_owned(),
    }
}
