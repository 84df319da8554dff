//! The objects of a namespace, with indexes, so that no question scans all of them. Files and watches fill the same
//! index.
//!
//! A shard is one namespace. A reader's shard never changes. A change makes a new shard, which shares the unchanged
//! parts.

mod required;
mod sorted;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
#[cfg(any(feature = "serve", test))]
use std::ops::AddAssign;
use std::sync::Arc;

use plimsoll_flat::{Kind as Json, Node};

use super::kept::Kept;
use super::{MAX_BYTES, MAX_DOCUMENTS, NAMESPACE};
use crate::engine::Answer;
use plimsoll_sdk::question::references::{EVERY, Referred};
use plimsoll_sdk::question::{Question, Shape, templates};
use required::{Required, Requirements, required};
use sorted::Sorted;

/// The objects of one namespace, or the cluster-scoped objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Shard {
    kinds: BTreeMap<Arc<str>, Arc<Objects>>,
}

/// How a change affects the memory of the objects.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Growth {
    pub(super) objects: isize,
    pub(super) bytes: isize,
}

#[cfg(any(feature = "serve", test))]
impl AddAssign for Growth {
    fn add_assign(&mut self, more: Self) {
        self.objects += more.objects;
        self.bytes += more.bytes;
    }
}

impl Shard {
    /// Stores an object of this kind, and replaces the one of the same name. None if the stored one is equal to the
    /// byte.
    pub(super) fn put(&mut self, shape: Shape<'_>, name: &str, copy: u32, kept: Kept) -> Option<Growth> {
        if self.kinds.get(shape.kind).and_then(|objects| objects.get(name, copy)).is_some_and(|it| it.is(&kept)) {
            return None;
        }
        let objects = match self.kinds.get_mut(shape.kind) {
            Some(objects) => objects,
            None => self.kinds.entry(shape.kind.into()).or_default(),
        };
        Some(Arc::make_mut(objects).put(shape, name, copy, kept))
    }

    /// The answer to a question from `namespace`. It is complete unless it was cut.
    pub(super) fn answer(&self, shape: Shape<'_>, namespace: &str, question: Question<'_>) -> Answer {
        self.answer_chosen(shape, namespace, question, None)
    }

    /// The same, if only one of several objects with the same name counts.
    pub(super) fn answer_chosen(
        &self,
        shape: Shape<'_>,
        namespace: &str,
        question: Question<'_>,
        chosen: Option<Chosen<'_>>,
    ) -> Answer {
        match self.kinds.get(shape.kind) {
            Some(objects) => objects.answer(shape, namespace, question, chosen),
            None => Answer { documents: Vec::new(), complete: true },
        }
    }

    /// Whether there is an object of this kind and name.
    pub(super) fn has(&self, kind: &str, name: &str) -> bool {
        let namesakes = self.kinds.get(kind).map(|objects| objects.all.from(by_name(name, 0)));
        namesakes.is_some_and(|mut namesakes| namesakes.next().is_some_and(|stored| &*stored.name == name))
    }
}

/// Selects the object that counts, by its copy number.
pub(super) type Chosen<'a> = &'a dyn Fn(u32) -> Meant;

/// Which of several objects with the same name counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meant {
    /// There is only one object of this name.
    Itself,
    /// This copy counts, instead of all others.
    Copy(u32),
    /// No object of this name counts.
    None,
}

/// Changes by watches. The objects of files stay as they were read.
#[cfg(any(feature = "serve", test))]
impl Shard {
    pub(super) fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Every object of a kind, without a limit.
    #[cfg(feature = "serve")]
    pub(super) fn documents(&self, kind: &str) -> Vec<Vec<u8>> {
        let all = self.kinds.get(kind).into_iter().flat_map(|objects| objects.all.iter());
        all.map(|stored| stored.document.to_vec()).collect()
    }

    /// Removes an object of this kind. If several have the same name, it removes the first.
    pub(super) fn remove(&mut self, shape: Shape<'_>, name: &str) -> Growth {
        let Some(objects) = self.kinds.get_mut(shape.kind) else { return Growth::default() };
        let change = Arc::make_mut(objects).remove(shape, name, 0);
        if objects.all.is_empty() {
            self.kinds.remove(shape.kind);
        }
        change
    }

