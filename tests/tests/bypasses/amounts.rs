//! Values that only look complete: requests too small to mean anything, and images that no container names.

use std::time::Duration;

use anyhow::{Result, ensure};
use plimsoll_tests::{Manifest, container, until};
use serde_json::{Value, json};

use crate::By::{ApiServer, Policy};
use crate::stage::{BAD, GOOD, JSON, LATEST, REQUESTS, Said, Theme, bare};
use crate::{Control, Tries, Try};

const RATIO: &str = "excessive-memory-ratio";
const DIGEST: &str = "sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";

pub(crate) const TRIES: Tries = Tries {
    theme: "In form alone",
    tries: &[
        Try {
            name: "one-byte",
            exploits: "a request of one byte",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "byte", json!(1)),
        },
        Try {
            name: "one-byte-as-text",
            exploits: "the same as text",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "text", json!("1")),
        },
        Try {
            name: "thousandth-of-a-byte",
            exploits: "`memory: 1m`",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "milli", json!("1m")),
        },
        Try {
            name: "billionth-of-a-byte",
            exploits: "`memory: 1n`",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "nano", json!("1n")),
        },
        Try {
            name: "byte-by-exponent",
            exploits: "`memory: 1E-3`",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "exponent", json!("1E-3")),
        },
        Try {
            name: "byte-by-fraction",
            exploits: "`memory: 0.0001`, a number",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "fraction", json!(0.0001)),
        },
        Try {
            name: "forgotten-unit",
            exploits: "`memory: 128`, which are bytes",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "unit", json!(128)),
        },
        Try {
            name: "one-below-the-least",
            exploits: "`memory: 1048575`",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "below", json!(1_048_575)),
        },
        Try {
            name: "million-and-no-mebi",
            exploits: "`memory: 1M`, which is less than 1Mi",
            by: Policy(&[REQUESTS]),
            run: |it| memory(it, "mega", json!("1M")),
        },
        Try {
            name: "copy-of-one-byte",
            exploits: "a limit of one byte, which the API server copies to the request",
            by: Policy(&[REQUESTS]),
            run: |it| resources(it, "copied", json!({"requests": {"cpu": "1"}, "limits": {"memory": "1"}})),
        },
        Try {
            name: "billionth-of-a-core",
            exploits: "`cpu: 1n`",
            by: Policy(&[REQUESTS]),
            run: |it| cpu(it, "core", json!("1n")),
        },
        Try {
            name: "core-by-exponent",
            exploits: "`cpu: 1e-9`",
            by: Policy(&[REQUESTS]),
            run: |it| cpu(it, "core-exponent", json!("1e-9")),
        },
        Try {
            name: "core-by-fraction",
            exploits: "`cpu: 0.0001`, a number",
            by: Policy(&[REQUESTS]),
            run: |it| cpu(it, "core-fraction", json!(0.0001)),
        },
        Try {
            name: "nearly-a-thousandth",
            exploits: "`cpu: 999u`",
            by: Policy(&[REQUESTS]),
            run: |it| cpu(it, "core-micro", json!("999u")),
        },
        Try {
            name: "requests-before-the-start",
            exploits: "an init container that requests enough for the Pod as a whole, and an app container that requests one byte",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let mut init = bare("init", GOOD);
                init["resources"] = json!({"requests": {"cpu": "100m", "memory": "1Gi"}});
                let object = good("init").pod("/initContainers", json!([init]));
                it.create(object.pod("/containers/0/resources", json!({"requests": {"cpu": "1", "memory": "1"}})))
            },
        },
        Try {
            name: "one-byte-beside",
            exploits: "a native sidecar that requests one byte",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let mut sidecar = container("proxy", 9191);
                sidecar["restartPolicy"] = "Always".into();
                sidecar["resources"] = json!({"requests": {"cpu": "100m", "memory": "1"}});
                it.create(good("sidecar").pod("/initContainers", json!([sidecar])))
            },
        },
        Try {
            name: "one-byte-of-the-pod",
            exploits: "`resources` of the Pod as a whole with a request of one byte",
            by: Policy(&[REQUESTS]),
            run: |it| whole(it, good("whole"), json!({"requests": {"cpu": "1", "memory": "1"}})),
        },
        Try {
            name: "limit-of-the-pod",
            exploits: "a limit of one byte for the Pod as a whole, which is copied to its request",
            by: Policy(&[REQUESTS]),
            run: |it| whole(it, good("whole-limit"), json!({"requests": {"cpu": "1"}, "limits": {"memory": "1"}})),
        },
        Try {
            name: "one-share-for-three",
            exploits: "the minimum for one container, as the request of a whole Pod with three containers",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let mut object = good("shared").container("b", 9090).container("c", 9191);
                for number in [1, 2] {
                    object = object.pod(&format!("/containers/{number}/resources"), Value::Null);
                }
                whole(it, object, json!({"requests": {"cpu": "1", "memory": "1Mi"}}))
            },
        },
        Try {
            name: "ratio-of-the-pod",
            exploits: "a limit of 64 times the request, for the Pod as a whole",
            by: Policy(&[RATIO]),
            run: |it| {
                let resources = json!({"requests": {"cpu": "1", "memory": "128Mi"}, "limits": {"memory": "8Gi"}});
                whole(it, good("whole-ratio"), resources)
            },
        },
        Try {
            name: "one-byte-filled-in",
            exploits: "a LimitRange that fills in one byte where no request is written",
            by: Policy(&[REQUESTS]),
            run: filled_in,
        },
        Try {
            name: "one-byte-afterwards",
            exploits: "a patch that lowers the request of a good workload to one byte",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.made("Deployment", "lowered")?;
                let patch = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/resources",
                    "value": {"requests": {"cpu": "100m", "memory": "1"}}}]);
                it.patch(&it.at("Deployment", "lowered"), "json", &patch)
            },
        },
        Try {
            name: "resize-to-one-byte",
            exploits: "`pods/resize`, down to one byte",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.made("Pod", "shrunk")?;
                let patch =
                    json!({"spec": {"containers": [{"name": "app", "resources": {"requests": {"memory": "1"}}}]}});
                it.patch(&format!("{}/resize", it.at("Pod", "shrunk")), "strategic-merge", &patch)
            },
        },
        Try {
            name: "image-of-a-volume",
            exploits: "a volume that mounts an image with the tag `latest`",
            by: Policy(&[LATEST]),
            run: |it| it.create(mounting("Deployment", "volume", json!({"reference": BAD}))),
        },
        Try {
            name: "image-of-a-volume-without-tag",
            exploits: "the same without a tag",
            by: Policy(&[LATEST]),
            run: |it| {
                it.create(mounting("StatefulSet", "untagged", json!({"reference": "registry.example.com/model"})))
            },
        },
        Try {
            name: "image-of-a-volume-behind-a-port",
            exploits: "`localhost:5000/model`, where the number is a port",
            by: Policy(&[LATEST]),
            run: |it| it.create(mounting("Deployment", "port", json!({"reference": "localhost:5000/model"}))),
        },
        Try {
            name: "image-of-a-volume-never-pulled",
            exploits: "`pullPolicy: Never`, which uses an image that the node already has",
            by: Policy(&[LATEST]),
            run: |it| it.create(mounting("Deployment", "never", json!({"reference": BAD, "pullPolicy": "Never"}))),
        },
        Try {
            name: "image-of-a-nightly-volume",
            exploits: "a CronJob, which has its template one level deeper",
            by: Policy(&[LATEST]),
            run: |it| it.create(mounting("CronJob", "nightly", json!({"reference": BAD}))),
        },
        Try {
            name: "image-of-a-volume-in-a-pod",
            exploits: "a Pod by itself",
            by: Policy(&[LATEST]),
            run: |it| it.create(mounting("Pod", "single", json!({"reference": BAD}))),
        },
        Try {
            name: "image-that-nothing-mounts",
            exploits: "a volume that no container mounts; the kubelet still pulls its image",
            by: Policy(&[LATEST]),
            run: |it| {
                let volumes = json!([{"name": "model", "image": {"reference": BAD}}]);
                it.create(good("unmounted").pod("/volumes", volumes))
            },
        },
        Try {
            name: "image-of-the-last-volume",
            exploits: "the last of forty volumes, behind good ones and other kinds",
            by: Policy(&[LATEST]),
            run: |it| {
                let volume = |number: usize| match number {
                    39 => json!({"name": "v39", "image": {"reference": BAD}}),
                    odd if odd % 2 == 1 => json!({"name": format!("v{odd}"), "image": {"reference": GOOD}}),
                    even => json!({"name": format!("v{even}"), "emptyDir": {}}),
                };
                it.create(good("last").pod("/volumes", (0..40).map(volume).collect::<Vec<_>>().into()))
            },
        },
        Try {
            name: "image-of-a-volume-afterwards",
            exploits: "a patch that changes the tag of a volume of a good workload",
            by: Policy(&[LATEST]),
            run: |it| {
                let made = it.create(mounting("Deployment", "later", json!({"reference": GOOD})))?;
                ensure!(made.admitted, "{}", made.text);
                let patch =
                    json!([{"op": "replace", "path": "/spec/template/spec/volumes/0/image/reference", "value": BAD}]);
                it.patch(&it.at("Deployment", "later"), "json", &patch)
            },
        },
        Try {
            name: "image-of-a-volume-by-apply",
            exploits: "a server-side apply that adds a volume by its name",
            by: Policy(&[LATEST]),
            run: |it| {
                it.made("Deployment", "applied")?;
                let volumes = json!([{"name": "model", "image": {"reference": BAD}}]);
                let patch = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "applied"},
                    "spec": {"template": {"spec": {"volumes": volumes}}}});
                it.patch(&format!("{}?fieldManager=attacker", it.at("Deployment", "applied")), "apply", &patch)
            },
        },
        Try {
            name: "image-beside-another-volume",
            exploits: "one volume that is an image and a folder",
            by: ApiServer("may not specify more than 1 volume type"),
            run: |it| {
                let volumes = json!([{"name": "model", "emptyDir": {}, "image": {"reference": BAD}}]);
                it.create(good("two").pod("/volumes", volumes))
            },
        },
    ],
    controls: &[
        Control { name: "least-memory", run: |it| memory(it, "good-least", json!("1Mi")) },
        Control { name: "least-memory-in-bytes", run: |it| memory(it, "good-bytes", json!(1_048_576)) },
        Control { name: "least-cpu", run: |it| cpu(it, "good-core", json!("3m")) },
        Control { name: "least-cpu-by-fraction", run: |it| cpu(it, "good-core-fraction", json!(0.003)) },
        Control {
            name: "pod-as-a-whole",
            run: |it| {
                let mut object = good("good-shared").container("b", 9090);
                object = object.pod("/containers/1/resources", Value::Null);
                let resources = json!({"requests": {"cpu": "6m", "memory": "2Mi"}, "limits": {"memory": "8Mi"}});
                whole(it, object, resources)
            },
        },
        Control {
            name: "image-of-a-volume",
            run: |it| it.create(mounting("Deployment", "good-volume", json!({"reference": GOOD}))),
        },
        Control {
            name: "image-of-a-volume-by-digest",
            run: |it| {
                let reference = format!("registry.example.com/model:latest@{DIGEST}");
                it.create(mounting("CronJob", "good-digest", json!({"reference": reference})))
            },
        },
    ],
};

