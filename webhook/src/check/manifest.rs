//! Judges each object as the API server does before it asks any webhook. The rules are in the crate `plimsoll-manifest`,
//! and each of them is shown like a policy.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use plimsoll_flat::Node;
use plimsoll_manifest::{Edit as Change, Fault, Known, Rule, Version};
use plimsoll_sdk::metadata::{self, FixClass as Mutates, Judges, Stage};
use plimsoll_sdk::version::KubernetesVersion;
use serde_json::Value;

use super::run::{Checked, Found};
use super::threads;
use super::world::{Object, World};
use crate::admission::Judged;
use crate::model::{Action, Edit, Finding, Fix, FixClass, Place, Severity};
use crate::registry::{HOST, Policy, Registry};

/// The category of the rules.
const CATEGORY: &str = "manifest";

/// The page of all rules.
const PAGE: &str = include_str!("manifest.md");

/// Every rule as a policy of the host, in the order of [`Rule::ALL`].
static RULES: LazyLock<Vec<Arc<Policy>>> =
    LazyLock::new(|| (0..).zip(Rule::ALL).map(|(index, rule)| Arc::new(policy(index, *rule))).collect());

/// Adds what the API server would say about each object of the input.
pub(super) fn judge(registry: &Registry, world: &World, checked: &mut Checked) {
    let version = version(registry.kubernetes_version());
    let objects: Vec<usize> = world.checked().collect();
    let judged = threads::map(&objects, |object| one(registry, &world.objects[*object], version));
    for (object, (judged, is_custom)) in objects.into_iter().zip(judged) {
        let found = judged.into_iter().map(|judged| Found { object, judged, defaulted: false });
        checked.findings.extend(found);
        if is_custom {
            let kind = &world.objects[object].review.kind;
            *checked.unchecked.entry((kind.api_version(), kind.kind.clone())).or_default() += 1;
        }
    }
}

