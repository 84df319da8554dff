//! What the cluster would do with each object: complete it, then judge it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::threads;
use super::world::{Object, World};
use crate::admission::verdict::{Failed, Silence, Unused};
use crate::admission::{Action, Judged, Review, Verdict};
use crate::context::Context;
use crate::context::files::{Files, Objects, SetNumber};
use crate::judge::{mutate, validate};
use crate::registry::{Policy, Registry};

/// For all policies on one object. The webhook has seconds; here nobody waits at the other end, and machines of CI are slow.
const TIME: Duration = Duration::from_secs(20);

/// Timeout for all objects. Beyond it policies fail on the others, as they do where a single object takes too long.
const TIME_OF_ALL: Duration = Duration::from_secs(15 * 60);

/// Other folders that a message names.
const MOST_FOLDERS: usize = 3;

/// Everything that is to be said of the input.
#[derive(Debug, Default)]
pub struct Checked {
    pub findings: Vec<Found>,
    pub skipped: Vec<(Arc<Policy>, String)>,
    pub assumed: Vec<(Arc<Policy>, String)>,
    /// Findings beyond the limit of a policy.
    pub more: Vec<(Arc<Policy>, u32)>,
    /// By object.
    pub failed: Vec<(usize, Failed)>,
    /// What is said of nobody, by permission.
    pub silenced: Vec<(Found, Silence)>,
    /// By object: annotations that were to silence something and did not.
    pub unused: Vec<(usize, Unused)>,
}

/// One finding on one object.
#[derive(Debug)]
pub struct Found {
    /// Index into [`World::objects`].
    pub object: usize,
    pub judged: Judged,
    /// The cluster mends it by itself, so it fails nothing.
    pub defaulted: bool,
}

/// Judges every object of the input.
pub fn check(registry: &Registry, world: &World) -> Checked {
    let end = Instant::now() + TIME_OF_ALL;
    let shared = Shared::new(world);
    let judged = |object: &usize| {
        let it = &world.objects[*object];
        let (mut verdict, defaulted) = judge(registry, it, &world.context(it), end);
        shared.soften(registry, world, it, &mut verdict, end);
        (*object, verdict, defaulted)
    };
    // A budget may have a finding for each of hundreds of workloads, which say the same themselves. So those are asked
    // first, and what they have said is not kept.
    let (workloads, others): (Vec<usize>, Vec<usize>) =
        (0..world.objects.len()).partition(|object| is_workload(registry, world, *object));
    let mut verdicts = threads::map(&workloads, judged);
    let mut said = Said::default();
    for (object, verdict, defaulted) in &verdicts {
        let silenced = verdict.silenced.iter().map(|(silenced, _)| silenced);
        for judged in verdict.judged.iter().chain(defaulted).chain(silenced) {
            said.add(world, *object, judged, true);
        }
    }
    verdicts.extend(threads::map(&others, |object| {
        let (object, mut verdict, mut defaulted) = judged(object);
        verdict.judged.retain(|judged| !said.has(world, object, judged, false));
        defaulted.retain(|judged| !said.has(world, object, judged, false));
        (object, verdict, defaulted)
    }));
    verdicts.sort_unstable_by_key(|(object, ..)| *object);
    let mut checked = Checked::default();
    for (object, verdict, defaulted) in verdicts {
        let found = |defaulted: bool| move |judged: Judged| Found { object, judged, defaulted };
        checked.findings.extend(verdict.judged.into_iter().map(found(false)));
        checked.findings.extend(defaulted.into_iter().map(found(true)));
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
        // Those of workloads are in already.
        if !is_workload(registry, world, found.object) {
            said.add(world, found.object, &found.judged, false);
        }
    }
    checked
        .findings
        .retain(|found| !said.has(world, found.object, &found.judged, is_workload(registry, world, found.object)));
    checked
}

fn is_workload(registry: &Registry, world: &World, object: usize) -> bool {
    registry.workloads().is_workload(&world.objects[object].review.kind.group_kind())
}

/// What is wrong between several objects is found at each of them, for in the cluster any may come last. Of a set it is
/// said once: at the object that the others name as related. Where two name each other, the workload says it.
///
/// By policy and object: of findings that name no other object, and of those of workloads.
#[derive(Default)]
struct Said<'a>(HashMap<(usize, u32, Name<'a>), [Strictest; 2]>);

impl<'a> Said<'a> {
    fn add(&mut self, world: &'a World, object: usize, judged: &Judged, is_workload: bool) {
        let counts = [judged.finding.related.is_none(), is_workload];
        if counts.contains(&true) {
            let Review { kind, name, .. } = &*world.objects[object].review;
            let key = (judged.policy.bundle, judged.policy.index, Name::of(world, object, &kind.kind, name));
            let both = self.0.entry(key).or_default();
            let counted = both.iter_mut().zip(counts).filter(|(_, counts)| *counts);
            counted.for_each(|(strictest, _)| strictest.add(object, judged.action));
        }
    }

    /// Whether the object that the finding names says the same.
    fn has(&self, world: &World, object: usize, judged: &Judged, is_workload: bool) -> bool {
        let related = judged.finding.related.as_deref().and_then(|related| related.split_once('/'));
        let Some((kind, name)) = related else { return false };
        let key = (judged.policy.bundle, judged.policy.index, Name::of(world, object, kind, name));
        let Some([plain, workloads]) = self.0.get(&key) else { return false };
        let says = |strictest: &Strictest| strictest.but(object) >= Some(judged.action);
        says(plain) || !is_workload && says(workloads)
    }
}

