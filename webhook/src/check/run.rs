//! Judges each object as the cluster would: completes it first, then evaluates it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plimsoll_sdk::metadata;

use super::threads;
use super::world::{Object, World};
use crate::admission::verdict::{Failed, Silence, Unused};
use crate::admission::{Judged, Verdict};
use crate::context::Context;
use crate::context::files::{Files, Objects, SetNumber};
use crate::engine::Bundle;
use crate::judge::{mutate, validate};
use crate::model::{Action, Edit, Review};
use crate::registry::{Policy, Registry};

/// Maximum fuel of all policies on all objects: about three minutes of a usual core. After that, policies fail on the
/// remaining objects. No clock is used, so every machine gives the same result.
const FUEL_OF_ALL: u64 = 1_000_000_000_000;

/// Number of objects that are judged before the fuel is checked. It does not depend on the number of threads.
const AT_ONCE: usize = 64;

/// A deadline that never passes. The driver requires one, although `check` uses no clock.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Maximum number of other folders that a message names.
const MOST_FOLDERS: usize = 3;

/// The results for the whole input.
#[derive(Debug, Default)]
pub struct Checked {
    pub findings: Vec<Found>,
    pub skipped: Vec<(Arc<Policy>, String)>,
    pub assumed: Vec<(Arc<Policy>, String)>,
    /// Number of findings beyond the limit of a policy.
    pub more: Vec<(Arc<Policy>, u32)>,
    /// Failures, by object.
    pub failed: Vec<(usize, Failed)>,
    /// Findings that an ignore or an exemption silences.
    pub silenced: Vec<(Found, Silence)>,
    /// By object, annotations that silenced nothing.
    pub unused: Vec<(usize, Unused)>,
    /// What the webhook would add, each addition with its policy.
    pub added: Vec<(Arc<Policy>, Edit)>,
    /// Custom kinds without a schema: the number of their objects by `apiVersion` and kind.
    pub unchecked: BTreeMap<(String, String), usize>,
}

/// One finding on one object.
#[derive(Debug)]
pub struct Found {
    /// Index into [`World::objects`].
    pub object: usize,
    pub judged: Judged,
    /// Whether the cluster resolves it by itself. Then it does not fail the run.
    pub defaulted: bool,
}

/// Judges every object of the input.
pub fn check(registry: &Registry, world: &World) -> Checked {
    let shared = Shared::new(world);
    let before = burnt(registry);
    let judged = |object: &usize, end: Instant| {
        let it = &world.objects[*object];
        let files = Arc::new(world.context(*object));
        let context: Arc<dyn Context> = Arc::<Files>::clone(&files);
        let mut completed = judge(registry, it, &context, end);
        say_why(&mut completed.verdict, &files, registry);
        shared.soften(registry, world, *object, &mut completed.verdict, end);
        (*object, completed)
    };
    // A budget may have a finding for each of hundreds of workloads, and each workload reports it, too. So workloads
    // are judged first, and repeated findings are dropped at once.
    let (workloads, others): (Vec<usize>, Vec<usize>) =
        world.checked().partition(|object| is_workload(registry, world, *object));
    let mut all = in_rounds(registry, before, &workloads, judged);
    let mut said = Said::default();
    for (object, Completed { verdict, defaulted, .. }) in &all {
        let silenced = verdict.silenced.iter().map(|(silenced, _)| silenced);
        for judged in verdict.judged.iter().chain(defaulted).chain(silenced) {
            said.add(*object, judged, true);
        }
    }
    all.extend(in_rounds(registry, before, &others, |object, end| {
        let (object, mut completed) = judged(object, end);
        completed.verdict.judged.retain(|judged| !said.has(world, object, judged, false));
        completed.defaulted.retain(|judged| !said.has(world, object, judged, false));
        (object, completed)
    }));
    all.sort_unstable_by_key(|(object, _)| *object);
    let mut checked = Checked::default();
    for (object, Completed { verdict, defaulted, added }) in all {
        let found = |defaulted: bool| move |judged: Judged| Found { object, judged, defaulted };
        checked.findings.extend(verdict.judged.into_iter().map(found(false)));
        checked.findings.extend(defaulted.into_iter().map(found(true)));
        checked.added.extend(added);
        checked.skipped.extend(verdict.skipped);
        checked.assumed.extend(verdict.assumed);
        checked.more.extend(verdict.more);
        let silenced = verdict.silenced.into_iter();
        checked.silenced.extend(silenced.map(|(judged, silence)| (found(false)(judged), silence)));
        checked.unused.extend(verdict.unused.into_iter().map(|unused| (object, unused)));
        checked.failed.extend(verdict.failed.into_iter().map(|failed| (object, failed)));
    }
    let silenced = checked.silenced.iter().map(|(silenced, _)| silenced);
    for found in checked.findings.iter().chain(silenced) {
        // Those of workloads were added before.
        if !is_workload(registry, world, found.object) {
            said.add(found.object, &found.judged, false);
        }
    }
    checked
        .findings
        .retain(|found| !said.has(world, found.object, &found.judged, is_workload(registry, world, found.object)));
    checked
}

