//! Answers of a cluster with profile `default` to `kubectl apply`, and to every other request that reaches the webhook.
//!
//! If an answer depends on a Service, the Service exists, and the webhook knows it before the request.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use plimsoll_tests::{
    Case, ControlPlane, Kubectl, Manifest, Namespace, Output, WORKLOADS, Webhook, WebhookOptions, accepts,
    accepts_with_warnings, causes, container, denied_policies, rejects, until, warned_policies,
};
use serde_json::{Value, json};

/// The shared control plane with one webhook, and with objects that are older than the webhook.
struct Stage {
    control_plane: &'static ControlPlane,
    legacy: Namespace,
    _webhook: Webhook,
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    let start = || {
        let control_plane = ControlPlane::shared()?;
        let legacy = Namespace::new(control_plane, "legacy")?;
        legacy.kubectl().apply(BUDGET)?.ok()?;
        for name in ["labelled", "reordered", "worsened", "mended", "scaled", "restarted", "replaced"] {
            legacy.kubectl().apply(&old_sins("Deployment", name).to_string())?.ok()?;
        }
        let emptied = Manifest::good("Deployment", "emptied")
            .with("/spec/replicas", json!(4))
            .with("/spec/strategy/rollingUpdate", json!({"maxSurge": 0, "maxUnavailable": "100%"}));
        legacy.kubectl().apply(&emptied.to_string())?.ok()?;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "emptied"},
            "spec": {"selector": {"app": "emptied"}, "ports": [{"port": 80, "targetPort": 8080}]}});
        legacy.kubectl().apply(&service.to_string())?.ok()?;
        for name in ["debugged", "evicted", "deleted"] {
            legacy.kubectl().apply(&old_sins("Pod", name).to_string())?.ok()?;
        }
        let webhook = Webhook::start(control_plane, &WebhookOptions::default())?;
        Ok(Stage { control_plane, legacy, _webhook: webhook })
    };
    let stage = STAGE.get_or_init(|| start().map_err(|error: anyhow::Error| format!("{error:#}")));
    stage.as_ref().map_err(|error| anyhow!("the setup failed: {error}"))
}

/// A budget for all Pods of its namespace. Without it, changes of workloads cause warnings.
const BUDGET: &str = "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: all}, spec: {maxUnavailable: 1, \
                      selector: {matchExpressions: [{key: app, operator: Exists}]}}}";

fn namespace(prefix: &str) -> Result<Namespace> {
    Namespace::new(stage()?.control_plane, prefix)
}

/// Three denied values, each in the first of two containers.
fn old_sins(kind: &str, name: &str) -> Manifest {
    Manifest::good(kind, name)
        .container("second", 9090)
        .pod("/containers/0/image", json!("registry.example.com/shop:latest"))
        .pod("/containers/0/resources", json!({"requests": {"cpu": "100m"}}))
        .pod("/containers/0/securityContext/seccompProfile", json!({"type": "Unconfined"}))
}

const OLD_SINS: &[&str] = &["latest-image-tag", "missing-resource-requests", "missing-seccomp-profile"];

#[track_caller]
fn assert_warned(output: Output, policies: &[&str]) {
    let warned: Vec<_> = warned_policies(&output.stderr).into_iter().collect();
    assert_eq!(warned, policies, "{}", output.stderr);
    output.ok().expect("the object is accepted");
}

#[track_caller]
fn assert_denied(output: &Output, policies: &[&str]) {
    let denied = denied_policies(&output.stderr).map(|policies| policies.into_iter().collect::<Vec<_>>());
    assert_eq!(denied.unwrap_or_default(), policies, "{}", output.stderr);
    assert!(!output.status.success());
}

fn set_image(kubectl: &Kubectl, deployment: &str, image: &str) -> Result<Output> {
    kubectl.run(&["set", "image", &format!("deployment/{deployment}"), image], None)
}

