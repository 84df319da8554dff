//! The basis of a decision: protection, and answers of the API server. The stage has a control plane with controllers,
//! behind a link that can be slowed down.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use plimsoll_tests::{Manifest, Namespace, Options, until};
use serde_json::{Value, json};

use crate::By::{Lenient, Policy, Protected};
use crate::history::unless_modified;
use crate::stage::{BAD, LATEST, Said, Stage, Theme, bad, start};
use crate::standing::{CONTROLLER, owned, owner};
use crate::{Control, Tries, Try};

const GONE: &str = "live-workload-removed";
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A new namespace on a stage of its own.
pub(crate) fn theme() -> Result<Theme> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    let options = Options { controller_manager: true, ..Options::default() };
    let stage = STAGE.get_or_init(|| start(&options, older).map_err(|error| format!("{error:#}")));
    let stage = stage.as_ref().map_err(|error| anyhow!("the setup failed: {error}"))?;
    Ok(Theme { stage, namespace: Namespace::new(&stage.control_plane, "leverage")? })
}

/// Revisions that a user created before the workload, and workloads with a real revision.
fn older(legacy: &Namespace) -> Result<()> {
    let kubectl = legacy.kubectl();
    let set = bad("ReplicaSet", "adopted").with("/spec/replicas", json!(0));
    let set = set.with("/metadata/labels", json!({"app": "adopted"}));
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1,
        "metadata": {"name": "taken-in-1", "labels": {"app": "taken-in"}},
        "data": {"spec": {"template": template(&bad("StatefulSet", "taken-in"), "replace")}}});
    kubectl.apply(&format!("{set}\n{revision}"))?.ok()?;
    // The API server counts the age of objects in seconds.
    std::thread::sleep(Duration::from_secs(2));
    kubectl.apply(&Manifest::good("Deployment", "adopted").to_string())?.ok()?;
    for name in ["filled", "more", "undone"] {
        kubectl.apply(&ran(name).to_string())?.ok()?;
        until(SOON, "it has a revision", || {
            Ok(kubectl
                .list("replicasets")?
                .into_iter()
                .find(|set| set["metadata"]["ownerReferences"][0]["name"] == name))
        })?;
    }
    Ok(())
}

/// A workload that is older than the webhook. The webhook would add `runAsNonRoot: true` to it.
fn ran(name: &str) -> Manifest {
    bad("Deployment", name)
        .pod("/securityContext/runAsNonRoot", Value::Null)
        .pod("/securityContext/runAsUser", json!(1001))
}

fn template(object: &Manifest, patch: &str) -> Value {
    let mut template = object.object()["spec"]["template"].clone();
    template["$patch"] = patch.into();
    template
}

