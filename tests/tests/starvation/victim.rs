//! A user who goes on working.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use plimsoll_tests::Manifest;

use crate::client::Client;

/// Applies one good Deployment after the other, as a dry run, over one connection.
pub(crate) struct Victim {
    client: Client,
    path: String,
}

impl Victim {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments?dryRun=All");
        Self { client, path }
    }

    pub(crate) async fn run(&self, requests: usize, pause: Duration) -> Figures {
        let mut sender = self.client.connect(Ipv4Addr::LOCALHOST).await.unwrap();
        let mut figures = Figures::default();
        for number in 0..requests {
            let object = Manifest::good("Deployment", &format!("good-{number}"));
            let body = Bytes::from(object.object().to_string());
            let started = Instant::now();
            match self.client.post(&mut sender, &self.path, body).await {
                Ok((201, _)) => {}
                Ok((status, body)) => {
                    figures.refused += 1;
                    figures.why = format!("{status} {}", String::from_utf8_lossy(&body));
                }
                Err(error) => panic!("the API server is gone: {error:#}"),
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

/// What the victim saw.
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
        if self.refused > 0 { write!(formatter, " ({:.200})", self.why) } else { Ok(()) }
    }
}
