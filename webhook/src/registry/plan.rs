//! PolicySets resolved against their bundles. A review then needs only a look-up and a merge.

mod recourse;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use plimsoll_sdk::metadata::{self, CATEGORIES, Stage};

use super::concessions::Concessions;
use super::exemption::Exemption;
use super::fields::{locate, path};
#[cfg(feature = "manifest")]
use super::manifest;
use super::matching::{Match, Modes};
use super::plural::plural;
use super::policy_set::{Located, PolicySet};
use super::problem::{ConfigError, Hint, Position, Problem};
use super::{Actions, Mode, Policy, Selected, Version, Workloads, actions, settings};
use crate::engine::{Bundle, SettingFault};
use crate::model::{Action, Operation, Review, Spared};

pub use recourse::{Ground, Recourse};

/// The data that every review needs.
#[derive(Debug)]
pub(super) struct Plan {
    /// All policies, bundle by bundle, in the order of each bundle.
    policies: Vec<Arc<Policy>>,
    sets: Vec<Set>,
    /// For each `group/Kind`, the places in `policies` of those that look at the kind and are on in some set.
    by_kind: HashMap<String, Vec<usize>>,
    /// `group/Kind` by `group/resource`: the kind that a Scale belongs to.
    scaled: HashMap<String, String>,
    exemptions: Vec<Arc<Exemption>>,
    conflicts: Conflicts,
    /// For each bundle, whether it is the built-in one. The binary contains the pages of that bundle.
    builtin: Vec<bool>,
}

/// A bundle's metadata, and whether profiles apply to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) metadata: &'a metadata::Bundle,
    pub(super) builtin: bool,
    /// The bundle itself, which checks settings beyond their schema. None in tests without WebAssembly.
    pub(super) bundle: Option<&'a Bundle>,
}

#[derive(Debug)]
struct Set {
    name: String,
    requests: Match,
    modes: Modes,
    concessions: Concessions,
    /// By place in `Plan::policies`. None if the policy is off.
    rules: Vec<Option<Rule>>,
    /// The action of the category `manifest`, if the set states one.
    #[cfg(feature = "manifest")]
    manifest: Option<Action>,
}

/// The settings and actions of one policy in a set.
#[derive(Debug)]
struct Rule {
    settings: Arc<[u8]>,
    actions: Actions,
    on_error: Action,
    mutate: bool,
    as_of: Option<Version>,
    self_exempt: bool,
    /// Exemptions that name the policy and are in a namespace that the set lists.
    exemptions: Vec<Arc<Exemption>>,
}

/// Conflicts: two sets that would fill in the same field with different settings.
#[derive(Debug)]
struct Conflicts {
    count: AtomicU64,
    /// By place in `Plan::policies`, whether the conflict was logged.
    logged: Vec<AtomicBool>,
}

