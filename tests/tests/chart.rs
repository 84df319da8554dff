//! The chart without a cluster: helm lint, the rendered objects, and Plimsoll's verdict on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::{Helm, plimsoll_binary};
use serde_json::{Value, json};

const IMAGE: &str = "image.repository=registry.example.com/plimsoll";
const DIGEST: &str = "image.digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Common values, each beside the image.
const COMBINATIONS: [&[&str]; 12] = [
    &[],
    &["image.tag=1.2.3", DIGEST],
    &[DIGEST],
    &["policySet.mode=enforce", "policySet.profile=mutate", "policySet.policiesAsOf=0.1"],
    &["replicas=5", "onlyNamespaces={shop,bank}", "threads=0", "writeBudgets=true", "extraArgs={--max-concurrent=64}"],
    &["certificates.existingSecret=webhook-tls", "logs.filter=debug", "logs.format=text"],
    &["certificates.certManager.enabled=true", "certificates.certManager.issuerRef.name=internal"],
    &["networkPolicy.enabled=false", "serviceMonitor.enabled=true", "serviceMonitor.labels.release=prometheus"],
    &[
        "networkPolicy.apiServerCIDRs={192.0.2.0/24,2001:db8::/32}",
        "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
    ],
    &["priorityClassName=system-cluster-critical", "nodeSelector.disk=ssd", "tolerations[0].operator=Exists"],
    &["fullnameOverride=load-line", "nameOverride=line", "podLabels.team=a", "podAnnotations.note=b"],
    &[
        "imagePullSecrets[0].name=pull",
        "topologySpreadConstraints[0].maxSkew=1",
        "topologySpreadConstraints[0].topologyKey=kubernetes.io/hostname",
        "topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
        "topologySpreadConstraints[0].labelSelector.matchLabels.app\\.kubernetes\\.io/name=plimsoll",
    ],
];

#[test]
fn every_combination_is_clean() -> Result<()> {
    let helm = Helm::offline()?;
    let chart = Helm::chart().display().to_string();
    let folder = tempfile::tempdir()?;
    for values in COMBINATIONS {
        let sets: Vec<_> = [&IMAGE].into_iter().chain(values).flat_map(|value| ["--set", value]).collect();
        helm.ok(&[&["lint", "--strict", &chart], sets.as_slice()].concat()).with_context(|| format!("{values:?}"))?;
        let rendered =
            helm.ok(&[&["template", "plimsoll", &chart, "--namespace", "plimsoll"], sets.as_slice()].concat())?;
        let file = folder.path().join("rendered.yaml");
        std::fs::write(&file, &rendered)?;
        let report = check(folder.path())?;
        ensure!(report["findings"] == json!([]), "{values:?}: {}", report["findings"]);
        let objects = objects(&rendered)?;
        ensure!(objects.len() >= 11, "{values:?}: {} objects", objects.len());
        static_webhooks(&objects).with_context(|| format!("{values:?}"))?;
    }
    Ok(())
}

/// The rendered configurations have no rules, no `caBundle` and no `failurePolicy`. The server writes these fields, and
/// an upgrade must not remove them.
fn static_webhooks(objects: &[Value]) -> Result<()> {
    let kinds = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
    let configurations: Vec<_> =
        objects.iter().filter(|object| kinds.contains(&object["kind"].as_str().unwrap_or_default())).collect();
    ensure!(configurations.len() == 2, "{configurations:?}");
    for configuration in configurations {
        let members: Vec<_> = configuration.as_object().context("an object")?.keys().collect();
        ensure!(members == ["apiVersion", "kind", "metadata"], "{members:?}");
    }
    Ok(())
}

