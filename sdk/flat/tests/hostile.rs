//! Documents of an attacker: no operation panics, and a document that passes `validate` is read in bounded time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use plimsoll_flat::{Error, Kind, MAX_DEPTH, MAX_NODES, Node, Problem, Writer, json, validate};
use proptest::prelude::*;
use serde_json::Value;

const SAMPLE: &str = r#"{"a":[1,-2.5,"text",null,true,1e400,18446744073709551615,{"":{}}],"b":{"k0":0,"k1":1,"k2":2,"k3":3,"k4":4,
    "k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"k10":10,"k11":11,"k12":12,"k13":13,"k14":14,"k15":15,"k16":16,"k17":17,"k18":18,"k19":19,"k20":20,"k21":21,
    "k22":22,"k23":23,"k24":24,"k25":25,"k26":26,"k27":27,"k28":28,"k29":29,"k30":30,"k31":31,"k32":32,"k33":{"x":[[[]]]}},"é":"😀\u0000"}"#;

/// Reads every reachable node in every way, up to `budget` nodes. Returns the rest of the budget.
fn read(node: Node<'_>, mut budget: usize) -> usize {
    if budget == 0 {
        return 0;
    }
    budget -= 1;
    let _ = (node.kind(), node.is_null(), node.as_bool(), node.as_str(), node.number(), node.len());
    let _ = (node.as_i64(), node.as_u64(), node.as_f64(), node.get("k7"), node.item(1), node.at("/b/k33"));
    let _ = node.get(&"x".repeat(40));
    if node.len() < 50 {
        let _ = node.pointer();
    }
    for (key, value) in node.members() {
        let _ = node.get(key);
        budget = read(value, budget);
    }
    for item in node.items() {
        budget = read(item, budget);
    }
    budget
}

/// Every operation of a program on bytes from outside.
fn abuse(document: &[u8]) {
    let sound = validate(document);
    let Ok(root) = Node::root(document) else {
        assert!(sound.is_err());
        return;
    };
    let budget = if sound.is_ok() { MAX_NODES } else { 20_000 };
    let left = read(root, budget);
    if sound.is_ok() {
        assert!(budget - left <= document.len(), "no byte belongs to two nodes");
        let printed = root.to_json();
        let again = json::from_json(printed.as_bytes()).expect("prints JSON");
        assert_eq!(root, Node::root(&again).unwrap());
        assert_eq!(validate(&root.to_document()), Ok(()));
    }
    if left > 0 {
        // Few enough nodes for operations on the whole tree, even if children are shared.
        let _ = (root.to_json(), root == Node::root(document).unwrap(), serde_json::to_value(root), root.to_document());
        let _ = <Value as serde::Deserialize>::deserialize(root);
    }
    let mut writer = Writer::new();
    writer.begin_array();
    writer.node(root);
    writer.end();
    if let Ok(copy) = writer.finish() {
        let copy = Node::root(&copy).unwrap().to_json();
        assert_eq!(copy, format!("[{}]", root.to_json()));
    } else {
        assert!(sound.is_err() || sound == Err(Error::TooDeep));
    }
}

fn sample() -> Vec<u8> {
    json::from_json(SAMPLE.as_bytes()).unwrap()
}

#[test]
fn every_truncation_is_refused() {
    let document = sample();
    assert_eq!(validate(&document), Ok(()));
    for length in 0..document.len() {
        assert!(validate(&document[..length]).is_err());
        abuse(&document[..length]);
    }
    assert_eq!(Node::root(&[]).unwrap_err(), Error::Empty);
    assert_eq!(Node::root(&[2, 0]).unwrap_err(), Error::Version(2));
    let mut longer = document;
    longer.push(0);
    assert_eq!(validate(&longer), Err(Error::Malformed { position: 1, problem: Problem::Trailing }));
}

#[test]
fn every_single_byte_may_change() {
    let document = sample();
    for at in 0..document.len() {
        for with in [0, 1, 3, 6, 7, 8, 9, 10, 0x7f, 0x80, 0xff, document[at] ^ 1, document[at].wrapping_add(4)] {
            let mut changed = document.clone();
            changed[at] = with;
            abuse(&changed);
        }
    }
}

