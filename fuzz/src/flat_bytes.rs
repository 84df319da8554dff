//! Arbitrary bytes, read as a document.

use plimsoll_flat::json::from_json;
use plimsoll_flat::{Error, MAX_NODES, Node, Writer, validate};
use serde_json::Value;

/// Any bytes as a document.
pub const TARGET: crate::Target = crate::Target { name: "flat_bytes", run, words: WORDS, bounded: 60_000 };

const WORDS: &[&str] = &[
    "\0",
    "\u{1}",
    "\u{3}\0\0\0\0\0\0\0\0",
    "\u{6}\u{5}\0\0\u{0}1e400",
    "\u{7}\u{1}\0\0\0x",
    "\u{8}\u{9}\0\0\0\0\0\0\0",
    "\t\u{9}\0\0\0\0\0\0\0",
    "\u{1}\0\0\0a\0",
    "\u{5}\0\0\0\u{1}\0\0\0",
    "\u{11}\0\0\0",
];

/// Maximum number of nodes to read in a damaged document. Its children may be shared, so reading might not end
/// otherwise.
const BUDGET: usize = 3_000;

fn run(bytes: &[u8]) {
    document(bytes);
    // Sets the version and the length of the root, which random bytes are seldom right about.
    if let Some(length) = bytes.len().checked_sub(1).filter(|length| *length >= 5) {
        let mut bytes = bytes.to_vec();
        bytes[0] = plimsoll_flat::VERSION;
        let length = if matches!(bytes[1], 6 | 7) { length - 5 } else { length };
        bytes[2..6].copy_from_slice(&(length as u32).to_le_bytes());
        document(&bytes);
    }
}

/// Every operation of a program on bytes from outside.
fn document(document: &[u8]) {
    let sound = validate(document);
    let Ok(root) = Node::root(document) else {
        assert!(sound.is_err(), "valid without a root");
        return;
    };
    let budget = if sound.is_ok() { MAX_NODES } else { BUDGET };
    let left = read(root, sound.is_ok(), budget);
    if sound.is_ok() {
        assert!(budget - left <= document.len(), "a byte belongs to two nodes");
        let printed = root.to_json();
        let again = from_json(printed.as_bytes()).expect("a valid document prints JSON");
        assert_eq!(root, Node::root(&again).expect("a root"));
        assert_eq!(validate(&root.to_document()), Ok(()));
    }
    if left > 0 {
        // A damaged document may share children, but it has few enough nodes for operations on the whole tree.
        let copy = document.to_vec();
        assert!(sound.is_err() || root == Node::root(&copy).expect("a root"));
        let _ = (root.to_json(), root == Node::clone(&root), serde_json::to_value(root), root.to_document());
        let _ = <Value as serde::Deserialize>::deserialize(root);
    }
    let mut writer = Writer::new();
    writer.begin_array();
    writer.node(root);
    writer.end();
    match writer.finish() {
        Ok(copy) => {
            let copy = Node::root(&copy).expect("a finished document is sound").to_json();
            assert_eq!(copy, format!("[{}]", root.to_json()));
        }
        Err(error) => assert!(sound.is_err() || error == Error::TooDeep, "{error} about a valid document"),
    }
}

/// Reads every reachable node in every way, up to `budget` nodes. Returns the rest of the budget.
fn read(node: Node<'_>, sound: bool, mut budget: usize) -> usize {
    if budget == 0 {
        return 0;
    }
    budget -= 1;
    let _ = (node.kind(), node.is_null(), node.as_bool(), node.as_str(), node.number());
    let _ = (node.as_i64(), node.as_u64(), node.as_f64(), node.get("a"), node.item(1), node.at("/a/0"));
    let _ = node.get("a key that is longer than the others");
    let (mut members, mut items) = (0, 0);
    for (key, value) in node.members() {
        let found = node.get(key);
        assert!(!sound || found.is_some_and(|found| found.position() == value.position()), "{key:?} is another");
        members += 1;
        budget = read(value, sound, budget);
    }
    for item in node.items() {
        items += 1;
        budget = read(item, sound, budget);
    }
    if sound {
        assert_eq!(node.len(), members + items);
        assert!(node.len() > 64 || !node.pointer().is_empty() || node.position() == 1);
    } else if node.len() < 64 {
        let _ = node.pointer();
    }
    budget
}
