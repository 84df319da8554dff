use serde_json::json;

use super::{Reason, apply};
use crate::model::Edit;
use crate::model::edit::tests::{add, append, remove, rename, replace};
use crate::yaml::read;

#[track_caller]
fn becomes(before: &str, edits: &[Edit], after: &str) {
    let spliced = apply(before, &[(0, edits.to_vec())]);
    assert_eq!(spliced.refused, [], "{before}");
    assert_eq!(spliced.text, after);
    // The changes alone give the same text.
    let mut text = before.to_owned();
    for change in spliced.changes.iter().rev() {
        text.replace_range(change.range.clone(), &change.replacement);
    }
    assert_eq!(text, after);
}

#[track_caller]
fn refused(before: &str, edit: Edit, reason: Reason) {
    let spliced = apply(before, &[(0, vec![edit])]);
    assert_eq!(spliced.text, before);
    assert_eq!(spliced.refused.first().map(|refusal| &refusal.reason), Some(&reason), "{before}");
}

#[test]
fn adds_a_key_behind_its_siblings() {
    becomes(
        "spec:\n  a: 1   # one\n  # of what comes next\n\nother: 2\n",
        &[add("/spec/b", json!({"c": "x", "l": [1, {"m": 2}]}))],
        "spec:\n  a: 1   # one\n  b:\n    c: x\n    l:\n    - 1\n    - m: 2\n  # of what comes next\n\nother: 2\n",
    );
    becomes(
        "a:\n    b:\n        c: 1",
        &[add("/a/b/d", json!({"e": "no"})), add("/x", json!("1"))],
        "a:\n    b:\n        c: 1\n        d:\n            e: \"no\"\nx: \"1\"",
    );
    becomes(
        "l:\n  - name: a\n    image: b\n  - name: c\n",
        &[add("/l/0/args", json!(["x"]))],
        "l:\n  - name: a\n    image: b\n    args:\n      - x\n  - name: c\n",
    );
}

#[test]
fn adds_to_what_is_empty() {
    becomes(
        "a:\n  r: {}  # todo\n  b: 1\n",
        &[add("/a/r/limits/cpu", json!("1"))],
        "a:\n  r:  # todo\n    limits:\n      cpu: \"1\"\n  b: 1\n",
    );
    becomes("a:\n  r:\n  # next\n  b: 1\n", &[add("/a/r/x", json!(1))], "a:\n  r:\n    x: 1\n  # next\n  b: 1\n");
    becomes("a: null\n", &[append("/a", json!({"x": 1, "z": 2}))], "a:\n- x: 1\n  z: 2\n");
    becomes("a: []\nl:\n  - x\n", &[append("/a", json!("b"))], "a:\n  - b\nl:\n  - x\n");
    becomes(
        "a:\n- {}\n-\n",
        &[add("/a/0/x", json!({"v": 2})), add("/a/1/x", json!(1))],
        "a:\n- x:\n    v: 2\n- x: 1\n",
    );
    becomes("a:\nb: 1\n", &[replace("/a", json!("x"))], "a: x\nb: 1\n");
}

#[test]
fn appends_in_the_style_of_the_list() {
    becomes(
        "a:\n- x # c\n# next\nb: 1\n",
        &[append("/a", json!({"k": 1, "l": [1]}))],
        "a:\n- x # c\n- k: 1\n  l:\n  - 1\n# next\nb: 1\n",
    );
    becomes(
        "a:\n  - x\n  - y\n",
        &[append("/a", json!("0"))],
        "a:\n  - x\n  - \"y\"\n".replace("\"y\"", "y").replace("- y\n", "- y\n  - \"0\"\n").as_str(),
    );
    becomes("a: [1, 2]\n", &[append("/a", json!("b,c"))], "a: [1, 2, \"b,c\"]\n");
    becomes(
        "a: [ b ]\nm: { c: 1, }\n",
        &[append("/a", json!(1)), add("/m/d", json!({"e": []}))],
        "a: [ b, 1 ]\nm: { c: 1, d: {e: []} }\n",
    );
}