#[test]
fn every_word_may_change() {
    let document = sample();
    for at in 0..document.len() - 4 {
        for with in
            [0_u32, 1, 5, 9, 17, at as u32, document.len() as u32, 0x7fff_ffff, 0x8000_0000, 0xffff_fffb, u32::MAX]
        {
            let mut changed = document.clone();
            changed[at..at + 4].copy_from_slice(&with.to_le_bytes());
            abuse(&changed);
        }
    }
}

/// Two keys of one byte, with their marks by the rule of docs/flat-encoding.md.
const A: (u8, u8) = (b'a', 0x54);
const B: (u8, u8) = (b'b', 0x2f);

/// A handmade document: an array of these nodes with these offsets.
fn array(children: &[u8], offsets: &[u32]) -> Vec<u8> {
    container(8, children, offsets, offsets.len() as u32)
}

fn container(tag: u8, children: &[u8], words: &[u32], count: u32) -> Vec<u8> {
    marked(tag, children, &[], words, count)
}

/// A handmade object with this number of members, these marks and these offsets.
fn marked(tag: u8, children: &[u8], marks: &[u8], words: &[u32], count: u32) -> Vec<u8> {
    let children = &[children, marks].concat();
    let length = 5 + children.len() + 4 * words.len() + 4;
    let mut document = vec![1, tag];
    document.extend_from_slice(&(length as u32).to_le_bytes());
    document.extend_from_slice(children);
    for word in words.iter().chain([&count]) {
        document.extend_from_slice(&word.to_le_bytes());
    }
    document
}