/// Total fuel that the engine of the registry has used so far.
fn burnt(registry: &Registry) -> u64 {
    registry.bundles().first().map_or(0, Bundle::burnt)
}

/// Runs `work` on every object, on every core. When the fuel is used up, the deadline is in the past.
fn in_rounds<R: Send>(
    registry: &Registry,
    before: u64,
    objects: &[usize],
    work: impl Fn(&usize, Instant) -> R + Sync,
) -> Vec<R> {
    let round = |objects: &[usize]| {
        let is_left = burnt(registry) - before < FUEL_OF_ALL;
        let end = Instant::now() + if is_left { NEVER } else { Duration::ZERO };
        threads::map(objects, |object| work(object, end))
    };
    objects.chunks(AT_ONCE).flat_map(round).collect()
}

fn is_workload(registry: &Registry, world: &World, object: usize) -> bool {
    registry.workloads().is_workload(&world.objects[object].review.kind.group_kind())
}

/// Findings that were already reported at another object. A problem between several objects is found at each of them,
/// because in the cluster any of them may come last. For files it is reported once: at the object that the others name
/// as related. If two objects name each other, the workload reports it.
///
/// The key is bundle, policy and object. The values are the strictest action of findings without a related object, and
/// of findings of workloads.
#[derive(Default)]
struct Said(HashMap<(usize, u32, usize), [Option<Action>; 2]>);

impl Said {
    fn add(&mut self, object: usize, judged: &Judged, is_workload: bool) {
        let counts = [judged.finding.related.is_none(), is_workload];
        if counts.contains(&true) {
            let both = self.0.entry((judged.policy.bundle, judged.policy.index, object)).or_default();
            let counted = both.iter_mut().zip(counts).filter(|(_, counts)| *counts);
            counted.for_each(|(strictest, _)| *strictest = (*strictest).max(Some(judged.action)));
        }
    }

    /// Whether the related object reports the same.
    fn has(&self, world: &World, object: usize, judged: &Judged, is_workload: bool) -> bool {
        let related = judged.finding.related.as_deref().and_then(|related| related.split_once('/'));
        let other = related.and_then(|(kind, name)| world.named(&world.objects[object], kind, name));
        let Some(other) = other.filter(|other| *other != object) else { return false };
        let said = self.0.get(&(judged.policy.bundle, judged.policy.index, other));
        let Some([plain, workloads]) = said else { return false };
        *plain >= Some(judged.action) || !is_workload && *workloads >= Some(judged.action)
    }
}

/// Adds the reason to skipped policies. A policy gets only the reasons for kinds that it asks for.
fn say_why(verdict: &mut Verdict, files: &Files, registry: &Registry) {
    let doubts = files.doubts();
    let workloads = registry.workloads();
    for (policy, reason) in &mut verdict.skipped {
        let metadata::Policy { requires, refines, .. } = &policy.metadata;
        let asks = |kinds: &[String], kind: &String| {
            let is_further = || workloads.further().any(|further| further == kind);
            kinds.contains(kind) || is_further() && workloads.are_asked(kinds.iter().map(String::as_str))
        };
        let of = |kinds: &[String]| -> BTreeSet<&String> {
            doubts.iter().filter(|(kind, _)| asks(kinds, kind)).flat_map(|(_, doubts)| doubts).collect()
        };
        // Required kinds come first.
        let own = Some(of(requires)).filter(|own| !own.is_empty()).unwrap_or_else(|| of(refines));
        let Some(first) = own.first() else { continue };
        let more = if own.len() > 1 { format!(" (and {} more)", own.len() - 1) } else { String::new() };
        reason.push_str(&format!(": {first}{more}"));
    }
}

/// Sets of files that share a namespace.
struct Shared<'a> {
    /// For each namespace, a file of each set with objects in it.
    sets: HashMap<&'a str, Sets<'a>>,
    /// For each namespace, kind and name, a file of each set with such an object.
    named: HashMap<[&'a str; 3], Sets<'a>>,
    kinds: BTreeSet<&'a str>,
    /// The objects of each set alone, made at the first question.
    alone: Mutex<HashMap<SetNumber, Arc<Objects>>>,
}

type Sets<'a> = BTreeMap<SetNumber, &'a str>;

impl<'a> Shared<'a> {
    fn new(world: &'a World) -> Self {
        let mut shared =
            Self { sets: HashMap::new(), named: HashMap::new(), kinds: BTreeSet::new(), alone: Mutex::default() };
        let stated = world.objects.iter().filter(|object| !object.review.namespace.is_empty());
        for object in stated.filter(|object| world.is_context(object)) {
            let Review { kind, namespace, name, .. } = &*object.review;
            let file = world.file(object);
            let add = |sets: &mut Sets<'a>| _ = sets.entry(file.place.set).or_insert(file.source.name.as_str());
            add(shared.sets.entry(namespace).or_default());
            add(shared.named.entry([namespace, &kind.kind, name]).or_default());
            shared.kinds.insert(&kind.kind);
        }
        shared.sets.retain(|_, sets| sets.len() > 1);
        shared
    }

