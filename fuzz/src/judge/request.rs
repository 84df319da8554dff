//! Makes the body of a request from a script of choices.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::same::escaped;
use crate::script::Script;

/// A body, and its properties.
pub(super) struct Request {
    pub(super) body: String,
    /// Whether it is nested too deeply, or large enough to have too many values.
    pub(super) is_beyond: bool,
    /// Whether object and old object are equal.
    pub(super) is_unchanged: bool,
    /// Selects the check: comparison with native code, or the effect of the findings.
    pub(super) is_compared: bool,
    /// Whether it has managed fields or a last-applied configuration.
    pub(super) says_who_wrote: bool,
}

static OBJECTS: LazyLock<Vec<Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("objects.json")).expect("the objects are JSON"));

/// Members that policies read.
const NAMES: [&str; 64] = [
    "spec",
    "template",
    "metadata",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "name",
    "image",
    "resources",
    "requests",
    "limits",
    "cpu",
    "memory",
    "ephemeral-storage",
    "hugepages-2Mi",
    "nvidia.com/gpu",
    "securityContext",
    "runAsNonRoot",
    "runAsUser",
    "privileged",
    "allowPrivilegeEscalation",
    "capabilities",
    "add",
    "drop",
    "seccompProfile",
    "type",
    "localhostProfile",
    "readinessProbe",
    "livenessProbe",
    "startupProbe",
    "httpGet",
    "tcpSocket",
    "grpc",
    "exec",
    "command",
    "port",
    "path",
    "host",
    "scheme",
    "service",
    "ports",
    "containerPort",
    "protocol",
    "restartPolicy",
    "replicas",
    "strategy",
    "rollingUpdate",
    "maxSurge",
    "maxUnavailable",
    "minReadySeconds",
    "progressDeadlineSeconds",
    "periodSeconds",
    "failureThreshold",
    "initialDelaySeconds",
    "timeoutSeconds",
    "os",
    "hostUsers",
    "labels",
    "annotations",
    "ownerReferences",
    "deletionTimestamp",
    "canary",
    "procMount",
    "windowsOptions",
];

static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let numbers = [
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(100),
        json!(i32::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.5),
        json!(-0.0),
        json!(1e300),
        json!(3.0),
    ];
    let texts = [
        "",
        "1",
        "100m",
        "0.5",
        "1e3",
        "1E400",
        "-1Gi",
        "128Mi",
        "1Gi",
        "512M",
        "9223372036854775807",
        "99999999999999999999Ei",
        "1e-30",
        "1n",
        "1u",
        "0x10",
        "1.",
        ".5",
        "+5",
        "1ki",
        "Inf",
        "NaN",
        "50%",
        "0%",
        "100%",
        "200%",
        "-5%",
        "%",
        "1.5%",
        "Always",
        "Never",
        "OnFailure",
        "RollingUpdate",
        "Recreate",
        "OnDelete",
        "RuntimeDefault",
        "Unconfined",
        "Localhost",
        "ALL",
        "NET_BIND_SERVICE",
        "SYS_ADMIN",
        "TCP",
        "UDP",
        "HTTPS",
        "linux",
        "windows",
        "nginx",
        "nginx:latest",
        "nginx:1.27",
        "host:5000/a/b",
        "a@sha256:b",
        "a:@",
        "a//b:",
        ":",
        "/",
        "é😀",
        "\0",
        "\n",
        "a\u{202e}b",
        "~0~1",
        "2026-01-01T00:00:00Z",
        "default",
        "kube-system",
    ];
    let shapes = [
        Value::Null,
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!([{}]),
        json!([null]),
        json!([[]]),
        json!({"a": "b"}),
        json!({"": null}),
        json!([{"name": "x"}]),
        json!([{"name": "x", "image": "x"}, {"name": "x", "image": "y:1"}]),
        json!({"name": "x", "image": "x:1"}),
        json!({"cpu": "1", "memory": "1Gi"}),
        json!({"cpu": "0", "memory": "0"}),
        json!({"limits": {"cpu": 1, "memory": 1}}),
        json!({"httpGet": {"path": "/", "port": 80}}),
        json!({"exec": {"command": ["a", "b"]}}),
        json!({"tcpSocket": {"port": "http"}}),
        json!({"grpc": {"port": 1}}),
        json!({"runAsUser": 0}),
        json!({"runAsNonRoot": true}),
        json!({"type": "Recreate"}),
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%", "maxUnavailable": "100%"}}),
        json!([{"controller": true, "kind": "X", "name": "x", "uid": "u", "apiVersion": "v1"}]),
        json!({"kubernetes.io/config.mirror": "x"}),
    ];
    numbers.into_iter().chain(texts.map(Value::from)).chain(shapes).collect()
});

/// Marks a duplicate key. The mark is removed from the serialised text. Before the name it sorts before the other key,
/// and after the name behind it.
const TWICE: &str = "\u{1}";

