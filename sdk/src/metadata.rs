//! What a bundle says of its policies: JSON in a custom section, read by hosts, registries and tools without running
//! anything. Written when the bundle is built, by running the policies natively.

mod profiles;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::profiles::{FillsIn, InDefault, InProduction, Only, Profiles, Reason};
pub(crate) use self::words::is_same;
pub use self::words::{CATEGORIES, category_of_module, is_category, is_edit, is_group_kind, is_read, is_version};
use crate::reads::{Reads, WORKLOAD_KINDS};

/// The name of the custom section of the component that holds a [`Bundle`] as JSON.
pub const SECTION: &str = "plimsoll:metadata";

/// The version of the contract that this SDK speaks: that of the WIT package.
pub const ABI: &str = "0.1.0";

/// A bundle's policies and their contract.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// [`ABI`] of the SDK that built it.
    pub abi: String,
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// What its policies read of other objects, by `group/Kind`: pointers, in which `{template}` stands for the pod
    /// template's and `*` for each item of a list. [`FURTHER`] says it of kinds that a configuration brings. Of a kind that is not
    /// here they are shown everything but the status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, Vec<String>>,
    /// In the order of the component's `policies()`.
    pub policies: Vec<Policy>,
}

/// Stands in [`Bundle::reads`] for every kind with a pod template that a configuration brings.
pub const FURTHER: &str = "*";

impl Bundle {
    /// Describes a crate's policies.
    pub fn new(policies: &[crate::Policy], name: &str, version: &str) -> Self {
        let described: Vec<Policy> = policies.iter().map(|policy| (policy.metadata)()).collect();
        let reads = policies.iter().map(|policy| (policy.reads)()).zip(&described);
        Self {
            abi: ABI.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            reads: united(reads),
            policies: described,
        }
    }
}

/// What policies read together. Of a kind that one of them asks for without saying what it reads there is nothing: everything is
/// shown.
fn united<'a>(policies: impl Iterator<Item = (Option<Reads>, &'a Policy)>) -> BTreeMap<String, Vec<String>> {
    let mut united: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut whole = BTreeSet::new();
    for (reads, policy) in policies {
        let mut asked: BTreeSet<&str> = policy.requires.iter().chain(&policy.refines).map(String::as_str).collect();
        // Who asks about workloads is shown those that a configuration brings as well.
        if asked.iter().any(|kind| WORKLOAD_KINDS.contains(kind)) {
            asked.insert(FURTHER);
        }
        for kind in asked {
            let pointers = reads.and_then(|reads| reads.of(kind));
            match pointers {
                Some(pointers) => united.entry(kind).or_default().extend(pointers),
                None => {
                    whole.insert(kind);
                }
            }
        }
    }
    united.retain(|kind, _| !whole.contains(kind));
    let owned =
        |(kind, pointers): (&str, BTreeSet<&str>)| (kind.to_owned(), pointers.into_iter().map(str::to_owned).collect());
    united.into_iter().map(owned).collect()
}

/// One policy.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Kebab-case; names the bad thing.
    pub id: String,
    /// The first line of the documentation, without its full stop.
    pub title: String,
    /// Markdown: the policy's page.
    pub documentation: String,
    /// One of [`CATEGORIES`].
    pub category: String,
    /// The highest severity of its findings.
    pub severity: Severity,
    /// The version that had it first.
    pub since: String,
    /// Where it runs.
    pub stage: Stage,
    /// What it judges.
    pub judges: Judges,
    /// The objects that it looks at.
    pub on: On,
    /// Context without which it is skipped: `group/Kind`.
    pub requires: Vec<String>,
    /// Context without which it states an assumption: `group/Kind`.
    pub refines: Vec<String>,
    /// Pointers that its fixes may touch. `{template}` stands for the pod template's pointer, `*` for one segment.
    pub edits: Vec<String>,
    /// The highest class of fix that the webhook may make of its findings, where a PolicySet says `mutate: true`.
    pub mutates: FixClass,
    /// What the profiles make of it.
    #[serde(default, skip_serializing_if = "Profiles::is_rule")]
    pub profiles: Profiles,
    /// JSON Schema of its settings.
    pub settings_schema: serde_json::Value,
    /// The settings' defaults.
    pub settings_defaults: serde_json::Value,
    /// Whether the host asks the bundle to check settings beyond their schema (`check-settings`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checks_settings: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Recorded.
    Info,
    /// Warned of.
    Warning,
    /// Denied.
    Error,
}