#[test]
fn workloads_without_a_flaw() -> Result<()> {
    let namespace = namespace("good")?;
    for kind in WORKLOADS {
        let output = namespace.kubectl().apply(&Manifest::good(kind, &kind.to_lowercase()).to_string())?;
        ensure!(!output.stderr.contains("Warning"), "{kind}: {}", output.stderr);
        output.ok().context(*kind)?;
    }
    Ok(())
}

/// Every problem for which a policy denies, in each kind that the policy reviews.
#[test]
fn denied_for_every_kind() -> Result<()> {
    let mut cases = Vec::new();
    for kind in WORKLOADS {
        let mut row = |what: &str, flawed: fn(Manifest) -> Manifest, policies: &[&str]| {
            let object = flawed(Manifest::good(kind, &format!("{}-{what}", kind.to_lowercase())));
            cases.push(match policies {
                [] => accepts(object.name(), &object.to_string()),
                policies => rejects(object.name(), &object.to_string(), policies),
            });
        };
        // For Pods that end by themselves, missing requests are only recorded.
        let ends = ["Job", "CronJob"].contains(kind);
        row("latest", |it| it.pod("/containers/0/image", json!("shop:latest")), &["latest-image-tag"]);
        row("untagged", |it| it.pod("/containers/0/image", json!("localhost:5000/shop")), &["latest-image-tag"]);
        row(
            "init-latest",
            |it| it.pod("/initContainers", json!([with_image(container("init", 81), "shop")])),
            &["latest-image-tag"],
        );
        row(
            "no-memory",
            // Without a limit of 0, the cases that are not denied would have a warning.
            |it| {
                it.pod(
                    "/containers/0/resources",
                    json!({"requests": {"cpu": "1", "memory": 0}, "limits": {"memory": 0}}),
                )
            },
            if ends { &[] } else { &["missing-resource-requests"] },
        );
        row(
            "unconfined",
            |it| it.pod("/securityContext/seccompProfile", json!({"type": "Unconfined"})),
            &["missing-seccomp-profile"],
        );
        row(
            "all",
            |it| {
                it.pod("/containers/0/image", json!("shop"))
                    .pod("/containers/0/resources", Value::Null)
                    .pod("/securityContext/seccompProfile/type", json!("Unconfined"))
            },
            if ends { &["latest-image-tag", "missing-seccomp-profile"] } else { OLD_SINS },
        );
    }
    namespace("denied")?.run(&cases)
}

fn with_image(mut container: Value, image: &str) -> Value {
    for probe in ["readinessProbe", "livenessProbe"] {
        container.as_object_mut().map(|members| members.remove(probe));
    }
    container["image"] = image.into();
    container
}

