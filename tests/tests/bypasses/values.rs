//! Odd values: another spelling of a refused value, or a value that looks like an allowed one.

use std::time::Duration;

use anyhow::{Result, ensure};
use plimsoll_tests::{Manifest, container, until};
use serde_json::{Value, json};

use crate::By::{ApiServer, Policy};
use crate::stage::{GOOD, JSON, LATEST, NEVER, REQUESTS, ROOT, SECCOMP, Said, Theme, bare};
use crate::{Control, Tries, Try};

const RATIO: &str = "excessive-memory-ratio";
const PROBES: &str = "identical-probes";
const CAPACITY: &str = "rollout-without-capacity";
const DIGEST: &str = "sha256:7173b809ca12ec5dee4506cd86be934c4596dd234ee82c0662eac04a8c2c71dc";

pub(crate) const TRIES: Tries = Tries {
    theme: "Odd values",
    tries: &[
        Try {
            name: "root-below-a-safe-pod",
            exploits: "`runAsUser: 0` in one container of a Pod that runs as 1001",
            by: Policy(&[NEVER]),
            run: |it| it.create(good("below").pod("/containers/0/securityContext/runAsUser", json!(0))),
        },
        Try {
            name: "root-in-the-second-container",
            exploits: "the same in the last of three",
            by: Policy(&[NEVER]),
            run: |it| {
                let object = good("last").container("b", 9090).container("c", 9191);
                it.create(object.pod("/containers/2/securityContext/runAsUser", json!(0)))
            },
        },
        Try {
            name: "root-allowed-again",
            exploits: "`runAsNonRoot: false` in a container, below a Pod that says true",
            by: Policy(&[ROOT]),
            run: |it| it.create(good("again").pod("/containers/0/securityContext/runAsNonRoot", json!(false))),
        },
        Try {
            name: "root-before-the-start",
            exploits: "an init container as root",
            by: Policy(&[NEVER]),
            run: |it| {
                let mut init = bare("init", GOOD);
                init["securityContext"]["runAsUser"] = json!(0);
                it.create(good("before").pod("/initContainers", json!([init])))
            },
        },
        Try {
            name: "privileged-without-escalation",
            exploits: "`privileged: true`, which makes `allowPrivilegeEscalation` unnecessary",
            by: Policy(&["privileged-container"]),
            run: |it| it.create(good("privileged").pod("/containers/0/securityContext", json!({"privileged": true}))),
        },
        Try {
            name: "seccomp-off-below-a-safe-pod",
            exploits: "`Unconfined` in one container of a Pod with a profile",
            by: Policy(&[SECCOMP]),
            run: |it| {
                let place = "/containers/0/securityContext/seccompProfile";
                it.create(good("seccomp").pod(place, json!({"type": "Unconfined"})))
            },
        },
        Try {
            name: "seccomp-by-annotation",
            exploits: "the annotation that stood for a profile until Kubernetes 1.27",
            by: Policy(&[SECCOMP]),
            run: |it| {
                let annotation = json!({"seccomp.security.alpha.kubernetes.io/pod": "runtime/default"});
                it.create(
                    Manifest::good("Pod", "annotated")
                        .pod("/securityContext/seccompProfile", Value::Null)
                        .with("/metadata/annotations", annotation),
                )
            },
        },
        Try {
            name: "port-for-a-tag",
            exploits: "`localhost:5000/app`, where the number is a port",
            by: Policy(&[LATEST]),
            run: |it| image(it, "port", "localhost:5000/app"),
        },
        Try {
            name: "address-for-a-tag",
            exploits: "`[::1]:5000/app:latest`",
            by: Policy(&[LATEST]),
            run: |it| image(it, "address", "[::1]:5000/app:latest"),
        },
        Try {
            name: "registry-in-capitals",
            exploits: "`REGISTRY.example.com/app`, which is a host and no broken name",
            by: Policy(&[LATEST]),
            run: |it| image(it, "capitals", "REGISTRY.example.com/app"),
        },
        Try {
            name: "blank-behind-the-tag",
            exploits: "`app:latest` and a blank: no reference for a parser, but `latest` after trimming",
            by: ApiServer("leading or trailing whitespace"),
            run: |it| it.create(Manifest::good("Pod", "blank").pod("/containers/0/image", json!("shop:latest "))),
        },
        Try {
            name: "request-of-nothing",
            exploits: "`memory: 0e9`, which only looks like a request",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.create(
                    good("nothing").pod("/containers/0/resources", json!({"requests": {"cpu": "1", "memory": "0e9"}})),
                )
            },
        },
        Try {
            name: "request-of-the-pod",
            exploits: "`resources` of the Pod as a whole with a request of 0, so that no container needs one",
            by: Policy(&[REQUESTS]),
            run: |it| {
                it.create(
                    good("whole")
                        .pod("/containers/0/resources", Value::Null)
                        .pod("/resources", json!({"requests": {"cpu": "1", "memory": "0"}})),
                )
            },
        },
        Try {
            name: "negative-request",
            exploits: "`memory: -1Gi`",
            by: ApiServer("must be greater than or equal to 0"),
            run: |it| it.create(good("negative").pod("/containers/0/resources/requests/memory", json!("-1Gi"))),
        },
        Try {
            name: "ratio-in-two-units",
            exploits: "a limit of `5Gi` for a request of `1048576Ki`: five times, in other words",
            by: Policy(&[RATIO]),
            run: |it| ratio(it, "units", json!("1048576Ki"), json!("9Gi")),
        },
        Try {
            name: "ratio-by-exponent",
            exploits: "`1e8` and `1E9`",
            by: Policy(&[RATIO]),
            run: |it| ratio(it, "exponent", json!("1e8"), json!("1E9")),
        },
        Try {
            name: "ratio-of-numbers",
            exploits: "numbers where text is usual",
            by: Policy(&[RATIO]),
            run: |it| ratio(it, "numbers", json!(134_217_728), json!(1_342_177_280)),
        },
        Try {
            name: "ratio-beyond-64-bits",
            exploits: "a limit of `1e30`, which overflows a counter of bytes",
            by: Policy(&[RATIO]),
            run: |it| ratio(it, "huge", json!("128Mi"), json!("1e30")),
        },
        Try {
            name: "request-of-a-thousandth",
            exploits: "`128m` of memory: an eighth of a byte, where 128Mi was meant",
            by: Policy(&[REQUESTS]),
            run: |it| ratio(it, "milli", json!("128m"), json!("256Mi")),
        },
        Try {
            name: "probes-in-another-order",
            exploits: "the same probe with its members in another order and its defaults written out",
            by: Policy(&[PROBES]),
            run: |it| {
                probe(
                    it,
                    "order",
                    json!({"failureThreshold": 3, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1,
                        "httpGet": {"scheme": "HTTP", "port": 8080, "path": "/health/ready"}}),
                )
            },
        },
        Try {
            name: "probes-by-name-and-number",
            exploits: "one probe has port 8080, and the other one the name of the port",
            by: Policy(&[PROBES]),
            run: |it| {
                it.create(
                    good("named").pod("/containers/0/ports/0/name", json!("http")).pod(
                        "/containers/0/livenessProbe",
                        json!({"httpGet": {"path": "/health/ready", "port": "http"}}),
                    ),
                )
            },
        },
        Try {
            name: "percentage-with-zeros",
            exploits: "`maxUnavailable: \"0100%\"`",
            by: Policy(&[CAPACITY]),
            run: |it| served_rollout(it, "zeros", 4, json!("0%"), json!("0100%")),
        },
        Try {
            name: "percentage-that-rounds-to-nothing",
            exploits: "0 and `25%` of one replica: both come to 0, and the controller takes the one",
            by: Policy(&[CAPACITY]),
            run: |it| served_rollout(it, "rounds", 1, json!("000%"), json!("025%")),
        },
        Try {
            name: "no-percentage",
            exploits: "`0%` and `0%`",
            by: ApiServer("may not be 0 when `maxSurge` is 0"),
            run: |it| rollout(it, "none", 3, json!("0%"), json!("0%")),
        },
        Try {
            name: "percentage-beyond-64-bits",
            exploits: "a `maxSurge` that no counter holds, so that the rollout cannot be computed",
            by: Policy(&[CAPACITY]),
            run: |it| served_rollout(it, "beyond", 1, json!("99999999999999999999%"), json!("100%")),
        },
    ],
    controls: &[
        Control {
            name: "several-containers",
            run: |it| it.create(good("three").container("b", 9090).container("c", 9191)),
        },
        Control {
            name: "init-container",
            run: |it| it.create(good("good-init").pod("/initContainers", json!([bare("init", GOOD)]))),
        },
        Control { name: "port-and-tag", run: |it| image(it, "good-port", "localhost:5000/app:1.2") },
        Control { name: "latest-with-digest", run: |it| image(it, "digest", &format!("nginx:latest@{DIGEST}")) },
        Control { name: "ratio-in-two-units", run: |it| ratio(it, "good-units", json!("1048576Ki"), json!("2Gi")) },
        Control {
            name: "request-of-the-pod",
            run: |it| {
                it.create(
                    good("good-whole")
                        .pod("/containers/0/resources", Value::Null)
                        .pod("/resources", json!({"requests": {"cpu": "1", "memory": "1Gi"}})),
                )
            },
        },
        Control {
            name: "probes",
            run: |it| {
                let asked = json!({"httpGet": {"port": 8080, "path": "/health/live"}});
                it.create(good("good-probe").pod("/containers/0/livenessProbe", asked))
            },
        },
        Control { name: "percentages", run: |it| rollout(it, "good-rollout", 4, json!("025%"), json!("0%")) },
        Control {
            name: "sidecar",
            run: |it| {
                let mut sidecar = container("proxy", 9191);
                sidecar["restartPolicy"] = "Always".into();
                it.create(good("good-sidecar").pod("/initContainers", json!([sidecar])))
            },
        },
    ],
};

