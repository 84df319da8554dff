//! The control plane, the webhook, objects that are older than the webhook, and the requests of a try.

use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow, ensure};
use plimsoll_tests::{
    ControlPlane, Kubectl, Link, Manifest, Namespace, Options, Output, PLAIN, Webhook, WebhookOptions, container,
    denied_policies,
};
use serde_json::{Value, json};

use crate::wire::Wire;

pub(crate) const LATEST: &str = "latest-image-tag";
pub(crate) const REQUESTS: &str = "missing-resource-requests";
pub(crate) const ROOT: &str = "runs-as-root";
pub(crate) const NEVER: &str = "root-against-non-root";
pub(crate) const SECCOMP: &str = "missing-seccomp-profile";

/// The policy that refuses most tries.
pub(crate) const BAD: &str = "registry.example.com/shop:latest";
pub(crate) const GOOD: &str = "registry.example.com/shop:1.5.0";

/// Value of [`Said::text`] if the API server dropped the smuggled value.
pub(crate) const DROPPED: &str = "dropped";

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// Every policy that reviews one object denies, so that a gap in any policy shows.
const CONFIG: &str = r#"
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: main}
spec:
  mode: enforce
  profile: production
  breakGlass: {users: [fire-brigade], groups: [on-call]}
  trustedControllers: ["system:serviceaccount:operators:database"]
  exemptionNamespaces: [plimsoll-exemptions]
  selfExempt: [rollout]
  namespaceModes:
    - {names: ["sandbox-*"], mode: observe}
    - {names: [playground], mode: "off"}
  policies:
    - {id: identical-probes, action: Deny}
    - {id: missing-readiness-probe, action: Deny}
    - {id: excessive-memory-ratio, action: Deny}
    - {id: missing-resource-requests, action: Deny}
    - {id: runs-as-root, action: Deny}
    - {id: privilege-escalation, action: Deny}
    - {id: missing-seccomp-profile, action: Deny}
    - {id: privileged-container, action: Deny}
    - {id: host-namespaces, action: Deny}
    - {id: host-path, action: Deny}
    - {id: host-port, action: Deny}
    - {id: dangerous-capabilities, action: Deny}
    - {id: rollout-without-capacity, action: Deny}
---
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: lenient}
spec:
  mode: enforce
  profile: none
  exemptionNamespaces: [team-shop, plimsoll-exemptions]
  policies:
    - {id: latest-image-tag, action: Warn}
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: vendor, namespace: plimsoll-exemptions}
spec:
  policies: [latest-image-tag]
  match: {namespaces: ["people-*"], resourceRules: [{apiGroups: [apps], resources: [deployments], resourceNames: [vendor]}]}
  reason: the vendor publishes nothing else
  owner: team-shop
  expires: "2099-12-31"
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: past, namespace: plimsoll-exemptions}
spec:
  policies: [latest-image-tag]
  match: {namespaces: ["people-*"], resourceRules: [{resources: [deployments], resourceNames: [past]}]}
  reason: it was needed for a while
  owner: team-shop
  expires: "2020-12-31"
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: own, namespace: team-shop}
spec:
  policies: [latest-image-tag]
  match: {namespaces: ["people-*"], resourceRules: [{resources: [deployments], resourceNames: [own]}]}
  reason: we say so ourselves
  owner: team-shop
  expires: "2099-12-31"
"#;

/// An object with problems, older than the webhook.
const LEGACY: &[(&str, &str)] = &[
    ("Deployment", "renamed"),
    ("Deployment", "moved"),
    ("Deployment", "worsened"),
    ("Deployment", "recreated"),
    ("Deployment", "forced"),
    ("Deployment", "stepped"),
    ("Deployment", "copied"),
    ("Deployment", "unchanged"),
    ("CronJob", "nightly"),
    ("Pod", "old"),
];

pub(crate) struct Stage {
    pub(crate) control_plane: ControlPlane,
    pub(crate) legacy: Namespace,
    pub(crate) api: Wire,
    pub(crate) hook: Wire,
    /// The link between the webhook and the API server.
    pub(crate) link: Link,
    _webhook: Webhook,
}

/// The namespace of a theme.
pub(crate) struct Theme {
    pub(crate) stage: &'static Stage,
    pub(crate) namespace: Namespace,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) admitted: bool,
    /// The HTTP status, or the exit status of a program.
    pub(crate) code: u16,
    pub(crate) text: String,
}

fn stage() -> Result<&'static Stage> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| start(&Options::default(), |_| Ok(())).map_err(|error| format!("{error:#}")));
    stage.as_ref().map_err(|error| anyhow!("the setup failed: {error}"))
}

