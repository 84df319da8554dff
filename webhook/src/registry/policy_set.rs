//! Reads PolicySets.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use plimsoll_sdk::metadata::Severity;
use plimsoll_sdk::version::KubernetesVersion;
use serde_json::Value;

use super::concessions::{self, Concessions};
use super::fields::{Field, Reader};
use super::matching::{Match, Modes};
use super::problem::{Position, Problem};
use super::profile::{self, Profile};
use super::workloads::Further;
use super::{Mode, Version};
use crate::model::Action;
use crate::yaml::Document;

/// Keys of `spec` in addition to [`concessions::KEYS`].
const SPEC: [&str; 12] = [
    "mode",
    "bundle",
    "profile",
    "policiesAsOf",
    "match",
    "onError",
    "kubernetesVersion",
    "namespaceModes",
    "severities",
    "categories",
    "policies",
    "workloads",
];

const WORKLOAD: [&str; 5] = ["group", "kind", "template", "runsOn", "scaled"];

const ACTIONS: [(&str, Action); 4] =
    [("Deny", Action::Deny), ("Warn", Action::Warn), ("Audit", Action::Audit), ("Off", Action::Off)];

pub(super) const MODES: [(&str, Mode); 3] =
    [("enforce", Mode::Enforce), ("observe", Mode::Observe), ("off", Mode::Off)];

const SEVERITIES: [(&str, Severity); 3] =
    [("error", Severity::Error), ("warning", Severity::Warning), ("info", Severity::Info)];

/// A ClusterPolicySet as written. Whether its policies exist and its settings are valid is known only with its bundle:
/// [`super::Registry`] checks that.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub(super) name: String,
    /// Position of the name.
    pub(super) position: Option<Position>,
    pub(super) bundle: BundleName,
    pub(super) profile: Profile,
    pub(super) as_of: Option<Version>,
    pub(super) requests: Match,
    pub(super) modes: Modes,
    pub(super) on_error: Action,
    pub(super) kubernetes_version: Option<Located<KubernetesVersion>>,
    pub(super) severities: Vec<(Severity, Action)>,
    pub(super) categories: Vec<(Located<String>, Action)>,
    pub(super) policies: Vec<Entry>,
    pub(super) concessions: Concessions,
    /// Further kinds with a pod template.
    pub(super) workloads: Vec<Located<Further>>,
    /// The document, for the positions of invalid settings.
    pub(super) document: Option<Arc<Document>>,
}

/// Origin of a bundle.
#[derive(Clone, Debug, Default)]
pub(super) enum BundleName {
    /// The bundle inside the binary.
    #[default]
    Builtin,
    /// A file. A relative path starts at the folder of the configuration file.
    File(Located<String>),
}

/// A value and its position.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) position: Position,
}

/// An entry of `policies`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: Located<String>,
    pub(super) action: Option<Action>,
    /// Value and position, for an error if the policy has nothing to add.
    pub(super) mutate: Option<Located<bool>>,
    /// Value and pointer.
    pub(super) settings: Option<(Value, String)>,
}

impl PolicySet {
    /// Whether the mode is `enforce`, for the cluster or for some namespace.
    pub fn enforces(&self) -> bool {
        self.modes.all().any(|mode| mode == Mode::Enforce)
    }

    /// A set with only a name and a profile. Its mode is the default, `observe`.
    pub fn new(name: &str, profile: Profile) -> Self {
        Self {
            name: name.to_owned(),
            position: None,
            bundle: BundleName::Builtin,
            profile,
            as_of: None,
            requests: Match::default(),
            modes: Modes::from(Mode::Observe),
            on_error: Action::Deny,
            kubernetes_version: None,
            severities: Vec::new(),
            categories: Vec::new(),
            policies: Vec::new(),
            concessions: Concessions::default(),
            workloads: Vec::new(),
            document: None,
        }
    }

