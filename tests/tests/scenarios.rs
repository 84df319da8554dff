//! Work with budgets, autoscalers and rollouts, as kubectl commands in mode `enforce`, with the expected answers.
//!
//! Each row is repeated as a dry run until its answer is the expected one, because watches report earlier objects a
//! moment later. Then it runs for real, and the answer has to be the same. `-- --nocapture` prints the table.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use plimsoll_tests::{
    ControlPlane, Manifest, Namespace, Options, Output, Webhook, WebhookOptions, denied_policies, make_ready,
    plimsoll_binary, until, warned_policies,
};
use serde_json::{Value, json};

const CONFIG: &str = "
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: default}
spec:
  mode: enforce
  profile: production
  enforceAfter: 3s
";

/// Longer than a busy machine takes from a change to its watch event.
const TOLD: Duration = Duration::from_secs(30);

/// The expected answer.
enum Wanted {
    /// No message of Plimsoll.
    Silent,
    /// Warnings of exactly these policies.
    Warned(&'static [&'static str]),
    /// Denied for exactly these policies.
    Denied(&'static [&'static str]),
    /// Refused by the API server itself.
    Refused,
}

use Wanted::{Denied, Refused, Silent, Warned};

struct Stage {
    control_plane: ControlPlane,
    _webhook: Webhook,
    /// With a Deployment that is older than the webhook.
    old: Namespace,
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    let start = || {
        let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
        let old = Namespace::new(&control_plane, "scenario-11")?;
        let bad = deployment("web")
            .container("side", 9090)
            .pod("/containers/0/image", json!("registry.example.com/web:latest"))
            .pod("/containers/0/resources", Value::Null)
            .with("/metadata/finalizers", json!(["example.com/wait"]));
        old.kubectl().apply(&bad.to_string())?.ok()?;
        let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(CONFIG))?;
        Ok(Stage { control_plane, _webhook, old })
    };
    STAGE
        .get_or_init(|| start().map_err(|error: anyhow::Error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!("{error}"))
}

/// A namespace in which one scenario runs.
struct Scene {
    namespace: Namespace,
    number: &'static str,
    table: String,
}

impl Scene {
    fn new(number: &'static str) -> Result<Self> {
        let namespace = Namespace::new(&stage()?.control_plane, &format!("scenario-{number}"))?;
        Ok(Self { namespace, number, table: String::new() })
    }

    /// `kubectl apply` of this object.
    fn apply(&mut self, what: &str, object: &Value, wanted: &Wanted, sentence: &str) -> Result<()> {
        self.run(what, &["apply", "--filename=-"], Some(&object.to_string()), wanted, sentence)
    }

    fn kubectl(&mut self, arguments: &[&str], wanted: &Wanted, sentence: &str) -> Result<()> {
        self.run(&format!("`kubectl {}`", arguments.join(" ")), arguments, None, wanted, sentence)
    }

    fn run(
        &mut self,
        what: &str,
        arguments: &[&str],
        stdin: Option<&str>,
        wanted: &Wanted,
        sentence: &str,
    ) -> Result<()> {
        let kubectl = self.namespace.kubectl();
        let mut last = String::new();
        let dry = [arguments, &["--dry-run=server"]].concat();
        let answered = until(TOLD, what, || {
            let output = kubectl.run(&dry, stdin)?;
            let problem = wanted.problem(&output, sentence);
            last = problem.clone().unwrap_or_default();
            Ok(problem.is_none().then_some(()))
        });
        answered.map_err(|error| error.context(format!("{}: {what}: {last}", self.number)))?;
        let output = kubectl.run(arguments, stdin)?;
        if let Some(problem) = wanted.problem(&output, sentence) {
            return Err(anyhow!("{}: {what}, for good: {problem}", self.number));
        }
        let told = match wanted {
            Silent => "admitted without a warning".to_owned(),
            Warned(policies) => format!("warned: `{}`", policies.join("`, `")),
            Denied(policies) => format!("denied: `{}`", policies.join("`, `")),
            Refused => "refused by the API server".to_owned(),
        };
        let sentence = if sentence.is_empty() { String::new() } else { format!(" ({sentence})") };
        let _ = writeln!(self.table, "| {} | {what} | {told}{sentence} |", self.number);
        Ok(())
    }
}

