//! Answers of the real API server for the objects of all cases. First, the API server itself reports the findings of
//! policies that run over files alone. Second, if it accepts a workload, it also accepts the Pods, or a policy has a
//! finding.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use plimsoll::context::Context;
use plimsoll::context::files::{Files, Objects};
use plimsoll::judge;
use plimsoll::registry::Site;
use plimsoll_sdk::metadata::{Severity, Stage};
use plimsoll_tests::{ControlPlane, Namespace, Options};
use serde_json::{Value, json};

use plimsoll_cases::{Bench, Case, admission_review, documents, review};

/// An API server that accepts every field of the newest known version of Kubernetes.
pub(crate) fn control_plane() -> Result<&'static ControlPlane> {
    static CONTROL_PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    let options = || Options {
        api_server_arguments: vec!["--feature-gates=MaxUnavailableStatefulSet=true".to_owned()],
        ..Options::default()
    };
    let started = CONTROL_PLANE.get_or_init(|| ControlPlane::start(&options()).map_err(|error| format!("{error:#}")));
    started.as_ref().map_err(|error| anyhow::anyhow!("the control plane did not start: {error}"))
}

/// Policies that run over files alone for a reason other than that the API server reports the same.
const FILES_ALONE: &[(&str, &str)] = &[
    ("config-change-without-rollout", "the webhook has no right to read every ConfigMap of a cluster"),
    ("declared-twice", "the API server sees one version after the other, and accepts both"),
    ("autoscaler-without-metric", "the API server fills in the metric, so it is never missing in the cluster"),
];

/// Refusals of a Pod that are not the fault of the workload: the missing objects are not part of the case.
const MISSING: &[&str] = &["no PriorityClass with name", "RuntimeClass \"", "pod rejected: RuntimeClass"];

/// Compares every finding of every policy of stage `source` with the API server, which must name the place in a refusal
/// or a warning.
pub(crate) fn says_it_itself(cases: &[Arc<Case>]) -> Result<(usize, Vec<String>)> {
    let control_plane = self::control_plane()?;
    let is_source = |case: &&Arc<Case>| {
        let mut policies = plimsoll_policies::POLICIES.iter();
        policies.any(|policy| policy.id == case.file && (policy.metadata)().stage == Stage::Source)
            && FILES_ALONE.iter().all(|(id, _)| *id != case.file)
    };
    let version = control_plane.kubectl().ok(&["get", "--raw", "/version"])?;
    let version: Value = serde_json::from_str(&version).context("/version")?;
    let version = version["gitVersion"].as_str().context("gitVersion")?.to_owned();
    let (mut held, mut silent) = (0, Vec::new());
    for case in cases.iter().filter(is_source).filter(|case| !case.deleted) {
        // With the version of the tested API server.
        let case = &Case {
            version: Some(version.clone()),
            file: case.file.clone(),
            title: case.title.clone(),
            input: case.input.clone(),
            context: case.context.clone(),
            settings: case.settings.clone(),
            old: case.old.clone(),
            open: case.open,
            skipped: case.skipped,
            ..Case::default()
        };
        let bench = Bench::new(case, Site::Files)?;
        for object in documents(&case.input)? {
            let findings = bench.report(review(case, &object)?)?.findings;
            if findings.is_empty() {
                continue;
            }
            let Some(said) = answer(control_plane, case, &object)? else { continue };
            for finding in findings {
                let place = written(&finding.at.full());
                match names(&said, &place) {
                    true => held += 1,
                    false => silent.push(format!(
                        "{}: {} (on the API server)\nit does not say of {place} what runs over files alone says: {}\n{said}",
                        case.file, case.title, finding.message
                    )),
                }
            }
        }
    }
    Ok((held, silent))
}

/// The answer of the API server about an object: refusals and warnings. `None` if it does not know the kind.
fn answer(control_plane: &ControlPlane, case: &Case, object: &Value) -> Result<Option<String>> {
    let namespace = Namespace::new(control_plane, "source")?;
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("namespace");
    }
    let kubectl = namespace.kubectl();
    let verb = match case.old.as_deref().map(documents).transpose()?.and_then(|old| old.into_iter().next()) {
        Some(mut old) => {
            if let Some(metadata) = old.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("namespace");
            }
            // `apply` removes only fields that an earlier `apply` set.
            let create = ["create", "--save-config", "--filename=-"];
            kubectl.run(&create, Some(&old.to_string()))?.ok().context("the old object")?;
            "apply"
        }
        None => "create",
    };
    let output = kubectl.run(&[verb, "--dry-run=server", "--filename=-"], Some(&object.to_string()))?;
    Ok((!output.stderr.contains("no matches for kind")).then_some(output.stderr))
}

