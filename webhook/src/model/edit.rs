//! The edits of a fix, as policies return them. They can be applied to JSON, or written as an RFC 6902 patch.

use std::borrow::Cow;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, MoveOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value};

use crate::model::pointer::{index, is_pointer, names};

/// One change of an object. Pointers are RFC 6901, and never point to the whole object.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Sets a member of an object. Missing or `null` parents become objects. An existing value is replaced: the caller
    /// decides whether that is allowed.
    Add { pointer: String, value: Value },
    /// Replaces a value that exists.
    Replace { pointer: String, value: Value },
    /// Removes a member or an item that exists.
    Remove { pointer: String },
    /// Appends to an array. A missing or `null` array is created, with its parents.
    Append { pointer: String, value: Value },
    /// Gives a member of an object another name, which no other member has. Policies can't return it.
    Rename { pointer: String, name: String },
}

impl Edit {
    pub fn pointer(&self) -> &str {
        match self {
            Self::Add { pointer, .. }
            | Self::Replace { pointer, .. }
            | Self::Remove { pointer }
            | Self::Append { pointer, .. }
            | Self::Rename { pointer, .. } => pointer,
        }
    }

    /// The new value. None if the edit removes or renames one.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Add { value, .. } | Self::Replace { value, .. } | Self::Append { value, .. } => Some(value),
            Self::Remove { .. } | Self::Rename { .. } => None,
        }
    }
}

/// An edit that does not fit the object.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EditError {
    #[error("`{0}` is no pointer into the object")]
    Pointer(String),
    #[error("nothing is at `{0}`")]
    Missing(String),
    #[error("`{0}` is no object")]
    NotAnObject(String),
    #[error("`{0}` is no array")]
    NotAnArray(String),
    #[error("`{0}` exists already")]
    Exists(String),
}

/// Applies the edits in order. On an error, the earlier edits stay applied.
pub fn apply(object: &mut Value, edits: &[Edit]) -> Result<(), EditError> {
    edits.iter().try_for_each(|edit| step(object, edit).map(drop))
}

/// The same edits as a patch. Applying it to `object` gives the result of [`apply`].
pub fn to_json_patch(object: &Value, edits: &[Edit]) -> Result<Patch, EditError> {
    // Each operation depends on the result of those before it.
    let mut object = object.clone();
    edits.iter().map(|edit| step(&mut object, edit)).collect::<Result<_, _>>().map(Patch)
}

/// The unescaped tokens of a pointer. The pointer must not be the root.
pub fn tokens(pointer: &str) -> Result<Vec<String>, EditError> {
    if pointer.is_empty() || !is_pointer(pointer) {
        return Err(EditError::Pointer(pointer.to_owned()));
    }
    Ok(names(pointer).map(Cow::into_owned).collect())
}