    /// The same set in this mode.
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.modes.set = mode;
        self
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn entry(&self, id: &str) -> Option<&Entry> {
        self.policies.iter().find(|entry| entry.id.value == id)
    }

    pub(super) fn severity(&self, severity: Severity) -> Option<Action> {
        self.severities.iter().find(|(known, _)| *known == severity).map(|(_, action)| *action)
    }
}

/// Reads the `spec` of a ClusterPolicySet.
pub(super) fn read_spec<'a>(reader: &mut Reader<'a>, field: &Field<'a>, set: &mut PolicySet) {
    let spec = reader.mapping(field, &[&SPEC[..], &concessions::KEYS[..]].concat(), &[]);
    set.concessions = Concessions::read(reader, &spec);
    for item in spec.get("workloads").map(|field| reader.list(&field)).unwrap_or_default() {
        let item = reader.mapping(&item, &WORKLOAD, &[]);
        set.workloads.extend(Further::read(reader, &item));
    }
    if let Some(mode) = spec.get("mode").and_then(|field| reader.choice(&field, "mode", &MODES)) {
        set.modes.set = mode;
    }
    if let Some(action) = spec.get("onError").and_then(|field| reader.choice(&field, "action", &ACTIONS)) {
        set.on_error = action;
    }
    if let Some(bundle) = spec.get("bundle").and_then(|field| read_bundle(reader, &field)) {
        set.bundle = bundle;
    }
    if let Some(profile) = spec.get("profile").and_then(|field| read_profile(reader, &field)) {
        set.profile = profile;
    }
    set.as_of = spec.get("policiesAsOf").and_then(|field| read_as_of(reader, &field, &set.bundle));
    set.kubernetes_version = spec.get("kubernetesVersion").and_then(|field| read_kubernetes_version(reader, &field));
    if let Some(field) = spec.get("match") {
        set.requests = Match::read(reader, &field);
    }
    if let Some(field) = spec.get("namespaceModes") {
        set.modes.read(reader, &field);
    }
    if let Some(field) = spec.get("severities") {
        let named = |reader: &mut Reader<'a>, field: &Field<'a>| reader.choice(field, "severity", &SEVERITIES);
        let items = read_named(reader, &field, "severity", named);
        set.severities = items.into_iter().map(|(severity, action)| (severity.value, action)).collect();
    }
    if let Some(field) = spec.get("categories") {
        // The known categories depend on the bundle.
        let named = |reader: &mut Reader<'a>, field: &Field<'a>| reader.string(field).map(str::to_owned);
        set.categories = read_named(reader, &field, "category", named);
    }
    if let Some(field) = spec.get("policies") {
        set.policies = read_policies(reader, &field);
    }
}

fn read_bundle<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Option<BundleName> {
    let text = reader.string(field)?;
    if text == "builtin" || text.is_empty() {
        Some(BundleName::Builtin)
    } else if text.starts_with(['.', '/']) || text.ends_with(".wasm") && !text.contains("://") {
        Some(BundleName::File(Located { value: text.to_owned(), position: reader.position(&field.pointer) }))
    } else {
        let what = format!("the bundle `{text}`, neither `builtin` nor the path of a .wasm file,");
        reader.report(field, Problem::NotSupported(what));
        None
    }
}

fn read_profile<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Option<Profile> {
    if let Some(name) = field.value.as_str().filter(|name| profile::LATER.contains(name)) {
        reader.report(field, Problem::NotSupported(format!("the profile `{name}`")));
        return None;
    }
    let name = field.value.as_str().unwrap_or_default();
    if let Some(new) = Profile::renamed(name) {
        reader.invalid(field, format!("the profile `{name}` is called `{new}` now; write `profile: {new}`"));
        return None;
    }
    reader.choice(field, "profile", Profile::ALL)
}

/// The newest version that `policiesAsOf` may name for the built-in policies.
const NEWEST: &str = env!("CARGO_PKG_VERSION");

