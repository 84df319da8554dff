//! Converts a [`Tree`] to JSON. Aliases and merge keys are resolved as in go-yaml v2.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::MAX_BYTES;
use super::budget::Budget;
use super::scalar::Scalar;
use super::tree::{Fault, Kind, MAX_DEPTH, MAX_NODES, NodeId, Tree};

/// Maximum number of members that merge keys add to the mappings of a document. Each addition counts.
const MAX_MERGED: usize = MAX_NODES;

/// The members of a mapping as in its JSON, sorted by name.
#[derive(Debug)]
pub(super) struct Members(Box<[(String, Member)]>);

impl Members {
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, member)| member)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) key: NodeId,
    pub(super) value: NodeId,
    /// Whether it was added by a merge key.
    pub(super) merged: bool,
}

#[derive(Debug)]
pub(super) struct Composed {
    pub(super) value: Value,
    /// The members of every mapping in the value.
    pub(super) members: HashMap<NodeId, Members>,
}

pub(super) fn compose(tree: &Tree, budget: &Budget) -> Result<Composed, Fault> {
    let mut composer = Composer {
        tree,
        members: HashMap::new(),
        decoded: 0,
        aliased: 0,
        merged: 0,
        bytes: 0,
        alias_depth: 0,
        depth: 0,
    };
    let value = composer.value(tree.root);
    let within = budget.spend(composer.decoded.max(tree.nodes.len()), composer.bytes);
    let value = value?;
    within.map_err(|message| Fault::new(tree.node(tree.root).start, message))?;
    Ok(Composed { value, members: composer.members })
}

struct Composer<'a> {
    tree: &'a Tree,
    members: HashMap<NodeId, Members>,
    decoded: usize,
    aliased: usize,
    /// Number of members that merge keys added.
    merged: usize,
    /// Size of all strings. A string counts again for each alias.
    bytes: usize,
    alias_depth: usize,
    depth: usize,
}

impl Composer<'_> {
    fn value(&mut self, id: NodeId) -> Result<Value, Fault> {
        self.count(id)?;
        let tree = self.tree;
        let node = tree.node(id);
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(node.start, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let value = match &node.kind {
            Kind::Scalar { value, .. } => {
                if let Scalar::Str(text) = value {
                    self.count_bytes(id, text.len())?;
                }
                value.to_json().map_err(|message| Fault::new(node.start, message))?
            }
            Kind::Alias(target) => {
                self.alias_depth += 1;
                let value = self.value(*target)?;
                self.alias_depth -= 1;
                value
            }
            Kind::Sequence { items, .. } => {
                Value::Array(items.iter().map(|item| self.value(item.node)).collect::<Result<_, _>>()?)
            }
            Kind::Mapping { .. } => {
                self.list_members(id)?;
                // Iterating over the members would keep `self` borrowed.
                let count = self.members.get(&id).map_or(0, |members| members.0.len());
                let mut map = Map::new();
                for number in 0..count {
                    let member = self.members.get(&id).and_then(|members| members.0.get(number));
                    let Some((name, value)) = member.map(|(name, member)| (name.clone(), member.value)) else { break };
                    self.count_bytes(id, name.len())?;
                    let value = self.value(value)?;
                    map.insert(name, value);
                }
                Value::Object(map)
            }
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Applies the limit of go-yaml: a large document must not consist mostly of aliases.
    fn count(&mut self, id: NodeId) -> Result<(), Fault> {
        self.decoded += 1;
        self.aliased += usize::from(self.alias_depth > 0);
        let excessive = self.aliased > 100
            && self.decoded > 1000
            && self.aliased as f64 / self.decoded as f64 > allowed_share(self.decoded);
        if excessive || self.decoded > MAX_NODES {
            return Err(Fault::new(self.tree.node(id).start, "the document contains excessive aliasing"));
        }
        Ok(())
    }

    /// Counts the size of a string. Each alias copies the string.
    fn count_bytes(&mut self, id: NodeId, bytes: usize) -> Result<(), Fault> {
        self.bytes += bytes;
        self.refuse_bytes(id)
    }

    fn refuse_bytes(&self, id: NodeId) -> Result<(), Fault> {
        if self.bytes > MAX_BYTES {
            let message = format!("the document is larger than {} MiB with its aliases followed", MAX_BYTES >> 20);
            return Err(Fault::new(self.tree.node(id).start, message));
        }
        Ok(())
    }

    /// Collects the members of a mapping. Later keys win, and a merge key counts at its position: in
    /// `{a: 1, <<: {a: 2}}`, `a` is 2.
    fn list_members(&mut self, id: NodeId) -> Result<(), Fault> {
        if self.members.contains_key(&id) {
            return Ok(());
        }
        let tree = self.tree;
        let Kind::Mapping { entries, .. } = &tree.node(id).kind else { return Ok(()) };
        let mut members = BTreeMap::new();
        for entry in entries {
            if entry.merge {
                self.merge(entry.value, &mut members)?;
                continue;
            }
            self.count(entry.key)?;
            let key = tree.node(tree.target(entry.key));
            let Kind::Scalar { value, .. } = &key.kind else {
                return Err(Fault::new(key.start, "a mapping key that is itself a collection; JSON has none"));
            };
            let name = value.to_key().map_err(|message| Fault::new(key.start, message))?;
            members.insert(name, Member { key: entry.key, value: entry.value, merged: false });
        }
        self.members.insert(id, Members(members.into_iter().collect()));
        Ok(())
    }

    fn merge(&mut self, id: NodeId, members: &mut BTreeMap<String, Member>) -> Result<(), Fault> {
        let tree = self.tree;
        let sources = match &tree.node(id).kind {
            // The first of several sources wins, so it is merged last.
            Kind::Sequence { items, .. } => items.iter().rev().map(|item| item.node).collect(),
            _ => vec![id],
        };
        for source in sources {
            let target = tree.target(source);
            if !matches!(tree.node(target).kind, Kind::Mapping { .. }) {
                return Err(Fault::new(tree.node(source).start, "`<<` takes a mapping or a list of mappings"));
            }
            self.depth += 1;
            if self.depth >= MAX_DEPTH {
                return Err(Fault::new(tree.node(source).start, format!("nested deeper than {MAX_DEPTH} levels")));
            }
            self.count(source)?;
            self.list_members(target)?;
            self.depth -= 1;
            let merged = self.members.get(&target).map(|members| &members.0[..]).unwrap_or_default();
            self.merged += merged.len();
            self.bytes += merged.iter().map(|(name, _)| name.len()).sum::<usize>();
            if self.merged > MAX_MERGED {
                let message = format!("merge keys bring in more than {MAX_MERGED} members");
                return Err(Fault::new(tree.node(source).start, message));
            }
            self.refuse_bytes(source)?;
            members.extend(merged.iter().map(|(name, member)| (name.clone(), Member { merged: true, ..*member })));
        }
        Ok(())
    }
}

/// `allowedAliasRatio` of go-yaml.
fn allowed_share(decoded: usize) -> f64 {
    const LOW: f64 = 400_000.0;
    const HIGH: f64 = 4_000_000.0;
    0.99 - 0.89 * ((decoded as f64 - LOW) / (HIGH - LOW)).clamp(0.0, 1.0)
}
