//! Identifies findings and places by names, so that reordering a list changes nothing.

use plimsoll_flat::{Kind, Node};

use crate::admission::authored::identity;
use crate::model::Finding;
use crate::model::pointer::names;

/// The key of a finding: policy, related object and place. List items are named by their merge key, so that reordering
/// changes nothing.
pub fn key(policy: &str, finding: &Finding, object: Option<Node<'_>>) -> String {
    let related = finding.related.as_deref().unwrap_or_default();
    [policy, " ", related, " ", &named_path(object, &finding.at.full())].concat()
}

/// A pointer in readable form: `spec.containers[app].image`. List items are named by their merge key, if they have one.
pub fn named_path(object: Option<Node<'_>>, pointer: &str) -> String {
    let mut path = String::with_capacity(pointer.len());
    let mut node = object;
    for name in names(pointer) {
        match node.filter(|node| node.kind() == Kind::Array) {
            Some(list) => {
                let item = name.parse().ok().and_then(|index| list.item(index));
                match item.and_then(|item| Some((identity(item)?, item))) {
                    Some(((_, id), item)) => {
                        path.push('[');
                        path.push_str(&id.as_str().map_or_else(|| id.to_json(), str::to_owned));
                        // A port is identified by its number and protocol.
                        if let Some(protocol) =
                            item.get("protocol").and_then(Node::as_str).filter(|text| *text != "TCP")
                        {
                            path.push('/');
                            path.push_str(protocol);
                        }
                        path.push(']');
                    }
                    None => {
                        path.push('[');
                        path.push_str(&name);
                        path.push(']');
                    }
                }
                node = item;
            }
            None => {
                let plain = !name.is_empty() && !name.contains(['.', '/', '[', ']', ' ']);
                if plain {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&name);
                } else {
                    path.push('[');
                    path.push_str(&name);
                    path.push(']');
                }
                node = node.and_then(|node| node.get(&name));
            }
        }
    }
    path
}