#[test]
fn replaces_in_the_style_of_the_value() {
    becomes(
        "a: 'x' # c\nb: \"z\"\nc: 1\nd: plain text\ne: \"5\"\n",
        &[
            replace("/a", json!("it's")),
            replace("/b", json!("q\"")),
            replace("/c", json!("2")),
            replace("/d", json!("other")),
            replace("/e", json!(6)),
        ],
        "a: 'it''s' # c\nb: \"q\\\"\"\nc: \"2\"\nd: other\ne: 6\n",
    );
    becomes("a:\n  b: 1\nc: 2\n", &[replace("/a", json!("x"))], "a: x\nc: 2\n");
    becomes("a: |\n  x\n  z\nc: 2\n", &[replace("/a", json!("x"))], "a: x\nc: 2\n");
    becomes(
        "a:\n- 1\n- b: 2\nc: 2\n",
        &[replace("/a/1", json!([1, 2])), replace("/a/0", json!({"k": "v", "l": 1}))],
        "a:\n- k: v\n  l: 1\n- - 1\n  - 2\nc: 2\n",
    );
    becomes("a: x # why\n", &[replace("/a", json!({"b": 1}))], "a: # why\n  b: 1\n");
    becomes("a: x\n", &[replace("/a", json!("l1\nl2\n"))], "a: |\n  l1\n  l2\n");
    becomes(
        "a: {b: c, d: 'e'}\n",
        &[replace("/a/b", json!([1])), replace("/a/d", json!("f"))],
        "a: {b: [1], d: 'f'}\n",
    );
}

#[test]
fn removes_an_entry_with_its_own_comment() {
    becomes("a: 1\n# about b\nb: 2 # own\n# about c\nc: 3\n", &[remove("/b")], "a: 1\n# about b\n# about c\nc: 3\n");
    becomes("a:\n- x: 1\n  z: 2\n- 3\n", &[remove("/a/0/x"), remove("/a/1")], "a:\n- z: 2\n");
    becomes("a:\n  b:\n    - 1\nc: 1\n", &[remove("/a/b/0")], "a:\n  b: []\nc: 1\n");
    becomes("a:\n  b:\n    d: 1\nc: 1\n", &[remove("/a/b")], "a: {}\nc: 1\n");
    becomes("a: {b: 1, c: 2, d: 3}\ne: [1]\n", &[remove("/a/b"), remove("/a/d"), remove("/e/0")], "a: {c: 2}\ne: []\n");
    becomes("a: 1\r\nb:\r\n  - 1", &[remove("/b")], "a: 1");
}

#[test]
fn keeps_line_ends() {
    becomes("a:\r\n  b: 1\r\n", &[add("/a/c", json!({"d": 1}))], "a:\r\n  b: 1\r\n  c:\r\n    d: 1\r\n");
    becomes("\u{feff}a: 1", &[add("/b", json!(2))], "\u{feff}a: 1\nb: 2");
    becomes("a:\t1  \nb: 'é'\t# tab\n", &[replace("/b", json!("ü"))], "a:\t1  \nb: 'ü'\t# tab\n");
}

#[test]
fn block_scalars_keep_their_blank_lines() {
    becomes("a: |+\n  x\n\n\nb: 1\n", &[add("/c", json!(1))], "a: |+\n  x\n\n\nb: 1\nc: 1\n");
    becomes("m:\n  a: |+\n    x\n\n\nb: 1\n", &[add("/m/c", json!(1))], "m:\n  a: |+\n    x\n\n\n  c: 1\nb: 1\n");
    becomes("a: |+\n  x\n\n", &[add("/c", json!(1))], "a: |+\n  x\n\nc: 1\n");
    becomes("a: |\n  x\n\nb: 1\n", &[remove("/b")], "a: |\n  x\n\n");
}

