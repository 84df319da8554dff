//! Real helm, a real API server with controllers, and `plimsoll serve` with only the rights of the chart's
//! ServiceAccount. There is no kubelet, so the tests start the processes of the Pods: with the arguments of the
//! Deployment, their own ports, the ConfigMap as a file, and an EndpointSlice for the Service.

#[path = "installation/installed.rs"]
mod installed;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use installed::{CHART_NAMESPACE, Installed, SERVICE_ACCOUNT, start_control_plane};
use plimsoll_tests::{Kubectl, Manifest, Namespace, VALIDATING_WEBHOOK, denied_policies, until, warned_policies};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// Longer than a server takes to restore a deleted object.
const NEVER_BACK: Duration = Duration::from_secs(50);

const BOTH: [&str; 2] = ["validatingwebhookconfiguration", "mutatingwebhookconfiguration"];

/// One installation from observing to uninstalling, then two others that end with their Namespace.
#[test]
fn an_installation_from_its_first_day_to_its_last() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control_plane = start_control_plane(folder.path())?;
    let namespace = Namespace::new(&control_plane, "shop")?;
    let shop = namespace.kubectl();
    let mut installed = Installed::new(&control_plane)?;

    installed.install(&["policySet.mode=enforce", "policySet.profile=production"])?;
    nothing_is_asked(&installed, shop)?;
    ensure!(installed.stored_authority()?.is_none(), "the chart holds an authority");

    // The webhook is registered, but denies nothing before a replica is ready.
    installed.start_server("first")?;
    let first = until(SOON, "the first replica registers", || installed.registered())?;
    ensure!(failure_policies(&first) == ["Ignore"], "before a replica is ready: {first}");
    sleep(Duration::from_secs(5));
    let waiting = installed.registered()?.context("the configuration is missing")?;
    ensure!(failure_policies(&waiting) == ["Ignore"], "{waiting}");
    installed.route(&["first"])?;
    until(SOON, "the ready replica makes it count", || {
        Ok(installed.registered()?.filter(|found| failure_policies(found) == ["Fail"]))
    })?;
    let owner = &first["metadata"]["ownerReferences"][0];
    ensure!(owner["kind"] == "Namespace" && owner["name"] == CHART_NAMESPACE, "{owner}");
    until(SOON, "the API server calls the Service", || Ok(denies(shop)?.then_some(())))?;

    // A second replica uses the same CA, and changes nothing.
    let before = installed.registered()?;
    installed.start_server("second")?;
    installed.route(&["first", "second"])?;
    let authority = installed.stored_authority()?.context("the Secret is empty")?;
    sleep(Duration::from_secs(15));
    ensure!(installed.registered()? == before, "the second replica wrote");
    let bundle = &before.as_ref().context("registered")?["webhooks"][0]["clientConfig"]["caBundle"];
    ensure!(*bundle == authority, "caBundle is not the shared authority");
    installed.route(&["second"])?;
    for _ in 0..5 {
        ensure!(denies(shop)?, "the second replica answers otherwise");
    }
    installed.route(&["first", "second"])?;

    // An upgrade resets nothing, and its new policies only audit.
    installed.upgrade(&["policySet.mode=enforce", "policySet.profile=production", "replicas=3"], "0.2.0")?;
    ensure!(spec_of(installed.registered()?) == spec_of(before.clone()), "the upgrade changed the configuration");
    ensure!(installed.stored_authority()?.as_ref() == Some(&authority), "the upgrade changed the authority");
    let policies = installed.kubectl.get("configmap", "plimsoll-policies")?;
    let text = policies["data"]["policies.yaml"].as_str().context("policies")?;
    ensure!(text.contains("policiesAsOf: \"0.1\""), "{text}");

    repairs(&installed, shop)?;
    used_rights(&installed, folder.path())?;
    // An object that the server restored still belongs to the release.
    installed.upgrade(&["policySet.mode=enforce", "policySet.profile=production", "replicas=4"], "0.3.0")?;
    ensure!(spec_of(installed.registered()?) == spec_of(before), "the upgrade changed the configuration");

    // helm uninstall while both replicas run: no object comes back, none stays, and denied objects are accepted.
    installed.uninstall()?;
    gone(&installed)?;
    ensure!(!denies(shop)?, "an object is denied without a webhook");
    let end = Instant::now() + NEVER_BACK;
    while Instant::now() < end {
        gone(&installed)?;
        sleep(Duration::from_secs(2));
    }
    installed.stop_servers()?;
    gone(&installed)?;
    let left = installed.left_in_namespace()?;
    ensure!(left.is_empty(), "helm uninstall left {left:?}");
    Ok(())
}