/// Applies one edit and returns the operation that does the same.
fn step(object: &mut Value, edit: &Edit) -> Result<PatchOperation, EditError> {
    let pointer = edit.pointer();
    let tokens = tokens(pointer)?;
    match edit {
        Edit::Add { value, .. } => set(object, pointer, &tokens, value, Target::Member),
        Edit::Append { value, .. } => set(object, pointer, &tokens, value, Target::Array),
        Edit::Replace { value, .. } => {
            *child(object, &tokens).ok_or_else(|| EditError::Missing(pointer.to_owned()))? = value.clone();
            Ok(PatchOperation::Replace(ReplaceOperation { path: path(&tokens), value: value.clone() }))
        }
        Edit::Remove { .. } => {
            remove(object, &tokens).ok_or_else(|| EditError::Missing(pointer.to_owned()))?;
            Ok(PatchOperation::Remove(RemoveOperation { path: path(&tokens) }))
        }
        Edit::Rename { name, .. } => {
            let to = rename(object, pointer, &tokens, name)?;
            Ok(PatchOperation::Move(MoveOperation { from: path(&tokens), path: path(&to) }))
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Target {
    Member,
    Array,
}

/// Follows the pointer as far as values exist. The rest becomes one nested value, so that a patch needs one operation.
fn set(
    object: &mut Value,
    pointer: &str,
    tokens: &[String],
    value: &Value,
    target: Target,
) -> Result<PatchOperation, EditError> {
    let mut at = object;
    for (depth, token) in tokens.iter().enumerate() {
        let (seen, rest) = tokens.split_at(depth);
        let last = rest.len() == 1;
        if at.is_null() {
            let made = nest(rest, value, target);
            *at = made.clone();
            return Ok(PatchOperation::Replace(ReplaceOperation { path: path(seen), value: made }));
        }
        at = match at {
            Value::Object(map) => {
                if !map.contains_key(token) || last && target == Target::Member {
                    let made = nest(&rest[1..], value, target);
                    map.insert(token.clone(), made.clone());
                    return Ok(PatchOperation::Add(AddOperation { path: path(&tokens[..=depth]), value: made }));
                }
                map.get_mut(token).ok_or_else(|| EditError::Missing(pointer.to_owned()))?
            }
            Value::Array(_) if last && target == Target::Member => {
                return Err(EditError::NotAnObject(path(seen).to_string()));
            }
            Value::Array(items) => index(token)
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| EditError::Missing(path(&tokens[..=depth]).to_string()))?,
            _ => return Err(EditError::NotAnObject(path(seen).to_string())),
        };
    }
    match at {
        Value::Null => {
            *at = Value::Array(vec![value.clone()]);
            Ok(PatchOperation::Replace(ReplaceOperation { path: path(tokens), value: at.clone() }))
        }
        Value::Array(items) => {
            items.push(value.clone());
            let mut path = path(tokens);
            path.push_back("-");
            Ok(PatchOperation::Add(AddOperation { path, value: value.clone() }))
        }
        _ => Err(EditError::NotAnArray(pointer.to_owned())),
    }
}

/// Nests the value in one object for each token.
fn nest(tokens: &[String], value: &Value, target: Target) -> Value {
    let innermost = match target {
        Target::Member => value.clone(),
        Target::Array => Value::Array(vec![value.clone()]),
    };
    tokens.iter().rev().fold(innermost, |inner, token| Value::Object(Map::from_iter([(token.clone(), inner)])))
}

fn child<'a>(object: &'a mut Value, tokens: &[String]) -> Option<&'a mut Value> {
    tokens.iter().try_fold(object, |at, token| match at {
        Value::Object(map) => map.get_mut(token),
        Value::Array(items) => items.get_mut(index(token)?),
        _ => None,
    })
}

fn remove(object: &mut Value, tokens: &[String]) -> Option<Value> {
    let (last, parents) = tokens.split_last()?;
    match child(object, parents)? {
        Value::Object(map) => map.remove(last),
        Value::Array(items) => index(last).filter(|index| *index < items.len()).map(|index| items.remove(index)),
        _ => None,
    }
}

/// Renames a member, and returns its new tokens.
fn rename(object: &mut Value, pointer: &str, tokens: &[String], name: &str) -> Result<Vec<String>, EditError> {
    let missing = || EditError::Missing(pointer.to_owned());
    let (last, parents) = tokens.split_last().ok_or_else(missing)?;
    let to = [parents, &[name.to_owned()]].concat();
    match child(object, parents).ok_or_else(missing)? {
        Value::Object(map) if map.contains_key(name) => Err(EditError::Exists(path(&to).to_string())),
        Value::Object(map) => {
            let value = map.remove(last).ok_or_else(missing)?;
            map.insert(name.to_owned(), value);
            Ok(to)
        }
        _ => Err(EditError::NotAnObject(path(parents).to_string())),
    }
}

