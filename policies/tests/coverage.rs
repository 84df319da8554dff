//! What is about all policies: `docs/checks.md`, which is written from what each says that it covers, and what they read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// The head of the page. `{}` stands for the number of checks.
const HEAD: &str = "\
# Which policy covers which check

Plimsoll works through a catalogue of {} checks in twelve categories. The catalogue has names of
its own: the id of a policy names the problem, and one policy may cover several checks. This table
leads from a check to its policies. The last column says what is narrower than the check, or done
differently. A check that is not listed is not covered. The findings of `plimsoll check` about YAML
itself are not in the table.

| check | policy | what is narrower, or differs |
| --- | --- | --- |
";

/// Written from `covers = […]` of the policies; `PLIMSOLL_WRITE=1` writes the page again.
#[test]
fn the_table_of_checks_is_what_the_policies_say_that_they_cover() {
    let known: Vec<&str> =
        include_str!("../checks.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut rows: BTreeMap<usize, Vec<(String, &str)>> = BTreeMap::new();
    for policy in plimsoll_policies::POLICIES {
        assert!(!policy.covers.is_empty(), "{} covers no check: say `covers = [\"…\"]`", policy.id);
        let category = (policy.metadata)().category;
        for covered in policy.covers {
            let (check, narrower) = covered.split_once(": ").unwrap_or((covered, ""));
            let number = known.iter().position(|known| *known == check);
            let number = number.unwrap_or_else(|| panic!("{}: policies/checks.txt has no {check:?}", policy.id));
            let link = format!("[{}](policies/{category}/{}.md)", policy.id, policy.id);
            rows.entry(number).or_default().push((link, narrower));
        }
    }
    let mut page = HEAD.replace("{}", &known.len().to_string());
    for (number, policies) in rows {
        let links: Vec<&str> = policies.iter().map(|(link, _)| link.as_str()).collect();
        let narrower: Vec<&str> = policies.iter().map(|(_, said)| *said).filter(|said| !said.is_empty()).collect();
        let _ = writeln!(page, "| `{}` | {} | {} |", known[number], links.join(", "), narrower.join("; "));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/checks.md");
    if std::env::var_os("PLIMSOLL_WRITE").is_some_and(|write| !write.is_empty()) {
        std::fs::write(&path, page).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(found == page, "docs/checks.md is not what the policies say: run `make docs`, and look at what changes");
}

#[test]
fn what_is_read_of_other_objects_is_declared_of_each_kind_that_is_asked_for() {
    let bundle = plimsoll_policies::metadata();
    let asked = bundle.policies.iter().flat_map(|policy| policy.requires.iter().chain(&policy.refines));
    let asked: BTreeSet<&str> = asked.map(String::as_str).collect();
    let mut declared: BTreeSet<&str> = bundle.reads.keys().map(String::as_str).collect();
    assert!(declared.remove(plimsoll_sdk::metadata::FURTHER));
    assert_eq!(declared, asked, "a policy without `reads = […]` makes the host keep whole objects");
}

/// The modules of a category are files of its folder, and each policy has its cases beside those of its category.
#[test]
fn every_policy_has_its_cases_in_the_folder_of_its_category() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases = BTreeSet::new();
    for policy in plimsoll_policies::metadata().policies {
        let file = format!("{}/{}.md", policy.category, policy.id);
        assert!(folder.join("cases").join(&file).is_file(), "policies/cases/{file} is missing");
        cases.insert(file);
    }
    for category in std::fs::read_dir(folder.join("cases")).expect("policies/cases").flatten() {
        for file in std::fs::read_dir(category.path()).expect("a folder of a category").flatten() {
            let file = format!("{}/{}", category.file_name().display(), file.file_name().display());
            assert!(cases.contains(&file), "policies/cases/{file} is of no policy");
        }
    }
}

/// `plimsoll explain` prints these pages.
#[test]
fn every_page_has_its_headings() {
    for policy in plimsoll_policies::metadata().policies {
        for heading in ["## What it finds", "## Why", "## What to write"] {
            assert!(policy.documentation.contains(heading), "{}: the page has no heading {heading:?}", policy.id);
        }
    }
}

/// The name of the function is the id. Its file and its line in `lib.rs` have the same name.
#[test]
fn every_policy_has_the_name_of_its_file() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for policy in plimsoll_policies::metadata().policies {
        let file = sources.join(&policy.category).join(format!("{}.rs", policy.id.replace('-', "_")));
        assert!(file.is_file(), "{} is no function of {}", policy.id, file.display());
    }
}
