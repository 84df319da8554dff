//! Ways to write an object: requests of kubectl and other clients, other than applying a file.

use anyhow::Result;
use plimsoll_tests::{Kubectl, Manifest, Output};
use serde_json::{Value, json};

use crate::By::{ApiServer, Policy};
use crate::stage::{BAD, GOOD, LATEST, REQUESTS, SECCOMP, Said, Theme, bad, only_the_bad_one};
use crate::{Control, Tries, Try};

pub(crate) const TRIES: Tries = Tries {
    theme: "Ways to write",
    tries: &[
        Try {
            name: "generated-name",
            exploits: "`generateName`, so that a rule cannot match the name",
            by: Policy(&[LATEST]),
            run: |it| it.create(generated(bad("Deployment", "x"))),
        },
        Try {
            name: "dry-run",
            exploits: "`--dry-run=server`, in the hope that a request without a stored object is not reviewed",
            by: Policy(&[LATEST]),
            run: |it| kubectl(it, &["apply", "--dry-run=server", "--filename=-"], &bad("Deployment", "dry")),
        },
        Try {
            name: "list-of-mixed-kinds",
            exploits: "a `List` in which the bad object follows a good one of another kind",
            by: Policy(&[LATEST]),
            run: |it| {
                let items = [json!(config_map("mixed")), bad("StatefulSet", "mixed").into()];
                let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
                only_the_bad_one(it.kubectl().apply(&list)?, "configmap/mixed created")
            },
        },
        Try {
            name: "list-posted-whole",
            exploits: "a `DeploymentList`, posted to the path for one Deployment",
            by: ApiServer("DeploymentList"),
            run: |it| {
                let items: [Value; 1] = [bad("Deployment", "listed").into()];
                it.post(
                    "Deployment",
                    &json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": items}).to_string(),
                )
            },
        },
        Try {
            name: "server-side-apply",
            exploits: "server-side apply, which sends a patch even for a new object",
            by: Policy(&[LATEST]),
            run: |it| {
                it.patch(&it.at("Deployment", "applied?fieldManager=a"), "apply", &bad("Deployment", "applied").into())
            },
        },
        Try {
            name: "two-field-managers",
            exploits: "two field managers: one applies a good object, and the other one forces the bad image",
            by: Policy(&[LATEST]),
            run: |it| {
                let good: Value = Manifest::good("Deployment", "shared").into();
                it.patch(&it.at("Deployment", "shared?fieldManager=a"), "apply", &good)?;
                let image = one_container("shared", json!({"name": "app", "image": BAD}));
                it.patch(&it.at("Deployment", "shared?fieldManager=b&force=true"), "apply", &image)
            },
        },
        Try {
            name: "field-given-up",
            exploits: "a field manager that applies without `resources`, so that server-side apply removes them",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let place = it.at("Deployment", "given-up?fieldManager=a");
                it.patch(&place, "apply", &Manifest::good("Deployment", "given-up").into())?;
                let without = Manifest::good("Deployment", "given-up").pod("/containers/0/resources", Value::Null);
                it.patch(&place, "apply", &without.into())
            },
        },
        Try {
            name: "json-patch",
            exploits: "a JSON patch of one string",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "json-patched")?;
                let place = "/spec/template/spec/containers/0/image";
                let patch = json!([{"op": "replace", "path": place, "value": BAD}]);
                it.patch(&it.at("Deployment", "json-patched"), "json", &patch)
            },
        },
        Try {
            name: "json-patch-that-moves",
            exploits: "a JSON patch that writes nothing new, but moves the requests to an unused field",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.made("Deployment", "moving")?;
                let from = "/spec/template/spec/containers/0/resources/requests/memory";
                let to = "/spec/template/spec/containers/0/resources/requests/example.com~1memory";
                let copied = json!([
                    {"op": "remove", "path": "/spec/template/spec/containers/0/resources/limits"},
                    {"op": "add", "path": to, "value": "1"},
                    {"op": "remove", "path": from},
                    {"op": "add", "path": "/spec/template/spec/containers/0/resources/limits", "value": {"example.com/memory": "1"}},
                ]);
                it.patch(&it.at("Deployment", "moving"), "json", &copied)
            },
        },
        Try {
            name: "merge-patch-null",
            exploits: "a merge patch in which `null` removes the seccomp profile",
            by: Policy(&[SECCOMP]),
            run: |it| {
                it.made("Deployment", "merged")?;
                let patch = json!({"spec": {"template": {"spec": {"securityContext": {"seccompProfile": null}}}}});
                it.patch(&it.at("Deployment", "merged"), "merge", &patch)
            },
        },
        Try {
            name: "strategic-patch-delete",
            exploits: "the directive `$patch: replace` of a strategic merge patch",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.made("Deployment", "strategic")?;
                let container = json!({"name": "app", "resources": {"$patch": "replace", "requests": {"cpu": "1"}}});
                let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
                it.patch(&it.at("Deployment", "strategic"), "strategic-merge", &patch)
            },
        },
        Try {
            name: "edit",
            exploits: "the request of `kubectl edit`: the stored object with one changed line",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "edited")?;
                it.put(&it.at("Deployment", "edited"), |object| {
                    object["spec"]["template"]["spec"]["containers"][0]["image"] = BAD.into();
                })
            },
        },
        Try {
            name: "set-image",
            exploits: "`kubectl set image`",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("DaemonSet", "set")?;
                Ok(it.kubectl().run(&["set", "image", "daemonset/set", &format!("app={BAD}")], None)?.into())
            },
        },
        Try {
            name: "replace-force",
            exploits: "`kubectl replace --force`, which deletes first, so that there is nothing to compare with",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "forced")?;
                kubectl(it, &["replace", "--force", "--filename=-"], &bad("Deployment", "forced"))
            },
        },
        Try {
            name: "run",
            exploits: "`kubectl run`: a Pod without a file",
            by: Policy(&[LATEST, REQUESTS, SECCOMP, "privilege-escalation", "runs-as-root"]),
            run: |it| Ok(it.kubectl().run(&["run", "smoke", &format!("--image={BAD}")], None)?.into()),
        },
        Try {
            name: "create-job",
            exploits: "`kubectl create job`: a Job without a file",
            // For Pods that end by themselves, missing requests are only recorded.
            by: Policy(&[LATEST, SECCOMP, "privilege-escalation", "runs-as-root"]),
            run: |it| Ok(it.kubectl().run(&["create", "job", "once", &format!("--image={BAD}")], None)?.into()),
        },
        Try {
            name: "job-from-an-old-cronjob",
            exploits: "`kubectl create job --from` a CronJob that is older than the policies, and owns the Job",
            by: Policy(&[LATEST]),
            run: |it| {
                let kubectl = it.stage.legacy.kubectl();
                Ok(kubectl.run(&["create", "job", "by-hand", "--from=cronjob/nightly"], None)?.into())
            },
        },
    ],
    controls: &[
        Control { name: "generated-name", run: |it| it.create(generated(Manifest::good("Deployment", "x"))) },
        Control {
            name: "dry-run",
            run: |it| {
                kubectl(it, &["apply", "--dry-run=server", "--filename=-"], &Manifest::good("Deployment", "good"))
            },
        },
        Control {
            name: "two-field-managers",
            run: |it| {
                let image = one_container("shared", json!({"name": "app", "image": GOOD}));
                it.patch(&it.at("Deployment", "shared?fieldManager=b&force=true"), "apply", &image)
            },
        },
        Control {
            name: "json-patch",
            run: |it| {
                let place = "/spec/template/spec/containers/0/image";
                let patch = json!([{"op": "replace", "path": place, "value": GOOD}]);
                it.patch(&it.at("Deployment", "json-patched"), "json", &patch)
            },
        },
        Control {
            name: "merge-patch-null",
            run: |it| {
                let patch = json!({"spec": {"minReadySeconds": null, "progressDeadlineSeconds": 900}});
                it.patch(&it.at("Deployment", "merged"), "merge", &patch)
            },
        },
        Control {
            name: "strategic-patch",
            run: |it| {
                let container = json!({"name": "app", "resources": {"requests": {"memory": "192Mi"}}});
                let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
                it.patch(&it.at("Deployment", "strategic"), "strategic-merge", &patch)
            },
        },
        Control {
            name: "edit",
            run: |it| {
                it.put(&it.at("Deployment", "edited"), |object| {
                    object["spec"]["template"]["spec"]["containers"][0]["image"] = GOOD.into();
                })
            },
        },
        Control {
            name: "set-image",
            run: |it| Ok(it.kubectl().run(&["set", "image", "daemonset/set", &format!("app={GOOD}")], None)?.into()),
        },
    ],
};

fn kubectl(it: &Theme, arguments: &[&str], object: &Manifest) -> Result<Said> {
    let kubectl: &Kubectl = it.kubectl();
    let output: Output = kubectl.run(arguments, Some(&object.to_string()))?;
    Ok(output.into())
}

fn generated(object: Manifest) -> Manifest {
    object.with("/metadata/name", Value::Null).with("/metadata/generateName", json!("made-"))
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}})
}

/// The object of a second field manager: one container of a Deployment.
fn one_container(name: &str, container: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [container]}}}})
}
