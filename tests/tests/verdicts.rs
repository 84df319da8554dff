//! `plimsoll check` and the cluster agree: the same manifests both ways, compared by policy, action and path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{
    ControlPlane, Manifest, Namespace, Options, WORKLOADS, Webhook, WebhookOptions, causes, container, denied_policies,
    plimsoll_binary,
};
use serde_json::{Value, json};

/// Name and `spec` of each ClusterPolicySet.
const CONFIGS: &[(&str, &str)] = &[
    ("default", "{mode: enforce, profile: default}"),
    ("mutate", "{mode: enforce, profile: mutate}"),
    ("production", "{mode: enforce, profile: production}"),
    // The causes of a denial are complete. With Deny, infos and warnings are compared by their paths too.
    (
        "strict",
        "{mode: enforce, profile: default, severities: [{name: error, action: Deny}, {name: warning, action: Deny}, {name: info, action: Deny}]}",
    ),
];

/// Everything is admitted, so that the completed objects are visible.
const SILENT: &str = "{mode: enforce, profile: mutate, severities: [{name: error, action: Audit}, {name: warning, action: Audit}, \
                      {name: info, action: Audit}]}";

fn config(spec: &str) -> String {
    format!("apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: set}}\nspec: {spec}\n")
}

type Flaw = (&'static str, fn(Manifest) -> Manifest);

/// Problems of every kind of workload.
const FLAWS: &[Flaw] = &[
    ("latest", |it| it.pod("/containers/0/image", json!("registry.example.com/shop:latest"))),
    ("untagged", |it| it.pod("/containers/0/image", json!("localhost:5000/shop"))),
    ("no-resources", |it| it.pod("/containers/0/resources", Value::Null)),
    ("no-cpu", |it| it.pod("/containers/0/resources", json!({"requests": {"memory": "64Mi"}}))),
    ("zero-memory", |it| it.pod("/containers/0/resources/requests/memory", json!("0"))),
    ("limits", |it| it.pod("/containers/0/resources", json!({"limits": {"cpu": "2", "memory": "1Gi"}}))),
    ("odd-limits", |it| it.pod("/containers/0/resources", json!({"limits": {"cpu": 0.3, "memory": "1e8"}}))),
    ("pod-resources", |it| {
        it.pod("/resources", json!({"requests": {"cpu": "1", "memory": "1Gi"}}))
            .pod("/containers/0/resources", json!({}))
    }),
    ("ratio", |it| it.pod("/containers/0/resources/limits/memory", json!("2Gi"))),
    ("no-readiness", |it| it.pod("/containers/0/readinessProbe", Value::Null)),
    ("no-port", |it| it.pod("/containers/0/readinessProbe", Value::Null).pod("/containers/0/ports", Value::Null)),
    ("same-probes", |it| {
        it.pod("/containers/0/livenessProbe", json!({"httpGet": {"path": "/health/ready", "port": 8080}}))
    }),
    ("patient", |it| {
        let probe = json!({"httpGet": {"path": "/health/ready", "port": 8080}, "failureThreshold": 9});
        it.pod("/containers/0/livenessProbe", probe)
    }),
    ("root", |it| it.pod("/securityContext/runAsUser", json!(0))),
    ("root-allowed", |it| it.pod("/containers/0/securityContext/runAsNonRoot", json!(false))),
    ("user-known", |it| it.pod("/securityContext/runAsNonRoot", Value::Null)),
    ("escalates", |it| it.pod("/containers/0/securityContext/allowPrivilegeEscalation", json!(true))),
    ("may-escalate", |it| it.pod("/containers/0/securityContext", Value::Null)),
    ("privileged", |it| it.pod("/containers/0/securityContext", json!({"privileged": true}))),
    ("host-network", |it| it.pod("/hostNetwork", json!(true))),
    ("host-path", |it| it.pod("/volumes", json!([{"name": "logs", "hostPath": {"path": "/var/log"}}]))),
    ("capabilities", |it| it.pod("/containers/0/securityContext/capabilities", json!({"add": ["NET_ADMIN"]}))),
    ("no-seccomp", |it| it.pod("/securityContext/seccompProfile", Value::Null)),
    ("unconfined", |it| it.pod("/securityContext/seccompProfile", json!({"type": "Unconfined"}))),
    ("sidecar", |it| {
        let mut sidecar = container("sidecar", 9090);
        sidecar["restartPolicy"] = "Always".into();
        sidecar["readinessProbe"].take();
        it.pod("/initContainers", json!([sidecar, {"name": "init", "image": "a/b"}]))
    }),
    ("second", |it| {
        it.container("second", 9191).pod("/containers/1/resources", json!({})).pod("/containers/1/image", json!("b"))
    }),
    // The API server refuses this one in combination with most others, so it is the last.
    ("windows", |it| {
        it.pod("/os", json!({"name": "windows"}))
            .pod("/securityContext", json!({"runAsNonRoot": false}))
            .pod("/containers/0/securityContext", Value::Null)
    }),
];

/// Problems of a Deployment only.
const ROLLOUTS: &[Flaw] = &[
    ("defaults-of-one", |it| it.with("/spec/strategy", Value::Null).with("/spec/replicas", json!(1))),
    ("defaults-of-four", |it| it.with("/spec/strategy", Value::Null).with("/spec/replicas", json!(4))),
    ("written-defaults", |it| {
        let written = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
        it.with("/spec/strategy/rollingUpdate", written).with("/spec/replicas", json!(8))
    }),
    ("empty-strategy", |it| it.with("/spec/strategy", json!({})).with("/spec/replicas", json!(9))),
    ("surge-0", |it| it.with("/spec/strategy/rollingUpdate", json!({"maxSurge": 0})).with("/spec/replicas", json!(1))),
    ("half", |it| {
        it.with("/spec/strategy/rollingUpdate", json!({"maxUnavailable": "50%"})).with("/spec/replicas", json!(2))
    }),
    ("all", |it| it.with("/spec/strategy/rollingUpdate", json!({"maxUnavailable": 3}))),
    ("recreate", |it| it.with("/spec/strategy", json!({"type": "Recreate"}))),
    ("nobody-says", |it| {
        it.with("/spec/replicas", Value::Null).with("/spec/strategy/rollingUpdate/maxUnavailable", json!(1))
    }),
    ("slow-start", |it| {
        it.pod("/containers/0/startupProbe", json!({"tcpSocket": {"port": 8080}, "failureThreshold": 90}))
    }),
    ("cut-short", |it| it.pod("/terminationGracePeriodSeconds", json!(5))),
    ("spread", |it| {
        let others = json!({"matchLabels": {"app": "other"}});
        let hosts = json!({"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "labelSelector": others,
            "whenUnsatisfiable": "ScheduleAnyway"});
        it.pod("/topologySpreadConstraints", json!([hosts]))
    }),
    ("unspread", |it| it.pod("/affinity", Value::Null)),
    ("hard-spread", |it| {
        let own = json!({"matchLabels": {"app": "hard-spread"}});
        let hosts = json!({"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "labelSelector": own,
            "whenUnsatisfiable": "DoNotSchedule"});
        it.with("/spec/selector", own.clone())
            .with("/spec/template/metadata/labels/app", json!("hard-spread"))
            .pod("/topologySpreadConstraints", json!([hosts]))
    }),
    ("own-node", |it| {
        let own = json!({"matchLabels": {"app": it.name()}});
        let term = json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": own});
        it.pod("/affinity/podAntiAffinity", json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]}))
    }),
    ("no-history", |it| it.with("/spec/revisionHistoryLimit", json!(0))),
    ("much-history", |it| it.with("/spec/revisionHistoryLimit", json!(100))),
    ("no-deadline", |it| it.with("/spec/progressDeadlineSeconds", json!(2_147_483_647))),
    ("paused", |it| it.with("/spec/paused", json!(true))),
    ("host-port", |it| it.pod("/containers/0/ports/0/hostPort", json!(8080))),
    ("surge", |it| it.with("/spec/strategy/rollingUpdate/maxSurge", json!("300%"))),
    ("tcp-hook", |it| it.pod("/containers/0/lifecycle/preStop", json!({"tcpSocket": {"port": 8080}}))),
    ("deadline", |it| {
        it.with("/spec/progressDeadlineSeconds", json!(5))
            .pod("/containers/0/readinessProbe/initialDelaySeconds", json!(30))
    }),
];

