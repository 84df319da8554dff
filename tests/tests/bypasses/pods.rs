//! Pods in disguise: other kinds, classes of containers, and subresources.

use anyhow::Result;
use plimsoll_tests::{Manifest, container, plimsoll_binary};
use serde_json::{Value, json};

use crate::By::{ApiServer, Check, Dropped, Policy};
use crate::bodies::rollout;
use crate::stage::{BAD, GOOD, LATEST, NEVER, REQUESTS, ROOT, SECCOMP, Said, Theme, bad, bare};
use crate::{Control, Tries, Try};

const RATIO: &str = "excessive-memory-ratio";
const GONE: &str = "live-workload-removed";

pub(crate) const TRIES: Tries = Tries {
    theme: "Pods in disguise",
    tries: &[
        Try {
            name: "init-container",
            exploits: "an init container, where a policy looks at `containers` alone",
            by: Policy(&[LATEST]),
            run: |it| {
                it.create(Manifest::good("Deployment", "init").pod("/initContainers", json!([bare("init", BAD)])))
            },
        },
        Try {
            name: "native-sidecar",
            exploits: "an init container with `restartPolicy: Always`, which runs on and needs requests like any other",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let mut sidecar = container("proxy", 9090);
                sidecar["restartPolicy"] = "Always".into();
                sidecar["resources"] = json!({});
                it.create(Manifest::good("Deployment", "sidecar").pod("/initContainers", json!([sidecar])))
            },
        },
        Try {
            name: "ephemeral-container-patched",
            exploits: "an ephemeral container by a patch of `pods/ephemeralcontainers`",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Pod", "debugged")?;
                debug(it, "debugged", BAD)
            },
        },
        Try {
            name: "ephemeral-container-put",
            exploits: "the same by PUT, as root",
            by: Policy(&[NEVER]),
            run: |it| {
                it.made("Pod", "replaced")?;
                it.put(&it.at("Pod", "replaced/ephemeralcontainers"), |pod| {
                    let mut shell = shell(GOOD);
                    shell["securityContext"]["runAsUser"] = json!(0);
                    pod["spec"]["ephemeralContainers"] = json!([shell]);
                })
            },
        },
        Try {
            name: "kubectl-debug",
            exploits: "`kubectl debug`",
            by: Policy(&[LATEST, "privilege-escalation", "dangerous-capabilities"]),
            run: |it| {
                it.made("Pod", "looked-at")?;
                let arguments = ["debug", "looked-at", "--attach=false", "--image=busybox", "--profile=general"];
                Ok(it.kubectl().run(&arguments, None)?.into())
            },
        },
        Try {
            name: "ephemeral-container-at-once",
            exploits: "an ephemeral container in a Pod that is being created",
            by: ApiServer("ephemeralContainers"),
            run: |it| it.create(Manifest::good("Pod", "early").pod("/ephemeralContainers", json!([shell(BAD)]))),
        },
        Try {
            name: "image-by-ephemeralcontainers",
            exploits: "the app's own image, changed through `pods/ephemeralcontainers`",
            by: Dropped,
            run: |it| {
                it.made("Pod", "smuggled")?;
                let path = it.at("Pod", "smuggled");
                it.put_in_vain(&format!("{path}/ephemeralcontainers"), &path, "/spec/containers/0/image", BAD.into())
            },
        },
        Try {
            name: "resize-to-no-request",
            exploits: "`pods/resize`, which removes the request of a running Pod",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.made("Pod", "resized")?;
                resize(it, "resized", &json!({"requests": {"memory": "0"}}))
            },
        },
        Try {
            name: "resize-beyond-the-ratio",
            exploits: "`pods/resize`, which raises the limit to 32 times the request",
            by: Policy(&[RATIO]),
            run: |it| {
                it.made("Pod", "grown")?;
                resize(it, "grown", &json!({"limits": {"memory": "4Gi"}}))
            },
        },
        Try {
            name: "image-of-a-running-pod",
            exploits: "the one field of a Pod's spec that may be changed",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Pod", "running")?;
                let patch = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": BAD}]);
                it.patch(&it.at("Pod", "running"), "json", &patch)
            },
        },
        Try {
            name: "spec-by-status",
            exploits: "a spec in a write of `status`, which no webhook reviews",
            by: Dropped,
            run: |it| {
                it.made("Deployment", "stated")?;
                let path = it.at("Deployment", "stated");
                let image = "/spec/template/spec/containers/0/image";
                it.put_in_vain(&format!("{path}/status"), &path, image, BAD.into())
            },
        },
        Try {
            name: "scale-by-patch",
            exploits: "a patch of `scale` to 0 for a protected object; a Scale has no annotations",
            by: Policy(&[GONE]),
            run: |it| {
                it.create(protected("scaled"))?;
                it.patch(&it.at("Deployment", "scaled/scale"), "merge", &json!({"spec": {"replicas": 0}}))
            },
        },
        Try {
            name: "scale-to-null",
            exploits: "a Scale without `replicas`, which means 0",
            by: Policy(&[GONE]),
            run: |it| {
                it.create(protected("nulled"))?;
                it.patch(&it.at("Deployment", "nulled/scale"), "merge", &json!({"spec": {"replicas": null}}))
            },
        },
        Try {
            name: "scale-of-a-replica-set",
            exploits: "`replicasets/scale`",
            by: Policy(&[GONE]),
            run: |it| {
                let set = Manifest::good("ReplicaSet", "set").with("/metadata/annotations", keep());
                it.create(set)?;
                it.patch(&it.at("ReplicaSet", "set/scale"), "merge", &json!({"spec": {"replicas": 0}}))
            },
        },
        Try {
            name: "replication-controller",
            exploits: "a kind that is hardly used any more",
            by: Policy(&[LATEST]),
            run: |it| {
                let template: Value = bad("ReplicaSet", "old-fashioned").into();
                it.create(json!({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old-fashioned"},
                    "spec": {"replicas": 1, "selector": {"app": "old-fashioned"}, "template": template["spec"]["template"]}}))
            },
        },
        Try {
            name: "pod-template",
            exploits: "a PodTemplate, whose template is not below `spec`",
            by: Policy(&[LATEST]),
            run: |it| {
                let set: Value = bad("ReplicaSet", "stencil").into();
                it.create(json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "stencil"},
                    "template": set["spec"]["template"]}))
            },
        },
        Try {
            name: "cron-job",
            exploits: "a template two templates down",
            by: Policy(&[LATEST]),
            run: |it| it.create(bad("CronJob", "nightly")),
        },
        Try {
            name: "replica-set-of-nothing",
            exploits: "a ReplicaSet with `replicas: 0`, to be scaled later",
            by: Policy(&[LATEST]),
            run: |it| it.create(bad("ReplicaSet", "none").with("/spec/replicas", json!(0))),
        },
        Try {
            name: "custom-resource",
            exploits: "Argo's Rollout, a custom resource with a pod template",
            by: Policy(&[LATEST]),
            run: |it| it.create(rollout("canary", |template| template["spec"]["containers"][0]["image"] = BAD.into())),
        },
        Try {
            name: "custom-resource-in-another-version",
            exploits: "the same as `v1alpha2`, an unknown version",
            by: Policy(&[LATEST]),
            run: |it| {
                let mut object = rollout("newer", |template| template["spec"]["containers"][0]["image"] = BAD.into());
                object["apiVersion"] = "argoproj.io/v1alpha2".into();
                let path = format!("/apis/argoproj.io/v1alpha2/namespaces/{}/rollouts", it.namespace.name());
                it.send("POST", &path, &[crate::stage::JSON], object.to_string().as_bytes())
            },
        },
        Try {
            name: "version-that-is-gone",
            exploits: "`apps/v1beta1`, which no rule names",
            by: ApiServer("could not find the requested resource"),
            run: |it| outdated(it, "apps/v1beta1"),
        },
        Try {
            name: "group-that-is-gone",
            exploits: "`extensions/v1beta1`",
            by: ApiServer("404 page not found"),
            run: |it| outdated(it, "extensions/v1beta1"),
        },
        Try {
            name: "version-that-is-gone-in-a-file",
            exploits: "`apps/v1beta1` in a file, where no API server refuses it",
            by: Check(LATEST),
            run: |_| {
                let folder = tempfile::tempdir()?;
                let file = folder.path().join("old.yaml");
                std::fs::write(&file, bad("Deployment", "old").with("/apiVersion", json!("apps/v1beta1")).to_string())?;
                let output = std::process::Command::new(plimsoll_binary()?)
                    .args(["check", "--profile=production"])
                    .arg(&file)
                    .output()?;
                let code = output.status.code().and_then(|code| u16::try_from(code).ok()).unwrap_or(u16::MAX);
                Ok(Said { admitted: code == 0, code, text: String::from_utf8_lossy(&output.stdout).into_owned() })
            },
        },
        Try {
            name: "windows",
            exploits: "`os: windows`, to which half of the security context does not apply",
            by: Policy(&[ROOT]),
            run: |it| it.create(windows("windows", json!({"runAsNonRoot": false}))),
        },
        Try {
            name: "windows-in-capitals",
            exploits: "`os: Windows`, so that it is unknown which rules apply",
            by: ApiServer("spec.os: Unsupported value"),
            run: |it| it.create(windows("capital", json!({"runAsNonRoot": true})).pod("/os/name", json!("Windows"))),
        },
        Try {
            name: "host-network",
            exploits: "a Pod with the node's network that turns off its seccomp profile",
            by: Policy(&[SECCOMP, "host-namespaces"]),
            run: |it| {
                it.create(
                    Manifest::good("Pod", "host")
                        .pod("/hostNetwork", json!(true))
                        .pod("/containers/0/ports/0/hostPort", json!(8080))
                        .pod("/containers/0/securityContext/seccompProfile", json!({"type": "Unconfined"})),
                )
            },
        },
        Try {
            name: "mirror-pod",
            exploits: "the annotation of a static Pod's mirror",
            by: Policy(&[LATEST]),
            run: |it| {
                let mirror = bad("Pod", "mirror").pod("/nodeName", json!("node"));
                it.create(mirror.with("/metadata/annotations", json!({"kubernetes.io/config.mirror": "x"})))
            },
        },
    ],
    controls: &[
        Control { name: "ephemeral-container", run: |it| debug(it, "debugged", GOOD) },
        Control { name: "resize", run: |it| resize(it, "resized", &json!({"requests": {"memory": "192Mi"}})) },
        Control {
            name: "scale",
            run: |it| it.patch(&it.at("Deployment", "scaled/scale"), "merge", &json!({"spec": {"replicas": 5}})),
        },
        Control { name: "custom-resource", run: |it| it.create(rollout("good-canary", |_| {})) },
        Control { name: "cron-job", run: |it| it.create(Manifest::good("CronJob", "good-nightly")) },
        Control { name: "windows", run: |it| it.create(windows("good-windows", json!({"runAsNonRoot": true}))) },
        Control {
            name: "native-sidecar",
            run: |it| {
                let mut sidecar = container("proxy", 9090);
                sidecar["restartPolicy"] = "Always".into();
                it.create(Manifest::good("Deployment", "good-sidecar").pod("/initContainers", json!([sidecar])))
            },
        },
    ],
};

