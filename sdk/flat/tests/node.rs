//! Positions, pointers, copies, and the writer.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use plimsoll_flat::{Error, MAX_DEPTH, MAX_NODES, Node, Writer, json, to_document, validate};

fn flat(text: &str) -> Vec<u8> {
    json::from_json(text.as_bytes()).unwrap()
}

fn written(write: impl FnOnce(&mut Writer)) -> Result<String, Error> {
    let mut writer = Writer::new();
    write(&mut writer);
    let document = writer.finish()?;
    assert_eq!(validate(&document), Ok(()));
    Ok(Node::root(&document).unwrap().to_json())
}

/// Checks the common properties of every node below `node`.
fn check(document: &[u8], node: Node<'_>, pointer: &str) {
    assert_eq!(node.pointer(), pointer);
    let root = Node::root(document).unwrap();
    let found = root.at(pointer).expect("a pointer that leads to a node");
    assert_eq!(found.position(), node.position());
    let own = node.to_document();
    assert_eq!(validate(&own), Ok(()));
    assert_eq!(Node::root(&own).unwrap(), node);
    assert_eq!(Node::root(&own).unwrap().to_json(), node.to_json());
    for (index, item) in node.items().enumerate() {
        assert_eq!(node.item(index).map(Node::position), Some(item.position()));
        check(document, item, &format!("{pointer}/{index}"));
    }
    for (key, value) in node.members() {
        assert_eq!(node.get(key).map(Node::position), Some(value.position()));
        check(document, value, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")));
    }
}

#[test]
fn every_node_knows_its_pointer() {
    let many = (0..40).map(|index| format!(r#""key{index}":[{index}]"#)).collect::<Vec<_>>().join(",");
    for text in [
        "1",
        r#"{"a":{"a":1,"a":{"b":2}},"":{"":0},"a/b~c~1":[[],[{}],"x"],"é\u0000":null}"#,
        &format!("{{{many}}}"),
        include_str!("../benches/create.json"),
        include_str!("../benches/update.json"),
    ] {
        let document = flat(text);
        check(&document, Node::root(&document).unwrap(), "");
    }
}

#[test]
fn pointers_follow_rfc_6901() {
    // The example of the RFC.
    let document =
        flat(r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8,"0":9}"#);
    let root = Node::root(&document).unwrap();
    for (pointer, expected) in [
        ("/foo", r#"["bar","baz"]"#),
        ("/foo/0", "\"bar\""),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
        ("/0", "9"),
    ] {
        assert_eq!(root.at(pointer).map(Node::to_json).as_deref(), Some(expected), "{pointer}");
    }
    for pointer in [
        "foo",
        "/foo/2",
        "/foo/-",
        "/foo/00",
        "/foo/01",
        "/foo/+1",
        "/foo/",
        "/foo/0/0",
        "/m~n",
        "/m~2n",
        "/a~",
        "/x",
        "/foo/99999999999999999999",
    ] {
        assert!(root.at(pointer).is_none(), "{pointer}");
    }
    assert_eq!(root.at("/foo").and_then(|foo| foo.at("/1")).and_then(Node::as_str), Some("baz"));
}

#[test]
fn objects_are_equal_in_any_order() {
    let equal = |one: &str, two: &str| Node::root(&flat(one)).unwrap() == Node::root(&flat(two)).unwrap();
    assert!(equal(r#"{"a":1,"b":[2,{"c":3}]}"#, r#"{"b":[2.0,{"c":3}],"a":1e0}"#));
    assert!(equal(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
    assert!(!equal(r#"{"a":1}"#, r#"{"b":1}"#));
    assert!(!equal(r#"{"a":1}"#, r#"{"a":1,"b":1}"#));
    assert!(!equal("[1,2]", "[2,1]"));
    assert!(!equal("[]", "{}"));
    assert!(!equal("null", "false"));
    assert!(!equal("true", "false"));
    assert_eq!(format!("{:?}", Node::root(&flat(r#"{"a":"b\n"}"#)).unwrap()), r#"{"a":"b\n"}"#);
}

#[test]
fn the_writer_writes_every_kind() {
    let inner = flat(r#"{"x":[1,{"y":1e400}]}"#);
    let json = written(|writer| {
        writer.begin_object();
        writer.key("all");
        writer.begin_array();
        writer.null();
        writer.bool(true);
        writer.i64(-1);
        writer.u64(7);
        writer.u64(u64::MAX);
        writer.f64(0.1);
        writer.number_text("1e400");
        writer.number_text("12");
        writer.string("\u{1}\"\\\u{8}\u{c}\n\r\té");
        writer.node(Node::root(&inner).unwrap());
        writer.node(Node::root(&inner).unwrap().at("/x/0").unwrap());
        writer.end();
        writer.key("empty");
        writer.begin_object();
        writer.end();
        writer.end();
    });
    let expected = "{\"all\":[null,true,-1,7,18446744073709551615,0.1,1e400,12,\
        \"\\u0001\\\"\\\\\\b\\f\\n\\r\\té\",{\"x\":[1,{\"y\":1e400}]},1],\"empty\":{}}";
    assert_eq!(json.as_deref(), Ok(expected));
}

#[test]
fn the_writer_writes_what_the_parser_writes() {
    for text in [include_str!("../benches/update.json"), r#"{"a":1,"b":2,"a":3}"#] {
        let document = flat(text);
        let mut writer = Writer::with_capacity(document.len());
        copy(Node::root(&document).unwrap(), &mut writer);
        let copied = writer.finish().unwrap();
        assert_eq!(Node::root(&copied).unwrap(), Node::root(&document).unwrap());
        if !text.starts_with("{\"a\":1") {
            assert_eq!(copied, document, "to the byte, where there were no duplicates");
        }
    }
}

fn copy(node: Node<'_>, writer: &mut Writer) {
    use plimsoll_flat::Kind;
    match node.kind() {
        Kind::Array => {
            writer.begin_array();
            node.items().for_each(|item| copy(item, writer));
            writer.end();
        }
        Kind::Object => {
            writer.begin_object();
            for (key, value) in node.members() {
                writer.key(key);
                copy(value, writer);
            }
            writer.end();
        }
        _ => writer.node(node),
    }
}

#[test]
fn the_writer_lets_the_last_key_win() {
    let json = written(|writer| {
        writer.begin_object();
        for index in 0..100 {
            writer.key(["a", "b", "c"][index % 3]);
            writer.u64(index as u64);
        }
        writer.end();
    });
    assert_eq!(json.as_deref(), Ok(r#"{"b":97,"c":98,"a":99}"#));
}

#[test]
fn misuse_is_an_error_of_finish() {
    type Write = fn(&mut Writer);
    let misuses: [Write; 12] = [
        |_| {},
        |writer| writer.end(),
        |writer| writer.key("a"),
        |writer| writer.begin_array(),
        |writer| {
            writer.null();
            writer.null();
        },
        |writer| {
            writer.begin_object();
            writer.null();
            writer.end();
        },
        |writer| {
            writer.begin_object();
            writer.begin_array();
            writer.end();
            writer.end();
        },
        |writer| {
            writer.begin_object();
            writer.key("a");
            writer.end();
        },
        |writer| {
            writer.begin_object();
            writer.key("a");
            writer.key("b");
        },
        |writer| {
            writer.begin_array();
            writer.key("a");
        },
        |writer| {
            writer.begin_array();
            writer.end();
            writer.end();
        },
        |writer| {
            writer.null();
            writer.begin_object();
            writer.end();
        },
    ];
    for (index, misuse) in misuses.into_iter().enumerate() {
        assert!(matches!(written(misuse), Err(Error::Misuse(_))), "misuse {index}");
    }
    assert_eq!(written(|writer| writer.f64(f64::NAN)), Err(Error::NotFinite));
    for text in ["", "-", "01", "1.", "1e", "+1", " 1", "1 ", "NaN", "1e5x", "--1", ".5", "0x1"] {
        assert_eq!(written(|writer| writer.number_text(text)), Err(Error::NotANumber), "{text}");
    }
}

#[test]
fn the_writer_keeps_the_limits() {
    let nested = |depth: usize| {
        written(|writer| {
            (0..depth).for_each(|_| writer.begin_array());
            (0..depth).for_each(|_| writer.end());
        })
    };
    assert!(nested(MAX_DEPTH).is_ok());
    assert_eq!(nested(MAX_DEPTH + 1), Err(Error::TooDeep));

    let many = |count: usize| {
        written(|writer| {
            writer.begin_array();
            (0..count).for_each(|_| writer.null());
            writer.end();
        })
    };
    assert!(many(MAX_NODES - 1).is_ok());
    assert_eq!(many(MAX_NODES), Err(Error::TooManyNodes));

    // Copied nodes count too.
    let deep = flat(&format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)));
    let wide = flat(&format!("[{}0]", "0,".repeat(MAX_NODES / 2)));
    let inside = |document: &[u8], times: usize| {
        written(|writer| {
            writer.begin_array();
            (0..times).for_each(|_| writer.node(Node::root(document).unwrap()));
            writer.end();
        })
        .map(|_| ())
    };
    assert_eq!(inside(&deep, 1), Err(Error::TooDeep));
    assert_eq!(inside(&wide, 1), Ok(()));
    assert_eq!(inside(&wide, 2), Err(Error::TooManyNodes));
    assert!(to_document(&Node::root(&deep).unwrap()).is_ok());
}

#[test]
fn a_document_is_at_most_moderately_larger_than_its_text() {
    for (text, factor) in [(include_str!("../benches/create.json"), 1.6), (include_str!("../benches/update.json"), 1.6)]
    {
        assert!((flat(text).len() as f64) < text.len() as f64 * factor);
    }
}

/// The example in `docs/flat-encoding.md`.
#[test]
fn the_bytes_are_as_documented() {
    let expected = [
        &[1_u8, 9, 0, 0, 0, 0][..],
        &[1, 0, 0, 0, b'a', 8, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 2],
        &[5, 0, 0, 0, 14, 0, 0, 0, 2, 0, 0, 0],
        &[0x54, 5, 0, 0, 0, 1, 0, 0, 0],
    ];
    let mut expected = expected.concat();
    expected[2] = 0x2e;
    expected[12] = 0x1b;
    assert_eq!(flat(r#"{"a":[1,true]}"#), expected);
}

/// There are 256 marks and thousands of keys, so many keys share a mark.
#[test]
fn keys_of_one_mark_are_told_apart() {
    let keys: Vec<String> = (0..3000).map(|number| "k".repeat(number % 13) + &number.to_string()).collect();
    for keys in keys.chunks(33) {
        let (absent, present) = keys.split_first().unwrap();
        let members: Vec<String> = present.iter().enumerate().map(|(at, key)| format!("{key:?}:{at}")).collect();
        let document = flat(&format!("{{{}}}", members.join(",")));
        let root = Node::root(&document).unwrap();
        for (at, key) in present.iter().enumerate() {
            assert_eq!(root.get(key).and_then(Node::as_u64), Some(at as u64), "{key}");
        }
        assert!(root.get(absent).is_none());
        assert!((0..3000).all(|number: u32| root.get(&format!("x{number}")).is_none()));
    }
}
