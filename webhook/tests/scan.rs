//! `plimsoll scan`, as the real binary over HTTP, against servers that are hostile or no API servers. Their lists and
//! bodies never end, or they serve nothing.

#![cfg(all(feature = "serve", feature = "check"))]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The answer to `GET` of a path with its query. None is an answer that never ends.
type Answers = fn(&str, usize) -> Option<Value>;

struct Run {
    status: i32,
    said: String,
    /// Number of requests for lists of Services.
    requests: usize,
    took: Duration,
}

fn scan(answers: Answers) -> Run {
    scan_with(&[], answers)
}

fn scan_with(arguments: &[&str], answers: Answers) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counted = Arc::clone(&counted);
            thread::spawn(move || serve(stream, answers, &counted));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "users": [{"name": "x", "user": {"token": "x"}}],
    });
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string()).unwrap();
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["scan", "--kubeconfig", "kubeconfig"])
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let status = output.status.code().unwrap_or(-1);
    Run { status, said, requests: requests.load(Ordering::SeqCst), took: began.elapsed() }
}

/// Answers the requests of a connection one after another.
fn serve(stream: TcpStream, answers: Answers, counted: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|read| read > 0) && !head.ends_with("\r\n\r\n") {}
        let Some(path) = head.split(' ').nth(1) else { return };
        let number = counted.fetch_add(usize::from(is_list(path)), Ordering::SeqCst);
        let Some(value) = answers(path, number) else {
            let _ = writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            while writer.write_all(chunk.as_bytes()).is_ok() {}
            return;
        };
        let body = value.to_string();
        let length = body.len();
        let status = if value["code"] == 404 { "404 Not Found" } else { "200 OK" };
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The kinds that policies use and that every API server serves.
const KINDS: [(&str, &[&str]); 5] = [
    (
        "v1",
        &[
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Service",
        ],
    ),
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("batch/v1", &["CronJob", "Job"]),
    ("policy/v1", &["PodDisruptionBudget"]),
];

/// An API server of an empty cluster.
fn discovery(path: &str) -> Value {
    serving(path, |_| true)
}

/// An API server that serves only some of these kinds.
fn serving(path: &str, serves: impl Fn(&str) -> bool) -> Value {
    let resource = |kind: &str| {
        let name = format!("{}s", kind.to_lowercase());
        json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list", "watch"]})
    };
    let group = |(version, kinds): &(&str, &[&str])| {
        let (group, short) = version.split_once('/').filter(|_| kinds.iter().any(|kind| serves(kind)))?;
        let version = json!({"groupVersion": version, "version": short});
        Some(json!({"name": group, "versions": [version], "preferredVersion": version}))
    };
    let resources = |(version, kinds): &(&str, &[&str])| {
        let root = if version.contains('/') { "apis" } else { "api" };
        (path == format!("/{root}/{version}")).then(|| {
            let resources: Vec<Value> = kinds.iter().filter(|kind| serves(kind)).map(|kind| resource(kind)).collect();
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
        })
    };
    match path {
        "/version" => {
            json!({"major": "1", "minor": "36", "gitVersion": "", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
        }
        "/apis" => {
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": KINDS.iter().filter_map(group).collect::<Vec<_>>()})
        }
        _ => KINDS
            .iter()
            .find_map(resources)
            .unwrap_or_else(|| json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})),
    }
}

fn page(number: usize, count: usize, next: &str) -> Value {
    let item =
        |item: usize| json!({"metadata": {"name": format!("s{number}-{item}"), "namespace": "shop"}, "spec": {}});
    let items: Vec<Value> = (0..count).map(item).collect();
    json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "1", "continue": next}, "items": items})
}

fn is_list(path: &str) -> bool {
    path.starts_with("/api/v1/services")
}

#[test]
fn a_list_that_ends_is_read() {
    let run = scan(|path, number| {
        Some(match is_list(path) {
            true if path.contains("continue=") => page(number, 2, ""),
            true => page(number, 3, "more"),
            false => discovery(path),
        })
    });
    assert!(run.status == 0 && run.said.contains("5 objects in 1 namespace"), "{}", run.said);
}

