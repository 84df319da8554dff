//! Decides which files are read, and which are skipped.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::patterns::Patterns;
use super::rendered::{self, Built, PassedOver, Reading, Rendered};
use super::unread::{Gap, Glance};
use super::write::Found;
use super::{CheckError, Unjudged, bounds, config};
use crate::files::{self, ReadError, size};

/// Name of standard input in messages.
pub const STDIN: &str = "<stdin>";

/// A text of the input.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name in messages.
    pub name: String,
    /// None for standard input.
    pub path: Option<PathBuf>,
    /// The file as it was when it was read. None for standard input and for new files.
    pub(super) found: Option<Found>,
    pub text: String,
    /// Whether it belongs to a complete input: a folder, or standard input.
    pub closed: bool,
    /// The folder that is applied as a whole, without symbolic links. None for standard input and for files that are
    /// arguments. Together these form one set.
    pub(super) set: Option<PathBuf>,
    /// Whether it was found in a folder, and is not an argument itself.
    pub(super) is_found: bool,
    /// Whether it was found in the folder of a kustomization, or below it.
    pub(super) is_beside: bool,
    /// Whether it is a broken kustomization, which is not a manifest.
    pub(super) is_kustomization: bool,
    pub(crate) role: Role,
}

/// The role of a text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Role {
    /// Its objects are judged, and the report is about them.
    #[default]
    Checked,
    /// Its objects are visible to the checked objects. `--only` leaves it out of the report.
    Known,
    /// Its objects are visible, too. Checked objects replace them (`--context`).
    Context,
}

impl Source {
    /// A text that is not a file.
    pub fn new(name: String, text: String) -> Self {
        Self {
            name,
            path: None,
            found: None,
            text,
            closed: true,
            set: None,
            is_found: false,
            is_beside: false,
            is_kustomization: false,
            role: Role::Checked,
        }
    }
}

/// The collected input.
#[derive(Debug, Default)]
pub struct Collected {
    /// In the order of the arguments. In a folder, in the order of the names.
    pub sources: Vec<Source>,
    pub passed_over: Vec<PassedOver>,
    /// Symbolic links in folders that lead out of all given paths. They were not followed.
    pub links: Vec<String>,
    /// Symbolic links in folders to hidden files. They were not followed.
    pub hidden_links: Vec<String>,
    /// Files and folders that a pattern excludes.
    pub excluded: Vec<String>,
    /// Files that a kustomization names as patches.
    pub patches: Vec<String>,
    /// Files in folders of kustomizations that a kustomization names or may name.
    pub named: Vec<String>,
    /// Files in `--only` that no longer exist.
    pub deleted: Vec<String>,
    /// Files that could not be read.
    pub problems: Vec<Unjudged>,
    /// Parts that were not read and may contain objects.
    pub(super) gaps: Vec<Gap>,
}

/// The paths to read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Input<'a> {
    /// Files, folders, or `-`.
    pub(super) arguments: &'a [PathBuf],
    /// The files that the report is about. None for all.
    pub(super) only: Option<&'a [PathBuf]>,
    /// A folder of manifests whose objects are visible but not checked.
    pub(super) context: Option<&'a Path>,
}

/// Reads the files of these arguments; `-` is standard input. In folders, the first patterns exclude paths. The second
/// patterns name folders that are applied as a whole.
///
/// # Errors
/// If an argument does not exist, or if standard input cannot be read.
pub(super) fn collect(
    Input { arguments, only, context }: Input<'_>,
    [exclude, sets]: [Patterns; 2],
    stdin: &mut dyn Read,
) -> Result<Collected, CheckError> {
    let missing: Vec<String> = arguments
        .iter()
        .filter(|path| !is_stdin(path) && fs::metadata(path).is_err())
        .map(|path| format!("`{}`", path.display()))
        .collect();
    if !missing.is_empty() {
        return Err(CheckError::Usage {
            message: format!("there is no file or folder {}", missing.join(", ")),
            help: "paths are taken from the current folder; `-` is the standard input".to_owned(),
        });
    }
    let mut collector = Collector { exclude, sets, ..Collector::default() };
    collector.only = only.map(|only| collector.changed(only)).transpose()?;
    // Folders come first: a file that is also in one of them belongs to that complete input. The order of the arguments
    // stays.
    let folders = arguments.iter().map(PathBuf::as_path).chain(context);
    for path in folders.filter(|path| !is_stdin(path) && path.is_dir()) {
        collector.closed_folders.extend(path.canonicalize().ok());
    }
    for path in arguments {
        if is_stdin(path) {
            collector.waiting.push(Waiting::default());
        } else if path.is_dir() {
            collector.folder(path, &Within::default());
        } else {
            collector.waiting.push(Waiting { path: Some(path.clone()), ..Waiting::default() });
        }
    }
    // A file in a folder that was skipped stays skipped. Other files are treated like arguments.
    for path in only.into_iter().flatten().filter(|path| path.exists()) {
        let is_below = |real: PathBuf| collector.closed_folders.iter().any(|folder| real.starts_with(folder));
        if !path.canonicalize().is_ok_and(is_below) {
            collector.waiting.push(Waiting { path: Some(path.clone()), ..Waiting::default() });
        }
    }
    if let Some(context) = context {
        collector.is_context = true;
        collector.folder(context, &Within::default());
    }
    collector.read(stdin)?;
    Ok(collector.finish())
}

