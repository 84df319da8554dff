//! Additions of the webhook with profile `mutate`, measured as the difference of the stored objects with and without
//! it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use plimsoll_tests::{ControlPlane, Manifest, Namespace, Webhook, WebhookOptions, accepts};
use serde_json::{Value, json};

const CONFIG: &str = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: filling}\nspec: {mode: enforce, profile: mutate}\n";

/// A complete object, except for the values that the profile fills in. It has a user, so that root is certainly not
/// intended.
fn incomplete(kind: &str, name: &str) -> Manifest {
    let bare = Manifest::good(kind, name)
        .pod("/securityContext", json!({"runAsUser": 1001}))
        .pod("/containers/0/securityContext", Value::Null)
        .pod(
            "/containers/0/resources",
            json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}),
        );
    if kind == "Deployment" { bare.with("/spec/replicas", json!(4)).with("/spec/strategy", Value::Null) } else { bare }
}

const KINDS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"];

struct Stage {
    control_plane: &'static ControlPlane,
    /// [`incomplete`] with the defaults of the API server alone, by kind.
    without: BTreeMap<&'static str, Value>,
    /// Deployments older than the webhook: one from `kubectl apply`, one from `kubectl apply --server-side`.
    legacy: Namespace,
    _webhook: Webhook,
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    let start = || {
        let control_plane = ControlPlane::shared()?;
        let legacy = Namespace::new(control_plane, "legacy")?;
        for name in ["applied", "retouched"] {
            legacy.kubectl().apply(&incomplete("Deployment", name).to_string())?.ok()?;
        }
        let pod = incomplete("Pod", "pod").to_string();
        legacy.kubectl().apply(&pod)?.ok()?;
        let mut without = BTreeMap::new();
        for kind in KINDS {
            let object = incomplete(kind, "web").with("/metadata/namespace", json!(legacy.name()));
            without.insert(*kind, control_plane.defaulted(&object.to_string())?);
        }
        let webhook = Webhook::start(control_plane, &WebhookOptions::with_config(CONFIG))?;
        Ok(Stage { control_plane, without, legacy, _webhook: webhook })
    };
    let stage = STAGE.get_or_init(|| start().map_err(|error: anyhow::Error| format!("{error:#}")));
    stage.as_ref().map_err(|error| anyhow!("the stage is not set: {error}"))
}

fn namespace(prefix: &str) -> Result<Namespace> {
    Namespace::new(stage()?.control_plane, prefix)
}

/// Every different value, by pointer: before and after. A new branch is split into its leaves.
fn differences(before: &Value, after: &Value) -> BTreeMap<String, (Value, Value)> {
    fn walk(path: String, before: &Value, after: &Value, into: &mut BTreeMap<String, (Value, Value)>) {
        let empty = json!({});
        match (before, after) {
            (Value::Object(left), Value::Object(right)) => {
                for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                    let member = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or_default();
                    walk(format!("{path}/{key}"), &member(left), &member(right), into);
                }
            }
            (Value::Null, Value::Object(_)) => walk(path, &empty, after, into),
            (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
                for (index, (left, right)) in left.iter().zip(right).enumerate() {
                    walk(format!("{path}/{index}"), left, right, into);
                }
            }
            _ if before == after => {}
            _ => drop(into.insert(path, (before.clone(), after.clone()))),
        }
    }
    let mut found = BTreeMap::new();
    walk("/spec".to_owned(), &before["spec"], &after["spec"], &mut found);
    found
}

/// The additions of the profile to a Pod spec at this pointer.
fn security(pod_spec: &str) -> BTreeMap<String, (Value, Value)> {
    [
        ("/securityContext/runAsNonRoot", json!(true)),
        ("/securityContext/seccompProfile/type", json!("RuntimeDefault")),
        ("/containers/0/securityContext/allowPrivilegeEscalation", json!(false)),
    ]
    .into_iter()
    .map(|(pointer, value)| (format!("{pod_spec}{pointer}"), (Value::Null, value)))
    .collect()
}

fn pod_spec(kind: &str) -> &'static str {
    match kind {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    }
}

/// The strategy. The API server fills in its defaults before the webhook runs.
fn strategy() -> [(String, (Value, Value)); 2] {
    let update = "/spec/strategy/rollingUpdate";
    [
        (format!("{update}/maxSurge"), (json!("25%"), json!(1))),
        (format!("{update}/maxUnavailable"), (json!("25%"), json!(0))),
    ]
}