/// Good objects, each problem in two kinds, and mixtures.
fn manifests() -> Vec<Manifest> {
    let mut all: Vec<_> =
        WORKLOADS.iter().map(|kind| Manifest::good(kind, &format!("good-{}", kind.to_lowercase()))).collect();
    for (index, (name, flaw)) in FLAWS.iter().enumerate() {
        for turn in [index, index + 3] {
            let kind = WORKLOADS[turn % WORKLOADS.len()];
            all.push(flaw(Manifest::good(kind, &format!("{name}-{}", kind.to_lowercase()))));
        }
    }
    for (name, flaw) in ROLLOUTS {
        all.push(flaw(Manifest::good("Deployment", name)));
    }
    for index in 0..24 {
        let kind = WORKLOADS[index % WORKLOADS.len()];
        let mut mixed = Manifest::good(kind, &format!("mixed-{index}"));
        for turn in [index, index * 5 + 3, index * 7 + 11, index * 11 + 2] {
            mixed = FLAWS[turn % (FLAWS.len() - 1)].1(mixed);
        }
        all.push(if kind == "Deployment" { ROLLOUTS[index % ROLLOUTS.len()].1(mixed) } else { mixed });
    }
    all
}

/// The messages about one object.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// `id  path: problem`
    denied: BTreeSet<String>,
    /// `id  path: problem → what to write`
    warned: BTreeSet<String>,
    /// The places of filled-in values.
    completed: BTreeSet<String>,
}

