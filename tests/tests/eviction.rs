//! Findings about budgets, compared with the API server. If `plimsoll check` reports a deadlock, `pods/eviction`
//! answers 429, or 500 for two budgets. After `--fix=unsafe` it answers 201.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use plimsoll_tests::{
    ControlPlane, Namespace, Options, evict, make_ready, plimsoll_binary, running_pod, until, until_counted,
};
use serde_json::Value;

fn control_plane() -> Result<&'static ControlPlane> {
    static CONTROL_PLANE: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    let started = CONTROL_PLANE.get_or_init(|| {
        let options = Options { controller_manager: true, ..Options::default() };
        ControlPlane::start(&options).map_err(|error| format!("{error:#}"))
    });
    started.as_ref().map_err(|error| anyhow!("no control plane: {error}"))
}

/// Other policies do not matter here. Their fixes would be applied together with the one of the budget.
const CONFIG: &str = r"
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: budgets}
spec:
  profile: none
  policies: [{id: drain-deadlock}, {id: overlapping-disruption-budgets}, {id: missing-disruption-budget}]
";

/// The set of many guides: the budget requires 2 Pods, and the autoscaler goes down to 2.
const GUIDES: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: app, image: registry.example/shop:1.4.2, resources: {requests: {cpu: 100m}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 2
  maxReplicas: 10
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop}
spec:
  minAvailable: 2
  selector: {matchLabels: {app: shop}}
";

fn workload(kind: &str, replicas: u32, budgets: &[(&str, &str)]) -> String {
    let mut text = format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: shop}}\nspec:\n  replicas: {replicas}\n  {}selector: \
         {{matchLabels: {{app: shop}}}}\n  template:\n    metadata: {{labels: {{app: shop}}}}\n    spec: {{containers: \
         [{{name: app, image: registry.example/shop:1.4.2}}]}}\n",
        if kind == "StatefulSet" { "serviceName: shop\n  " } else { "" }
    );
    for (name, spec) in budgets {
        text.push_str(&format!(
            "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {name}}}\nspec:\n{spec}  selector: \
             {{matchLabels: {{app: shop}}}}\n"
        ));
    }
    text
}

#[test]
fn the_guides_own_set() -> Result<()> {
    mended(
        "guides",
        GUIDES,
        2,
        "minAvailable 2 of 2 Pods (Deployment shop at the minimum of HorizontalPodAutoscaler shop)",
    )
}

#[test]
fn a_percentage_that_rounds_up_to_all() -> Result<()> {
    let set = workload("StatefulSet", 2, &[("shop", "  minAvailable: 51%\n")]);
    mended("rounded", &set, 2, "minAvailable 51% of 2 Pods (StatefulSet shop) rounds up to 2")
}

#[test]
fn nothing_may_be_away() -> Result<()> {
    let set = workload("ReplicaSet", 3, &[("shop", "  maxUnavailable: 0%\n")]);
    mended("closed", &set, 3, "maxUnavailable 0% of 3 Pods (ReplicaSet shop)")
}

#[test]
fn a_budget_that_asks_for_nothing() -> Result<()> {
    let set = workload("Deployment", 2, &[("shop", "")]);
    mended("unsaid", &set, 2, "neither minAvailable nor maxUnavailable")
}

/// If `check` reports nothing, the API server allows the eviction.
#[test]
fn budgets_that_leave_one_to_go() -> Result<()> {
    for (prefix, replicas, spec) in [
        ("half", 2, "  minAvailable: 50%\n"),
        ("most", 3, "  minAvailable: 66%\n"),
        ("hundredth", 1, "  maxUnavailable: 1%\n"),
    ] {
        let stage = Stage::new(prefix, &workload("Deployment", replicas, &[("shop", spec)]))?;
        ensure!(stage.said("drain-deadlock")?.is_empty(), "{spec}");
        stage.wait(replicas as usize)?;
        assert_eq!(stage.evict()?, 201, "{replicas} with {spec}");
    }
    Ok(())
}

#[test]
fn two_budgets_are_one_too_many() -> Result<()> {
    let set = workload("Deployment", 3, &[("one", "  maxUnavailable: 1\n"), ("two", "  maxUnavailable: 1\n")]);
    let stage = Stage::new("overlap", &set)?;
    let said = stage.said("overlapping-disruption-budgets")?;
    ensure!(said.len() == 1, "one finding for the set: {said:?}");
    stage.wait(3)?;
    assert_eq!(stage.evict()?, 500);
    stage.namespace.kubectl().delete("poddisruptionbudget", "two")?.ok()?;
    // The controller recounts when a Pod changes, but not when a budget is deleted.
    stage.namespace.kubectl().ok(&["label", "pods", "--all", "counted=anew"])?;
    until(Duration::from_secs(30), "one budget is enough", || Ok((stage.evict()? == 201).then_some(())))
}