    /// Removes all objects of a kind except these. The names are sorted.
    pub(super) fn retain(&mut self, shape: Shape<'_>, names: &[&str]) -> Growth {
        let mut change = Growth::default();
        let Some(objects) = self.kinds.get(shape.kind) else { return change };
        let gone: Vec<_> =
            objects.all.iter().filter(|stored| names.binary_search(&&*stored.name).is_err()).cloned().collect();
        for stored in gone {
            change += self.remove(shape, &stored.name);
        }
        change
    }
}

/// The objects of one kind.
#[derive(Clone, Debug, Default)]
struct Objects {
    all: Posting,
    /// Objects by each label of their pod template.
    by_label: Postings,
    /// Objects by one label that their own selector requires.
    by_selector: Postings,
    /// Objects whose selector requires no single label.
    other_selectors: Posting,
    /// Objects by each object that they name.
    by_reference: Postings,
}

/// Some of the objects, sorted by name.
type Posting = Sorted<Arc<Stored>>;

#[derive(Debug)]
struct Stored {
    name: Box<str>,
    /// Distinguishes objects with the same name, which only files can have.
    copy: u32,
    document: Box<[u8]>,
    template: Template,
    /// Labels of its pod template whose values are text.
    labels: Box<[Arc<Pair>]>,
    references: Box<[Named]>,
}

/// A named object, with its namespace if the reference contains one.
#[derive(Debug)]
struct Named {
    pair: Arc<Pair>,
    namespace: Option<Box<str>>,
}

/// Whether an object has a pod template, and whether its labels are valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Template {
    None,
    /// All of its labels are text.
    Plain,
    /// Some labels are such that the API server would reject them.
    Odd,
}

impl Stored {
    fn node(&self) -> Option<Node<'_>> {
        Node::root(&self.document).ok()
    }

    fn is(&self, kept: &Kept) -> bool {
        let named = self.references.iter().map(|it| (&it.pair.0, &it.pair.1, &it.namespace));
        *self.document == *kept.document
            && named.eq(kept.references.iter().map(|it| (&it.kind, &it.name, &it.namespace)))
    }

    /// Whether it names this object in this namespace.
    fn refers(&self, kind: &str, name: &str, namespace: &str) -> bool {
        self.references.iter().any(|Named { pair, namespace: stated }| {
            *pair.0 == *kind && *pair.1 == *name && stated.as_deref().is_none_or(|stated| stated == namespace)
        })
    }
}

fn by_name(name: &str, copy: u32) -> impl Fn(&Arc<Stored>) -> Ordering {
    move |stored| stored.name.as_ref().cmp(name).then(stored.copy.cmp(&copy))
}

fn in_order(stored: &Arc<Stored>) -> impl Fn(&Arc<Stored>) -> Ordering {
    by_name(&stored.name, stored.copy)
}

/// A label and its value, or a kind and a name.
#[derive(Debug, Eq, PartialEq)]
struct Pair(Box<str>, Box<str>);

/// Objects by a pair of words.
#[derive(Clone, Debug, Default)]
struct Postings(Sorted<(Arc<Pair>, Posting)>);

impl Postings {
    fn of(&self, first: &str, second: &str) -> Option<&Posting> {
        self.0.get(Self::order(first, second)).map(|(_, posting)| posting)
    }

    /// The pair that other objects share, if there is one.
    fn pair(&self, first: &str, second: &str) -> Arc<Pair> {
        let known = self.0.get(Self::order(first, second)).map(|(pair, _)| Arc::clone(pair));
        known.unwrap_or_else(|| Arc::new(Pair(first.into(), second.into())))
    }

    fn add(&mut self, pair: &Arc<Pair>, stored: &Arc<Stored>) {
        let order = Self::order(&pair.0, &pair.1);
        if let Some((_, posting)) = self.0.get_mut(&order) {
            posting.insert(Arc::clone(stored), in_order(stored));
        } else {
            let mut posting = Posting::default();
            posting.insert(Arc::clone(stored), in_order(stored));
            self.0.insert((Arc::clone(pair), posting), order);
        }
    }

    fn remove(&mut self, first: &str, second: &str, stored: &Arc<Stored>) {
        let order = Self::order(first, second);
        let Some((_, posting)) = self.0.get_mut(&order) else { return };
        posting.remove(in_order(stored));
        if posting.is_empty() {
            self.0.remove(order);
        }
    }