#[test]
fn what_is_incomplete_is_completed_and_nothing_else() -> Result<()> {
    for kind in KINDS {
        // One namespace for each kind, because workloads with equal labels would have findings.
        let namespace = namespace("completed")?;
        let mut before = stage()?.without[kind].clone();
        let object = incomplete(kind, "web");
        // The object is complete afterwards, so there is no warning.
        namespace.run(&[accepts(kind, &object.to_string())])?;
        let mut after = namespace.kubectl().get(kind, "web")?;
        for stored in [&mut before, &mut after] {
            // The token volume has a random name, and the controller of the Job a uid.
            if let Some(spec) = stored["spec"].as_object_mut() {
                for random in ["volumes", "selector"] {
                    spec.remove(random);
                }
            }
            for token in ["/spec/containers/0/volumeMounts", "/spec/template/metadata/labels"] {
                stored.pointer_mut(token).map(Value::take);
            }
        }
        let mut expected = security(pod_spec(kind));
        if *kind == "Deployment" {
            expected.extend(strategy());
        }
        assert_eq!(differences(&before, &after), expected, "{kind}");
        ensure!(after["metadata"]["annotations"].as_object().is_none_or(|all| all.len() <= 2), "{}", after["metadata"]);
    }
    Ok(())
}

#[test]
fn applied_again_it_is_unchanged() -> Result<()> {
    let namespace = namespace("again")?;
    let kubectl = namespace.kubectl();
    for (name, flags) in [("client", &[][..]), ("server", &["--server-side"][..])] {
        let object = incomplete("Deployment", name).to_string();
        let apply = || kubectl.run(&[&["apply", "--filename=-"], flags].concat(), Some(&object));
        apply()?.ok()?;
        let first = kubectl.get("deployment", name)?;
        let said = apply()?.ok()?;
        let second = kubectl.get("deployment", name)?;
        assert_eq!(first, second, "{said}");
        if name == "client" {
            ensure!(said.contains("unchanged"), "{said}");
        }
        assert_eq!(second["metadata"]["generation"], 1);
        // The stored object is complete: a replace with it changes nothing.
        let mut whole = second.clone();
        whole["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
        kubectl.run(&["replace", "--filename=-"], Some(&whole.to_string()))?.ok()?;
        assert_eq!(kubectl.get("deployment", name)?["spec"], second["spec"]);
    }
    Ok(())
}

/// Otherwise a new label, or an upgrade of Plimsoll, would roll out every workload.
#[test]
fn an_update_that_leaves_the_template_alone_completes_nothing() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    let before = kubectl.get("deployment", "applied")?;
    kubectl.ok(&["label", "deployment/applied", "team=shop"])?;
    kubectl.ok(&["scale", "deployment/applied", "--replicas=6"])?;
    kubectl.patch("deployment", "applied", &json!({"spec": {"replicas": 5, "minReadySeconds": 3}}))?.ok()?;
    kubectl.apply(&incomplete("Deployment", "applied").with("/metadata/labels/a", json!("b")).to_string())?.ok()?;
    let after = kubectl.get("deployment", "applied")?;
    let changed: Vec<_> = differences(&before, &after).into_keys().collect();
    assert_eq!(changed, ["/spec/minReadySeconds"], "{}", after["spec"]);
    assert_eq!(after["spec"]["template"], before["spec"]["template"]);

    // Most fields of a Pod are immutable, so the webhook must add nothing.
    let before = kubectl.get("pod", "pod")?;
    kubectl.ok(&["label", "pod/pod", "team=shop"])?;
    kubectl.ok(&["set", "image", "pod/pod", "app=registry.example.com/shop:1.5.0"])?;
    let after = kubectl.get("pod", "pod")?;
    let changed: Vec<_> = differences(&before, &after).into_keys().collect();
    assert_eq!(changed, ["/spec/containers/0/image"]);
    Ok(())
}

#[test]
fn an_update_of_the_template_completes_it() -> Result<()> {
    let kubectl = stage()?.legacy.kubectl();
    let before = kubectl.get("deployment", "retouched")?;
    kubectl.ok(&["set", "image", "deployment/retouched", "app=registry.example.com/shop:1.5.0"])?;
    let after = kubectl.get("deployment", "retouched")?;
    let image = "/spec/template/spec/containers/0/image";
    let mut expected = security("/spec/template/spec");
    expected.extend(strategy());
    expected.insert(
        image.to_owned(),
        (before.pointer(image).cloned().unwrap_or_default(), json!("registry.example.com/shop:1.5.0")),
    );
    assert_eq!(differences(&before, &after), expected);
    Ok(())
}