/// What applying a fix changes at run time; each class includes those before it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FixClass {
    /// Nothing, and nothing that the author wrote is replaced.
    Safe,
    /// Nothing that a well-behaved workload notices. Its Pods may be replaced once.
    Hardening,
    /// Behaviour.
    #[default]
    Unsafe,
}

/// Where a policy runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// In the cluster and over files.
    #[default]
    Both,
    /// Over files alone.
    Source,
}

/// What a policy judges; it decides whether an old violation excuses a new one.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Judges {
    /// The object as it is.
    #[default]
    State,
    /// The change from the old object to the new.
    Transition,
    /// The absence of another object.
    Companion,
}

/// Stands in [`On::kinds`] for every kind. Only policies of stage `source` may say so: the webhook is asked about kinds that
/// somebody names.
pub const ANY: &str = "*";

/// The objects that a policy looks at.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct On {
    /// Every kind that carries a pod template, or those that run on.
    pub workloads: Workloads,
    /// Further kinds, `group/Kind`, or [`ANY`].
    pub kinds: Vec<String>,
    /// Subresources besides the object itself.
    pub subresources: Vec<String>,
    /// What is done to them. On DELETE the object is the old one.
    pub operations: Vec<Operation>,
}

/// What is done to an object.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is made; every object of a file is.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
}

impl Operation {
    /// As the AdmissionRequest spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

impl Default for On {
    /// Nothing, when it is made or changed.
    fn default() -> Self {
        Self {
            workloads: Workloads::default(),
            kinds: Vec::new(),
            subresources: Vec::new(),
            operations: vec![Operation::Create, Operation::Update],
        }
    }
}

/// Kinds by their pod template.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workloads {
    /// None: `kinds` alone.
    #[default]
    None,
    /// Those whose Pods are meant to run on: no Pod, PodTemplate, Job or CronJob.
    LongRunning,
    /// Every one, bare Pods included.
    All,
}

impl Bundle {
    /// The metadata as it stands in the custom section.
    ///
    /// # Errors
    /// Never for metadata that was made by [`Bundle::new`].
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// The page's first line without its full stop, and the whole page.
pub fn split_documentation(doc: &str) -> (String, String) {
    let title = doc.lines().next().unwrap_or_default().trim().trim_end_matches('.').to_owned();
    (title, doc.trim().to_owned())
}

/// JSON, as the attribute and the derive write it.
pub type Json = serde_json::Value;

/// The schema of a policy without settings.
pub fn no_settings() -> Json {
    crate::settings::schema_of::<crate::settings::NoSettings>()
}

/// The defaults of a policy without settings.
pub fn no_defaults() -> Json {
    object_of(Vec::new())
}

/// A JSON object. Members that are null are left out.
pub fn object_of(members: Vec<(&str, Json)>) -> Json {
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    Json::Object(members.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Name, description, schema and default of one setting.
pub type SettingSchema<'a> = (&'a str, &'a str, Json, Json);

/// The schema of a struct of settings: every member is optional, and no other member is allowed.
pub fn object_schema(settings: Vec<SettingSchema<'_>>) -> Json {
    let mut properties = serde_json::Map::new();
    for (name, description, mut schema, default) in settings {
        schema["description"] = description.into();
        if !default.is_null() {
            schema["default"] = default;
        }
        properties.insert(name.to_owned(), schema);
    }
    serde_json::json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The schema of an enum of settings: words, each with its description. Editors show `enumDescriptions`.
pub fn enum_schema(words: &[(&str, &str)]) -> Json {
    let (words, descriptions): (Vec<&str>, Vec<&str>) = words.iter().copied().unzip();
    serde_json::json!({"type": "string", "enum": words, "enumDescriptions": descriptions})
}