fn read_as_of<'a>(reader: &mut Reader<'a>, field: &Field<'a>, bundle: &BundleName) -> Option<Version> {
    let text = reader.string(field).filter(|text| !text.is_empty())?;
    let version = Version::parse_bound(text);
    if version.is_none() {
        reader.invalid(field, format!("{text:?} is no version; write for instance \"0.1\" or \"0.1.2\""));
    }
    // Other bundles have versions of their own.
    let is_later = || Version::parse(NEWEST).is_some_and(|newest| newest.is_before_bound(text));
    if matches!(bundle, BundleName::Builtin) && version.is_some() && is_later() {
        let what = "is later than this release of Plimsoll; the newest version that it knows is";
        reader.invalid(field, format!("{text:?} {what} \"{NEWEST}\""));
        return None;
    }
    version
}

fn read_kubernetes_version<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Option<Located<KubernetesVersion>> {
    let text = reader.string(field).filter(|text| !text.is_empty())?;
    let Some(value) = KubernetesVersion::parse(text) else {
        reader.invalid(field, format!("{text:?} is not a version of Kubernetes, such as \"1.34\""));
        return None;
    };
    Some(Located { value, position: reader.position(&field.pointer) })
}

/// Reads a list of `{name, action}` in which each name occurs once.
fn read_named<'a, T>(
    reader: &mut Reader<'a>,
    field: &Field<'a>,
    what: &'static str,
    read: impl Fn(&mut Reader<'a>, &Field<'a>) -> Option<T>,
) -> Vec<(Located<T>, Action)> {
    let mut seen = HashMap::new();
    let mut found = Vec::new();
    for item in reader.list(field) {
        let entry = reader.mapping(&item, &["name", "action"], &[]);
        let action = reader.required(&entry, "action").and_then(|field| reader.choice(&field, "action", &ACTIONS));
        let Some(field) = reader.required(&entry, "name") else { continue };
        let Some(value) = read(reader, &field) else { continue };
        let name = field.value.as_str().unwrap_or_default();
        if let Some(line) = first_line(reader, &mut seen, name, &field) {
            reader.report(&field, Problem::Duplicate { what, value: name.to_owned(), line });
            continue;
        }
        let position = reader.position(&field.pointer);
        found.extend(action.map(|action| (Located { value, position }, action)));
    }
    found
}

fn read_policies<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Vec<Entry> {
    let mut seen = HashMap::new();
    let mut entries = Vec::new();
    for item in reader.list(field) {
        let entry = reader.mapping(&item, &["id", "action", "mutate", "settings"], &[]);
        let action = entry.get("action").and_then(|field| reader.choice(&field, "action", &ACTIONS));
        let mutate = entry.get("mutate").and_then(|field| {
            let value = reader.boolean(&field)?;
            Some(Located { value, position: reader.position(&field.pointer) })
        });
        let settings = entry.get("settings").and_then(|field| {
            reader.members(&field)?;
            Some((field.value.clone(), field.pointer))
        });
        let Some(field) = reader.required(&entry, "id") else { continue };
        let Some(id) = reader.string(&field) else { continue };
        if let Some(line) = first_line(reader, &mut seen, id, &field) {
            reader.report(&field, Problem::Duplicate { what: "policy", value: id.to_owned(), line });
            continue;
        }
        let id = Located { value: id.to_owned(), position: reader.position(&field.pointer) };
        entries.push(Entry { id, action, mutate, settings });
    }
    entries
}

/// The line of an earlier entry with this name. None if this entry is the first.
pub(super) fn first_line<'a>(
    reader: &Reader<'_>,
    seen: &mut HashMap<&'a str, usize>,
    name: &'a str,
    field: &Field<'_>,
) -> Option<usize> {
    match seen.entry(name) {
        hash_map::Entry::Occupied(known) => Some(*known.get()),
        hash_map::Entry::Vacant(new) => {
            new.insert(reader.position(&field.pointer).line);
            None
        }
    }
}

#[cfg(test)]
#[path = "policy_set_tests.rs"]
pub(super) mod tests;
