//! Reads the fields of a YAML document one by one, and collects all problems with their positions.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::problem::{ConfigError, Hint, Position, Problem};
use crate::model::pointer::{join, names};
use crate::yaml::Document;

/// One document, and the problems found so far.
pub(super) struct Reader<'a> {
    text: &'a str,
    file: Arc<str>,
    document: &'a Document,
    problems: Vec<ConfigError>,
}

/// A value and the RFC 6901 pointer to it.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

/// The members of a mapping. None if the value is not a mapping; that problem is already recorded.
#[derive(Debug)]
pub(super) struct Mapping<'a> {
    members: Option<&'a Map<String, Value>>,
    pointer: String,
}

impl<'a> Mapping<'a> {
    /// A member. A `null` member counts as absent, as everywhere in Kubernetes.
    pub(super) fn get(&self, key: &str) -> Option<Field<'a>> {
        self.written(key).filter(|field| !field.value.is_null())
    }

    /// A member, also if it is `null`.
    pub(super) fn written(&self, key: &str) -> Option<Field<'a>> {
        let value = self.members?.get(key)?;
        Some(Field { value, pointer: join(&self.pointer, key) })
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, file: Arc<str>, document: &'a Document) -> Self {
        Self { text, file, document, problems: Vec::new() }
    }

    /// All problems, in the order of the file.
    pub(super) fn into_problems(mut self) -> Vec<ConfigError> {
        self.problems.sort_by(|left, right| left.position.cmp(&right.position));
        self.problems
    }

    pub(super) fn root(&self) -> Field<'a> {
        Field { value: self.document.value(), pointer: String::new() }
    }

    /// Position of the field's value.
    pub(super) fn position(&self, pointer: &str) -> Position {
        locate(self.document, &self.file, pointer, false)
    }

    pub(super) fn report(&mut self, field: &Field<'_>, problem: Problem) {
        let position = Some(self.position(&field.pointer));
        self.problems.push(ConfigError { position, problem });
    }

    /// Reads the field as a mapping with these keys. The keys in `later` are rejected as not supported yet.
    pub(super) fn mapping(&mut self, field: &Field<'a>, known: &[&str], later: &[&str]) -> Mapping<'a> {
        let members = self.members(field);
        for key in members.into_iter().flat_map(Map::keys).filter(|key| !known.contains(&key.as_str())) {
            let pointer = join(&field.pointer, key);
            let problem = if later.contains(&key.as_str()) {
                Problem::NotSupported(format!("`{}`", path(&pointer)))
            } else {
                let hint = Hint::new(key, known.iter().chain(later).copied());
                Problem::UnknownField { field: key.clone(), hint }
            };
            let position = Some(locate(self.document, &self.file, &pointer, true));
            self.problems.push(ConfigError { position, problem });
        }
        Mapping { members, pointer: field.pointer.clone() }
    }

    /// The field as a mapping, without a check of its keys.
    pub(super) fn any_mapping(&self, field: &Field<'a>) -> Mapping<'a> {
        Mapping { members: field.value.as_object(), pointer: field.pointer.clone() }
    }

    /// Reads the field as a mapping with any keys.
    pub(super) fn members(&mut self, field: &Field<'a>) -> Option<&'a Map<String, Value>> {
        let members = field.value.as_object();
        if members.is_none() {
            self.wrong_type(field, "a mapping");
        }
        members
    }

    /// A member that is required.
    pub(super) fn required(&mut self, mapping: &Mapping<'a>, key: &str) -> Option<Field<'a>> {
        let found = mapping.get(key);
        if found.is_none() && mapping.members.is_some() {
            let pointer = join(&mapping.pointer, key);
            let position = Some(locate(self.document, &self.file, &mapping.pointer, false));
            self.problems.push(ConfigError { position, problem: Problem::Missing(path(&pointer)) });
        }
        found
    }

    pub(super) fn list(&mut self, field: &Field<'a>) -> Vec<Field<'a>> {
        let Some(items) = field.value.as_array() else {
            self.wrong_type(field, "a list");
            return Vec::new();
        };
        let item = |(index, value)| Field { value, pointer: format!("{}/{index}", field.pointer) };
        items.iter().enumerate().map(item).collect()
    }

    pub(super) fn string(&mut self, field: &Field<'a>) -> Option<&'a str> {
        match field.value {
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) => {
                let meant = self.written(field);
                self.unquoted(field, meant);
                None
            }
            _ => {
                self.wrong_type(field, "a string");
                None
            }
        }
    }

    fn unquoted(&mut self, field: &Field<'a>, meant: String) {
        let (written, found) = (self.written(field), describe(field.value));
        let (written, found, meant) = (written.into(), found.into(), meant.into());
        self.report(field, Problem::Unquoted { field: path(&field.pointer), written, found, meant });
    }

    /// Reads a list of strings that must not be empty.
    pub(super) fn strings(&mut self, field: &Field<'a>) -> Vec<(Field<'a>, &'a str)> {
        let items = self.list(field);
        if items.is_empty() && field.value.is_array() {
            self.invalid(field, "it is empty, so it would match nothing; leave it out, or write \"*\"".to_owned());
        }
        items.into_iter().filter_map(|item| self.string(&item).map(|text| (item, text))).collect()
    }

    pub(super) fn boolean(&mut self, field: &Field<'a>) -> Option<bool> {
        let value = field.value.as_bool();
        if value.is_none() {
            self.wrong_type(field, "true or false");
        }
        value
    }

    /// Reads one of a few known words.
    pub(super) fn choice<T: Copy>(&mut self, field: &Field<'a>, what: &'static str, known: &[(&str, T)]) -> Option<T> {
        if field.value.is_boolean() {
            let written = self.written(field);
            let meant = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(&written));
            self.unquoted(field, meant.map_or(written, |(name, _)| (*name).to_owned()));
            return None;
        }
        let text = self.string(field)?;
        let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let hint = Hint::new(text, known.iter().map(|(name, _)| *name));
            self.report(field, Problem::UnknownValue { what, value: text.to_owned(), hint });
        }
        found
    }

    pub(super) fn invalid(&mut self, field: &Field<'_>, reason: String) {
        self.report(field, Problem::Invalid { field: path(&field.pointer), reason });
    }

    fn wrong_type(&mut self, field: &Field<'_>, expected: &'static str) {
        let found = describe(field.value);
        self.report(field, Problem::WrongType { field: path(&field.pointer), expected, found });
    }

    /// The value as written in the file: `off`, `1.30`.
    fn written(&self, field: &Field<'_>) -> String {
        let place = self.document.locate(&field.pointer);
        let text = place.and_then(|place| self.text.get(place.value.start..place.value.end));
        text.map_or_else(|| field.value.to_string(), str::to_owned)
    }
}

/// Position of the key or value at a pointer. If the pointer does not exist, the nearest existing parent counts.
pub(super) fn locate(document: &Document, file: &Arc<str>, pointer: &str, key: bool) -> Position {
    let (place, _) = document.locate_nearest(pointer);
    let span = if key { place.key.unwrap_or(place.value) } else { place.value };
    Position { file: Arc::clone(file), line: span.line, column: span.column }
}

/// A pointer in readable form: `spec.policies[2].action`.
pub(super) fn path(pointer: &str) -> String {
    let mut path = String::new();
    for name in names(pointer) {
        if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
            path.push_str(&format!("[{name}]"));
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&name);
        }
    }
    if path.is_empty() { "the document".to_owned() } else { path }
}

/// The type of a value, with its article, and the value itself if it is short.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 60 => format!("{value}"),
        Value::String(_) => "a long string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}
