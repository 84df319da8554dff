//! Knowledge of policies about other objects in a real cluster: Services, LimitRanges and ConfigMaps that come and go,
//! an API server that fails, missing rights, and kinds that a new configuration needs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{
    ControlPlane, Kubectl, Manifest, Namespace, Options, PLAIN, Webhook, WebhookOptions, denied_policies, until,
    warned_policies,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

const SET: &str = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: main}\nspec: {mode: enforce, profile: production}\n";

/// The webhook with an address for health and metrics.
struct Served {
    webhook: Webhook,
    health: u16,
}

impl Served {
    fn start(control_plane: &ControlPlane, arguments: &[&str]) -> Result<Self> {
        let health = free_port()?;
        let listen = format!("--health-listen=127.0.0.1:{health}");
        let arguments = [listen.as_str()].iter().chain(arguments).map(|&argument| argument.to_owned()).collect();
        let options = WebhookOptions { arguments, ..WebhookOptions::with_config(SET) };
        Ok(Self { webhook: Webhook::start(control_plane, &options)?, health })
    }

    /// The samples of a metric of the context, by kind.
    fn metric(&self, name: &str) -> Result<BTreeMap<String, f64>> {
        let (_, text) = get(self.health, "/metrics")?;
        let prefix = format!("plimsoll_context_{name}{{kind=\"");
        let sample = |line: &str| {
            let (kind, value) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
            Some((kind.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(sample).collect())
    }

    fn wait_for(&self, name: &str, kind: &str, expected: f64) -> Result<()> {
        until(SOON, &format!("{name} of {kind} is {expected}"), || {
            // The server may not listen yet.
            Ok(self.metric(name).ok().filter(|metric| metric.get(kind) == Some(&expected)).map(drop))
        })
        .with_context(|| self.webhook.log())
    }
}

/// Status and body of a page of the webhook's health server.
fn get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("an answer of HTTP")?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer with a body")?;
    Ok((status, body.to_owned()))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The answer to a dry run of an object: the policies that deny, and the policies that warn.
fn said(kubectl: &Kubectl, object: &Manifest) -> Result<(Vec<String>, Vec<String>)> {
    let output = kubectl.run(&["apply", "--dry-run=server", "--filename=-"], Some(&object.to_string()))?;
    let denied = denied_policies(&output.stderr);
    ensure!(output.status.success() || denied.is_some(), "{}", output.stderr);
    Ok((denied.into_iter().flatten().collect(), warned_policies(&output.stderr).into_iter().collect()))
}

/// Waits until exactly these policies deny.
fn until_denied(kubectl: &Kubectl, object: &Manifest, policies: &[&str]) -> Result<()> {
    until(SOON, &format!("denied by {policies:?}"), || Ok((said(kubectl, object)?.0 == policies).then_some(())))
}

fn service(name: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}})
    .to_string()
}

fn without_probe(name: &str) -> Manifest {
    // `minReadySeconds` replaces the probe for rollouts, so that the only finding is about requests that come too
    // early.
    Manifest::good("Deployment", name)
        .pod("/containers/0/readinessProbe", Value::Null)
        .with("/spec/minReadySeconds", json!(10))
}

fn without_requests(name: &str) -> Manifest {
    Manifest::good("Deployment", name).pod("/containers/0/resources", json!({"requests": {"cpu": "1"}}))
}

