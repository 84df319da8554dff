//! Budgets, autoscalers and workloads in the cluster: a problem between them is denied at the object that is applied
//! last.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{ControlPlane, Kubectl, Manifest, Namespace, Webhook, WebhookOptions, denied_policies, until};
use serde_json::{Value, json};

fn budget(name: &str, spec: Value) -> String {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": name}});
    spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow".into();
    json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn autoscaler(name: &str, least: u32) -> String {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    let spec = json!({"scaleTargetRef": target, "minReplicas": least, "maxReplicas": 10});
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn scaled(name: &str) -> String {
    Manifest::good("Deployment", name).with("/spec/replicas", Value::Null).to_string()
}

/// Repeats a dry run until the watches have reported the objects before it.
fn denied(kubectl: &Kubectl, object: &str, sentence: &str) -> Result<()> {
    let mut last = String::new();
    let denied = until(Duration::from_secs(20), sentence, || {
        let output = kubectl.run(&["apply", "--dry-run=server", "--filename=-"], Some(object))?;
        last.clone_from(&output.stderr);
        Ok(denied_policies(&output.stderr).filter(|_| output.stderr.contains(sentence)))
    });
    let denied = denied.with_context(|| last.clone())?;
    ensure!(denied.iter().eq(["drain-deadlock"]), "{last}");
    Ok(())
}

#[test]
fn a_deadlock_is_found_at_whichever_comes_last() -> Result<()> {
    let control_plane = ControlPlane::shared()?;
    let _webhook = Webhook::start(control_plane, &WebhookOptions::default())?;
    let namespace = Namespace::new(control_plane, "deadlock")?;
    let kubectl = namespace.kubectl();
    let apply = |object: &str| kubectl.apply(object)?.ok();
    let sentence = |name: &str| {
        format!("minAvailable 2 of 2 Pods (Deployment {name} at the minimum of HorizontalPodAutoscaler {name})")
    };
    let two = json!({"minAvailable": 2});

    apply(&scaled("budget"))?;
    apply(&autoscaler("budget", 2))?;
    denied(kubectl, &budget("budget", two.clone()), &sentence("budget"))?;

    apply(&budget("workload", two.clone()))?;
    apply(&autoscaler("workload", 2))?;
    denied(kubectl, &scaled("workload"), &sentence("workload"))?;

    apply(&Manifest::good("Deployment", "autoscaler").to_string())?;
    apply(&budget("autoscaler", two))?;
    denied(kubectl, &autoscaler("autoscaler", 2), &sentence("autoscaler"))?;
    // A minimum of 3 is enough.
    apply(&autoscaler("autoscaler", 3))?;

    // A Scale has no fields except the number of replicas.
    apply(&Manifest::good("Deployment", "scale").to_string())?;
    apply(&budget("scale", json!({"minAvailable": "51%"})))?;
    let scale = until(Duration::from_secs(20), "a scale to 2 is denied", || {
        let output = kubectl.run(&["scale", "deployment/scale", "--replicas=2", "--dry-run=server"], None)?;
        Ok((!output.status.success()).then_some(output))
    })?;
    let message = "minAvailable 51% of 2 Pods (Deployment scale) rounds up to 2";
    ensure!(scale.stderr.contains(message), "{}", scale.stderr);
    kubectl.ok(&["scale", "deployment/scale", "--replicas=3"])?;

    // Helm applies the budget first and the autoscaler last. A release that is only partly applied must not be denied.
    apply(&budget("release", json!({"minAvailable": 1})))?;
    apply(&scaled("release"))?;
    let sentence = "minAvailable 1 of 1 Pod (Deployment release)";
    until(Duration::from_secs(20), "the budget over one Pod is warned of", || {
        let object = scaled("release");
        let output = kubectl.run(&["apply", "--dry-run=server", "--filename=-"], Some(&object))?;
        ensure!(output.status.success(), "{}", output.stderr);
        Ok((output.stderr.contains("Warning: drain-deadlock") && output.stderr.contains(sentence)).then_some(()))
    })?;
    apply(&autoscaler("release", 2))?;
    Ok(())
}