pub(crate) const TRIES: Tries = Tries {
    theme: "What a decision rests on",
    tries: &[
        Try {
            name: "owner-of-a-protected-object",
            exploits: "an owner that does not exist, so that the garbage collector deletes a protected Deployment",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "Deployment", "owned")?;
                let said = it.patch(&it.at("Deployment", "owned"), "merge", &owners(&[nobody()]))?;
                std::thread::sleep(Duration::from_secs(2));
                it.get(&it.at("Deployment", "owned")).context("the object was garbage-collected")?;
                Ok(said)
            },
        },
        Try {
            name: "owner-by-another-manager",
            exploits: "the same by server-side apply of nothing but the owner",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "StatefulSet", "applied")?;
                let mut patch = owners(&[nobody()]);
                patch["apiVersion"] = "apps/v1".into();
                patch["kind"] = "StatefulSet".into();
                it.patch(&it.at("StatefulSet", "applied?fieldManager=b&force=true"), "apply", &patch)
            },
        },
        Try {
            name: "owner-that-exists-for-now",
            exploits: "an owner that exists, and is deleted afterwards",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "Deployment", "lent")?;
                it.patch(&it.at("Deployment", "lent"), "merge", &owners(&[settings(it, "lender")?]))
            },
        },
        Try {
            name: "owner-under-another-name",
            exploits: "the previous owner by its uid, with a name that no object has",
            by: Policy(&[GONE]),
            run: |it| {
                let mut owner = settings(it, "named")?;
                let object =
                    protection("Deployment", "renamed-owner").with("/metadata/ownerReferences", json!([owner]));
                it.create(object)?;
                owner["name"] = "no-such-thing".into();
                it.patch(&it.at("Deployment", "renamed-owner"), "merge", &owners(&[owner]))
            },
        },
        Try {
            name: "one-owner-less",
            exploits: "two owners: the permanent one is removed, and the other one is deleted afterwards",
            by: Policy(&[GONE]),
            run: |it| {
                let (stays, goes) = (settings(it, "stays")?, settings(it, "goes")?);
                let object = protection("Deployment", "shared").with("/metadata/ownerReferences", json!([stays, goes]));
                it.create(object)?;
                it.patch(&it.at("Deployment", "shared"), "merge", &owners(&[goes]))
            },
        },
        Try {
            name: "unprotected-and-scaled-at-once",
            exploits: "the annotation and the replicas in one patch, as if the object had never been protected",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "Deployment", "at-once")?;
                let patch =
                    json!({"metadata": {"annotations": {"plimsoll.dev/protect": null}}, "spec": {"replicas": 0}});
                it.patch(&it.at("Deployment", "at-once"), "merge", &patch)
            },
        },
        Try {
            name: "protection-of-another-value",
            exploits: "`protect: \"True\"` and no replicas by PUT",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "StatefulSet", "value")?;
                unless_modified(|| {
                    it.put(&it.at("StatefulSet", "value"), |object| {
                        object["metadata"]["annotations"]["plimsoll.dev/protect"] = "True".into();
                        object["spec"]["replicas"] = json!(0);
                    })
                })
            },
        },
        Try {
            name: "scale-without-a-number",
            exploits: "`replicas: null` by the subresource `scale`, which is 0",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "Deployment", "null-scale")?;
                known(it, "null-scale")?;
                it.patch(&it.at("Deployment", "null-scale/scale"), "merge", &json!({"spec": {"replicas": null}}))
            },
        },
        Try {
            name: "minus-zero-replicas",
            exploits: "`replicas: -0`",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "Deployment", "minus")?;
                let patch = b"{\"spec\":{\"replicas\":-0}}";
                let kind = ("content-type", "application/merge-patch+json");
                it.send("PATCH", &it.at("Deployment", "minus"), &[kind], patch)
            },
        },
        Try {
            name: "service-without-a-selector",
            exploits: "a protected Service that stays, and selects nothing",
            by: Policy(&[GONE]),
            run: |it| {
                service(it, "empty")?;
                it.patch(&it.at("Service", "empty"), "merge", &json!({"spec": {"selector": null}}))
            },
        },
        Try {
            name: "service-with-a-selector-of-nothing",
            exploits: "a label that no Pod has, with the protection taken away in the same patch",
            by: Policy(&[GONE]),
            run: |it| {
                service(it, "elsewhere")?;
                let patch = json!({"metadata": {"annotations": {"plimsoll.dev/protect": null}},
                    "spec": {"selector": {"app": "no-such-thing"}}});
                it.patch(&it.at("Service", "elsewhere"), "merge", &patch)
            },
        },
        Try {
            name: "service-of-an-empty-workload",
            exploits: "the labels of a new Deployment without replicas",
            by: Policy(&[GONE]),
            run: |it| {
                service(it, "full")?;
                let said = it.create(Manifest::good("Deployment", "hollow").with("/spec/replicas", json!(0)))?;
                ensure!(said.admitted, "{}", said.text);
                it.patch(&it.at("Service", "full"), "merge", &json!({"spec": {"selector": {"app": "hollow"}}}))
            },
        },
        Try {
            name: "service-that-is-a-name",
            exploits: "`type: ExternalName`: the Service is there, its address and its Pods are not",
            by: Policy(&[GONE]),
            run: |it| {
                service(it, "external")?;
                let patch = json!({"spec": {"type": "ExternalName", "externalName": "example.com", "clusterIP": null, "clusterIPs": null}});
                it.patch(&it.at("Service", "external"), "merge", &patch)
            },
        },
        Try {
            name: "daemon-set-on-no-node",
            exploits: "a `nodeSelector` that no node has: a DaemonSet has no replicas, and runs nowhere then",
            by: Policy(&[GONE]),
            run: |it| {
                protected(it, "DaemonSet", "nowhere")?;
                let patch = json!({"spec": {"template": {"spec": {"nodeSelector": {"no-such": "node"}}}}});
                it.patch(&it.at("DaemonSet", "nowhere"), "merge", &patch)
            },
        },
        Try {
            name: "protected-replaced-by-force",
            exploits: "`kubectl replace --force` with an object that is not protected",
            by: Protected(GONE),
            run: |it| {
                protected(it, "Deployment", "replaced")?;
                let object = Manifest::good("Deployment", "replaced").to_string();
                Ok(it.kubectl().run(&["replace", "--force", "--filename=-"], Some(&object))?.into())
            },
        },
        Try {
            name: "nearly-the-garbage-collector",
            exploits: "the name of the garbage collector's account, in the user's own namespace",
            by: Protected(GONE),
            run: |it| {
                protected(it, "Deployment", "collected")?;
                let account = format!("system:serviceaccount:{}:generic-garbage-collector", it.namespace.name());
                let headers = [("Impersonate-User", account.as_str()), ("Impersonate-Group", "system:masters")];
                it.send("DELETE", &it.at("Deployment", "collected"), &headers, b"")
            },
        },
        Try {
            name: "deleted-while-the-api-server-is-slow",
            exploits: "a busy API server, which does not report in time whether the namespace is being deleted",
            by: Protected(GONE),
            run: |it| {
                protected(it, "Deployment", "slow")?;
                slowly(it, || it.send("DELETE", &it.at("Deployment", "slow"), &[], b""))
            },
        },
        Try {
            name: "forged-owner-while-the-api-server-is-slow",
            exploits: "the same, so that the missing owner of a Pod is not noticed in time",
            by: Lenient(LATEST),
            run: |it| {
                let nobody = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "nobody", "controller": true,
                    "uid": "00000000-0000-0000-0000-000000000000"});
                slowly(it, || it.create_as(CONTROLLER, owned("slow-orphan", &nobody)))
            },
        },
        Try {
            name: "no-rollback-while-the-api-server-is-slow",
            exploits: "the same, so that it is not noticed in time that the template is no earlier revision",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "slow-template")?;
                slowly(it, || image(it, &it.at("Deployment", "slow-template"), BAD))
            },
        },
    ],
    controls: &[
        Control {
            name: "protected-and-changed",
            run: |it| {
                it.patch(&it.at("Deployment", "owned"), "merge", &json!({"metadata": {"labels": {"team": "shop"}}}))?;
                it.patch(&it.at("Deployment", "owned"), "merge", &json!({"spec": {"replicas": 2}}))
            },
        },
        Control { name: "owner-taken-out", run: |it| it.patch(&it.at("Deployment", "shared"), "merge", &owners(&[])) },
        Control {
            name: "unprotected-and-then-scaled",
            run: |it| {
                let place = it.at("Deployment", "at-once");
                it.patch(&place, "merge", &json!({"metadata": {"annotations": {"plimsoll.dev/protect": null}}}))?;
                it.patch(&place, "merge", &json!({"spec": {"replicas": 0}}))
            },
        },
        Control {
            name: "service-switched-to-another-workload",
            run: |it| it.patch(&it.at("Service", "empty"), "merge", &json!({"spec": {"selector": {"app": "owned"}}})),
        },
        Control {
            name: "revisions-of-a-protected-workload",
            run: |it| {
                // ReplicaSets have the annotations of the workload. Its controller scales them down and deletes them.
                let object = protection("Deployment", "brief").with("/spec/revisionHistoryLimit", json!(1));
                it.create(object.with("/spec/replicas", json!(0)))?;
                for tag in ["2", "3", "4"] {
                    image(it, &it.at("Deployment", "brief"), &format!("registry.example.com/shop:{tag}"))?;
                    until(SOON, "the revision is there, and the oldest is gone", || {
                        let sets = it.kubectl().list("replicasets")?;
                        let own = sets.iter().filter(|set| set["metadata"]["ownerReferences"][0]["name"] == "brief");
                        Ok((own.count() == 2).then_some(()))
                    })?;
                }
                Ok(Said { admitted: true, code: 200, text: String::new() })
            },
        },
        Control {
            name: "unprotected-deleted-while-the-api-server-is-slow",
            run: |it| {
                it.made("Deployment", "plain")?;
                slowly(it, || it.send("DELETE", &it.at("Deployment", "plain"), &[], b""))
            },
        },
        Control {
            name: "owner-while-the-api-server-is-slow",
            run: |it| {
                let set = it.made("ReplicaSet", "slow-owner")?;
                std::thread::sleep(Duration::from_secs(1));
                slowly(it, || it.create_as(CONTROLLER, owned("slow-made", &owner("ReplicaSet", &set, "uid")?)))
            },
        },
    ],
};

