//! The objects of the input, each with its place, and the objects that policies may ask for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use super::beside::Beside;
use super::collect::{Role, Source};
use super::rendered::is_rendered;
use super::unread::{Gap, kinds_of, kinds_of_broken};
use super::{Unjudged, bounds, declared, makers, patches, sets, threads, unnamed};
use crate::context::files::{Files, Folders, Mixed, Objects, Place, SetNumber};
use crate::model::{Kind, Review};
use crate::registry::{Registry, Workloads};
use crate::yaml::{Budget, Document, Stream, SyntaxError};

/// Maximum number of problems of one file that are shown. The rest are counted.
const MOST_PROBLEMS: usize = 100;

/// The parsed input.
#[derive(Debug)]
pub struct World {
    pub files: Vec<File>,
    /// In the order of the files.
    pub objects: Vec<Object>,
    /// Parts that can't be read, or that look like an object and are none.
    pub problems: Vec<Unjudged>,
    /// Documents that are not Kubernetes objects.
    pub others: usize,
    /// Templates in folders, which are not YAML before they are rendered.
    pub templates: Vec<String>,
    /// Files with patches of kustomize, which are not objects.
    pub patches: Vec<String>,
    /// Other objects that policies may ask for.
    pub(super) beside: Arc<Beside>,
    context: Arc<Objects>,
    folders: Arc<Folders>,
    mixed: HashMap<SetNumber, Mixed>,
}

/// One text of the input. Its documents are read again when their places are needed. All documents at once would take a
/// hundred times the memory of the text.
#[derive(Debug)]
pub struct File {
    pub source: Source,
    /// The set, file and folder.
    pub(super) place: Place,
    /// For each document, the number of its part of the text.
    pub(super) parts: Vec<usize>,
}

/// One object of the input.
#[derive(Debug)]
pub struct Object {
    /// Index into [`World::files`].
    pub file: usize,
    /// Number of the document in its file, from 0.
    pub document: usize,
    /// The pointer to the object in its document: empty, or `/items/3` in a list.
    pub prefix: String,
    pub review: Arc<Review>,
}

impl World {
    /// Reads every text. A broken part becomes a problem and does not hide other parts.
    pub fn read(sources: Vec<Source>, registry: &Registry, beside: Arc<Beside>) -> Self {
        Self::read_within(sources, registry, beside, &Budget::default(), bounds::MAX_OBJECTS)
    }

    /// Like [`World::read`], with other limits.
    pub fn read_within(
        sources: Vec<Source>,
        registry: &Registry,
        beside: Arc<Beside>,
        budget: &Budget,
        most: usize,
    ) -> Self {
        let counted = AtomicUsize::new(0);
        let read = threads::map(&sources, |source| {
            let mut reader = Reader::new(source, registry.workloads(), &counted, most);
            reader.read(budget);
            reader.read
        });
        let (mut files, mut objects, mut problems, mut others) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let (mut templates, mut patches, mut gaps) = (Vec::new(), Vec::new(), beside.gaps.clone());
        for (index, (source, read)) in sources.into_iter().zip(read).enumerate() {
            objects.extend(read.objects.into_iter().map(|object| Object { file: index, ..object }));
            gaps.extend(read.gaps);
            if source.role != Role::Known {
                problems.extend(read.problems);
            }
            if source.role == Role::Checked {
                others += read.others;
                patches.extend(read.has_patches.then(|| source.name.clone()));
                if read.is_template {
                    templates.push(source.name.clone());
                }
            }
            files.push(File { source, place: Place::default(), parts: read.parts });
        }
        let mut folders = sets::number(&mut files, &objects);
        let known: BTreeSet<String> = registry.context_kinds().difference(&beside.unread).cloned().collect();
        let mut context = Objects::new(known, Arc::clone(registry.workloads()));
        let mixed = sets::mixed(&files, &objects, |kind| context.wants(kind));
        let near: Vec<u32> = gaps.iter().map(|gap| folders.number(&gap.near)).collect();
        let folders = Arc::new(folders);
        context = context.within(Arc::clone(&folders), mixed.clone());
        gaps.into_iter().zip(near).for_each(|(gap, near)| context.add_unread(near, gap.unread));
        let own: HashSet<[String; 3]> =
            if beside.objects.is_empty() && files.iter().all(|file| file.source.role != Role::Context) {
                HashSet::new()
            } else {
                objects
                    .iter()
                    .filter(|object| files[object.file].source.role == Role::Checked)
                    .map(|object| name_of(&object.review))
                    .collect()
            };
        for (number, Object { review, file, .. }) in (0..).zip(&objects) {
            let File { source, place, .. } = &files[*file];
            // A checked object replaces the object in the context.
            if source.role == Role::Context && own.contains(&name_of(review)) {
                continue;
            }
            let kind = review.kind.group_kind();
            if context.wants(&kind)
                && let Some(object) = review.object_as_called()
            {
                context.add_at(number, *place, &object);
            } else if makers::is_maker(&kind, registry.workloads()) {
                context.add_maker(*place, &review.namespace, &format!("{} {}", review.kind.kind, review.name));
            }
        }
        let recorded: HashMap<_, _> = beside.objects.iter().map(|object| (identity(object), object)).collect();
        // A checked object replaces the recorded one.
        let others_beside = beside.objects.iter().filter(|object| !own.contains(&identity(object)));
        add_beside(&mut context, others_beside, objects.len());
        for object in &mut objects {
            if let Some(review) =
                recorded.get(&name_of(&object.review)).and_then(|old| object.review.with_old_object(old))
            {
                object.review = Arc::new(review);
            }
        }
        declared::mark(&files, &mut objects);
        Self {
            files,
            objects,
            problems,
            others,
            templates,
            patches,
            beside,
            context: Arc::new(context),
            folders,
            mixed,
        }
    }