#[test]
fn what_a_controller_owns_stays_as_it_is() -> Result<()> {
    let namespace = namespace("owned")?;
    let owner = |controller: bool| {
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "0b3a9f3e-8a4b-4a39-9d0e-3b7a4a0c7f11",
            "controller": controller}])
    };
    for kind in ["ReplicaSet", "Pod", "Job"] {
        for controller in [true, false] {
            let name = format!("{}-{controller}", kind.to_lowercase());
            let object = incomplete(kind, &name).with("/metadata/ownerReferences", owner(controller));
            namespace.kubectl().create(&object.to_string())?.ok()?;
            let stored = namespace.kubectl().get(kind, &name)?;
            let non_root = stored.pointer(&format!("{}/securityContext/runAsNonRoot", pod_spec(kind)));
            assert_eq!(non_root.is_none(), controller, "{name}");
        }
    }
    Ok(())
}

/// The webhook replaces the API server's default of 25 % only if it is certain that no user wrote it.
#[test]
fn the_rollout_of_four_replicas() -> Result<()> {
    let namespace = namespace("rollout")?;
    let kubectl = namespace.kubectl();
    let web = |name: &str, strategy: Value| {
        Manifest::good("Deployment", name).with("/spec/replicas", json!(4)).with("/spec/strategy", strategy)
    };
    let update = |written: Value| json!({"rollingUpdate": written});
    let nothing = || Value::Null;
    let (filled, default) =
        (json!({"maxSurge": 1, "maxUnavailable": 0}), json!({"maxSurge": "25%", "maxUnavailable": "25%"}));
    let apply: &[&str] = &["apply"];
    let server: &[&str] = &["apply", "--server-side"];
    let rows = [
        ("nothing-applied", apply, nothing(), filled.clone()),
        ("nothing-applied-by-the-server", server, nothing(), filled.clone()),
        // The author of the value is unknown.
        ("nothing-created", &["create"], nothing(), default.clone()),
        ("all-applied", apply, update(default.clone()), default.clone()),
        ("all-applied-by-the-server", server, update(default.clone()), default.clone()),
        // The managed fields look as if the user had written all fields below.
        ("empty-by-the-server", server, json!({}), default.clone()),
        ("empty-applied", apply, json!({}), filled.clone()),
        ("surge-applied", apply, update(json!({"maxSurge": "25%"})), default.clone()),
        ("unavailable-by-the-server", server, update(json!({"maxUnavailable": "25%"})), default.clone()),
        ("other-surge", apply, update(json!({"maxSurge": "50%"})), json!({"maxSurge": "50%", "maxUnavailable": "25%"})),
        (
            "other-unavailable",
            server,
            update(json!({"maxUnavailable": 1})),
            json!({"maxSurge": "25%", "maxUnavailable": 1}),
        ),
    ];
    for (name, verb, written, expected) in rows {
        let object = web(name, written).to_string();
        kubectl.run(&[verb, &["--filename=-"]].concat(), Some(&object))?.ok().context(name)?;
        let stored = kubectl.get("deployment", name)?;
        assert_eq!(stored["spec"]["strategy"]["rollingUpdate"], expected, "{name}");
    }
    // A quarter of three rounds down to 0.
    kubectl.apply(&web("three", Value::Null).with("/spec/replicas", json!(3)).to_string())?.ok()?;
    assert_eq!(kubectl.get("deployment", "three")?["spec"]["strategy"]["rollingUpdate"], default);
    Ok(())
}

