use serde_json::{Value, json};

use super::{Document, read};

fn one(text: &str) -> Document {
    let mut documents = read(text);
    assert_eq!(documents.len(), 1, "{text:?}: {documents:?}");
    documents.pop().unwrap().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[track_caller]
fn is(text: &str, expected: Value) {
    assert_eq!(*one(text).value(), expected, "{text:?}");
}

/// The key and the value at a pointer, as text.
fn at<'a>(text: &'a str, document: &Document, pointer: &str) -> (&'a str, &'a str) {
    let place = document.locate(pointer).unwrap_or_else(|| panic!("{pointer} is nowhere"));
    (place.key.map_or("", |key| &text[key.start..key.end]), &text[place.value.start..place.value.end])
}

#[test]
fn values() {
    is(
        "a: 010\nb: [no, 'no', ~, 1_000]\n? c\n: d\n1: x\nyes: y\n",
        json!({"a": 8, "b": [false, "no", null, 1000], "c": "d", "1": "x", "true": true}),
    );
}

#[test]
fn merges_count_where_they_stand() {
    let text = "base: &b {x: 1, w: 2}\nother: &o {x: 5, z: 6}\na:\n  x: 9\n  <<: *b\nb:\n  <<: [*b, *o]\n  w: 7\n";
    is(
        text,
        json!({"base": {"x": 1, "w": 2}, "other": {"x": 5, "z": 6}, "a": {"x": 1, "w": 2}, "b": {"x": 1, "w": 7, "z": 6}}),
    );
    let document = one(text);
    assert_eq!(at(text, &document, "/a/x"), ("x", "1"));
    assert_eq!(document.locate("/a/x").unwrap().value.line, 1);
    assert_eq!(document.locate("/b/z").unwrap().value.line, 2);
}

#[test]
fn aliases_are_followed() {
    let text = "a: &x\n  k: v\nb: *x\nc: [*x]\n";
    let document = one(text);
    assert_eq!(*document.value(), json!({"a": {"k": "v"}, "b": {"k": "v"}, "c": [{"k": "v"}]}));
    assert_eq!(at(text, &document, "/b/k"), ("k", "v"));
    assert_eq!(document.locate("/c/0/k").unwrap().value.line, 2);
    assert_eq!(at(text, &document, "/b"), ("b", "*x"));
}

#[test]
fn spans() {
    let text = "# head\na:   # why\n  b: &x !!str |-\n    text # no comment\n\n  # c\nd: é\ne:\n- x: 1   # cc\n  w:\n- {a: b, c}\n-\n- - 1\n  - 2 \nf: \"q # x\"\ng: [ 1, [] ]\nk: >  # none\n\n\nl: multi\n  line # c\n";
    let document = one(text);
    for (pointer, key, value) in [
        ("/a", "a", "b: &x !!str |-\n    text # no comment"),
        ("/a/b", "b", "|-\n    text # no comment"),
        ("/d", "d", "é"),
        ("/e", "e", "- x: 1   # cc\n  w:\n- {a: b, c}\n-\n- - 1\n  - 2"),
        ("/e/0", "", "x: 1   # cc\n  w:"),
        ("/e/0/w", "w", ""),
        ("/e/1", "", "{a: b, c}"),
        ("/e/1/c", "c", ""),
        ("/e/2", "", ""),
        ("/e/3", "", "- 1\n  - 2"),
        ("/f", "f", "\"q # x\""),
        ("/g", "g", "[ 1, [] ]"),
        ("/g/1", "", "[]"),
        ("/k", "k", ">"),
        ("/l", "l", "multi\n  line"),
    ] {
        assert_eq!(at(text, &document, pointer), (key, value), "{pointer}");
    }
    let place = document.locate("/d").unwrap();
    assert_eq!((place.value.line, place.value.column, place.value.end_line, place.value.end_column), (7, 4, 7, 5));
    let comments: Vec<_> =
        document.comments().iter().map(|comment| (comment.line, &text[comment.range.clone()])).collect();
    assert_eq!(comments, [(1, "# head"), (2, "# why"), (6, "# c"), (9, "# cc"), (17, "# none"), (21, "# c")]);
    assert_eq!(document.line(), 2);
}

