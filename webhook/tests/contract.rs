//! Compares the tables of `docs/contract.md` with the types that they describe.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use plimsoll::engine::{BUILTIN, Description, Engine, Limits};
use plimsoll::registry::{Options, Registry, read};
use plimsoll_sdk::metadata::{FillsIn, InDefault, InProduction, Only, Profiles, Reason};
use serde_json::Value;

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in the first column of the first table after a line of the page. A cell may have several.
fn table(after: &str) -> BTreeSet<String> {
    let page = text("docs/contract.md");
    let (_, rest) = page.split_once(after).unwrap_or_else(|| panic!("docs/contract.md has no line {after:?}"));
    let rows = rest.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// The members of a record, the cases of a variant or enum, or the functions of an interface, in the WIT world.
fn of_wit(head: &str) -> BTreeSet<String> {
    let wit = text("sdk/wit/plimsoll.wit");
    let (_, rest) = wit.split_once(head).unwrap_or_else(|| panic!("plimsoll.wit has no {head:?}"));
    let body = rest.split("\n  }").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines
        .filter_map(|line| line.split([':', '(', ',']).next())
        .filter(|name| !name.is_empty() && *name != "{")
        .map(str::to_owned)
        .collect()
}

#[test]
fn metadata() {
    let mut bundle = Description::read(BUILTIN).unwrap().metadata;
    assert_eq!(table("### Metadata"), keys(&serde_json::to_value(&bundle).unwrap()));
    let policy = &mut bundle.policies[0];
    policy.profiles = Profiles {
        only: Some(Only::Strict),
        default: Some(InDefault::Deny(Reason::CannotWork)),
        production: Some(InProduction::Deny),
        fills_in: Some(FillsIn::Default),
    };
    policy.checks_settings = true;
    let policy = serde_json::to_value(&policy).unwrap();
    assert_eq!(table("Each policy has:"), keys(&policy));
    assert_eq!(table("Every member of `profiles` may be left out:"), keys(&policy["profiles"]));
    assert_eq!(table("Every member of `on` is required:"), keys(&policy["on"]));
}

#[test]
fn environment() {
    let set = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: set}\nspec:\n  workloads:\n  \
               - {group: example.com, kind: Proxy}\n";
    let engine = Engine::new(Limits { instances: 1, ..Limits::default() }).unwrap();
    let registry = Registry::new(&engine, read(set, "set.yaml").unwrap(), Options::default()).unwrap();
    let review = plimsoll::model::Review::from_object(&serde_json::json!({
        "apiVersion": "example.com/v1", "kind": "Proxy", "metadata": {"name": "a"}
    }));
    let environment = registry.environment(&review.unwrap());
    let environment = serde_json::to_value(plimsoll_flat::Node::root(&environment).unwrap()).unwrap();
    let mut known = keys(&environment);
    // Only over files.
    known.insert("unserved".to_owned());
    assert_eq!(table("### `environment`"), known);
}

#[test]
fn findings_and_questions() {
    assert_eq!(table("### A finding"), of_wit("record finding {"));
    assert_eq!(edits(), of_wit("variant edit {"));
    let page = text("docs/contract.md");
    for (interface, function) in [
        ("context", "get"),
        ("context", "selecting"),
        ("context", "selected-by"),
        ("context", "referring"),
        ("context", "listing"),
        ("authored", "is-authored"),
        ("log", "log"),
    ] {
        assert!(page.contains(&format!("| `{interface}.{function}(")), "no row for {interface}.{function}");
    }
    for export in ["policies", "check-settings", "evaluate"] {
        assert!(text("sdk/wit/plimsoll.wit").contains(&format!("  export {export}: func(")), "{export}");
        assert!(page.contains(&format!("`{export}`")), "{export}");
    }
}

/// The table of edits has no heading, so its own first line leads to it.
fn edits() -> BTreeSet<String> {
    let page = text("docs/contract.md");
    let rows = page.split_once("| edit | effect |").unwrap().1.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}
