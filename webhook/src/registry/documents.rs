//! The documents of a configuration: a stream of YAML or JSON. Any unknown key or value is rejected with its position;
//! nothing is ignored.

use std::sync::Arc;

use serde_json::Value;

use super::exemption::Exemption;
use super::fields::{Field, Mapping, Reader};
use super::policy_set::{Located, PolicySet, read_spec};
use super::problem::{ConfigError, Hint, Position, Problem};
use super::profile::Profile;
use crate::yaml;

/// The `apiVersion` of the documents that are read.
pub const API_VERSION: &str = "plimsoll.dev/v1alpha1";

/// Kinds of the group that a later version will read.
const LATER_KINDS: [&str; 1] = ["PolicySet"];

const KINDS: [&str; 3] = ["ClusterPolicySet", "PolicyExemption", "CheckConfiguration"];

/// Members of `metadata` that users write, and members that the API server adds.
const METADATA: [&str; 13] = [
    "name",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

const CHECK_SPEC: [&str; 2] = ["exclude", "sets"];

const EXEMPTION_SPEC: [&str; 5] = ["policies", "match", "reason", "owner", "expires"];

/// The documents of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// ClusterPolicySets.
    pub sets: Vec<PolicySet>,
    /// PolicyExemptions.
    pub exemptions: Vec<Exemption>,
    /// CheckConfigurations, which have no effect on a webhook.
    pub checks: Vec<CheckConfiguration>,
}

/// What `check` reads in a folder, and how.
#[derive(Clone, Debug, Default)]
pub struct CheckConfiguration {
    /// Patterns of paths that are skipped.
    pub exclude: Vec<String>,
    /// Patterns of folders that are each applied as a whole.
    pub sets: Vec<String>,
}

impl Documents {
    /// Adds the documents of another file.
    pub fn extend(&mut self, other: Self) {
        self.sets.extend(other.sets);
        self.exemptions.extend(other.exemptions);
        self.checks.extend(other.checks);
    }
}

impl From<Vec<PolicySet>> for Documents {
    fn from(sets: Vec<PolicySet>) -> Self {
        Self { sets, ..Self::default() }
    }
}

/// Reads every document of a file: a stream of YAML documents, or JSON. `file` is its name in messages, and relative
/// paths start from it.
///
/// # Errors
/// All problems, in the order of the file.
pub fn read(text: &str, file: &str) -> Result<Documents, Vec<ConfigError>> {
    let file: Arc<str> = file.into();
    let mut documents = Documents::default();
    let mut problems = Vec::new();
    for document in yaml::read(text) {
        let document = match document {
            Ok(document) => Arc::new(document),
            Err(error) => {
                let position = Position { file: Arc::clone(&file), line: error.line, column: error.column };
                problems.push(ConfigError { position: Some(position), problem: Problem::Syntax(error.message) });
                continue;
            }
        };
        let mut reader = Reader::new(text, Arc::clone(&file), &document);
        match read_document(&mut reader) {
            Some(Read::Set(set)) => {
                documents.sets.push(PolicySet { document: Some(Arc::clone(&document)), ..*set });
            }
            Some(Read::Exemption(exemption)) => documents.exemptions.push(*exemption),
            Some(Read::Check(check)) => documents.checks.push(check),
            None => {}
        }
        problems.extend(reader.into_problems());
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems) }
}

/// One document.
enum Read {
    Set(Box<PolicySet>),
    Exemption(Box<Exemption>),
    Check(CheckConfiguration),
}