/// Whether an argument means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

#[derive(Default)]
struct Collector {
    collected: Collected,
    exclude: Patterns,
    sets: Patterns,
    rendered: Rendered,
    closed_folders: Vec<PathBuf>,
    /// Visited files and folders, without symbolic links. So nothing is read twice, and loops end.
    seen: HashSet<PathBuf>,
    stdin: bool,
    /// Total size of all texts.
    bytes: u64,
    /// The files that the report is about, without symbolic links. None for all.
    only: Option<HashSet<PathBuf>>,
    /// Whether the current files are context, which is not checked.
    is_context: bool,
    glance: Glance,
    /// Files and standard input, in order. They are read when all kustomizations are known.
    waiting: Vec<Waiting>,
    /// What the outermost kustomizations build.
    built: Vec<(PathBuf, String, Built)>,
}

/// A file that will be read, or standard input.
#[derive(Default)]
struct Waiting {
    path: Option<PathBuf>,
    is_found: bool,
    /// Whether it is a broken kustomization.
    is_kustomization: bool,
    within: Within,
    is_context: bool,
}

impl Collector {
    /// The existing files of `--only`. Deleted files are counted and left out.
    fn changed(&mut self, only: &[PathBuf]) -> Result<HashSet<PathBuf>, CheckError> {
        if let Some(folder) = only.iter().find(|path| path.is_dir()) {
            let folder = folder.display();
            return Err(CheckError::Usage {
                message: format!("`--only` takes files, and `{folder}` is a folder"),
                help: format!("write the folder in front: plimsoll check {folder} --only FILE…"),
            });
        }
        let real: HashSet<PathBuf> = only.iter().filter_map(|path| path.canonicalize().ok()).collect();
        self.collected.deleted = only.iter().filter(|path| !path.exists()).map(|path| name(path)).collect();
        Ok(real)
    }

    fn role(&self, real: &Path) -> Role {
        match &self.only {
            Some(only) if only.contains(real) => Role::Checked,
            _ if self.is_context => Role::Context,
            Some(_) => Role::Known,
            _ => Role::Checked,
        }
    }

    /// Reads the waiting files. In folders of kustomizations, it reads only files that no kustomization names.
    fn read(&mut self, stdin: &mut dyn Read) -> Result<(), CheckError> {
        let (mut named, mut judged) = (Vec::new(), HashSet::new());
        for waiting in std::mem::take(&mut self.waiting) {
            self.is_context = waiting.is_context;
            let Some(path) = &waiting.path else {
                self.stdin(stdin)?;
                continue;
            };
            if let Some(is_known) = waiting.within.kustomization.filter(|_| !waiting.is_kustomization) {
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                if !is_known || self.rendered.names(&real) {
                    named.push((real, name(path)));
                    continue;
                }
                judged.insert(real);
            }
            self.file(path, &waiting)?;
        }
        // The command line may name these files, too, and a file can have several names.
        let is_reported = |collector: &Self, real: &Path| match &collector.only {
            Some(only) => only.contains(real),
            None => collector.closed_folders.iter().any(|folder| real.starts_with(folder)),
        };
        let mut known = HashSet::new();
        named.retain(|(real, _)| !self.seen.contains(real) && is_reported(self, real) && known.insert(real.clone()));
        self.collected.named.extend(named.into_iter().map(|(_, name)| name));
        for (real, name, Built { kinds, is_open, .. }) in std::mem::take(&mut self.built) {
            let own = if is_open { None } else { self.glance.folder(&real, &judged) };
            let all = own.map(|own| own.into_iter().chain(kinds).collect());
            self.collected.gaps.push(Gap::rendered(&real, "kustomization", &name, all));
        }
        Ok(())
    }

