//! The objects of the input, each with its place, and what policies may know of the others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use super::beside::Beside;
use super::collect::Source;
use super::{Problem, bounds, sets, threads};
use crate::admission::{Kind, Review};
use crate::context::Context;
use crate::context::files::{Files, Objects, SetNumber};
use crate::registry::Registry;
use crate::yaml::{Budget, Document, Stream, SyntaxError};

/// Problems of a file that are shown one by one.
const MOST_PROBLEMS: usize = 100;

/// Everything that was read.
#[derive(Debug)]
pub struct World {
    pub files: Vec<File>,
    /// In the order of the files.
    pub objects: Vec<Object>,
    /// What cannot be read, or is no object though it looks like one.
    pub problems: Vec<Problem>,
    /// Documents that are no Kubernetes objects.
    pub others: usize,
    /// Files in folders that are no YAML before they are rendered.
    pub templates: Vec<String>,
    /// What policies may ask for besides.
    pub(super) beside: Arc<Beside>,
    context: Arc<Objects>,
}

/// One text of the input. Its documents are read again where their places are asked for: all of them at once would need a
/// hundred times the memory of the text.
#[derive(Debug)]
pub struct File {
    pub source: Source,
    /// What it is applied with.
    pub(super) set: SetNumber,
    /// The part of the text that each document is, in their order.
    pub(super) parts: Vec<usize>,
}

/// One object of the input.
#[derive(Debug)]
pub struct Object {
    /// Index into [`World::files`].
    pub file: usize,
    /// Number of the document in its file, from 0.
    pub document: usize,
    /// The pointer to it in its document: empty, or `/items/3` in a list.
    pub prefix: String,
    pub review: Arc<Review>,
}

impl World {
    /// Reads every text. What is broken becomes a problem and hides nothing else.
    pub fn read(sources: Vec<Source>, registry: &Registry, beside: Arc<Beside>) -> Self {
        Self::read_within(sources, registry, beside, &Budget::default(), bounds::MAX_OBJECTS)
    }

    /// As [`World::read`], with other bounds.
    pub fn read_within(
        sources: Vec<Source>,
        registry: &Registry,
        beside: Arc<Beside>,
        budget: &Budget,
        most: usize,
    ) -> Self {
        let counted = AtomicUsize::new(0);
        let read = threads::map(&sources, |source| {
            let mut reader = Reader::new(source, &counted, most);
            reader.read(budget);
            reader.read
        });
        let (mut files, mut objects, mut problems, mut others) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut templates = Vec::new();
        for (index, (source, read)) in sources.into_iter().zip(read).enumerate() {
            objects.extend(read.objects.into_iter().map(|object| Object { file: index, ..object }));
            problems.extend(read.problems);
            others += read.others;
            if read.is_template {
                templates.push(source.name.clone());
            }
            files.push(File { source, set: 0, parts: read.parts });
        }
        sets::number(&mut files, &objects);
        let known = registry.context_kinds().difference(&beside.unread).cloned().collect();
        let mut context = Objects::new(known, Arc::clone(registry.workloads()));
        let mut own = HashSet::new();
        for Object { review, file, .. } in &objects {
            if !beside.objects.is_empty() {
                own.insert([review.kind.group_kind(), review.namespace.clone(), review.name.clone()]);
            }
            if context.wants(&review.kind.group_kind())
                && let Some(object) = review.object().and_then(|object| serde_json::to_value(object).ok())
            {
                context.add_to(files[*file].set, &object);
            }
        }
        let recorded: HashMap<_, _> = beside.objects.iter().map(|object| (identity(object), object)).collect();
        // What is checked is what will be there.
        beside.objects.iter().filter(|object| !own.contains(&identity(object))).for_each(|object| context.add(object));
        for object in &mut objects {
            let Review { kind, namespace, name, .. } = &*object.review;
            let identity = [kind.group_kind(), namespace.clone(), name.clone()];
            if let Some(review) = recorded.get(&identity).and_then(|old| object.review.with_old_object(old)) {
                object.review = Arc::new(review);
            }
        }
        Self { files, objects, problems, others, templates, beside, context: Arc::new(context) }
    }

    /// What surrounds an object.
    pub fn context(&self, object: &Object) -> Arc<dyn Context> {
        let File { source, set, .. } = self.file(object);
        Arc::new(Files::new(source.closed, Arc::clone(&self.context)).seen_by(*set))
    }

    /// The objects of one set, as if there were no other, and what is known besides.
    pub(super) fn objects_of(&self, registry: &Registry, set: SetNumber) -> Arc<Objects> {
        let mut alone = Objects::new(self.context.kinds().clone(), Arc::clone(registry.workloads()));
        for object in self.objects.iter().filter(|object| self.file(object).set == set) {
            if alone.wants(&object.review.kind.group_kind())
                && let Some(object) = object.review.object().and_then(|object| serde_json::to_value(object).ok())
            {
                alone.add(&object);
            }
        }
        self.beside.objects.iter().for_each(|object| alone.add(object));
        Arc::new(alone)
    }

