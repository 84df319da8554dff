//! Charts and kustomizations: folders that are rendered before they are applied, and the commands that check them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bounds;
use crate::files::{self, ReadError};
use crate::yaml::{Budget, Document, Stream, SyntaxError};

/// Names of kustomize's file.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Members of a kustomization that name folders with kustomizations.
const FOLDERS: [&str; 6] = ["resources", "bases", "components", "generators", "transformers", "validators"];

/// Members that may also name files, which configure a plugin.
const PLUGINS: [&str; 3] = ["generators", "transformers", "validators"];

/// A folder that must be rendered before it can be checked.
#[derive(Clone, Debug)]
pub struct PassedOver {
    /// The folder.
    pub path: String,
    /// `Helm chart`, `library chart`, `kustomization`, `kustomize base` or `kustomize component`.
    pub what: &'static str,
    /// How to check its objects.
    pub check: Check,
}

/// How to check the objects of a folder that must be rendered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Check {
    /// With this command.
    Run(String),
    /// With the kustomization of this folder, which builds it.
    With(String),
    /// With the folders that use it. The input does not show which these are.
    WithUsers,
}

impl PassedOver {
    /// The command that checks it, if it has its own.
    pub fn command(&self) -> Option<&str> {
        match &self.check {
            Check::Run(command) => Some(command),
            Check::With(_) | Check::WithUsers => None,
        }
    }

    /// A sentence that says what the folder is, and how to check it.
    pub fn sentence(&self) -> String {
        let Self { path, what, check } = self;
        match check {
            Check::Run(command) => format!("{path} is a {what}; run: {command}"),
            Check::With(user) => format!("{path} is a {what} that {user} builds"),
            Check::WithUsers => format!("{path} is a {what}; check what uses it"),
        }
    }
}

/// All folders found so far that must be rendered.
#[derive(Default)]
pub(super) struct Rendered {
    folders: Vec<PassedOver>,
    kustomizations: Vec<Kustomization>,
    /// Files that kustomizations name as patches and as resources, without symbolic links.
    patches: HashSet<PathBuf>,
    resources: HashSet<PathBuf>,
    /// All files that kustomizations name, in any member.
    named: HashSet<PathBuf>,
    budget: Budget,
    /// Total size of the files that were read to find out what they are.
    bytes: u64,
}

/// The objects that a kustomization builds, other than those in its folder.
pub(super) struct Built {
    /// Kinds that it generates.
    pub(super) kinds: Vec<String>,
    /// Whether it also builds objects that are not in the input: from another repository or a chart.
    pub(super) is_open: bool,
    /// Its file.
    pub(super) file: PathBuf,
    pub(super) reading: Reading,
}

/// Whether a kustomization could be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    /// It is a mapping, so the files that it names are known.
    Known,
    /// It is empty, or a template, or too large, or a link that is not followed.
    Unknown,
    /// It is neither a mapping nor a template, so kustomize rejects it.
    Broken,
}

/// A kustomization, with the folders that it builds.
#[derive(Debug, Default)]
struct Kustomization {
    /// Index into [`Rendered::folders`].
    folder: usize,
    /// The folder without symbolic links.
    real: PathBuf,
    is_component: bool,
    /// Folders without symbolic links.
    builds: Vec<PathBuf>,
    needs: Needs,
}

/// The options that a kustomization needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Needs {
    /// Whether it renders Helm charts.
    helm: bool,
    /// Whether it reads files outside its folder.
    outside: bool,
}

