//! `plimsoll serve --write-budgets` writes missing budgets, and deletes them when a user adds another one.

use std::time::Duration;

use anyhow::{Result, ensure};
use plimsoll_tests::{
    ControlPlane, Kubectl, Manifest, Namespace, Options, Webhook, WebhookOptions, evict, running_pod, until,
    until_counted,
};
use serde_json::{Value, json};

/// Several rounds of the writer, and the delay of its watches.
const TIME: Duration = Duration::from_secs(60);
const LABEL: &str = "plimsoll.dev/stand-in";

const CONFIG: &str = "
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: default}
spec:
  mode: enforce
  enforceAfter: 1s
  namespaceModes: [{names: [observed-*], mode: observe}]
";

fn workload(name: &str, replicas: u32) -> Manifest {
    Manifest::good("Deployment", name).with("/spec/replicas", json!(replicas))
}

fn budget(name: &str, app: &str) -> String {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {
            "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": {"app": app}}
        },
    })
    .to_string()
}

/// Waits until the namespace has exactly these budgets.
fn budgets(kubectl: &Kubectl, expected: &[&str]) -> Result<Vec<Value>> {
    let mut last = Vec::new();
    until(TIME, &format!("the budgets are {expected:?}"), || {
        let found = kubectl.list("poddisruptionbudgets")?;
        last = found.iter().map(|budget| budget["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect();
        Ok((last == expected).then_some(found))
    })
    .map_err(|error| error.context(format!("they were {last:?} last")))
}

#[test]
fn a_missing_budget_is_written_and_withdrawn() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let options =
        WebhookOptions { arguments: vec!["--write-budgets=500ms".to_owned()], ..WebhookOptions::with_config(CONFIG) };
    let webhook = Webhook::start(&control_plane, &options)?;
    let (namespace, observed) =
        (Namespace::new(&control_plane, "budgets")?, Namespace::new(&control_plane, "observed")?);
    let kubectl = namespace.kubectl();
    let exempted = workload("exempted", 3)
        .with("/metadata/annotations", json!({"plimsoll.dev/ignore.missing-disruption-budget": "moves by itself"}));
    for manifest in [workload("shop", 3), workload("single", 1), exempted] {
        kubectl.apply(&manifest.to_string())?.ok()?;
    }
    observed.kubectl().apply(&workload("shop", 3).to_string())?.ok()?;

    // The workload that needs a budget gets one. The budget is owned by the workload, and deleted with it.
    let written = budgets(kubectl, &["shop"])?.remove(0);
    let owner = kubectl.get("deployment", "shop")?["metadata"]["uid"].take();
    assert_eq!(written["metadata"]["ownerReferences"][0]["uid"], owner);
    ensure!(written["metadata"]["labels"][LABEL] == "true", "{written}");
    let spec = json!({
        "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": {"app": "shop"}}
    });
    assert_eq!(written["spec"], spec);
    // The budget has an effect: it allows one eviction, and not a second one.
    until_counted(kubectl, "app=shop", 3)?;
    assert_eq!(evict(kubectl, &running_pod(kubectl, "app=shop")?)?.status, 201);
    assert_eq!(evict(kubectl, &running_pod(kubectl, "app=shop")?)?.status, 429);

    // If a user deletes or changes the budget, the server writes it again.
    kubectl.delete("poddisruptionbudget", "shop")?.ok()?;
    budgets(kubectl, &["shop"])?;
    kubectl.patch("poddisruptionbudget", "shop", &json!({"spec": {"maxUnavailable": 2}}))?.ok()?;
    until(TIME, "the budget is restored", || {
        let found = kubectl.find("poddisruptionbudget", "shop")?;
        Ok(found.filter(|budget| budget["spec"]["maxUnavailable"] == 1))
    })?;

    // A user's own budget is not denied for overlapping the written one, which is then deleted.
    let applied = kubectl.apply(&budget("ours", "shop"))?;
    ensure!(applied.status.success() && !applied.stderr.contains("Warning"), "{}", applied.stderr);
    budgets(kubectl, &["ours"])?;
    kubectl.delete("poddisruptionbudget", "ours")?.ok()?;
    budgets(kubectl, &["shop"])?;
    // A single Pod needs no budget.
    kubectl.ok(&["scale", "deployment/shop", "--replicas=1"])?;
    budgets(kubectl, &[])?;
    kubectl.ok(&["scale", "deployment/shop", "--replicas=2"])?;
    budgets(kubectl, &["shop"])?;

    // Nothing is written in a namespace with mode `observe`.
    ensure!(observed.kubectl().list("poddisruptionbudgets")?.is_empty(), "written in observe");
    drop(webhook);
    // Without the server, the budget is still deleted with its workload.
    kubectl.ok(&["delete", "deployment", "shop"])?;
    budgets(kubectl, &[])?;
    Ok(())
}