    /// Lowers findings that depend on objects of other sets. Two folders with the same namespace may be for two
    /// clusters. So a finding that exists only for all sets together warns at most, and names the folders.
    fn soften(&self, registry: &Registry, world: &World, number: usize, verdict: &mut Verdict, end: Instant) {
        let object = &world.objects[number];
        if verdict.judged.is_empty() || !self.sets.contains_key(object.review.namespace.as_str()) {
            return;
        }
        let file = world.file(object);
        let mut known = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let set = file.place.set;
        let alone = known.entry(set).or_insert_with(|| world.objects_of(registry, set));
        let alone: Arc<dyn Context> = Arc::new(world.seen_by(number, alone));
        drop(known);
        let Completed { verdict: own, .. } = judge(registry, object, &alone, end);
        let own: HashMap<&str, Action> = own.judged.iter().map(|judged| (judged.key.as_str(), judged.action)).collect();
        for judged in &mut verdict.judged {
            if own.get(judged.key.as_str()).is_none_or(|action| *action < judged.action) {
                judged.action = judged.action.min(Action::Warn);
                let others = self.others(&object.review.namespace, set, &judged.finding.message);
                judged
                    .finding
                    .message
                    .push_str(&format!(" (with what other folders have in this namespace: {others})"));
            }
        }
        verdict.judged.sort_by_key(|judged| std::cmp::Reverse(judged.action));
    }

    /// Files of other sets: those with the objects that a message names, or else those that share the namespace.
    fn others(&self, namespace: &str, set: SetNumber, message: &str) -> String {
        let mut files: Vec<&str> = Vec::new();
        let mut add = |sets: &Sets<'a>| {
            for (_, file) in sets.iter().filter(|(other, _)| **other != set).take(MOST_FOLDERS + 1) {
                if files.len() <= MOST_FOLDERS && !files.contains(file) {
                    files.push(file);
                }
            }
        };
        let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.');
        let names: BTreeSet<&str> = message
            .split(|character| !is_part(character))
            .map(|name| name.trim_end_matches('.'))
            .filter(|name| !name.is_empty())
            .collect();
        for kind in self.kinds.iter().filter(|kind| message.contains(**kind)) {
            names.iter().filter_map(|name| self.named.get(&[namespace, *kind, *name])).for_each(&mut add);
        }
        if files.is_empty() {
            self.sets.get(namespace).into_iter().for_each(|sets| {
                let others = sets.iter().filter(|(other, _)| **other != set);
                files.extend(others.map(|(_, file)| *file).take(MOST_FOLDERS + 1));
            });
        }
        let more = if files.len() > MOST_FOLDERS { ", …" } else { "" };
        format!("{}{more}", files.iter().take(MOST_FOLDERS).copied().collect::<Vec<_>>().join(", "))
    }
}

/// The verdict on the object as the cluster completes it.
struct Completed {
    verdict: Verdict,
    /// Findings that the additions resolve.
    defaulted: Vec<Judged>,
    /// Each addition with its policy.
    added: Vec<(Arc<Policy>, Edit)>,
}

impl From<Verdict> for Completed {
    /// The verdict on an object to which the cluster adds nothing.
    fn from(verdict: Verdict) -> Self {
        Self { verdict, defaulted: Vec::new(), added: Vec::new() }
    }
}

/// Completes the object as the cluster does, and judges the result.
fn judge(registry: &Registry, object: &Object, context: &Arc<dyn Context>, end: Instant) -> Completed {
    let written = validate(registry, &object.review, context, end);
    // Only fixes complete an object, and most objects have none.
    if written.judged.iter().all(|judged| judged.finding.fix.is_none()) {
        return written.into();
    }
    let mutation = mutate(registry, &object.review, context, end);
    let Some(completed) = mutation.object.and_then(|value| object.review.with_object(&value)) else {
        return written.into();
    };
    let mut verdict = validate(registry, &Arc::new(completed), context, end);
    // An ignore may be for a finding that the completion resolves.
    verdict.unused = written.unused;
    for (after, _) in &mut verdict.silenced {
        if let Some((before, _)) = written.silenced.iter().find(|(before, _)| before.key == after.key) {
            after.finding = before.finding.clone();
        }
    }
    let mut defaulted = Vec::new();
    for before in written.judged {
        match verdict.judged.iter_mut().find(|after| after.key == before.key) {
            // A finding that remains is shown with the places and fixes of the file.
            Some(after) if after.finding.message == before.finding.message => {
                after.finding = before.finding;
            }
            Some(_) => {}
            None => defaulted.push(before),
        }
    }
    Completed { verdict, defaulted, added: mutation.added }
}