/// Every problem of one policy, in each kind that the policy reviews: those that only cause a warning, and the warnings
/// that `production` denies.
#[test]
fn warned_of_for_every_kind() -> Result<()> {
    let mut cases = Vec::new();
    for kind in WORKLOADS {
        let runs_on = !["Job", "CronJob", "Pod"].contains(kind);
        let mut add = |what: &str, flawed: fn(Manifest) -> Manifest, case: &dyn Fn(&str, &str) -> Case| {
            let object = flawed(Manifest::good(kind, &format!("{}-{what}", kind.to_lowercase())));
            cases.push(case(object.name(), &object.to_string()));
        };
        let mut denied = |what: &str, flawed: fn(Manifest) -> Manifest, policy: &str| {
            add(what, flawed, &|name, text| rejects(name, text, &[policy]));
        };
        denied("ratio", |it| it.pod("/containers/0/resources/limits/memory", json!("2Gi")), "excessive-memory-ratio");
        denied("root", |it| it.pod("/containers/0/securityContext/runAsUser", json!(0)), "root-against-non-root");
        denied("perhaps-root", |it| it.pod("/securityContext/runAsNonRoot", json!(false)), "runs-as-root");
        denied(
            "privileged",
            |it| it.pod("/containers/0/securityContext", json!({"privileged": true})),
            "privileged-container",
        );
        let mut row = |what: &str, flawed: fn(Manifest) -> Manifest, policy: &str, is_judged: bool| {
            add(what, flawed, &|name, text| match is_judged {
                true => accepts_with_warnings(name, text, &[policy]),
                false => accepts(name, text),
            });
        };
        // No Service selects the Pods, so the finding is only recorded.
        row("no-readiness", |it| it.pod("/containers/0/readinessProbe", Value::Null), "missing-readiness-probe", false);
        row(
            "same-probes",
            |it| it.pod("/containers/0/livenessProbe", json!({"httpGet": {"path": "/health/ready", "port": 8080}})),
            "identical-probes",
            runs_on,
        );
        let patient = |it: Manifest| {
            let probe = json!({"httpGet": {"path": "/health/ready", "port": 8080}, "failureThreshold": 9});
            it.pod("/containers/0/livenessProbe", probe)
        };
        row("patient-liveness", patient, "identical-probes", false);
        row(
            "no-cpu",
            |it| {
                it.pod(
                    "/containers/0/resources",
                    json!({"requests": {"memory": "128Mi"}, "limits": {"memory": "256Mi"}}),
                )
            },
            "missing-resource-requests",
            !["Job", "CronJob"].contains(kind),
        );
        let limits = |it: Manifest| it.pod("/containers/0/resources", json!({"limits": {"cpu": "1", "memory": "1Gi"}}));
        row("limits-only", limits, "missing-resource-requests", false);
        let known_user = |it: Manifest| it.pod("/securityContext/runAsNonRoot", Value::Null);
        row("completed", known_user, "runs-as-root", false);
        row("sudo", |it| it.pod("/containers/0/securityContext", Value::Null), "privilege-escalation", true);
        row("no-seccomp", |it| it.pod("/securityContext/seccompProfile", Value::Null), "missing-seccomp-profile", true);
    }
    namespace("warned")?.run(&cases)
}

#[test]
fn probes_are_demanded_where_a_service_asks() -> Result<()> {
    let namespace = namespace("asked")?;
    let kinds = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];
    let names = kinds.map(str::to_lowercase);
    let objects: Vec<_> = kinds
        .iter()
        .zip(&names)
        .map(|(kind, name)| Manifest::good(kind, name).pod("/containers/0/readinessProbe", Value::Null).to_string())
        .collect();
    serve(&namespace, &names, &objects[3], "denied the request")?;
    // The rollout without a readiness check is not reported a second time.
    let cases = names.iter().zip(&objects).map(|(name, object)| rejects(name, object, &["missing-readiness-probe"]));
    namespace.run(&cases.collect::<Vec<_>>())
}

/// Creates a Service of each name. Waits until the webhook knows the last one: until the answer to `object` contains
/// `said`.
fn serve(namespace: &Namespace, names: &[impl AsRef<str>], object: &str, said: &str) -> Result<()> {
    let kubectl = namespace.kubectl();
    for name in names.iter().map(AsRef::as_ref) {
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
        kubectl.apply(&service.to_string())?.ok()?;
    }
    until(Duration::from_secs(30), "the Services are known", || {
        let output = kubectl.run(&["apply", "--dry-run=server", "--filename=-"], Some(object))?;
        Ok(output.stderr.contains(said).then_some(()))
    })
}