fn path(tokens: &[String]) -> PointerBuf {
    PointerBuf::from_tokens(tokens)
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::model::edit::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(crate) fn add(pointer: &str, value: Value) -> Edit {
        Edit::Add { pointer: pointer.to_owned(), value }
    }

    pub(crate) fn append(pointer: &str, value: Value) -> Edit {
        Edit::Append { pointer: pointer.to_owned(), value }
    }

    pub(crate) fn remove(pointer: &str) -> Edit {
        Edit::Remove { pointer: pointer.to_owned() }
    }

    pub(crate) fn replace(pointer: &str, value: Value) -> Edit {
        Edit::Replace { pointer: pointer.to_owned(), value }
    }

    pub(crate) fn rename(pointer: &str, name: &str) -> Edit {
        Edit::Rename { pointer: pointer.to_owned(), name: name.to_owned() }
    }

    #[track_caller]
    fn both(before: Value, edits: &[Edit], after: Value) {
        let mut object = before.clone();
        apply(&mut object, edits).unwrap();
        assert_eq!(object, after);
        let mut patched = before.clone();
        json_patch::patch(&mut patched, &to_json_patch(&before, edits).unwrap()).unwrap();
        assert_eq!(patched, after);
    }

    #[test]
    fn makes_parents() {
        both(
            json!({}),
            &[add("/a/b/c", json!(1)), add("/a/b/d", json!(2)), add("/a/b/d", json!(3))],
            json!({"a": {"b": {"c": 1, "d": 3}}}),
        );
        both(
            json!({"a": null, "l": [null]}),
            &[add("/a/b", json!(1)), add("/l/0/x", json!(2))],
            json!({"a": {"b": 1}, "l": [{"x": 2}]}),
        );
        both(json!({"a~/b": {}}), &[add("/a~0~1b/x~1y", json!(1))], json!({"a~/b": {"x/y": 1}}));
    }

    #[test]
    fn appends_and_removes() {
        both(json!({}), &[append("/a/b", json!(1)), append("/a/b", json!([2]))], json!({"a": {"b": [1, [2]]}}));
        both(json!({"a": null}), &[append("/a", json!(1))], json!({"a": [1]}));
        both(
            json!({"a": [1, 2, 3], "b": 1}),
            &[remove("/a/1"), remove("/b"), replace("/a/1", json!(4))],
            json!({"a": [1, 4]}),
        );
    }

    #[test]
    fn renames() {
        both(
            json!({"a": {"b/c": [1]}, "l": [{"x": 1}]}),
            &[rename("/a/b~1c", "d~e"), rename("/l/0/x", "y"), add("/l/0/x", json!(2))],
            json!({"a": {"d~e": [1]}, "l": [{"x": 2, "y": 1}]}),
        );
    }

    #[test]
    fn one_operation_for_a_new_branch() {
        let patch = to_json_patch(&json!({"spec": {}}), &[add("/spec/a/b", json!(1))]).unwrap();
        assert_eq!(patch.to_string(), r#"[{"op":"add","path":"/spec/a","value":{"b":1}}]"#.to_owned());
    }

    #[test]
    fn what_does_not_fit() {
        let object = json!({"a": 1, "l": [1]});
        for (edit, error) in [
            (add("/a/b", json!(1)), EditError::NotAnObject("/a".into())),
            (add("/l/0", json!(1)), EditError::NotAnObject("/l".into())),
            (add("/l/7/x", json!(1)), EditError::Missing("/l/7".into())),
            (add("", json!(1)), EditError::Pointer("".into())),
            (add("a", json!(1)), EditError::Pointer("a".into())),
            (add("/~2", json!(1)), EditError::Pointer("/~2".into())),
            (append("/a", json!(1)), EditError::NotAnArray("/a".into())),
            (remove("/b"), EditError::Missing("/b".into())),
            (remove("/l/1"), EditError::Missing("/l/1".into())),
            (remove("/l/-"), EditError::Missing("/l/-".into())),
            (rename("/a", "l"), EditError::Exists("/l".into())),
            (rename("/a", "a"), EditError::Exists("/a".into())),
            (rename("/b", "c"), EditError::Missing("/b".into())),
            (rename("/l/0", "c"), EditError::NotAnObject("/l".into())),
            (replace("/l/01", json!(1)), EditError::Missing("/l/01".into())),
        ] {
            assert_eq!(apply(&mut object.clone(), std::slice::from_ref(&edit)), Err(error.clone()), "{edit:?}");
            assert_eq!(to_json_patch(&object, &[edit]), Err(error));
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab~/]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn edits() -> impl Strategy<Value = Edit> {
        let pointers = prop::collection::vec(
            prop_oneof![Just("a"), Just("b"), Just("~0"), Just("~1"), Just("0"), Just("1"), Just("-")],
            1..4,
        )
        .prop_map(|tokens| tokens.iter().map(|token| format!("/{token}")).collect::<String>());
        (pointers, values(), 0..5).prop_map(|(pointer, value, kind)| match kind {
            0 => Edit::Add { pointer, value },
            1 => Edit::Replace { pointer, value },
            2 => Edit::Remove { pointer },
            3 => Edit::Rename { pointer, name: "b".to_owned() },
            _ => Edit::Append { pointer, value },
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_patch_does_what_apply_does(before in values(), edits in prop::collection::vec(edits(), 0..5)) {
            let mut object = before.clone();
            let applied = apply(&mut object, &edits);
            let patch = to_json_patch(&before, &edits);
            prop_assert_eq!(applied.is_ok(), patch.is_ok());
            if let Ok(patch) = patch {
                let mut patched = before.clone();
                json_patch::patch(&mut patched, &patch).unwrap();
                prop_assert_eq!(patched, object);
            }
        }
    }
}