    fn finish(mut self) -> Collected {
        let is_patch = |source: &Source| {
            source.is_found && source.found.as_ref().is_some_and(|found| self.rendered.is_patch(found.real()))
        };
        let (patches, sources): (Vec<Source>, Vec<Source>) = self.collected.sources.into_iter().partition(is_patch);
        self.collected.sources = sources;
        self.collected.patches = patches.into_iter().map(|source| source.name).collect();
        self.collected.passed_over = self.rendered.settle();
        self.collected
    }

    fn stdin(&mut self, stdin: &mut dyn Read) -> Result<(), CheckError> {
        if std::mem::replace(&mut self.stdin, true) {
            return Ok(());
        }
        let bytes = files::read_stream(stdin, bounds::MAX_FILE).map_err(|error| CheckError::Input {
            message: format!("cannot read the standard input: {error}"),
            help: "pipe manifests into `plimsoll check -`, those of one release or cluster at a time".to_owned(),
        })?;
        self.text(Source::new(STDIN.to_owned(), String::new()), bytes)
    }

    fn folder(&mut self, folder: &Path, within: &Within) {
        if !self.is_new(folder) {
            return;
        }
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                self.problem(folder, format!("cannot read the folder: {error}"));
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        let has = |name: &str| folder.join(name).is_file();
        // Links count only if they lead to files in the given folders.
        let closed_folders = &self.closed_folders;
        let is_read = |path: &Path| target(closed_folders, path) == Target::Read;
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if has("Chart.yaml") {
            if let Some(holds_all) = self.rendered.chart(folder, name(folder), is_read) {
                let kinds = if holds_all { self.glance.folder(&real, &HashSet::new()) } else { None };
                self.collected.gaps.push(Gap::rendered(&real, "Helm chart", &name(folder), kinds));
            }
            return;
        }
        let is_given = |path: &Path| closed_folders.iter().any(|folder| path.starts_with(folder));
        let built = self.rendered.kustomization(folder, name(folder), is_read, is_given);
        let is_known = built.as_ref().map(|built| built.reading == Reading::Known);
        let broken = built.as_ref().filter(|built| built.reading == Reading::Broken).map(|built| built.file.clone());
        // The gap of the outer kustomization covers inner ones, unless the inner one is open.
        if let Some(built) = built.filter(|built| built.is_open || within.kustomization.is_none()) {
            self.built.push((real.clone(), name(folder), built));
        }
        let is_set = self.sets.match_path(&real) || within.is_below && has(config::FILE);
        let within = Within {
            kustomization: is_known.or(within.kustomization),
            is_below: true,
            set: if is_set { Some(real.clone()) } else { within.set.clone() },
        };
        for path in paths {
            // Hidden files are skipped: `.git`, `.github`, and our own `.plimsoll.yaml`.
            let Some(file_name) = path.file_name().filter(|name| !name.as_encoded_bytes().starts_with(b".")) else {
                continue;
            };
            if self.exclude.match_path(&real.join(file_name)) {
                self.collected.excluded.push(name(&path));
                continue;
            }
            let is_own = is_known.is_some() && rendered::is_kustomization(file_name);
            // A broken kustomization is read for the error at its place.
            let is_broken = broken.as_ref() == Some(&path);
            let is_read = path.is_dir() || is_broken || is_manifest(&path) && !is_own;
            let target = if is_read { target(&self.closed_folders, &path) } else { Target::Read };
            if target == Target::Outside {
                self.collected.links.push(name(&path));
                self.gap(&real, format!("{}, a symbolic link, was not followed", name(&path)));
            } else if target == Target::Hidden {
                self.collected.hidden_links.push(name(&path));
                self.gap(&real, format!("{}, a symbolic link, was not followed", name(&path)));
            } else if path.is_dir() {
                self.folder(&path, &within);
            } else if is_read {
                self.waiting.push(Waiting {
                    path: Some(path),
                    is_found: !is_broken,
                    is_kustomization: is_broken,
                    within: within.clone(),
                    is_context: self.is_context,
                });
            }
        }
    }