#[test]
fn check_says_what_the_cluster_says() -> Result<()> {
    let manifests = manifests();
    ensure!(manifests.len() >= 80);
    let control_plane = ControlPlane::start(&Options::default())?;
    let namespace = Namespace::new(&control_plane, "verdicts")?;
    let alone = control_plane.defaulted_all(&placed(&manifests, namespace.name()))?;

    let folder = tempfile::tempdir()?;
    for manifest in &manifests {
        std::fs::write(folder.path().join(format!("{}.json", manifest.name())), manifest.to_string())?;
    }
    let mut differences = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, spec) in CONFIGS {
        let ours = check(folder.path(), spec)?;
        let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(&config(spec)))?;
        for manifest in &manifests {
            let ours = &ours[manifest.name()];
            seen.extend(
                ours.denied.union(&ours.warned).filter_map(|line| line.split_whitespace().next().map(str::to_owned)),
            );
            if let Some(difference) = compare(&namespace, manifest, ours)? {
                differences.push(format!("{}, {name}:\n{difference}", manifest.name()));
            }
        }
    }
    ensure!(differences.is_empty(), "{} differences\n\n{}", differences.len(), differences.join("\n\n"));
    // All policies except those that read other objects, which are not known here.
    ensure!(seen.len() == 30, "some policy has no finding: {seen:?}");

    let ours = check(folder.path(), SILENT)?;
    let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(&config(SILENT)))?;
    let mut completed = 0;
    for (manifest, alone) in manifests.iter().zip(alone) {
        let alone = alone.map_err(|refusal| anyhow::anyhow!("{}: {refusal}", manifest.name()))?;
        let arguments = ["apply", "--dry-run=server", "--output=json", "--filename=-"];
        let output = namespace.kubectl().run(&arguments, Some(&manifest.to_string()))?.ok()?;
        let mut theirs = BTreeSet::new();
        changed("/spec", &alone["spec"], &serde_json::from_str::<Value>(&output)?["spec"], &mut theirs);
        // A Pod gets a token volume with a random name, and a Job gets labels with its uid.
        theirs.retain(|path| {
            !path.contains("/volumes") && !path.contains("/volumeMounts") && !path.contains("controller-uid")
        });
        let ours = &ours[manifest.name()].completed;
        completed += ours.len();
        // A finding about two fields is reported at one of them.
        theirs.retain(|path| !path.ends_with("/rollingUpdate/maxSurge"));
        let of_memory = theirs.iter().filter_map(|path| path.strip_suffix("/requests/memory"));
        let beside: BTreeSet<String> = of_memory.map(|list| format!("{list}/requests/cpu")).collect();
        theirs.retain(|path| ours.contains(path) || !beside.contains(path));
        if *ours != theirs {
            differences.push(format!("{}: check completes {ours:#?}, the cluster {theirs:#?}", manifest.name()));
        }
    }
    ensure!(differences.is_empty(), "{} differences\n\n{}", differences.len(), differences.join("\n\n"));
    ensure!(completed > 20, "only {completed} places were completed");
    Ok(())
}

fn placed(manifests: &[Manifest], namespace: &str) -> Vec<String> {
    manifests.iter().map(|it| it.clone().with("/metadata/namespace", json!(namespace)).to_string()).collect()
}

/// The findings of `plimsoll check`, by the name of the object. The world is closed, because the namespace has no other
/// objects.
fn check(folder: &Path, spec: &str) -> Result<BTreeMap<String, Said>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), config(spec))?;
    let mut command = Command::new(plimsoll_binary()?);
    command.args(["check", "--format=json", "--world=closed", "--exit-zero", "--config"]).arg(file.path()).arg(folder);
    let output = command.output().context("plimsoll check can't be run")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let mut said: BTreeMap<String, Said> = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().trim_end_matches(".json").to_owned();
        said.insert(name, Said::default());
    }
    for finding in report["findings"].as_array().context("no findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        // Over a complete set of files, findings about missing objects count at once. In the cluster, the object may
        // still come.
        if finding["policy"] == "missing-disruption-budget" {
            continue;
        }
        let name = finding["object"]["name"].as_str().context("no name")?;
        let object: Value = serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json")))?)?;
        let said = said.get_mut(name).context("a finding about an unknown object")?;
        let path = named(&object, &text("path"));
        let line = format!("{}  {path}: {}", text("policy"), text("message"));
        match (finding["defaulted"] == true, text("action").as_str()) {
            (true, _) => drop(said.completed.insert(text("path"))),
            (false, "Deny") => drop(said.denied.insert(line)),
            (false, "Warn") => drop(said.warned.insert(format!("{line} → {}", text("help")))),
            _ => {}
        }
    }
    Ok(said)
}

