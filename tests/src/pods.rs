//! Pods without a kubelet: marks them as ready, and evicts them.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use crate::{Kubectl, until};

/// Longer than a busy machine takes to create a few Pods and to count them.
const READY: Duration = Duration::from_secs(90);

/// Answer of the API server to an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eviction {
    /// 201, 429 (a budget forbids the eviction for now) or 500 (two budgets select the Pod).
    pub status: u16,
    /// Output of kubectl.
    pub message: String,
}

/// Patches the status of every selected Pod to running and ready. Returns the number of running Pods. An empty selector
/// selects all Pods of the namespace.
pub fn make_ready(kubectl: &Kubectl, selector: &str) -> Result<usize> {
    let ready =
        json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
    let pods = list(kubectl, selector)?;
    for pod in pods.iter().filter(|pod| pod["status"]["phase"] != "Running") {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        kubectl.run(&["patch", "pod", name, "--subresource=status", "--type=merge", "--patch", &ready], None)?.ok()?;
    }
    Ok(pods.iter().filter(|pod| pod["status"]["phase"] == "Running").count())
}

fn list(kubectl: &Kubectl, selector: &str) -> Result<Vec<Value>> {
    match kubectl.json(&["get", "pods", "--selector", selector])?["items"].take() {
        Value::Array(items) => Ok(items),
        other => Err(anyhow!("kubectl get pods gave {other} for items")),
    }
}

/// Waits until exactly this many Pods exist, all ready, and the disruption controller has counted them.
pub fn until_counted(kubectl: &Kubectl, selector: &str, pods: usize) -> Result<()> {
    until(READY, &format!("{pods} Pods are ready and counted"), || {
        if make_ready(kubectl, selector)? != pods {
            return Ok(None);
        }
        let budgets = kubectl.list("poddisruptionbudgets")?;
        // If two budgets select one Pod, only one of them is updated when the Pod changes.
        let counted = budgets.is_empty() || budgets.iter().any(|budget| is_counted(budget, pods));
        Ok(counted.then_some(()))
    })
}

fn is_counted(budget: &Value, pods: usize) -> bool {
    let status = &budget["status"];
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let failed = conditions.any(|condition| condition["reason"] == "SyncFailed");
    let counted = status["currentHealthy"].as_u64() == u64::try_from(pods).ok();
    failed || counted && status["observedGeneration"] == budget["metadata"]["generation"]
}

/// Name of a running Pod that is not being deleted.
pub fn running_pod(kubectl: &Kubectl, selector: &str) -> Result<String> {
    let pods = list(kubectl, selector)?;
    let runs = |pod: &&Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
    let pod = pods.iter().find(runs).context("no Pod runs")?;
    Ok(pod["metadata"]["name"].as_str().context("a Pod without a name")?.to_owned())
}

/// Requests an eviction of the Pod, as `kubectl drain` does.
pub fn evict(kubectl: &Kubectl, pod: &str) -> Result<Eviction> {
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}).to_string();
    let namespace = kubectl.namespace().context("an eviction needs a namespace")?;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/eviction");
    let output = kubectl.run(&["create", "--raw", &path, "--filename=-"], Some(&eviction))?;
    let status = match output.stderr.as_str() {
        _ if output.status.success() => 201,
        text if text.contains("TooManyRequests") && text.contains("would violate") => 429,
        // The controller has not computed the budget yet.
        text if text.contains("TooManyRequests") && text.contains("still being processed") => 429,
        text if text.contains("more than one PodDisruptionBudget") => 500,
        text => return Err(anyhow!("the eviction: {text}")),
    };
    Ok(Eviction { status, message: format!("{}{}", output.stdout, output.stderr).trim().to_owned() })
}