#[test]
fn rollouts() -> Result<()> {
    let web = |name: &str, replicas: i64, surge: Value, unavailable: Value| {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
        Manifest::good("Deployment", name)
            .with("/spec/replicas", json!(replicas))
            .with("/spec/strategy/rollingUpdate", rolling)
            .to_string()
    };
    let slow =
        json!({"httpGet": {"path": "/health/startup", "port": 8080}, "periodSeconds": 10, "failureThreshold": 30});
    let deadline = |name: &str, seconds: i64| {
        Manifest::good("Deployment", name)
            .pod("/containers/0/startupProbe", slow.clone())
            .with("/spec/progressDeadlineSeconds", json!(seconds))
            .to_string()
    };
    let capacity = &["rollout-without-capacity"];
    let namespace = namespace("rollouts")?;
    let resolved = web("i", 1, json!(0), json!("25%"));
    serve(&namespace, &["a", "b", "c", "i"], &resolved, "Warning: rollout-without-capacity")?;
    namespace.run(&[
        accepts_with_warnings("the only Pod may be taken down", &web("a", 1, json!(1), json!(1)), capacity),
        accepts_with_warnings("0 and 25 % of one", &web("b", 1, json!(0), json!("25%")), capacity),
        rejects("all of three", &web("c", 3, json!(1), json!("100%")), capacity),
        accepts("all of three, without a Service", &web("k", 3, json!(1), json!("100%"))),
        accepts("a surge Pod first", &web("d", 1, json!(1), json!(0))),
        accepts_with_warnings("one of three", &web("e", 3, json!(0), json!("25%")), &["rollout-rounding-surprise"]),
        accepts("no replicas", &web("f", 0, json!(0), json!(1))),
        accepts_with_warnings("five minutes in one", &deadline("g", 60), &["rollout-deadline-too-short"]),
        accepts("five minutes in ten", &deadline("h", 600)),
    ])?;
    // The message has the resolved numbers.
    let output = namespace.kubectl().apply(&resolved)?;
    ensure!(output.stderr.contains("1 replica, maxSurge 0, maxUnavailable 25%"), "{}", output.stderr);
    // The API server's own refusal comes first.
    let refused = namespace.kubectl().apply(&web("j", 3, json!(0), json!(0)))?;
    ensure!(!refused.status.success() && denied_policies(&refused.stderr).is_none(), "{}", refused.stderr);
    Ok(())
}

#[test]
fn the_good_set_in_any_order() -> Result<()> {
    let meta = json!({"name": "web"});
    let selector = json!({"matchLabels": {"app": "web"}});
    let set = [
        // The autoscaler sets the number of Pods.
        Manifest::good("Deployment", "web").with("/spec/replicas", Value::Null).object().clone(),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta,
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 3, "maxReplicas": 10,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 70}}}]}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta,
            "spec": {"maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"LOG_LEVEL": "info"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta,
            "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": 8080}]}]}}),
    ];
    for first in 0..set.len() {
        for backwards in [false, true] {
            let mut order: Vec<_> = set.iter().cycle().skip(first).take(set.len()).collect();
            if backwards {
                order.reverse();
            }
            let stream: String = order.iter().map(|object| format!("---\n{object}\n")).collect();
            let output = namespace("set")?.kubectl().apply(&stream)?;
            ensure!(output.stderr.is_empty(), "from {first}, backwards {backwards}: {}", output.stderr);
            assert_eq!(output.ok()?.lines().count(), set.len());
        }
    }
    Ok(())
}

#[test]
fn the_message_of_a_denial() -> Result<()> {
    let namespace = namespace("message")?;
    let bad = old_sins("Deployment", "web").pod("/containers/1/readinessProbe", Value::Null);
    serve(&namespace, &["web"], &bad.to_string(), "Warning: missing-readiness-probe: ")?;
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", namespace.name());
    let raw = ["create", "--raw", &path, "--filename=-", "-v=4"];
    for arguments in [&["apply", "--filename=-", "-v=4"][..], &raw] {
        let output = namespace.kubectl().run(arguments, Some(&bad.to_string()))?;
        let (_, message) = output.stderr.rsplit_once("denied the request: Deployment").context("no denial")?;
        let lines: Vec<_> = message.trim_end().lines().collect();
        let [first, bullets @ .., last] = &lines[..] else { bail!("{message}") };
        assert_eq!(*first, " web is refused, for 3 reasons:");
        let expected = ["missing-resource-requests", "missing-seccomp-profile", "latest-image-tag"];
        let causes = causes(&output.stderr).context("no causes")?;
        assert_eq!((bullets.len(), causes.len()), (3, 3), "the message must have the denying policies only: {message}");
        for ((bullet, id), [reason, field, text]) in bullets.iter().zip(expected).zip(&causes) {
            assert_eq!(reason, id);
            ensure!(field.starts_with("spec.template.spec.containers[app]."), "{field}");
            ensure!(
                text.contains("container \"app\"") && bullet.starts_with(&format!("• {id}: {text} → ")),
                "{bullet}"
            );
        }
        ensure!(last.starts_with("More: plimsoll explain ID, for each ID. To be exempted, ask "), "{last}");
        // Warnings are sent as warnings, and are not part of the denial.
        let warned: Vec<_> = warned_policies(&output.stderr).into_iter().collect();
        assert_eq!(warned, ["missing-readiness-probe"], "{}", output.stderr);
        ensure!(warned.iter().all(|id| !message.contains(id.as_str())) && !message.contains("spec."), "{message}");
    }
    Ok(())
}

