//! A value of the reviewed object that knows its place, or the place where one is missing.

use std::borrow::Cow;

use plimsoll_flat::{Kind as Json, Node};

use crate::guest::Place;

/// A value of the object, or the place where one is missing: the nearest value that exists and the path below it.
///
/// `null` counts as missing, as it does for the API server. The place costs nothing until it is asked for: it is
/// found again from the value's position in the document.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    nearest: Node<'a>,
    missing: Cow<'static, str>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(node: Node<'a>) -> Self {
        Self { nearest: node, missing: Cow::Borrowed("") }
    }

    /// The root of another object, such as one that the host answered with. Its places are of no use in a finding.
    #[must_use]
    pub fn of(object: Node<'a>) -> Self {
        Self::new(object)
    }

    /// Goes down an RFC 6901 pointer of member names, `/resources/requests/memory`. For one name that may hold a slash or a
    /// tilde, such as that of a label, use [`Cursor::key`].
    ///
    /// # Panics
    /// If the pointer does not begin with a slash. It is part of a policy's code, so the first test that comes by shows it.
    #[must_use]
    #[inline]
    pub fn at(&self, pointer: &'static str) -> Cursor<'a> {
        match pointer.as_bytes().split_first() {
            None => self.clone(),
            Some((b'/', _)) => self.below(pointer.get(1..).unwrap_or_default()),
            Some(_) => no_pointer(pointer),
        }
    }

    /// One member of a fixed name, which holds neither slash nor tilde: [`Cursor::key`] without a copy of the name.
    pub(crate) fn member(&self, name: &'static str) -> Cursor<'a> {
        debug_assert!(!name.contains('/'), "`{name}` is no name of a member");
        self.below(name)
    }

    /// Goes down member names that slashes divide.
    fn below(&self, names: &'static str) -> Cursor<'a> {
        if !self.exists() {
            return Self { nearest: self.nearest, missing: join(&self.missing, names) };
        }
        let mut node = self.nearest;
        let mut rest = names;
        loop {
            let (name, below) = split(rest);
            match node.get(name) {
                Some(child) if !child.is_null() => node = child,
                _ => return Self { nearest: node, missing: Cow::Borrowed(rest) },
            }
            if below.is_empty() {
                return Self::new(node);
            }
            rest = below;
        }
    }

    /// One member whose name may be anything: a label, an annotation, a name from settings.
    #[must_use]
    pub fn key(&self, name: &str) -> Cursor<'a> {
        if self.exists()
            && let Some(child) = self.nearest.get(name).filter(|child| !child.is_null())
        {
            return Self::new(child);
        }
        Self { nearest: self.nearest, missing: join(&self.missing, &name.replace('~', "~0").replace('/', "~1")) }
    }

    /// Goes down an RFC 6901 pointer, as the environment gives one for a pod template.
    #[must_use]
    pub fn pointer_to(&self, pointer: &str) -> Cursor<'a> {
        pointer.split('/').skip(1).fold(self.clone(), |cursor, part| {
            let is_list = cursor.node().is_some_and(|node| node.kind() == Json::Array);
            let item = part.parse().ok().filter(|_| is_list).and_then(|index| cursor.item(index));
            item.unwrap_or_else(|| match part.contains('~') {
                true => cursor.key(&part.replace("~1", "/").replace("~0", "~")),
                false => cursor.key(part),
            })
        })
    }

    /// The items of a list, each with its place; nothing where there is no list.
    pub fn items(&self) -> impl Iterator<Item = Cursor<'a>> + use<'a> {
        self.node().into_iter().flat_map(Node::items).map(Cursor::new)
    }

    /// The item of a list, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Cursor<'a>> {
        self.node()?.item(index).map(Cursor::new)
    }

    /// The members of an object, each with its place; nothing where there is no object.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Cursor<'a>)> + use<'a> {
        self.node().into_iter().flat_map(Node::members).map(|(name, node)| (name, Cursor::new(node)))
    }

    /// The value, if there is one.
    pub fn node(&self) -> Option<Node<'a>> {
        self.exists().then_some(self.nearest)
    }

    /// Whether there is a value.
    pub fn exists(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether nobody wrote a value here and one could stand here: what is around it is an object, or missing too.
    /// False where something of another type is in the way, which the API server refuses.
    pub fn is_absent(&self) -> bool {
        !self.exists() && self.nearest.kind() == Json::Object
    }

    /// The text, if the value is a string.
    pub fn as_str(&self) -> Option<&'a str> {
        self.node()?.as_str()
    }

    /// The number, if the value is a whole one.
    pub fn as_i64(&self) -> Option<i64> {
        self.node()?.as_i64()
    }

    /// The truth value, if the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        self.node()?.as_bool()
    }

    /// Whether the value is an object with members or a list with items.
    pub fn has_content(&self) -> bool {
        self.node().is_some_and(|node| matches!(node.kind(), Json::Array | Json::Object) && node.len() > 0)
    }

    /// RFC 6901 of this place in the object, missing parts included.
    pub fn pointer(&self) -> String {
        let Place { mut pointer, missing } = self.place();
        if !missing.is_empty() {
            pointer.push('/');
            pointer.push_str(&missing);
        }
        pointer
    }

    /// The nearest existing value and what is missing below it.
    pub fn place(&self) -> Place {
        // The document is the request; the object is one of its members.
        let mut pointer = self.nearest.pointer();
        let object = ["/object", "/oldObject"].into_iter().find(|member| pointer.starts_with(member));
        pointer.drain(..object.map_or(0, str::len));
        Place { pointer, missing: self.missing.clone().into_owned() }
    }
}

#[cold]
#[expect(clippy::panic, reason = "a mistake in the code of a policy, which its first test shows")]
fn no_pointer(pointer: &str) -> ! {
    panic!("`{pointer}` is not a JSON pointer (RFC 6901): write `/{pointer}`")
}

/// The first name of a path and what is below it.
#[inline]
fn split(path: &'static str) -> (&'static str, &'static str) {
    match slash(path.as_bytes()) {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (path, ""),
    }
}

/// Where the first slash is. Eight bytes at a time: this is where policies go through, and in a guest the library's search
/// is made for longer texts.
#[inline]
fn slash(path: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = path.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ (ONES * b'/' as u64);
        let found = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if found != 0 {
            return Some(8 * number + found.trailing_zeros() as usize / 8);
        }
    }
    Some(8 * words.len() + rest.iter().position(|byte| *byte == b'/')?)
}

fn join(left: &str, right: &str) -> Cow<'static, str> {
    match left {
        "" => Cow::Owned(right.to_owned()),
        left => Cow::Owned(format!("{left}/{right}")),
    }
}