fn problem(document: &[u8]) -> Problem {
    abuse(document);
    match validate(document) {
        Err(Error::Malformed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_rule_is_checked() {
    assert_eq!(validate(&array(&[0, 1], &[5, 6])), Ok(()));
    assert_eq!(problem(&array(&[0, 1], &[6, 5])), Problem::Order);
    assert_eq!(problem(&array(&[0, 1], &[5, 5])), Problem::Order, "a node shared by two places");
    assert_eq!(problem(&array(&[0, 1], &[5, 7])), Problem::Bounds, "a node in the table");
    assert_eq!(problem(&array(&[0, 1], &[0, 5])), Problem::Bounds, "a node that is its own parent");
    assert_eq!(problem(&array(&[10], &[5])), Problem::Tag);
    assert_eq!(problem(&array(&[3, 0], &[5])), Problem::Bounds, "a number that reaches into the table");
    assert_eq!(problem(&container(8, &[], &[5], 2)), Problem::Count);
    assert_eq!(problem(&container(8, &[], &[], u32::MAX)), Problem::Count);
    assert_eq!(problem(&[1, 7, 1, 0, 0, 0, 0xff]), Problem::Utf8);
    assert_eq!(problem(&[1, 6, 1, 0, 0, 0, b'5']), Problem::Number, "an i64 holds it");
    assert_eq!(problem(&[1, 6, 1, 0, 0, 0, b'x']), Problem::Number);
    assert_eq!(problem(&[1, 5, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]), Problem::NotFinite);
    assert_eq!(problem(&marked(9, &[1, 0, 0, 0, 0xff, 0], &[0], &[5], 1)), Problem::Utf8);
    let [a, b] = [A, B].map(|(key, mark)| (vec![1, 0, 0, 0, key, 0], mark));
    let two = |second: &(Vec<u8>, u8), marks: [u8; 2]| marked(9, &[&*a.0, &*second.0].concat(), &marks, &[5, 11], 2);
    assert_eq!(validate(&two(&b, [a.1, b.1])), Ok(()));
    assert_eq!(problem(&two(&a, [a.1, a.1])), Problem::DuplicateKey);
    assert_eq!(problem(&two(&b, [b.1, a.1])), Problem::Mark);
    assert_eq!(problem(&two(&b, [a.1, a.1])), Problem::Mark);
    assert_eq!(problem(&marked(9, &a.0, &[], &[5], 1)), Problem::Bounds, "no marks");
    // A removed duplicate leaves a gap.
    assert_eq!(validate(&array(&[0, 0xff, 1], &[5, 7])), Ok(()));
}

#[test]
fn the_permutation_is_checked() {
    let members: Vec<u8> = (0..33_u8).flat_map(|index| [1, 0, 0, 0, b'A' + index, 0]).collect();
    let offsets = (0..33).map(|index| 5 + 6 * index);
    let document =
        |ranks: &[u32]| container(9, &members, &offsets.clone().chain(ranks.iter().copied()).collect::<Vec<_>>(), 33);
    let sorted: Vec<u32> = (0..33).collect();
    assert_eq!(validate(&document(&sorted)), Ok(()));
    for (rank, index) in [(0, 1), (3, 2), (32, 33), (32, u32::MAX), (5, 6)] {
        let mut ranks = sorted.clone();
        ranks[rank] = index;
        assert_eq!(problem(&document(&ranks)), Problem::Permutation);
    }
    let reversed: Vec<u32> = (0..33).rev().collect();
    assert_eq!(problem(&document(&reversed)), Problem::Permutation);
}

#[test]
fn depth_is_bounded_for_readers_too() {
    // Nested arrays, far deeper than a writer allows, built from the inside out.
    let mut node = vec![8, 9, 0, 0, 0, 0, 0, 0, 0];
    for _ in 0..20_000 {
        let length = node.len() as u32 + 13;
        let mut outer = vec![8];
        outer.extend_from_slice(&length.to_le_bytes());
        outer.append(&mut node);
        outer.extend_from_slice(&[5, 0, 0, 0, 1, 0, 0, 0]);
        node = outer;
    }
    let mut document = vec![1];
    document.append(&mut node);
    assert_eq!(validate(&document), Err(Error::TooDeep));
    abuse(&document);
    let mut node = Node::root(&document).unwrap();
    let mut depth = 0;
    while let Some(item) = node.item(0) {
        node = item;
        depth += 1;
    }
    assert_eq!(depth, MAX_DEPTH);
}

#[test]
fn nodes_are_counted_on_the_other_side_too() {
    let document = |count: usize| array(&vec![0; count], &(0..count as u32).map(|index| 5 + index).collect::<Vec<_>>());
    assert_eq!(validate(&document(MAX_NODES - 1)), Ok(()));
    assert_eq!(validate(&document(MAX_NODES)), Err(Error::TooManyNodes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..200), tag in 0_u8..12) {
        abuse(&bytes);
        // Makes the version and the length right, so that the first two checks pass.
        if bytes.len() > 6 {
            let length = bytes.len() as u32 - 1;
            bytes[0] = 1;
            bytes[1] = tag;
            bytes[2..6].copy_from_slice(&if tag < 8 { length.wrapping_sub(5) } else { length }.to_le_bytes());
            abuse(&bytes);
            let end = bytes.len();
            if end > 20 {
                bytes[end - 4..].copy_from_slice(&[2, 0, 0, 0]);
                abuse(&bytes);
            }
        }
    }

    #[test]
    fn random_mutations(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..8)) {
        let mut document = sample();
        for (at, value, how) in changes {
            let at = at.index(document.len());
            match how {
                0 => document[at] = value,
                1 => document[at] ^= 1 << (value % 8),
                2 => { document.remove(at); }
                _ => document.insert(at, value),
            }
            if document.is_empty() {
                break;
            }
        }
        abuse(&document);
    }
}

#[test]
fn a_scalar_has_no_children() {
    for text in ["null", "true", "1", "\"s\""] {
        let document = json::from_json(text.as_bytes()).unwrap();
        let node = Node::root(&document).unwrap();
        assert_eq!((node.len(), node.members().count(), node.items().count()), (0, 0, 0));
        assert!(node.get("a").is_none() && node.item(0).is_none() && node.at("/0").is_none());
        assert!(!matches!(node.kind(), Kind::Array | Kind::Object));
    }
}
