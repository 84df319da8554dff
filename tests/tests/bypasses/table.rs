//! `docs/bypasses.md`: one row for each try.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::{ALL, By};

const HEAD: &str = "# Bypasses

Attempts to get an object past Plimsoll. Each one is a test against a real API server, with
`plimsoll serve --register` in mode `enforce`. None of them may succeed, and none may be refused for
another reason than the table says. The tests are in `tests/tests/bypasses`. Each theme has controls:
the same attempts without a problem in the object are accepted.

The table does not list requests that may pass on purpose: see [policy-set.md](policy-set.md) on
modes, exemptions, `breakGlass` and the ratchet. It lists the attempts just beyond that limit.

A test writes this page:
`PLIMSOLL_WRITE=1 cargo test --release --package plimsoll-tests --test bypasses table`.
";

/// The table matches the tries, and each name is unique within its theme.
#[test]
fn the_table() -> Result<()> {
    let page = page()?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bypasses.md");
    if std::env::var_os("PLIMSOLL_WRITE").is_some_and(|value| !value.is_empty()) {
        std::fs::write(&file, &page)?;
    }
    let known = std::fs::read_to_string(&file).context("docs/bypasses.md can't be read")?;
    ensure!(known == page, "docs/bypasses.md differs from the tries: run this test with PLIMSOLL_WRITE=1");
    Ok(())
}

fn page() -> Result<String> {
    let count: usize = ALL.iter().map(|tries| tries.tries.len()).sum();
    ensure!(count >= 40, "only {count} tries");
    let mut page = format!("{HEAD}\n{count} tries:\n");
    for tries in ALL {
        writeln!(page, "\n## {}\n\n| try | exploit | refused by |\n| --- | --- | --- |", tries.theme)?;
        let mut names = BTreeSet::new();
        for attempt in tries.tries {
            ensure!(names.insert(attempt.name), "two tries are named {}", attempt.name);
            let exploits = attempt.exploits.replace('|', "\\|");
            writeln!(page, "| `{}` | {exploits} | {} |", attempt.name, attempt.by.cell())?;
        }
    }
    Ok(page)
}

impl By {
    fn cell(&self) -> String {
        match self {
            By::Policy(ids) => ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "),
            By::Lenient(id) => format!("`{id}`, by `lenient.plimsoll.dev`"),
            By::Protected(id) => format!("`{id}`, by `protected.plimsoll.dev`"),
            By::FailurePolicy => "`failurePolicy: Fail`, because the request can't be read".to_owned(),
            By::TooLarge => "the size limit of an object".to_owned(),
            By::ApiServer(words) => format!("the API server: \"{}\"", words.replace('`', "")),
            By::Dropped => "the API server, which drops the value".to_owned(),
            By::Status(statuses) => {
                let statuses: Vec<_> = statuses.iter().map(u16::to_string).collect();
                format!("status {} instead of a verdict", statuses.join(" or "))
            }
            By::Answer(words) => format!("`allowed: false`: {}", words.trim_end()),
            By::Check(id) => format!("`{id}`, by `plimsoll check`"),
            By::Tool(words) => format!("`plimsoll`: \"{}\"", words.replace('`', "").replace('|', "\\|")),
        }
    }
}
