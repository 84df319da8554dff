//! Edits the files: applies the fixes of findings in rounds, until nothing changes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use super::companions::Companions;
use super::run::{Checked, Found};
use super::world::{Object, World};
use super::{collect::Source, threads};
use crate::model::pointer::Zones;
use crate::model::{Edit, Fix, FixClass, Review};
use crate::registry::Registry;
use crate::yaml::splice::{self, Reason, Work};

/// Maximum number of rounds. A fix can make another one possible, and a policy returns only a limited number of
/// findings.
const MAX_ROUNDS: usize = 10;

/// Why the rounds ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum End {
    /// Nothing is left to edit.
    Done,
    /// Something was still left after the last round.
    #[default]
    MoreToDo,
    /// A round produced texts that existed before.
    Circle,
}

/// The result of fixing.
#[derive(Debug, Default)]
pub struct Fixed {
    /// The input after the edits, with its findings. None if nothing was edited.
    pub after: Option<(World, Checked)>,
    /// Number of applied fixes, by policy.
    pub made: BTreeMap<String, usize>,
    /// Findings whose fix was refused, with the reason. They are findings of the input after the edits.
    pub refused: Vec<(usize, String)>,
    pub end: End,
}

/// Applies the fixes up to this class, as long as there are any.
pub fn fix(registry: &Registry, world: &World, checked: &Checked, class: FixClass) -> Fixed {
    let mut fixed = Fixed::default();
    let given = world.files.len();
    let mut seen = HashSet::from([fingerprint(world.files.iter().map(|file| &file.source))]);
    for _ in 0..MAX_ROUNDS {
        let (world, checked) = fixed.after.as_ref().map_or((world, checked), |(world, checked)| (world, checked));
        let round = Round::new(world, checked, class);
        let companions = Companions::new(world, checked, class);
        for finding in round.made.iter().chain(&companions.made) {
            *fixed.made.entry(checked.findings[*finding].judged.policy.id.clone()).or_default() += 1;
        }
        if round.texts.is_empty() && companions.sources.is_empty() {
            fixed.refused = round.refused;
            fixed.refused.extend(companions.refused);
            fixed.end = End::Done;
            break;
        }
        let mut sources: Vec<Source> = world.files.iter().map(|file| file.source.clone()).collect();
        for (file, text) in round.texts {
            sources[file].text = text;
        }
        for new in companions.sources {
            // A later round appends to a file that an earlier round made and that is not written yet.
            match sources[given..].iter_mut().find(|source| source.path == new.path) {
                Some(made) => made.text.push_str(&format!("---\n{}", new.text)),
                // New sources go to the end, so that the numbers of the others stay the same.
                None => sources.push(new),
            }
        }
        let is_new = seen.insert(fingerprint(sources.iter()));
        let world = World::read(sources, registry, Arc::clone(&world.beside));
        let checked = super::judge(registry, &world);
        fixed.after = Some((world, checked));
        if !is_new {
            fixed.end = End::Circle;
            break;
        }
    }
    fixed
}

/// A hash to compare the texts of two rounds.
fn fingerprint<'a>(sources: impl Iterator<Item = &'a Source>) -> u64 {
    let mut hasher = DefaultHasher::new();
    sources.for_each(|source| source.text.hash(&mut hasher));
    hasher.finish()
}

/// Whether a fix has at most this class, and contains edits of the object.
pub fn applies(fix: &Fix, class: FixClass) -> bool {
    fix.class <= class && !fix.edits.is_empty()
}

/// Why a text must not be edited, if so.
pub fn generated(text: &str) -> Option<&'static str> {
    if text.lines().any(|line| line.starts_with("# Source: ")) {
        return Some("the file is rendered output (`# Source:`); edit what it is made from");
    }
    text.contains("{{")
        .then_some("the file contains `{{`, as templates do; edit what is rendered, or its template by hand")
}

/// One pass over all files.
#[derive(Debug, Default)]
struct Round {
    /// New texts, by file number.
    texts: Vec<(usize, String)>,
    /// Findings whose fix is in the new texts.
    made: Vec<usize>,
    refused: Vec<(usize, String)>,
}

/// A fix to apply: the finding, the document, and edits with pointers from the root of the document.
struct Candidate {
    finding: usize,
    document: usize,
    edits: Vec<Edit>,
}