/// A proxy, a web server or an aggregated API server serves none of the kinds, so nothing is judged.
#[test]
fn a_server_that_serves_nothing_is_an_error() {
    let run = scan(|path, _| Some(serving(path, |_| false)));
    assert_eq!(run.status, 4, "{}", run.said);
    assert!(run.said.contains("nothing can be judged") && !run.said.contains("deny nothing"), "{}", run.said);
    assert!(run.said.contains("apps/Deployment") && run.said.contains("Pod,"), "{}", run.said);
}

/// The server answers 404 to everything except its version, or except its groups.
#[test]
fn a_server_that_knows_no_path_is_an_error() {
    fn not_found() -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "404 page not found", "code": 404})
    }
    let run = scan(|path, _| Some(if path == "/version" { discovery(path) } else { not_found() }));
    assert!(run.status == 2 && run.said.contains("does not say what it serves: 404"), "{}: {}", run.status, run.said);
    let run = scan(|path, _| Some(if ["/apis", "/version"].contains(&path) { discovery(path) } else { not_found() }));
    assert!(run.status == 4 && run.said.contains("nothing can be judged"), "{}: {}", run.status, run.said);
    // The list of a kind does not exist, although the server announced the kind.
    let run = scan(|path, _| Some(if is_list(path) { not_found() } else { discovery(path) }));
    assert!(run.status == 4 && run.said.contains("it does not know Service\n"), "{}: {}", run.status, run.said);
    assert!(run.said.contains("not read: Service: 404 page not found"), "{}", run.said);
}

#[test]
fn a_kind_that_is_not_served_is_said() {
    let run = scan(|path, _| Some(serving(path, |kind| kind != "Deployment")));
    assert!(run.status == 4 && run.said.contains("it does not know apps/Deployment\n"), "{}: {}", run.status, run.said);
    // A cluster without these custom resources is complete.
    let run = scan(|path, _| Some(discovery(path)));
    let said = "not served by the API server: PersistentVolume, argoproj.io/Rollout, ";
    assert!(run.status == 0 && run.said.contains(said), "{}: {}", run.status, run.said);
}

#[test]
fn a_repeated_continue_is_an_error() {
    let run = scan(|path, number| Some(if is_list(path) { page(number, 1, "again") } else { discovery(path) }));
    assert!(run.said.contains("the API server sends the same `continue` token twice"), "{}", run.said);
    assert!(run.requests < 10, "{}", run.requests);
    // Two tokens in turn are detected too.
    let run = scan(|path, number| {
        let token = ["a", "b", "c"].get(number % 3).copied().unwrap_or_default();
        Some(if is_list(path) { page(number, 0, token) } else { discovery(path) })
    });
    assert!(run.said.contains("the same `continue` token twice") && run.requests < 20, "{}", run.said);
}

#[test]
fn a_million_objects_are_too_many() {
    let run = scan(|path, number| {
        Some(if is_list(path) { page(number, 5_000, &format!("t{number}")) } else { discovery(path) })
    });
    assert!(run.said.contains("there are more than 200000 objects of this kind"), "{}", run.said);
    assert!(run.requests < 100, "{}", run.requests);
}

#[test]
fn pages_without_end_are_too_many() {
    let run =
        scan(|path, number| Some(if is_list(path) { page(number, 0, &format!("t{number}")) } else { discovery(path) }));
    assert!(run.said.contains("a list of more than 4000 pages"), "{}", run.said);
}