#[test]
fn warnings_are_few_and_short() -> Result<()> {
    let namespace = namespace("warnings")?;
    let mut many = Manifest::good("Deployment", "a-name-of-some-length-as-people-give-them");
    for index in 0..12_u16 {
        many = many.container(&format!("sidecar-number-{index}"), 9000 + index);
    }
    for index in 0..13 {
        many = many.pod(&format!("/containers/{index}/securityContext"), Value::Null);
    }
    let output = namespace.kubectl().apply(&many.to_string())?;
    let warnings: Vec<_> = output.stderr.lines().filter_map(|line| line.strip_prefix("Warning: ")).collect();
    assert_eq!(warnings.len(), 10, "{}", output.stderr);
    assert_eq!(warnings.last(), Some(&"+4 more: run plimsoll check"));
    for warning in &warnings {
        ensure!(warning.chars().count() <= 120, "{warning}");
    }
    assert_warned(output, &["privilege-escalation"]);
    Ok(())
}

/// Updates that need no other objects: scale, restart, set image, patch, labels.
#[test]
fn updates_of_a_good_workload() -> Result<()> {
    let namespace = namespace("update")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(BUDGET)?.ok()?;
    kubectl.apply(&Manifest::good("Deployment", "web").to_string())?.ok()?;
    assert_denied(&set_image(kubectl, "web", "app=registry.example.com/shop:latest")?, &["latest-image-tag"]);
    assert_denied(&set_image(kubectl, "web", "app=registry.example.com/shop")?, &["latest-image-tag"]);
    assert_warned(set_image(kubectl, "web", "app=registry.example.com/shop:1.5.0")?, &[]);
    assert_warned(kubectl.run(&["set", "resources", "deployment/web", "--requests=memory=64Mi"], None)?, &[]);
    for (replicas, warned) in [("1", &[][..]), ("0", &["live-workload-removed"]), ("5", &[])] {
        let output = kubectl.run(&["scale", "deployment/web", &format!("--replicas={replicas}")], None)?;
        assert_warned(output, warned);
    }
    assert_warned(kubectl.run(&["rollout", "restart", "deployment/web"], None)?, &[]);
    assert_warned(kubectl.delete("deployment", "web")?, &[]);
    Ok(())
}

