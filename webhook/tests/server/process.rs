//! The real binary: errors of its arguments, log lines and signals.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::request;
use super::reload::serve_with;
use super::serving::Serving;
use super::{review, review_with};

fn serve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("serve").env_remove("PLIMSOLL_LOG").env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    command
}

#[test]
fn every_problem_of_the_configuration_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.yaml"), folder.path().join("second.yaml"));
    let head = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\n";
    fs::write(&first, format!("{head}metadata: {{name: a}}\nspec:\n  mode: shout\n  polices: []\n")).unwrap();
    fs::write(&second, format!("{head}metadata: {{name: b}}\nspec:\n  policies: [{{id: missing-radiness-probe}}]\n"))
        .unwrap();
    let output = serve().arg("--config").arg(&first).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for place in ["5:9: ", "6:3: "] {
        assert!(stderr.contains(&format!("error: {}:{place}", first.display())), "{stderr}");
    }
    let checked =
        Command::new(env!("CARGO_BIN_EXE_plimsoll")).args(["check", "--config"]).arg(&first).output().unwrap();
    let checked = String::from_utf8(checked.stderr).unwrap();
    assert!(!checked.is_empty() && stderr.ends_with(&checked), "{stderr}\n`check` says of it:\n{checked}");
    let output = serve().arg("--config").arg(&second).arg("--config").arg(folder.path().join("none")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("none: cannot be read: "), "{stderr}");
    let output = serve().arg("--config").arg(&second).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("second.yaml:5:") && stderr.contains("missing-readiness-probe"), "{stderr}");
}

#[test]
fn arguments_that_do_not_fit() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let empty = empty.path().to_str().unwrap();
    for (arguments, message) in [
        (&["--register"][..], "--url"),
        (&["--kubeconfig", "a"], "--register"),
        (&["--tls-cert-file", "a"], "--tls-private-key-file"),
        (&["--tls-cert-file", "/none", "--tls-private-key-file", "/none"], "cannot read /none"),
        (&["--register", "--url", "http://a"], "write https://HOST:PORT"),
        (&["--profile", "defaults"], "this profile was renamed, write `mutate`"),
        (&["--mode", "enforce", "--config", empty], "--config"),
        (&["--mode", "off"], "enforce, observe"),
        (&["--profile", "cost"], "none, default, mutate, production, strict"),
        (&["--threads", "0"], "1..=1024"),
        (&["--drain-delay", "soon"], "such as 5s"),
        (&["--reload-interval", "often"], "such as 5s"),
        (&["--client-allowed-name", "a"], "--client-ca-file"),
        (&["--client-ca-file", "/none"], "cannot read /none"),
        (&["--config", "/dev/null"], "it is a device; only regular files are read"),
        (&["--config", empty], "there is no ClusterPolicySet in it"),
    ] {
        let output = serve().args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

/// The server logs one line at start, one when it is ready, and one at the end.
#[test]
fn a_signal_ends_it_with_success() {
    for signal in ["-TERM", "-INT"] {
        let mut child =
            serve().args(["--listen", "127.0.0.1:0", "--log-format", "json"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let message = |line: String| {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            line["message"].as_str().unwrap().to_owned()
        };
        assert_eq!(lines.next().map(message).as_deref(), Some("starting"));
        assert_eq!(lines.next().map(message).as_deref(), Some("ready"));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let rest: Vec<_> = lines.map(message).collect();
        assert_eq!(rest, ["stopping: finishing what is under way; a second signal aborts", "stopped"]);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

/// The first signal drains, and the second signal aborts.
#[test]
fn a_second_signal_aborts() {
    let server = Serving::start(&["--drain-delay", "60s"]);
    server.signal("TERM");
    server.logged("stopping: finishing what is under way; a second signal aborts");
    let started = Instant::now();
    server.signal("TERM");
    server.logged("aborted");
    assert_eq!(server.ended(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// The server enforces only with `--mode enforce`.
#[tokio::test]
async fn nothing_is_refused_until_somebody_says_so() {
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "app", "namespace": "shop"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "app"}}},
    });
    let blocks = review_with(
        "uid",
        json!({
            "kind": {"group": "policy", "version": "v1", "kind": "PodDisruptionBudget"},
            "resource": {"group": "policy", "version": "v1", "resource": "poddisruptionbudgets"},
            "object": budget,
        }),
    );
    for (arguments, allowed) in [
        (&[][..], true),
        (&["--mode", "observe"], true),
        (&["--mode", "enforce"], false),
        (&["--profile", "production"], true),
    ] {
        let (_server, connector) = serve_with(arguments, &[]);
        let answer = connector.send(request(Method::POST, "/validate", blocks.to_string())).await.response();
        assert_eq!(answer["allowed"], allowed, "{arguments:?}: {answer}");
        // The findings are sent as warnings.
        let warnings = answer["warnings"].to_string();
        assert!(!allowed || warnings.contains("drain-deadlock"), "{arguments:?}: {answer}");
    }
}

/// With debug logs, each line of a review has its uid. By default, single reviews are not logged.
#[tokio::test]
async fn lines_about_a_review_have_its_uid() {
    for (level, lines) in [("plimsoll=info", 0), ("plimsoll=debug", 1)] {
        let (server, connector) = serve_with(&[], &[("PLIMSOLL_LOG", level)]);
        for path in ["/validate", "/mutate"] {
            let answer = connector.send(request(Method::POST, path, review("a-uid").to_string())).await;
            assert_eq!(answer.response()["uid"], "a-uid");
        }
        if lines > 0 {
            server.logged("answered");
        }
        let about: Vec<_> = server.lines().into_iter().filter(|line| line["message"] == "answered").collect();
        assert!(about.len() >= lines && about.iter().all(|line| line["uid"] == "a-uid"), "{about:#?}");
        assert!(lines > 0 || !server.lines().iter().any(|line| line.to_string().contains("a-uid")));
    }
}

/// A client can't fill the log with invalid frames, or with connections without TLS.
#[tokio::test]
async fn strangers_fill_no_log() {
    let (server, connector) = serve_with(&[], &[]);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    // An answer to a ping that was never sent.
    let pong = b"\0\0\x08\x06\x01\0\0\0\0surprise";
    for protocol in ["h2", "http/1.1"] {
        let mut stream = connector.tls(protocol).await.unwrap();
        stream.write_all(preface).await.unwrap();
        for _ in 0..200 {
            let _ = stream.write_all(pong).await;
        }
        let _ = stream.flush().await;
        // A ping. Its answer shows that the server has read everything before it.
        let _ = stream.write_all(b"\0\0\x08\x06\0\0\0\0\0question").await;
        let mut answer = vec![0; 4096];
        while let Ok(1..) = stream.read(&mut answer).await
            && !answer.windows(8).any(|part| part == b"question")
        {}
    }
    let lines = server.lines();
    assert!(lines.len() <= 2, "{lines:#?}");
}
