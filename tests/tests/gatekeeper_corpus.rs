//! The Gatekeeper library's own cases with inventory, as far as our policies check the same: a case with violations
//! there has a finding here. [`DIFFERENCES`] lists each difference with its reason.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plimsoll::yaml;
use plimsoll_tests::{corpus, plimsoll_binary};
use serde_json::{Value, json};

/// A template of the library, and the policies that check the same.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("poddisruptionbudget", &["drain-deadlock"]),
    ("horizontalpodautoscaler", &["autoscaler-without-room", "autoscaler-without-target"]),
];

/// Intended differences: the case, and the reason.
const DIFFERENCES: &[(&str, &str)] = &[(
    "example-disallowed-hpa-replicas",
    "the range from 3 to 6 is a parameter of the constraint; 2 to 7 is a valid range",
)];

#[test]
fn our_policies_agree_with_the_library() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let (mut compared, mut differing, mut surprises) = (0, Vec::new(), Vec::new());
    for (template, policies) in TEMPLATES {
        let folder = corpus.join("gatekeeper-library/library/general").join(template);
        let suite = document(&folder.join("suite.yaml"))?;
        for case in suite.pointer("/tests/0/cases").and_then(Value::as_array).context("no cases")? {
            let name = case["name"].as_str().context("a name")?;
            let files = [&case["object"]].into_iter().chain(case["inventory"].as_array().into_iter().flatten());
            let files: Vec<_> = files.filter_map(Value::as_str).map(|file| folder.join(file)).collect();
            // In the YAML of Kubernetes, `yes` and `no` are booleans.
            let violates = case["assertions"][0]["violations"].as_bool().context("no assertion")?;
            compared += 1;
            if judge(policies, &files)?.is_empty() != violates {
                continue;
            }
            match DIFFERENCES.iter().find(|(known, _)| *known == name) {
                Some((known, _)) => differing.push(*known),
                None => surprises.push(format!("{template}: {name}")),
            }
        }
    }
    ensure!(surprises.is_empty(), "{} differences of {compared}:\n{}", surprises.len(), surprises.join("\n"));
    ensure!(differing.len() == DIFFERENCES.len(), "a listed difference no longer exists: {differing:?}");
    ensure!(compared == 11, "{compared} comparisons: the corpus has changed");
    Ok(())
}

/// The messages of these policies, in a closed world of these files.
fn judge(policies: &[&str], files: &[impl AsRef<Path>]) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let policies: Vec<Value> = policies.iter().map(|id| json!({"id": id})).collect();
    let set = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "gatekeeper"},
        "spec": {"profile": "none", "policies": policies},
    });
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, set.to_string())?;
    let mut command = Command::new(plimsoll_binary()?);
    command.args(["check", "--format=json", "--world=closed", "--exit-zero", "--config"]).arg(&config);
    let output = command.args(files.iter().map(AsRef::as_ref)).output().context("plimsoll check can't be run")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut report: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    ensure!(report["errors"] == json!([]) && report["skipped"] == json!([]), "{report:#}");
    match report["findings"].take() {
        Value::Array(findings) => Ok(findings),
        other => anyhow::bail!("no findings: {other}"),
    }
}

fn document(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let document = yaml::read(&text).into_iter().next().context("an empty file")??;
    Ok(document.value().clone())
}