impl Rendered {
    /// Records a folder with a `Chart.yaml`. Returns whether the folder contains all charts that it renders. None for a
    /// library chart, which renders nothing. `is_read` tells whether a file may be read.
    pub(super) fn chart(&mut self, folder: &Path, name: String, is_read: impl Fn(&Path) -> bool) -> Option<bool> {
        let mut read = |path: PathBuf| if is_read(&path) { self.read(&path) } else { None };
        let chart = read(folder.join("Chart.yaml")).unwrap_or_default();
        if chart.get("type").and_then(Value::as_str) == Some("library") {
            self.folders.push(PassedOver { path: name, what: "library chart", check: Check::WithUsers });
            return None;
        }
        let requirements = match chart.get("dependencies") {
            Some(_) => chart,
            None => read(folder.join("requirements.yaml")).unwrap_or_default(),
        };
        let requirements = requirements.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        let names = requirements.filter_map(|dependency| dependency.get("name")?.as_str());
        let word = shell(&name);
        let holds_all = names.into_iter().all(|name| holds(folder, name));
        let build = if holds_all { String::new() } else { format!("helm dependency build {word} && ") };
        let check = Check::Run(format!("{build}helm template {word} | plimsoll check -"));
        self.folders.push(PassedOver { path: name, what: "Helm chart", check });
        Some(holds_all)
    }

