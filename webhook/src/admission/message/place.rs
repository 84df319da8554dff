//! The place of a finding in words instead of a path: a container or a field by its name.

use std::borrow::Cow;

use plimsoll_flat::{Kind, Node};

use super::shorten;
use crate::admission::authored::identity;
use crate::model::Finding;
use crate::model::pointer::{index, names};

/// Maximum number of characters of a name. Names of containers and ports in Kubernetes have at most 63.
const MAX_NAME: usize = 63;

/// Fields that don't help to find the place, because every object or every Pod has them.
const EVERYWHERE: [&str; 6] = ["", "metadata", "spec", "template", "containers", "initContainers"];

/// Fields for which a sentence uses another word.
const ALIASES: [(&str, &str); 2] = [("replicas", "Pods"), ("selector", "selects")];

/// Fields for two directions, with the same members.
const DIRECTIONS: [&str; 2] = ["scaleUp", "scaleDown"];

/// The finding's message. The place comes first if neither the message nor the help names it.
pub(super) fn placed(finding: &Finding, object: Option<Node<'_>>) -> String {
    match prefix(finding, object) {
        Some(place) => format!("{place}: {}", finding.message),
        None => finding.message.clone(),
    }
}

/// The subject of a finding, as a sentence names it: `container "web"`, `volume "data"`.
pub(super) fn subject(finding: &Finding, object: Option<Node<'_>>) -> Option<Subject> {
    let pointer = finding.at.full();
    let walk = Walk::along(object, &pointer);
    match (&walk.container, &walk.item) {
        (Some((class, name)), None) => Some(Subject { noun: (*class).to_owned(), name: format!("{name:?}") }),
        (None, Some(item)) => {
            let described = item.describe();
            let (noun, name) = described.split_once(" \"")?;
            Some(Subject { noun: noun.to_owned(), name: format!("\"{name}") })
        }
        _ => None,
    }
}

/// A noun and a quoted name.
#[derive(Debug, PartialEq)]
pub(super) struct Subject {
    /// `container`, `volume`.
    pub(super) noun: String,
    /// Name in quotation marks.
    pub(super) name: String,
}

fn prefix(finding: &Finding, object: Option<Node<'_>>) -> Option<String> {
    let pointer = finding.at.full();
    let walk = Walk::along(object, &pointer);
    let says = |word: &str| mentions(&finding.message, word) || mentions(&finding.help, word);
    if let Some((class, name)) = &walk.container {
        let name = format!("{name:?}");
        return (!finding.message.contains(&name)).then(|| format!("{class} {}", shorten(&name, MAX_NAME)));
    }
    let value = walk.end.and_then(Node::as_str);
    if value.is_some_and(|value| mentions(&finding.message, value)) {
        return None;
    }
    if let Some(item) = &walk.item {
        let is_named = item.name.as_deref().is_some_and(says) || item.is_term() && says(&item.holder);
        return (!is_named).then(|| item.describe());
    }
    if let Some(direction) = walk.direction.filter(|direction| !says(direction)) {
        return Some(direction.to_owned());
    }
    let field = names(&pointer).last().unwrap_or_default();
    // A finding about another object names that object.
    let is_other = finding.related.is_some() || EVERYWHERE.contains(&&*field);
    let is_clear = is_other || says(&field) || ALIASES.iter().any(|(known, word)| *known == field && says(word));
    (!is_clear).then(|| shorten(&field, MAX_NAME))
}

/// The container, the list item and the value that a pointer leads through.
#[derive(Default)]
struct Walk<'a> {
    /// Class and name of the container.
    container: Option<(&'static str, &'a str)>,
    /// The innermost list item that is not a container.
    item: Option<Item<'a>>,
    direction: Option<&'static str>,
    /// The value at the end of the pointer.
    end: Option<Node<'a>>,
}

/// An item of a list.
struct Item<'a> {
    /// The field that holds the list.
    holder: Cow<'a, str>,
    list: Cow<'a, str>,
    index: usize,
    name: Option<String>,
}

impl<'a> Walk<'a> {
    fn along(object: Option<Node<'a>>, pointer: &'a str) -> Self {
        let mut walk = Self { end: object, ..Self::default() };
        let (mut holder, mut list) = (Cow::Borrowed(""), Cow::Borrowed(""));
        for name in names(pointer) {
            let Some(items) = walk.end.filter(|node| node.kind() == Kind::Array) else {
                walk.direction = walk.direction.or_else(|| DIRECTIONS.into_iter().find(|known| *known == name));
                walk.end = walk.end.and_then(|node| node.get(&name));
                (holder, list) = (list, name);
                continue;
            };
            let Some(index) = index(&name) else { break };
            walk.end = items.item(index);
            let name = walk.end.and_then(identity).map(|(_, name)| name);
            match class(&list, walk.end) {
                Some(class) if walk.container.is_none() => {
                    walk.container = Some((class, name.and_then(Node::as_str).unwrap_or_default()));
                }
                _ => {
                    let (holder, list) = (holder.clone(), list.clone());
                    walk.item = Some(Item { holder, list, index, name: name.map(text) });
                }
            }
        }
        walk
    }
}

fn text(value: Node<'_>) -> String {
    value.as_str().map_or_else(|| value.to_json(), str::to_owned)
}

