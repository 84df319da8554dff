use serde_json::json;

use super::{errors, fine, pod, put, silent, warnings};
use crate::Rule::{self, *};

#[test]
fn metadata() {
    let mut object = pod();
    object["metadata"] = json!({
        "name": "web",
        "labels": {"app": "web"},
        "annotations": {"Example.com/note": "any text"},
        "finalizers": ["example.com/keep"],
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": true}],
    });
    errors(
        &object,
        "/metadata",
        &[
            ("/name", json!("Web"), InvalidName, "/name"),
            ("/name", json!("()"), MissingField, " name"),
            ("/generateName", json!("Web-"), InvalidName, "/generateName"),
            ("/namespace", json!("a.b"), InvalidName, "/namespace"),
            ("/labels/app", json!("a b"), InvalidLabel, "/labels/app"),
            ("/labels/-app", json!("a"), InvalidLabel, "/labels/-app"),
            ("/annotations/a b", json!("a"), InvalidLabel, "/annotations/a b"),
            ("/annotations/a", json!("x".repeat(256 * 1024)), OutOfRange, "/annotations"),
            ("/finalizers/0", json!("keep"), InvalidName, "/finalizers/0"),
            ("/ownerReferences/0/uid", json!(""), MissingField, "/ownerReferences/0/uid"),
            ("/ownerReferences/0/kind", json!("()"), MissingField, "/ownerReferences/0 kind"),
            (
                "/ownerReferences/-",
                json!({"apiVersion": "v1", "kind": "A", "name": "a", "uid": "2", "controller": true}),
                ExclusiveFields,
                "/ownerReferences/1/controller",
            ),
        ],
    );
    warnings(&object, "/metadata", &[("/resourceVersion", json!("1"), ServerWarning, "/resourceVersion")]);
    warnings(&object, "/metadata", &[("/name", json!("a.b"), ServerWarning, "/name")]);
}

#[test]
fn scalars() {
    let object = pod();
    errors(
        &object,
        "/spec",
        &[
            ("/restartPolicy", json!("always"), NotOneOf, "/restartPolicy"),
            ("/dnsPolicy", json!("Cluster"), NotOneOf, "/dnsPolicy"),
            ("/dnsPolicy", json!("None"), MissingField, " dnsConfig/nameservers"),
            ("/dnsConfig", json!({"nameservers": ["a"]}), InvalidFormat, "/dnsConfig/nameservers/0"),
            ("/dnsConfig", json!({"nameservers": ["010.0.0.1"]}), InvalidFormat, "/dnsConfig/nameservers/0"),
            ("/dnsConfig", json!({"searches": ["a b"]}), InvalidName, "/dnsConfig/searches/0"),
            ("/dnsConfig", json!({"options": [{}]}), MissingField, "/dnsConfig/options/0 name"),
            ("/preemptionPolicy", json!("No"), NotOneOf, "/preemptionPolicy"),
            ("/serviceAccountName", json!("A"), InvalidName, "/serviceAccountName"),
            ("/priorityClassName", json!("A"), InvalidName, "/priorityClassName"),
            ("/runtimeClassName", json!(""), InvalidName, "/runtimeClassName"),
            ("/activeDeadlineSeconds", json!(0), OutOfRange, "/activeDeadlineSeconds"),
            ("/hostname", json!("a.b"), InvalidName, "/hostname"),
            ("/subdomain", json!("A"), InvalidName, "/subdomain"),
            ("/hostAliases", json!([{"ip": "a"}]), InvalidFormat, "/hostAliases/0/ip"),
            ("/hostAliases", json!([{"ip": "1.2.3.4", "hostnames": ["A"]}]), InvalidName, "/hostAliases/0/hostnames/0"),
            ("/readinessGates", json!([{"conditionType": "a b"}]), InvalidName, "/readinessGates/0/conditionType"),
            ("/schedulingGates", json!([{"name": "a"}, {"name": "a"}]), DuplicateEntry, "/schedulingGates/1/name"),
            ("/nodeSelector", json!({"a": "b c"}), InvalidLabel, "/nodeSelector/a"),
            ("/overhead", json!({"cpu": "1"}), DependentFields, "/overhead"),
            ("/ephemeralContainers", json!([{"name": "a", "image": "a"}]), InvalidValue, "/ephemeralContainers"),
            ("/resourceClaims", json!([{"name": "a"}]), MissingField, "/resourceClaims/0"),
            ("/os", json!({"name": "mac"}), NotOneOf, "/os/name"),
            ("/containers", json!([]), MissingField, "/containers"),
        ],
    );
    fine(
        &object,
        "/spec",
        &[
            ("/dnsConfig", json!({"searches": [".", "_a.b."], "options": [{"name": "ndots"}]})),
            ("/hostAliases", json!([{"ip": "::1", "hostnames": ["a"]}])),
            ("/restartPolicy", json!(null)),
            ("/terminationGracePeriodSeconds", json!(-1)),
        ],
    );
}

