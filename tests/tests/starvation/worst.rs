//! The most expensive reviews that a user of one namespace can cause.

use std::net::Ipv4Addr;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::attacks::{Attack, Target};
use crate::client::Client;

/// Services of the attacker's namespace. Each has the maximum useful number of ports.
const SERVICES: usize = 1000;
const PORTS: usize = 60;

/// Containers of the attacker's Deployment.
const CONTAINERS: usize = 120;

/// Creates the Services. Headless ones need no address.
pub(crate) fn fill(runtime: &Runtime, client: &Client, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/services");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for worker in 0..8 {
            let (client, path) = (client.clone(), path.clone());
            tasks.spawn(async move {
                let mut sender = client.connect(Ipv4Addr::LOCALHOST).await.unwrap();
                for number in (worker..SERVICES).step_by(8) {
                    let body = Bytes::from(service(number).to_string());
                    let (status, body) = client.post(&mut sender, &path, body).await.unwrap();
                    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        // Waits until the watch has reported the Services.
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
}

fn service(number: usize) -> Value {
    let port = |port: usize| json!({"name": format!("p{port}"), "port": 1000 + port, "targetPort": format!("p{port}")});
    let ports: Vec<Value> = (0..PORTS).map(port).collect();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{number}")},
        "spec": {"clusterIP": "None", "selector": {"app": "worst"}, "ports": ports},
    })
}

/// Starts this many clients. Each has a Deployment reviewed repeatedly, through the API server.
pub(crate) fn clients(client: Client, namespace: &str, count: usize, object: fn(usize) -> Value) -> Attack {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All");
    // Without a pause, the clients and the API server would use both cores by themselves.
    again_and_again(Some(client), count, path, Duration::from_millis(500), move |number| object(number).to_string())
}

/// The same at the webhook itself, as the API server calls it: without the API server's cost, and without a pause.
pub(crate) fn reviews(namespace: &str, count: usize, object: fn(usize) -> Value) -> Attack {
    let namespace = namespace.to_owned();
    let body = move |number| review(&object(number), &namespace, number.is_multiple_of(2)).to_string();
    again_and_again(None, count, "/validate?timeout=10s".to_owned(), Duration::ZERO, body)
}

fn again_and_again(
    client: Option<Client>,
    count: usize,
    path: String,
    pause: Duration,
    body: impl Fn(usize) -> String + Send + 'static,
) -> Attack {
    Attack::times(count, move |number, target, control| {
        let (client, path) = (client.clone().unwrap_or(target.0), path.clone());
        let body = Bytes::from(body(number));
        async move {
            let mut sender = None;
            while control.goes_on() {
                let connected = match sender.take() {
                    Some(sender) => Ok(sender),
                    None => client.connect(Ipv4Addr::LOCALHOST).await,
                };
                if let Ok(mut connected) = connected
                    && let Ok((status, _)) = client.post(&mut connected, &path, body.clone()).await
                {
                    control.count(matches!(status, 200 | 201));
                    sender = Some(connected);
                } else {
                    control.count(false);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                tokio::time::sleep(pause).await;
            }
        }
    })
}

/// A Deployment with the same number of bytes as [`expensive`]. No Service selects it.
pub(crate) fn harmless(number: usize) -> Value {
    deployment(number, json!({"app": "harmless"}))
}

/// A Deployment that every Service selects.
pub(crate) fn expensive(number: usize) -> Value {
    deployment(number, json!({"app": "worst"}))
}

/// A Deployment with findings in every container.
pub(crate) fn without_anything(number: usize) -> Value {
    let mut deployment = harmless(number);
    for container in deployment["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap() {
        container["image"] = json!("app");
    }
    deployment
}

/// Starts this many clients. They have large objects reviewed concurrently, by both webhooks, as CREATE and as UPDATE.
/// Returns the number of answered reviews.
pub(crate) async fn at_once(target: &Target, count: usize) -> usize {
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let client = target.0.clone();
        let update = number % 4 < 2;
        let path = if number.is_multiple_of(2) { "/mutate?timeout=30s" } else { "/validate?timeout=30s" };
        tasks.spawn(async move {
            let mut answered = 0;
            let body = Bytes::from(review(&large(number), "large", update).to_string());
            for _ in 0..4 {
                // A client that was told to retry may find its connection closed.
                let Ok(mut sender) = client.connect(Ipv4Addr::LOCALHOST).await else { continue };
                let answer = client.post(&mut sender, path, body.clone()).await;
                answered += usize::from(answer.is_ok_and(|(status, _)| status == 200));
            }
            answered
        });
    }
    tasks.join_all().await.into_iter().sum()
}

/// 1.1 MB with 550,000 values.
fn large(number: usize) -> Value {
    let mut deployment = deployment(number, json!({"app": "harmless"}));
    deployment["spec"]["template"]["spec"]["securityContext"] = json!({"supplementalGroups": vec![1; 550_000]});
    deployment
}

/// In the format of the API server.
pub(crate) fn review(object: &Value, namespace: &str, update: bool) -> Value {
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "large", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": object["metadata"]["name"], "namespace": namespace,
            "operation": if update { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": namespace, "groups": []},
            "object": object, "oldObject": if update { object.clone() } else { Value::Null },
        },
    })
}

fn deployment(number: usize, labels: Value) -> Value {
    let containers: Vec<Value> = (0..CONTAINERS)
        .map(|container| {
            json!({
                "name": format!("c{container}"), "image": "registry.example.com/app:1.2.3",
                "ports": [{"containerPort": 2000 + container, "name": format!("p{container}")}],
            })
        })
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": format!("w{number}")},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    })
}