impl Round {
    fn new(world: &World, checked: &Checked, class: FixClass) -> Self {
        let mut by_file: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, found) in checked.findings.iter().enumerate() {
            if found.judged.finding.fix.as_ref().is_some_and(|fix| applies(fix, class)) {
                by_file.entry(world.objects[found.object].file).or_default().push(index);
            }
        }
        let files: Vec<(usize, Vec<usize>)> = by_file.into_iter().collect();
        let mut round = Self::default();
        for part in threads::map(&files, |(file, findings)| Self::file(world, checked, *file, findings)) {
            round.texts.extend(part.texts);
            round.made.extend(part.made);
            round.refused.extend(part.refused);
        }
        round
    }

    fn file(world: &World, checked: &Checked, file: usize, findings: &[usize]) -> Self {
        let mut round = Self::default();
        let text = &world.files[file].source.text;
        if let Some(reason) = generated(text) {
            round.refused = findings.iter().map(|finding| (*finding, reason.to_owned())).collect();
            return round;
        }
        let mut candidates = Vec::new();
        for &finding in findings {
            let found = &checked.findings[finding];
            let object = &world.objects[found.object];
            match prepare(found, object) {
                Ok(edits) => candidates.push(Candidate { finding, document: object.document, edits }),
                Err(written) => round.refused.push((finding, written.to_string())),
            }
        }
        // Sorted by policy: if two fixes change the same place, the first one wins.
        candidates.sort_by_key(|candidate| {
            let policy = &checked.findings[candidate.finding].judged.policy;
            (candidate.document, policy.rank(), candidate.finding)
        });
        let mut current = text.clone();
        round.documents(&candidates, &mut current);
        if current != *text {
            round.texts.push((file, current));
        }
        round
    }

    /// Applies the fixes of all documents at once. If a fix is refused, fixes that conflict with it are tried next.
    fn documents(&mut self, candidates: &[Candidate], text: &mut String) {
        let mut work = Work::of(text.len());
        let of_documents = candidates.chunk_by(|left, right| left.document == right.document);
        let mut left: Vec<Left<'_>> = of_documents.map(Left::new).collect();
        while !left.is_empty() {
            let (mut tried, mut lists) = (Vec::new(), Vec::new());
            for (index, left) in left.iter_mut().enumerate() {
                for (candidate, new) in left.choose() {
                    tried.push((index, candidate));
                    lists.push((candidate.document, new));
                }
            }
            // Each further attempt reads the whole file.
            if !work.take(text.len()) {
                let all = tried.iter().map(|(_, candidate)| *candidate);
                let all = all.chain(left.iter().flat_map(|left| left.waiting.iter().copied()));
                self.refused.extend(all.map(|candidate| (candidate.finding, Reason::TooMuch.to_string())));
                return;
            }
            let spliced = splice::apply_within(text, &lists, &mut work);
            *text = spliced.text;
            let mut refused: HashMap<usize, Reason> =
                spliced.refused.into_iter().map(|refusal| (refusal.list, refusal.reason)).collect();
            for (list, ((index, _), (_, new))) in tried.iter().zip(lists).enumerate() {
                if !refused.contains_key(&list) {
                    new.into_iter().for_each(|edit| left[*index].made.add(edit));
                }
            }
            for (list, (index, candidate)) in tried.into_iter().enumerate() {
                let left = &mut left[index];
                if let Some(reason) = refused.remove(&list) {
                    left.again = true;
                    self.refused.push((candidate.finding, reason.to_string()));
                } else if candidate.edits.iter().all(|edit| left.made.has(edit)) {
                    self.made.push(candidate.finding);
                } else {
                    // This fix shares an edit with a fix that was refused.
                    left.again = true;
                    left.waiting.push(candidate);
                }
            }
            left.retain_mut(Left::is_open);
        }
    }
}

/// The fixes of a document that are still to be tried.
struct Left<'a> {
    made: Chosen,
    waiting: Vec<&'a Candidate>,
    /// Whether a fix was refused that other fixes had to wait for.
    again: bool,
}

impl<'a> Left<'a> {
    fn new(candidates: &'a [Candidate]) -> Self {
        Self { made: Chosen::default(), waiting: candidates.iter().collect(), again: false }
    }

    /// Selects waiting fixes that do not conflict, each with the edits that the earlier ones do not contain.
    fn choose(&mut self) -> Vec<(&'a Candidate, Vec<Edit>)> {
        let mut chosen = self.made.clone();
        let mut taken = Vec::new();
        self.waiting.retain(|candidate| match chosen.take(candidate) {
            Some(new) => {
                taken.push((*candidate, new));
                false
            }
            None => true,
        });
        taken
    }

    /// Whether there is more to try. Fixes that conflict with an applied fix wait for the next round.
    fn is_open(&mut self) -> bool {
        self.waiting.retain(|candidate| !self.made.conflicts(candidate));
        std::mem::take(&mut self.again) && !self.waiting.is_empty()
    }
}

/// Edits that do not overlap.
#[derive(Clone, Default)]
struct Chosen {
    /// Edits by pointer.
    edits: HashMap<String, Vec<Edit>>,
    zones: Zones,
}

impl Chosen {
    /// Adds a fix as a whole, and returns the new edits. If two policies want the same edit, it is made once.
    fn take(&mut self, candidate: &Candidate) -> Option<Vec<Edit>> {
        if self.conflicts(candidate) {
            return None;
        }
        let new: Vec<Edit> = candidate.edits.iter().filter(|edit| !self.has(edit)).cloned().collect();
        new.iter().for_each(|edit| self.add(edit.clone()));
        Some(new)
    }