#[test]
fn containers() {
    let mut object = pod();
    object["spec"]["initContainers"] = json!([
        {"name": "init", "image": "busybox:1.37"},
        {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always", "readinessProbe": {"tcpSocket": {"port": 1}}},
    ]);
    errors(
        &object,
        "/spec",
        &[
            ("/containers/0/name", json!("Web"), InvalidName, "/containers/0/name"),
            ("/containers/0/name", json!("()"), MissingField, "/containers/0 name"),
            ("/containers/0", json!(null), MissingField, "/containers/0 image"),
            ("/containers/0/image", json!(" nginx"), InvalidFormat, "/containers/0/image"),
            ("/containers/-", json!({"name": "web", "image": "a"}), DuplicateEntry, "/containers/1/name"),
            ("/initContainers/0/name", json!("web"), DuplicateEntry, "/initContainers/0/name"),
            ("/containers/0/imagePullPolicy", json!("Allways"), NotOneOf, "/containers/0/imagePullPolicy"),
            (
                "/containers/0/terminationMessagePolicy",
                json!("Log"),
                NotOneOf,
                "/containers/0/terminationMessagePolicy",
            ),
            ("/containers/0/restartPolicy", json!("No"), NotOneOf, "/containers/0/restartPolicy"),
            (
                "/containers/0/restartPolicyRules",
                json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
                MissingField,
                "/containers/0 restartPolicy",
            ),
            (
                "/initContainers/0/readinessProbe",
                json!({"exec": {"command": ["a"]}}),
                ExclusiveFields,
                "/initContainers/0/readinessProbe",
            ),
            ("/initContainers/0/lifecycle", json!({}), ExclusiveFields, "/initContainers/0/lifecycle"),
            ("/initContainers/1/readinessProbe", json!({}), MissingField, "/initContainers/1/readinessProbe"),
            (
                "/containers/0/resizePolicy",
                json!([{"resourceName": "disk", "restartPolicy": "NotRequired"}]),
                NotOneOf,
                "/containers/0/resizePolicy/0/resourceName",
            ),
        ],
    );
}

#[test]
fn ports() {
    let mut object = pod();
    object["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "name": "http", "hostPort": 80}]);
    errors(
        &object,
        "/spec/containers/0/ports",
        &[
            ("/0/containerPort", json!(80800), OutOfRange, "/0/containerPort"),
            ("/0/containerPort", json!("()"), MissingField, "/0 containerPort"),
            ("/0/hostPort", json!(-1), OutOfRange, "/0/hostPort"),
            ("/0/name", json!("HTTP"), InvalidName, "/0/name"),
            ("/0/name", json!("a-name-that-is-too-long"), InvalidName, "/0/name"),
            ("/0/protocol", json!("tcp"), NotOneOf, "/0/protocol"),
            ("/-", json!({"containerPort": 81, "name": "http"}), DuplicateEntry, "/1/name"),
            ("/-", json!({"containerPort": 81, "hostPort": 80}), DuplicateEntry, "/1/hostPort"),
        ],
    );
    warnings(
        &object,
        "/spec/containers/0/ports",
        &[
            ("/-", json!({"containerPort": 80}), ServerWarning, "/1"),
            ("/-", json!({"containerPort": 81, "hostIP": "10.0.0.1"}), ServerWarning, "/1/hostIP"),
        ],
    );
    put(&mut object, "/spec/hostNetwork", &json!(true));
    errors(&object, "/spec/containers/0/ports", &[("/0/hostPort", json!(81), DependentFields, "/0/hostPort")]);
}

#[test]
fn handlers() {
    let mut object = pod();
    object["spec"]["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": "http", "path": "/live"}});
    object["spec"]["containers"][0]["readinessProbe"] = json!({"grpc": {"port": 80}, "successThreshold": 2});
    object["spec"]["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 30}}});
    errors(
        &object,
        "/spec/containers/0",
        &[
            ("/livenessProbe/successThreshold", json!(2), OutOfRange, "/livenessProbe/successThreshold"),
            ("/livenessProbe/timeoutSeconds", json!(-1), OutOfRange, "/livenessProbe/timeoutSeconds"),
            ("/livenessProbe/httpGet", json!("()"), MissingField, "/livenessProbe"),
            ("/livenessProbe/exec", json!({"command": ["a"]}), ExclusiveFields, "/livenessProbe/httpGet"),
            ("/livenessProbe/httpGet/port", json!("()"), MissingField, "/livenessProbe/httpGet port"),
            ("/livenessProbe/httpGet/port", json!(0), OutOfRange, "/livenessProbe/httpGet/port"),
            ("/livenessProbe/httpGet/port", json!("80"), InvalidName, "/livenessProbe/httpGet/port"),
            ("/livenessProbe/httpGet/scheme", json!("http"), NotOneOf, "/livenessProbe/httpGet/scheme"),
            (
                "/livenessProbe/httpGet/httpHeaders",
                json!([{"name": "a b", "value": "c"}]),
                InvalidName,
                "/livenessProbe/httpGet/httpHeaders/0/name",
            ),
            (
                "/readinessProbe/terminationGracePeriodSeconds",
                json!(1),
                ExclusiveFields,
                "/readinessProbe/terminationGracePeriodSeconds",
            ),
            ("/lifecycle/preStop/sleep/seconds", json!(31), OutOfRange, "/lifecycle/preStop/sleep/seconds"),
            ("/lifecycle/postStart", json!({"exec": {}}), MissingField, "/lifecycle/postStart/exec command"),
        ],
    );
}

#[test]
fn environment() {
    let mut object = pod();
    object["spec"]["containers"][0]["env"] = json!([
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "D", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "d"}}},
    ]);
    object["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "a"}}]);
    errors(
        &object,
        "/spec/containers/0",
        &[
            ("/env/0/name", json!("A=B"), InvalidName, "/env/0/name"),
            ("/env/0/name", json!("()"), MissingField, "/env/0 name"),
            ("/env/1/value", json!("1"), ExclusiveFields, "/env/1/valueFrom"),
            ("/env/1/valueFrom", json!({}), MissingField, "/env/1/valueFrom"),
            (
                "/env/1/valueFrom/fieldRef/fieldPath",
                json!("spec.nodename"),
                NotOneOf,
                "/env/1/valueFrom/fieldRef/fieldPath",
            ),
            (
                "/env/2/valueFrom/resourceFieldRef/resource",
                json!("memory"),
                NotOneOf,
                "/env/2/valueFrom/resourceFieldRef/resource",
            ),
            (
                "/env/2/valueFrom/resourceFieldRef/divisor",
                json!("1m"),
                InvalidQuantity,
                "/env/2/valueFrom/resourceFieldRef/divisor",
            ),
            ("/env/3/valueFrom/configMapKeyRef/key", json!("a/b"), InvalidName, "/env/3/valueFrom/configMapKeyRef/key"),
            (
                "/env/3/valueFrom/configMapKeyRef/name",
                json!("()"),
                MissingField,
                "/env/3/valueFrom/configMapKeyRef name",
            ),
            ("/envFrom/0", json!({"prefix": "A_"}), MissingField, "/envFrom/0"),
            ("/envFrom/0/secretRef/name", json!("A"), InvalidName, "/envFrom/0/secretRef/name"),
        ],
    );
    warnings(&object, "/spec/containers/0", &[("/env/-", json!({"name": "A", "value": "2"}), ServerWarning, "/env/4")]);
    fine(&object, "/spec/containers/0", &[("/env/-", json!({"name": "A", "value": "2 $(A)"}))]);
}