#[test]
fn edits_json() {
    becomes(
        "{\"a\": 1}",
        &[add("/b", json!({"c": [1]})), replace("/a", json!("x"))],
        "{\"a\": \"x\", \"b\": {\"c\":[1]}}",
    );
    becomes(
        "{\n    \"a\": {\n        \"b\": 1\n    },\n    \"l\": []\n}\n",
        &[add("/a/c", json!({"d": 1})), append("/l", json!("x")), remove("/a/b")],
        "{\n    \"a\": {\n        \"c\": {\n            \"d\": 1\n        }\n    },\n    \"l\": [\n        \"x\"\n    ]\n}\n",
    );
}

#[test]
fn other_documents_stay() {
    let text = "# head\n---\na: 1\n--- # two\nb: [\n---\n---\nc: 3\n# end\n...\n";
    let documents = read(text);
    assert_eq!(documents.len(), 3);
    let spliced = apply(
        text,
        &[(2, vec![add("/d", json!(4))]), (1, vec![add("/d", json!(4))]), (0, vec![remove("/none")]), (9, vec![])],
    );
    assert_eq!(spliced.text, "# head\n---\na: 1\n--- # two\nb: [\n---\n---\nc: 3\nd: 4\n# end\n...\n");
    assert_eq!(spliced.refused.iter().map(|refusal| refusal.document).collect::<Vec<_>>(), [1, 0, 9]);
    assert_eq!(spliced.changes.len(), 1);
    assert_eq!(spliced.changes[0].replacement, "d: 4\n");
}

#[test]
fn refusals() {
    refused("a: &x\n  b: 1\nc: *x\n", add("/a/d", json!(1)), Reason::Anchor("/a".into()));
    refused("a: &x\n  b: 1\nc: *x\n", add("/c/d", json!(1)), Reason::Anchor("/c".into()));
    refused("a: &x\n  b: {}\nc:\n  <<: *x\n", add("/c/b/d", json!(1)), Reason::Anchor("/c/b".into()));
    refused("a: !!str 1\n", replace("/a", json!("2")), Reason::Tag("/a".into()));
    refused("a: [\n  1\n  ]\n", append("/a", json!(2)), Reason::MultilineFlow("/a".into()));
    refused("a: {b: [1], c: {\n  d: 1 }}\n", remove("/a/b"), Reason::MultilineFlow("/a/b".into()));
    refused("a: x{{ .Values.x }}\n", add("/b", json!(1)), Reason::Template);
    refused("a:\n  # why\n  b: 1\n", replace("/a", json!(1)), Reason::Comment("/a".into()));
    refused("a:\n- b: 1\n  # c\n  c: 1\n", remove("/a/0/b"), Reason::Comment("/a/0/b".into()));
}

#[test]
fn finds_names_that_a_pointer_escapes() {
    becomes("a: 1\n\"~\": 2\nb/c: 3\n", &[remove("/~0"), replace("/b~1c", json!(4))], "a: 1\nb/c: 4\n");
}

#[test]
fn renames_only_the_key() {
    becomes(
        "a:  # one\n  b: {c: 1, \"d\": 2}\n  'l':\n  - x: |\n      y\n",
        &[rename("/a/b/c", "e"), rename("/a/b/d", "f"), rename("/a/l/0/x", "z"), rename("/a/l", "it's")],
        "a:  # one\n  b: {e: 1, \"f\": 2}\n  'it''s':\n  - z: |\n      y\n",
    );
    becomes("{\"a\": [{\"b\": 1}]}\n", &[rename("/a/0/b", "c")], "{\"a\": [{\"c\": 1}]}\n");
    becomes("a: 1\nb: 2\n", &[rename("/a", "yes"), remove("/b")], "\"yes\": 1\n");
    refused("? a\n: 1\n", rename("/a", "b"), Reason::Layout("/a".into()));
    refused("l:\n- 1\n", rename("/l/0", "b"), Reason::Edit(crate::model::edit::EditError::NotAnObject("/l".into())));
    refused("a: 1\nb: 2\n", rename("/a", "b"), Reason::Edit(crate::model::edit::EditError::Exists("/b".into())));
}