fn good(name: &str) -> Manifest {
    Manifest::good("Deployment", name)
}

fn image(it: &Theme, name: &str, image: &str) -> Result<Said> {
    it.create(good(name).pod("/containers/0/image", json!(image)))
}

fn ratio(it: &Theme, name: &str, request: Value, limit: Value) -> Result<Said> {
    let resources = json!({"requests": {"cpu": "100m", "memory": request}, "limits": {"memory": limit}});
    it.create(good(name).pod("/containers/0/resources", resources))
}

/// The readinessProbe of the good object: `/health/ready` at port 8080.
fn probe(it: &Theme, name: &str, liveness: Value) -> Result<Said> {
    it.create(good(name).pod("/containers/0/livenessProbe", liveness))
}

fn rollout(it: &Theme, name: &str, replicas: u32, surge: Value, unavailable: Value) -> Result<Said> {
    it.create(rolling(name, replicas, surge, unavailable))
}

/// A Service selects the Pods, because only then the probe is required. The webhook learns of the Service a moment
/// later.
fn served_rollout(it: &Theme, name: &str, replicas: u32, surge: Value, unavailable: Value) -> Result<Said> {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}});
    let made = it.create(service)?;
    ensure!(made.admitted, "no Service: {}", made.text);
    let object = Value::from(rolling(name, replicas, surge, unavailable));
    let path = format!("{}?dryRun=All", it.at("Deployment", "").trim_end_matches('/'));
    until(Duration::from_secs(30), "the Service is known", || {
        Ok((!it.send("POST", &path, &[JSON], object.to_string().as_bytes())?.admitted).then_some(()))
    })?;
    it.create(object)
}

fn rolling(name: &str, replicas: u32, surge: Value, unavailable: Value) -> Manifest {
    let rolling = json!({"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}});
    good(name).with("/spec/replicas", json!(replicas)).with("/spec/strategy", rolling)
}