#[test]
fn resources() {
    let mut object = pod();
    object["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}});
    errors(
        &object,
        "/spec/containers/0/resources",
        &[
            ("/requests/memory", json!("2Gi"), DependentFields, "/requests/memory"),
            ("/requests/cpu", json!("-1"), OutOfRange, "/requests/cpu"),
            ("/requests/disk", json!("1"), InvalidName, "/requests/disk"),
            ("/requests/storage", json!("1Gi"), InvalidName, "/requests/storage"),
            ("/requests/example.com~1gpu", json!(1), DependentFields, "/requests/example.com~1gpu"),
            ("/limits/example.com~1gpu", json!("500m"), InvalidQuantity, "/limits/example.com~1gpu"),
            ("/limits/hugepages-2Mi", json!("3Mi"), InvalidQuantity, "/limits/hugepages-2Mi"),
            ("/limits/memory", json!(null), DependentFields, "/requests/memory"),
            ("/claims", json!([{"name": "gpu"}]), UnknownReference, "/claims/0/name"),
        ],
    );
    warnings(
        &object,
        "/spec/containers/0/resources",
        &[("/requests/memory", json!("512m"), ServerWarning, "/requests/memory")],
    );
    object["spec"]["resources"] = json!({"limits": {"memory": "2Gi"}});
    errors(
        &object,
        "/spec/resources",
        &[
            ("/limits/memory", json!("512Mi"), DependentFields, "/limits/memory"),
            ("/requests", json!({"cpu": "50m"}), DependentFields, "/requests/cpu"),
            ("/requests", json!({"example.com/gpu": 1}), InvalidName, "/requests/example.com~1gpu"),
        ],
    );
}

#[test]
fn security() {
    let mut object = pod();
    object["spec"]["securityContext"] =
        json!({"runAsUser": 1000, "sysctls": [{"name": "net.core.somaxconn", "value": "1"}]});
    object["spec"]["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "seccompProfile": {"type": "RuntimeDefault"}});
    let rows: &[(&str, _, Rule, &str)] = &[
        ("/securityContext/runAsUser", json!(-1), OutOfRange, "/securityContext/runAsUser"),
        ("/securityContext/fsGroupChangePolicy", json!("No"), NotOneOf, "/securityContext/fsGroupChangePolicy"),
        ("/securityContext/sysctls/0/name", json!("A"), InvalidName, "/securityContext/sysctls/0/name"),
        ("/hostNetwork", json!(true), ExclusiveFields, "/securityContext/sysctls/0/name"),
        (
            "/containers/0/securityContext/privileged",
            json!(true),
            ExclusiveFields,
            "/containers/0/securityContext/allowPrivilegeEscalation",
        ),
        (
            "/containers/0/securityContext/procMount",
            json!("Unmasked"),
            DependentFields,
            "/containers/0/securityContext/procMount",
        ),
        (
            "/containers/0/securityContext/seccompProfile/type",
            json!("Localhost"),
            MissingField,
            "/containers/0/securityContext/seccompProfile localhostProfile",
        ),
        (
            "/containers/0/securityContext/seccompProfile/localhostProfile",
            json!("a"),
            ExclusiveFields,
            "/containers/0/securityContext/seccompProfile/localhostProfile",
        ),
        (
            "/containers/0/securityContext/appArmorProfile",
            json!({"type": "default"}),
            NotOneOf,
            "/containers/0/securityContext/appArmorProfile/type",
        ),
        (
            "/containers/0/securityContext/windowsOptions",
            json!({"runAsUserName": "a@b"}),
            InvalidName,
            "/containers/0/securityContext/windowsOptions/runAsUserName",
        ),
        ("/os", json!({"name": "windows"}), ExclusiveFields, "/securityContext/runAsUser"),
        ("/hostUsers", json!(false), ExclusiveFields, "/hostPID"),
    ];
    put(&mut object, "/spec/hostPID", &json!(true));
    errors(&object, "/spec", rows);
}

#[test]
fn annotations() {
    let mut object = pod();
    put(&mut object, "/metadata/annotations", &json!({"a": "b"}));
    errors(
        &object,
        "/metadata/annotations",
        &[
            ("/kubernetes.io~1config.mirror", json!("a"), DependentFields, "/kubernetes.io~1config.mirror"),
            (
                "/controller.kubernetes.io~1pod-deletion-cost",
                json!("01"),
                InvalidFormat,
                "/controller.kubernetes.io~1pod-deletion-cost",
            ),
            (
                "/container.apparmor.security.beta.kubernetes.io~1app",
                json!("unconfined"),
                UnknownReference,
                "/container.apparmor.security.beta.kubernetes.io~1app",
            ),
            (
                "/seccomp.security.alpha.kubernetes.io~1pod",
                json!("a"),
                NotOneOf,
                "/seccomp.security.alpha.kubernetes.io~1pod",
            ),
        ],
    );
    warnings(
        &object,
        "/metadata/annotations",
        &[(
            "/seccomp.security.alpha.kubernetes.io~1pod",
            json!("unconfined"),
            ServerWarning,
            "/seccomp.security.alpha.kubernetes.io~1pod",
        )],
    );
    silent(&object);
}
