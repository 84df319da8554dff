//! Parts of objects: the fields of other objects that policies declare to read.

use std::collections::BTreeMap;

use crate::model::edit::tokens;

/// An object, or parts of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Parts {
    whole: bool,
    members: BTreeMap<String, Parts>,
    items: Option<Box<Parts>>,
}

impl Parts {
    /// The whole object.
    pub(crate) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Adds the value at a pointer. `*` means each item of a list. An invalid pointer adds the whole object.
    pub(crate) fn add(&mut self, pointer: &str) {
        let mut part = self;
        for name in tokens(pointer).unwrap_or_default() {
            part = match name.as_str() {
                "*" => part.items.get_or_insert_default(),
                _ => part.members.entry(name).or_default(),
            };
        }
        part.whole = true;
    }

    /// Adds all parts of the other.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.whole |= other.whole;
        for (name, part) in &other.members {
            self.members.entry(name.clone()).or_default().unite(part);
        }
        if let Some(items) = &other.items {
            self.items.get_or_insert_default().unite(items);
        }
    }

    /// Whether these parts include all parts of the other.
    #[cfg(any(feature = "serve", test))]
    pub(crate) fn cover(&self, other: &Self) -> bool {
        let members =
            || other.members.iter().all(|(name, part)| self.members.get(name).is_some_and(|own| own.cover(part)));
        let items = || match (&self.items, &other.items) {
            (_, None) => true,
            (own, Some(items)) => own.as_ref().is_some_and(|own| own.cover(items)),
        };
        self.whole || (!other.whole && members() && items())
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The parts of the member with this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Parts> {
        if self.whole { Some(self) } else { self.members.get(name) }
    }

    /// The parts of a nested member.
    pub(crate) fn at(&self, names: &[&str]) -> Option<&Parts> {
        names.iter().try_fold(self, |parts, name| parts.member(name))
    }

    /// The parts of each named member.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Parts)> {
        self.members.iter().map(|(name, parts)| (name.as_str(), parts))
    }

    /// The parts of each item.
    pub(crate) fn items(&self) -> Option<&Parts> {
        self.items.as_deref()
    }
}

/// For each kind that policies ask for, the parts that they read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Shown(BTreeMap<String, Parts>);

impl Shown {
    pub(super) fn of(&self, kind: &str) -> Option<&Parts> {
        self.0.get(kind)
    }

    /// Adds these parts of a kind.
    pub(super) fn add(&mut self, kind: &str, parts: &Parts) {
        self.0.entry(kind.to_owned()).or_default().unite(parts);
    }

    pub(super) fn unite(&mut self, other: &Self) {
        other.0.iter().for_each(|(kind, parts)| self.add(kind, parts));
    }
}

#[cfg(test)]
mod tests {
    use super::Parts;

    fn parts(pointers: &[&str]) -> Parts {
        let mut parts = Parts::default();
        pointers.iter().for_each(|pointer| parts.add(pointer));
        parts
    }

    #[test]
    fn are_united_and_compared() {
        let some = parts(&["/spec/replicas", "/spec/containers/*/name"]);
        let more = parts(&["/spec/replicas", "/spec/containers/*/name", "/spec/containers/*/image", "/metadata/a~1b"]);
        assert!(more.cover(&some) && !some.cover(&more) && some.cover(&some));
        assert!(Parts::whole().cover(&more) && !more.cover(&Parts::whole()));
        assert!(parts(&["/spec"]).cover(&some) && !some.cover(&parts(&["/spec"])));
        assert!(!parts(&["/spec/containers/name"]).cover(&parts(&["/spec/containers/*/name"])));
        let mut both = parts(&["/metadata/a~1b", "/spec/containers/*/image"]);
        both.unite(&some);
        assert_eq!(both, more);
        both.unite(&parts(&[""]));
        assert!(both.is_whole() && both.cover(&Parts::whole()));
        assert!(more.member("metadata").and_then(|metadata| metadata.member("a/b")).is_some_and(Parts::is_whole));
    }
}