    fn order(first: &str, second: &str) -> impl Fn(&(Arc<Pair>, Posting)) -> Ordering {
        move |(pair, _)| pair.0.as_ref().cmp(first).then_with(|| pair.1.as_ref().cmp(second))
    }
}

impl Objects {
    fn get(&self, name: &str, copy: u32) -> Option<&Arc<Stored>> {
        self.all.get(by_name(name, copy))
    }

    fn put(&mut self, shape: Shape<'_>, name: &str, copy: u32, kept: Kept) -> Growth {
        let mut change = self.remove(shape, name, copy);
        let Kept { document, references } = kept;
        let (template, labels) =
            Node::root(&document).map_or((Template::None, Box::default()), |object| self.template(shape, object));
        let named = |it: Referred| Named { pair: self.by_reference.pair(&it.kind, &it.name), namespace: it.namespace };
        let references = references.into_iter().map(named).collect();
        let document = document.into();
        let stored = Arc::new(Stored { name: name.into(), copy, document, template, labels, references });
        change.objects += 1;
        change.bytes += signed(stored.document.len());
        for pair in &stored.labels {
            self.by_label.add(pair, &stored);
        }
        if let Some(object) = stored.node() {
            match required(shape.kind, object) {
                Required::Pair(first, second) => {
                    let pair = self.by_selector.pair(first, second);
                    self.by_selector.add(&pair, &stored);
                }
                Required::None => drop(self.other_selectors.insert(Arc::clone(&stored), in_order(&stored))),
                Required::Never => {}
            }
        }
        for Named { pair, .. } in &stored.references {
            self.by_reference.add(pair, &stored);
        }
        self.all.insert(Arc::clone(&stored), in_order(&stored));
        change
    }

    fn remove(&mut self, shape: Shape<'_>, name: &str, copy: u32) -> Growth {
        let Some(stored) = self.all.remove(by_name(name, copy)) else { return Growth::default() };
        for pair in &stored.labels {
            self.by_label.remove(&pair.0, &pair.1, &stored);
        }
        if let Some(object) = stored.node() {
            match required(shape.kind, object) {
                Required::Pair(first, second) => self.by_selector.remove(first, second, &stored),
                Required::None => drop(self.other_selectors.remove(in_order(&stored))),
                Required::Never => {}
            }
        }
        for Named { pair, .. } in &stored.references {
            self.by_reference.remove(&pair.0, &pair.1, &stored);
        }
        Growth { objects: -1, bytes: -signed(stored.document.len()) }
    }

    /// The labels of the pod templates. Equal pairs are shared between objects.
    fn template(&self, shape: Shape<'_>, object: Node<'_>) -> (Template, Box<[Arc<Pair>]>) {
        let all: Vec<Node<'_>> = templates(shape, object).collect();
        if all.is_empty() {
            return (Template::None, Box::default());
        }
        let (mut pairs, mut plain) = (Vec::new(), all.len() == 1);
        for labels in all.iter().filter_map(|template| template.at("/metadata/labels")) {
            let before = pairs.len();
            pairs
                .extend(labels.members().filter_map(|(label, value)| Some(self.by_label.pair(label, value.as_str()?))));
            plain &= labels.kind() == Json::Object && pairs.len() - before == labels.len();
        }
        if all.len() > 1 {
            // Two templates may have the same label.
            pairs.sort_unstable_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
            pairs.dedup_by(|one, other| one.0 == other.0 && one.1 == other.1);
        }
        // With several templates, the object itself is inspected: one template must have all labels of the question.
        (if plain { Template::Plain } else { Template::Odd }, pairs.into())
    }

