//! Existing objects: the ratchet, rollbacks, owners, and statements of the object about itself.

use anyhow::{Context as _, Result, ensure};
use plimsoll_tests::{Manifest, container};
use serde_json::{Value, json};

use crate::By::{Lenient, Policy, Protected};
use crate::stage::{BAD, GOOD, JSON, LATEST, NEVER, REQUESTS, Said, Theme, bad, collection, old_sins};
use crate::{Control, Tries, Try};

pub(crate) const CONTROLLER: &[(&str, &str)] = &[
    ("Impersonate-User", "system:serviceaccount:kube-system:replicaset-controller"),
    ("Impersonate-Group", "system:masters"),
];

pub(crate) const TRIES: Tries = Tries {
    theme: "What is there already",
    tries: &[
        Try {
            name: "old-container-renamed",
            exploits: "an old violation in a renamed container",
            by: Policy(&[LATEST]),
            run: |it| changed(it, "renamed", |spec| spec["containers"][0]["name"] = "web".into()),
        },
        Try {
            name: "violation-moved",
            exploits: "the old violation in another container; their number stays",
            by: Policy(&[LATEST]),
            run: |it| {
                changed(it, "moved", |spec| {
                    spec["containers"][0]["image"] = GOOD.into();
                    spec["containers"][1]["image"] = BAD.into();
                })
            },
        },
        Try {
            name: "violation-moved-to-an-init-container",
            exploits: "the old violation under the same name in another list",
            by: Policy(&[LATEST]),
            run: |it| {
                changed(it, "moved", |spec| {
                    spec["containers"].as_array_mut().map(|containers| containers.remove(0));
                    spec["initContainers"] = json!([crate::stage::bare("app", BAD)]);
                })
            },
        },
        Try {
            name: "violation-made-worse",
            exploits: "`latest` of another repository, where `latest` was there before",
            by: Policy(&[LATEST]),
            run: |it| changed(it, "worsened", |spec| spec["containers"][0]["image"] = "other:latest".into()),
        },
        Try {
            name: "second-violation",
            exploits: "an old violation that hides a new one",
            by: Policy(&[REQUESTS]),
            run: |it| changed(it, "worsened", |spec| spec["containers"][1]["resources"] = json!({})),
        },
        Try {
            name: "violation-copied-with-the-container",
            exploits: "an additional container, equal to the old one except for its name",
            by: Policy(&[LATEST]),
            run: |it| {
                changed(it, "copied", |spec| {
                    let mut copy = container("third", 9191);
                    copy["image"] = BAD.into();
                    if let Some(containers) = spec["containers"].as_array_mut() {
                        containers.push(copy);
                    }
                })
            },
        },
        Try {
            name: "small-steps",
            exploits: "three steps: a label, then the scale, then an additional container",
            by: Policy(&[LATEST]),
            run: |it| {
                let place = it.legacy("Deployment", "stepped");
                let labelled = json!({"metadata": {"labels": {"step": "one"}}});
                let scaled = json!({"spec": {"replicas": 5}});
                for (place, patch) in [(place.clone(), labelled), (format!("{place}/scale"), scaled)] {
                    let said = it.patch(&place, "merge", &patch)?;
                    ensure!(said.admitted, "{}", said.text);
                }
                changed(it, "stepped", |spec| spec["containers"][1]["image"] = BAD.into())
            },
        },
        Try {
            name: "deleted-and-made-anew",
            exploits: "an old object, deleted and created again without a change",
            by: Policy(&[LATEST]),
            run: |it| {
                it.send("DELETE", &it.legacy("Deployment", "recreated"), &[], b"")?;
                let path = collection("Deployment", it.stage.legacy.name());
                it.send("POST", &path, &[JSON], old_sins("Deployment", "recreated").to_string().as_bytes())
            },
        },
        Try {
            name: "old-object-replaced-by-force",
            exploits: "`kubectl replace --force` of an old object with itself",
            by: Policy(&[LATEST]),
            run: |it| {
                let replace = ["replace", "--force", "--filename=-"];
                let object = old_sins("Deployment", "forced").to_string();
                Ok(it.stage.legacy.kubectl().run(&replace, Some(&object))?.into())
            },
        },
        Try {
            name: "template-under-cover-of-metadata",
            exploits: "a change of labels, which is always accepted, together with an annotation of the template",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "covered")?;
                it.put(&it.at("Deployment", "covered"), |object| {
                    object["metadata"]["labels"] = json!({"team": "shop"});
                    object["spec"]["template"]["metadata"]["annotations"] = json!({"a": "b"});
                    object["spec"]["template"]["spec"]["containers"][0]["image"] = BAD.into();
                })
            },
        },
        Try {
            name: "being-deleted",
            exploits: "a `deletionTimestamp`: a finalizer keeps the object, and a webhook may skip objects that are being deleted",
            by: Policy(&[LATEST]),
            run: |it| {
                it.create(
                    Manifest::good("Deployment", "held").with("/metadata/finalizers", json!(["example.com/hold"])),
                )?;
                let place = it.at("Deployment", "held");
                it.send("DELETE", &place, &[], b"")?;
                ensure!(
                    it.get(&place)?["metadata"]["deletionTimestamp"].is_string(),
                    "the object is not being deleted"
                );
                set_image(it, &place)
            },
        },
        Try {
            name: "born-deleted",
            exploits: "a `deletionTimestamp` in a new object",
            by: Policy(&[LATEST]),
            run: |it| {
                it.create(bad("Deployment", "born").with("/metadata/deletionTimestamp", json!("2020-01-01T00:00:00Z")))
            },
        },
        Try {
            name: "revision-by-annotation",
            exploits: "`deployment.kubernetes.io/revision` set back, as if this were a rollback",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "annotated")?;
                it.put(&it.at("Deployment", "annotated"), |object| {
                    object["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "1"});
                    object["spec"]["template"]["spec"]["containers"][0]["image"] = BAD.into();
                })
            },
        },
        Try {
            name: "revision-made-by-hand",
            exploits: "a ReplicaSet with the bad template and the Deployment as its owner, to roll back to",
            by: Policy(&[LATEST]),
            run: |it| {
                let owner = it.made("Deployment", "undone")?;
                let template = bad("Deployment", "undone").object()["spec"]["template"].clone();
                let set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": revision(&owner, "undone-1"),
                    "spec": {"replicas": 0, "selector": owner["spec"]["selector"], "template": template}});
                refused_first(it, set)?;
                set_image(it, &it.at("Deployment", "undone"))
            },
        },
        Try {
            name: "revision-of-a-stateful-set-made-by-hand",
            exploits: "a ControllerRevision with the bad template, to which the StatefulSet is then \"rolled back\"",
            by: Policy(&[LATEST]),
            run: |it| {
                let owner = it.made("StatefulSet", "unwound")?;
                let template = bad("StatefulSet", "unwound").object()["spec"]["template"].clone();
                refused_first(it, controller_revision(&owner, template))?;
                set_image(it, &it.at("StatefulSet", "unwound"))
            },
        },
        Try {
            name: "revision-of-another",
            exploits: "the template of another Deployment's ReplicaSet, which is in order there",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "other")?;
                let template = it.get(&it.legacy("Deployment", "unchanged"))?["spec"]["template"]["spec"].clone();
                it.put(&it.at("Deployment", "other"), |object| object["spec"]["template"]["spec"] = template)
            },
        },
        Try {
            name: "owner-without-its-controller",
            exploits: "an existing ReplicaSet as the owner, set by a user other than its controller",
            by: Policy(&[LATEST]),
            run: |it| {
                let set = it.made("ReplicaSet", "owner")?;
                it.create(owned("owned", &owner("ReplicaSet", &set, "uid")?))
            },
        },
        Try {
            name: "controller-without-an-owner",
            exploits: "the controller's name, and no owner",
            by: Lenient(LATEST),
            run: |it| it.create_as(CONTROLLER, bad("Pod", "ownerless")),
        },
        Try {
            name: "owner-that-does-not-exist",
            exploits: "the controller's name, and an owner that does not exist",
            by: Lenient(LATEST),
            run: |it| {
                let nobody = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "nobody", "controller": true,
                    "uid": "00000000-0000-0000-0000-000000000000"});
                it.create_as(CONTROLLER, owned("orphan", &nobody))
            },
        },
        Try {
            name: "owner-of-another-uid",
            exploits: "the controller's name, an owner's name, and the uid of something else that exists",
            by: Lenient(LATEST),
            run: |it| {
                let set = it.made("ReplicaSet", "exists")?;
                let other = it.made("Deployment", "exists-too")?;
                let mut wrong = owner("ReplicaSet", &set, "uid")?;
                wrong["uid"] = other["metadata"]["uid"].clone();
                it.create_as(CONTROLLER, owned("mixed-up", &wrong))
            },
        },
        Try {
            name: "owner-that-is-no-controller",
            exploits: "the controller's name, and an owner reference without `controller: true`",
            by: Lenient(LATEST),
            run: |it| {
                let set = it.made("ReplicaSet", "bystander")?;
                let mut reference = owner("ReplicaSet", &set, "uid")?;
                reference["controller"] = json!(false);
                it.create_as(CONTROLLER, owned("bystanding", &reference))
            },
        },
        Try {
            name: "ignore-annotation",
            exploits: "`plimsoll.dev/ignore.latest-image-tag` with a good reason, although the category `image` is not self-exempt",
            by: Policy(&[LATEST]),
            run: |it| annotated(it, "ignoring", json!({"plimsoll.dev/ignore.latest-image-tag": "we test"})),
        },
        Try {
            name: "ignore-annotation-of-security",
            exploits: "the same for a policy of the category security",
            by: Policy(&[NEVER]),
            run: |it| {
                let root = Manifest::good("Deployment", "root").pod("/securityContext/runAsUser", json!(0));
                it.create(
                    root.with("/metadata/annotations", json!({"plimsoll.dev/ignore.root-against-non-root": "we test"})),
                )
            },
        },
        Try {
            name: "annotations-of-others",
            exploits: "annotations and labels that other tools take for a switch, and ones that sound like ours",
            by: Policy(&[LATEST]),
            run: |it| {
                let switches = json!({"plimsoll.dev/mode": "off", "plimsoll.dev/ignore": "true",
                    "policies.kyverno.io/exclude": "true", "admission.gatekeeper.sh/ignore": "true",
                    "polaris.fairwinds.com/exempt": "true", "ignore-check.kube-linter.io/latest-tag": "x"});
                let object = bad("Deployment", "switched").with("/metadata/annotations", switches);
                let labels = json!({"admission.gatekeeper.sh/ignore": "true", "control-plane": "true", "plimsoll.dev/mode": "off"});
                it.create(object.with("/metadata/labels", labels))
            },
        },
        Try {
            name: "last-applied-that-lies",
            exploits: "a last-applied annotation with a good image and with requests that the object never had",
            by: Policy(&[LATEST]),
            run: |it| {
                let lie = Manifest::good("Deployment", "lying").to_string();
                annotated(it, "lying", json!({"kubectl.kubernetes.io/last-applied-configuration": lie}))
            },
        },
        Try {
            name: "managed-fields-that-lie",
            exploits: "forged `managedFields`; the API server replaces them",
            by: Policy(&[LATEST]),
            run: |it| {
                let image = json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}}}});
                let entry = json!({"manager": "kube-controller-manager", "operation": "Apply", "apiVersion": "apps/v1",
                    "time": "2020-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": image});
                it.create(bad("Deployment", "managed").with("/metadata/managedFields", json!([entry])))
            },
        },
        Try {
            name: "protected-deleted-in-a-crowd",
            exploits: "DELETE of the whole collection, in which no object has a name",
            by: Protected("live-workload-removed"),
            run: |it| {
                let keep = json!({"plimsoll.dev/protect": "true"});
                it.create(Manifest::good("StatefulSet", "kept").with("/metadata/annotations", keep.clone()))?;
                let said = it.send("DELETE", &collection("StatefulSet", it.namespace.name()), &[], b"")?;
                it.get(&it.at("StatefulSet", "kept")).context("the object is gone")?;
                Ok(said)
            },
        },
        Try {
            name: "protected-deleted-by-force",
            exploits: "`--force --grace-period=0 --cascade=orphan`",
            by: Protected("live-workload-removed"),
            run: |it| {
                let keep = json!({"plimsoll.dev/protect": "true"});
                it.create(Manifest::good("Deployment", "forced").with("/metadata/annotations", keep))?;
                let arguments = [
                    "delete",
                    "deployment",
                    "forced",
                    "--force",
                    "--grace-period=0",
                    "--cascade=orphan",
                    "--wait=false",
                ];
                Ok(it.kubectl().run(&arguments, None)?.into())
            },
        },
    ],
    controls: &[
        Control {
            name: "old-object-reordered",
            run: |it| {
                changed(it, "unchanged", |spec| {
                    if let Some(containers) = spec["containers"].as_array_mut() {
                        containers.reverse();
                    }
                })
            },
        },
        Control {
            name: "owner-and-controller",
            run: |it| {
                let set = it.made("ReplicaSet", "maker")?;
                it.create_as(CONTROLLER, owned("made", &owner("ReplicaSet", &set, "uid")?))
            },
        },
        Control {
            name: "revision-of-a-stateful-set",
            run: |it| {
                let owner = it.made("StatefulSet", "in-order")?;
                let template = owner["spec"]["template"].clone();
                it.create(controller_revision(&owner, template))
            },
        },
        Control {
            name: "template-and-metadata",
            run: |it| {
                it.put(&it.at("Deployment", "covered"), |object| {
                    object["metadata"]["labels"] = json!({"team": "shop"});
                    object["spec"]["template"]["metadata"]["annotations"] = json!({"a": "b"});
                })
            },
        },
        Control {
            name: "protection-taken-away",
            run: |it| {
                let without = json!({"metadata": {"annotations": {"plimsoll.dev/protect": null}}});
                it.patch(&it.at("StatefulSet", "kept"), "merge", &without)?;
                it.send("DELETE", &it.at("StatefulSet", "kept"), &[], b"")
            },
        },
    ],
};

