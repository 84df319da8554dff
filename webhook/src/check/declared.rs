//! Objects that are declared twice in one folder. The cluster keeps the one that is applied last.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::collect::Role;
use super::world::{File, Object};

/// Maximum number of other declarations that are named.
const MOST_NAMED: usize = 3;

/// Marks each object that the same folder declares again with different content, and names the other places. Only the
/// last checked declaration is marked. Different folders don't count, because they may be for different environments.
pub(super) fn mark(files: &[File], objects: &mut [Object]) {
    let mut declared: HashMap<_, Vec<usize>> = HashMap::new();
    for (number, object) in objects.iter().enumerate() {
        let (review, file) = (&object.review, &files[object.file]);
        if review.name.is_empty() || file.source.role == Role::Context {
            continue;
        }
        let identity = (&review.kind.group, &review.kind.kind, &review.namespace, &review.name);
        declared.entry((file.place.set, file.place.folder, identity)).or_default().push(number);
    }
    let value = |number: usize| -> Option<Value> { serde_json::to_value(objects[number].review.object()?).ok() };
    let mut marks = Vec::new();
    for numbers in declared.values().filter(|numbers| numbers.len() > 1) {
        let is_checked = |number: &&usize| files[objects[**number].file].source.role == Role::Checked;
        let Some(last) = numbers.iter().rfind(is_checked) else { continue };
        let own = value(*last);
        let others = numbers.iter().filter(|other| *other != last && value(**other) != own);
        let places: Vec<String> = others.map(|other| place(files, &objects[*last], &objects[*other])).collect();
        if !places.is_empty() {
            marks.push((*last, places));
        }
    }
    for (number, places) in marks {
        if let Some(review) = objects[number].review.with_declarations(&named(places)) {
            objects[number].review = Arc::new(review);
        }
    }
}

/// The place of another declaration, relative to this one.
fn place(files: &[File], own: &Object, other: &Object) -> String {
    if own.file == other.file {
        format!("document {} of this file", other.document + 1)
    } else {
        files[other.file].source.name.clone()
    }
}

fn named(mut places: Vec<String>) -> Vec<String> {
    places.dedup();
    if places.len() > MOST_NAMED {
        let more = places.len() - MOST_NAMED;
        places.truncate(MOST_NAMED);
        places.push(format!("{more} more"));
    }
    places
}