impl Plan {
    /// Each of the `sets` comes with the place of its bundle in `sources`.
    pub(super) fn new(
        sources: &[Source<'_>],
        sets: &[(PolicySet, usize)],
        exemptions: Vec<Exemption>,
        in_files: bool,
        workloads: &Workloads,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut problems = Vec::new();
        let policies = catalogue(sources, &mut problems);
        check_exemptions(&exemptions, sets, &policies, &mut problems);
        let exemptions: Vec<Arc<Exemption>> = exemptions.into_iter().map(Arc::new).collect();
        let mut interned = HashSet::new();
        let mut names: Vec<&PolicySet> = Vec::new();
        let mut planned = Vec::new();
        for (set, source) in sets {
            if let Some(first) = names.iter().find(|known| known.name == set.name) {
                let also = first.position.as_ref().map(|position| format!(", first at {position}")).unwrap_or_default();
                let problem = Problem::Conflict(format!("two PolicySets are named `{}`{also}", set.name));
                problems.push(ConfigError { position: set.position.clone(), problem });
            }
            names.push(set);
            let listed =
                |exemption: &&Arc<Exemption>| set.concessions.exemption_namespaces.contains(&exemption.namespace);
            let exemptions = exemptions.iter().filter(listed).cloned().collect();
            let mut rules = Rules { set, exemptions, problems: &mut problems, interned: &mut interned };
            let rules = rules.read(&policies, *source, sources[*source], in_files);
            // `check` reports what would happen if every mode were `enforce`.
            let modes = if in_files { Modes::from(Mode::Enforce) } else { set.modes.clone() };
            let concessions = set.concessions.clone();
            planned.push(Set {
                name: set.name.clone(),
                requests: set.requests.clone(),
                modes,
                concessions,
                rules,
                #[cfg(feature = "manifest")]
                manifest: manifest::stated(set),
            });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let by_kind = by_kind(&policies, &planned, workloads);
        let logged = policies.iter().map(|_| AtomicBool::new(false)).collect();
        let conflicts = Conflicts { count: AtomicU64::new(0), logged };
        let builtin = sources.iter().map(|source| source.builtin).collect();
        Ok(Self { policies, sets: planned, by_kind, scaled: scaled(workloads), exemptions, conflicts, builtin })
    }

    pub(super) fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let on = |place: usize| self.sets.iter().any(|set| set.rules[place].is_some());
        self.policies.iter().enumerate().filter(move |(place, _)| on(*place)).map(|(_, policy)| policy)
    }

    pub(super) fn exemptions(&self) -> &[Arc<Exemption>] {
        &self.exemptions
    }

    pub(super) fn conflicts(&self) -> u64 {
        self.conflicts.count.load(Ordering::Relaxed)
    }

    pub(super) fn select(&self, review: &Review) -> Vec<Selected> {
        let operation = match review.operation {
            Operation::Create => metadata::Operation::Create,
            Operation::Update => metadata::Operation::Update,
            Operation::Delete => metadata::Operation::Delete,
            // Policies do not judge streams.
            Operation::Connect => return Vec::new(),
        };
        let kind = match review.subresource.as_str() {
            "scale" => self.scaled.get(&format!("{}/{}", review.resource_group(), review.resource)).cloned(),
            _ => Some(review.kind.group_kind()),
        };
        let Some(places) = kind.and_then(|kind| self.by_kind.get(&kind).or_else(|| self.by_kind.get(metadata::ANY)))
        else {
            return Vec::new();
        };
        let sets: Vec<(&Set, Mode, Option<Spared>)> = self.applying(review).collect();
        if sets.is_empty() {
            return Vec::new();
        }
        let mut selected = Vec::with_capacity(places.len());
        // Many policies share an exemption, and an exemption may have many patterns.
        let mut matching = HashMap::new();
        for &place in places {
            let policy = &self.policies[place];
            let on = &policy.metadata.on;
            if !on.operations.contains(&operation)
                || !review.subresource.is_empty() && !on.subresources.contains(&review.subresource)
            {
                continue;
            }
            let first = selected.len();
            for (set, mode, spared) in &sets {
                #[cfg(test)]
                tests::VISITED.with(|visited| visited.set(visited.get() + 1));
                if let Some(rule) = &set.rules[place] {
                    let mut matches = |exemption: &&Arc<Exemption>| {
                        *matching.entry(Arc::as_ptr(exemption)).or_insert_with(|| exemption.matches(review))
                    };
                    let exemption = rule.exemptions.iter().filter(|exemption| matches(exemption));
                    let applied = Selected {
                        policy: Arc::clone(policy),
                        settings: Arc::clone(&rule.settings),
                        actions: rule.actions,
                        on_error: rule.on_error,
                        spared: *spared,
                        // `observe` changes nothing.
                        mutate: rule.mutate && *mode == Mode::Enforce,
                        as_of: rule.as_of.clone(),
                        enforce_after: set.concessions.enforce_after,
                        self_exempt: rule.self_exempt,
                        exemption: exemption.max_by_key(|exemption| exemption.end).cloned(),
                    };
                    merge(&mut selected, first, applied);
                }
            }
            self.settle(place, &mut selected[first..]);
        }
        selected
    }

    /// The maximum action of the category `manifest` on this object. If several sets state an action, the strictest counts.
    #[cfg(feature = "manifest")]
    pub(super) fn most_of_manifest(&self, review: &Review) -> Action {
        self.applying(review).filter_map(|(set, ..)| set.manifest).max().unwrap_or(Action::Deny)
    }

    /// The sets that apply, each with its mode and the reason why it denies nothing, if there is one.
    fn applying(&self, review: &Review) -> impl Iterator<Item = (&Set, Mode, Option<Spared>)> {
        self.sets.iter().filter_map(|set| {
            let mode = Some(set.modes.of(&review.namespace)).filter(|mode| *mode != Mode::Off)?;
            let observed = (mode == Mode::Observe).then_some(Spared::Observed);
            let applies = set.requests.matches(review);
            applies.then(|| (set, mode, observed.or_else(|| set.concessions.spares(review))))
        })
    }

    /// If two sets would fill in the same field with different settings, neither does.
    fn settle(&self, place: usize, selected: &mut [Selected]) {
        let mut mutating = selected.iter().filter(|selected| selected.mutate);
        let Some(first) = mutating.next() else { return };
        if mutating.all(|other| Arc::ptr_eq(&other.settings, &first.settings)) {
            return;
        }
        for selected in selected.iter_mut() {
            selected.mutate = false;
        }
        self.conflicts.count.fetch_add(1, Ordering::Relaxed);
        if !self.conflicts.logged[place].swap(true, Ordering::Relaxed) {
            tracing::warn!(
                policy = self.policies[place].id,
                "PolicySets mutate by this policy with different settings, so where both apply neither does; \
                 this is logged once and counted"
            );
        }
    }
}

/// Joins calls of the same policy with the same settings into one, with the strictest action. Calls with a different
/// `policiesAsOf` stay separate, because `policiesAsOf` depends on each finding; `decide` merges them. A concession
/// counts only if every set makes it.
fn merge(selected: &mut Vec<Selected>, first: usize, mut applied: Selected) {
    let same = |known: &&mut Selected| Arc::ptr_eq(&known.settings, &applied.settings) && known.as_of == applied.as_of;
    let Some(known) = selected[first..].iter_mut().find(same) else {
        selected.push(applied);
        return;
    };
    if known.spared != applied.spared {
        // The stricter set would lift the cap of the milder one. So each set's actions are capped first.
        cap(known);
        cap(&mut applied);
        known.spared = known.spared.and(applied.spared);
    }
    known.actions = Actions {
        error: known.actions.error.max(applied.actions.error),
        warning: known.actions.warning.max(applied.actions.warning),
        info: known.actions.info.max(applied.actions.info),
    };
    known.on_error = known.on_error.max(applied.on_error);
    known.mutate |= applied.mutate;
    known.enforce_after = known.enforce_after.min(applied.enforce_after);
    known.self_exempt &= applied.self_exempt;
    known.exemption =
        known.exemption.take().zip(applied.exemption).map(|(one, two)| if one.end < two.end { one } else { two });
}

fn cap(selected: &mut Selected) {
    if selected.spared.is_none() {
        return;
    }
    let Actions { error, warning, info } = selected.actions;
    let least = |action: Action| action.min(Action::Warn);
    selected.actions = Actions { error: least(error), warning: least(warning), info: least(info) };
    selected.on_error = least(selected.on_error);
}

/// The kinds that a Scale can belong to, by the resource of the `scale`.
fn scaled(workloads: &Workloads) -> HashMap<String, String> {
    let resource = |kind: &str| {
        let (group, name) = kind.split_once('/').unwrap_or(("", kind));
        (format!("{group}/{}", plural(group, name)), kind.to_owned())
    };
    workloads.kinds().map(resource).collect()
}

/// Reports exemptions that could never count: for a policy that does not exist, or in a namespace that no set lists.
fn check_exemptions(
    exemptions: &[Exemption],
    sets: &[(PolicySet, usize)],
    policies: &[Arc<Policy>],
    problems: &mut Vec<ConfigError>,
) {
    let known = || policies.iter().map(|policy| policy.id.as_str());
    for exemption in exemptions {
        for id in exemption.policies.iter().filter(|id| !known().any(|known| known == id.value)) {
            let problem =
                Problem::UnknownValue { what: "policy", value: id.value.clone(), hint: Hint::new(&id.value, known()) };
            problems.push(ConfigError { position: Some(id.position.clone()), problem });
        }
        let (name, namespace) = (&exemption.name, &exemption.namespace);
        if !sets.iter().any(|(set, _)| set.concessions.exemption_namespaces.contains(namespace)) {
            let problem = format!(
                "the exemption `{name}` would change nothing: no ClusterPolicySet lists its namespace `{namespace}` in \
                 `exemptionNamespaces`"
            );
            problems
                .push(ConfigError { position: Some(exemption.position.clone()), problem: Problem::Conflict(problem) });
        }
    }
}

/// Every policy of every bundle. Ids must be unique, because reports and exemptions know a policy only by its id.
fn catalogue(sources: &[Source<'_>], problems: &mut Vec<ConfigError>) -> Vec<Arc<Policy>> {
    let mut policies: Vec<Arc<Policy>> = Vec::new();
    for (bundle, source) in sources.iter().enumerate() {
        for (index, metadata) in source.metadata.policies.iter().enumerate() {
            if let Some(known) = policies.iter().find(|known| known.id == metadata.id) {
                let (first, second) = (&sources[known.bundle].metadata.name, &source.metadata.name);
                let problem = format!("the bundles `{first}` and `{second}` both have a policy `{}`", metadata.id);
                problems.push(ConfigError { position: None, problem: Problem::Conflict(problem) });
                continue;
            }
            policies.push(Arc::new(Policy {
                id: metadata.id.clone(),
                bundle,
                // The metadata of a bundle never has this many policies.
                index: u32::try_from(index).unwrap_or(u32::MAX),
                judges: metadata.judges,
                stage: metadata.stage,
                metadata: metadata.clone(),
            }));
        }
    }
    policies
}

fn by_kind(policies: &[Arc<Policy>], sets: &[Set], workloads: &Workloads) -> HashMap<String, Vec<usize>> {
    let on = |place: &usize| sets.iter().any(|set| set.rules[*place].is_some());
    let places: Vec<usize> = (0..policies.len()).filter(on).collect();
    let own = places.iter().flat_map(|place| &policies[*place].metadata.on.kinds).map(String::as_str);
    let kinds: HashSet<&str> = workloads.kinds().chain(own).collect();
    let looking = |kind: &str| {
        let looks = |place: &&usize| workloads.match_on(&policies[**place].metadata.on, kind);
        places.iter().filter(looks).copied().collect()
    };
    kinds.into_iter().map(|kind| (kind.to_owned(), looking(kind))).collect()
}

/// Reads the settings and actions of one set for each policy of its bundle.
struct Rules<'a> {
    set: &'a PolicySet,
    /// Exemptions that count for the set.
    exemptions: Vec<Arc<Exemption>>,
    problems: &'a mut Vec<ConfigError>,
    /// Equal settings share one allocation, so that a comparison compares only addresses.
    interned: &'a mut HashSet<Arc<[u8]>>,
}

impl Rules<'_> {
    fn read(
        &mut self,
        policies: &[Arc<Policy>],
        bundle: usize,
        source: Source<'_>,
        in_files: bool,
    ) -> Vec<Option<Rule>> {
        self.check_names(source.metadata);
        let rule = |policy: &Arc<Policy>| {
            let rule = (policy.bundle == bundle).then(|| self.rule(policy, source)).flatten();
            rule.filter(|rule| !rule.actions.is_off() && (in_files || policy.stage == Stage::Both))
        };
        policies.iter().map(rule).collect()
    }

