//! What the cluster would do with each object: complete it, then judge it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::threads;
use super::world::{Object, World};
use crate::admission::verdict::{Failed, Silence, Unused};
use crate::admission::{Action, Judged, Review, Verdict};
use crate::context::Context;
use crate::judge::{mutate, validate};
use crate::registry::{Policy, Registry};

/// For all policies on one object. The webhook has seconds; here nobody waits at the other end, and machines of CI are slow.
const TIME: Duration = Duration::from_secs(20);

/// Timeout for all objects. Beyond it policies fail on the others, as they do where a single object takes too long.
const TIME_OF_ALL: Duration = Duration::from_secs(15 * 60);

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
    let verdicts = threads::map(&world.objects, |object| judge(registry, object, &world.context(object), end));
    let mut checked = Checked::default();
    for (object, (verdict, defaulted)) in verdicts.into_iter().enumerate() {
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
    let said = said_elsewhere(registry, world, &checked);
    let mut said = said.into_iter();
    checked.findings.retain(|_| !said.next().unwrap_or(false));
    checked
}

/// What is wrong between several objects is found at each of them, for in the cluster any may come last. Of a set it is
/// said once: at the object that the others name as related. Where two name each other, the workload says it.
fn said_elsewhere(registry: &Registry, world: &World, checked: &Checked) -> Vec<bool> {
    let review = |found: &Found| &world.objects[found.object].review;
    let is_workload = |found: &Found| registry.workloads().template(&review(found).kind.group_kind()).is_some();
    // By policy and object: of findings that name no other object, and of those of workloads.
    let mut said: HashMap<_, [Strictest; 2]> = HashMap::new();
    let silenced = checked.silenced.iter().map(|(silenced, _)| silenced);
    for found in checked.findings.iter().chain(silenced) {
        let counts = [found.judged.finding.related.is_none(), is_workload(found)];
        if counts.contains(&true) {
            let Review { kind, namespace, name, .. } = &**review(found);
            let object = (kind.kind.as_str(), namespace.as_str(), name.as_str());
            let both = said.entry((found.judged.policy.id.as_str(), object)).or_default();
            let counted = both.iter_mut().zip(counts).filter(|(_, counts)| *counts);
            counted.for_each(|(strictest, _)| strictest.add(found.object, found.judged.action));
        }
    }
    let is_said = |found: &Found| {
        let related = found.judged.finding.related.as_deref().and_then(|related| related.split_once('/'));
        let Some((kind, name)) = related else { return false };
        let object = (kind, review(found).namespace.as_str(), name);
        let Some([plain, workloads]) = said.get(&(found.judged.policy.id.as_str(), object)) else { return false };
        let says = |strictest: &Strictest| strictest.but(found.object) >= Some(found.judged.action);
        says(plain) || !is_workload(found) && says(workloads)
    };
    checked.findings.iter().map(is_said).collect()
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
