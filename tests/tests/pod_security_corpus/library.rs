//! Kubernetes' own library of the Pod Security Standards, run over every workload of our cases and of the outside
//! corpora. Our policies must agree with it. `tests/tools/pod-security` runs the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use plimsoll::yaml;
use plimsoll_tests::{corpus, files, plimsoll_binary};
use serde_json::{Value, json};

use super::CONFIG;

/// Version of the standards, for the library and for our policies.
const VERSION: &str = "1.36";

/// Number of objects in a run. An unreadable object must not hide the others.
const BATCH: usize = 500;

/// A policy, the severities of its relevant findings, and the checks that it covers together.
const COVERED: &[(&str, &[&str], &[&str])] = &[
    ("privilege-escalation", &["error", "warning", "info"], &["allowprivilegeescalation"]),
    ("runs-as-root", &["error", "warning", "info"], &["runasnonroot", "runasuser"]),
    ("missing-seccomp-profile", &["error", "warning"], &["seccompprofile_baseline", "seccompprofile_restricted"]),
    ("privileged-container", &["error"], &["privileged", "windowshostprocess"]),
    ("host-namespaces", &["error"], &["hostnamespaces"]),
    ("host-path", &["error"], &["hostpathvolumes"]),
    ("host-port", &["error"], &["hostports"]),
    ("dangerous-capabilities", &["error"], &["capabilities_baseline"]),
];

/// Intended differences: a test for such objects, the policies, and the reason.
type Difference = (fn(&Object) -> bool, &'static [&'static str], &'static str);

const DIFFERENCES: &[Difference] = &[
    (
        |object| object.says("image", "auto"),
        &["privilege-escalation", "runs-as-root", "missing-seccomp-profile"],
        "an injection fills in the missing fields, and the standards check the resulting Pod",
    ),
    (
        |object| object.pod.to_string().contains("\"hostProcess\":true"),
        &["privilege-escalation", "runs-as-root", "missing-seccomp-profile"],
        "these fields have no effect on a process of a Windows node; privileged-container has the relevant finding",
    ),
    (
        |object| object.pod["spec"].to_string().contains("windows"),
        &["privilege-escalation", "runs-as-root", "missing-seccomp-profile"],
        "the library recognises Windows by spec.os only, and Plimsoll also by the requested nodes",
    ),
    (
        |object| object.pod["spec"]["hostNetwork"] == true,
        &["host-port"],
        "every port of such a Pod is a port of its node, which host-namespaces reports",
    ),
    (
        |object| object.containers().all(|container| container.get("image").is_none()),
        &["privilege-escalation", "runs-as-root", "missing-seccomp-profile"],
        "without an image the document is a patch, and the API server refuses it as an object",
    ),
    (
        |object| object.containers().any(|container| container["securityContext"]["privileged"] == true),
        &["dangerous-capabilities"],
        "a privileged container has every capability, which privileged-container reports",
    ),
];

struct Object {
    /// Source of the object.
    from: String,
    value: Value,
    pod: Value,
}

impl Object {
    /// Whether a container has this field with this value.
    fn says(&self, field: &str, value: &str) -> bool {
        self.containers().any(|container| container[field] == value)
    }

    fn containers(&self) -> impl Iterator<Item = &Value> {
        let lists = ["containers", "initContainers"].map(|list| self.pod["spec"][list].as_array());
        lists.into_iter().flatten().flatten()
    }
}

#[test]
fn our_policies_agree_with_the_library_on_every_workload() -> Result<()> {
    let objects = objects()?;
    ensure!(objects.len() > 800, "only {} workloads were found", objects.len());
    let answers = ask(&objects)?;
    let (mut compared, mut surprises, mut used) = (0, String::new(), BTreeSet::new());
    for (objects, answers) in objects.chunks(BATCH).zip(answers.chunks(BATCH)) {
        let found = check(objects)?;
        for ((number, object), answer) in objects.iter().enumerate().zip(answers) {
            // An object that is no Pod has no answer, because the API server refuses it.
            if answer.is_empty() {
                continue;
            }
            for &(policy, severities, checks) in COVERED {
                let passes = checks.iter().all(|check| answer.get(*check) == Some(&true));
                let fails = severities.iter().any(|severity| {
                    let finding = (policy.to_owned(), (*severity).to_owned());
                    found.get(&number).is_some_and(|findings| findings.contains(&finding))
                });
                compared += 1;
                if fails != passes {
                    continue;
                }
                let is_known = |known: &Difference| known.1.contains(&policy) && known.0(object);
                match DIFFERENCES.iter().position(is_known) {
                    Some(known) => drop(used.insert(known)),
                    None => writeln!(surprises, "{policy} {} there: {} {}", verb(passes), object.from, object.value)?,
                }
            }
        }
    }
    println!("{compared} verdicts on {} workloads", objects.len());
    let count = surprises.lines().count();
    ensure!(count == 0, "{count} of {compared} verdicts differ:\n{surprises}");
    ensure!(used.len() == DIFFERENCES.len(), "a listed difference no longer exists");
    Ok(())
}

