//! Objects that an attacker prepared earlier: revisions for a rollback, values that the webhook filled in, and objects
//! so large that the old and the new one together exceed a limit.

use anyhow::{Result, ensure};
use plimsoll_tests::{Manifest, until};
use serde_json::{Value, json};

use crate::By::{Policy, TooLarge};
use crate::leverage::{SOON, image};
use crate::stage::{BAD, GOOD, JSON, LATEST, ROOT, Said, Theme, collection};
use crate::standing::changed;
use crate::{Control, Tries, Try};

pub(crate) const TRIES: Tries = Tries {
    theme: "Revisions, additions and sizes",
    tries: &[
        Try {
            name: "revision-older-than-the-workload",
            exploits: "a bad ReplicaSet made first, which the Deployment's controller adopts as an earlier revision",
            by: Policy(&[LATEST]),
            run: |it| {
                adopted(it, &it.legacy("ReplicaSet", "adopted"))?;
                image(it, &it.legacy("Deployment", "adopted"), BAD)
            },
        },
        Try {
            name: "controller-revision-older-than-the-workload",
            exploits: "the same with a ControllerRevision, which a StatefulSet's controller adopts",
            by: Policy(&[LATEST]),
            run: |it| {
                let object: Value = Manifest::good("StatefulSet", "taken-in").into();
                let path = collection("StatefulSet", it.stage.legacy.name());
                it.send("POST", &path, &[JSON], object.to_string().as_bytes())?;
                adopted(it, &it.legacy("ControllerRevision", "taken-in-1"))?;
                image(it, &it.legacy("StatefulSet", "taken-in"), BAD)
            },
        },
        Try {
            name: "revision-for-a-policy-about-deployments",
            exploits: "a handmade ReplicaSet with the Deployment's uid, which only policies about Deployments would deny",
            by: Policy(&["rollout-blocked-by-volume"]),
            run: |it| {
                let owner = it.made("Deployment", "mounting")?;
                let mut mounting = owner.clone();
                mount(&mut mounting);
                let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "1Gi"}}}});
                it.kubectl().apply(&claim.to_string())?.ok()?;
                let metadata = json!({"name": "mounting-1", "labels": {"app": "mounting"}, "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "Deployment", "name": "mounting", "uid": owner["metadata"]["uid"], "controller": true}]});
                let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata,
                    "spec": {"replicas": 0, "selector": owner["spec"]["selector"], "template": mounting["spec"]["template"]}});
                let said = it.create(set)?;
                ensure!(said.admitted, "the revision itself is refused: {}", said.text);
                unless_modified(|| it.put(&it.at("Deployment", "mounting"), mount))
            },
        },
        Try {
            name: "revision-edited-afterwards",
            exploits: "a bad image, written into a controller's revision before a rollback",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "edited-revision")?;
                let set = until(SOON, "it has a revision", || {
                    let sets = it.kubectl().list("replicasets")?;
                    Ok(sets.into_iter().find(|set| set["metadata"]["ownerReferences"][0]["name"] == "edited-revision"))
                })?;
                let said = image(it, &it.at("ReplicaSet", set["metadata"]["name"].as_str().unwrap_or_default()), BAD)?;
                ensure!(!said.admitted && said.text.contains(LATEST), "the revision is changed: {}", said.text);
                image(it, &it.at("Deployment", "edited-revision"), BAD)
            },
        },
        Try {
            name: "other-value-for-what-was-filled-in",
            exploits: "the earlier manifest, with `runAsNonRoot: false` where the webhook had filled in `true`",
            by: Policy(&[LATEST, ROOT]),
            run: |it| {
                filled(it, "filled")?;
                put(it, "filled", |spec| {
                    spec["containers"][0]["image"] = BAD.into();
                    spec["securityContext"]["runAsNonRoot"] = json!(false);
                })
            },
        },
        Try {
            name: "more-than-the-earlier-manifest",
            exploits: "the earlier manifest with the filled-in values, and the host's network too",
            by: Policy(&[LATEST, "host-namespaces"]),
            run: |it| {
                filled(it, "more")?;
                put(it, "more", |spec| {
                    spec["containers"][0]["image"] = BAD.into();
                    spec["hostNetwork"] = json!(true);
                })
            },
        },
        Try {
            name: "restart-with-another-image",
            exploits: "the annotation of `rollout restart`, under whose cover the image changes",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "restarted")?;
                unless_modified(|| {
                    it.put(&it.at("Deployment", "restarted"), |object| {
                        let template = &mut object["spec"]["template"];
                        template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
                            "2026-01-01T00:00:00Z".into();
                        template["spec"]["containers"][0]["image"] = BAD.into();
                    })
                })
            },
        },
        Try {
            name: "grown-by-an-update",
            exploits: "an object that is small when it is created, and by an update too large to be changed ever again",
            by: TooLarge,
            run: |it| {
                it.made("Deployment", "grown")?;
                let patch = json!([{"op": "add", "path": "/spec/template/spec/containers/0/args", "value": vec![""; 1_040_000]}]);
                it.patch(&it.at("Deployment", "grown?dryRun=All"), "json", &patch)
            },
        },
        Try {
            name: "bad-beside-a-large-old-object",
            exploits: "550,000 accepted values, so that the old and the new object together exceed a limit",
            by: Policy(&[LATEST]),
            run: |it| {
                large(it, "crowded")?;
                image(it, &it.at("Deployment", "crowded"), BAD)
            },
        },
        Try {
            name: "large-in-json-alone",
            exploits: "1.4 MB of `<`, which the API server writes as 8.4 MB of JSON, in the old object and in the new one",
            by: Policy(&[LATEST]),
            run: |it| {
                let long: Vec<Value> =
                    (0..14).map(|number| json!({"name": format!("V{number}"), "value": "<".repeat(100_000)})).collect();
                it.create(Manifest::good("Deployment", "escaped").pod("/containers/0/env", json!(long)))?;
                image(it, &it.at("Deployment", "escaped"), BAD)
            },
        },
    ],
    controls: &[
        Control {
            name: "rollback",
            run: |it| {
                filled(it, "undone")?;
                put(it, "undone", |spec| spec["containers"][0]["image"] = BAD.into())
            },
        },
        Control { name: "large-and-changed", run: |it| image(it, &it.at("Deployment", "crowded"), GOOD) },
        Control { name: "escaped-and-changed", run: |it| image(it, &it.at("Deployment", "escaped"), GOOD) },
    ],
};