    /// Whether policies may ask for objects of this kind.
    pub(super) fn is_context(&self, object: &Object) -> bool {
        self.context.wants(&object.review.kind.group_kind())
    }

    /// The file that an object stands in.
    pub fn file(&self, object: &Object) -> &File {
        &self.files[object.file]
    }
}

/// Group and kind, namespace, name.
fn identity(object: &Value) -> [String; 3] {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = Kind::from_api_version(text("/apiVersion"), text("/kind")).group_kind();
    [kind, text("/metadata/namespace").to_owned(), text("/metadata/name").to_owned()]
}

/// What was found in one text.
#[derive(Default)]
struct Read {
    parts: Vec<usize>,
    objects: Vec<Object>,
    problems: Vec<Problem>,
    others: usize,
    /// Nobody named it, and it is no YAML before it is rendered. Its documents are left out.
    is_template: bool,
}

struct Reader<'a> {
    source: &'a Source,
    read: Read,
    /// Objects of all texts, and how many there may be.
    counted: &'a AtomicUsize,
    most: usize,
    /// Problems beyond those that are shown.
    more: usize,
    /// The text looks like a template. That is looked for once, not for each document that is broken.
    is_template: bool,
    /// The text may hold an object: it has a word that each has, or escapes, in which such a word may hide.
    has_objects: bool,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct At<'a> {
    number: usize,
    document: &'a Document,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, counted: &'a AtomicUsize, most: usize) -> Self {
        let text = &source.text;
        Self {
            source,
            read: Read::default(),
            counted,
            most,
            more: 0,
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
                Err(error) => self.broken(error),
            }
            if self.read.is_template {
                // A part of what it renders would be judged without the rest.
                self.read = Read { parts: std::mem::take(&mut self.read.parts), is_template: true, ..Read::default() };
                self.more = 0;
                break;
            }
            // What was said of this document holds for all that follow.
            if budget.is_spent() || self.counted.load(Ordering::Relaxed) > self.most {
                break;
            }
        }
        if self.more > 0 {
            let message = format!("{} more of its documents cannot be judged", self.more);
            let file = self.source.name.clone();
            self.read.problems.push(Problem { file, place: None, message, help: None });
        }
    }

    /// The first problems of a file are shown one by one, the others counted.
    fn note(&mut self, problem: Problem) {
        if self.read.problems.len() < MOST_PROBLEMS {
            self.read.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    fn broken(&mut self, error: SyntaxError) {
        // Repositories hold much that has the ending of a manifest: lines of JSON, JSON with comments, settings of tools.
        if self.source.is_found && !self.has_objects {
            self.read.others += 1;
            return;
        }
        if self.source.is_found && self.is_template && is_rendered(&self.source.text, error.line) {
            self.read.is_template = true;
            return;
        }
        let help = self.is_template.then(|| {
            "it contains `{{`, as templates do: render it first, for instance with \
             `helm template CHART | plimsoll check -`"
                .to_owned()
        });
        let place = Some((error.line, error.column));
        self.note(Problem { file: self.source.name.clone(), place, message: error.message, help });
    }

    /// `kind`: what an item of a typed list is, as `apiVersion` and `kind`, where it does not say so itself.
    fn value(&mut self, at: At<'_>, prefix: &str, value: &Value, kind: Option<(&str, &str)>) {
        let completed;
        let value = match (kind, value) {
            (Some((api_version, kind)), Value::Object(members)) if !members.contains_key("kind") => {
                completed = with_kind(members, api_version, kind);
                &completed
            }
            _ => value,
        };
        let text = |member: &str| value.get(member).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return self.no_object(at, prefix, value);
        };
        // What kustomize and Helm read is no object of a cluster.
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
        let counted = self.counted.fetch_add(1, Ordering::Relaxed);
        if counted >= self.most {
            // The others are passed over without a word: there may be a million.
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
        match Review::from_object(value) {
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

    /// Half of `apiVersion` and `kind` beside a `metadata` is a broken manifest; anything else is somebody else's YAML.
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
        self.note(Problem {
            file: self.source.name.clone(),
            place: Some((place.value.line, place.value.column)),
            message: message.to_owned(),
            help: None,
        });
    }
}

/// Whether a line that is no YAML is a template's, or follows one: `{{` begins it, or stands where a value is.
fn is_rendered(text: &str, line: usize) -> bool {
    let lines = text.lines().skip(line.saturating_sub(2)).take(2);
    lines.into_iter().any(|line| line.contains("{{") && !line.trim_start().starts_with('#'))
}

/// kubectl lets the items of a `DeploymentList` go without their kind.
fn with_kind(members: &Map<String, Value>, api_version: &str, kind: &str) -> Value {
    let mut members = members.clone();
    members.insert("kind".to_owned(), kind.into());
    members.entry("apiVersion").or_insert_with(|| api_version.into());
    Value::Object(members)
}