/// `kubectl delete namespace`, with running and with dead replicas.
#[test]
fn a_namespace_that_is_deleted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let control_plane = start_control_plane(folder.path())?;
    let namespace = Namespace::new(&control_plane, "shop")?;
    let shop = namespace.kubectl();
    let mut installed = Installed::new(&control_plane)?;
    for dead in [false, true] {
        installed.install(&["policySet.mode=enforce", "policySet.profile=production"])?;
        installed.start_server("only")?;
        installed.route(&["only"])?;
        until(SOON, "the API server calls the Service", || Ok(denies(shop)?.then_some(())))?;
        until(SOON, "it counts", || Ok(installed.registered()?.filter(|found| failure_policies(found) == ["Fail"])))?;
        // Keeps the Namespace in the state Terminating, like Pods that take long to stop.
        installed.hold_namespace(true)?;
        if dead {
            installed.kill_servers();
            let refused = apply(shop)?;
            ensure!(refused.contains("failed calling webhook"), "a request was accepted without a server: {refused}");
        }
        installed.delete_namespace()?;
        if dead {
            // No replica can delete the configurations. The garbage collector deletes them after the Namespace.
            installed.hold_namespace(false)?;
        }
        until(SOON, "the configurations are gone", || Ok(gone(&installed).ok()))?;
        ensure!(!denies(shop)?, "an object is denied without a webhook");
        installed.hold_namespace(false)?;
        until(SOON, "the Namespace is gone", || {
            Ok(control_plane.kubectl().find("namespace", CHART_NAMESPACE)?.is_none().then_some(()))
        })?;
        if !dead {
            let log = installed.log("only");
            ensure!(log.contains("the webhook configurations are deleted"), "{log}");
        }
        installed.stop_servers()?;
        gone(&installed)?;
    }
    Ok(())
}

/// The rendered objects have no webhook, so nothing is reviewed and nothing is denied.
fn nothing_is_asked(installed: &Installed, shop: &Kubectl) -> Result<()> {
    for kind in BOTH {
        let found = installed.kubectl.get(kind, "plimsoll")?;
        ensure!(found["webhooks"].as_array().is_none_or(Vec::is_empty), "{found}");
    }
    ensure!(!denies(shop)?, "an object is denied without a webhook");
    Ok(())
}

/// The server restores edited and deleted objects.
fn repairs(installed: &Installed, shop: &Kubectl) -> Result<()> {
    let before = spec_of(installed.registered()?);
    let edits = [
        json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]),
        json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]),
        json!([{"op": "remove", "path": "/webhooks/0/rules"}]),
        json!([{"op": "remove", "path": "/webhooks/0/matchConditions/0"}]),
        json!([{"op": "remove", "path": "/metadata/ownerReferences"}]),
        json!([{"op": "remove", "path": "/webhooks"}]),
    ];
    for edit in edits {
        let (patch, kind) = (edit.to_string(), BOTH[0]);
        installed.kubectl.ok(&["patch", kind, "plimsoll", "--type=json", "--patch", &patch])?;
        until(SOON, &format!("{patch} is repaired"), || {
            let found = installed.registered()?;
            let owned = found.as_ref().is_some_and(|found| found["metadata"]["ownerReferences"].is_array());
            Ok((owned && spec_of(found) == before).then_some(()))
        })?;
    }
    installed.kubectl.ok(&["delete", "secret", "plimsoll-authority"])?;
    for kind in BOTH {
        installed.kubectl.ok(&["delete", kind, "plimsoll"])?;
    }
    ensure!(!denies(shop)?, "an object is denied without a webhook");
    until(Duration::from_secs(60), "the server restores the deleted object", || {
        let mutating = installed.kubectl.find(BOTH[1], "plimsoll")?;
        Ok(installed.registered()?.filter(|_| mutating.is_some()))
    })?;
    until(SOON, "it denies again", || Ok(denies(shop)?.then_some(())))?;
    until(SOON, "it counts again", || Ok(installed.registered()?.filter(|found| failure_policies(found) == ["Fail"])))?;
    ensure!(spec_of(installed.registered()?) == before, "with the same authority");
    Ok(())
}