impl Drop for Scene {
    #[expect(clippy::print_stdout, reason = "a developer runs the test by hand to see the table")]
    fn drop(&mut self) {
        println!("{}", self.table);
    }
}

impl Wanted {
    /// The difference between an answer and the expectation.
    fn problem(&self, output: &Output, sentence: &str) -> Option<String> {
        let (denied, warned) = (denied_policies(&output.stderr), warned_policies(&output.stderr));
        let are = |found: &BTreeSet<String>, wanted: &[&str]| {
            found.iter().map(String::as_str).eq(wanted.iter().copied().collect::<BTreeSet<_>>())
        };
        let holds = match self {
            Silent => output.status.success() && warned.is_empty(),
            Warned(policies) => output.status.success() && are(&warned, policies),
            Denied(policies) => denied.is_some_and(|denied| are(&denied, policies)),
            Refused => !output.status.success() && denied.is_none(),
        };
        (!holds || !output.stderr.contains(sentence)).then(|| format!("{}{}", output.stdout, output.stderr))
    }
}

fn deployment(name: &str) -> Manifest {
    Manifest::good("Deployment", name)
}

/// A workload without `replicas`, because an autoscaler sets the number.
fn scaled(name: &str) -> Value {
    deployment(name).with("/spec/replicas", Value::Null).into()
}

fn autoscaler(name: &str, least: u32, most: u32) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}});
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": target, "minReplicas": least, "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    })
}

fn budget(name: &str, app: &str, member: &str, count: Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
        "spec": {
            member: count, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": {"matchLabels": {"app": app}},
        },
    })
}

fn service(app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": app},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]},
    })
}

/// The findings of `plimsoll check` over exactly these objects: policy and message.
fn check(objects: &[Value]) -> Result<Vec<(String, String)>> {
    let folder = tempfile::tempdir()?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    fs::write(folder.path().join("set.json"), list.to_string())?;
    let output = Command::new(plimsoll_binary()?)
        .current_dir(folder.path())
        .args(["check", "--world=closed", "--format=json", "set.json"])
        .output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let text = |finding: &Value, member: &str| finding[member].as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    Ok(findings.iter().map(|finding| (text(finding, "policy"), text(finding, "message"))).collect())
}

fn found(objects: &[Value], policy: &str, sentence: &str) -> Result<()> {
    let findings = check(objects)?;
    let says = findings.iter().any(|(id, message)| id == policy && message.contains(sentence));
    ensure!(says, "no {policy} ({sentence}) in {findings:?}");
    Ok(())
}

/// A complete set, file by file, in every rotation of its order and of the reverse order.
#[test]
fn a_good_set_in_any_order() -> Result<()> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["web"], "verbs": ["get"]}]);
    let role_ref = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"});
    let of_rbac = "rbac.authorization.k8s.io/v1";
    let set = [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"LOG_LEVEL": "info"}}),
        account,
        json!({"apiVersion": of_rbac, "kind": "Role", "metadata": {"name": "web"}, "rules": rules}),
        json!({"apiVersion": of_rbac, "kind": "RoleBinding", "metadata": {"name": "web"}, "roleRef": role_ref,
            "subjects": [{"kind": "ServiceAccount", "name": "web"}]}),
        scaled("web"),
        service("web"),
        autoscaler("web", 3, 10),
        budget("web", "web", "maxUnavailable", json!(1)),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"port": 8080}]}]}}),
    ];
    ensure!(check(&set)?.is_empty(), "{:?}", check(&set)?);
    for first in 0..set.len() {
        for backwards in [false, true] {
            let mut order: Vec<_> = set.iter().cycle().skip(first).take(set.len()).collect();
            if backwards {
                order.reverse();
            }
            let namespace = Namespace::new(&stage()?.control_plane, "scenario-1")?;
            for object in order {
                let output = namespace.kubectl().apply(&object.to_string())?;
                ensure!(
                    output.status.success() && output.stderr.is_empty(),
                    "from {first}, backwards {backwards}: {}",
                    output.stderr
                );
            }
        }
    }
    println!("| 1 | `kubectl apply` of nine files, in 18 orders | admitted without a warning |");
    Ok(())
}