#[test]
fn what_somebody_wrote_is_never_overwritten() -> Result<()> {
    let namespace = namespace("written")?;
    let kubectl = namespace.kubectl();
    let loose = incomplete("Deployment", "loose")
        .pod("/securityContext", json!({"runAsNonRoot": false, "runAsUser": 1001, "seccompProfile": {"type": "Localhost", "localhostProfile": "own.json"}}))
        .pod("/containers/0/securityContext", json!({"allowPrivilegeEscalation": true, "readOnlyRootFilesystem": false}))
        .with("/spec/strategy", json!({"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}));
    for flags in [&[][..], &["--server-side", "--force-conflicts"][..]] {
        kubectl.run(&[&["apply", "--filename=-"], flags].concat(), Some(&loose.to_string()))?.ok()?;
        let stored = kubectl.get("deployment", "loose")?;
        for pointer in
            ["/template/spec/securityContext", "/template/spec/containers/0/securityContext", "/strategy/rollingUpdate"]
        {
            let pointer = format!("/spec{pointer}");
            assert_eq!(stored.pointer(&pointer), loose.object().pointer(&pointer), "{pointer}");
        }
    }
    // For a privileged container the API server refuses `false`.
    let privileged =
        incomplete("Deployment", "privileged").pod("/containers/0/securityContext", json!({"privileged": true}));
    kubectl.apply(&privileged.to_string())?.ok()?;
    let stored = kubectl.get("deployment", "privileged")?;
    let own = stored.pointer("/spec/template/spec/containers/0/securityContext");
    assert_eq!(own, Some(&json!({"privileged": true})));
    Ok(())
}

/// The webhook knows that the namespace has no LimitRange, so it writes a request, also below a limit.
#[test]
fn requests_are_written_where_limit_ranges_are_known() -> Result<()> {
    let namespace = namespace("requests")?;
    let kubectl = namespace.kubectl();
    let resources =
        |name: &str, resources: Value| incomplete("Deployment", name).pod("/containers/0/resources", resources);
    let limits = json!({"limits": {"cpu": "2", "memory": "1Gi"}});
    namespace.run(&[accepts("only limits", &resources("limits", limits.clone()).to_string())])?;
    let stored = kubectl.get("deployment", "limits")?;
    let written = json!({"limits": limits["limits"], "requests": {"cpu": "200m", "memory": "256Mi"}});
    assert_eq!(stored.pointer("/spec/template/spec/containers/0/resources"), Some(&written));
    kubectl.apply(&resources("none", json!({})).to_string())?.ok()?;
    let stored = kubectl.get("deployment", "none")?;
    let written = json!({"requests": {"cpu": "100m", "memory": "128Mi"}});
    assert_eq!(stored.pointer("/spec/template/spec/containers/0/resources"), Some(&written));
    Ok(())
}

/// A dry run shows the object as it would be stored.
#[test]
fn a_dry_run_is_completed_too() -> Result<()> {
    let namespace = namespace("dry")?;
    let kubectl = namespace.kubectl();
    let object = incomplete("Deployment", "web").to_string();
    let shown = kubectl.run(&["apply", "--dry-run=server", "--output=json", "--filename=-"], Some(&object))?.ok()?;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!(kubectl.find("deployment", "web")?, None);
    kubectl.apply(&object)?.ok()?;
    assert_eq!(shown["spec"], kubectl.get("deployment", "web")?["spec"]);
    Ok(())
}

/// An image with an unknown user may run as root, and `runAsNonRoot: true` would keep it from starting. So the webhook
/// does not write it, as the page of `runs-as-root` says.
#[test]
fn an_unknown_user_is_left_alone() -> Result<()> {
    let namespace = namespace("user")?;
    let object = incomplete("Deployment", "web").pod("/securityContext", Value::Null);
    namespace.kubectl().apply(&object.to_string())?.ok()?;
    let stored = namespace.kubectl().get("deployment", "web")?;
    assert_eq!(stored.pointer("/spec/template/spec/securityContext/runAsNonRoot"), None);
    Ok(())
}

/// A value of an ignored policy is not filled in. It would break the workload for which the user set the annotation.
#[test]
fn what_is_ignored_is_not_filled_in() -> Result<()> {
    let namespace = namespace("ignored")?;
    let ignore = json!({"plimsoll.dev/ignore.privilege-escalation": "ping is a setuid helper in this image"});
    let object = incomplete("Deployment", "web").with("/metadata/annotations", ignore);
    namespace.kubectl().apply(&object.to_string())?.ok()?;
    let stored = namespace.kubectl().get("deployment", "web")?;
    let at = |pointer: &str| stored.pointer(&format!("/spec/template/spec{pointer}"));
    assert_eq!(at("/containers/0/securityContext/allowPrivilegeEscalation"), None);
    assert_eq!(at("/securityContext/seccompProfile/type"), Some(&json!("RuntimeDefault")));
    Ok(())
}
