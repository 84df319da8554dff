//! `plimsoll scan` against an API server that means harm: lists and bodies that never end. The real binary, over HTTP.

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
    requests: usize,
    took: Duration,
}

fn scan(answers: Answers) -> Run {
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
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let Some(value) = answers(path, number) else {
            let _ = writer
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            while writer.write_all(chunk.as_bytes()).is_ok() {}
            return;
        };
        let body = value.to_string();
        let length = body.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// An API server that serves Services, and nothing else that policies ask for.
fn discovery(path: &str) -> Value {
    match path {
        "/version" => {
            json!({"major": "1", "minor": "36", "gitVersion": "", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
        }
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
        "/api/v1" => json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [
            {"name": "services", "singularName": "", "namespaced": true, "kind": "Service", "verbs": ["list", "watch"]},
        ]}),
        path => panic!("{path} is not asked for"),
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
    assert!(run.said.contains("there are more than 200000 objects of it"), "{}", run.said);
    assert!(run.requests < 100, "{}", run.requests);
}

#[test]
fn pages_without_end_are_too_many() {
    let run =
        scan(|path, number| Some(if is_list(path) { page(number, 0, &format!("t{number}")) } else { discovery(path) }));
    assert!(run.said.contains("a list of more than 4000 pages"), "{}", run.said);
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
        assert!(run.status == 2 && run.said.contains("larger than 64 MiB"), "{}: {}", run.status, run.said);
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