/// A pointer in the notation of messages: list items by their merge key.
fn named(object: &Value, pointer: &str) -> String {
    let (mut path, mut at) = (String::new(), object);
    for token in pointer.split('/').skip(1) {
        match at {
            Value::Array(items) => {
                at = token.parse::<usize>().ok().and_then(|index| items.get(index)).unwrap_or(&Value::Null);
                let port = at["containerPort"].as_i64().map(|port| port.to_string());
                let key = at["name"].as_str().or(port.as_deref()).or(at["topologyKey"].as_str());
                path.push_str(&format!("[{}]", key.unwrap_or(token)));
            }
            other => {
                at = &other[token];
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(token);
            }
        }
    }
    path
}

/// Applies one object as a dry run. Returns the differences, if there are any.
fn compare(namespace: &Namespace, manifest: &Manifest, ours: &Said) -> Result<Option<String>> {
    // `-v=4` logs the causes of a denial.
    let arguments = ["apply", "--dry-run=server", "--filename=-", "-v=4"];
    let output = namespace.kubectl().run(&arguments, Some(&manifest.to_string()))?;
    let sorted = |lines: &BTreeSet<String>| lines.iter().cloned().collect::<Vec<_>>().join("\n    ");
    let said = || format!("  check denies\n    {}\n  and warns\n    {}", sorted(&ours.denied), sorted(&ours.warned));
    let differs = || Ok(Some(format!("{}\n  the cluster says\n{}", said(), output.stderr.trim_end())));
    let mut denied = BTreeSet::new();
    if !output.status.success() {
        let named = denied_policies(&output.stderr);
        let named =
            named.with_context(|| format!("another component refused {}: {}", manifest.name(), output.stderr))?;
        let causes = causes(&output.stderr).context("no causes")?;
        let is_named = |[id, ..]: &[String; 3]| named.contains(id) || output.stderr.contains(" further policies\n");
        ensure!(causes.iter().all(is_named), "not every cause is in the message: {}", output.stderr);
        denied.extend(causes.into_iter().map(|[id, path, message]| format!("{id}  {path}: {message}")));
    }
    if denied == ours.denied && are_warned(&ours.warned, &output.stderr) { Ok(None) } else { differs() }
}

/// Whether these are the warnings. At most ten are shown, and the others are counted.
fn are_warned(ours: &BTreeSet<String>, stderr: &str) -> bool {
    let warnings = stderr.lines().filter_map(|line| line.strip_prefix("Warning: "));
    let (more, shown): (Vec<_>, Vec<_>) = warnings.partition(|warning| warning.starts_with('+'));
    let more =
        more.iter().filter_map(|more| more.strip_prefix('+')?.split_once(' ')?.0.parse::<usize>().ok()).sum::<usize>();
    let is_ours = |warning: &&str| ours.iter().any(|line| shortens(warning, line));
    let is_shown = |line: &&String| shown.iter().any(|warning| shortens(warning, line));
    shown.len() + more == ours.len() && shown.iter().all(is_ours) && ours.iter().filter(is_shown).count() >= shown.len()
}

/// Whether a warning, which has at most 120 characters, is this line without the parts that did not fit: path and help.
fn shortens(warning: &str, line: &str) -> bool {
    let Some((id, rest)) = line.split_once("  ") else { return false };
    let without_path = rest.split_once(": ").map_or(rest, |(_, rest)| rest);
    let start = warning.strip_suffix('…').unwrap_or(warning);
    [rest, without_path].iter().any(|text| format!("{id}: {text}").starts_with(start))
}

/// The leaves that differ.
fn changed(path: &str, before: &Value, after: &Value, into: &mut BTreeSet<String>) {
    match (before, after) {
        (Value::Object(_) | Value::Null, Value::Object(right)) => {
            for (key, value) in right {
                changed(&format!("{path}/{key}"), &before[key], value, into);
            }
            for key in
                before.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| !right.contains_key(*key))
            {
                into.insert(format!("{path}/{key}"));
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                changed(&format!("{path}/{index}"), left, right, into);
            }
        }
        _ if before == after => {}
        _ => drop(into.insert(path.to_owned())),
    }
}