/// Rollouts that take down more Pods than it seems.
#[test]
fn rollouts_by_their_resolved_numbers() -> Result<()> {
    let rolling = |name: &str, replicas: u32, surge: Value, unavailable: Value| -> Value {
        let strategy = json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
        deployment(name).with("/spec/replicas", json!(replicas)).with("/spec/strategy", strategy).into()
    };
    let (single, rounded, neither) = (
        rolling("one", 1, json!(1), json!(1)),
        rolling("web", 3, json!(0), json!("25%")),
        rolling("web", 3, json!(0), json!("0%")),
    );
    let sentences =
        ["1 replica, maxSurge 1, maxUnavailable 1: an update takes 1 down, leaving 0", "25% of 3 rounds down to 0"];
    found(&[single.clone(), service("one")], "rollout-without-capacity", sentences[0])?;
    found(&[rounded.clone(), service("web")], "rollout-rounding-surprise", sentences[1])?;
    let mut scene = Scene::new("3")?;
    for name in ["one", "web"] {
        scene.apply("Service", &service(name), &Silent, "")?;
    }
    let what = "1 replica, `maxUnavailable: 1`";
    scene.apply(what, &single, &Warned(&["rollout-without-capacity"]), sentences[0])?;
    let what = "3 replicas, `maxSurge: 0`, `maxUnavailable: 25%`";
    let told = check(&[rounded.clone(), service("web")])?;
    ensure!(told.iter().all(|(id, _)| id.starts_with("rollout-") || id == "missing-disruption-budget"), "{told:?}");
    scene.apply(what, &rounded, &Warned(&["rollout-rounding-surprise"]), sentences[1])?;
    scene.apply("both 0", &neither, &Refused, "may not be 0 when `maxSurge` is 0")
}

/// Changes by commands other than apply.
#[test]
fn changes_of_what_runs() -> Result<()> {
    let mut scene = Scene::new("4")?;
    let protected: Value =
        deployment("kept").with("/metadata/annotations", json!({"plimsoll.dev/protect": "true"})).into();
    for object in [deployment("web").into(), protected, budget("web", "web", "minAvailable", json!(1))] {
        scene.apply(&format!("good {}", object["kind"].as_str().unwrap_or_default()), &object, &Silent, "")?;
    }
    scene.kubectl(
        &["set", "image", "deployment/web", "app=registry.example.com/web:latest"],
        &Denied(&["latest-image-tag"]),
        "",
    )?;
    let one = "minAvailable 1 of 1 Pod (Deployment web)";
    scene.kubectl(&["scale", "deployment/web", "--replicas=1"], &Denied(&["drain-deadlock"]), one)?;
    until(TOLD, "Pods of web are ready", || {
        make_ready(scene.namespace.kubectl(), "app=web")?;
        let ready = scene.namespace.kubectl().get("deployment", "web")?["status"]["readyReplicas"].as_u64();
        Ok(ready.filter(|ready| *ready == 3))
    })?;
    scene.kubectl(&["scale", "deployment/web", "--replicas=0"], &Warned(&["live-workload-removed"]), "")?;
    scene.kubectl(&["scale", "deployment/kept", "--replicas=0"], &Denied(&["live-workload-removed"]), "")
}