/// An ephemeral container without a problem, except perhaps in its image.
fn shell(image: &str) -> Value {
    json!({"name": "shell", "image": image, "securityContext": {"allowPrivilegeEscalation": false}})
}

fn debug(it: &Theme, pod: &str, image: &str) -> Result<Said> {
    let patch = json!({"spec": {"ephemeralContainers": [shell(image)]}});
    it.patch(&it.at("Pod", &format!("{pod}/ephemeralcontainers")), "strategic-merge", &patch)
}

fn resize(it: &Theme, pod: &str, resources: &Value) -> Result<Said> {
    let patch = json!({"spec": {"containers": [{"name": "app", "resources": resources}]}});
    it.patch(&it.at("Pod", &format!("{pod}/resize")), "strategic-merge", &patch)
}

fn keep() -> Value {
    json!({"plimsoll.dev/protect": "true"})
}

fn protected(name: &str) -> Manifest {
    Manifest::good("Deployment", name).with("/metadata/annotations", keep())
}

fn windows(name: &str, security: Value) -> Manifest {
    Manifest::good("Pod", name)
        .pod("/os", json!({"name": "windows"}))
        .pod("/securityContext", security)
        .pod("/containers/0/securityContext", Value::Null)
}

fn outdated(it: &Theme, version: &str) -> Result<Said> {
    let object = bad("Deployment", "old").with("/apiVersion", json!(version));
    let path = format!("/apis/{version}/namespaces/{}/deployments", it.namespace.name());
    it.send("POST", &path, &[crate::stage::JSON], object.to_string().as_bytes())
}
