//! The objects of the input, each with its place, and what policies may know of the others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::beside::Beside;
use super::collect::Source;
use super::{Problem, threads};
use crate::admission::{Kind, Review};
use crate::context::Context;
use crate::context::files::{Files, Objects};
use crate::registry::Registry;
use crate::yaml::{self, Document, Span, SyntaxError};

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
    /// What policies may ask for besides.
    pub(super) beside: Arc<Beside>,
    closed: Arc<Files>,
    open: Arc<Files>,
}

/// One text of the input, read.
#[derive(Debug)]
pub struct File {
    pub source: Source,
    pub documents: Vec<Result<Document, SyntaxError>>,
}

/// One object of the input.
#[derive(Debug)]
pub struct Object {
    /// Index into [`World::files`].
    pub file: usize,
    /// Index into [`File::documents`].
    pub document: usize,
    /// The pointer to it in its document: empty, or `/items/3` in a list.
    pub prefix: String,
    pub review: Arc<Review>,
}

impl World {
    /// Reads every text. What is broken becomes a problem and hides nothing else.
    pub fn read(sources: Vec<Source>, registry: &Registry, beside: Arc<Beside>) -> Self {
        let documents = threads::map(&sources, |source| yaml::read(&source.text));
        let files: Vec<File> =
            sources.into_iter().zip(documents).map(|(source, documents)| File { source, documents }).collect();
        let mut reader = Reader { objects: Vec::new(), problems: Vec::new(), others: 0 };
        let known = registry.context_kinds().difference(&beside.unread).cloned().collect();
        let mut context = Objects::new(known, Arc::clone(registry.workloads()));
        let mut own = HashSet::new();
        for (index, file) in files.iter().enumerate() {
            reader.file(index, file, &mut |object| {
                if !beside.objects.is_empty() {
                    own.insert(identity(object));
                }
                context.add(object);
            });
        }
        let recorded: HashMap<_, _> = beside.objects.iter().map(|object| (identity(object), object)).collect();
        // What is checked is what will be there.
        beside.objects.iter().filter(|object| !own.contains(&identity(object))).for_each(|object| context.add(object));
        let Reader { mut objects, problems, others } = reader;
        for object in &mut objects {
            let Review { kind, namespace, name, .. } = &*object.review;
            let identity = [kind.group_kind(), namespace.clone(), name.clone()];
            if let Some(review) = recorded.get(&identity).and_then(|old| object.review.with_old_object(old)) {
                object.review = Arc::new(review);
            }
        }
        // Both know every object; they differ in what absence means.
        let context = Arc::new(context);
        let [closed, open] = [true, false].map(|closed| Arc::new(Files::new(closed, Arc::clone(&context))));
        Self { files, objects, problems, others, beside, closed, open }
    }

    /// What surrounds an object.
    pub fn context(&self, object: &Object) -> Arc<dyn Context> {
        if self.file(object).source.closed { Arc::clone(&self.closed) as _ } else { Arc::clone(&self.open) as _ }
    }

    /// The file that an object stands in.
    pub fn file(&self, object: &Object) -> &File {
        &self.files[object.file]
    }

    /// Where to point at for a pointer into an object: at the value itself where it takes one line, else at what
    /// names it. Where the pointer leads to nothing, at what would hold it.
    pub fn span(&self, object: &Object, pointer: &str) -> Option<Span> {
        let file = self.file(object);
        let document = file.documents.get(object.document)?.as_ref().ok()?;
        let (place, found) = document.locate_nearest(&format!("{}{pointer}", object.prefix));
        let one_line = |span: &Span| span.line == span.end_line && span.start < span.end;
        let there = found.len() == object.prefix.len() + pointer.len();
        if there && one_line(&place.value) {
            return Some(place.value);
        }
        if let Some(key) = place.key {
            return Some(key);
        }
        // An item of a list, or the object itself, is known by its name or its kind.
        let named = ["/name", "/kind"].iter().find_map(|member| document.locate(&format!("{found}{member}")));
        if let Some(name) = named.filter(|name| one_line(&name.value)) {
            let start = name.key.unwrap_or(name.value);
            return Some(Span { start: start.start, line: start.line, column: start.column, ..name.value });
        }
        Some(first_line(&file.source.text, place.value))
    }
}

/// Group and kind, namespace, name.
fn identity(object: &Value) -> [String; 3] {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = Kind::from_api_version(text("/apiVersion"), text("/kind")).group_kind();
    [kind, text("/metadata/namespace").to_owned(), text("/metadata/name").to_owned()]
}

fn first_line(text: &str, span: Span) -> Span {
    if span.line == span.end_line {
        return span;
    }
    let line = text.get(span.start..span.end).and_then(|text| text.lines().next()).unwrap_or_default().trim_end();
    Span { end: span.start + line.len(), end_line: span.line, end_column: span.column + line.chars().count(), ..span }
}

struct Reader {
    objects: Vec<Object>,
    problems: Vec<Problem>,
    others: usize,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct At<'a> {
    index: usize,
    file: &'a File,
    number: usize,
    document: &'a Document,
}

impl Reader {
    fn file(&mut self, index: usize, file: &File, found: &mut dyn FnMut(&Value)) {
        let template = file.source.text.contains("{{");
        for (number, document) in file.documents.iter().enumerate() {
            match document {
                Ok(document) => {
                    let at = At { index, file, number, document };
                    self.value(at, "", document.value(), None, found);
                }
                Err(error) => {
                    let help = template.then(|| {
                        "it contains `{{`, as templates do: render it first, for instance with \
                         `helm template CHART | plimsoll check -`"
                            .to_owned()
                    });
                    self.problems.push(Problem {
                        file: file.source.name.clone(),
                        place: Some((error.line, error.column)),
                        message: error.message.clone(),
                        help,
                    });
                }
            }
        }
    }

    /// `kind`: what an item of a typed list is, as `apiVersion` and `kind`, where it does not say so itself.
    fn value(
        &mut self,
        at: At<'_>,
        prefix: &str,
        value: &Value,
        kind: Option<(&str, &str)>,
        found: &mut dyn FnMut(&Value),
    ) {
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
            self.others += 1;
            return;
        }
        if let (Some(items), Some(item_kind)) =
            (value.get("items").and_then(Value::as_array), kind.strip_suffix("List"))
        {
            let item_kind = Some((api_version, item_kind)).filter(|(_, kind)| !kind.is_empty());
            for (number, item) in items.iter().enumerate() {
                self.value(at, &format!("{prefix}/items/{number}"), item, item_kind, found);
            }
            return;
        }
        match Review::from_object(value) {
            Some(review) => {
                found(value);
                self.objects.push(Object {
                    file: at.index,
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
            _ if prefix.is_empty() => self.others += 1,
            _ => {
                self.problem(at, prefix, "an item of a list must be a Kubernetes object, with `apiVersion` and `kind`")
            }
        }
    }

    fn problem(&mut self, at: At<'_>, prefix: &str, message: &str) {
        let (place, _) = at.document.locate_nearest(prefix);
        self.problems.push(Problem {
            file: at.file.source.name.clone(),
            place: Some((place.value.line, place.value.column)),
            message: message.to_owned(),
            help: None,
        });
    }
}

/// kubectl lets the items of a `DeploymentList` go without their kind.
fn with_kind(members: &Map<String, Value>, api_version: &str, kind: &str) -> Value {
    let mut members = members.clone();
    members.insert("kind".to_owned(), kind.into());
    members.entry("apiVersion").or_insert_with(|| api_version.into());
    Value::Object(members)
}