/// Autoscalers and related objects, whichever is applied last.
#[test]
fn autoscalers() -> Result<()> {
    let two = |name: &str| budget(name, name, "minAvailable", json!(2));
    let sentence = |name: &str| {
        format!("minAvailable 2 of 2 Pods (Deployment {name} at the minimum of HorizontalPodAutoscaler {name})")
    };
    found(&[scaled("a"), autoscaler("a", 2, 10), two("a")], "drain-deadlock", &sentence("a"))?;
    let mut scene = Scene::new("7")?;
    scene.apply("Deployment", &scaled("a"), &Silent, "")?;
    scene.apply("HPA, minimum 2", &autoscaler("a", 2, 10), &Silent, "")?;
    scene.apply("PDB `minAvailable: 2` last", &two("a"), &Denied(&["drain-deadlock"]), &sentence("a"))?;

    scene.apply("Deployment of 3", &deployment("b").into(), &Silent, "")?;
    scene.apply("PDB `minAvailable: 2`", &two("b"), &Silent, "")?;
    let last = autoscaler("b", 2, 10);
    scene.apply("HPA, minimum 2, last", &last, &Denied(&["drain-deadlock"]), &sentence("b"))?;

    scene.apply("PDB `minAvailable: 2` of nothing yet", &two("c"), &Silent, "")?;
    scene.apply("HPA, minimum 2, of nothing yet", &autoscaler("c", 2, 10), &Silent, "")?;
    scene.apply("Deployment last", &scaled("c"), &Denied(&["drain-deadlock"]), &sentence("c"))?;

    // The autoscaler measures memory, and no container requests memory.
    let lacking: Value = deployment("d")
        .with("/spec/replicas", Value::Null)
        .container("side", 9090)
        .pod("/containers/1/resources", json!({"limits": {"memory": "64Mi"}}))
        .into();
    found(&[lacking.clone(), autoscaler("d", 2, 10)], "autoscaler-without-requests", "side")?;
    scene.apply("HPA on CPU", &autoscaler("d", 2, 10), &Silent, "")?;
    scene.apply(
        "Deployment with a container without a CPU request, last",
        &lacking,
        &Denied(&["autoscaler-without-requests"]),
        "side",
    )?;

    let full = autoscaler("e", 5, 5);
    found(&[scaled("e"), full.clone()], "autoscaler-without-room", "5")?;
    scene.apply("HPA with 5 to 5", &full, &Warned(&["autoscaler-without-room"]), "never changes")?;
    scene.apply("HPA with 6 to 5", &autoscaler("e", 6, 5), &Refused, "maxReplicas")?;

    scene.apply("HPA", &autoscaler("f", 3, 10), &Silent, "")?;
    found(
        &[deployment("f").into(), autoscaler("f", 3, 10)],
        "autoscaler-fights-replicas",
        "HorizontalPodAutoscaler f",
    )?;
    scene.apply(
        "Deployment with `spec.replicas` and an HPA",
        &deployment("f").into(),
        &Warned(&["autoscaler-fights-replicas"]),
        "",
    )
}

/// Budgets that are missing, or that select no Pods or too many.
#[test]
fn budgets() -> Result<()> {
    let web: Value = deployment("web").into();
    let other: Value = deployment("other").with("/spec/template/metadata/labels/team", json!("shop")).into();
    let mut both = budget("both", "web", "maxUnavailable", json!(1));
    both["spec"]["selector"] =
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "other"]}]});
    let one = budget("one", "web", "maxUnavailable", json!(1));
    let closed = budget("one", "web", "minAvailable", json!("100%"));
    found(std::slice::from_ref(&web), "missing-disruption-budget", "3 Pods, and no PodDisruptionBudget selects them")?;
    found(
        &[web.clone(), budget("x", "nobody", "maxUnavailable", json!(1))],
        "dangling-disruption-budget",
        "protects nothing",
    )?;
    found(&[web.clone(), other.clone(), both.clone()], "shared-disruption-budget", "together")?;
    let two = budget("two", "web", "maxUnavailable", json!(1));
    found(&[web.clone(), one.clone(), two.clone()], "overlapping-disruption-budgets", "kubectl drain fails")?;
    found(&[web.clone(), closed.clone()], "drain-deadlock", "minAvailable 100% of 3 Pods")?;

    let mut scene = Scene::new("8")?;
    scene.apply("Deployment without a PDB, new", &web, &Silent, "")?;
    let image = "app=registry.example.com/web:1.5.0";
    scene.kubectl(&["set", "image", "deployment/web", image], &Warned(&["missing-disruption-budget"]), "")?;
    scene.apply("PDB after its Deployment", &one, &Silent, "")?;
    let image = "app=registry.example.com/web:1.6.0";
    scene.kubectl(&["set", "image", "deployment/web", image], &Silent, "")?;
    scene.apply("second PDB over the same Pods", &two, &Denied(&["overlapping-disruption-budgets"]), "")?;
    scene.apply("PDB `minAvailable: 100%`", &closed, &Denied(&["drain-deadlock"]), "minAvailable 100% of 3 Pods")?;
    scene.kubectl(&["delete", "poddisruptionbudget", "one"], &Silent, "")?;
    scene.apply("another Deployment", &other, &Silent, "")?;
    scene.apply("PDB over two workloads", &both, &Warned(&["shared-disruption-budget"]), "together")
}

