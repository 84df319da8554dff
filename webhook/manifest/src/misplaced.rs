//! Fields that do not exist where they are written: what their author most likely meant.

use plimsoll_flat::{Kind as Json, Node};

use crate::Version;
use crate::fault::{Edit, Faults, Rule};
use crate::place::At;
use crate::schema::{self, Frame};
use crate::table::{Code, Struct, Type};

/// How many objects lie at most between a place where the search starts and the field.
const DEPTH: usize = 4;

/// Objects that the search enters although the manifest does not have them.
const SPINE: &[&str] = &["metadata", "spec", "template", "jobTemplate", "securityContext", "resources"];

/// A field that the object around it does not have.
#[cold]
pub(crate) fn unknown(name: &str, node: Node<'_>, around: &Frame<'_, '_>, faults: &mut Faults) {
    if faults.is_full() {
        return;
    }
    let at = At::root(node);
    let Some(fields) = around.shape else { return };
    let place = schema::name(&around.node.pointer());
    let version = faults.version;

    if let Some(right) = misspelt(name, node, fields, around, version) {
        faults.error(
            Rule::UnknownField,
            &at,
            format!("{place} has no field `{name}`: the API server refuses unknown fields"),
            format!("write `{right}`"),
        );
        if around.node.get(right).is_none() {
            let edit = Edit::Rename { pointer: at.pointer(), name: right.to_owned() };
            faults.fix(format!("rename `{name}` to `{right}`"), vec![edit]);
        }
        return;
    }

    let places = elsewhere(name, node, around, version);
    if let Some(found) = places.first() {
        let (target, exists) = (found.path.as_str(), found.parent.is_some());
        let shown = schema::path(target);
        faults.error(
            Rule::MisplacedField,
            &at,
            format!("{place} has no field `{name}`: the field belongs at `{shown}`"),
            format!("move it to `{shown}`"),
        );
        let free = found.parent.is_some_and(|parent| parent.get(name).is_none());
        if places.len() == 1 && exists && free {
            let edit = Edit::Move { from: at.pointer(), to: target.to_owned() };
            faults.fix(format!("move `{name}` to `{shown}`"), vec![edit]);
        }
        return;
    }

    let near = nearest(name, fields, version);
    let versions = fields.versions(name);
    let (message, help) = match (versions, near) {
        (Some((first, _)), _) if first > version.minor => (
            format!("{place} has no field `{name}` in Kubernetes 1.{}: 1.{first} has it first", version.minor),
            "remove the field, or check for a newer version of Kubernetes".to_owned(),
        ),
        (Some((_, last)), _) if last < version.minor => (
            format!("{place} has no field `{name}` any more: Kubernetes 1.{} has removed it", last + 1),
            "remove the field".to_owned(),
        ),
        (_, Some(near)) => (
            format!("{place} has no field `{name}`: the API server refuses unknown fields"),
            format!("the nearest field is `{near}`; remove `{name}` if this is not what it means"),
        ),
        _ => (
            format!("{place} has no field `{name}`: the API server refuses unknown fields"),
            "remove the field, or check its spelling and its place".to_owned(),
        ),
    };
    faults.error(Rule::UnknownField, &at, message, help);
}

/// The one field that is written almost like this, and takes this value.
fn misspelt(
    name: &str,
    node: Node<'_>,
    fields: Struct,
    around: &Frame<'_, '_>,
    version: Version,
) -> Option<&'static str> {
    let far = match name.len() {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    };
    let mut best: Option<(usize, &'static str)> = None;
    let mut tied = false;
    for (field, code) in fields.fields(version) {
        if field.len().abs_diff(name.len()) > far || !schema::fits(node, code) && !node.is_null() {
            continue;
        }
        let distance = if field.eq_ignore_ascii_case(name) { 0 } else { strsim::osa_distance(field, name).max(1) };
        if distance > far || around.node.get(field).is_some_and(|other| !other.is_null()) {
            continue;
        }
        match best {
            Some((least, _)) if least < distance => {}
            Some((least, _)) if least == distance => tied = true,
            _ => (best, tied) = (Some((distance, field)), false),
        }
    }
    best.filter(|_| !tied).map(|(_, field)| field)
}

/// The field that is written most like this, whatever its value.
fn nearest(name: &str, fields: Struct, version: Version) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    fields
        .fields(version)
        .map(|(field, _)| (strsim::jaro_winkler(&lower, &field.to_ascii_lowercase()), field))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, field)| field)
}

/// A place of the same object that has the field.
struct Found<'a> {
    /// The pointer of the field there.
    path: String,
    /// The object around it, if the manifest has it.
    parent: Option<Node<'a>>,
}

/// The nearest places of the same object that have the field and take the value: around the object and below it, or else
/// below what is around it.
fn elsewhere<'a>(name: &str, node: Node<'a>, around: &Frame<'_, 'a>, version: Version) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    let frames = || std::iter::successors(around.up, |frame| frame.up);
    let takes = |shape: Struct| shape.field(name, version).is_some_and(|code| schema::fits(node, code));
    if let Some(frame) = frames().find(|frame| frame.shape.is_some_and(takes)) {
        found.push(Found { path: join(&frame.node.pointer(), name), parent: Some(frame.node) });
    }
    for frame in std::iter::once(around).chain(frames()) {
        if let Some(shape) = frame.shape {
            below(name, node, shape, Some(frame.node), &frame.node.pointer(), version, &mut found);
        }
        if !found.is_empty() {
            break;
        }
    }
    found
}

/// Searches breadth first, so that the nearest places come first, and only those of the least depth are kept.
fn below<'a>(
    name: &str,
    value: Node<'a>,
    shape: Struct,
    node: Option<Node<'a>>,
    path: &str,
    version: Version,
    found: &mut Vec<Found<'a>>,
) {
    let mut level = vec![(shape, node, path.to_owned())];
    let before = found.len();
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (shape, node, path) in level {
            for (field, code) in shape.fields(version) {
                let child = node.and_then(|node| node.get(field)).filter(|child| !child.is_null());
                let at = join(&path, field);
                match code.shape() {
                    Type::Struct(inner)
                        if child.map_or(SPINE.contains(&field), |child| child.kind() == Json::Object) =>
                    {
                        next.push((inner, child, at));
                    }
                    Type::List(item) => enter_items(item, child, &at, &mut next),
                    _ => {}
                }
            }
        }
        for (shape, node, path) in &next {
            if shape.field(name, version).is_some_and(|code| schema::fits(value, code)) {
                found.push(Found { path: join(path, name), parent: *node });
            }
        }
        if found.len() > before {
            return;
        }
        next.truncate(64);
        level = next;
    }
}

/// The items of a list that the manifest has.
fn enter_items<'a>(item: Code, list: Option<Node<'a>>, path: &str, next: &mut Vec<(Struct, Option<Node<'a>>, String)>) {
    let (Type::Struct(inner), Some(list)) = (item.shape(), list) else { return };
    for (index, child) in list.items().enumerate().take(4).filter(|(_, child)| child.kind() == Json::Object) {
        next.push((inner, Some(child), format!("{path}/{index}")));
    }
}

/// Names of fields need no escapes.
fn join(pointer: &str, name: &str) -> String {
    format!("{pointer}/{name}")
}