    /// The context of the object with this number.
    pub(super) fn context(&self, object: usize) -> Files {
        self.seen_by(object, &self.context)
    }

    /// These objects, as seen by the object with this number.
    pub(super) fn seen_by(&self, object: usize, objects: &Arc<Objects>) -> Files {
        let File { source, place, .. } = self.file(&self.objects[object]);
        let files = Files::new(source.closed, Arc::clone(objects)).seen_from(*place);
        files.seen_by(u32::try_from(object).unwrap_or(u32::MAX))
    }

    /// The objects of one set without those of other sets, and the recorded objects.
    pub(super) fn objects_of(&self, registry: &Registry, set: SetNumber) -> Arc<Objects> {
        let mixed = self.mixed.get(&set).map(|mixed| (set, mixed.clone()));
        let alone = Objects::new(self.context.kinds().clone(), Arc::clone(registry.workloads()));
        let mut alone = alone.within(Arc::clone(&self.folders), mixed.into_iter().collect());
        let of_set = (0..).zip(&self.objects).filter(|(_, object)| self.file(object).place.set == set);
        for (number, object) in of_set {
            if alone.wants(&object.review.kind.group_kind())
                && let Some(value) = object.review.object_as_called()
            {
                alone.add_at(number, self.file(object).place, &value);
            }
        }
        add_beside(&mut alone, self.beside.objects.iter(), self.objects.len());
        Arc::new(alone)
    }

    /// The object that `object` means by a kind, without group, and a name.
    pub(super) fn named(&self, object: &Object, kind: &str, name: &str) -> Option<usize> {
        let number = self.context.find(self.file(object).place, &object.review.namespace, kind, name)?;
        usize::try_from(number).ok().filter(|number| *number < self.objects.len())
    }

    /// The numbers of the objects that the report is about.
    pub(crate) fn checked(&self) -> impl Iterator<Item = usize> {
        (0..self.objects.len()).filter(|object| self.file(&self.objects[*object]).source.role == Role::Checked)
    }

    /// Whether policies may ask for objects of this kind.
    pub(super) fn is_context(&self, object: &Object) -> bool {
        self.context.wants(&object.review.kind.group_kind())
    }

    /// The file of an object.
    pub fn file(&self, object: &Object) -> &File {
        &self.files[object.file]
    }
}

/// Adds the recorded objects, as a set of their own.
fn add_beside<'a>(context: &mut Objects, beside: impl Iterator<Item = &'a Value>, first: usize) {
    let place = Place { set: SetNumber::MAX, file: u32::MAX, folder: 0 };
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    (first..).zip(beside).for_each(|(number, object)| context.add_at(number, place, object));
}

/// Group and kind, namespace, name.
fn name_of(review: &Review) -> [String; 3] {
    [review.kind.group_kind(), review.namespace.clone(), review.name.clone()]
}

/// The same for an object that is not judged.
fn identity(object: &Value) -> [String; 3] {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = Kind::from_api_version(text("/apiVersion"), text("/kind")).group_kind();
    [kind, text("/metadata/namespace").to_owned(), text("/metadata/name").to_owned()]
}