/// A legacy Deployment with a change of its Pod spec.
pub(crate) fn changed(it: &Theme, name: &str, change: impl FnOnce(&mut Value)) -> Result<Said> {
    it.put(&it.legacy("Deployment", name), |object| change(&mut object["spec"]["template"]["spec"]))
}

fn set_image(it: &Theme, place: &str) -> Result<Said> {
    let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": BAD}]);
    it.patch(place, "json", &patch)
}

fn annotated(it: &Theme, name: &str, annotations: Value) -> Result<Said> {
    it.create(bad("Deployment", name).with("/metadata/annotations", annotations))
}

/// The forged revision itself is refused. The try goes on with the revision's purpose in any case.
fn refused_first(it: &Theme, object: Value) -> Result<()> {
    let said = it.create(object)?;
    ensure!(!said.admitted && said.text.contains(LATEST), "the forged revision is admitted: {}", said.text);
    Ok(())
}

pub(crate) fn owner(kind: &str, object: &Value, uid: &str) -> Result<Value> {
    let metadata = &object["metadata"];
    ensure!(metadata[uid].is_string(), "{kind} has no {uid}");
    Ok(
        json!({"apiVersion": "apps/v1", "kind": kind, "name": metadata["name"], "uid": metadata[uid], "controller": true}),
    )
}

pub(crate) fn owned(name: &str, owner: &Value) -> Manifest {
    bad("Pod", name).with("/metadata/ownerReferences", json!([owner]))
}

/// The metadata of a revision of this workload.
fn revision(workload: &Value, name: &str) -> Value {
    let metadata = &workload["metadata"];
    json!({"name": name, "labels": workload["spec"]["selector"]["matchLabels"], "ownerReferences": [{
        "apiVersion": "apps/v1", "kind": workload["kind"], "name": metadata["name"], "uid": metadata["uid"], "controller": true}]})
}

fn controller_revision(workload: &Value, mut template: Value) -> Value {
    template["$patch"] = "replace".into();
    let name = format!("{}-1", workload["metadata"]["name"].as_str().unwrap_or_default());
    json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": revision(workload, &name), "revision": 1,
        "data": {"spec": {"template": template}}})
}
