//! The findings of all policies after a user has followed the advice of one policy: each fix, each help that names a
//! value for the place of its finding, and each fixed document of a case. The test fails on a new finding of another
//! policy that is as severe as the fixed one, and on fixes that undo each other.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plimsoll::context::Context;
use plimsoll::context::files::{Files, Objects};
use plimsoll::judge;
use plimsoll::model::{Edit, Finding, edit};
use plimsoll::registry::{Registry, Site};
use serde_json::{Value, json};

use plimsoll_cases::{Bench, Case, documents, review};

/// Maximum number of rounds of fixes, as in `plimsoll check`.
const MAX_ROUNDS: usize = 10;

/// The policy whose advice is followed, the policy that then has a finding, and the reason why this is right.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("missing-resource-requests", "missing-memory-limit", "the first finding names the missing limit already"),
    (
        "missing-resource-requests",
        "evictable-under-pressure",
        "this policy is off by default, and requires that all memory is reserved",
    ),
    ("privileged-container", "privilege-escalation", "the written value counts once the container is not privileged"),
    ("privileged-container", "dangerous-capabilities", "the capabilities count once the container is not privileged"),
    ("runs-as-root", "root-against-non-root", "the help also suggests a user of 1 or more"),
    ("host-namespaces", "host-port", "the port was a port of the node before too"),
    ("missing-disruption-budget", "disruption-budget-without-readiness", "the first help suggests both"),
    ("single-replica", "missing-disruption-budget", "a budget over one Pod would block drains"),
    ("single-replica", "rollout-below-minimum", "for one Pod, rollout-without-capacity reports that none is left"),
    ("single-replica", "rollout-rounding-surprise", "for one Pod, rollout-without-capacity reports that none is left"),
    ("single-replica", "rollout-by-recreate", "a single Pod with a port of the node can't be updated otherwise"),
    ("autoscaler-down-to-one", "missing-disruption-budget", "a budget over one Pod would block drains"),
    ("autoscaler-fights-replicas", "missing-disruption-budget", "the autoscaler's minimum counts, instead of one Pod"),
    ("rollout-without-capacity", "rollout-without-spare-node", "the help also suggests matchLabelKeys"),
    ("rollout-without-capacity", "rollout-blocked-by-volume", "the help is for volumes that several nodes mount"),
    ("autoscaler-without-metric", "autoscaler-without-requests", "the finding is about the written metric"),
    ("autoscaler-without-metric", "autoscaler-without-readiness", "the finding is about the written metric"),
];

/// The exceptions that were needed.
static USED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

/// Objects that the API server refuses, and deletions, are left out. So are objects that are declared twice, because
/// the other version would need the same change.
pub(crate) fn is_followed(case: &Case) -> bool {
    !case.rejected && !case.deleted && !case.skipped && case.file != "declared-twice"
}

/// Follows all advice in a case.
pub(crate) fn follow(case: &Case) -> Result<()> {
    let mut used = HashSet::new();
    let problems = Stage::new(case)?.follow(&mut used)?;
    USED.lock().map_err(|_| anyhow::anyhow!("another case panicked"))?.extend(used);
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

/// Exceptions that no case needs any more, after all cases have run.
pub(crate) fn unused() -> Vec<String> {
    let Ok(used) = USED.lock() else { return Vec::new() };
    let unused = ACCEPTED.iter().enumerate().filter(|(index, _)| !used.contains(index));
    unused.map(|(_, (from, to, _))| format!("{from} never leads to {to} any more: take it from the list")).collect()
}

/// A case with all policies.
struct Stage<'a> {
    case: &'a Case,
    registry: Arc<Registry>,
}

/// Objects that exist together: the reviewed ones, and the others.
#[derive(Clone, Debug, PartialEq)]
struct World {
    judged: Vec<Value>,
    beside: Vec<Value>,
}

/// A finding in a world.
struct Said {
    object: usize,
    policy: String,
    /// The object, the policy and the place.
    key: String,
    finding: Finding,
}