/// Waits until a controller has adopted this object.
fn adopted(it: &Theme, place: &str) -> Result<()> {
    until(SOON, "a controller adopts the object", || {
        Ok(it.get(place)?["metadata"]["ownerReferences"][0]["controller"].as_bool())
    })
    .map(drop)
}

/// Adds the volume `data`, and sets one replica.
fn mount(object: &mut Value) {
    object["spec"]["replicas"] = json!(1);
    let spec = &mut object["spec"]["template"]["spec"];
    spec["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
}

/// Changes the image to a good one. The webhook then completes the object.
fn filled(it: &Theme, name: &str) -> Result<()> {
    let said = put(it, name, |spec| spec["containers"][0]["image"] = GOOD.into())?;
    let stored: Value = serde_json::from_str(&said.text)?;
    let non_root = &stored["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"];
    ensure!(*non_root == json!(true), "{name} is not completed: {}", said.text);
    Ok(())
}

/// Almost the maximum number of values of a CREATE, and a third of the maximum of an UPDATE.
fn large(it: &Theme, name: &str) -> Result<()> {
    let object = Manifest::good("Deployment", name).pod("/containers/0/args", json!(vec![""; 550_000]));
    let said = it.create(object)?;
    ensure!(said.admitted, "{name} is refused: {}", said.text);
    Ok(())
}

/// A legacy Deployment with a change of its Pod spec.
fn put(it: &Theme, name: &str, change: impl Fn(&mut Value)) -> Result<Said> {
    unless_modified(|| changed(it, name, &change))
}

/// Retries if a controller has written the status meanwhile.
pub(crate) fn unless_modified(write: impl Fn() -> Result<Said>) -> Result<Said> {
    loop {
        let said = write()?;
        if said.code != 409 {
            return Ok(said);
        }
    }
}