/// The roles allow exactly what the policies declare, cluster-wide or in the selected namespaces.
#[test]
fn the_rights_are_those_that_policies_declare() -> Result<()> {
    let helm = Helm::offline()?;
    let chart = Helm::chart().display().to_string();
    let output = Command::new(plimsoll_binary()?).args(["policy", "rights"]).output()?;
    let printed = String::from_utf8(output.stdout)?;
    let kept = std::fs::read_to_string(Helm::chart().join("files/rights.yaml"))?;
    ensure!(kept.split_once('\n').is_some_and(|(_, kept)| kept == printed), "run `make docs`: {printed}");
    let declared = objects(&printed)?.remove(0);
    let watched = |role: &Value| {
        let rules = role["rules"].as_array().into_iter().flatten();
        Value::Array(rules.filter(|rule| rule["verbs"] == json!(["get", "list", "watch"])).cloned().collect())
    };
    for (values, namespaces, writing) in [
        (&[][..], &[][..], false),
        (&["onlyNamespaces={shop,bank}"], &["shop", "bank"], false),
        (&["writeBudgets=true"], &[], true),
        (&["onlyNamespaces={shop,bank}", "writeBudgets=true"], &["shop", "bank"], true),
    ] {
        let sets: Vec<_> = [&IMAGE].into_iter().chain(values).flat_map(|value| ["--set", value]).collect();
        let rendered =
            helm.ok(&[&["template", "plimsoll", &chart, "--namespace", "plimsoll"], sets.as_slice()].concat())?;
        let objects = objects(&rendered)?;
        let of = |kind: &str, namespace: &Value| {
            objects.iter().find(|it| it["kind"] == kind && it["metadata"]["namespace"] == *namespace).cloned()
        };
        let cluster = of("ClusterRole", &Value::Null).context("a ClusterRole")?;
        let everywhere = if namespaces.is_empty() { declared["namespaced"].clone() } else { json!([]) };
        let expected: Vec<_> =
            [&declared["cluster"], &everywhere].into_iter().filter_map(Value::as_array).flatten().collect();
        ensure!(watched(&cluster) == json!(expected), "{values:?}: {cluster}");
        for object in &objects {
            // Without --write-budgets, nothing is written to the objects of users.
            let mut rules = object["rules"].as_array().into_iter().flatten();
            let writes = rules.any(|rule| {
                rule["resources"] == json!(["poddisruptionbudgets"]) && rule["verbs"] == json!(["create", "delete"])
            });
            let watches_all = object["kind"] == "ClusterRole" && namespaces.is_empty();
            let in_one = object["metadata"]["name"] == "plimsoll-context" && object["kind"] == "Role";
            ensure!(writes == (writing && (watches_all || in_one)), "{values:?}: {object}");
        }
        for namespace in namespaces {
            let role = of("Role", &json!(namespace)).context("a Role")?;
            ensure!(watched(&role) == declared["namespaced"], "{namespace}: {role}");
            let binding = of("RoleBinding", &json!(namespace)).context("a RoleBinding")?;
            ensure!(binding["subjects"][0]["namespace"] == "plimsoll", "{binding}");
        }
    }
    Ok(())
}

#[test]
fn mistakes_are_refused() -> Result<()> {
    let helm = Helm::offline()?;
    let chart = Helm::chart().display().to_string();
    for (values, message) in [
        (&[][..], "image.repository must be given"),
        (&[IMAGE, "replica=3"], "additional properties 'replica' not allowed"),
        (&[IMAGE, "policySet.mod=enforce"], "additional properties 'mod' not allowed"),
        (&[IMAGE, "policySet.mode=deny"], "/policySet/mode"),
        (&[IMAGE, "policySet.mode=null"], "/policySet"),
        (&[IMAGE, "image.digest=sha256:12"], "/image/digest"),
        (&["image.repository=r@sha256:12"], "/image/repository"),
        (&[IMAGE, "replicas=0"], "/replicas"),
        (&[IMAGE, "writeBudgets=sometimes"], "/writeBudgets"),
        (&[IMAGE, "terminationGracePeriodSeconds=30"], "/terminationGracePeriodSeconds"),
        (&[IMAGE, "onlyNamespaces={A}"], "/onlyNamespaces/0"),
        (&[IMAGE, "certificates.certManager.enabled=true"], "certManager.issuerRef must be given"),
        (
            &[
                IMAGE,
                "certificates.certManager.enabled=true",
                "certificates.certManager.issuerRef.name=a",
                "certificates.existingSecret=b",
            ],
            "exclude each other",
        ),
    ] {
        let sets: Vec<_> = values.iter().flat_map(|value| ["--set", value]).collect();
        let output = helm.run(&[&["template", "plimsoll", &chart], sets.as_slice()].concat())?;
        ensure!(!output.status.success(), "{values:?} was taken");
        ensure!(output.stderr.contains(message), "{values:?}: {}", output.stderr);
    }
    Ok(())
}