impl<'a> Stage<'a> {
    fn new(case: &'a Case) -> Result<Self> {
        let mut policies = Vec::new();
        for policy in plimsoll_policies::POLICIES {
            let mut entry = json!({"id": policy.id});
            if let Some(settings) = case.settings.as_ref().filter(|_| policy.id == case.file) {
                entry["settings"] = documents(settings)?.into_iter().next().context("settings")?;
            }
            policies.push(entry);
        }
        let set = json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "all"},
            "spec": {"profile": "none", "policies": policies},
        });
        let registry = Bench::registry(Bench::engine()?, &set.to_string(), case.version.clone(), Site::Files)?;
        Ok(Self { case, registry })
    }

    /// Returns the mistakes of the advice, one line each.
    fn follow(&self, used: &mut HashSet<usize>) -> Result<Vec<String>> {
        let given = World { judged: documents(&self.case.input)?, beside: documents(&self.case.context)? };
        let before = self.judge(&given)?;
        let mut problems = Vec::new();
        for said in &before {
            for (how, advised) in self.advice(&given, said) {
                let after = self.judge(&advised)?;
                let of_same = |other: &&Said| other.key == said.key && other.finding.message == said.finding.message;
                if after.iter().any(|other| of_same(&other)) {
                    problems.push(format!("{how} leaves {}: {}", said.policy, said.finding.message));
                }
                self.compare(said, &before, &after, &how, used, &mut problems);
            }
        }
        for (class, text) in &self.case.fixed {
            let fixed = World { judged: documents(text)?, beside: given.beside.clone() };
            let after = self.judge(&fixed)?;
            let is_gone = |said: &&Said| said.policy == self.case.file && !after.iter().any(|now| now.key == said.key);
            if let Some(worst) = before.iter().filter(is_gone).max_by_key(|said| said.finding.severity) {
                let how = format!("the document fixed={}", class.as_str());
                self.compare(worst, &before, &after, &how, used, &mut problems);
            }
        }
        if let Err(error) = self.settle(&given) {
            problems.push(format!("{error:#}"));
        }
        Ok(problems)
    }

    /// Findings of other policies that are as severe as the fixed one.
    fn compare(
        &self,
        mended: &Said,
        before: &[Said],
        after: &[Said],
        how: &str,
        used: &mut HashSet<usize>,
        problems: &mut Vec<String>,
    ) {
        for said in after.iter().filter(|said| said.policy != mended.policy) {
            // A finding about several places may lose one of them. Then it is reported at another place.
            let is_rest = |old: &Said| {
                let at = said.finding.at.full();
                old.policy == said.policy && old.object == said.object && old.finding.about.contains(&at)
            };
            let was =
                |old: &Said| (old.key == said.key || is_rest(old)) && old.finding.severity >= said.finding.severity;
            if said.finding.severity < mended.finding.severity || before.iter().any(was) {
                continue;
            }
            let pair = |(from, to, _): &(&str, &str, &str)| *from == mended.policy && *to == said.policy;
            match ACCEPTED.iter().position(pair) {
                Some(index) => drop(used.insert(index)),
                None => problems.push(format!(
                    "{how} of {:?} {} ({}) makes {:?} {}: {}",
                    mended.finding.severity,
                    mended.policy,
                    mended.finding.message,
                    said.finding.severity,
                    said.policy,
                    said.finding.message
                )),
            }
        }
    }

    /// Every world that results from the advice of one finding, and the way to it.
    fn advice(&self, world: &World, said: &Said) -> Vec<(String, World)> {
        let mut advised = Vec::new();
        if let Some(fix) = &said.finding.fix {
            let mut fixed = world.clone();
            fixed.judged.extend(fix.companion.clone());
            if edit::apply(&mut fixed.judged[said.object], &fix.edits).is_ok() {
                advised.push((format!("the fix {:?}", fix.title), fixed));
            }
        }
        for named in named(&said.finding.help, &said.finding.at.full()) {
            let mut helped = world.clone();
            let object = &mut helped.judged[said.object];
            let written = named.iter().try_for_each(|(pointer, value)| {
                let (pointer, value) = (pointer.clone(), value.clone());
                let edit = match object.pointer(&pointer) {
                    Some(_) => Edit::Replace { pointer, value },
                    None => Edit::Add { pointer, value },
                };
                edit::apply(object, &[edit])
            });
            if written.is_ok() && helped != *world {
                advised.push((format!("the help {named:?}"), helped));
            }
        }
        advised
    }

    /// Applies all fixes until none is left.
    fn settle(&self, given: &World) -> Result<()> {
        let mut world = given.clone();
        let mut seen = HashSet::from([format!("{world:?}")]);
        for _ in 0..MAX_ROUNDS {
            let mut made: Vec<(usize, Edit)> = Vec::new();
            let mut next = world.clone();
            for said in self.judge(&world)? {
                let Some(fix) = said.finding.fix else { continue };
                let is_taken = |edit: &Edit| {
                    made.iter().any(|(object, other)| {
                        let (one, other) = (edit.pointer(), other.pointer());
                        *object == said.object && (one.starts_with(other) || other.starts_with(one))
                    })
                };
                let has_companion = fix.companion.as_ref().is_some_and(|companion| !next.judged.contains(companion));
                if fix.edits.iter().any(is_taken) || (fix.edits.is_empty() && !has_companion) {
                    continue;
                }
                edit::apply(&mut next.judged[said.object], &fix.edits)?;
                made.extend(fix.edits.into_iter().map(|edit| (said.object, edit)));
                next.judged.extend(fix.companion.filter(|_| has_companion));
            }
            if next == world {
                return Ok(());
            }
            world = next;
            ensure!(seen.insert(format!("{world:?}")), "the fixes of all policies go round in a circle");
        }
        anyhow::bail!("the fixes of all policies come to no end in {MAX_ROUNDS} rounds")
    }

    fn judge(&self, world: &World) -> Result<Vec<Said>> {
        let mut objects = Objects::new(self.registry.context_kinds(), Arc::clone(self.registry.workloads()));
        world.judged.iter().chain(&world.beside).for_each(|object| objects.add(object));
        let context: Arc<dyn Context> = Arc::new(Files::new(!self.case.open, Arc::new(objects)));
        let mut said = Vec::new();
        for (index, object) in world.judged.iter().enumerate() {
            let review = Arc::new(review(self.case, object)?);
            let verdict = judge::validate(&self.registry, &review, &context, Instant::now() + Duration::from_secs(10));
            ensure!(verdict.failed.is_empty(), "{:?}", verdict.failed);
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let name = ["/kind", "/metadata/namespace", "/metadata/name"].map(text).join("/");
            said.extend(verdict.judged.into_iter().map(|judged| Said {
                object: index,
                policy: judged.policy.id.clone(),
                key: format!("{name} {}", judged.key),
                finding: judged.finding,
            }));
        }
        Ok(said)
    }
}

