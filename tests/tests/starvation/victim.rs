//! A user who keeps working during an attack.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use plimsoll_tests::Manifest;
use serde_json::json;

use crate::client::Client;
use crate::worst::review;

/// Sends good Deployments, one after the other, over one connection: to the API server as a dry run, or to the webhook
/// as the API server does.
pub(crate) struct Victim {
    client: Client,
    path: String,
    namespace: String,
    sends: Sends,
}

#[derive(Clone, Copy)]
enum Sends {
    Deployments,
    Reviews,
    ConfigMaps,
}

impl Victim {
    pub(crate) fn of_api_server(client: Client, namespace: &str) -> Self {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All");
        Self { client, path, namespace: namespace.to_owned(), sends: Sends::Deployments }
    }

    pub(crate) fn of_webhook(client: Client, namespace: &str) -> Self {
        Self {
            client,
            path: "/validate?timeout=10s".to_owned(),
            namespace: namespace.to_owned(),
            sends: Sends::Reviews,
        }
    }

    /// A user whose objects no webhook reviews: the cost of the API server alone.
    pub(crate) fn of_api_server_alone(client: Client, namespace: &str) -> Self {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All");
        Self { client, path, namespace: namespace.to_owned(), sends: Sends::ConfigMaps }
    }

    pub(crate) async fn run(&self, requests: usize, pause: Duration) -> Figures {
        let mut sender = self.client.connect(Ipv4Addr::LOCALHOST).await.unwrap();
        let mut figures = Figures::default();
        for number in 0..requests {
            let name = format!("good-{number}");
            let object = Manifest::good("Deployment", &name);
            let (expected, body) = match self.sends {
                Sends::Deployments => (201, object.object().clone()),
                Sends::Reviews => (200, review(object.object(), &self.namespace, false)),
                Sends::ConfigMaps => {
                    (201, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}))
                }
            };
            let started = Instant::now();
            match self.client.post(&mut sender, &self.path, Bytes::from(body.to_string())).await {
                Ok((status, _)) if status == expected => {}
                Ok((status, body)) => {
                    figures.refused += 1;
                    figures.why = format!("{status} {}", String::from_utf8_lossy(&body));
                }
                Err(error) => panic!("the other side is gone: {error:#}"),
            }
            let took = started.elapsed();
            figures.took.push(took);
            figures.slowest = figures.slowest.max(took);
            tokio::time::sleep(pause).await;
        }
        figures.took.sort();
        figures
    }
}

/// The measurements of the victim.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    took: Vec<Duration>,
    pub(crate) slowest: Duration,
    pub(crate) refused: usize,
    why: String,
}

impl Figures {
    pub(crate) fn percentile(&self, of: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get((self.took.len() * of / 100).min(last)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |of| self.percentile(of).as_secs_f64() * 1e3;
        write!(formatter, "p50 {:.1} ms, p99 {:.1} ms, {} refused", millis(50), millis(99), self.refused)?;
        if self.refused > 0 { write!(formatter, " ({:.600})", self.why) } else { Ok(()) }
    }
}
