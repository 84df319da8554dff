//! Compares `from_json` with `serde_json`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod properties;

use plimsoll_flat::json::{self, JsonErrorKind};
use plimsoll_flat::{Kind, MAX_DEPTH, MAX_NODES, Node, Number, to_document, validate};
use serde_json::Value;

fn flat(text: &str) -> Vec<u8> {
    let document = json::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    validate(&document).unwrap_or_else(|error| panic!("{text}: {error}"));
    document
}

fn kind(text: &[u8]) -> JsonErrorKind {
    json::from_json(text).expect_err("refused").kind
}

fn reprint(text: &str) -> String {
    Node::root(&flat(text)).unwrap().to_json()
}

/// The document has the same meaning for `serde_json`, as text and through serde, and equals the document of the value.
/// For values whose numbers `Value` keeps exactly.
fn assert_alike(document: &[u8], value: &Value) {
    let node = Node::root(document).unwrap();
    assert_eq!(&serde_json::from_str::<Value>(&node.to_json()).unwrap(), value);
    assert_eq!(&serde_json::to_value(node).unwrap(), value);
    let written = to_document(value).unwrap();
    assert_eq!(node, Node::root(&written).unwrap());
}

#[test]
fn reads_the_fixtures_as_serde_json_does() {
    for text in [include_str!("../../benches/create.json"), include_str!("../../benches/update.json")] {
        let document = flat(text);
        assert_alike(&document, &serde_json::from_str(text).unwrap());
        assert_eq!(Node::root(&document).unwrap().to_json(), text, "source order is kept");
    }
}

/// Texts on which both must agree, both valid and invalid.
#[test]
fn accepts_and_refuses_what_serde_json_does() {
    let texts = [
        "",
        " ",
        "null",
        " null ",
        "nul",
        "nulll",
        "null null",
        "true",
        "tru",
        "True",
        "false",
        "fals\u{e9}",
        "0",
        "-0",
        "-",
        "+1",
        "01",
        "-01",
        "00",
        "1.",
        ".5",
        "1.e3",
        "1e",
        "1e+",
        "1e-",
        "1E5",
        "1e+05",
        "0e0",
        "-0.0",
        "0.1",
        "1.0",
        "1a",
        "1 2",
        "--1",
        "1.2.3",
        "1e5.5",
        "0x10",
        "NaN",
        "Infinity",
        "-Infinity",
        "1_000",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "18446744073709551615",
        "5e-324",
        "1.7976931348623157e308",
        "\"\"",
        "\"a\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\\"\"",
        "\"\\x\"",
        "\"\\u\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u0041\"",
        "\"\\u+041\"",
        "\"\\ud83d\\ude00\"",
        "\"\\b\\f\\n\\r\\t\\/\\\\\"",
        "\"\n\"",
        "\"\t\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "\"\u{7f}\"",
        "\"\\u0000\"",
        "\"é😀\"",
        "'a'",
        "[]",
        "[ ]",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2]",
        "[[]]",
        "[[]",
        "[}",
        "{}",
        "{ }",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1,\"b\":2}",
        "{\"a\":{\"b\":[]}}",
        "{\"\":0}",
        "{\"a\\u0000b\":0}",
        "[1]x",
        "{}{}",
        "// c\n1",
        "/**/1",
        "\u{feff}1",
        "\u{a0}1",
        "\u{c}1",
        "[1,\n\t\r 2]",
        "\"12345678\"",
        "\"1234567\\n\"",
        "\"123456789012345\"",
        "\"1234567890123456\"",
        "\"12345678901234567\"",
        "\"1234567\u{1}\"",
    ];
    for text in texts {
        match (json::from_json(text.as_bytes()), serde_json::from_str::<Value>(text)) {
            (Ok(document), Ok(value)) => {
                validate(&document).unwrap();
                assert_alike(&document, &value);
            }
            (Err(_), Err(_)) => {}
            (flat, serde) => panic!("{text:?}: {flat:?} against {serde:?}"),
        }
    }
}