#[test]
fn the_nearest_ancestor() {
    let text = "spec:\n  list:\n  - a~/b: 1\n";
    let document = one(text);
    let nearest = |pointer: &str| document.locate_nearest(pointer).1;
    assert_eq!(nearest("/spec/list/0/a~0~1b"), "/spec/list/0/a~0~1b");
    assert_eq!(nearest("/spec/list/0/none/x"), "/spec/list/0");
    assert_eq!(nearest("/spec/list/00"), "/spec/list");
    assert_eq!(nearest("/spec/list/-"), "/spec/list");
    assert_eq!(nearest("/none"), "");
    assert_eq!(nearest("none"), "");
    assert_eq!(document.locate("none"), None);
    assert_eq!(document.locate("").unwrap().value.start, 0);
}

#[test]
fn one_broken_document_hides_no_other() {
    let documents = read("a: 1\n---\nb: [1\n---\n# only a comment\n---\nc: 3\n--- x\n");
    let lines: Vec<_> =
        documents.iter().map(|result| result.as_ref().map(Document::line).map_err(|error| error.line)).collect();
    assert_eq!(lines, [Ok(1), Err(4), Ok(7), Err(8)]);
    assert_eq!(documents[3].as_ref().unwrap_err().column, 5);
}

#[test]
fn line_ends_and_byte_order_marks() {
    let text = "\u{feff}---\r\na: |\r\n  x\r\n  y\r\nb: 2 # c\r\n...\r\n---\r\nc: 3\r\n";
    let documents: Vec<_> = read(text).into_iter().map(Result::unwrap).collect();
    assert_eq!(*documents[0].value(), json!({"a": "x\ny\n", "b": 2}));
    assert_eq!(*documents[1].value(), json!({"c": 3}));
    assert_eq!(at(text, &documents[0], "/a"), ("a", "|\r\n  x\r\n  y"));
    assert_eq!(&text[documents[0].comments()[0].range.clone()], "# c");
    assert_eq!(documents[1].locate("/c").unwrap().value.line, 8);
}

#[test]
fn what_follows_the_end_of_a_document_does_not_count() {
    is("a: 1\n...\nb: 2\n# x\n", json!({"a": 1}));
    assert_eq!(one("a: 1\n...\n# x\n").comments(), []);
}

#[test]
fn json_is_read_as_json() {
    let text = "{\n\t\"a\": 1.0, \"b\": \"\\ud83d\\ude00\",\n\t\"a\": [1e3, -0, true, null]}\n{\"c\": {}}";
    let documents: Vec<_> = read(text).into_iter().map(Result::unwrap).collect();
    assert_eq!(*documents[0].value(), json!({"a": [1000, 0, true, null], "b": "😀"}));
    assert_eq!(at(text, &documents[0], "/a/0"), ("", "1e3"));
    assert_eq!(documents[0].locate("/a").unwrap().key.unwrap().line, 3);
    assert_eq!(*documents[1].value(), json!({"c": {}}));
    is("{a: 1, 'b': [x, z,],}", json!({"a": 1, "b": ["x", "z"]}));
}

#[test]
fn blanks_that_only_go_yaml_takes() {
    is("a:\tb\nc:\t\t'd' # \t\n", json!({"a": "b", "c": "d"}));
    is("s:\n  f: [\n  1,\n  # two\n2\n]\n  g: {\n}\nh: é\n", json!({"s": {"f": [1, 2], "g": {}}, "h": "é"}));
    for tab in
        ["a:\n\tb: 1\n", "a: 'b'\n\t\nc: 1\n", "-\ta\n", "\ta: 1\n", "a: 1\n\t# c\n", "a: |\n  x\n\t\n", "a: |\n \tx\n"]
    {
        assert!(read(tab)[0].is_err(), "{tab:?}");
    }
    is("a: 1\n \t\nb: 2\n", json!({"a": 1, "b": 2}));
}

#[test]
fn quoted_strings_end_at_their_quote() {
    let text = "a: 'x''' # c\nb: \"\\\"\" # d\nc: ['e' , \"f\" ]\n";
    let document = one(text);
    assert_eq!(at(text, &document, "/a"), ("a", "'x'''"));
    assert_eq!(at(text, &document, "/b"), ("b", "\"\\\"\""));
    assert_eq!(at(text, &document, "/c/1"), ("", "\"f\""));
    assert_eq!(document.comments().len(), 2);
}

#[test]
fn templates_are_named_as_such() {
    for text in ["a: {{ .x }}\n", "{{- if .x }}\na: 1\n{{- end }}\n"] {
        assert!(read(text)[0].as_ref().unwrap_err().message.contains("template"), "{text}");
    }
}

#[test]
fn bombs_are_refused() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, name) in ('a'..='y').zip('b'..='z') {
        text += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", "));
    }
    assert!(read(&text)[0].as_ref().unwrap_err().message.contains("aliasing"));
    for deep in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        "- ".repeat(100_000),
        "? ".repeat(10_000),
        "a: {".repeat(10_000),
    ] {
        assert!(read(&deep)[0].is_err());
    }
    assert!(read("a: &x [*x]\n")[0].as_ref().unwrap_err().message.contains("inside the value of its own anchor"));
}

