//! A process that gets requests from its first millisecond on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Load, ask};
use crate::reviews::{CONFIGURATIONS, shapes};
use crate::world::{Files, Replica};

/// Every accepted request is answered by all policies. Before, connections are refused.
#[test]
fn a_cold_start_allows_nothing() {
    let _alone = crate::alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let files = Files::new(CONFIGURATIONS[0]);
    for _ in 0..5 {
        runtime.block_on(cold_start(&files));
    }
}

async fn cold_start(files: &Files) {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let load = Arc::new(Load::new(address, &files.root, shapes()));
    let (refused, answered, stop) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (load, refused, answered, stop) =
                (Arc::clone(&load), Arc::clone(&refused), Arc::clone(&answered), Arc::clone(&stop));
            tokio::spawn(async move {
                // Two policies deny this shape.
                let shape = load.shapes.iter().find(|shape| shape.what == "both").unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let number = load.sent.fetch_add(1, Ordering::SeqCst);
                    let mut sender = match load.connect(address).await {
                        Ok((sender, _)) => sender,
                        Err(error) => {
                            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{error}");
                            refused.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            continue;
                        }
                    };
                    let (status, body) = ask(&mut sender, shape.path, shape.review(number).0).await.unwrap();
                    let answer = shape.normalised(&body, number).unwrap();
                    assert!(status == 200 && shape.fits(&answer, 0), "{status} {answer:#}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let started = Instant::now();
    let replica = Replica::begin(files, &address.to_string(), &[]);
    while answered.load(Ordering::SeqCst) < 200 {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", replica.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    assert!(refused.load(Ordering::SeqCst) > 0, "no request came before the server was ready");
}
