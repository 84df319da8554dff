//! Bundles with wrong contents are refused when they are loaded, with a message that says what to do.

use plimsoll::engine::Bundle;
use plimsoll_sdk::metadata::SECTION;
use serde_json::{Value, json};

use super::bundle::{HOSTILE, MODULE, engine, with_metadata};
use super::raw::{Memory, WIT, append, component, component_of, encode, metadata};

/// The reason of the refusal.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let refusal = Bundle::load(&engine(), bytes).expect_err(name).to_string();
    assert!(refusal.len() < 1500 && !refusal.chars().any(|character| character.is_control() && character != '\n'));
    refusal
}

fn assert_refused(name: &str, bytes: &[u8], words: &[&str]) {
    let refusal = refusal(name, bytes);
    for word in words {
        assert!(refusal.contains(word), "{name}: {refusal:?} does not contain {word:?}");
    }
}

#[test]
fn what_is_no_bundle() {
    assert_refused("nothing", b"", &["no WebAssembly", "a bundle is"]);
    assert_refused("text", b"kind: ClusterPolicySet", &["no WebAssembly"]);
    assert_refused("a core module", &MODULE, &["a core module", "a bundle is a WebAssembly component"]);
    let bare = b"\0asm\x0d\0\x01\0";
    assert_refused("a component without metadata", bare, &["plimsoll:metadata", "is missing", "docs/contract.md"]);
    let mut cut = HOSTILE.clone();
    cut.truncate(HOSTILE.len() / 2);
    append(&mut cut, SECTION, metadata(&["hostile"]).as_bytes());
    refusal("half a bundle", &cut);
}

#[test]
fn metadata_that_lies() {
    let truth = plimsoll_hostile::metadata().to_json().unwrap();
    let lie = |edit: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&truth).unwrap();
        edit(&mut value);
        with_metadata(&value.to_string())
    };
    assert_refused("no JSON", &with_metadata("policies: []"), &["plimsoll:metadata", "is no JSON"]);
    assert_refused("no object", &with_metadata("[]"), &["speaks version none"]);
    assert_refused(
        "another version",
        &lie(&|it| it["abi"] = "0.2.0".into()),
        &["0.2.0", "this host 0.1.0", "build it with"],
    );
    assert_refused("an unknown member", &lie(&|it| it["policies"][0]["edit"] = json!([])), &["unknown field `edit`"]);
    assert_refused(
        "a missing member",
        &lie(&|it| drop(it["policies"][0].as_object_mut().unwrap().remove("edits"))),
        &["`edits`"],
    );
    assert_refused(
        "another id",
        &lie(&|it| it["policies"][1]["id"] = "endless-loops".into()),
        &["endless-loops", "\"endless-loop\""],
    );
    assert_refused(
        "another order",
        &lie(&|it| it["policies"].as_array_mut().unwrap().swap(2, 3)),
        &["memory-eater", "memory-bomb", "in the order of"],
    );
    assert_refused(
        "one less",
        &lie(&|it| drop(it["policies"].as_array_mut().unwrap().pop())),
        &["names 16 policies", "has 17"],
    );
    assert_refused(
        "one more",
        &lie(&|it| {
            let mut copy = it["policies"][0].clone();
            copy["id"] = "one-more".into();
            it["policies"].as_array_mut().unwrap().push(copy);
        }),
        &["names 18 policies", "has 17"],
    );
    assert_refused("an id twice", &lie(&|it| it["policies"][1]["id"] = "well-behaved".into()), &["well-behaved twice"]);
    assert_refused(
        "an id for a terminal",
        &lie(&|it| it["policies"][1]["id"] = "\u{1b}[2Jcleared".into()),
        &["kebab-case"],
    );
    for edit in ["/status/replicas", "/metadata/name", "/metadata/labels/*", "/kind", "", "/*"] {
        let bundle = lie(&|it| it["policies"][0]["edits"] = json!([edit]));
        assert_refused(edit, &bundle, &["well-behaved", "which no policy may"]);
    }
    // The last of two sections counts, so a wrong section cannot hide behind a right one.
    let mut two = HOSTILE.clone();
    append(&mut two, SECTION, b"{}");
    assert_refused("two sections", &two, &["speaks version none"]);
}