/// The ids of the rules that have no page of their own.
pub fn ids<'a>() -> impl Iterator<Item = &'a str> {
    rules().map(|rule| -> &'a str { rule.id() })
}

/// The page of a rule, with the title of the rule first.
pub fn page(id: &str) -> Option<String> {
    let rule = rules().find(|rule| rule.id() == id)?;
    let mut text = format!("# {id}\n\n{}.\n\n", rule.title());
    let _ = writeln!(text, "category: {CATEGORY}\nruns: in `plimsoll check` only\n");
    // The title of the page becomes a section of this one.
    text.push_str(&PAGE.replace("\n## ", "\n### ").replacen("# ", "## ", 1));
    Some(text)
}

/// All rules but the one that the policy `unserved-kind` contains.
fn rules() -> impl Iterator<Item = Rule> {
    Rule::ALL.iter().copied().filter(|rule| *rule != Rule::UnservedKind)
}

/// The findings of one object, and whether its kind is custom.
fn one(registry: &Registry, object: &Object, version: Version) -> (Vec<Judged>, bool) {
    // The rules name places from the root of a document, so the object needs a document of its own.
    let Some(document) = object.review.object().map(Node::to_document) else { return (Vec::new(), false) };
    let Ok(node) = Node::root(&document) else { return (Vec::new(), false) };
    let judgement = plimsoll_manifest::judge(node, version);
    let most = registry.most_of_manifest(&object.review);
    let value = |pointer: &str| node.at(pointer).and_then(|node| serde_json::to_value(node).ok());
    let faults = judgement.faults.into_iter().filter(|fault| fault.rule != Rule::UnservedKind);
    let judged: Vec<Judged> = faults.filter_map(|fault| finding(fault, most, &value)).collect();
    (judged, judgement.known == Known::Custom)
}

/// A fault as a finding. None if the category is off.
fn finding(fault: Fault, most: Action, value: &dyn Fn(&str) -> Option<Value>) -> Option<Judged> {
    let place = Rule::ALL.iter().position(|rule| *rule == fault.rule)?;
    let policy = Arc::clone(RULES.get(place)?);
    let (severity, uncapped) = match fault.severity {
        plimsoll_manifest::Severity::Error => (Severity::Error, Action::Deny),
        plimsoll_manifest::Severity::Warning => (Severity::Warning, Action::Warn),
    };
    let action = uncapped.min(most);
    if action == Action::Off {
        return None;
    }
    let at = Place { pointer: fault.at.pointer, missing: fault.at.missing };
    let key = format!("{} {} {}", policy.id, at.full(), fault.message);
    let finding = Finding {
        severity,
        at,
        message: fault.message,
        help: fault.help,
        fix: fault.fix.and_then(|fix| fixed(fix, value)),
        about: Vec::new(),
        related: None,
        since: None,
        companion: false,
        unsettled: false,
    };
    Some(Judged { policy, finding, action, uncapped, key, spared: None })
}

/// The same fix with the edits of the host. A moved value is added at its new place, and removed from the old one.
///
/// The API server refuses the object as it is, so a fix changes nothing that runs.
fn fixed(fix: plimsoll_manifest::Fix, value: &dyn Fn(&str) -> Option<Value>) -> Option<Fix> {
    let parsed = |text: &str| serde_json::from_str(text).ok();
    let mut edits = Vec::new();
    for change in fix.edits {
        match change {
            Change::Add { pointer, value } => edits.push(Edit::Add { pointer, value: parsed(&value)? }),
            Change::Replace { pointer, value } => edits.push(Edit::Replace { pointer, value: parsed(&value)? }),
            Change::Remove { pointer } => edits.push(Edit::Remove { pointer }),
            Change::Rename { pointer, name } => edits.push(Edit::Rename { pointer, name }),
            Change::Move { from, to } => {
                edits.push(Edit::Add { value: value(&from)?, pointer: to });
                edits.push(Edit::Remove { pointer: from });
            }
        }
    }
    Some(Fix { title: fix.title, class: FixClass::Safe, edits, companion: None })
}

/// The version whose rules apply: the nearest one that the rules know.
fn version(kubernetes: KubernetesVersion) -> Version {
    match kubernetes.major {
        0 => Version::OLDEST,
        1 => Version { minor: u16::try_from(kubernetes.minor).unwrap_or(u16::MAX) }.clamped(),
        _ => Version::NEWEST,
    }
}

fn policy(index: u32, rule: Rule) -> Policy {
    let metadata = metadata::Policy {
        id: rule.id().to_owned(),
        title: rule.title().to_owned(),
        documentation: PAGE.to_owned(),
        category: CATEGORY.to_owned(),
        severity: Severity::Error,
        since: env!("CARGO_PKG_VERSION").to_owned(),
        stage: Stage::Source,
        judges: Judges::State,
        on: metadata::On { kinds: vec![metadata::ANY.to_owned()], ..metadata::On::default() },
        requires: Vec::new(),
        refines: Vec::new(),
        edits: Vec::new(),
        mutates: Mutates::Safe,
        profiles: metadata::Profiles::default(),
        settings_schema: Value::Null,
        settings_defaults: Value::Null,
        checks_settings: false,
    };
    Policy { id: rule.id().to_owned(), bundle: HOST, index, judges: Judges::State, stage: Stage::Source, metadata }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the page has every rule with its title.
    #[test]
    fn the_page_lists_the_rules() {
        let rows = PAGE.lines().skip_while(|line| !line.starts_with("| id |")).skip(2);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        let rules: Vec<String> = rules().map(|rule| format!("| `{}` | {} |", rule.id(), rule.title())).collect();
        assert_eq!(rows, rules);
    }

    #[test]
    fn versions_are_clamped() {
        for (kubernetes, minor) in [((1, 20), 32), ((1, 34), 34), ((1, 99), 37), ((2, 0), 37), ((1, 1 << 20), 37)] {
            assert_eq!(version(KubernetesVersion::new(kubernetes.0, kubernetes.1)), Version { minor });
        }
    }
}