/// Objects that `older` creates in the legacy namespace are older than the webhook.
pub(crate) fn start(options: &Options, older: impl FnOnce(&Namespace) -> Result<()>) -> Result<Stage> {
    let control_plane = ControlPlane::start(options)?;
    let admin = control_plane.kubectl();
    admin.apply(&rollouts().to_string())?.ok()?;
    admin.ok(&["wait", "--for=condition=Established", "crd/rollouts.argoproj.io", "--timeout=30s"])?;
    let legacy = Namespace::new(&control_plane, "legacy")?;
    let old: String = LEGACY.iter().map(|(kind, name)| format!("{}\n", old_sins(kind, name))).collect();
    legacy.kubectl().apply(&old)?.ok()?;
    older(&legacy)?;
    // A user with all rights on workloads, and without the right to impersonate.
    let verbs = ["create", "delete", "get", "list", "patch", "update"];
    let everything = json!([{"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": verbs}]);
    control_plane.allow(PLAIN, None, &everything)?;
    let (folder, link) = (tempfile::tempdir()?, Link::to(&control_plane)?);
    let kubeconfig = Some(link.kubeconfig(control_plane.kubeconfig(), folder.path())?);
    let webhook =
        Webhook::start(&control_plane, &WebhookOptions { kubeconfig, ..WebhookOptions::with_config(CONFIG) })?;

    let kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(control_plane.kubeconfig())?)?;
    let authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority"].as_str().context("no authority")?;
    let token = kubeconfig["users"][0]["user"]["token"].as_str().context("no token")?.to_owned();
    let port = control_plane.port().context("this suite needs a control plane of its own")?;
    let api = Wire::new(port, &std::fs::read_to_string(authority)?, Some(token))?;
    let template = "{{index .webhooks 0 \"clientConfig\" \"caBundle\" | base64decode}}";
    let bundle =
        admin.ok(&["get", "validatingwebhookconfiguration", "plimsoll", "-o", &format!("go-template={template}")])?;
    let hook = Wire::new(webhook.port(), &bundle, None)?;
    Ok(Stage { control_plane, legacy, api, hook, link, _webhook: webhook })
}

/// Argo's Rollout, as far as the tests need it. Its schema allows any field.
fn rollouts() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rollouts.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced",
            "names": {"plural": "rollouts", "singular": "rollout", "kind": "Rollout"},
            "versions": [
                {"name": "v1alpha1", "served": true, "storage": true, "schema": schema},
                {"name": "v1alpha2", "served": true, "storage": false, "schema": schema},
            ]},
    })
}

/// Denied for [`LATEST`], in the first of two containers.
pub(crate) fn old_sins(kind: &str, name: &str) -> Manifest {
    bad(kind, name).container("second", 9090)
}

/// Denied for [`LATEST`].
pub(crate) fn bad(kind: &str, name: &str) -> Manifest {
    Manifest::good(kind, name).pod("/containers/0/image", json!(BAD))
}

/// The URL path to which objects of a kind are posted.
pub(crate) fn collection(kind: &str, namespace: &str) -> String {
    let (api, plural) = match kind {
        "Pod" => ("/api/v1", "pods"),
        "PodTemplate" => ("/api/v1", "podtemplates"),
        "ReplicationController" => ("/api/v1", "replicationcontrollers"),
        "ConfigMap" => ("/api/v1", "configmaps"),
        "Service" => ("/api/v1", "services"),
        "PersistentVolumeClaim" => ("/api/v1", "persistentvolumeclaims"),
        "PodDisruptionBudget" => ("/apis/policy/v1", "poddisruptionbudgets"),
        "HorizontalPodAutoscaler" => ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
        "Job" => ("/apis/batch/v1", "jobs"),
        "CronJob" => ("/apis/batch/v1", "cronjobs"),
        "StatefulSet" => ("/apis/apps/v1", "statefulsets"),
        "DaemonSet" => ("/apis/apps/v1", "daemonsets"),
        "ReplicaSet" => ("/apis/apps/v1", "replicasets"),
        "ControllerRevision" => ("/apis/apps/v1", "controllerrevisions"),
        "Rollout" => ("/apis/argoproj.io/v1alpha1", "rollouts"),
        _ => ("/apis/apps/v1", "deployments"),
    };
    format!("{api}/namespaces/{namespace}/{plural}")
}