    fn add(&mut self, edit: Edit) {
        self.zones.insert(zone(&edit));
        self.edits.entry(edit.pointer().to_owned()).or_default().push(edit);
    }

    fn has(&self, edit: &Edit) -> bool {
        self.edits.get(edit.pointer()).is_some_and(|known| known.contains(edit))
    }

    fn conflicts(&self, candidate: &Candidate) -> bool {
        candidate.edits.iter().any(|edit| !self.has(edit) && self.zones.touches(zone(edit)))
    }
}

/// The part of a document that an edit affects. If an item is removed, the following items get other indices. A renamed
/// member affects the members beside it, because one of them may be added with the new name.
fn zone(edit: &Edit) -> &str {
    let pointer = edit.pointer();
    match (edit, pointer.rsplit_once('/')) {
        (Edit::Rename { .. }, Some((parent, _))) => parent,
        (Edit::Remove { .. }, Some((list, item))) if item.bytes().all(|byte| byte.is_ascii_digit()) => list,
        _ => pointer,
    }
}

/// The edit would replace a value that the author wrote at this pointer.
#[derive(Debug, thiserror::Error)]
#[error("the file has a value at `{0}`, and this fix replaces no value; change the value by hand")]
struct Written(String);

/// The edits of a finding's fix, with pointers from the root of the document.
fn prepare(found: &Found, object: &Object) -> Result<Vec<Edit>, Written> {
    let edits = found.judged.finding.fix.iter().flat_map(|fix| &fix.edits);
    edits
        .map(|edit| {
            if let Edit::Add { pointer, .. } = edit
                && is_written(&object.review, pointer)
            {
                return Err(Written(pointer.clone()));
            }
            Ok(within(edit, &object.prefix))
        })
        .collect()
}

fn is_written(review: &Review, pointer: &str) -> bool {
    review.object().and_then(|object| object.at(pointer)).is_some_and(|value| !value.is_null())
}

fn within(edit: &Edit, prefix: &str) -> Edit {
    let at = |pointer: &str| format!("{prefix}{pointer}");
    match edit {
        Edit::Add { pointer, value } => Edit::Add { pointer: at(pointer), value: value.clone() },
        Edit::Replace { pointer, value } => Edit::Replace { pointer: at(pointer), value: value.clone() },
        Edit::Remove { pointer } => Edit::Remove { pointer: at(pointer) },
        Edit::Append { pointer, value } => Edit::Append { pointer: at(pointer), value: value.clone() },
        Edit::Rename { pointer, name } => Edit::Rename { pointer: at(pointer), name: name.clone() },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidate(finding: usize, edits: Vec<Edit>) -> Candidate {
        Candidate { finding, document: 0, edits }
    }

    fn add(pointer: &str, value: i32) -> Edit {
        Edit::Add { pointer: pointer.to_owned(), value: json!(value) }
    }

    fn remove(pointer: &str) -> Edit {
        Edit::Remove { pointer: pointer.to_owned() }
    }

    fn round(text: &str, candidates: &[Candidate]) -> (String, Vec<usize>, Vec<usize>) {
        let (mut round, mut text) = (Round::default(), text.to_owned());
        round.documents(candidates, &mut text);
        (text, round.made, round.refused.into_iter().map(|(finding, _)| finding).collect())
    }

    #[test]
    fn the_first_wins_and_equal_edits_are_one() {
        let candidates = [
            candidate(0, vec![add("/a/b", 1)]),
            candidate(1, vec![add("/a/b", 2), add("/c", 3)]),
            candidate(2, vec![add("/a/b", 1)]),
            candidate(3, vec![add("/d", 4)]),
        ];
        assert_eq!(round("x: 0\n", &candidates), ("x: 0\na:\n  b: 1\nd: 4\n".to_owned(), vec![0, 2, 3], vec![]));
    }

    #[test]
    fn removals_from_one_list_take_a_round_each() {
        let candidates = [candidate(0, vec![remove("/l/0")]), candidate(1, vec![remove("/l/1")])];
        assert_eq!(round("l:\n- 1\n- 2\n", &candidates), ("l:\n- 2\n".to_owned(), vec![0], vec![]));
    }

    #[test]
    fn a_refused_fix_stops_no_other() {
        let candidates = [
            candidate(0, vec![add("/a/b", 1)]),
            candidate(1, vec![add("/c/d", 1)]),
            // Conflicts only with the fix that is refused.
            candidate(2, vec![add("/a", 3)]),
        ];
        let (text, made, refused) = round("x: &x {e: 1}\na: *x\nc: {}\n", &candidates);
        assert_eq!((made, refused), (vec![1], vec![0, 2]));
        assert!(text.contains("c:") && text.contains("d: 1"), "{text}");
    }

    #[test]
    fn generated_texts() {
        assert!(generated("---\n# Source: chart/templates/a.yaml\na: 1\n").is_some());
        assert!(generated("a: '{{ x }}'\n").is_some());
        assert!(generated("a: 1 # Source: not\n").is_none());
    }
}