#[test]
fn a_document_does_not_begin_below_a_carriage_return() {
    for text in ["a: 1\r---\rb: 2\n", "---\n\r--- x\n", "a: 1\r...\n"] {
        let error = read(text)[0].as_ref().unwrap_err().clone();
        assert!(error.message.contains("no line break for kubectl"), "{text:?}: {error}");
    }
    is("a: 1\r\nb: 2\r\n", json!({"a": 1, "b": 2}));
}

/// A carriage return also ends a comment, so the brackets below the comment are not part of it.
#[test]
fn a_comment_ends_at_a_carriage_return() {
    let text = "a:\r\n#V. {~a\r{\r[b: c]?\r?{~aa c\n";
    let error = read(text)[0].as_ref().unwrap_err().clone();
    assert!(!error.message.contains("report"), "{error}");
    is("a: { #x\r b: 1}\n", json!({"a": {"b": 1}}));
}

/// go-yaml ignores indentation inside quotes.
#[test]
fn quoted_lines_need_no_indentation() {
    let text = "a:\n  b: 'x  \n\n z'\n  c: \"é\n ü\" # c\n  d: \"\\x02\\x01\"\n";
    is(text, json!({"a": {"b": "x\nz", "c": "é ü", "d": "\u{2}\u{1}"}}));
    assert_eq!(at(text, &one(text), "/a/c"), ("c", "\"é\n ü\""));
    is("a:\r\n  b: ['x\r\n', \"\r\n z\"]\r\n", json!({"a": {"b": ["x ", " z"]}}));
    for text in ["a:\n  b: 'x\n z': c\n", "a:\n  b: \"\\x01\n z\"\n", "a:\n  b: 'x\n--- z'\n", "a:\n  b: 'x\n z\n"] {
        assert!(read(text)[0].is_err(), "{text:?}");
    }
}

/// kubectl would send a member with the name `\u{feff}a`, so this is rejected.
#[test]
fn a_byte_order_mark_begins_only_the_first_line() {
    for text in ["# c\n\u{feff}a: 1\n", "---\n\u{feff}a: 1\n", "a: 1\n\u{feff}b: 2\n", "# c\n  \u{feff}a: 1\n"] {
        let error = read(text)[0].as_ref().unwrap_err().clone();
        assert!(error.message.contains("byte order mark"), "{text:?}: {error}");
        assert_eq!(error.line, 2);
    }
    let twice = read("a: 1\n---\n\u{feff}\u{feff}b: 2\n");
    assert!(twice[1].as_ref().unwrap_err().message.contains("byte order mark"));
    is("\u{feff}# c\na: 1\n", json!({"a": 1}));
    is("a: 'x\u{feff}'\n", json!({"a": "x\u{feff}"}));
}

#[test]
fn a_block_scalar_without_content_is_its_header() {
    for header in ["|", ">", "|+", ">2-"] {
        let text = format!("a: 1\nb: {header}");
        assert_eq!(at(&text, &one(&text), "/b"), ("b", header));
    }
}

#[test]
fn brackets_that_do_not_match() {
    for text in ["{a: [1, b: c}], d: e}\n", "[a: b}]\n", "{a: [1, [b: c}, \"d\":[1, {b: c}], \"d\": e, [g: h]0 ? j ]\n"]
    {
        let error = read(text)[0].as_ref().unwrap_err().clone();
        assert!(error.message.contains("bracket"), "{text:?}: {error}");
    }
}

#[test]
fn names_of_anchors_as_in_go_yaml() {
    is(
        "a: &x-Y_1 [1]\nb: *x-Y_1\nc: [&z !!str 1, *z]\n? &k d\n: 1\n",
        json!({"a": [1], "b": [1], "c": ["1", "1"], "d": 1}),
    );
    for text in ["a: &x[1]\n", "&k[:", "a: &x.y 1\n", "a: &é 1\n", "a: &x 1\nb: *x.\n"] {
        let error = read(text)[0].as_ref().unwrap_err().clone();
        assert!(error.message.contains("anchor"), "{text:?}: {error}");
    }
    for text in ["[!!binar[!y [1]]]\n", "a: !x{b: 1}\n"] {
        let error = read(text)[0].as_ref().unwrap_err().clone();
        assert!(error.message.contains("tag"), "{text:?}: {error}");
    }
}