/// The controller cannot compute a share of the Pods if the workload has no scale.
#[test]
fn a_job_has_no_scale() -> Result<()> {
    let set = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: shop}\nspec:\n  template:\n    metadata: {labels: {app: \
               shop}}\n    spec: {restartPolicy: Never, containers: [{name: app, image: registry.example/shop:1.4.2}]}\n---\n\
               apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: shop}\nspec:\n  maxUnavailable: 1\n  \
               selector: {matchLabels: {app: shop}}\n";
    let stage = Stage::new("job", set)?;
    let said = stage.said("drain-deadlock")?;
    ensure!(said.len() == 1 && said[0].contains("Job shop has no scale"), "{said:?}");
    stage.wait(1)?;
    assert_eq!(stage.evict()?, 429);
    Ok(())
}

/// A budget with a label of Pods only selects some Pods of a workload, while the controller expects all of them.
#[test]
fn labels_that_only_pods_have() -> Result<()> {
    for (prefix, kind, spec, selector, selected, sentence) in [
        ("hash", "Deployment", "maxUnavailable: 0", "pod-template-hash", 3, "keeps all Pods, whatever their number"),
        ("hash-all", "Deployment", "minAvailable: 3", "pod-template-hash", 3, "minAvailable 3 of 3 Pods"),
        ("revision", "StatefulSet", "minAvailable: 100%", "controller-revision-hash", 3, "keeps all Pods"),
        (
            "name",
            "StatefulSet",
            "maxUnavailable: 1",
            "statefulset.kubernetes.io/pod-name=shop-0",
            1,
            "maxUnavailable 1 of 3 Pods keeps 2",
        ),
        ("index", "StatefulSet", "minAvailable: 1", "apps.kubernetes.io/pod-index=0", 1, "minAvailable 1 keeps 1"),
    ] {
        let expression = match selector.split_once('=') {
            Some((label, value)) => format!("{{key: {label}, operator: In, values: [\"{value}\"]}}"),
            None => format!("{{key: {selector}, operator: Exists}}"),
        };
        let set = format!(
            "{}---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: shop}}\nspec:\n  {spec}\n  selector: \
             {{matchLabels: {{app: shop}}, matchExpressions: [{expression}]}}\n",
            workload(kind, 3, &[])
        );
        let stage = Stage::new(prefix, &set)?;
        let said = stage.said("drain-deadlock")?;
        ensure!(said.len() == 1 && said[0].contains(sentence), "{prefix}: {said:?}");
        stage.wait_for(3, selected)?;
        let kubectl = stage.namespace.kubectl();
        assert_eq!(evict(kubectl, &running_pod(kubectl, selector)?)?.status, 429, "{prefix}");
    }
    Ok(())
}

/// The selector may be narrowed to two of three Pods, and one of the two may be evicted.
#[test]
fn a_label_that_leaves_one_to_go() -> Result<()> {
    let set = format!(
        "{}---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: shop}}\nspec:\n  minAvailable: 1\n  \
         selector: {{matchExpressions: [{{key: apps.kubernetes.io/pod-index, operator: In, values: [\"0\", \"1\"]}}]}}\n",
        workload("StatefulSet", 3, &[])
    );
    let stage = Stage::new("two-of-three", &set)?;
    ensure!(stage.said("drain-deadlock")?.is_empty(), "one of two may go");
    stage.wait_for(3, 2)?;
    let kubectl = stage.namespace.kubectl();
    assert_eq!(evict(kubectl, &running_pod(kubectl, "apps.kubernetes.io/pod-index=0")?)?.status, 201);
    Ok(())
}

/// For a budget that only selects Pods without a workload, the controller expects 0 Pods.
#[test]
fn a_pod_of_nobody() -> Result<()> {
    let set = "apiVersion: v1\nkind: Pod\nmetadata: {name: shop, labels: {app: shop}}\nspec: {containers: [{name: app, image: \
               registry.example/shop:1.4.2}]}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: \
               shop}\nspec:\n  maxUnavailable: 1\n  selector: {matchLabels: {app: shop}}\n";
    let stage = Stage::new("bare", set)?;
    let said = stage.said("drain-deadlock")?;
    ensure!(said.len() == 1 && said[0].contains("no workload created this Pod"), "{said:?}");
    stage.wait(1)?;
    assert_eq!(stage.evict()?, 429);
    Ok(())
}

/// A user adds a label to a running Pod, and a second budget selects the Pod.
#[test]
fn a_label_that_adds_a_budget() -> Result<()> {
    let mut set = workload("Deployment", 3, &[("shop", "  maxUnavailable: 1\n")]);
    set.push_str(
        "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: pin}\nspec:\n  maxUnavailable: 1\n  selector: \
         {matchLabels: {pin: \"yes\"}}\n",
    );
    let stage = Stage::new("pinned", &set)?;
    stage.wait(3)?;
    let kubectl = stage.namespace.kubectl();
    let pod = running_pod(kubectl, "")?;
    kubectl.ok(&["label", "pod", &pod, "pin=yes"])?;
    assert_eq!(evict(kubectl, &pod)?.status, 500);
    kubectl.delete("poddisruptionbudget", "shop")?.ok()?;
    // The remaining budget expects all three Pods, and selects one.
    until(Duration::from_secs(30), "the remaining budget forbids the eviction too", || {
        Ok((evict(kubectl, &pod)?.status == 429).then_some(()))
    })
}