pub(super) fn make(script: &mut Script<'_>) -> Request {
    let mut object = script.pick(&OBJECTS).cloned().unwrap_or_default();
    let kind = (object["apiVersion"].clone(), object["kind"].clone());
    let flags = script.byte();
    let operation = ["CREATE", "CREATE", "UPDATE", "UPDATE"][usize::from(flags & 3)];
    let original = object.clone();
    let mut depth = 0;
    let mut changes = 0;
    let mut old = None;
    while !script.is_over() && changes < 16 {
        if script.below(32) == 31 {
            // From here on, only the object changes, and not the old object.
            old = Some(object.clone());
        }
        depth += change(script, &mut object);
        changes += 1;
    }
    let old = if flags & 4 == 0 { old.unwrap_or(original) } else { object.clone() };
    let (api_version, kind) = (kind.0.as_str().unwrap_or_default(), kind.1.as_str().unwrap_or_default());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let says_who_wrote = flags & 8 != 0;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut).filter(|_| says_who_wrote) {
        metadata.insert("managedFields".to_owned(), managed(flags));
    }
    let mut request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": operation, "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": "x"}, "namespace": "n", "name": "a", "dryRun": flags & 16 != 0,
        "userInfo": {"username": "system:serviceaccount:n:a", "groups": ["system:authenticated"]},
        "subResource": if flags & 0xa0 == 0xa0 { "scale" } else { "" },
        "object": object,
    });
    let is_unchanged = operation == "UPDATE" && old == request["object"];
    if operation == "UPDATE" {
        request["oldObject"] = old;
    }
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string();
    let mark = "\\u0001";
    let body = body.replace(&format!("\"{mark}"), "\"").replace(&format!("{mark}\""), "\"");
    let is_beyond = depth > 300 || body.len() > 1 << 20;
    Request { body, is_beyond, is_compared: flags & 0x40 != 0, is_unchanged, says_who_wrote }
}

fn managed(flags: u8) -> Value {
    let operation = if flags & 32 == 0 { "Apply" } else { "Update" };
    json!([{"manager": "m", "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {
        "f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {".": {}, "f:image": {}, "f:resources": {}}}}}}}}])
}

/// Changes the tree once. Returns the maximum number of added levels.
fn change(script: &mut Script<'_>, object: &mut Value) -> usize {
    let kind = script.below(12);
    let at = place(script, object);
    let value = |script: &mut Script<'_>| script.pick(&VALUES).cloned().unwrap_or_default();
    match kind {
        0 | 1 => {
            let value = value(script);
            set(object, &at, value);
        }
        2 => remove(object, &at),
        3 | 4 => {
            let name = script.pick(&NAMES).copied().unwrap_or_default();
            let value = value(script);
            match object.pointer_mut(&at) {
                Some(Value::Object(map)) => drop(map.insert(name.to_owned(), value)),
                Some(Value::Array(items)) => items.push(value),
                _ => {}
            }
        }
        5 => {
            if let Some(found) = object.pointer_mut(&at) {
                *found = converted(found);
            }
        }
        6 => {
            let depth = if script.below(16) == 0 { 600 } else { script.below(90) };
            let nested = (0..depth).fold(value(script), |inner, _| Value::Array(vec![inner]));
            set(object, &at, nested);
            return depth;
        }
        7 => {
            let found = object.pointer(&at).cloned();
            let to = place(script, object);
            set(object, &to, found.unwrap_or_default());
        }
        8 => {
            if let Some(Value::Array(items)) =
                object.pointer_mut(&at).filter(|found| found.as_array().is_some_and(|items| !items.is_empty()))
            {
                let (left, right) = (script.below(items.len()), script.below(items.len()));
                items.swap(left, right);
            }
        }
        9 => {
            if let Some(Value::Array(items)) = object.pointer_mut(&at) {
                let copies = std::iter::repeat_n(items.first().cloned().unwrap_or_default(), 1 + script.below(40));
                items.extend(copies);
            }
        }
        10 => {
            let first = script.below(2) == 0;
            let value = value(script);
            if let Some(map) = object.pointer_mut(&at).and_then(Value::as_object_mut) {
                let names: Vec<String> = map.keys().filter(|name| !name.contains(TWICE)).cloned().collect();
                if let Some(name) = script.pick(&names) {
                    let twice = if first { format!("{TWICE}{name}") } else { format!("{name}{TWICE}") };
                    map.insert(twice, value);
                }
            }
        }
        _ => {
            let text = match script.below(4) {
                0 => "x".repeat(1 + 40 * script.below(120)),
                1 => String::from_utf8_lossy(script.take(12)).replace(TWICE, ""),
                2 => "\u{7}\u{1b}[31m".repeat(1 + script.below(4)),
                _ => "é\u{2028}\u{200f}😀/~".repeat(1 + script.below(8)),
            };
            set(object, &at, text.into());
        }
    }
    0
}

/// A random pointer, seldom near the root.
fn place(script: &mut Script<'_>, object: &Value) -> String {
    let (mut pointer, mut at) = (String::new(), object);
    loop {
        let choice = usize::from(script.byte());
        let length = at.as_object().map_or(0, Map::len) + at.as_array().map_or(0, Vec::len);
        if choice < 24 && !pointer.is_empty() || length == 0 {
            return pointer;
        }
        let next = match at {
            Value::Object(map) => map.iter().nth(choice % length).map(|(name, child)| (escaped(name), child)),
            Value::Array(items) => items.get(choice % length).map(|child| ((choice % length).to_string(), child)),
            _ => None,
        };
        let Some((token, child)) = next else { return pointer };
        pointer = format!("{pointer}/{token}");
        at = child;
    }
}

fn set(object: &mut Value, at: &str, value: Value) {
    // The root always stays an object. Another root would be rejected before any policy runs.
    if let Some(found) = object.pointer_mut(at).filter(|_| !at.is_empty()) {
        *found = value;
    }
}

fn remove(object: &mut Value, at: &str) {
    let Some((parent, last)) = at.rsplit_once('/') else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(&last.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(items)) => {
            if let Some(index) = last.parse().ok().filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// A value of a similar type, with which the value might be confused.
fn converted(value: &Value) -> Value {
    match value {
        Value::String(text) => text.parse::<i64>().map_or_else(|_| json!([text]), Value::from),
        Value::Number(number) => number.to_string().into(),
        Value::Bool(flag) => flag.to_string().into(),
        Value::Null => json!("null"),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item.clone()))
            .collect::<Map<_, _>>()
            .into(),
        Value::Object(map) => map.values().cloned().collect(),
    }
}
