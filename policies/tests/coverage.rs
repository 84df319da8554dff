//! What stands beside the policies and is about all of them: `docs/checks.md` names each of them and no other, and so does
//! the table of what they read the kinds that they ask for.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_table_of_checks_names_every_policy_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut named = BTreeSet::new();
    let mut checks = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{line}");
        checks.push(cells[0]);
        for link in cells[1].split(", ") {
            let (id, page) = link.trim_start_matches('[').split_once("](").expect(line);
            assert!(page.starts_with("policies/") && page.ends_with(&format!("/{id}.md)")), "{line}");
            let file = path.with_file_name(page.trim_end_matches(')'));
            assert!(file.is_file(), "{line}: there is no {}", file.display());
            named.insert(id);
        }
    }
    let known: BTreeSet<&str> = plimsoll_policies::POLICIES.iter().map(|policy| policy.id).collect();
    assert_eq!(named, known, "the table's policies against the bundle's");
    let distinct: BTreeSet<&str> = checks.iter().copied().collect();
    assert_eq!(distinct.len(), checks.len(), "a check stands in the table twice");
}

#[test]
fn what_is_read_of_other_objects_is_declared_of_each_kind_that_is_asked_for() {
    let bundle = plimsoll_policies::metadata();
    let asked = bundle.policies.iter().flat_map(|policy| policy.requires.iter().chain(&policy.refines));
    let asked: BTreeSet<&str> = asked.map(String::as_str).collect();
    let mut declared: BTreeSet<&str> = bundle.reads.keys().map(String::as_str).collect();
    assert!(declared.remove(plimsoll_sdk::metadata::FURTHER));
    assert_eq!(declared, asked);
}