/// A user's budget with the label of Plimsoll's stand-ins.
#[test]
fn a_stand_in_that_is_none() -> Result<()> {
    let set = workload("Deployment", 3, &[("one", "  maxUnavailable: 1\n"), ("two", "  maxUnavailable: 1\n")]);
    let set = set.replace("{name: two}", "{name: two, labels: {plimsoll.dev/stand-in: \"true\"}}");
    let stage = Stage::new("claimed", &set)?;
    let said = stage.said("overlapping-disruption-budgets")?;
    ensure!(said.len() == 1, "one finding for the set: {said:?}");
    stage.wait(3)?;
    assert_eq!(stage.evict()?, 500);
    Ok(())
}

/// The generated budget allows one eviction, and not a second one.
#[test]
fn the_missing_budget_lets_one_go() -> Result<()> {
    let stage = Stage::new("missing", &workload("Deployment", 2, &[]))?;
    ensure!(stage.said("missing-disruption-budget")?.len() == 1);
    stage.fix()?;
    ensure!(stage.said("missing-disruption-budget")?.is_empty() && stage.said("drain-deadlock")?.is_empty());
    let written = fs::read_to_string(stage.set().join("set.pdb.yaml"))?;
    ensure!(written.contains("maxUnavailable: 1") && written.contains("AlwaysAllow"), "{written}");
    stage.wait(2)?;
    assert_eq!(stage.evict()?, 201);
    // The replacement Pod is not ready, so the other Pod has to stay.
    assert_eq!(stage.evict()?, 429);
    Ok(())
}

/// A set with a finding is a deadlock. After the fix it has no finding, and is no deadlock.
fn mended(prefix: &str, set: &str, pods: usize, sentence: &str) -> Result<()> {
    let stage = Stage::new(prefix, set)?;
    let said = stage.said("drain-deadlock")?;
    ensure!(said.len() == 1 && said[0].contains(sentence), "one finding for the set, at the budget: {said:?}");
    stage.wait(pods)?;
    assert_eq!(stage.evict()?, 429);
    stage.fix()?;
    ensure!(stage.said("drain-deadlock")?.is_empty(), "the finding is still there");
    stage.wait(pods)?;
    assert_eq!(stage.evict()?, 201);
    Ok(())
}

/// A set of objects, in its own namespace and in a folder.
struct Stage {
    namespace: Namespace,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new(prefix: &str, set: &str) -> Result<Self> {
        let stage = Self { namespace: Namespace::new(control_plane()?, prefix)?, folder: tempfile::tempdir()? };
        fs::write(stage.folder.path().join("config.yaml"), CONFIG)?;
        fs::create_dir(stage.set())?;
        fs::write(stage.set().join("set.yaml"), set)?;
        stage.apply()?;
        Ok(stage)
    }

    fn set(&self) -> PathBuf {
        self.folder.path().join("set")
    }

    /// Runs `plimsoll check` on the set, whatever the verdict.
    fn plimsoll(&self, argument: &str) -> Result<String> {
        let config = self.folder.path().join("config.yaml");
        let output = Command::new(plimsoll_binary()?)
            .args(["check", argument, "--config"])
            .arg(config)
            .arg(self.set())
            .output()?;
        ensure!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn apply(&self) -> Result<()> {
        let folder = self.set().display().to_string();
        self.namespace.kubectl().ok(&["apply", &format!("--filename={folder}")]).map(drop)
    }

    /// The messages of one policy about the folder.
    fn said(&self, policy: &str) -> Result<Vec<String>> {
        let output = self.plimsoll("--format=json")?;
        let report: Value = serde_json::from_str(&output).context("a report")?;
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let of_policy = findings.into_iter().filter(|finding| finding["policy"] == policy);
        Ok(of_policy.map(|finding| finding["message"].as_str().unwrap_or_default().to_owned()).collect())
    }

    fn fix(&self) -> Result<()> {
        self.plimsoll("--fix=unsafe")?;
        self.apply()
    }

    fn wait(&self, pods: usize) -> Result<()> {
        until_counted(self.namespace.kubectl(), "", pods)
    }

    /// Waits until this many Pods exist, all ready, and the budget has counted the selected ones.
    fn wait_for(&self, pods: usize, selected: u64) -> Result<()> {
        let kubectl = self.namespace.kubectl();
        until(Duration::from_secs(90), &format!("{pods} Pods are ready and {selected} counted"), || {
            if make_ready(kubectl, "")? != pods {
                return Ok(None);
            }
            let budgets = kubectl.list("poddisruptionbudgets")?;
            Ok(budgets.iter().any(|budget| budget["status"]["currentHealthy"] == selected).then_some(()))
        })
    }

    /// The HTTP status of an eviction of one Pod.
    fn evict(&self) -> Result<u16> {
        let kubectl = self.namespace.kubectl();
        Ok(evict(kubectl, &running_pod(kubectl, "")?)?.status)
    }
}