#[test]
fn what_was_wrong_before_only_warns() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    let patch = |name: &str, patch: Value| kubectl.patch("deployment", name, &patch);
    assert_warned(kubectl.run(&["label", "deployment/labelled", "team=shop"], None)?, OLD_SINS);
    assert_warned(patch("labelled", json!({"metadata": {"finalizers": ["example.com/hold"]}}))?, OLD_SINS);
    assert_warned(patch("labelled", json!({"metadata": {"finalizers": null}}))?, OLD_SINS);
    assert_eq!(kubectl.get("deployment", "labelled")?["metadata"]["labels"]["team"], "shop");

    let sins = old_sins("Deployment", "reordered");
    let containers = &sins.object()["spec"]["template"]["spec"]["containers"];
    let turned = json!({"spec": {"template": {"spec": {"containers": [containers[1], containers[0]]}}}});
    assert_warned(patch("reordered", turned)?, OLD_SINS);
    assert_eq!(kubectl.get("deployment", "reordered")?["spec"]["template"]["spec"]["containers"][0]["name"], "second");

    assert_warned(kubectl.run(&["scale", "deployment/scaled", "--replicas=7"], None)?, &[]);
    assert_warned(patch("scaled", json!({"spec": {"replicas": 2}}))?, OLD_SINS);
    assert_warned(kubectl.run(&["rollout", "restart", "deployment/restarted"], None)?, OLD_SINS);
    assert_warned(kubectl.run(&["set", "env", "deployment/restarted", "LOG_LEVEL=debug"], None)?, OLD_SINS);

    // An update leaves no Pod, of four and of six.
    until(Duration::from_secs(30), "the Service is known", || {
        let more = ["patch", "deployment", "emptied", "--dry-run=server", "--patch", "{\"spec\": {\"replicas\": 6}}"];
        let output = kubectl.run(&more, None)?;
        ensure!(output.status.success(), "{}", output.stderr);
        Ok(output.stderr.contains("Warning: rollout-without-capacity").then_some(()))
    })?;
    Ok(())
}

#[test]
fn what_is_made_worse_is_denied() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    // Another container has the problem now, or the same container has another bad value.
    assert_denied(&set_image(kubectl, "worsened", "second=registry.example.com/shop:latest")?, &["latest-image-tag"]);
    assert_denied(&set_image(kubectl, "worsened", "app=registry.example.com/other:latest")?, &["latest-image-tag"]);
    let unbounded = ["set", "resources", "deployment/worsened", "--containers=second", "--requests=memory=0"];
    assert_denied(&kubectl.run(&unbounded, None)?, &["missing-resource-requests"]);
    let third = old_sins("Deployment", "worsened").container("third", 9191).pod("/containers/2/resources", Value::Null);
    assert_denied(&kubectl.apply(&third.to_string())?, &["missing-resource-requests"]);
    // Fewer problems than before are accepted.
    assert_warned(
        set_image(kubectl, "mended", "app=registry.example.com/shop:1.4.2")?,
        &["missing-resource-requests", "missing-seccomp-profile"],
    );
    // A problem that was fixed may not come back.
    assert_denied(&set_image(kubectl, "mended", "app=registry.example.com/shop:latest")?, &["latest-image-tag"]);
    // An object that was deleted and created again counts as new.
    let replace = ["replace", "--force", "--filename=-"];
    assert_denied(&kubectl.run(&replace, Some(&old_sins("Deployment", "replaced").to_string()))?, OLD_SINS);
    Ok(())
}