#[test]
fn imports_and_exports_beyond_the_contract() {
    let ids = ["hostile", "well-behaved"];
    let wasi = WIT.replace("  import log;\n", "  import log;\n  import wasi:cli/environment@0.2.0;\n");
    let wasi = format!(
        "{wasi}\npackage wasi:cli@0.2.0 {{ interface environment {{ get-arguments: func() -> list<string>; }} }}\n"
    );
    let module = r#"(module
        (import "wasi:cli/environment@0.2.0" "get-arguments" (func (param i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "policies") (result i32) (unreachable))
        (func (export "check-settings") (param i32 i32 i32) (result i32) (unreachable))
        (func (export "evaluate") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable)))"#;
    let bundle = encode(module, &wasi, &metadata(&ids));
    assert_refused(
        "another import",
        &bundle,
        &["wasi:cli/environment@0.2.0", "no WASI", "docs/contract.md", "context, authored and log"],
    );

    let other = WIT.replace("package plimsoll:policy@0.1.0", "package plimsoll:policy@0.9.0");
    let module = module.replace(
        r#""wasi:cli/environment@0.2.0" "get-arguments" (func (param i32))"#,
        r#""plimsoll:policy/authored@0.9.0" "is-authored" (func (param i32 i32 i32) (result i32))"#,
    );
    let bundle = encode(&module, &other, &metadata(&ids));
    assert_refused(
        "the imports of another version",
        &bundle,
        &["plimsoll:policy/authored@0.9.0", "plimsoll:policy@0.1.0"],
    );

    let other = WIT.replace("subject: subject,\n    calls: list<u32>", "calls: list<u32>");
    assert_ne!(other, WIT);
    let module = r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "policies") (result i32) (unreachable))
        (func (export "check-settings") (param i32 i32 i32) (result i32) (unreachable))
        (func (export "evaluate") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable)))"#;
    let bundle = encode(module, &other, &metadata(&ids));
    assert_refused("an export of another type", &bundle, &["evaluate", "contract"]);

    let none = WIT.split("  /// Evaluates policies, by their index").next().unwrap().to_owned() + "}\n";
    let module = r#"(module
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "policies") (result i32) (unreachable))
        (func (export "check-settings") (param i32 i32 i32) (result i32) (unreachable)))"#;
    let bundle = encode(module, &none, &metadata(&ids));
    assert_refused("a missing export", &bundle, &["evaluate", "contract"]);
}

/// `policies()` is the only code that runs when a bundle is loaded.
#[test]
fn guests_that_are_hostile_at_once() {
    let ids = ["hostile", "well-behaved"];
    let policies = |body: &str| {
        let module = format!(
            r#"(module
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "policies") (result i32) {body})
            (func (export "check-settings") (param i32 i32 i32) (result i32) (unreachable))
            (func (export "evaluate") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable)))"#
        );
        encode(&module, WIT, &metadata(&ids))
    };
    assert_refused("a trap", &policies("(unreachable)"), &["`policies` failed", "trapped"]);
    assert_refused("a loop", &policies("(loop (br 0)) (unreachable)"), &["`policies` failed", "in time"]);
    assert_refused("an address past the memory", &policies("(i32.const -8)"), &["`policies` failed", "contract"]);
    let start = component_of(&Memory::default(), "(func $start (loop (br 0))) (start $start)", "(i32.const 0)", &ids);
    assert_refused("a loop before any call", &start, &["`policies` failed", "in time"]);
    let large = "(memory 1024)";
    let module = format!(
        r#"(module {}
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "policies") (result i32) (unreachable))
        (func (export "check-settings") (param i32 i32 i32) (result i32) (unreachable))
        (func (export "evaluate") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (unreachable)))"#,
        large.replace("(memory", "(memory (export \"memory\")")
    );
    assert_refused("a memory of 64 MiB", &encode(&module, WIT, &metadata(&ids)), &["compiled", "memory"]);
    // For comparison, the same component without hostility is accepted.
    Bundle::load(&engine(), &component(&Memory::default(), "(i32.const 0)")).unwrap();
}