#[test]
fn findings_follow_the_other_objects_of_the_namespace() -> Result<()> {
    let control_plane = ControlPlane::start(&Options { controller_manager: true, ..Options::default() })?;
    let served = Served::start(&control_plane, &[])?;
    let (shop, bank) = (Namespace::new(&control_plane, "shop")?, Namespace::new(&control_plane, "bank")?);
    let kubectl = shop.kubectl();
    let services = || Ok::<_, anyhow::Error>(served.metric("objects")?.get("Service").copied().unwrap_or_default());
    let before = services()?;

    // A Service that selects the Pods makes the missing probe an error.
    let web = without_probe("web");
    ensure!(
        said(kubectl, &web)? == (vec![], vec![]),
        "without a Service it is only an info: {:?}",
        said(kubectl, &web)?
    );
    bank.kubectl().apply(&service("web"))?.ok()?;
    kubectl.apply(&service("other"))?.ok()?;
    served.wait_for("objects", "Service", before + 2.0)?;
    ensure!(said(kubectl, &web)?.0.is_empty(), "a Service with another selector counts");
    kubectl.apply(&service("web"))?.ok()?;
    until_denied(kubectl, &web, &["missing-readiness-probe"])?;
    kubectl.patch("service", "web", &json!({"spec": {"selector": {"app": "elsewhere"}}}))?.ok()?;
    until_denied(kubectl, &web, &[])?;
    kubectl.patch("service", "web", &json!({"spec": {"selector": {"app": "web"}}}))?.ok()?;
    until_denied(kubectl, &web, &["missing-readiness-probe"])?;
    kubectl.delete("service", "web")?.ok()?;
    until_denied(kubectl, &web, &[])?;

    // A LimitRange fills in the requests of Pods. The Deployment itself does not show them.
    let plain = without_requests("plain");
    until_denied(kubectl, &plain, &["missing-resource-requests"])?;
    let limits = json!([{"type": "Container", "defaultRequest": {"memory": "64Mi"}}]);
    let range =
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": {"limits": limits}});
    kubectl.apply(&range.to_string())?.ok()?;
    until_denied(kubectl, &plain, &[])?;
    kubectl.delete("limitrange", "defaults")?.ok()?;
    until_denied(kubectl, &plain, &["missing-resource-requests"])?;

    // A LimitRange that forbids the Pods, and a quota without room for the surge Pod of an update.
    let limits = json!([{"type": "Container", "max": {"memory": "128Mi"}}]);
    let range =
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "narrow"}, "spec": {"limits": limits}});
    kubectl.apply(&range.to_string())?.ok()?;
    until_denied(kubectl, &web, &["outside-limit-range"])?;
    kubectl.delete("limitrange", "narrow")?.ok()?;
    until_denied(kubectl, &web, &[])?;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "narrow"}, "spec": {"hard": {"pods": "3"}}});
    let warned = |policies: &[&str]| {
        until(SOON, &format!("warned by {policies:?}"), || Ok((said(kubectl, &web)?.1 == policies).then_some(())))
    };
    warned(&[])?;
    kubectl.apply(&quota.to_string())?.ok()?;
    warned(&["peak-over-quota"])?;
    kubectl.delete("resourcequota", "narrow")?.ok()?;
    warned(&[])?;

    // The objects of a namespace are forgotten when it is deleted.
    let bytes = served.metric("bytes")?["Service"];
    drop(bank);
    served.wait_for("objects", "Service", before + 1.0)?;
    ensure!(served.metric("bytes")?["Service"] < bytes, "nothing was freed");
    Ok(())
}

#[test]
fn what_was_known_last_counts_while_the_api_server_is_lost() -> Result<()> {
    let mut control_plane = ControlPlane::start(&Options::default())?;
    let served = Served::start(&control_plane, &[])?;
    let namespace = Namespace::new(&control_plane, "lost")?;
    let kubectl = namespace.kubectl();
    kubectl.apply(&service("web"))?.ok()?;
    let web = without_probe("web");
    until_denied(kubectl, &web, &["missing-readiness-probe"])?;
    let objects = served.metric("objects")?;
    ensure!(served.metric("up_to_date")?.values().all(|value| *value == 1.0), "{:?}", served.metric("up_to_date")?);

    control_plane.kill_api_server()?;
    served.wait_for("up_to_date", "Service", 0.0)?;
    ensure!(served.metric("objects")? == objects, "known objects were dropped");
    ensure!(served.metric("failures_total")?["Service"] >= 1.0);
    let (status, text) = get(served.health, "/readyz?verbose")?;
    ensure!(status == 200 && text.contains("Service as it was last known ("), "{status} {text}");

    control_plane.revive_api_server()?;
    // The first review after the restart needs no new list. It uses the last known state.
    until_denied(kubectl, &web, &["missing-readiness-probe"])?;
    served.wait_for("up_to_date", "Service", 1.0)?;
    kubectl.delete("service", "web")?.ok()?;
    until_denied(kubectl, &web, &[])?;
    let log = served.webhook.log();
    ensure!(log.contains("watched again"), "{log}");
    Ok(())
}

#[test]
fn it_is_ready_once_everything_is_listed() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let health = free_port()?;
    control_plane.allow(PLAIN, None, &registering())?;
    let mut command = std::process::Command::new(plimsoll_tests::plimsoll_binary()?);
    let (listen, url) = (free_port()?, "https://127.0.0.1:1");
    command.args(["serve", "--register", "--url", url]).arg(format!("--listen=127.0.0.1:{listen}"));
    command.arg(format!("--health-listen=127.0.0.1:{health}"));
    command.arg("--kubeconfig").arg(control_plane.kubeconfig_of(PLAIN)?);
    let mut process = control_plane.spawn("plimsoll-plain", &mut command)?;
    let forbidden = until(SOON, "the server names the missing rights", || {
        process.still_runs()?;
        let Ok((status, text)) = get(health, "/readyz?verbose") else { return Ok(None) };
        Ok(text.contains("forbidden").then_some((status, text)))
    })?;
    ensure!(forbidden.0 == 503 && forbidden.1.contains("[-]context failed"), "{forbidden:?}");
    ensure!(forbidden.1.contains("LimitRange is not listed yet"), "{forbidden:?}");
    // Nothing is registered before the webhook can review.
    ensure!(control_plane.kubectl().find("validatingwebhookconfiguration", "plimsoll")?.is_none(), "registered");

    control_plane.allow(PLAIN, None, &rights("namespaced")?)?;
    control_plane.allow(PLAIN, None, &rights("cluster")?)?;
    let ready = until(SOON, "the server is ready with exactly these rights", || {
        process.still_runs()?;
        let (status, text) = get(health, "/readyz?verbose")?;
        Ok((status == 200).then_some(text))
    })?;
    ensure!(ready.contains("[+]context ok"), "{ready}");
    until(SOON, "it registers", || control_plane.kubectl().find("validatingwebhookconfiguration", "plimsoll"))?;
    Ok(())
}

