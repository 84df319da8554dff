//! `plimsoll scan` against an API server that means harm, or is none: lists and bodies that never end, nothing that is
//! served. The real binary, over HTTP.

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

/// What is answered to `GET` of this path with its query. None goes on for ever.
type Answers = fn(&str, usize) -> Option<Value>;

struct Run {
    status: i32,
    said: String,
    /// Lists of Services that were asked for.
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

/// One request after the other of a connection.
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

/// Kinds that every API server serves, of those that policies look at or ask for.
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

/// An API server of Kubernetes with nothing in it.
fn discovery(path: &str) -> Value {
    serving(path, |_| true)
}

/// One that serves some of these kinds.
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

/// A proxy, a web server, an aggregated API server: nothing is denied there, because nothing is judged.
#[test]
fn a_server_that_serves_nothing_is_an_error() {
    let run = scan(|path, _| Some(serving(path, |_| false)));
    assert_eq!(run.status, 4, "{}", run.said);
    assert!(run.said.contains("nothing can be judged") && !run.said.contains("deny nothing"), "{}", run.said);
    assert!(run.said.contains("apps/Deployment") && run.said.contains("Pod,"), "{}", run.said);
}

/// 404 for all but its version, and for all but its groups.
#[test]
fn a_server_that_knows_no_path_is_an_error() {
    fn not_found() -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "404 page not found", "code": 404})
    }
    let run = scan(|path, _| Some(if path == "/version" { discovery(path) } else { not_found() }));
    assert!(run.status == 2 && run.said.contains("does not say what it serves: 404"), "{}: {}", run.status, run.said);
    let run = scan(|path, _| Some(if ["/apis", "/version"].contains(&path) { discovery(path) } else { not_found() }));
    assert!(run.status == 4 && run.said.contains("nothing can be judged"), "{}: {}", run.status, run.said);
    // A list that is not there, although it was said to be.
    let run = scan(|path, _| Some(if is_list(path) { not_found() } else { discovery(path) }));
    assert!(run.status == 4 && run.said.contains("it does not know Service\n"), "{}: {}", run.status, run.said);
    assert!(run.said.contains("not read: Service: 404 page not found"), "{}", run.said);
}

#[test]
fn a_kind_that_is_not_served_is_said() {
    let run = scan(|path, _| Some(serving(path, |kind| kind != "Deployment")));
    assert!(run.status == 4 && run.said.contains("it does not know apps/Deployment\n"), "{}: {}", run.status, run.said);
    // A cluster without these custom resources is whole.
    let run = scan(|path, _| Some(discovery(path)));
    let said = "not served by the API server: PersistentVolume, argoproj.io/Rollout, ";
    assert!(run.status == 0 && run.said.contains(said), "{}: {}", run.status, run.said);
}

#[test]
fn a_repeated_continue_is_an_error() {
    let run = scan(|path, number| Some(if is_list(path) { page(number, 1, "again") } else { discovery(path) }));
    assert!(run.said.contains("the API server sends the same `continue` token twice"), "{}", run.said);
    assert!(run.requests < 10, "{}", run.requests);
    // In turns it is no better.
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

/// Each page is answered in time, with another token, so that no limit of a page or a list is ever reached.
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
    // What comes after it in the order of kinds was not even begun.
    assert!(run.said.contains(&format!("not read: apps/Deployment: {over}\n")), "{}", run.said);
    assert!(run.said.contains("the report is incomplete: it does not know Service, apps/"), "{}", run.said);
    assert!(run.said.contains("give a longer --timeout"), "{}", run.said);
    // What was read before it is judged.
    assert!(run.said.contains("read Pod: 0\n"), "{}", run.said);
}

/// The same for what the API server says of itself, before any list.
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

/// One version lists a kind very often, and kinds that no policy names.
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
        // A function pointer holds no state, so that each of them has its own.
        let answers: Answers = match ["/api/v1/services", "/apis", "/api/v1"].iter().position(|path| endless(path)) {
            Some(0) => |path, _| (!is_list(path)).then(|| discovery(path)),
            Some(1) => |path, _| (path != "/apis").then(|| discovery(path)),
            Some(2) => |path, _| (path != "/api/v1").then(|| discovery(path)),
            _ => |path, _| (path != "/version").then(|| discovery(path)),
        };
        let run = scan(answers);
        // Without its groups or its version nothing is known; otherwise the other kinds are.
        let status = if endless("/apis") || endless("/version") { 2 } else { 4 };
        assert!(run.status == status && run.said.contains("larger than 64 MiB"), "{}: {}", run.status, run.said);
        assert!(run.took < Duration::from_secs(60), "{:?}", run.took);
    }
}

/// What an API server says of itself is printed, too.
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