    fn rule(&mut self, policy: &Policy, source: Source<'_>) -> Option<Rule> {
        let Policy { index, metadata: policy, .. } = policy;
        let start = self.set.profile.start(policy, source.builtin);
        let entry = self.set.entry(&policy.id);
        if start.is_none() && entry.is_none() {
            return None;
        }
        // Settings are checked even if the policy is off, because it may be turned on later.
        let settings = match entry.and_then(|entry| entry.settings.as_ref()) {
            Some((settings, pointer)) => {
                let settings = self.settings(policy, settings, pointer);
                if let Some(bundle) = source.bundle.filter(|_| !settings.is_empty()) {
                    self.check_settings(bundle, *index, &settings, pointer);
                }
                settings
            }
            None => self.intern(Vec::new()),
        };
        let asked = entry.and_then(|entry| entry.mutate.as_ref());
        if let Some(Located { value: true, position }) = asked.filter(|_| policy.edits.is_empty()) {
            let problem = format!("`mutate: true` means nothing for `{}`, which has nothing to fill in", policy.id);
            self.problems.push(ConfigError { position: Some(position.clone()), problem: Problem::Conflict(problem) });
        }
        Some(Rule {
            settings,
            actions: actions::resolve(self.set, policy, start),
            on_error: self.set.on_error,
            mutate: asked.map(|asked| asked.value).or(start.map(|start| start.mutate)).unwrap_or(false),
            as_of: self.set.as_of.clone(),
            self_exempt: self.set.concessions.self_exempt.iter().any(|category| category.value == policy.category),
            exemptions: self.exemptions.iter().filter(|exemption| exemption.covers(&policy.id)).cloned().collect(),
        })
    }