fn read_document(reader: &mut Reader<'_>) -> Option<Read> {
    let root = reader.root();
    let members = reader.members(&root)?;
    let (api_version, kind) = (members.get("apiVersion"), members.get("kind"));
    let kind = kind.and_then(Value::as_str).filter(|kind| KINDS.contains(kind));
    // The shape depends on version and kind. Without both, every further error would be a guess.
    let Some(kind) = kind.filter(|_| api_version.and_then(Value::as_str) == Some(API_VERSION)) else {
        let named = reader.any_mapping(&root);
        let api_version = reader.required(&named, "apiVersion");
        let kind = reader.required(&named, "kind");
        check_version(reader, api_version.as_ref());
        check_kind(reader, kind.as_ref());
        return None;
    };
    let root = reader.mapping(&root, &["apiVersion", "kind", "metadata", "spec", "status"], &[]);
    if kind == "PolicyExemption" {
        return read_exemption(reader, &root).map(|exemption| Read::Exemption(Box::new(exemption)));
    }
    let name = reader.required(&root, "metadata").and_then(|field| {
        let metadata = reader.mapping(&field, &METADATA, &[]);
        read_name(reader, &metadata, "name")
    });
    if kind == "CheckConfiguration" {
        return Some(Read::Check(read_check(reader, &root)));
    }
    let mut set = PolicySet::new("", Profile::Default);
    if let Some(name) = name {
        set.name = name.value;
        set.position = Some(name.position);
    }
    if let Some(spec) = root.get("spec") {
        read_spec(reader, &spec, &mut set);
    }
    Some(Read::Set(Box::new(set)))
}

fn read_check<'a>(reader: &mut Reader<'a>, root: &Mapping<'a>) -> CheckConfiguration {
    let Some(spec) = root.get("spec") else { return CheckConfiguration::default() };
    let spec = reader.mapping(&spec, &CHECK_SPEC, &[]);
    let mut patterns = |key: &str| {
        let items = spec.get(key).map(|field| reader.list(&field)).unwrap_or_default();
        items.iter().filter_map(|item| reader.string(item)).map(str::to_owned).collect()
    };
    CheckConfiguration { exclude: patterns("exclude"), sets: patterns("sets") }
}

fn read_exemption<'a>(reader: &mut Reader<'a>, root: &Mapping<'a>) -> Option<Exemption> {
    let field = reader.required(root, "metadata")?;
    let metadata = reader.mapping(&field, &[&METADATA[..], &["namespace"]].concat(), &[]);
    let name = read_name(reader, &metadata, "name");
    let namespace = read_name(reader, &metadata, "namespace");
    let spec = reader.required(root, "spec")?;
    let spec = reader.mapping(&spec, &EXEMPTION_SPEC, &[]);
    let (name, namespace) = (name?, namespace?);
    Exemption::read(reader, &spec, name, namespace.value)
}

fn check_version(reader: &mut Reader<'_>, field: Option<&Field<'_>>) {
    let Some(field) = field else { return };
    let text = field.value.as_str().unwrap_or_default();
    if text != API_VERSION {
        let reason = if text.starts_with("plimsoll.dev/") {
            format!("this version of Plimsoll reads {API_VERSION}, not {text}")
        } else {
            format!("a configuration consists of documents of {API_VERSION}")
        };
        reader.invalid(field, reason);
    }
}

fn check_kind<'a>(reader: &mut Reader<'a>, field: Option<&Field<'a>>) {
    let Some(field) = field else { return };
    match field.value.as_str() {
        Some(kind) if KINDS.contains(&kind) => {}
        Some(kind) if LATER_KINDS.contains(&kind) => {
            reader.report(field, Problem::NotSupported(format!("the kind `{kind}`")));
        }
        Some(kind) => {
            let hint = Hint::new(kind, KINDS.into_iter().chain(LATER_KINDS));
            reader.report(field, Problem::UnknownValue { what: "kind", value: kind.to_owned(), hint });
        }
        None => {
            reader.string(field);
        }
    }
}

fn read_name<'a>(reader: &mut Reader<'a>, metadata: &Mapping<'a>, key: &str) -> Option<Located<String>> {
    let field = reader.required(metadata, key)?;
    let name = reader.string(&field)?;
    let word = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.ends_with(|last: char| last.is_ascii_alphanumeric())
    };
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if name.len() > 253 || !name.bytes().all(letter) || !name.split('.').all(word) {
        reader
            .invalid(&field, format!("{name:?} is no name of an object: lower-case letters, digits, `-` and `.` only"));
        return None;
    }
    Some(Located { value: name.to_owned(), position: reader.position(&field.pointer) })
}
