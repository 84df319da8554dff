//! `plimsoll policy`: shows the metadata of bundles.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use plimsoll_sdk::metadata::{ANY, FURTHER, Policy, Severity, Stage, Workloads};
use serde_json::Value;

use super::{Failure, output};
use crate::context::rights;
use crate::engine::{BUILTIN, Bundle, Description, Engine, Limits, LoadError};
use crate::files;
use crate::model::Action;
use crate::registry::{Profile, Reason};

/// Show policies, profiles and policy bundles
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// List the built-in policies
    List,
    /// Show a policy bundle: its digest, and for each policy its purpose, the fields that it may edit and its settings
    Inspect {
        /// Policy bundle, a WebAssembly component (.wasm). By default, the built-in bundle
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print the profiles as Markdown: the purpose of each, and the action of each built-in policy in it
    Profiles,
    /// Print the RBAC rules, in YAML, that Plimsoll needs to read the objects that policies use as context
    Rights {
        /// Policy bundles, WebAssembly components (.wasm). By default, the built-in bundle
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Runs the subcommand and prints its text.
pub(super) fn run(command: &PolicyCommand) -> Result<ExitCode, Failure> {
    let text = match command {
        PolicyCommand::List => list(&builtin()?.metadata.policies),
        PolicyCommand::Profiles => profiles(&builtin()?.metadata.policies),
        PolicyCommand::Inspect { file: None } => inspect(&builtin()?),
        PolicyCommand::Inspect { file: Some(file) } => inspect(&read(file)?),
        PolicyCommand::Rights { files } if files.is_empty() => rights_of(&[builtin()?]),
        PolicyCommand::Rights { files } => {
            rights_of(&files.iter().map(|file| read(file)).collect::<Result<Vec<_>, Failure>>()?)
        }
    };
    output::print(&text).map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the metadata of the built-in bundle, without compiling the bundle.
pub(super) fn builtin() -> Result<Description, Failure> {
    Description::read(BUILTIN).map_err(|error| refused("the built-in bundle", &error))
}

/// Reads the metadata of a file. It also loads the bundle, which checks the metadata against the code.
fn read(file: &Path) -> Result<Description, Failure> {
    let name = file.display().to_string();
    let bytes = files::read(file, files::MAX_BUNDLE).map_err(|error| {
        Failure::usage(format!("cannot read {name}: {error}"), "give a bundle: a WebAssembly component (.wasm)")
    })?;
    let description = Description::read(&bytes).map_err(|error| refused(&name, &error))?;
    let engine = Engine::new(Limits { instances: 1, ..Limits::default() }).map_err(|error| {
        Failure::usage(
            format!("WebAssembly cannot run on this machine: {error:#}"),
            "raise the limit of address space (`ulimit -v`)",
        )
    })?;
    Bundle::load(&engine, &bytes).map_err(|error| refused(&name, &error))?;
    Ok(description)
}

fn refused(name: &str, error: &LoadError) -> Failure {
    Failure::usage(format!("{name} is no bundle: {error}"), "`plimsoll policy inspect` shows the built-in bundle")
}

/// One line for each policy: id, category, severity, title.
pub(super) fn list(policies: &[Policy]) -> String {
    let width = |text: fn(&Policy) -> usize| policies.iter().map(text).max().unwrap_or(0);
    let (id, category) = (width(|policy| policy.id.len()), width(|policy| policy.category.len()));
    let mut text = String::new();
    for policy in policies {
        let severity = word(&policy.severity);
        let profile = Profile::beyond_default(policy).map(|profile| format!(" [{profile}]"));
        let title = format!("{}{}", policy.title, profile.unwrap_or_default());
        let _ = writeln!(text, "{:id$}  {:category$}  {severity:7}  {title}", policy.id, policy.category);
    }
    text
}

/// Two tables: the profiles, and the actions of each policy in them.
fn profiles(policies: &[Policy]) -> String {
    let mut text = String::from("| profile | what it is for |\n| --- | --- |\n");
    for (name, profile) in Profile::ALL {
        let _ = writeln!(text, "| `{name}` | {} |", profile.purpose());
    }
    let shown = [Profile::Default, Profile::Production, Profile::Strict];
    let heads: String = shown.iter().map(|profile| format!(" `{}` |", profile.as_str())).collect();
    text.push_str("\nAn error denies in `default` for one of three reasons:\n\n");
    for reason in Reason::ALL {
        let _ = writeln!(text, "- **{}**: {}", reason.short(), reason.detail());
    }
    let _ = write!(
        text,
        "\nWhat errors / warnings do. `mutate` does what `default` does.\n\n| policy |{heads} fills in | why it denies in \
         `default` |\n| --- | --- | --- | --- | --- | --- |\n"
    );
    for policy in policies {
        let cells: String = shown.iter().map(|profile| format!(" {} |", cell(policy, *profile))).collect();
        let fills = match [Profile::Default, Profile::Mutate].map(|profile| profile.actions(policy)) {
            [Some((.., true)), _] => "in each",
            [_, Some((.., true))] => "in `mutate`",
            _ => "",
        };
        let reason = Profile::reason(policy).map(|reason| reason.short()).unwrap_or_default();
        let _ = writeln!(text, "| `{}` |{cells} {fills} | {reason} |", policy.id);
    }
    text
}

fn cell(policy: &Policy, profile: Profile) -> String {
    match (profile.actions(policy), policy.severity) {
        (None, _) => "off".to_owned(),
        (Some((error, warning, _)), Severity::Error) => format!("{} / {}", error.as_str(), warning.as_str()),
        (Some((_, warning, _)), Severity::Warning) => warning.as_str().to_owned(),
        (Some(_), Severity::Info) => Action::Audit.as_str().to_owned(),
    }
}

/// `errors deny, because …; warnings warn`
fn said(policy: &Policy, profile: Profile) -> String {
    let Some((error, warning, _)) = profile.actions(policy) else { return "off".to_owned() };
    let verb = |action| match action {
        Action::Deny => "deny",
        Action::Warn => "warn",
        Action::Audit => "are recorded",
        Action::Off => "are skipped",
    };
    let reason = Profile::reason(policy).filter(|_| profile == Profile::Default);
    let reason =
        reason.map(|reason| format!(", because it {} ({})", reason.short(), reason.detail())).unwrap_or_default();
    match policy.severity {
        Severity::Error => format!("errors {}{reason}; warnings {}", verb(error), verb(warning)),
        Severity::Warning => format!("warnings {}", verb(warning)),
        Severity::Info => "infos are recorded".to_owned(),
    }
}

fn inspect(bundle: &Description) -> String {
    let metadata = &bundle.metadata;
    let mut text = format!(
        "bundle: {} {}\ndigest: {}\nabi: {}\npolicies: {}\n",
        metadata.name,
        metadata.version,
        bundle.digest,
        metadata.abi,
        metadata.policies.len()
    );
    if !metadata.reads.is_empty() {
        text.push_str("reads of other objects:\n");
    }
    for (kind, pointers) in &metadata.reads {
        let kind = if kind == FURTHER { "further workloads" } else { kind.trim_start_matches('/') };
        let pointers = if pointers.is_empty() { "no more than their names".to_owned() } else { pointers.join(", ") };
        let _ = writeln!(text, "  {kind}: {pointers}");
    }
    for policy in &metadata.policies {
        let _ = writeln!(text, "\n{}: {}", policy.id, policy.title);
        for (name, value) in facts(policy) {
            let _ = writeln!(text, "  {name}: {value}");
        }
        let settings = settings(policy);
        if !settings.is_empty() {
            let _ = write!(text, "  settings:\n{settings}");
        }
    }
    text
}

fn rights_of(bundles: &[Description]) -> String {
    // Policies of this stage run only on files, so they need no rights in a cluster.
    let policies = bundles.iter().flat_map(|bundle| &bundle.metadata.policies);
    let policies = policies.filter(|policy| policy.stage != Stage::Source);
    rights(policies.flat_map(|policy| policy.requires.iter().chain(&policy.refines)).map(String::as_str))
}

/// The properties of a policy, as names and texts.
pub(super) fn facts(policy: &Policy) -> Vec<(&'static str, String)> {
    let list = |items: &[String]| items.join(", ");
    let mut facts = vec![
        ("category", policy.category.clone()),
        ("severity", word(&policy.severity)),
        ("since", policy.since.clone()),
        ("on", on(policy)),
        ("judges", word(&policy.judges)),
    ];
    if let Some(profile) = Profile::beyond_default(policy) {
        facts.push(("profile", profile.to_owned()));
    }
    for (name, profile) in [("default", Profile::Default), ("production", Profile::Production)] {
        if profile.actions(policy).is_some() {
            facts.push((name, said(policy, profile)));
        }
    }
    if policy.stage == Stage::Source {
        facts.push(("stage", "source: over files alone".to_owned()));
    }
    for (name, items) in [("requires", &policy.requires), ("refines", &policy.refines), ("edits", &policy.edits)] {
        if !items.is_empty() {
            facts.push((name, list(items)));
        }
    }
    facts
}

fn on(policy: &Policy) -> String {
    let workloads = match policy.on.workloads {
        Workloads::None => None,
        Workloads::LongRunning => Some("long-running workloads".to_owned()),
        Workloads::All => Some("every workload".to_owned()),
    };
    // The metadata writes a kind of the core group as `/Pod`.
    let kinds = policy.on.kinds.iter().map(|kind| match kind.as_str() {
        ANY => "every kind".to_owned(),
        kind => kind.trim_start_matches('/').to_owned(),
    });
    let subresources = policy.on.subresources.iter().map(|name| format!("its subresource {name}"));
    let all: Vec<String> = workloads.into_iter().chain(kinds).chain(subresources).collect();
    all.join(", ")
}

/// The settings of a policy: name, type, bounds and default of each, then its description, then its members.
pub(super) fn settings(policy: &Policy) -> String {
    let mut text = String::new();
    members(&policy.settings_schema, 4, &mut text);
    if policy.checks_settings {
        text.push_str("    The policy checks the settings when the PolicySet is loaded.\n");
    }
    text
}

/// Keywords of JSON Schema that are not bounds.
const NO_BOUNDS: [&str; 11] = [
    "type",
    "format",
    "description",
    "default",
    "anyOf",
    "items",
    "properties",
    "additionalProperties",
    "enum",
    "enumDescriptions",
    "$schema",
];

/// Writes a line for each member of a struct, and the members below it.
fn members(schema: &Value, indent: usize, text: &mut String) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let default = match &schema["default"] {
            Value::Null => "no default".to_owned(),
            default => format!("default {default}"),
        };
        let _ = writeln!(text, "{:indent$}{name}: {}{}, {default}", "", types(schema), bounds(schema).concat());
        if let Some(description) = schema["description"].as_str().filter(|text| !text.is_empty()) {
            for line in description.lines() {
                let _ = writeln!(text, "{:indent$}  {line}", "");
            }
        }
        let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let descriptions = schema["enumDescriptions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for (word, description) in words.zip(descriptions) {
            let _ = writeln!(text, "{:indent$}  {word}: {description}", "");
        }
        // The members of a struct, of the items of a list, or of the values of a map.
        let mut below = schema;
        while let Some(inner) = ["items", "additionalProperties"].iter().find_map(|key| below.get(key)) {
            if below.get("properties").is_some() {
                break;
            }
            below = inner;
        }
        members(below, indent + 2, text);
    }
}

/// The bounds of a value, and of the items of a list or the values of a map.
fn bounds(schema: &Value) -> Vec<String> {
    let own = schema.as_object().into_iter().flatten().filter(|(key, _)| !NO_BOUNDS.contains(&key.as_str()));
    let own = own.map(|(key, value)| format!(", {key} {value}"));
    let inner = ["items", "additionalProperties"].iter().filter_map(|key| schema.get(key)).flat_map(bounds);
    own.chain(inner).collect()
}

/// `string or number`, `array of string`, `map of integer`, `one of "Lax", "Strict"`.
fn types(schema: &Value) -> String {
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(Value::to_string).collect();
        return format!("one of {}", words.join(", "));
    }
    if let Some(format) = schema["format"].as_str() {
        return format.to_owned();
    }
    let choices: Vec<String> = match (&schema["type"], &schema["anyOf"]) {
        (Value::String(kind), _) if kind == "array" && schema["items"].is_object() => {
            vec![format!("array of {}", types(&schema["items"]))]
        }
        (Value::String(kind), _) if kind == "object" && schema["additionalProperties"].is_object() => {
            vec![format!("map of {}", types(&schema["additionalProperties"]))]
        }
        (Value::String(kind), _) => vec![kind.clone()],
        (Value::Array(kinds), _) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        (_, Value::Array(schemas)) => schemas.iter().map(types).collect(),
        _ => vec!["value".to_owned()],
    };
    choices.join(" or ")
}

/// The spelling in the metadata.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