#[test]
fn a_new_configuration_brings_its_kinds_along() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let folder = tempfile::tempdir()?;
    let bundle = companion(folder.path())?;
    let file = folder.path().join("more.yaml");
    let write = |text: &str| fs::write(&file, text);
    let without = SET.replace("main", "more").replace("production", "none");
    let spec = format!("mode: enforce, bundle: {}, enforceAfter: 0s", bundle.display());
    let with = SET.replace("main", "more").replace("mode: enforce, profile: production", &spec);
    write(&without)?;
    let arguments = ["--config", &file.display().to_string(), "--reload-interval", "200ms"].map(str::to_owned);
    let served = Served::start(&control_plane, &arguments.each_ref().map(String::as_str))?;
    let namespace = Namespace::new(&control_plane, "reload")?;
    let kubectl = namespace.kubectl();
    let named = |tag: &str| {
        Manifest::good("Deployment", "web")
            .with("/metadata/annotations", json!({"example.com/settings": "settings"}))
            .pod("/containers/0/image", json!(format!("registry.example.com/shop:{tag}")))
    };
    kubectl.apply(&named("1.0.0").to_string())?.ok()?;
    let budget = |name: &str, app: &str, annotations: Value| {
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "annotations": annotations},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": app}}}})
        .to_string()
    };
    kubectl.apply(&budget("draft", "web", json!({"example.com/draft": "yes"})))?.ok()?;
    served.wait_for("objects", "policy/PodDisruptionBudget", 1.0)?;
    let in_part = served.metric("bytes")?["policy/PodDisruptionBudget"];
    ensure!(!served.metric("objects")?.contains_key("ConfigMap"), "no policy reads ConfigMaps");

    write(&with)?;
    served.wait_for("up_to_date", "ConfigMap", 1.0)?;
    until_denied(kubectl, &named("2.0.0"), &["missing-config-map"])?;
    kubectl.ok(&["create", "configmap", "settings", "--from-literal=password=swordfish"])?;
    until_denied(kubectl, &named("2.0.0"), &[])?;
    kubectl.delete("configmap", "settings")?.ok()?;
    until_denied(kubectl, &named("2.0.0"), &["missing-config-map"])?;

    // A question by selector instead of by name, and the fresh read from the API server before the denial. Fields of
    // budgets that were dropped before are kept as soon as a policy reads them.
    ensure!(served.metric("bytes")?["policy/PodDisruptionBudget"] > in_part, "the whole budget must be kept now");
    let budgeted = |tag: &str| named(tag).with("/metadata/annotations", json!({"example.com/budget": "yes"}));
    until_denied(kubectl, &budgeted("2.0.0"), &["missing-budget"])?;
    kubectl.delete("poddisruptionbudget", "draft")?.ok()?;
    kubectl.apply(&budget("others", "other", json!({})))?.ok()?;
    served.wait_for("objects", "policy/PodDisruptionBudget", 1.0)?;
    ensure!(said(kubectl, &budgeted("2.0.0"))?.0 == ["missing-budget"], "a budget with another selector counts");
    kubectl.apply(&budget("web", "web", json!({})))?.ok()?;
    until_denied(kubectl, &budgeted("2.0.0"), &[])?;

    write(&without)?;
    until(SOON, "ConfigMaps are forgotten", || {
        Ok((!served.metric("objects")?.contains_key("ConfigMap")).then_some(()))
    })?;
    until_denied(kubectl, &named("2.0.0"), &[])?;
    Ok(())
}

