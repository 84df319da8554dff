//! False marks of an exemption: a mark that exempts some objects, put on an object to which it does not apply.

use plimsoll_tests::Manifest;
use serde_json::{Value, json};

use crate::By::Policy;
use crate::order::{last, service};
use crate::stage::{GOOD, LATEST, NEVER, REQUESTS, ROOT, SECCOMP, bare};
use crate::{Control, Tries, Try};

const ESCALATION: &str = "privilege-escalation";
const PROBE: &str = "missing-readiness-probe";

pub(crate) const TRIES: Tries = Tries {
    theme: "Exempt by a sign",
    tries: &[
        Try {
            name: "host-process-anywhere",
            exploits: "`hostProcess: true`, which a Linux node ignores, so that no Linux policy applies",
            by: Policy(&[ESCALATION, SECCOMP, ROOT, "privileged-container", "host-namespaces"]),
            run: |it| it.create(host_process("anywhere")),
        },
        Try {
            name: "windows-or-linux",
            exploits: "a required node affinity with `windows` and `linux`",
            by: Policy(&[ESCALATION]),
            run: |it| {
                it.create(
                    escalating("either").pod("/affinity/nodeAffinity", required(json!([nodes(&["windows", "linux"])]))),
                )
            },
        },
        Try {
            name: "windows-in-one-of-two-terms",
            exploits: "two terms of the node affinity; a node needs to match only one",
            by: Policy(&[ESCALATION]),
            run: |it| {
                let any = json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]});
                it.create(
                    escalating("terms").pod("/affinity/nodeAffinity", required(json!([nodes(&["windows"]), any]))),
                )
            },
        },
        Try {
            name: "windows-by-preference",
            exploits: "Windows nodes that are only preferred",
            by: Policy(&[ESCALATION]),
            run: |it| {
                let term = json!([{"weight": 100, "preference": nodes(&["windows"])}]);
                let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": term});
                it.create(escalating("preferred").pod("/affinity/nodeAffinity", preferred))
            },
        },
        Try {
            name: "auto-without-injection",
            exploits: "`image: auto`, without the label by which Istio fills it in",
            by: Policy(&[LATEST]),
            run: |it| it.create(good("auto").pod("/containers/0/image", json!("auto"))),
        },
        Try {
            name: "auto-with-injection-off",
            exploits: "the annotation that names Istio's templates, and the label that turns the injection off",
            by: Policy(&[LATEST]),
            run: |it| {
                let object = good("off").pod("/containers/0/image", json!("auto"));
                let object =
                    object.with("/spec/template/metadata/annotations", json!({"inject.istio.io/templates": "gateway"}));
                it.create(object.with("/spec/template/metadata/labels/sidecar.istio.io~1inject", json!("false")))
            },
        },
        Try {
            name: "another-image-with-injection",
            exploits: "the label of the injection, beside an image that it does not fill in",
            by: Policy(&[LATEST]),
            run: |it| it.create(injected("beside").pod("/containers/0/image", json!("registry.example.com/auto"))),
        },
        Try {
            name: "privileged-and-injected",
            exploits: "a container that Istio fills in; Istio keeps `privileged: true` and user 0",
            by: Policy(&["privileged-container", NEVER]),
            run: |it| {
                let context = json!({"privileged": true, "runAsUser": 0});
                let object = injected("privileged").pod("/containers/0/image", json!("auto"));
                it.create(object.pod("/containers/0/securityContext", context))
            },
        },
        Try {
            name: "init-container-beside-nothing",
            exploits: "an init container without requests, beside an app container with a negligible request",
            by: Policy(&[REQUESTS]),
            run: |it| {
                let object = good("nothing").pod("/initContainers", json!([unasking()]));
                it.create(object.pod("/containers/0/resources", json!({"requests": {"cpu": "1", "memory": "1"}})))
            },
        },
        Try {
            name: "metrics-on-port-80",
            exploits: "a Service with port 80 that claims to be read by Prometheus only",
            by: Policy(&[PROBE]),
            run: |it| {
                it.stored(&unready("eighty"))?;
                last(it, &scraped("eighty", json!([{"port": 80, "targetPort": 8080}])))
            },
        },
        Try {
            name: "metrics-behind-a-load-balancer",
            exploits: "the same with a Service of type `LoadBalancer`",
            by: Policy(&[PROBE]),
            run: |it| {
                it.stored(&unready("balanced"))?;
                let mut object = scraped("balanced", json!([{"port": 8080}]));
                object["spec"]["type"] = "LoadBalancer".into();
                last(it, &object)
            },
        },
    ],
    controls: &[
        Control {
            name: "windows-by-nodes",
            run: |it| {
                it.create(escalating("windows").pod("/affinity/nodeAffinity", required(json!([nodes(&["windows"])]))))
            },
        },
        Control {
            name: "windows-by-selector",
            run: |it| it.create(escalating("kept").pod("/nodeSelector", json!({"kubernetes.io/os": "windows"}))),
        },
        Control { name: "injected", run: |it| it.create(injected("filled").pod("/containers/0/image", json!("auto"))) },
        Control {
            name: "init-container",
            run: |it| it.create(good("covered").pod("/initContainers", json!([unasking()]))),
        },
        Control {
            name: "metrics",
            run: |it| {
                it.stored(&unready("scraped"))?;
                it.create(scraped("scraped", json!([{"port": 8080}])))
            },
        },
    ],
};

fn good(name: &str) -> Manifest {
    Manifest::good("Deployment", name)
}

fn escalating(name: &str) -> Manifest {
    good(name).pod("/containers/0/securityContext/allowPrivilegeEscalation", Value::Null)
}

fn injected(name: &str) -> Manifest {
    good(name).with("/spec/template/metadata/labels/sidecar.istio.io~1inject", json!("true"))
}

fn host_process(name: &str) -> Manifest {
    let windows = json!({"hostProcess": true, "runAsUserName": "NT AUTHORITY\\SYSTEM"});
    let object =
        good(name).pod("/hostNetwork", json!(true)).pod("/securityContext", json!({"windowsOptions": windows}));
    object.pod("/containers/0/securityContext", Value::Null).pod("/containers/0/ports", Value::Null)
}

fn nodes(values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": values}]})
}

/// An init container without requests.
fn unasking() -> Value {
    let mut init = bare("init", GOOD);
    init["resources"] = json!({"limits": {"ephemeral-storage": "1Gi"}});
    init
}

fn required(terms: Value) -> Value {
    json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}})
}

fn unready(name: &str) -> Value {
    good(name).pod("/containers/0/readinessProbe", Value::Null).with("/spec/minReadySeconds", json!(10)).into()
}

fn scraped(name: &str, ports: Value) -> Value {
    let mut object = service(name, json!({"ports": ports}));
    object["metadata"]["annotations"] = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "8080"});
    object
}