/// By what an object is known to those that it meets.
#[derive(Eq, Hash, PartialEq)]
struct Name<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    /// Where no namespace is stated.
    set: Option<SetNumber>,
}

impl<'a> Name<'a> {
    /// An object that this one meets, or it itself.
    fn of(world: &'a World, object: usize, kind: &'a str, name: &'a str) -> Self {
        let object = &world.objects[object];
        let namespace = object.review.namespace.as_str();
        Self { kind, namespace, name, set: namespace.is_empty().then(|| world.file(object).set) }
    }
}

/// Folders that state the same namespace.
struct Shared<'a> {
    /// By namespace: a file of each set that has objects in it.
    sets: HashMap<&'a str, Sets<'a>>,
    /// By namespace, kind and name: a file of each set that has such an object.
    named: HashMap<[&'a str; 3], Sets<'a>>,
    kinds: BTreeSet<&'a str>,
    /// What a set has by itself, made when first asked for.
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
            let add = |sets: &mut Sets<'a>| _ = sets.entry(file.set).or_insert(file.source.name.as_str());
            add(shared.sets.entry(namespace).or_default());
            add(shared.named.entry([namespace, &kind.kind, name]).or_default());
            shared.kinds.insert(&kind.kind);
        }
        shared.sets.retain(|_, sets| sets.len() > 1);
        shared
    }

    /// Two folders that state the same namespace may be for two clusters. So what is wrong only among all of them warns at most,
    /// and says which folders these are.
    fn soften(&self, registry: &Registry, world: &World, object: &Object, verdict: &mut Verdict, end: Instant) {
        if verdict.judged.is_empty() || !self.sets.contains_key(object.review.namespace.as_str()) {
            return;
        }
        let file = world.file(object);
        let mut known = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = known.entry(file.set).or_insert_with(|| world.objects_of(registry, file.set));
        let alone: Arc<dyn Context> = Arc::new(Files::new(file.source.closed, Arc::clone(alone)));
        drop(known);
        let (own, _) = judge(registry, object, &alone, end);
        let own: HashMap<&str, Action> = own.judged.iter().map(|judged| (judged.key.as_str(), judged.action)).collect();
        for judged in &mut verdict.judged {
            if own.get(judged.key.as_str()).is_none_or(|action| *action < judged.action) {
                judged.action = judged.action.min(Action::Warn);
                let others = self.others(&object.review.namespace, file.set, &judged.finding.message);
                judged
                    .finding
                    .message
                    .push_str(&format!(" (with what other folders have in this namespace: {others})"));
            }
        }
        verdict.judged.sort_by_key(|judged| std::cmp::Reverse(judged.action));
    }

    /// Files of other sets: those with the objects that a message names, else those that share the namespace.
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

/// The strictest action, and the strictest one of another object.
#[derive(Clone, Copy, Debug, Default)]
struct Strictest([Option<(usize, Action)>; 2]);

impl Strictest {
    fn add(&mut self, object: usize, action: Action) {
        let Self([first, second]) = self;
        let is_stricter = |known: &Option<(usize, Action)>| known.is_none_or(|(_, known)| known < action);
        let is_own = |known: &Option<(usize, Action)>| known.is_some_and(|(known, _)| known == object);
        if is_stricter(first) {
            if !is_own(first) {
                *second = *first;
            }
            *first = Some((object, action));
        } else if !is_own(first) && is_stricter(second) {
            *second = Some((object, action));
        }
    }

    /// The strictest action of other objects than this one.
    fn but(&self, object: usize) -> Option<Action> {
        self.0.iter().flatten().find(|(known, _)| *known != object).map(|(_, action)| *action)
    }
}

/// The verdict on the object as the cluster completes it, and the findings that completing it mends.
fn judge(registry: &Registry, object: &Object, context: &Arc<dyn Context>, end: Instant) -> (Verdict, Vec<Judged>) {
    let deadline = || end.min(Instant::now() + TIME);
    let written = validate(registry, &object.review, context, deadline());
    // Only fixes complete anything, and most objects have none.
    if written.judged.iter().all(|judged| judged.finding.fix.is_none()) {
        return (written, Vec::new());
    }
    let mutation = mutate(registry, &object.review, context, deadline());
    let Some(completed) = mutation.object.and_then(|value| object.review.with_object(&value)) else {
        return (written, Vec::new());
    };
    let mut verdict = validate(registry, &Arc::new(completed), context, deadline());
    // An ignore may be there for what is completed.
    verdict.unused = written.unused;
    for (after, _) in &mut verdict.silenced {
        if let Some((before, _)) = written.silenced.iter().find(|(before, _)| before.key == after.key) {
            after.finding = before.finding.clone();
        }
    }
    let mut mended = Vec::new();
    for before in written.judged {
        match verdict.judged.iter_mut().find(|after| after.key == before.key) {
            // What stays is shown as it stands in the file: its places and fixes are the file's.
            Some(after) if after.finding.message == before.finding.message => {
                after.finding = before.finding;
            }
            Some(_) => {}
            None => mended.push(before),
        }
    }
    (verdict, mended)
}