/// An old problem blocks no update. A worse one does.
#[test]
fn an_old_workload() -> Result<()> {
    let namespace = stage()?.old.kubectl().namespace().unwrap_or_default().to_owned();
    let kubectl = stage()?.old.kubectl();
    let mut table = String::new();
    let mut told = |what: &str, output: &Output| -> Result<()> {
        ensure!(output.status.success(), "{what}: {}", output.stderr);
        let _ = writeln!(table, "| 11 | {what} | admitted |");
        Ok(())
    };
    let run = |arguments: &[&str]| kubectl.run(arguments, None);
    told("old Deployment: a label", &run(&["label", "deployment", "web", "team=shop"])?)?;
    let finalizers = json!({"metadata": {"finalizers": null}});
    told("old Deployment: a finalizer removed", &kubectl.patch("deployment", "web", &finalizers)?)?;
    // With the identity of the controller, which may do only this.
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web/scale");
    let scaler = "--as=system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    for replicas in [5, 2] {
        let scale = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": namespace},
            "spec": {"replicas": replicas},
        });
        let what = format!("old Deployment: its autoscaler scales it to {replicas}");
        let arguments = [scaler, "replace", "--raw", &path, "--filename=-"];
        told(&what, &kubectl.run(&arguments, Some(&scale.to_string()))?)?;
    }
    until(TOLD, "its ReplicaSet makes Pods", || {
        let pods = stage()?.control_plane.kubectl().in_namespace(&namespace).list("pods")?;
        Ok((pods.len() == 2).then_some(()))
    })?;
    let mut object = kubectl.get("deployment", "web")?;
    if let Some(containers) = object.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut) {
        containers.reverse();
    }
    told(
        "old Deployment: containers reordered",
        &kubectl.run(&["replace", "--filename=-"], Some(&object.to_string()))?,
    )?;
    let worse = run(&["set", "image", "deployment/web", "side=registry.example.com/side:latest"])?;
    ensure!(Denied(&["latest-image-tag"]).problem(&worse, "side").is_none(), "{}", worse.stderr);
    println!("{table}| 11 | old Deployment: `latest` in a second container | denied: `latest-image-tag` |");
    Ok(())
}

/// The sets of the guides, unchanged.
#[test]
fn the_guides_own_sets() -> Result<()> {
    let one_path = json!({"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10});
    let same: Value = deployment("same")
        .pod("/containers/0/readinessProbe", one_path.clone())
        .pod("/containers/0/livenessProbe", one_path)
        .into();
    let latest: Value =
        deployment("latest").pod("/containers/0/image", json!("registry.example.com/api:latest")).into();
    let two = budget("web", "web", "minAvailable", json!(2));
    let sentence = "minAvailable 2 of 2 Pods (Deployment web at the minimum of HorizontalPodAutoscaler web), so none may be \
                    evicted, and a drain never ends";
    let asks = "livenessProbe and readinessProbe check the same";
    found(&[scaled("web"), autoscaler("web", 2, 10), two.clone()], "drain-deadlock", sentence)?;
    found(std::slice::from_ref(&same), "identical-probes", asks)?;
    found(std::slice::from_ref(&latest), "latest-image-tag", "every push changes what new Pods run")?;
    let mut scene = Scene::new("17")?;
    scene.apply("Deployment", &scaled("web"), &Silent, "")?;
    scene.apply("HPA, minimum 2", &autoscaler("web", 2, 10), &Silent, "")?;
    scene.apply("PDB `minAvailable: 2`", &two, &Denied(&["drain-deadlock"]), sentence)?;
    scene.apply("one `/health` for both probes", &same, &Warned(&["identical-probes"]), asks)?;
    scene.apply("a `latest` tag", &latest, &Denied(&["latest-image-tag"]), "every push changes what new Pods run")
}
