//! The real server over HTTPS: its answers to any request that a client may send.

#![cfg(feature = "serve")]
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "server/client.rs"]
mod client;
#[path = "server/load.rs"]
mod load;
#[path = "server/process.rs"]
mod process;
#[path = "server/reload.rs"]
mod reload;
#[path = "server/serving.rs"]
mod serving;

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use client::{Answer, Running, request, with_header};

/// A CREATE of a Deployment whose container has no readiness probe.
fn review(uid: &str) -> Value {
    let container = json!({"name": "app", "image": "registry.example/app:1.2.3", "ports": [{"containerPort": 8080}]});
    let labels = json!({"app": "app"});
    let spec = json!({
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    });
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": "shop"}, "spec": spec});
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "app",
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": null,
            "dryRun": false,
        },
    })
}

/// The same review with some members of the request replaced.
fn review_with(uid: &str, members: Value) -> Value {
    let mut review = review(uid);
    for (name, value) in members.as_object().unwrap() {
        review["request"][name] = value.clone();
    }
    review
}

#[tokio::test]
async fn denies_and_completes() {
    let server = Running::start().await;
    let response = server.post("/validate?timeout=10s", review("a-1").to_string()).await.response();
    assert_eq!((&response["uid"], &response["allowed"]), (&"a-1".into(), &false.into()));
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message
            .starts_with("Deployment app is refused, for 2 reasons:\n• missing-resource-requests: container \"app\" "),
        "{message}"
    );
    // A denial also carries its warnings.
    let warned =
        |id: &str| response["warnings"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().starts_with(id));
    assert!(warned("missing-readiness-probe: ") && !message.contains("missing-readiness-probe"), "{response}");

    let mut with_user = review("a-2");
    with_user["request"]["object"]["spec"]["template"]["spec"]["containers"][0]["securityContext"] =
        json!({"runAsUser": 1000});
    let response = server.post("/mutate?timeout=5s", with_user.to_string()).await.response();
    assert_eq!((&response["uid"], &response["allowed"]), (&"a-2".into(), &true.into()));
    assert_eq!(response["patchType"], "JSONPatch");

    assert!(server.metric(r#"plimsoll_reviews_total{webhook="validate",outcome="denied"}"#).await >= 1.0);
    assert!(server.metric(r#"plimsoll_reviews_total{webhook="mutate",outcome="patched"}"#).await >= 1.0);
    // The server does not know whether a Service selects the Pods, so this finding only warns. Another one denies.
    assert!(server.metric(r#"plimsoll_findings_total{policy="missing-readiness-probe",action="Warn"}"#).await >= 1.0);
    assert!(server.metric(r#"plimsoll_mutation_additions_total{policy="runs-as-root"}"#).await >= 1.0);
    let text = server.get("/metrics").await.text();
    for part in [
        r#"plimsoll_review_duration_seconds_bucket{le="0.000025",webhook="validate"}"#,
        r#"plimsoll_review_duration_seconds_bucket{le="10.0",webhook="validate"}"#,
        "plimsoll_reviews_in_flight 0",
        "plimsoll_queue_rejections_total 0",
        r#"action="Deny"} "#,
        r#"digest="sha256:"#,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// If a body contains a `uid`, the answer has the same `uid`, whatever else the body contains.
#[tokio::test]
async fn a_uid_is_always_answered() {
    let server = Running::start().await;
    let allowed = [
        ("an unknown kind", json!({"kind": {"group": "example.com", "version": "v7", "kind": "Boat"}})),
        ("DELETE", json!({"operation": "DELETE", "object": null, "oldObject": review("")["request"]["object"]})),
        ("DELETE of nothing", json!({"operation": "DELETE", "object": null, "oldObject": null})),
        (
            "CONNECT",
            json!({
                "operation": "CONNECT",
                "kind": {"group": "", "version": "v1", "kind": "PodExecOptions"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "subResource": "exec",
                "object": {"kind": "PodExecOptions", "apiVersion": "v1", "command": ["sh"]},
            }),
        ),
        (
            "scale",
            json!({
                "operation": "UPDATE",
                "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
                "subResource": "scale",
                "object": {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": 3}},
            }),
        ),
        ("status", json!({"operation": "UPDATE", "subResource": "status"})),
    ];
    for (what, members) in allowed {
        for path in ["/validate", "/mutate"] {
            let response = server.post(path, review_with(what, members.clone()).to_string()).await.response();
            assert_eq!(
                (&response["uid"], &response["allowed"]),
                (&what.into(), &true.into()),
                "{what}, {path}: {response}"
            );
        }
    }
    let refused = [
        ("CREATE without an object", json!({"object": null})),
        ("CREATE of a list", json!({"object": []})),
        ("UPDATE of a string", json!({"operation": "UPDATE", "object": "a"})),
        ("an unknown operation", json!({"operation": "PATCH"})),
        ("an operation that is a number", json!({"operation": 1})),
        ("a kind that is a string", json!({"kind": "Deployment"})),
        ("a kind without a version", json!({"kind": {"group": "apps", "kind": "Deployment"}})),
    ];
    for (what, members) in refused {
        for path in ["/validate", "/mutate"] {
            let response = server.post(path, review_with(what, members.clone()).to_string()).await.response();
            assert_eq!((&response["uid"], &response["allowed"]), (&what.into(), &false.into()), "{what}, {path}");
            assert_eq!(response["status"]["code"], 400, "{what}");
        }
    }
    // Types that an API server would reject.
    let replicas = json!({"metadata": {"name": 7, "labels": []}, "spec": {"replicas": "two", "template": {"spec": {"containers": {"a": 1}}}}});
    let odd = [
        ("strings where numbers belong", json!({"object": replicas})),
        ("a dry run that is a string", json!({"dryRun": "yes"})),
        ("a dry run", json!({"dryRun": true})),
        ("a user without a name", json!({"userInfo": {"username": 3, "groups": "all"}})),
        ("an empty object", json!({"object": {}})),
        ("names that are numbers", json!({"name": 1, "namespace": 2, "subResource": 3, "resource": 4})),
    ];
    for (what, members) in odd {
        for path in ["/validate", "/mutate"] {
            let response = server.post(path, review_with(what, members.clone()).to_string()).await.response();
            assert_eq!(response["uid"], what, "{path}");
        }
    }
}

#[tokio::test]
async fn bodies_without_a_uid_are_told_why() {
    let server = Running::start().await;
    let deep = "[".repeat(100_000);
    let mut no_uid = review("a");
    no_uid["request"].as_object_mut().unwrap().remove("uid");
    let mut number = review("a");
    number["request"]["uid"] = 7.into();
    let mut old = review("a");
    old["apiVersion"] = "admission.k8s.io/v1beta1".into();
    for (body, reason) in [
        (String::new(), "the body is empty"),
        (" \n".to_owned(), "not JSON"),
        ("apiVersion: admission.k8s.io/v1".to_owned(), "not JSON"),
        ("{\"kind\":".to_owned(), "not JSON"),
        (deep, "not JSON"),
        ("null".to_owned(), "not an AdmissionReview"),
        ("[]".to_owned(), "not an AdmissionReview"),
        ("{}".to_owned(), "`kind` is not AdmissionReview"),
        (json!({"kind": "AdmissionReview"}).to_string(), "`apiVersion`"),
        (json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}).to_string(), "`request` is missing"),
        (no_uid.to_string(), "`request.uid`"),
        (number.to_string(), "`request.uid`"),
        (old.to_string(), "`apiVersion`"),
    ] {
        for path in ["/validate", "/mutate"] {
            let answer = server.post(path, body.clone()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{reason}");
            assert!(answer.text().contains(reason), "{reason} is not in {}", answer.text());
            assert!(answer.header("content-type").starts_with("text/plain"));
        }
    }
    let not_utf8 = server.post("/validate", vec![b'"', 0xff, b'"']).await;
    assert_eq!(not_utf8.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = Running::start().await;
    let padded = |length: usize| {
        let mut body = review("big").to_string().into_bytes();
        body.resize(length, b' ');
        body
    };
    let mut connection = server.connect().await;
    let response = connection.send(request(Method::POST, "/validate", padded(20 << 20))).await.response();
    assert_eq!(response["uid"], "big");
    for length in [(20 << 20) + 1, 40 << 20] {
        let answer = connection.send(request(Method::POST, "/validate", padded(length))).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{length}");
        assert!(answer.text().contains("larger than 20 MiB"));
    }
    // The connection can still be used.
    connection.send(request(Method::POST, "/validate", review("after").to_string())).await.response();

    // The body is sent in chunks, without a Content-Length.
    let mut stream = server.tls("http/1.1").await.unwrap();
    stream.write_all(b"POST /validate HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = [b"100000\r\n", vec![b' '; 1 << 20].as_slice(), b"\r\n"].concat();
    for _ in 0..21 {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(status_line(&mut stream).await, "HTTP/1.1 413 Payload Too Large");
}

#[tokio::test]
async fn content_types() {
    let server = Running::start().await;
    for (value, status) in [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;charset=UTF-8;v=1", 200),
        ("Application/JSON", 200),
        ("", 200),
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("application/yaml", 415),
        ("application/vnd.kubernetes.protobuf", 415),
    ] {
        let answer = server
            .send(with_header(request(Method::POST, "/validate", review("a").to_string()), "content-type", value))
            .await;
        assert_eq!(answer.status.as_u16(), status, "{value:?}");
        assert!(status == 200 || answer.text().contains("not application/json"), "{value:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn routes() {
    let server = Running::start().await;
    for (method, path, status, allow) in [
        (Method::GET, "/livez", 200, ""),
        (Method::HEAD, "/livez", 200, ""),
        (Method::GET, "/readyz", 200, ""),
        (Method::GET, "/metrics", 200, ""),
        (Method::GET, "/", 404, ""),
        (Method::POST, "/validate/", 404, ""),
        (Method::POST, "/validate/some-policy", 404, ""),
        (Method::POST, "/Validate", 404, ""),
        (Method::POST, "/metrics", 405, "GET,HEAD"),
        (Method::GET, "/validate", 405, "POST"),
        (Method::PUT, "/mutate", 405, "POST"),
        (Method::DELETE, "/mutate", 405, "POST"),
    ] {
        let answer = server.send(request(method.clone(), path, "")).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, allow), "{method} {path}");
    }
    assert_eq!(server.get("/readyz").await.text(), "ok");
    let verbose = server.get("/readyz?verbose").await.text();
    let year = time::OffsetDateTime::now_utc().year() + 1;
    for line in [
        "[+]bundles ok: 1 compiled, ",
        "[+]configuration ok: generation 1\n",
        &format!("[+]certificate ok: until {year}-"),
        "[+]shutdown ok\n",
        "readyz check passed\n",
    ] {
        assert!(verbose.contains(line), "{verbose}");
    }
    assert_eq!(server.get("/livez?verbose").await.text(), "[+]ping ok\nlivez check passed\n");
}

/// No text of a client creates new time series in the metrics.
#[tokio::test]
async fn metrics_do_not_grow_with_what_clients_send() {
    let server = Running::start().await;
    let series = async || {
        let text = server.get("/metrics").await.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect::<std::collections::BTreeSet<_>>()
    };
    let hostile = async |number: u32| {
        let word = format!("w{number}\"\n\\{{}}");
        let mut named = review_with(
            &word,
            json!({"namespace": word, "name": word, "operation": if number.is_multiple_of(3) { "CREATE" } else { &word },
                "userInfo": {"username": word, "groups": [word]}, "subResource": if number.is_multiple_of(2) { "" } else { &word }}),
        );
        named["request"]["object"]["metadata"]["labels"] = json!({&word: &word});
        named["request"]["object"]["spec"]["template"]["spec"]["containers"][0]["name"] = word.as_str().into();
        let kind = json!({"group": word, "version": word, "kind": word});
        for review in [named, review_with(&word, json!({"kind": kind})), json!({&word: &word})] {
            for path in ["/validate", "/mutate"] {
                server.post(path, review.to_string()).await;
            }
        }
        server.post(&format!("/validate/w{number}?timeout=w{number}"), "{}").await;
        let head = request(Method::POST, "/validate", "{}");
        server.send(with_header(head, "content-type", &format!("application/w{number}"))).await;
    };
    for number in 0..6 {
        hostile(number).await;
    }
    let before = series().await;
    for number in 6..60 {
        hostile(number).await;
    }
    assert_eq!(before, series().await);
}

#[tokio::test]
async fn timeouts_of_the_query() {
    let server = Running::start().await;
    for (query, status) in [
        ("", 200),
        ("?", 200),
        ("?timeout=10s", 200),
        ("?timeout=1m0s", 200),
        ("?timeout=1.5s&other=1", 200),
        ("?dryRun=All", 200),
        ("?timeout=", 400),
        ("?timeout=10", 400),
        ("?timeout=-1s", 400),
        ("?timeout=0s", 400),
        ("?timeout=soon", 400),
    ] {
        let answer = server.post(&format!("/validate{query}"), review("a").to_string()).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        assert!(status == 200 || answer.text().contains("write for instance timeout=10s"), "{}", answer.text());
    }
}

/// Connections without TLS or HTTP do not affect other clients.
#[tokio::test]
async fn broken_connections() {
    let server = Running::start().await;
    let mut plain = tokio::net::TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"POST /validate HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));

    let _silent = tokio::net::TcpStream::connect(server.address).await.unwrap();
    for head in ["nonsense\r\n\r\n", "POST /validate HTTP/1.1\r\nhost: a\r\ncontent-length: many\r\n\r\n"] {
        let mut stream = server.tls("http/1.1").await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(status_line(&mut stream).await, "HTTP/1.1 400 Bad Request");
    }
    let mut cut = server.tls("http/1.1").await.unwrap();
    cut.write_all(b"POST /validate HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    drop(cut);
    let mut slow = server.tls("http/1.1").await.unwrap();
    slow.write_all(b"POST /validate?timeout=200ms HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    assert_eq!(status_line(&mut slow).await, "HTTP/1.1 408 Request Timeout");
    server.post("/validate", review("still there").to_string()).await.response();
    server.until("plimsoll_reviews_in_flight", 0.0).await;
}

#[tokio::test]
async fn a_new_certificate_counts_from_the_next_connection() {
    let mut server = Running::start().await;
    let mut standing = server.connect().await;
    standing.send(request(Method::GET, "/livez", "")).await;
    for _ in 0..3 {
        let next = plimsoll::certs::Authority::new().unwrap();
        server.certificate.replace(client::issue(&next));
        assert!(server.tls("http/1.1").await.is_err(), "the old authority counts no more");
        server.authority = next;
        assert_eq!(server.get("/livez").await.text(), "ok");
        assert_eq!(standing.send(request(Method::GET, "/livez", "")).await.text(), "ok");
    }
}

/// Keep-alive works in both versions of HTTP.
#[tokio::test]
async fn connections_are_reused() {
    let server = Running::start().await;
    let mut connection = server.connect().await;
    for number in 0..50 {
        let uid = format!("h1-{number}");
        let response = connection.send(request(Method::POST, "/validate", review(&uid).to_string())).await.response();
        assert_eq!(response["uid"], uid);
    }
    let http2 = server.connect_http2().await;
    let answers: Vec<_> = (0..50)
        .map(|number| {
            let mut http2 = http2.clone();
            let uid = format!("h2-{number}");
            let request = request(Method::POST, "https://127.0.0.1/validate", review(&uid).to_string());
            tokio::spawn(async move { (uid, Answer::read(http2.send_request(request).await.unwrap()).await) })
        })
        .collect();
    for answer in answers {
        let (uid, answer) = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap();
        assert_eq!(answer.response()["uid"], uid);
    }
}

async fn status_line(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n") && stream.read(&mut byte).await.unwrap() == 1 {
        text.extend_from_slice(&byte);
    }
    String::from_utf8(text).unwrap().trim_end().to_owned()
}