    /// Records a folder if it has a kustomization, and returns what it builds. `is_given` tells whether a path is part
    /// of the input.
    pub(super) fn kustomization(
        &mut self,
        folder: &Path,
        name: String,
        is_read: impl Fn(&Path) -> bool,
        is_given: impl Fn(&Path) -> bool,
    ) -> Option<Built> {
        let file = KUSTOMIZATIONS.iter().map(|name| folder.join(name)).find(|file| file.is_file())?;
        // A kustomization that can't be read still counts as one.
        let (value, reading) =
            if is_read(&file) { self.read_kustomization(&file) } else { (Value::Null, Reading::Unknown) };
        let text = |member: &str| value.get(member).and_then(Value::as_str);
        // Flux has a kind with the same name, and its objects are often in a file with this name.
        if text("apiVersion").is_some_and(|version| !version.starts_with("kustomize.config.k8s.io/")) {
            return None;
        }
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        self.patches.extend(patches(&real, &value));
        let own_files = named_files(&real, &value);
        // Configurations of plugins name files, too. Their paths also start from the kustomization.
        let plugins = PLUGINS.iter().filter_map(|member| value.get(*member)).flat_map(|it| named_files(&real, it));
        for plugin in plugins.filter(|file| is_given(file)).collect::<Vec<_>>() {
            let more = self.read(&plugin).map(|plugin| named_files(&real, &plugin));
            self.named.extend(more.unwrap_or_default());
        }
        let named = FOLDERS.iter().filter_map(|member| value.get(*member)?.as_array()).flatten();
        let named = named.filter_map(Value::as_str).map(|path| real.join(path).canonicalize());
        let named: Vec<Option<PathBuf>> = named.map(Result::ok).collect();
        let is_elsewhere = |path: &Option<PathBuf>| path.as_ref().is_none_or(|path| !is_given(path));
        let is_elsewhere = value.is_null() || named.iter().any(is_elsewhere);
        self.resources.extend(named.iter().flatten().filter(|path| path.is_file()).cloned());
        let has = |member: &str| value.get(member).and_then(Value::as_array).is_some_and(|charts| !charts.is_empty());
        self.kustomizations.push(Kustomization {
            folder: self.folders.len(),
            is_component: text("kind") == Some("Component"),
            builds: named.into_iter().flatten().filter(|path| *path != real && path.is_dir()).collect(),
            needs: Needs {
                helm: has("helmCharts") || has("helmChartInflationGenerator"),
                outside: own_files.iter().any(|file| !file.starts_with(&real))
                    || file.canonicalize().is_ok_and(|file| !file.starts_with(&real)),
            },
            real,
        });
        self.named.extend(own_files);
        self.folders.push(PassedOver { path: name, what: "kustomization", check: Check::WithUsers });
        let generated = [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")];
        let kinds = generated.into_iter().filter(|(member, _)| has(member)).map(|(_, kind)| kind.to_owned()).collect();
        let is_open = is_elsewhere || has("helmCharts") || has("helmChartInflationGenerator");
        Some(Built { kinds, is_open, file, reading })
    }

    /// Whether a file, without symbolic links, is a patch of a kustomization, and a resource of none.
    pub(super) fn is_patch(&self, file: &Path) -> bool {
        self.patches.contains(file) && !self.resources.contains(file)
    }

    /// Whether a kustomization names a file, without symbolic links.
    pub(super) fn names(&self, file: &Path) -> bool {
        self.named.contains(file)
    }

    /// The folders in the order in which they were found, each with the way to check it.
    pub(super) fn settle(mut self) -> Vec<PassedOver> {
        let numbers = self.kustomizations.iter().enumerate().map(|(number, it)| (it.real.as_path(), number));
        let numbers: HashMap<&Path, usize> = numbers.collect();
        let number = |path: &PathBuf| numbers.get(path.as_path()).copied();
        let builds = self.kustomizations.iter().map(|it| it.builds.iter().filter_map(number).collect());
        let builds: Vec<Vec<usize>> = builds.collect();
        let roots = roots(&self.kustomizations, &builds);
        let needs = needs(&self.kustomizations, &builds);
        for (number, kustomization) in self.kustomizations.iter().enumerate() {
            let user = roots[number].map(|root| self.folders[self.kustomizations[root].folder].path.clone());
            let folder = &mut self.folders[kustomization.folder];
            (folder.what, folder.check) = match user {
                Some(_) if roots[number] == Some(number) => {
                    let helm = if needs[number].helm { "--enable-helm " } else { "" };
                    let outside = if needs[number].outside { "--load-restrictor=LoadRestrictionsNone " } else { "" };
                    let word = shell(&folder.path);
                    let command = format!("kubectl kustomize {helm}{outside}{word} | plimsoll check -");
                    ("kustomization", Check::Run(command))
                }
                user => {
                    let what = if kustomization.is_component { "kustomize component" } else { "kustomize base" };
                    (what, user.map_or(Check::WithUsers, Check::With))
                }
            };
        }
        self.folders
    }

    /// The first document of a file, if the file is small enough and can be read.
    fn read(&mut self, file: &Path) -> Option<Value> {
        let text = files::read_text(file, bounds::MAX_CONFIGURATION).ok()?;
        Some(self.first_document(&text)?.ok()?.value().clone())
    }

    /// The first document of a kustomization. Null if it can't be read, with the reason.
    fn read_kustomization(&mut self, file: &Path) -> (Value, Reading) {
        let text = match files::read_text(file, bounds::MAX_CONFIGURATION) {
            Ok(text) => text,
            Err(ReadError::TooLarge(_)) => return (Value::Null, Reading::Unknown),
            Err(_) => return (Value::Null, Reading::Broken),
        };
        match self.first_document(&text) {
            None => (Value::Null, Reading::Unknown),
            Some(Ok(document)) if document.value().is_object() => (document.value().clone(), Reading::Known),
            Some(Err(error)) if is_rendered(&text, error.line) => (Value::Null, Reading::Unknown),
            Some(Ok(_) | Err(_)) => (Value::Null, Reading::Broken),
        }
    }

    fn first_document(&mut self, text: &str) -> Option<Result<Document, SyntaxError>> {
        self.bytes = self.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        if self.bytes > bounds::MAX_TOTAL {
            return None;
        }
        let stream = Stream::new(text);
        (0..stream.len()).find_map(|part| stream.document(part, &self.budget))
    }
}

/// Whether a line that is not YAML, or the line before it, belongs to a template: it contains `{{` and is not a
/// comment.
pub(super) fn is_rendered(text: &str, line: usize) -> bool {
    let lines = text.lines().skip(line.saturating_sub(2)).take(2);
    lines.into_iter().any(|line| line.contains("{{") && !line.trim_start().starts_with('#'))
}

/// For each kustomization, the one whose command builds it. This can be the kustomization itself.
fn roots(kustomizations: &[Kustomization], builds: &[Vec<usize>]) -> Vec<Option<usize>> {
    let is_whole = |number: &usize| !kustomizations[*number].is_component;
    let mut is_used = vec![false; kustomizations.len()];
    // A component that is not used builds nothing.
    let mut used_components = vec![false; kustomizations.len()];
    let mut waiting: Vec<usize> = (0..kustomizations.len()).filter(is_whole).collect();
    while let Some(number) = waiting.pop() {
        for built in &builds[number] {
            is_used[*built] = true;
            if !is_whole(built) && !std::mem::replace(&mut used_components[*built], true) {
                waiting.push(*built);
            }
        }
    }
    let mut roots = vec![None; kustomizations.len()];
    let mut reach = |root: usize| {
        let mut waiting = vec![root];
        while let Some(number) = waiting.pop() {
            if roots[number].is_none() {
                roots[number] = Some(root);
                waiting.extend(&builds[number]);
            }
        }
    };
    let whole = || (0..kustomizations.len()).filter(is_whole);
    whole().filter(|number| !is_used[*number]).for_each(&mut reach);
    // Kustomizations that build each other in a circle. kustomize rejects them.
    whole().for_each(&mut reach);
    roots
}

/// For each kustomization, the options that it and all its parts need.
fn needs(kustomizations: &[Kustomization], builds: &[Vec<usize>]) -> Vec<Needs> {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); kustomizations.len()];
    for (number, built) in builds.iter().enumerate() {
        built.iter().for_each(|built| users[*built].push(number));
    }
    let mut needs: Vec<Needs> = kustomizations.iter().map(|it| it.needs).collect();
    let mut waiting: Vec<usize> = (0..needs.len()).filter(|number| needs[*number] != Needs::default()).collect();
    while let Some(number) = waiting.pop() {
        let Needs { helm, outside } = needs[number];
        for user in &users[number] {
            let known = &mut needs[*user];
            let joined = Needs { helm: known.helm || helm, outside: known.outside || outside };
            if std::mem::replace(known, joined) != joined {
                waiting.push(*user);
            }
        }
    }
    needs
}