/// The class of a container in this list, in the words of the policies.
fn class(list: &str, container: Option<Node<'_>>) -> Option<&'static str> {
    match list {
        "containers" => Some("container"),
        "initContainers" => {
            let policy = container.and_then(|container| container.get("restartPolicy")?.as_str());
            Some(if policy == Some("Always") { "sidecar container" } else { "init container" })
        }
        "ephemeralContainers" => Some("ephemeral container"),
        _ => None,
    }
}

impl Item<'_> {
    /// Whether the item is a term of an affinity.
    fn is_term(&self) -> bool {
        self.list.ends_with("DuringSchedulingIgnoredDuringExecution")
    }

    /// `volume "data"`, `item 2 of canary steps`.
    fn describe(&self) -> String {
        let noun = match &*self.list {
            "volumes" => "volume",
            "volumeClaimTemplates" => "volume claim template",
            "topologySpreadConstraints" => "spread constraint",
            "ports" => "port",
            _ => "",
        };
        match &self.name {
            _ if self.is_term() => format!("term {} of {}", self.index + 1, shorten(&self.holder, MAX_NAME)),
            Some(name) if !noun.is_empty() => format!("{noun} {}", shorten(&format!("{name:?}"), MAX_NAME)),
            _ => {
                let is_plain = !EVERYWHERE.contains(&&*self.holder) && !self.holder.contains(['~', '/']);
                let holder = if is_plain { format!("{} ", shorten(&self.holder, MAX_NAME)) } else { String::new() };
                format!("item {} of {holder}{}", self.index + 1, shorten(&self.list, MAX_NAME))
            }
        }
    }
}

/// Whether a text contains this as a separate word.
fn mentions(text: &str, word: &str) -> bool {
    let is_of_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    !word.is_empty()
        && text
            .match_indices(word)
            .any(|(at, _)| !text[..at].ends_with(is_of_word) && !text[at + word.len()..].starts_with(is_of_word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::message::tests::finding;

    fn said(pointer: &str, message: &str) -> String {
        let object = json!({
            "metadata": {"labels": {"app": "shop"}},
            "spec": {
                "replicas": 2,
                "behavior": {"scaleUp": {"policies": [{"value": 0}]}},
                "strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}]}},
                "template": {"spec": {
                    "initContainers": [{"name": "wait"}, {"name": "proxy", "restartPolicy": "Always"}],
                    "containers": [{"name": "web", "env": [{"name": "A"}, {"name": "A"}]}],
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "single"}}],
                    "topologySpreadConstraints": [{"topologyKey": "zone"}, {}],
                }},
            },
        });
        let document = plimsoll_flat::to_document(&object).unwrap();
        placed(&finding(pointer, message, "write better"), plimsoll_flat::Node::root(&document).ok())
    }

    #[test]
    fn what_is_not_named_is_put_first() {
        let pod = "/spec/template/spec";
        for (pointer, message, expected) in [
            ("/containers/0/image", "a moving tag", "container \"web\": a moving tag"),
            ("/containers/0/env/1", "twice", "container \"web\": twice"),
            ("/containers/0/image", "container \"web\" has a moving tag", "container \"web\" has a moving tag"),
            ("/initContainers/0/image", "a moving tag", "init container \"wait\": a moving tag"),
            ("/initContainers/1/resources/limits", "no limit", "sidecar container \"proxy\": no limit"),
            ("/volumes/0/name", "is odd", "volume \"data\": is odd"),
            ("/volumes/0/persistentVolumeClaim/claimName", "claim single is bad", "claim single is bad"),
            ("/topologySpreadConstraints/0/maxSkew", "is odd", "spread constraint \"zone\": is odd"),
            ("/topologySpreadConstraints/0/maxSkew", "that on zone is odd", "that on zone is odd"),
            (
                "/topologySpreadConstraints/1/topologyKey",
                "there is no topologyKey",
                "item 2 of topologySpreadConstraints: there is no topologyKey",
            ),
            ("/containers", "the Pod asks for much", "the Pod asks for much"),
        ] {
            assert_eq!(said(&format!("{pod}{pointer}"), message), expected);
        }
        for (pointer, message, expected) in [
            ("", "it is bad", "it is bad"),
            ("/spec", "it is bad", "it is bad"),
            ("/spec/replicas", "so few", "replicas: so few"),
            ("/spec/replicas", "replicas 2 are few", "replicas 2 are few"),
            ("/spec/replicas", "2 Pods are few", "2 Pods are few"),
            ("/spec/selector", "it selects nothing", "it selects nothing"),
            ("/spec/minReplicas", "replicas 2 are few", "minReplicas: replicas 2 are few"),
            ("/spec/behavior/scaleUp/policies/0/value", "0 is odd", "item 1 of scaleUp policies: 0 is odd"),
            ("/spec/behavior/scaleDown/selectPolicy", "no selectPolicy", "scaleDown: no selectPolicy"),
            ("/spec/strategy/canary/steps/1/pause/duration", "no end", "item 2 of canary steps: no end"),
            ("/metadata/labels/app", "selects shop", "selects shop"),
        ] {
            assert_eq!(said(pointer, message), expected);
        }
    }
}