/// This binary accepts the arguments and the ConfigMap of the Pod.
#[test]
fn the_binary_understands_it() -> Result<()> {
    let helm = Helm::offline()?;
    let chart = Helm::chart().display().to_string();
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    std::fs::write(
        &values,
        "policySet:\n  mode: 'off'\n  onError: Warn\n  match: {resourceRules: [{apiGroups: [apps], resources: [deployments]}]}\n  \
         namespaceModes: [{names: [a], mode: 'off'}]\n  severities: [{name: info, action: 'Off'}]\n  categories: [{name: security, action: Warn}]\n  \
         policies: [{id: latest-image-tag, action: Deny, settings: {allowed: [a]}}]\n  breakGlass: {users: [fire]}\n\
         production: {namespaces: [shop, \"team-*\"], mode: 'off'}\n\
         extraPolicySets:\n  - {apiVersion: plimsoll.dev/v1alpha1, kind: ClusterPolicySet, metadata: {name: more}, spec: {mode: observe}}\n",
    )?;
    let rendered =
        helm.ok(&["template", "plimsoll", &chart, "--set", IMAGE, "--values", &values.display().to_string()])?;
    let objects = objects(&rendered)?;
    let find = |kind: &str| objects.iter().find(|object| object["kind"] == kind).context(kind.to_owned());
    let policies = find("ConfigMap")?["data"]["policies.yaml"].as_str().context("the PolicySets")?.to_owned();
    let config = folder.path().join("policies.yaml");
    std::fs::write(&config, &policies)?;
    let output = Command::new(plimsoll_binary()?)
        .args(["check", "--config"])
        .arg(&config)
        .arg(Helm::chart().join("../../tests/demo/good.yaml"))
        .output()?;
    ensure!(output.status.success(), "{policies}\n{}", String::from_utf8_lossy(&output.stderr));

    let container = &find("Deployment")?["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<_> = container["args"].as_array().context("args")?.iter().filter_map(Value::as_str).collect();
    // The binary accepts the arguments up to the file, which does not exist here.
    let output = Command::new(plimsoll_binary()?).args(&args).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(2), "{args:?}: {stderr}");
    ensure!(stderr.contains("/etc/plimsoll/policies/policies.yaml: cannot be read"), "{args:?}: {stderr}");
    Ok(())
}

#[test]
fn the_readme_lists_every_value() -> Result<()> {
    let chart = Helm::chart();
    let values = std::fs::read_to_string(chart.join("values.yaml"))?;
    let mut expected = BTreeMap::new();
    for document in objects(&values)? {
        flatten("", &document, &mut expected);
    }
    let readme = std::fs::read_to_string(chart.join("README.md"))?;
    let (_, table) = readme.split_once("<!-- values: begin").context("the table begins")?;
    let (table, _) = table.split_once("<!-- values: end").context("the table ends")?;
    let mut listed = BTreeMap::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (name, rest) = row.split_once("` | `").with_context(|| row.to_owned())?;
        let (default, _) = rest.split_once("` |").with_context(|| row.to_owned())?;
        listed.insert(name.to_owned(), serde_json::from_str(default).with_context(|| row.to_owned())?);
    }
    assert_eq!(listed, expected);
    Ok(())
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value.as_object().filter(|members| !members.is_empty()) {
        Some(members) => {
            for (key, value) in members {
                flatten(&format!("{name}{}{key}", if name.is_empty() { "" } else { "." }), value, into);
            }
        }
        None => drop(into.insert(name.to_owned(), value.clone())),
    }
}

/// Runs `plimsoll check` on a folder with every policy. Fails unless the exit status is 0. Returns the report.
fn check(folder: &Path) -> Result<Value> {
    let output = Command::new(plimsoll_binary()?)
        .args(["check", "--format", "json"])
        .arg(folder)
        .current_dir(folder)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).context("a report")
}

fn objects(text: &str) -> Result<Vec<Value>> {
    plimsoll::yaml::read(text)
        .into_iter()
        .map(|document| document.map(|document| document.value().clone()))
        .filter(|object| !matches!(object, Ok(Value::Null)))
        .collect::<Result<_, _>>()
        .map_err(|error| anyhow::anyhow!("{error:?}"))
}