#[test]
fn half_a_surrogate_pair_is_the_replacement_character_as_in_go() {
    // Go's `unquote`: a half that the next escape does not complete is replaced, and that escape is read on its own.
    for (text, expected) in [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\udc00""#, "\u{fffd}"),
        (r#""\ud800x""#, "\u{fffd}x"),
        (r#""\ud800\n""#, "\u{fffd}\n"),
        (r#""\ud800\ud800""#, "\u{fffd}\u{fffd}"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\udc00\ud800""#, "\u{fffd}\u{fffd}"),
    ] {
        assert_eq!(Node::root(&flat(text)).unwrap().as_str(), Some(expected), "{text}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}: else no difference to list");
    }
    assert_eq!(kind(br#""\ud800\u12g4""#), JsonErrorKind::InvalidEscape);
    assert_eq!(kind(br#""\ud800\"#), JsonErrorKind::UnexpectedEnd);
}

#[test]
fn numbers_keep_their_decimal_value() {
    for text in [
        "1e400",
        "-1e400",
        "123456789012345678901234567890",
        "18446744073709551616",
        "-9223372036854775809",
        "0.1234567890123456789",
        "1e-400",
        "1e99999999999999999999",
        "3.14159265358979323846",
        "9007199254740993.5",
        "4.9e-324",
        "1.7976931348623159e308",
        "2.4703282292062327e-324",
    ] {
        let document = flat(text);
        assert!(matches!(Node::root(&document).unwrap().number(), Some(Number::Text(kept)) if kept == text), "{text}");
        assert_eq!(reprint(text), text);
    }
    for (text, printed) in [
        ("0.1", "0.1"),
        ("-0", "-0.0"),
        ("-0.0", "-0.0"),
        ("0e9999999999", "0.0"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("100000000000000000000", "1e+20"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1e23", "1e+23"),
        ("0.000001", "1e-6"),
        ("1e000000000000000000000005", "100000.0"),
        ("0.10000000000000000000000000", "0.1"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
    ] {
        assert!(matches!(Node::root(&flat(text)).unwrap().number(), Some(Number::F64(_))), "{text}");
        assert_eq!(reprint(text), printed);
    }
    for (text, printed) in [
        ("0", "0"),
        ("-1", "-1"),
        ("999999999999999999", "999999999999999999"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775807.0", "9223372036854775807"),
        ("9007199254740993.0", "9007199254740993"),
        ("900719925474099.3e1", "9007199254740993"),
    ] {
        assert!(matches!(Node::root(&flat(text)).unwrap().number(), Some(Number::I64(_))), "{text}");
        assert_eq!(reprint(text), printed);
    }
    assert!(matches!(Node::root(&flat("18446744073709551615")).unwrap().number(), Some(Number::U64(u64::MAX))));
    assert!(serde_json::from_str::<Value>("1e400").is_err());
}

#[test]
fn of_two_shortest_texts_a_double_holds_the_even_one() {
    for (text, held) in [
        ("2163868633306481.2", true),
        ("2163868633306481.25", false),
        ("2163868633306481.3", false),
        ("-1608069694420271.2", true),
        ("2163868633306481.8", true),
        ("2163868633306481.7", false),
    ] {
        let document = flat(text);
        let node = Node::root(&document).unwrap();
        assert_eq!(matches!(node.number(), Some(Number::F64(_))), held, "{text}");
        assert_eq!(node.to_json(), text);
    }
}

#[test]
fn numbers_are_equal_by_value() {
    let equal = |one: &str, two: &str| Node::root(&flat(one)).unwrap() == Node::root(&flat(two)).unwrap();
    for (one, two) in [
        ("1", "1.0"),
        ("1e2", "100"),
        ("0", "-0.0"),
        ("1e400", "10e399"),
        ("0.1", "1e-1"),
        ("123456789012345678901234567890", "1.2345678901234567890123456789e29"),
        ("18446744073709551615", "18446744073709551615.0"),
        ("9223372036854775808", "9223372036854775808.0"),
    ] {
        assert!(equal(one, two) && equal(two, one), "{one} {two}");
    }
    for (one, two) in [
        ("1", "2"),
        ("1", "1.5"),
        ("1e400", "1e401"),
        ("1e400", "-1e400"),
        ("9007199254740993", "9007199254740992.0"),
        ("1", "true"),
        ("1e99999999999999999999", "1e99999999999999999998"),
        ("18446744073709551615", "-1"),
        ("1", "\"1\""),
        ("9223372036854775807", "9223372036854775808"),
        ("123456789012345678901234567890", "123456789012345678901234567891"),
    ] {
        assert!(!equal(one, two) && !equal(two, one), "{one} {two}");
    }
}

#[test]
fn integers_are_read_across_forms() {
    let read = |text: &str| {
        let document = flat(text);
        let node = Node::root(&document).unwrap();
        (node.as_i64(), node.as_u64(), node.as_f64())
    };
    assert_eq!(read("3"), (Some(3), Some(3), Some(3.0)));
    assert_eq!(read("-3"), (Some(-3), None, Some(-3.0)));
    assert_eq!(read("3.0"), (Some(3), Some(3), Some(3.0)));
    assert_eq!(read("3.5"), (None, None, Some(3.5)));
    assert_eq!(read("18446744073709551615"), (None, Some(u64::MAX), Some(u64::MAX as f64)));
    // A double with the value 2^63.
    assert_eq!(read("9223372036854776000.0"), (None, Some(1 << 63), Some(9_223_372_036_854_775_808.0)));
    assert_eq!(read("-9.223372036854776e18"), (Some(i64::MIN), None, Some(-9.223372036854776e18)));
    assert_eq!(read("1e400"), (None, None, None));
    assert_eq!(read("1e99999999999999999999"), (None, None, None));
    assert_eq!(read("1e-99999999999999999999"), (None, None, Some(0.0)));
    assert_eq!(read("123456789012345678901234567890").2, Some(123456789012345678901234567890.0));
    assert_eq!(read("\"3\""), (None, None, None));
}

#[test]
fn of_duplicates_the_last_wins() {
    assert_eq!(reprint(r#"{"a":1,"b":2,"a":3}"#), r#"{"b":2,"a":3}"#);
    assert_eq!(reprint(r#"{"a":1,"\u0061":{"a":2,"a":[]}}"#), r#"{"a":{"a":[]}}"#);
    assert_eq!(reprint(r#"{"a":1,"a":2,"a":3}"#), r#"{"a":3}"#);
    // 32 members are the limit between scan and search. Tested on both sides of it, before and after duplicates are
    // removed.
    for distinct in [1, 7, 8, 9, 31, 32, 33, 80] {
        for repeated in [1, 2, 20] {
            let members = (0..distinct + repeated).map(|index| format!(r#""key-{}":{index}"#, index % distinct));
            let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
            let document = flat(&text);
            assert_alike(&document, &serde_json::from_str(&text).unwrap());
            let node = Node::root(&document).unwrap();
            assert_eq!(node.len(), distinct);
            for (key, value) in node.members() {
                assert_eq!(node.get(key), Some(value));
            }
            assert!(node.get("key-x").is_none());
            assert!(node.members().map(|(_, value)| value.as_i64()).is_sorted(), "source order");
        }
    }
}

#[test]
fn depth_is_limited_to_512() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let document = flat(&nested(MAX_DEPTH));
        assert_eq!(Node::root(&document).unwrap().to_json(), nested(MAX_DEPTH));
        assert_eq!(kind(nested(MAX_DEPTH + 1).as_bytes()), JsonErrorKind::TooDeep);
        assert!(serde_json::from_str::<Value>(&nested(128)).is_err(), "serde_json's limit");
        // The depth of omitted values counts from their place.
        let omitted = |depth| json::from_json_omitting(format!(r#"{{"x":{}}}"#, nested(depth)).as_bytes(), &[&["x"]]);
        assert!(omitted(MAX_DEPTH - 1).is_ok());
        assert_eq!(omitted(MAX_DEPTH).unwrap_err().kind, JsonErrorKind::TooDeep);
    }
    assert_eq!(kind("[".repeat(1_000_000).as_bytes()), JsonErrorKind::TooDeep);
}

#[test]
fn nodes_are_limited() {
    let text = |items: usize| format!("[{}]", vec!["0"; items].join(","));
    assert_eq!(Node::root(&flat(&text(MAX_NODES - 1))).unwrap().len(), MAX_NODES - 1);
    assert_eq!(kind(text(MAX_NODES).as_bytes()), JsonErrorKind::TooManyNodes);
}

#[test]
fn errors_say_where_and_what() {
    let error = json::from_json("{\n \"é\": 01}".as_bytes()).unwrap_err();
    assert_eq!((error.offset, error.line, error.column, error.kind), (9, 2, 7, JsonErrorKind::InvalidNumber));
    assert_eq!(error.to_string(), "invalid number at line 2 column 7");
    for (text, expected) in [
        (&b""[..], JsonErrorKind::UnexpectedEnd),
        (b"{\"a\":tr", JsonErrorKind::UnexpectedEnd),
        (b"[1,]", JsonErrorKind::ExpectedValue),
        (b"{\"a\":1,}", JsonErrorKind::ExpectedKey),
        (b"{\"a\",1}", JsonErrorKind::ExpectedColon),
        (b"[1}", JsonErrorKind::ExpectedCommaOrBracket),
        (b"{\"a\":1]", JsonErrorKind::ExpectedCommaOrBrace),
        (b"\"a\nb\"", JsonErrorKind::ControlCharacter),
        (b"\"\\x\"", JsonErrorKind::InvalidEscape),
        (b"1 1", JsonErrorKind::TrailingCharacters),
        (b"\xef\xbb\xbf1", JsonErrorKind::ByteOrderMark),
        (b"\"\xff\"", JsonErrorKind::InvalidUtf8),
        (b"\"\xed\xa0\x80\"", JsonErrorKind::InvalidUtf8),
    ] {
        assert_eq!(kind(text), expected, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn nul_is_a_character_like_others() {
    let document = flat(r#"{"a\u0000b":"c\u0000","a":1}"#);
    let node = Node::root(&document).unwrap();
    assert_eq!(node.get("a\0b").and_then(Node::as_str), Some("c\0"));
    assert_eq!(node.get("a").and_then(Node::as_i64), Some(1));
    assert_eq!(node.kind(), Kind::Object);
}

#[test]
fn omitted_members_leave_their_range() {
    const PATHS: &[&[&str]] = &[&["a", "b"], &["a", "c"], &["d"]];
    for (text, rest, found) in [
        (r#"{"a":{"b":[1,{}],"x":1,"c":null},"d":2}"#, r#"{"a":{"x":1}}"#, [Some("[1,{}]"), Some("null"), Some("2")]),
        (r#"{"a":{"b": 1 }}"#, r#"{"a":{}}"#, [Some("1"), None, None]),
        (r#"{"a":{"x":0,"b":"}"},"z":1}"#, r#"{"a":{"x":0},"z":1}"#, [Some("\"}\""), None, None]),
        (r#"{"a":[{"b":1}],"x":{"a":{"b":1},"d":1}}"#, r#"{"a":[{"b":1}],"x":{"a":{"b":1},"d":1}}"#, [None; 3]),
        (r#"{"a":{"b":1,"b":2}}"#, r#"{"a":{}}"#, [Some("2"), None, None]),
        (r#"{"a":{"b":1},"a":{"c":2}}"#, r#"{"a":{}}"#, [None, Some("2"), None]),
        (r#"{"a":{"b":1},"a":0}"#, r#"{"a":0}"#, [None; 3]),
        (r#"{"a":0,"x":{"b":1}}"#, r#"{"a":0,"x":{"b":1}}"#, [None; 3]),
        (r#"{"\u0061":{"\u0062":1}, "d" : [ ] , "e":1}"#, r#"{"a":{},"e":1}"#, [Some("1"), None, Some("[ ]")]),
        (r#"[{"d":1}]"#, r#"[{"d":1}]"#, [None; 3]),
        ("1", "1", [None; 3]),
    ] {
        let (document, ranges) = json::from_json_omitting(text.as_bytes(), PATHS).unwrap();
        validate(&document).unwrap();
        assert_eq!(Node::root(&document).unwrap().to_json(), rest, "{text}");
        let texts: Vec<_> = ranges.into_iter().map(|range| range.map(|range| &text[range])).collect();
        assert_eq!(texts, found, "{text}");
    }
    // One path ends inside another one. An empty path names nothing.
    let (document, ranges) =
        json::from_json_omitting(br#"{"a":{"b":1}}"#, &[&["a", "b"], &["a"], &[], &["a"]]).unwrap();
    assert_eq!(Node::root(&document).unwrap().to_json(), "{}");
    assert_eq!(ranges, [None, Some(5..12), None, Some(5..12)]);
    for bad in [
        r#"{"d":[1,]}"#,
        r#"{"d":01}"#,
        r#"{"d":"\x"}"#,
        r#"{"d":}"#,
        r#"{"d":1"#,
        r#"{"d":1 "e":2}"#,
        r#"{"d":1,}"#,
        r#"{"d":"#,
        "{\"d\":\"\u{1}\"}",
    ] {
        let omitting = json::from_json_omitting(bad.as_bytes(), PATHS).unwrap_err();
        assert_eq!(omitting, json::from_json(bad.as_bytes()).unwrap_err(), "the same fault is found");
    }
}