    fn check_names(&mut self, bundle: &metadata::Bundle) {
        let ids = bundle.policies.iter().map(|policy| policy.id.as_str());
        for entry in &self.set.policies {
            if !ids.clone().any(|id| id == entry.id.value) {
                #[cfg(feature = "manifest")]
                if let Some(problem) = manifest::refused(&entry.id.value) {
                    self.problems.push(ConfigError { position: Some(entry.id.position.clone()), problem });
                    continue;
                }
                self.unknown("policy", &entry.id, ids.clone());
            }
        }
        let own =
            bundle.policies.iter().map(|policy| policy.category.as_str()).filter(|name| !CATEGORIES.contains(name));
        let categories = CATEGORIES.into_iter().chain(own);
        let named = self.set.categories.iter().map(|(name, _)| name);
        for name in named.chain(&self.set.concessions.self_exempt) {
            if !categories.clone().any(|category| category == name.value) {
                self.unknown("category", name, categories.clone());
            }
        }
    }

    fn unknown<'k>(
        &mut self,
        what: &'static str,
        name: &Located<String>,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let problem = Problem::UnknownValue { what, value: name.value.clone(), hint: Hint::new(&name.value, known) };
        self.problems.push(ConfigError { position: Some(name.position.clone()), problem });
    }

    fn settings(&mut self, policy: &metadata::Policy, settings: &serde_json::Value, pointer: &str) -> Arc<[u8]> {
        let document = match settings::complete(policy, settings) {
            Ok(None) => Vec::new(),
            Ok(Some(settings)) => plimsoll_flat::to_document(&settings).unwrap_or_else(|error| {
                let problem = Problem::Setting { policy: policy.id.clone(), reason: error.to_string() };
                self.problems.push(ConfigError { position: self.locate(pointer, false), problem });
                Vec::new()
            }),
            Err(faults) => {
                for fault in faults {
                    let position = self.locate(&format!("{pointer}{}", fault.pointer), fault.key);
                    self.problems.push(ConfigError { position, problem: fault.problem });
                }
                Vec::new()
            }
        };
        self.intern(document)
    }

    /// Reports the errors that the policy itself finds in its settings.
    fn check_settings(&mut self, bundle: &Bundle, policy: u32, settings: &[u8], pointer: &str) {
        let faults = bundle.check_settings(policy, settings).unwrap_or_else(|failure| {
            let reason = format!("the check of the policy failed: {failure}");
            vec![SettingFault { pointer: String::new(), reason }]
        });
        for SettingFault { pointer: at, reason } in faults {
            // The pointer comes from a guest: one that leads nowhere means all settings of the policy.
            let at = if at.starts_with('/') { at } else { String::new() };
            let reason = if at.is_empty() { reason } else { format!("`{}`: {reason}", path(&at)) };
            let position = self.locate(&format!("{pointer}{at}"), false);
            let policy = bundle.metadata().policies[policy as usize].id.clone();
            self.problems.push(ConfigError { position, problem: Problem::Setting { policy, reason } });
        }
    }

    fn intern(&mut self, document: Vec<u8>) -> Arc<[u8]> {
        if let Some(known) = self.interned.get(document.as_slice()) {
            return Arc::clone(known);
        }
        let document: Arc<[u8]> = document.into();
        self.interned.insert(Arc::clone(&document));
        document
    }

    fn locate(&self, pointer: &str, key: bool) -> Option<Position> {
        let file = self.set.position.as_ref().map(|position| &position.file)?;
        Some(locate(self.set.document.as_ref()?, file, pointer, key))
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