/// A pointer in the notation of the API server: `spec.template.spec.containers[0].env[1].name`.
fn written(pointer: &str) -> String {
    let mut text = String::new();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(index) => text.push_str(&format!("[{index}]")),
            Err(_) if text.is_empty() => text.push_str(part),
            Err(_) => text.push_str(&format!(".{part}")),
        }
    }
    text
}

/// Whether a text names a place, a place within it, or the place directly around it.
fn names(text: &str, place: &str) -> bool {
    // If the whole spec is immutable, the API server names no field.
    if text.contains(": spec: Forbidden") && place.starts_with("spec.") {
        return true;
    }
    let around = place.rfind(['.', '[']).map_or("", |end| &place[..end]);
    // The last name of a list of names, without its index.
    let mut places =
        text.split(|char: char| char.is_whitespace() || char == '"').map(|word| word.trim_end_matches([':', ',']));
    places.any(|word| {
        // For values that cannot be decoded, the API server names the type around them.
        word.starts_with(place)
            || word.ends_with(&format!(".{place}"))
            || (!around.is_empty() && (word == around || word.starts_with(&format!("{around}.{{"))))
    })
}

/// Creates the Pod of every accepted workload, as its controller would. If a Pod is refused, some policy must have an
/// error, over files and in the cluster.
pub(crate) fn takes_the_pods(stored: &[(&Case, &Value, &Value)]) -> Result<(usize, Vec<String>)> {
    let control_plane = self::control_plane()?;
    let mut wanted = Vec::new();
    for &(case, object, stored) in stored {
        if let Some(pod) = pod(stored) {
            wanted.push((case, object, stored, pod));
        }
    }
    let texts: Vec<String> = wanted.iter().map(|(.., pod)| pod.to_string()).collect();
    let (mut tried, mut unsaid) = (0, Vec::new());
    for ((case, object, stored, _), answer) in wanted.iter().zip(control_plane.defaulted_all(&texts)?) {
        tried += 1;
        let Err(refusal) = answer else { continue };
        if MISSING.iter().any(|missing| refusal.contains(missing)) {
            continue;
        }
        for site in [Site::Files, Site::Cluster] {
            if !has_error(case, object, stored, site)? {
                let kind = object["kind"].as_str().unwrap_or_default();
                unsaid.push(format!(
                    "{}: {} (Pods on the API server)\nthe API server accepts the {kind} and refuses its Pod, and no policy has an error \
                     ({site:?}): {refusal}",
                    case.file, case.title
                ));
            }
        }
    }
    Ok((tried, unsaid))
}

/// Whether some policy has an error in the Pod template.
fn has_error(case: &Case, object: &Value, stored: &Value, site: Site) -> Result<bool> {
    let policies: Vec<Value> = plimsoll_policies::POLICIES.iter().map(|policy| json!({"id": policy.id})).collect();
    let set = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "all"},
        "spec": {"profile": "none", "policies": policies},
    });
    let registry = Bench::registry(Bench::engine()?, &set.to_string(), None, site)?;
    let objects = Objects::new(registry.context_kinds(), Arc::clone(registry.workloads()));
    let context: Arc<dyn Context> = Arc::new(Files::new(!case.open, Arc::new(objects)));
    let review = match site {
        Site::Files => review(case, object)?,
        Site::Cluster => admission_review(stored, None, Some(object))?,
    };
    let verdict = judge::validate(&registry, &Arc::new(review), &context, Instant::now() + Duration::from_secs(10));
    Ok(verdict.judged.iter().any(|judged| {
        judged.finding.severity == Severity::Error && judged.finding.message.contains("rejects the Pods")
    }))
}

/// The Pod that the controller of a stored workload creates.
fn pod(stored: &Value) -> Option<Value> {
    let template = match stored["kind"].as_str()? {
        "CronJob" => stored.pointer("/spec/jobTemplate/spec/template")?,
        "Pod" => return None,
        _ => stored.pointer("/spec/template").filter(|template| template["spec"]["containers"].is_array())?,
    };
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
        "metadata": {"generateName": "tried-", "namespace": stored["metadata"]["namespace"]},
    });
    for member in ["labels", "annotations"] {
        if let Some(value) = template["metadata"].get(member).filter(|value| value.is_object()) {
            pod["metadata"][member] = value.clone();
        }
    }
    let label = match stored["kind"].as_str()? {
        "Deployment" => "pod-template-hash",
        "Rollout" => "rollouts-pod-template-hash",
        "StatefulSet" | "DaemonSet" => "controller-revision-hash",
        _ => "tried",
    };
    pod["metadata"]["labels"][label] = "5d4f8c7b9".into();
    for claim in stored["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let name = &claim["metadata"]["name"];
        let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
        match pod["spec"]["volumes"].as_array_mut() {
            // The claim template replaces a volume of the same name.
            Some(volumes) => {
                volumes.retain(|other| other["name"] != *name);
                volumes.push(volume);
            }
            None => pod["spec"]["volumes"] = json!([volume]),
        }
    }
    Some(pod)
}