/// Subresources of Pods: ephemeral containers, resize, exec.
#[test]
fn subresources_of_pods() -> Result<()> {
    let stage = stage()?;
    let kubectl = stage.legacy.kubectl();
    let debug = |image: &str, profile: &str| {
        let arguments = [format!("--image={image}"), format!("--profile={profile}")];
        kubectl.run(&["debug", "debugged", "--attach=false", &arguments[0], &arguments[1]], None)
    };
    assert_denied(&debug("busybox", "baseline")?, &["latest-image-tag"]);
    // The profile adds SYS_PTRACE.
    assert_denied(&debug("busybox:1.37", "general")?, &["dangerous-capabilities"]);
    // The Pod's own problems are old. Fields that the API forbids in an ephemeral container are not required.
    let sins = &["latest-image-tag", "missing-seccomp-profile"][..];
    assert_warned(debug("busybox:1.37", "restricted")?, sins);
    assert_warned(debug("busybox:1.37", "baseline")?, &[sins[0], sins[1], "privilege-escalation"]);

    let resize = json!({"spec": {"containers": [{"name": "second", "resources": {"requests": {"cpu": "200m"}}}]}});
    let resize = ["patch", "pod", "debugged", "--subresource=resize", "--patch", &resize.to_string()];
    // Limits count here too. The other missing values of the Pod are old.
    assert_warned(kubectl.run(&resize, None)?, &["missing-resource-requests"]);
    let exec = kubectl.run(&["exec", "debugged", "--container=app", "--", "ls"], None)?;
    ensure!(exec.stderr.contains("does not have a host assigned"), "{}", exec.stderr);
    assert_warned(
        kubectl.run(&["label", "pod/debugged", "team=shop"], None)?,
        &[OLD_SINS, &["privilege-escalation"]].concat(),
    );

    let post = |subresource: &str, object: Value| {
        let path = format!("/api/v1/namespaces/{}/pods/evicted/{subresource}", stage.legacy.name());
        kubectl.run(&["create", "--raw", &path, "--filename=-"], Some(&object.to_string()))
    };
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": "node"});
    let named = json!({"name": "evicted"});
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": named, "target": target});
    assert_warned(post("binding", binding)?, &[]);
    assert_warned(post("eviction", json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": named}))?, &[]);
    assert_warned(kubectl.delete("pod", "deleted")?, &[]);
    Ok(())
}

#[test]
fn ways_to_apply() -> Result<()> {
    let namespace = namespace("ways")?;
    let kubectl = namespace.kubectl();
    let (good, bad) = (Manifest::good("Deployment", "web"), old_sins("Deployment", "web"));
    let apply = |object: &Manifest, more: &[&str]| {
        kubectl.run(&[&["apply", "--filename=-"], more].concat(), Some(&object.to_string()))
    };
    assert_denied(&apply(&bad, &["--dry-run=server"])?, OLD_SINS);
    assert_warned(apply(&good, &["--dry-run=server"])?, &[]);
    assert_eq!(kubectl.find("deployment", "web")?, None, "a dry run stores nothing");
    assert_denied(&apply(&bad, &["--server-side"])?, OLD_SINS);
    assert_warned(apply(&good, &["--server-side"])?, &[]);
    assert_denied(&apply(&bad, &["--server-side", "--force-conflicts"])?, OLD_SINS);
    assert_denied(&kubectl.run(&["replace", "--filename=-"], Some(&bad.to_string()))?, OLD_SINS);

    let generated = |object: Manifest| {
        let object = object.with("/metadata/name", Value::Null).with("/metadata/generateName", json!("made-"));
        // Two workloads with the same labels would be another finding.
        let object = object.with("/spec/selector/matchLabels/app", json!("made"));
        object.with("/spec/template/metadata/labels/app", json!("made")).to_string()
    };
    let output = kubectl.create(&generated(bad.clone()))?;
    assert_denied(&output, OLD_SINS);
    ensure!(output.stderr.contains("Deployment made-"), "{}", output.stderr);
    assert_warned(kubectl.create(&generated(good))?, &[]);
    Ok(())
}

#[test]
fn what_is_not_ours() -> Result<()> {
    let stage = stage()?;
    let admin = stage.control_plane.kubectl();
    let system = admin.in_namespace("kube-system");
    let output = system.apply(&old_sins("Deployment", "addon").to_string())?;
    ensure!(output.stderr.is_empty(), "{}", output.stderr);

    let names = json!({"plural": "apps", "singular": "app", "kind": "App"});
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "apps.shop.example.com"},
        "spec": {"group": "shop.example.com", "scope": "Namespaced", "names": names,
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
    });
    admin.apply(&definition.to_string())?.ok()?;
    admin.ok(&["wait", "--for=condition=Established", "crd/apps.shop.example.com", "--timeout=30s"])?;
    let namespace = namespace("custom")?;
    let mut custom = old_sins("Deployment", "web").object().clone();
    (custom["apiVersion"], custom["kind"]) = ("shop.example.com/v1".into(), "App".into());
    let output = namespace.kubectl().apply(&custom.to_string())?;
    ensure!(output.stderr.is_empty(), "{}", output.stderr);
    output.ok()?;
    assert_eq!(namespace.kubectl().get("apps.shop.example.com", "web")?["spec"], custom["spec"]);
    Ok(())
}