fn protection(kind: &str, name: &str) -> Manifest {
    Manifest::good(kind, name).with("/metadata/annotations", json!({"plimsoll.dev/protect": "true"}))
}

fn protected(it: &Theme, kind: &str, name: &str) -> Result<()> {
    let said = it.create(protection(kind, name))?;
    ensure!(said.admitted, "{kind} {name} is refused: {}", said.text);
    Ok(())
}

/// A protected Service of a workload.
fn service(it: &Theme, name: &str) -> Result<()> {
    it.made("Deployment", name)?;
    let object = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "annotations": {"plimsoll.dev/protect": "true"}},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
    let said = it.create(object)?;
    ensure!(said.admitted, "Service {name} is refused: {}", said.text);
    Ok(())
}

fn owners(owners: &[Value]) -> Value {
    json!({"metadata": {"ownerReferences": owners}})
}

fn nobody() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "no-such-thing", "uid": "00000000-0000-0000-0000-000000000000"})
}

/// An existing ConfigMap, as an owner.
fn settings(it: &Theme, name: &str) -> Result<Value> {
    let said = it.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))?;
    let made: Value = serde_json::from_str(&said.text)?;
    Ok(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made["metadata"]["uid"]}))
}

/// A Scale does not say whether its workload is protected, so the webhook has to know it from its watch.
fn known(it: &Theme, name: &str) -> Result<()> {
    let scale = it.at("Deployment", &format!("{name}/scale?dryRun=All"));
    until(SOON, "the protection is known", || {
        let said = it.patch(&scale, "merge", &json!({"spec": {"replicas": 0}}))?;
        Ok((!said.admitted).then_some(()))
    })
}

pub(crate) fn image(it: &Theme, place: &str, image: &str) -> Result<Said> {
    let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]);
    it.patch(place, "json", &patch)
}

/// Runs `ask` while the API server answers no request of the webhook. One call at a time, because all tries share the
/// link.
fn slowly<T>(it: &Theme, ask: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    it.stage.link.stall();
    let said = ask();
    it.stage.link.delay(Duration::ZERO);
    said
}