impl Theme {
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let stage = stage()?;
        Ok(Self { stage, namespace: Namespace::new(&stage.control_plane, prefix)? })
    }

    pub(crate) fn kubectl(&self) -> &Kubectl {
        self.namespace.kubectl()
    }

    /// Sends a request to the API server, as the administrator.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Said> {
        Ok(Said::of_api_server(self.stage.api.send(method, path, headers, body)?))
    }

    pub(crate) fn create(&self, object: impl Into<Value>) -> Result<Said> {
        self.create_as(&[], object)
    }

    /// Creates an object with additional headers, such as those for impersonation.
    pub(crate) fn create_as(&self, headers: &[(&str, &str)], object: impl Into<Value>) -> Result<Said> {
        let object = object.into();
        let path = collection(object["kind"].as_str().unwrap_or_default(), self.namespace.name());
        self.send("POST", &path, &[&[JSON], headers].concat(), object.to_string().as_bytes())
    }

    /// Posts any text.
    pub(crate) fn post(&self, kind: &str, text: &str) -> Result<Said> {
        self.send("POST", &collection(kind, self.namespace.name()), &[JSON], text.as_bytes())
    }

    /// Creates an object without a problem, which the try then changes.
    pub(crate) fn made(&self, kind: &str, name: &str) -> Result<Value> {
        let said = self.create(Manifest::good(kind, name))?;
        ensure!(said.admitted, "{kind} {name} is refused: {}", said.text);
        Ok(serde_json::from_str(&said.text)?)
    }

    /// `place` is a name, or a name and a subresource.
    pub(crate) fn at(&self, kind: &str, place: &str) -> String {
        format!("{}/{place}", collection(kind, self.namespace.name()))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let said = self.send("GET", path, &[], b"")?;
        ensure!(said.admitted, "{path}: {}", said.text);
        Ok(serde_json::from_str(&said.text)?)
    }

    /// Sends a patch of type `json`, `merge`, `strategic-merge` or `apply`.
    pub(crate) fn patch(&self, path: &str, how: &str, patch: &Value) -> Result<Said> {
        let format = if how == "apply" { "yaml" } else { "json" };
        let kind = format!("application/{how}-patch+{format}");
        self.send("PATCH", path, &[("content-type", &kind)], patch.to_string().as_bytes())
    }

    /// Reads an object, changes it and writes it back.
    pub(crate) fn put(&self, path: &str, change: impl FnOnce(&mut Value)) -> Result<Said> {
        let mut object = self.get(path)?;
        change(&mut object);
        self.send("PUT", path, &[JSON], object.to_string().as_bytes())
    }

    /// The same for a change that the API server should ignore: the value at the pointer stays.
    pub(crate) fn put_in_vain(&self, path: &str, of: &str, pointer: &str, value: Value) -> Result<Said> {
        let before = self.get(of)?;
        let said = self.put(path, |object| {
            if let Some(place) = object.pointer_mut(pointer) {
                *place = value;
            }
        })?;
        let after = self.get(of)?;
        let untouched = said.admitted && before.pointer(pointer).is_some() && before["spec"] == after["spec"];
        Ok(if untouched { Said { text: DROPPED.to_owned(), ..said } } else { said })
    }

    /// The URL path of a legacy object.
    pub(crate) fn legacy(&self, kind: &str, name: &str) -> String {
        format!("{}/{name}", collection(kind, self.stage.legacy.name()))
    }

    /// Sends an AdmissionReview to the webhook itself.
    pub(crate) fn ask(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Said> {
        Ok(Said::of_webhook(self.stage.hook.send("POST", path, headers, body)?))
    }
}

impl Said {
    fn of_api_server((code, body): (u16, String)) -> Self {
        let status: Option<Value> = serde_json::from_str(&body).ok();
        let message = status.and_then(|status| status["message"].as_str().map(str::to_owned));
        let admitted = (200..300).contains(&code);
        Self { admitted, code, text: message.filter(|_| !admitted).unwrap_or(body) }
    }

    pub(crate) fn of_webhook((code, body): (u16, String)) -> Self {
        let response = serde_json::from_str::<Value>(&body).unwrap_or_default()["response"].take();
        let message = response["status"]["message"].as_str().unwrap_or_default();
        let admitted = response["allowed"] == true;
        // In the form of the API server, so that the same functions can read it.
        let text = match response["allowed"] == false {
            true => format!("admission webhook \"validate.plimsoll.dev\" denied the request: {message}"),
            false => body,
        };
        Self { admitted, code, text }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let code = output.status.code().and_then(|code| u16::try_from(code).ok()).unwrap_or(u16::MAX);
        Self { admitted: output.status.success(), code, text: output.stderr }
    }
}

/// The answer to a list of objects: refused for the bad object, with the good one accepted.
pub(crate) fn only_the_bad_one(output: Output, good: &str) -> Result<Said> {
    ensure!(output.stdout.contains(good), "the good object is refused too: {}", output.stderr);
    ensure!(denied_policies(&output.stderr).is_some(), "{}", output.stderr);
    Ok(output.into())
}

/// A container without the fields that init and ephemeral containers may not have.
pub(crate) fn bare(name: &str, image: &str) -> Value {
    let mut made = container(name, 9090);
    if let Some(members) = made.as_object_mut() {
        members.retain(|member, _| !matches!(member.as_str(), "readinessProbe" | "livenessProbe" | "ports"));
    }
    made["image"] = image.into();
    made
}
