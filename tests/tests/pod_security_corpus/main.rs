//! The fixtures of the Pod Security Standards, as far as our policies check the same. A passing fixture has no finding
//! here, and a failing one has a finding. [`DIFFERENCES`] lists each difference with its reason.

mod library;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{corpus, plimsoll_binary};
use serde_json::Value;

/// Every severity counts, and nothing is filled in.
const CONFIG: &str = r#"
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: pod-security}
spec:
  profile: none
  policies:
  - {id: privilege-escalation}
  - {id: runs-as-root}
  - {id: missing-seccomp-profile}
  - {id: privileged-container}
  - {id: host-namespaces}
  - {id: host-path}
  - {id: host-port}
  - {id: dangerous-capabilities}
"#;

/// A check of the standards, the policy for the same problem, and the severities of its relevant findings. A missing
/// field violates the restricted standard, and causes a warning here.
const CHECKS: &[(&str, &str, &[&str])] = &[
    ("allowprivilegeescalation", "privilege-escalation", &["error", "warning", "info"]),
    ("runasnonroot", "runs-as-root", &["error", "warning"]),
    ("runasuser", "runs-as-root", &["error", "info"]),
    ("seccompprofile_baseline", "missing-seccomp-profile", &["error"]),
    ("seccompprofile_restricted", "missing-seccomp-profile", &["error", "warning"]),
    ("privileged", "privileged-container", &["error"]),
    ("windowshostprocess", "privileged-container", &["error"]),
    ("hostnamespaces", "host-namespaces", &["error"]),
    ("hostpathvolumes", "host-path", &["error"]),
    ("hostports", "host-port", &["error"]),
    ("capabilities_baseline", "dangerous-capabilities", &["error"]),
];

/// The checks of [`CHECKS`] that only the restricted standard has.
const RESTRICTED: &[&str] = &["allowprivilegeescalation", "runasnonroot", "runasuser", "seccompprofile_restricted"];

/// Intended differences: the check, whether its fixture passes there, the versions, and the reason.
const DIFFERENCES: &[(&str, bool, std::ops::RangeInclusive<u32>, &str)] = &[(
    "seccompprofile_baseline",
    false,
    0..=18,
    "the fixtures of these versions state the profile in annotations, which nothing has read since Kubernetes 1.27",
)];

/// A fixture: level, minor version, whether it passes, file name.
type Fixture = (String, u32, bool, String);

#[test]
fn our_policies_agree_with_the_standards() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let root = corpus.join("pod-security-admission/test/testdata");
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, CONFIG)?;

    let mut jobs = Vec::new();
    for level in ["baseline", "restricted"] {
        for version in entries(&root.join(level))? {
            let minor = version.strip_prefix("v1.").and_then(|minor| minor.parse().ok()).context("a version")?;
            jobs.extend([true, false].map(|passes| (level, minor, passes)));
        }
    }
    ensure!(jobs.len() > 100, "the corpus has changed: {} folders", jobs.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<Result<Part>> = std::thread::scope(|scope| {
        let runs: Vec<_> = jobs
            .chunks(jobs.len().div_ceil(threads))
            .map(|chunk| scope.spawn(|| chunk.iter().map(|&job| judge(&root, &config, job)).collect::<Vec<_>>()))
            .collect();
        runs.into_iter().flat_map(|run| run.join().unwrap_or_default()).collect()
    });
    ensure!(parts.len() == jobs.len(), "a thread panicked");

    let (mut compared, mut surprises, mut used) = (0, Vec::new(), BTreeSet::new());
    for part in parts {
        let part = part?;
        compared += part.compared;
        for (check, fixture) in part.differences {
            let (_, minor, passes, _) = &fixture;
            let known = DIFFERENCES.iter().position(|(known, passing, versions, _)| {
                *known == check && passing == passes && versions.contains(minor)
            });
            match known {
                Some(known) => drop(used.insert(known)),
                None => surprises.push(format!("{check}: {fixture:?}")),
            }
        }
    }
    ensure!(surprises.is_empty(), "{} differences of {compared}:\n{}", surprises.len(), surprises.join("\n"));
    ensure!(used.len() == DIFFERENCES.len(), "a listed difference no longer exists");
    ensure!(compared > 6000, "only {compared} comparisons: the corpus has changed");
    Ok(())
}

#[derive(Default)]
struct Part {
    compared: usize,
    differences: Vec<(&'static str, Fixture)>,
}

/// All fixtures of one folder, in one process.
fn judge(root: &Path, config: &Path, (level, minor, passes): (&str, u32, bool)) -> Result<Part> {
    let folder = root.join(level).join(format!("v1.{minor}")).join(if passes { "pass" } else { "fail" });
    let mut command = Command::new(plimsoll_binary()?);
    command.args(["check", "--format=json", "--world=open", "--exit-zero", "--config"]).arg(config);
    command.arg(format!("--kubernetes-version=1.{minor}")).arg(&folder);
    let output = command.output().context("plimsoll check can't be run")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}\n{stderr}", folder.display(), output.status);
    let report: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    ensure!(report["errors"] == serde_json::json!([]), "{}: {}", folder.display(), report["errors"]);
    let mut found: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for finding in report["findings"].as_array().context("no findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        let file = text("file").rsplit('/').next().unwrap_or_default();
        found.entry(file).or_default().insert((text("policy"), text("severity")));
    }

    let mut part = Part::default();
    let files = entries(&folder)?;
    ensure!(report["summary"]["objects"] == files.len(), "{}: not every fixture was read", folder.display());
    for file in files {
        let own = file.trim_end_matches(".yaml").trim_end_matches(|char: char| char.is_ascii_digit());
        for &(check, policy, severities) in CHECKS {
            // A Pod that fails one check may pass or fail the others. A Pod that passes a level passes all of its
            // checks.
            let of_level = level == "restricted" || !RESTRICTED.contains(&check);
            let since = match check {
                "allowprivilegeescalation" => 8,
                "runasuser" => 23,
                "seccompprofile_restricted" => 19,
                _ => 0,
            };
            if !of_level || minor < since || !(passes || own == check) {
                continue;
            }
            // The standards have two checks about root, and Plimsoll has one policy. One result must not hide the
            // other.
            let fails = severities.iter().any(|&severity| {
                found.get(file.as_str()).is_some_and(|findings| findings.contains(&(policy, severity)))
            });
            part.compared += 1;
            if fails == passes {
                part.differences.push((check, (level.to_owned(), minor, passes, file.clone())));
            }
        }
    }
    Ok(part)
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let read = std::fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut names = read
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}