/// A custom kind that is installed later. Its objects count in the namespaces that they name.
#[test]
fn a_monitor_of_another_namespace_names_the_port() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let served = Served::start(&control_plane, &[])?;
    let (shop, watch) = (Namespace::new(&control_plane, "shop")?, Namespace::new(&control_plane, "watch")?);
    let ports = json!([{"name": "stats-tcp", "port": 9402, "targetPort": 8080}]);
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {"selector": {"app": "web"}, "ports": ports}});
    shop.kubectl().apply(&service.to_string())?.ok()?;
    let web = without_probe("web");
    until_denied(shop.kubectl(), &web, &["missing-readiness-probe"])?;

    let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"plural": "servicemonitors", "kind": "ServiceMonitor"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything}}},
            }],
        },
    });
    control_plane.kubectl().create(&crd.to_string())?.ok()?;
    control_plane.kubectl().ok(&[
        "wait",
        "--for=condition=Established",
        "crd/servicemonitors.monitoring.coreos.com",
    ])?;
    let monitor = |namespaces: Value| {
        let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "endpoints": [{"port": "stats-tcp"}],
            "namespaceSelector": namespaces});
        json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "web"}, "spec": spec})
            .to_string()
    };
    let kind = "monitoring.coreos.com/ServiceMonitor";
    watch.kubectl().apply(&monitor(json!({"matchNames": ["elsewhere"]})))?.ok()?;
    served.wait_for("objects", kind, 1.0)?;
    ensure!(said(shop.kubectl(), &web)?.0 == ["missing-readiness-probe"], "a monitor of another namespace counts");
    for namespaces in [json!({"matchNames": [shop.name()]}), json!({"any": true})] {
        watch.kubectl().apply(&monitor(namespaces))?.ok()?;
        until_denied(shop.kubectl(), &web, &[])?;
        watch.kubectl().apply(&monitor(json!({"matchNames": []})))?.ok()?;
        until_denied(shop.kubectl(), &web, &["missing-readiness-probe"])?;
    }
    watch.kubectl().apply(&monitor(json!({"any": true})))?.ok()?;
    until_denied(shop.kubectl(), &web, &[])?;
    ensure!(served.metric("objects")?[kind] == 1.0, "{:?}", served.metric("objects")?);
    watch.kubectl().delete("servicemonitor", "web")?.ok()?;
    until_denied(shop.kubectl(), &web, &["missing-readiness-probe"])?;
    Ok(())
}

#[test]
fn only_in_some_namespaces() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let (shop, bank) = (Namespace::new(&control_plane, "shop")?, Namespace::new(&control_plane, "bank")?);
    control_plane.allow(PLAIN, None, &registering())?;
    control_plane.allow(PLAIN, Some(shop.name()), &rights("namespaced")?)?;
    control_plane.allow(PLAIN, None, &rights("cluster")?)?;
    bank.kubectl().apply(&service("web"))?.ok()?;
    let health = free_port()?;
    let arguments = ["--only-namespace", shop.name(), "--health-listen", &format!("127.0.0.1:{health}")];
    let options = WebhookOptions {
        arguments: arguments.map(str::to_owned).to_vec(),
        kubeconfig: Some(control_plane.kubeconfig_of(PLAIN)?.to_owned()),
        ..WebhookOptions::with_config(SET)
    };
    // The harness's test object is in a namespace that is not selected.
    let webhook = Webhook::start_without_asking(&control_plane, &options)?;
    let served = Served { webhook, health };
    served.wait_for("up_to_date", "Service", 1.0)?;
    let web = without_probe("web");
    until_denied(shop.kubectl(), &without_requests("web"), &["missing-resource-requests"])?;
    ensure!(said(shop.kubectl(), &web)?.0.is_empty(), "a Service of another namespace counts");
    shop.kubectl().apply(&service("web"))?.ok()?;
    until_denied(shop.kubectl(), &web, &["missing-readiness-probe"])?;
    ensure!(served.metric("objects")?["Service"] == 1.0, "{:?}", served.metric("objects")?);
    Ok(())
}

/// The rights that the policies of the built-in bundle need, in each namespace or cluster-wide, as `plimsoll policy
/// rights` prints them.
fn rights(scope: &str) -> Result<Value> {
    let output = std::process::Command::new(plimsoll_tests::plimsoll_binary()?).args(["policy", "rights"]).output()?;
    let documents = plimsoll::yaml::read(&String::from_utf8(output.stdout)?);
    Ok(documents.into_iter().flatten().next().context("rules")?.value()[scope].clone())
}

fn registering() -> Value {
    json!([{"apiGroups": ["admissionregistration.k8s.io"], "verbs": ["get", "create", "patch"],
        "resources": ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"]}])
}

/// The bundle of the fixture, as a file.
fn companion(folder: &Path) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let module = plimsoll_bundle::compile(&root.join("Cargo.toml"), "plimsoll-companion", &root.join("target/guests"))?;
    let metadata = plimsoll_companion::metadata().to_json()?;
    let component = plimsoll_bundle::componentize(&fs::read(module)?, plimsoll_sdk::metadata::SECTION, &metadata)?;
    let file = folder.join("companion.wasm");
    fs::write(&file, component)?;
    Ok(file)
}