/// The files of a folder that its kustomization reads as patches, or as other input that is not a resource.
fn patches(folder: &Path, value: &Value) -> Vec<PathBuf> {
    let members = ["patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "configurations"];
    let items = members.iter().filter_map(|member| value.get(*member)?.as_array()).flatten();
    let paths = items.filter_map(|item| item.as_str().or_else(|| item.get("path")?.as_str()));
    // A patch may be written inline instead of its path.
    let paths = paths.filter(|path| !path.contains('\n')).filter_map(|path| folder.join(path).canonicalize().ok());
    paths.filter(|path| path.is_file()).collect()
}

/// Whether a file with this name is a kustomization.
pub(super) fn is_kustomization(name: &OsStr) -> bool {
    KUSTOMIZATIONS.iter().any(|known| name == *known)
}

/// The files that a kustomization names anywhere, as a path or as `key=path`, without symbolic links.
fn named_files(folder: &Path, value: &Value) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![value]);
    while let Some(value) = waiting.pop() {
        match value {
            Value::String(text) => {
                let path = text.rsplit_once('=').map_or(text.as_str(), |(_, path)| path);
                if !path.is_empty() && !path.starts_with('/') && !path.contains('\n') {
                    files.extend(folder.join(path).canonicalize().ok().filter(|path| path.is_file()));
                }
            }
            Value::Array(items) => waiting.extend(items),
            Value::Object(members) => waiting.extend(members.values()),
            _ => {}
        }
    }
    files
}

/// Whether a chart has a dependency in its `charts/`, as a folder or as an archive.
fn holds(chart: &Path, dependency: &str) -> bool {
    let entries = fs::read_dir(chart.join("charts")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        let version = name.strip_suffix(".tgz").and_then(|name| name.strip_prefix(dependency)?.strip_prefix('-'));
        match version {
            // `redis-ha-1.2.0.tgz` is not `redis`.
            Some(version) => version.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()),
            None => name == dependency && chart.join("charts").join(dependency).join("Chart.yaml").is_file(),
        }
    })
}

/// Quotes a word for a command that can be pasted into a shell.
fn shell(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,".contains(&byte);
    if word.bytes().all(plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        let dashed = if word.starts_with('-') { "./" } else { "" };
        format!("'{dashed}{}'", word.replace('\'', r"'\''"))
    }
}
