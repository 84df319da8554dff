//! What the cluster would do with each object: complete it, then judge it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::threads;
use super::world::{Object, World};
use crate::admission::verdict::{Failed, Silence, Unused};
use crate::admission::{Judged, Review, Verdict};
use crate::context::Context;
use crate::judge::{mutate, validate};
use crate::registry::{Policy, Registry};

/// For all policies on one object. The webhook has seconds; here nobody waits at the other end, and machines of CI are slow.
const TIME: Duration = Duration::from_secs(20);

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
    let verdicts = threads::map(&world.objects, |object| judge(registry, object, &world.context(object)));
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
    let said: Vec<bool> =
        checked.findings.iter().map(|found| is_said_elsewhere(registry, world, &checked, found)).collect();
    let mut said = said.into_iter();
    checked.findings.retain(|_| !said.next().unwrap_or(false));
    checked
}

/// What is wrong between several objects is found at each of them, for in the cluster any may come last. Of a set it is
/// said once: at the object that the others name as related. Where two name each other, the workload says it.
fn is_said_elsewhere(registry: &Registry, world: &World, checked: &Checked, found: &Found) -> bool {
    let Some((kind, name)) = found.judged.finding.related.as_deref().and_then(|related| related.split_once('/')) else {
        return false;
    };
    let own = &world.objects[found.object].review;
    let namespace = &own.namespace;
    let is_workload = |review: &Review| registry.workloads().template(&review.kind.group_kind()).is_some();
    let silenced = checked.silenced.iter().map(|(silenced, _)| silenced);
    checked.findings.iter().chain(silenced).any(|other| {
        let review = &world.objects[other.object].review;
        let is_related = review.kind.kind == kind && review.name == name && review.namespace == *namespace;
        is_related
            && other.object != found.object
            && other.judged.policy.id == found.judged.policy.id
            && (other.judged.finding.related.is_none() || is_workload(review) && !is_workload(own))
            && other.judged.action >= found.judged.action
    })
}

/// The verdict on the object as the cluster completes it, and the findings that completing it mends.
fn judge(registry: &Registry, object: &Object, context: &Arc<dyn Context>) -> (Verdict, Vec<Judged>) {
    let written = validate(registry, &object.review, context, Instant::now() + TIME);
    // Only fixes complete anything, and most objects have none.
    if written.judged.iter().all(|judged| judged.finding.fix.is_none()) {
        return (written, Vec::new());
    }
    let mutation = mutate(registry, &object.review, context, Instant::now() + TIME);
    let Some(completed) = mutation.object.and_then(|value| object.review.with_object(&value)) else {
        return (written, Vec::new());
    };
    let mut verdict = validate(registry, &Arc::new(completed), context, Instant::now() + TIME);
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
