//! Popular charts, rendered by `helm template`: the denials of each profile, with reasons. A new denial fails the test
//! until a developer has examined the chart and listed the denial here.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plimsoll::registry::{Profile, Reason};
use plimsoll_tests::{corpus, plimsoll_binary};
use serde_json::Value;

/// Denials of the profile `default`: chart, policy, number, and the harm that they prevent.
const DEFAULT: &[(&str, &str, usize, &str)] = &[];

/// Reasons of these denials, in the words of the policies' pages.
const REASONS: &[(&str, Reason)] = &[];

/// Denials of the profile `production`: policy, number, and number of charts. Each one was examined, and is correct.
const PRODUCTION: &[(&str, usize, usize)] = &[
    ("dangerous-capabilities", 11, 4),
    ("excessive-memory-ratio", 1, 1),
    ("host-namespaces", 10, 5),
    ("host-path", 11, 9),
    ("latest-image-tag", 9, 2),
    ("missing-readiness-probe", 4, 2),
    ("missing-resource-requests", 72, 21),
    ("missing-seccomp-profile", 1, 1),
    ("privilege-escalation", 1, 1),
    ("privileged-container", 5, 3),
    ("runs-as-root", 20, 11),
];

#[test]
fn the_default_profile_refuses_what_breaks() -> Result<()> {
    let Some(denials) = denials("default")? else { return Ok(()) };
    let expected: BTreeMap<_, _> =
        DEFAULT.iter().map(|(chart, policy, count, _)| (((*chart).to_owned(), (*policy).to_owned()), *count)).collect();
    ensure!(denials == expected, "these are denied:\n{denials:#?}\nand these were expected:\n{expected:#?}");
    let policies = plimsoll_policies::metadata().policies;
    for (id, reason) in REASONS {
        let said = policies.iter().find(|policy| policy.id == *id).and_then(Profile::reason);
        ensure!(said == Some(*reason), "{id}: {said:?}");
    }
    ensure!(
        DEFAULT.iter().all(|(_, policy, ..)| REASONS.iter().any(|(known, _)| known == policy)),
        "each policy has its reason here"
    );
    Ok(())
}

#[test]
fn what_production_refuses_is_known() -> Result<()> {
    let Some(denials) = denials("production")? else { return Ok(()) };
    let mut found = BTreeMap::<&str, (usize, usize)>::new();
    for ((_, policy), count) in &denials {
        let entry = found.entry(policy).or_default();
        *entry = (entry.0 + count, entry.1 + 1);
    }
    let expected: BTreeMap<_, _> =
        PRODUCTION.iter().map(|(policy, count, charts)| (*policy, (*count, *charts))).collect();
    ensure!(found == expected, "by policy, denials and charts:\n{found:#?}\nin detail:\n{denials:#?}");
    Ok(())
}

/// Number of denied findings by chart and policy. `None` without the corpus.
fn denials(profile: &str) -> Result<Option<BTreeMap<(String, String), usize>>> {
    let Some(corpus) = corpus() else { return Ok(None) };
    let mut charts = 0;
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(corpus.join("charts"))? {
        let file = entry?.path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        charts += 1;
        let chart = file.file_stem().and_then(|name| name.to_str()).context("a name")?.to_owned();
        let output = Command::new(plimsoll_binary()?)
            .args(["check", "--format", "json", "--profile", profile])
            .arg(&file)
            .output()?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{chart}: {}", String::from_utf8_lossy(&output.stderr)))?;
        for finding in report["findings"].as_array().context("findings")? {
            if finding["action"] == "Deny" {
                let policy = finding["policy"].as_str().context("a policy")?.to_owned();
                *found.entry((chart.clone(), policy)).or_default() += 1;
            }
        }
    }
    ensure!(charts == 34, "{charts} charts: the corpus has changed");
    Ok(Some(found))
}