/// The contents of one text.
#[derive(Default)]
struct Read {
    parts: Vec<usize>,
    objects: Vec<Object>,
    problems: Vec<Unjudged>,
    others: usize,
    /// Whether some of its documents are patches of kustomize.
    has_patches: bool,
    /// Parts of it that can't be read.
    gaps: Vec<Gap>,
    /// Whether it was found in a folder and is a template, which is not YAML before it is rendered. Its documents are
    /// left out.
    is_template: bool,
}

struct Reader<'a> {
    source: &'a Source,
    workloads: &'a Workloads,
    read: Read,
    /// Number of objects of all texts, and its limit.
    counted: &'a AtomicUsize,
    most: usize,
    /// Number of problems that are not shown.
    more: usize,
    /// Whether a limit was reached before the end.
    is_cut: bool,
    /// Whether the text looks like a template. This is checked once, not for each broken document.
    is_template: bool,
    /// Whether the text may contain an object. It then has a word that every object has, or escapes that may hide the
    /// word.
    has_objects: bool,
}

/// The place of a value.
#[derive(Clone, Copy)]
struct At<'a> {
    number: usize,
    document: &'a Document,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, workloads: &'a Workloads, counted: &'a AtomicUsize, most: usize) -> Self {
        let text = &source.text;
        Self {
            source,
            workloads,
            read: Read::default(),
            counted,
            most,
            more: 0,
            is_cut: false,
            is_template: text.contains("{{"),
            has_objects: ["apiVersion", "kind", "\\u", "\\x", "\\U"].iter().any(|word| text.contains(word)),
        }
    }

    fn read(&mut self, budget: &Budget) {
        let stream = Stream::new(&self.source.text);
        for part in 0..stream.len() {
            let Some(document) = stream.document(part, budget) else { continue };
            let number = self.read.parts.len();
            self.read.parts.push(part);
            match document {
                Ok(document) => self.value(At { number, document: &document }, "", document.value(), None),
                Err(error) => self.broken(error, stream.written(part).map_or(&self.source.text, |(_, text)| text)),
            }
            if self.read.is_template {
                // The documents are only a part of what the template renders, so they are not judged alone.
                let reason = format!("the template {} was passed over", self.source.name);
                let gaps = vec![Gap::file(&self.folder(), reason, kinds_of(&self.source.text))];
                self.read =
                    Read { parts: std::mem::take(&mut self.read.parts), is_template: true, gaps, ..Read::default() };
                self.more = 0;
                break;
            }
            // The limit is reached, so the remaining documents are not read.
            if budget.is_spent() || self.counted.load(Ordering::Relaxed) > self.most {
                self.is_cut = true;
                break;
            }
        }
        if self.is_cut {
            self.gap(format!("not all of {} was read", self.source.name), None);
        }
        if self.more > 0 {
            let message = format!("{} more of its documents cannot be judged", self.more);
            let file = self.source.name.clone();
            self.read.problems.push(Unjudged { file, place: None, message, help: None });
        }
    }

    /// Adds a problem. After the first ones of a file, problems are only counted.
    fn note(&mut self, problem: Unjudged) {
        if self.read.problems.len() < MOST_PROBLEMS {
            self.read.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Records a part of the file that was not read. It may contain these kinds. None means any kind.
    fn gap(&mut self, reason: String, kinds: Option<BTreeSet<String>>) {
        self.read.gaps.push(Gap::file(&self.folder(), reason, kinds));
    }

    /// The folder of the file.
    fn folder(&self) -> PathBuf {
        sets::real(self.source).and_then(|real| real.parent().map(Path::to_owned)).unwrap_or_default()
    }

    /// Records a broken document. `text` is the document.
    fn broken(&mut self, error: SyntaxError, text: &str) {
        // Many files in repositories only have the ending of a manifest: lines of JSON, JSON with comments, settings of
        // tools.
        if self.source.is_found && !self.has_objects {
            self.read.others += 1;
            return;
        }
        if self.source.is_found && self.is_template && is_rendered(&self.source.text, error.line) {
            self.read.is_template = true;
            return;
        }
        let help = (self.is_template && !self.source.is_kustomization).then(|| {
            "it contains `{{`, as templates do: render it first, for instance with \
             `helm template CHART | plimsoll check -`"
                .to_owned()
        });
        let place = Some((error.line, error.column));
        self.gap(format!("{} could not be read", self.source.name), kinds_of_broken(text));
        self.note(Unjudged { file: self.source.name.clone(), place, message: error.message, help });
    }

    /// Reads a value. For an item of a typed list, `kind` is its `apiVersion` and `kind`, in case the item has no kind.
    fn value(&mut self, at: At<'_>, prefix: &str, value: &Value, kind: Option<(&str, &str)>) {
        let completed;
        let value = match (kind, value) {
            (Some((api_version, kind)), Value::Object(members)) if !members.contains_key("kind") => {
                completed = with_kind(members, api_version, kind);
                &completed
            }
            _ => value,
        };
        if self.source.is_kustomization && !value.is_object() {
            self.gap(format!("{} could not be read", self.source.name), None);
            return self.problem(
                at,
                prefix,
                "a kustomization must be a mapping, such as `resources: [deployment.yaml]`",
            );
        }
        let text = |member: &str| value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return self.no_object(at, prefix, value);
        };
        // Files for kustomize and Helm are not objects of a cluster.
        if api_version.starts_with("kustomize.config.k8s.io/") {
            self.read.others += 1;
            return;
        }
        if let (Some(items), Some(item_kind)) =
            (value.get("items").and_then(Value::as_array), kind.strip_suffix("List"))
        {
            let item_kind = Some((api_version, item_kind)).filter(|(_, kind)| !kind.is_empty());
            for (number, item) in items.iter().enumerate() {
                self.value(at, &format!("{prefix}/items/{number}"), item, item_kind);
            }
            return;
        }
        if patches::is_patch(value, self.workloads, self.source.is_beside) {
            self.read.has_patches = true;
            let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.gap(format!("a patch in {} was passed over", self.source.name), Some(BTreeSet::from([kind])));
            return;
        }
        let counted = self.counted.fetch_add(1, Ordering::Relaxed);
        if counted >= self.most {
            self.is_cut = true;
            // Further objects get no message, because there may be a million.
            if counted == self.most {
                let message = format!(
                    "the input has more than {} Kubernetes objects, and the others are not judged; check fewer files \
                     at once",
                    self.most
                );
                self.problem(at, prefix, &message);
            }
            return;
        }
        let review = Review::from_object(value).and_then(|review| {
            let name = || {
                let line = at.document.locate_nearest(prefix).0.value.line;
                unnamed::name(value, &self.source.name, line, prefix)
            };
            if review.name.is_empty() { review.called(&name()) } else { Some(review) }
        });
        match review {
            Some(review) => {
                self.read.objects.push(Object {
                    file: 0,
                    document: at.number,
                    prefix: prefix.to_owned(),
                    review: Arc::new(review),
                });
            }
            None => self.problem(
                at,
                prefix,
                "it is no object that can be judged: `apiVersion` has no version, or it is too large",
            ),
        }
    }

    /// With `metadata`, a value that has only one of `apiVersion` and `kind` is a broken manifest. Other values are
    /// YAML of other programs.
    fn no_object(&mut self, at: At<'_>, prefix: &str, value: &Value) {
        let has = |member: &str| value.get(member).is_some();
        match (has("apiVersion"), has("kind")) {
            (true, false) if has("metadata") => {
                self.problem(at, prefix, "a Kubernetes object needs `kind` beside `apiVersion`")
            }
            (false, true) if has("metadata") => {
                self.problem(at, prefix, "a Kubernetes object needs `apiVersion` beside `kind`")
            }
            (true, true) => self.problem(at, prefix, "`apiVersion` and `kind` must be strings, and not empty"),
            _ if prefix.is_empty() => self.read.others += 1,
            _ => {
                self.problem(at, prefix, "an item of a list must be a Kubernetes object, with `apiVersion` and `kind`")
            }
        }
    }

    fn problem(&mut self, at: At<'_>, prefix: &str, message: &str) {
        let (place, _) = at.document.locate_nearest(prefix);
        self.note(Unjudged {
            file: self.source.name.clone(),
            place: Some((place.value.line, place.value.column)),
            message: message.to_owned(),
            help: None,
        });
    }
}

/// Adds the kind to an item. kubectl accepts items of a `DeploymentList` without a kind.
fn with_kind(members: &Map<String, Value>, api_version: &str, kind: &str) -> Value {
    let mut members = members.clone();
    members.insert("kind".to_owned(), kind.into());
    members.entry("apiVersion").or_insert_with(|| api_version.into());
    Value::Object(members)
}