/// The edits that a help names, one list for each alternative: `maxSurge: 1 and maxUnavailable: 0, or …`. An
/// alternative counts if one of its values is for the place of the finding. Its other values are for fields beside that
/// place.
fn named(help: &str, at: &str) -> Vec<Vec<(String, Value)>> {
    let alternatives = help.split(" or ").map(pairs);
    alternatives
        .filter_map(|pairs| {
            let suffix = |path: &str| format!("/{}", path.replace('.', "/"));
            let base = pairs.iter().find_map(|(path, _)| at.strip_suffix(&suffix(path)))?;
            Some(pairs.into_iter().map(|(path, value)| (format!("{base}{}", suffix(path)), value)).collect())
        })
        .collect()
}

/// The fields that a text names with their values, such as `strategy.type: Recreate` or `rollingUpdate: {maxSurge: 1}`.
fn pairs(text: &str) -> Vec<(&str, Value)> {
    let mut pairs = Vec::new();
    for (colon, _) in text.match_indices(": ") {
        let path = text[..colon].rsplit(|char: char| !(char.is_ascii_alphanumeric() || char == '.')).next();
        let is_within_braces = text[..colon].matches('{').count() > text[..colon].matches('}').count();
        let Some(path) = path.filter(|path| !path.is_empty() && !is_within_braces) else { continue };
        let rest = &text[colon + 2..];
        let end = match rest.starts_with('{') {
            true => rest.find('}').map(|end| end + 1),
            false => rest.find([' ', ',', ';', ')', ':']),
        };
        let value = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        // A word that is no value of the API is part of the sentence.
        let is_value = value.starts_with(|char: char| char.is_ascii_digit() || char.is_ascii_uppercase())
            || value.starts_with(['{', '"'])
            || ["true", "false"].contains(&value);
        if let Some(value) = documents(value).ok().and_then(|mut all| all.pop()).filter(|_| is_value) {
            pairs.push((path, value));
        }
    }
    pairs
}