fn good(name: &str) -> Manifest {
    Manifest::good("Deployment", name)
}

fn resources(it: &Theme, name: &str, resources: Value) -> Result<Said> {
    it.create(good(name).pod("/containers/0/resources", resources))
}

fn memory(it: &Theme, name: &str, amount: Value) -> Result<Said> {
    resources(it, name, json!({"requests": {"cpu": "100m", "memory": amount}}))
}

fn cpu(it: &Theme, name: &str, amount: Value) -> Result<Said> {
    resources(it, name, json!({"requests": {"cpu": amount, "memory": "128Mi"}}))
}

/// The first container has no resources, and the Pod as a whole has these.
fn whole(it: &Theme, object: Manifest, resources: Value) -> Result<Said> {
    it.create(object.pod("/containers/0/resources", Value::Null).pod("/resources", resources))
}

fn mounting(kind: &str, name: &str, image: Value) -> Manifest {
    Manifest::good(kind, name)
        .pod("/volumes", json!([{"name": "model", "image": image}]))
        .pod("/containers/0/volumeMounts", json!([{"name": "model", "mountPath": "/model"}]))
}

/// The webhook learns of the LimitRange a moment later. Until then the request is missing, which is denied too.
fn filled_in(it: &Theme) -> Result<Said> {
    let range = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "tiny"},
        "spec": {"limits": [{"type": "Container", "defaultRequest": {"memory": "1"}}]}});
    let path = format!("/api/v1/namespaces/{}/limitranges", it.namespace.name());
    let made = it.send("POST", &path, &[JSON], range.to_string().as_bytes())?;
    ensure!(made.admitted, "no LimitRange: {}", made.text);
    let object = Value::from(good("filled").pod("/containers/0/resources", json!({"requests": {"cpu": "100m"}})));
    let dry = format!("{}?dryRun=All", it.at("Deployment", "").trim_end_matches('/'));
    until(Duration::from_secs(30), "the LimitRange is known", || {
        let said = it.send("POST", &dry, &[JSON], object.to_string().as_bytes())?;
        Ok(said.text.contains("from a LimitRange").then_some(()))
    })?;
    let said = it.create(object)?;
    it.send("DELETE", &format!("{path}/tiny"), &[], b"")?;
    Ok(said)
}