    fn file(&mut self, path: &Path, waiting: &Waiting) -> Result<(), CheckError> {
        if !self.is_new(path) {
            return Ok(());
        }
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let closed = self.closed_folders.iter().any(|folder| real.starts_with(folder));
        let set = waiting.within.set.as_deref().or(real.parent()).filter(|_| closed).map(Path::to_owned);
        match files::open(path, bounds::MAX_FILE) {
            Ok(opened) => {
                let role = self.role(&real);
                let found = Found::new(real, &opened.metadata);
                let source = Source {
                    path: Some(path.to_owned()),
                    found: Some(found),
                    closed,
                    set,
                    is_found: waiting.is_found,
                    is_beside: waiting.within.kustomization.is_some(),
                    is_kustomization: waiting.is_kustomization,
                    role,
                    ..Source::new(name(path), String::new())
                };
                self.text(source, opened.bytes)?;
            }
            Err(error @ ReadError::NotRegular(_)) => {
                self.problem(path, format!("{error}; pipe other things into `plimsoll check -`"));
            }
            Err(error) => self.problem(path, format!("cannot read the file: {error}")),
        }
        Ok(())
    }

    /// Adds a source with these bytes as its text.
    fn text(&mut self, source: Source, bytes: Vec<u8>) -> Result<(), CheckError> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let limit = if self.bytes > bounds::MAX_TOTAL {
            Some(format!("the files are larger than {} in all", size(bounds::MAX_TOTAL)))
        } else if self.collected.sources.len() >= bounds::MAX_FILES {
            Some(format!("there are more than {} files", bounds::MAX_FILES))
        } else {
            None
        };
        if let Some(message) = limit {
            return Err(CheckError::Input {
                message: format!("{message}, the most that one run takes; the last one was {}", source.name),
                help: "check the folders of one cluster at a time".to_owned(),
            });
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.collected.sources.push(Source { text, ..source }),
            Err(error) => {
                let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
                let valid = String::from_utf8_lossy(valid);
                let line = valid.matches('\n').count() + 1;
                let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                let message = "this byte is no UTF-8; manifests are UTF-8 text".to_owned();
                let file = source.name;
                if let Some(folder) = source.path.as_ref().and_then(|path| path.parent()) {
                    self.gap(&folder.canonicalize().unwrap_or_default(), format!("{file} could not be read"));
                }
                if source.role != Role::Known {
                    self.collected.problems.push(Unjudged { file, place: Some((line, column)), message, help: None });
                }
            }
        }
        Ok(())
    }

    fn is_new(&mut self, path: &Path) -> bool {
        match path.canonicalize() {
            Ok(real) => self.seen.insert(real),
            // A broken link. The error appears when it is read.
            Err(_) => true,
        }
    }

    /// Records a gap in a folder that may contain any manifest.
    fn gap(&mut self, folder: &Path, reason: String) {
        self.collected.gaps.push(Gap::file(folder, reason, None));
    }

    fn problem(&mut self, path: &Path, message: String) {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.gap(real.parent().unwrap_or(&real), format!("{} could not be read", name(path)));
        if self.role(&real) == Role::Known {
            return;
        }
        self.collected.problems.push(Unjudged { file: name(path), place: None, message, help: None });
    }
}

/// The surroundings of a folder.
#[derive(Clone, Default)]
struct Within {
    /// Whether the nearest kustomization could be read. If so, the files that it names are known.
    kustomization: Option<bool>,
    /// Whether the folder is below the given folder. The `.plimsoll.yaml` of the given folder is that of the run.
    is_below: bool,
    /// The nearest folder that is applied as a whole, if there is one.
    set: Option<PathBuf>,
}

/// Where a path in a folder leads.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Read,
    Outside,
    Hidden,
}

/// Where a path in a folder leads. A repository must not decide which other files are read or edited. Other files are
/// those outside all given folders, and hidden files.
fn target(closed_folders: &[PathBuf], path: &Path) -> Target {
    let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let Some(real) = path.canonicalize().ok().filter(|_| is_link) else {
        // A broken link is reported as an error later.
        return Target::Read;
    };
    let mut inside = closed_folders.iter().filter_map(|folder| real.strip_prefix(folder).ok()).peekable();
    let is_hidden = |path: &Path| path.iter().any(|name| name.as_encoded_bytes().starts_with(b"."));
    if inside.peek().is_none() {
        Target::Outside
    } else if inside.all(is_hidden) {
        Target::Hidden
    } else {
        Target::Read
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
    matches!(extension.as_deref(), Some("yaml" | "yml" | "json"))
}

/// A path in the form used in messages: with slashes, and without leading `./`.
fn name(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let text = text.strip_prefix("./").unwrap_or(&text).trim_end_matches('/');
    match (text.is_empty(), path.is_absolute()) {
        (true, true) => "/".to_owned(),
        (true, false) => ".".to_owned(),
        _ => text.to_owned(),
    }
}