fn verb(passes: bool) -> &'static str {
    if passes { "passes" } else { "fails" }
}

/// Every workload of the policies' cases, and of the corpora if they exist.
fn objects() -> Result<Vec<Object>> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/cases");
    let mut texts = Vec::new();
    for file in files(&cases, "md")? {
        let text = std::fs::read_to_string(&file)?;
        let mut parts = text.split("```yaml");
        parts.next();
        for part in parts {
            let (info, rest) = part.split_once('\n').context("a fence")?;
            // Fixed inputs are included. Inputs for old versions are not.
            if !info.contains("settings") && !info.contains("version=") {
                texts.push((name(&file), rest.split("\n```").next().unwrap_or_default().to_owned()));
            }
        }
    }
    if let Some(corpus) = corpus() {
        for folder in ["charts", "gatekeeper-library"] {
            for file in files(&corpus.join(folder), "yaml")? {
                texts.push((name(&file), std::fs::read_to_string(&file)?));
            }
        }
    }
    let mut objects = Vec::new();
    for (from, text) in texts {
        for document in yaml::read(&text).into_iter().flatten() {
            let value = document.value().clone();
            if let Some(pod) = pod(&value) {
                objects.push(Object { from: from.clone(), value, pod });
            }
        }
    }
    Ok(objects)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The Pod that a workload of Kubernetes creates.
fn pod(object: &Value) -> Option<Value> {
    let template = match (object["apiVersion"].as_str()?, object["kind"].as_str()?) {
        ("v1", "Pod") => object,
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") | ("batch/v1", "Job") => {
            &object["spec"]["template"]
        }
        ("batch/v1", "CronJob") => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => return None,
    };
    template["spec"]["containers"].as_array()?;
    Some(json!({"metadata": template["metadata"], "spec": template["spec"]}))
}

/// The checks that each object passes, by the library.
fn ask(objects: &[Object]) -> Result<Vec<BTreeMap<String, bool>>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/pod-security");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pod-security");
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(&source).env("GOWORK", "off");
    let built = build.status().context("Go is needed to build tests/tools/pod-security, and there is none on PATH")?;
    ensure!(built.success(), "tests/tools/pod-security does not build; the message is above");
    let mut judge = Command::new(&program)
        .arg(VERSION)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("pod-security did not start")?;
    let mut pods = judge.stdin.take().context("an input")?;
    let text: String = objects.iter().map(|object| format!("{}\n", object.pod)).collect();
    let writer = std::thread::spawn(move || pods.write_all(text.as_bytes()));
    let output = judge.wait_with_output()?;
    ensure!(output.status.success(), "pod-security failed");
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    let answers: Vec<BTreeMap<String, bool>> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>()?;
    ensure!(answers.len() == objects.len(), "{} answers to {} Pods", answers.len(), objects.len());
    Ok(answers)
}

/// Policies and severities of our findings, by the number of the object. Each object has its own folder.
fn check(objects: &[Object]) -> Result<BTreeMap<usize, BTreeSet<(String, String)>>> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, CONFIG)?;
    for (number, object) in objects.iter().enumerate() {
        let own = folder.path().join("k").join(number.to_string());
        std::fs::create_dir_all(&own)?;
        let mut value = object.value.clone();
        // Annotations of a case, which may ignore a policy, are not compared.
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("annotations");
            metadata.insert("namespace".to_owned(), format!("n{number}").into());
        }
        std::fs::write(own.join("object.json"), value.to_string())?;
    }
    let mut command = Command::new(plimsoll_binary()?);
    command.args(["check", "--format=json", "--world=open", "--exit-zero", "--config"]).arg(&config);
    command.arg(format!("--kubernetes-version={VERSION}")).arg("k").current_dir(folder.path());
    let output = command.output().context("plimsoll check can't be run")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("no JSON: {stderr}"))?;
    ensure!(report["errors"] == json!([]), "{}", report["errors"]);
    let mut found = BTreeMap::<usize, BTreeSet<(String, String)>>::new();
    for finding in report["findings"].as_array().context("no findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        let number = text("file").split('/').nth(1).and_then(|part| part.parse().ok()).context("a number")?;
        found.entry(number).or_default().insert((text("policy"), text("severity")));
    }
    Ok(found)
}