/// The audit log of the API server shows that every right of the chart was used, and that none was missing.
fn used_rights(installed: &Installed, folder: &Path) -> Result<()> {
    let log = std::fs::read_to_string(folder.join("audit.log"))?;
    let mut used = BTreeSet::new();
    let mut refused = Vec::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line)?;
        if event["user"]["username"] != SERVICE_ACCOUNT {
            continue;
        }
        let (verb, object) = (event["verb"].as_str().unwrap_or_default(), &event["objectRef"]);
        if event["responseStatus"]["code"] == 403 {
            refused.push(event.to_string());
        }
        let resource = object["resource"].as_str().unwrap_or_default();
        // A server-side apply of a missing object is logged as `patch`, and authorised as `create` too.
        if event["responseStatus"]["code"] == 201 {
            used.insert(format!("create {resource}"));
        }
        used.insert(format!("{verb} {resource}"));
    }
    ensure!(refused.is_empty(), "{refused:#?}");
    let mut granted = BTreeSet::new();
    for kind in ["clusterrole", "role"] {
        let role = installed.kubectl.get(kind, "plimsoll")?;
        for rule in role["rules"].as_array().context("rules")? {
            granted.extend(rights(rule));
        }
    }
    // For a Namespace that is being deleted, which the other test covers.
    let withdraws = |right: &str| right.starts_with("delete ") && right.ends_with("webhookconfigurations");
    // Reads before a denial. The test `passage` covers them with these rights.
    let looked_at = installed.kubectl.get("clusterrole", "plimsoll")?["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|rule| {
            let group = rule["apiGroups"][0].as_str().unwrap_or_default();
            let watches = rule["verbs"] == json!(["get", "list", "watch"]);
            // These kinds are not installed here. The server does not read kinds that are not served.
            ["argoproj.io", "autoscaling.k8s.io", "keda.sh", "monitoring.coreos.com"].contains(&group)
                || (!watches && ["apps", "batch"].contains(&group))
        })
        .flat_map(rights)
        .chain(watched_kinds(&installed.kubectl)?.into_iter().map(|kind| format!("get {kind}")))
        .collect::<BTreeSet<_>>();
    let elsewhere = ["get replicationcontrollers", "create events"];
    let seen_otherwise =
        |right: &&String| withdraws(right) || looked_at.contains(*right) || elsewhere.contains(&right.as_str());
    let unused: Vec<_> = granted.difference(&used).filter(|right| !seen_otherwise(right)).collect();
    ensure!(unused.is_empty(), "granted and never used: {unused:?}; used: {used:?}");
    Ok(())
}

/// Reads of policies: lists and watches here; the test `context` covers the reads before some denials.
fn watched_kinds(kubectl: &Kubectl) -> Result<Vec<String>> {
    let role = kubectl.get("clusterrole", "plimsoll")?;
    let rules = role["rules"].as_array().into_iter().flatten();
    let watched = rules.filter(|rule| rule["verbs"] == json!(["get", "list", "watch"]));
    let resources = watched.filter_map(|rule| rule["resources"].as_array()).flatten();
    Ok(resources.filter_map(Value::as_str).map(str::to_owned).collect())
}

fn rights(rule: &Value) -> Vec<String> {
    let words = |field: &str| rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    words("resources").flat_map(|resource| words("verbs").map(move |verb| format!("{verb} {resource}"))).collect()
}

fn gone(installed: &Installed) -> Result<()> {
    for kind in BOTH {
        let found = installed.kubectl.find(kind, "plimsoll")?;
        ensure!(found.is_none(), "{kind} is there");
    }
    Ok(())
}

/// A Deployment that the profile `production` denies.
fn apply(shop: &Kubectl) -> Result<String> {
    let bad = Manifest::good("Deployment", "web").pod("/containers/0/image", json!("registry.example/web:latest"));
    let output = shop.run(&["apply", "--dry-run=server", "--filename=-"], Some(&bad.to_string()))?;
    ensure!(warned_policies(&output.stderr).is_empty(), "{}", output.stderr);
    Ok(output.stderr)
}

fn denies(shop: &Kubectl) -> Result<bool> {
    let stderr = apply(shop)?;
    let denied = denied_policies(&stderr);
    ensure!(denied.is_some() || !stderr.contains("Error"), "{stderr}");
    Ok(denied.is_some_and(|policies| policies.contains("latest-image-tag")))
}

fn failure_policies(configuration: &Value) -> Vec<&str> {
    let webhooks = configuration["webhooks"].as_array().into_iter().flatten();
    // The other webhook, for requests that must succeed while no webhook answers, never fails.
    let counting = webhooks.filter(|webhook| webhook["name"] == VALIDATING_WEBHOOK);
    counting.filter_map(|webhook| webhook["failurePolicy"].as_str()).collect()
}

/// The fields that the API server evaluates.
fn spec_of(configuration: Option<Value>) -> Option<Value> {
    configuration.map(|mut configuration| configuration["webhooks"].take())
}