    fn answer(&self, shape: Shape<'_>, namespace: &str, question: Question<'_>, chosen: Option<Chosen<'_>>) -> Answer {
        let mut found = Found::default();
        let matches =
            |stored: &Arc<Stored>| stored.node().is_some_and(|object| question.matches(shape, namespace, object));
        match question {
            Question::Get { name } => {
                let mut namesakes =
                    self.all.from(by_name(name, 0)).take_while(|stored| &*stored.name == name).peekable();
                match namesakes.peek().zip(chosen).map_or(Meant::Itself, |(first, chosen)| chosen(first.copy)) {
                    Meant::Copy(copy) => _ = self.get(name, copy).is_none_or(|stored| found.take(stored)),
                    Meant::Itself => _ = namesakes.all(|stored| found.take(stored)),
                    Meant::None => {}
                }
            }
            Question::Listing => each(&self.all, chosen, |stored| found.take(stored)),
            Question::Referring { kind: NAMESPACE, name } => {
                let postings = [name, EVERY].into_iter().filter_map(|name| self.by_reference.of(NAMESPACE, name));
                let postings: Vec<_> = postings.collect();
                // Objects of the namespace come first, because thousands in other namespaces may refer to it.
                let own = [name, "/"].concat();
                let is_own = |stored: &&Arc<Stored>| stored.name.starts_with(&own);
                let mine = postings.iter().flat_map(|posting| posting.from(by_name(&own, 0)).take_while(is_own));
                let others = postings.iter().map(|posting| posting.iter().filter(|stored| !is_own(stored)));
                let mut others: Vec<_> = others.flat_map(|others| others.take(MAX_DOCUMENTS + 1)).collect();
                others.sort_unstable_by(|one, other| in_order(other)(one));
                _ = mine.chain(others).all(|stored| found.take(stored));
            }
            Question::Referring { kind, name } => {
                if let Some(posting) = self.by_reference.of(kind, name) {
                    let refers = |stored: &Arc<Stored>| stored.refers(kind, name, namespace);
                    each(posting, chosen, |stored| !refers(stored) || found.take(stored));
                }
            }
            Question::Selecting { labels } => {
                let pairs = labels.members().filter_map(|(label, value)| self.by_selector.of(label, value.as_str()?));
                let mut candidates = Vec::new();
                for posting in pairs.chain([&self.other_selectors]) {
                    each(posting, chosen, |stored| {
                        candidates.push(stored);
                        true
                    });
                }
                candidates.sort_unstable_by(|one, other| in_order(other)(one));
                _ = candidates.into_iter().filter(|stored| matches(stored)).all(|stored| found.take(stored));
            }
            Question::SelectedBy { selector } => {
                if let Some(requirements) = Requirements::of(selector) {
                    let holds = |stored: &Arc<Stored>| match stored.template {
                        Template::None => false,
                        Template::Plain => requirements.hold(&stored.labels),
                        Template::Odd => matches(stored),
                    };
                    let posting = requirements.narrowest(&self.by_label).unwrap_or(Some(&self.all));
                    if let Some(posting) = posting {
                        each(posting, chosen, |stored| !holds(stored) || found.take(stored));
                    }
                }
            }
        }
        found.into_answer()
    }
}

/// Visits objects until `visit` returns false. Of objects with the same name, it visits only the one that counts.
fn each<'a>(posting: &'a Posting, chosen: Option<Chosen<'_>>, mut visit: impl FnMut(&'a Arc<Stored>) -> bool) {
    let Some(chosen) = chosen else {
        _ = posting.iter().all(visit);
        return;
    };
    let mut rest: Box<dyn Iterator<Item = &'a Arc<Stored>>> = Box::new(posting.iter());
    while let Some(stored) = rest.next() {
        let meant = match chosen(stored.copy) {
            Meant::Itself => Some(stored),
            Meant::None => {
                rest = Box::new(posting.from(by_name(&stored.name, u32::MAX)));
                None
            }
            Meant::Copy(copy) => {
                // There may be a copy for each of a thousand clusters.
                rest = Box::new(posting.from(by_name(&stored.name, u32::MAX)));
                posting.get(by_name(&stored.name, copy))
            }
        };
        if meant.is_some_and(|meant| !visit(meant)) {
            return;
        }
    }
}

/// The first objects of an answer.
#[derive(Default)]
struct Found {
    documents: Vec<Vec<u8>>,
    bytes: usize,
    cut: bool,
}

impl Found {
    /// Adds an object if there is room. Otherwise the answer is cut, and the result is false.
    fn take(&mut self, stored: &Arc<Stored>) -> bool {
        self.bytes += stored.document.len();
        let count = self.documents.len();
        self.cut = count == MAX_DOCUMENTS || (count > 0 && self.bytes > MAX_BYTES);
        if !self.cut {
            self.documents.push(stored.document.to_vec());
        }
        !self.cut
    }

    fn into_answer(self) -> Answer {
        Answer { documents: self.documents, complete: !self.cut }
    }
}

fn signed(length: usize) -> isize {
    isize::try_from(length).unwrap_or(isize::MAX)
}