/// Each page arrives in time with a new token, so only the total timeout ends the scan.
#[test]
fn slow_pages_without_end_are_cut() {
    let slow = |path: &str, number: usize| {
        thread::sleep(Duration::from_millis(200));
        Some(if is_list(path) { page(number, 1, &format!("t{number}")) } else { discovery(path) })
    };
    let run = scan_with(&["--timeout", "8s"], slow);
    assert!(run.status == 4 && run.took < Duration::from_secs(20), "{} in {:?}: {}", run.status, run.took, run.said);
    let over = "the timeout for reading the whole cluster was reached (`--timeout`)";
    assert!(run.said.contains(&format!("not read: Service: {over}\n")), "{}", run.said);
    // Later kinds were not started.
    assert!(run.said.contains(&format!("not read: apps/Deployment: {over}\n")), "{}", run.said);
    assert!(run.said.contains("the report is incomplete: it does not know Service, apps/"), "{}", run.said);
    assert!(run.said.contains("give a longer --timeout"), "{}", run.said);
    // Earlier kinds are judged.
    assert!(run.said.contains("read Pod: 0\n"), "{}", run.said);
}

/// The timeout also applies to the requests for versions and kinds, before any list.
#[test]
fn slow_discovery_is_cut() {
    let slow = |path: &str, _: usize| {
        if path == "/apis/apps/v1" {
            thread::sleep(Duration::from_secs(30));
        }
        Some(discovery(path))
    };
    let run = scan_with(&["--timeout", "3s"], slow);
    assert!(run.status == 4 && run.took < Duration::from_secs(20), "{} in {:?}: {}", run.status, run.took, run.said);
    assert!(run.said.contains("nothing could be read: the timeout for reading"), "{}", run.said);
}

#[test]
fn a_timeout_is_a_time() {
    for text in ["0s", "-1s", "5", "25h", "1e9h", ""] {
        let run = scan_with(&[&format!("--timeout={text}")], |path, _| Some(discovery(path)));
        assert!(run.status == 2 && run.said.contains("write "), "{text}: {}", run.said);
    }
}

/// One API version lists a kind many times, and kinds that no policy uses.
#[test]
fn a_long_discovery_is_read() {
    let run = scan(|path, _| {
        let mut answer = discovery(path);
        if let Some(resources) = answer["resources"].as_array_mut() {
            let more: Vec<Value> = (0..50_000)
                .map(|number| json!({"name": format!("x{number}"), "singularName": "", "namespaced": true, "kind": "Pod", "verbs": ["list", "watch"]}))
                .collect();
            resources.extend(more);
        }
        Some(answer)
    });
    assert!(run.status == 0, "{}: {}", run.status, run.said);
}

#[test]
fn a_body_without_end_is_cut() {
    for endless in
        [is_list as fn(&str) -> bool, |path| path == "/apis", |path| path == "/api/v1", |path| path == "/version"]
    {
        // A function pointer has no state, so each path needs its own function.
        let answers: Answers = match ["/api/v1/services", "/apis", "/api/v1"].iter().position(|path| endless(path)) {
            Some(0) => |path, _| (!is_list(path)).then(|| discovery(path)),
            Some(1) => |path, _| (path != "/apis").then(|| discovery(path)),
            Some(2) => |path, _| (path != "/api/v1").then(|| discovery(path)),
            _ => |path, _| (path != "/version").then(|| discovery(path)),
        };
        let run = scan(answers);
        // Without groups or version nothing can be read. Otherwise the other kinds are read.
        let status = if endless("/apis") || endless("/version") { 2 } else { 4 };
        assert!(run.status == status && run.said.contains("larger than 64 MiB"), "{}: {}", run.status, run.said);
        assert!(run.took < Duration::from_secs(60), "{:?}", run.took);
    }
}

/// Texts of the API server are escaped when they are printed.
#[test]
fn its_words_do_nothing_to_a_terminal() {
    let run = scan(|path, _| {
        Some(match is_list(path) {
            true => json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": {}, "items": [
                {"metadata": {"name": "a\u{1b}[2J\n::error::x", "namespace": "b\u{9b}\n::error::y"},
                 "spec": {"externalIPs": ["1.1.1.1"], "ports": [{"port": 80}], "selector": {"a": "b"}}}]}),
            false => discovery(path),
        })
    });
    assert!(!run.said.contains(['\u{1b}', '\u{9b}']) && !run.said.contains("\n::error"), "{:?}", run.said);
}
