//! A constant load while everything changes: no review is lost, none is wrong, and nothing is allowed before all
//! policies are ready.
//!
//! The long run: `PLIMSOLL_LOAD_REVIEWS=1000000 cargo test --release --package plimsoll-tests --test load a_million --
//! --ignored --nocapture`. `docs/server.md` has its figures.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::print_stdout, reason = "the test prints the figures of a run")]

mod api_server;
mod balancer;
mod client;
mod cold;
mod reviews;
mod world;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use balancer::Balancer;
use client::{Load, ask};
use reviews::{CONFIGURATIONS, shapes};
use world::{Files, Replica};

const CLIENTS: usize = 8;

/// One load test at a time, so that the figures mean something.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn nothing_is_lost_or_wrong_while_everything_changes() {
    run(0, Duration::from_secs(20));
}

#[test]
#[ignore = "ten minutes; PLIMSOLL_LOAD_REVIEWS says how many"]
fn a_million_reviews() {
    let wanted = std::env::var("PLIMSOLL_LOAD_REVIEWS").ok().and_then(|text| text.parse().ok());
    run(wanted.unwrap_or(1_000_000), Duration::ZERO);
}

/// Runs until this many reviews and this much time are reached.
fn run(reviews: u64, time: Duration) {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut files = Files::new(CONFIGURATIONS[0]);
        let balancer = Balancer::start().await;
        let lasting = Replica::start(&files, &[]);
        let mut other = Replica::start(&files, &[]);
        for replica in [&lasting, &other] {
            balancer.add(replica.address, replica.health);
        }
        until("both are ready", || balancer.ready() == 2).await;
        let mut load = Load::new(balancer.address, &files.root, shapes());
        // The answers of each version, one review at a time, are compared with the expectation.
        for (version, configuration) in CONFIGURATIONS.iter().enumerate() {
            files.configure(configuration);
            let mut answers = Vec::new();
            for shape in 0..load.shapes.len() {
                answers.push(settled_answer(&load, &lasting, version, shape).await);
            }
            load.expected.push(answers);
        }
        files.configure(CONFIGURATIONS[0]);
        for replica in [&lasting, &other] {
            in_use(&load, replica, 0).await;
        }
        let load = Arc::new(load);
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(Arc::clone(&load).run())).collect();
        let started = Instant::now();
        let pause = || tokio::time::sleep(Duration::from_millis(500));
        let mut early = 0;
        let (mut rotations, mut changes, mut restarts) = (0, 0, 0);
        while started.elapsed() < time || load.sent.load(Ordering::SeqCst) < reviews || restarts < 2 {
            pause().await;
            files.rotate();
            rotations += 1;
            pause().await;
            for _ in 0..2 {
                let version = load.written.fetch_add(1, Ordering::SeqCst) + 1;
                files.configure(CONFIGURATIONS[usize::try_from(version % 2).unwrap()]);
                for replica in [&lasting, &other] {
                    in_use(&load, replica, version).await;
                }
                load.reported.store(version, Ordering::SeqCst);
                changes += 1;
                pause().await;
            }
            let address = other.address;
            let stopped = tokio::task::spawn_blocking(move || other.stop());
            assert_eq!(stopped.await.unwrap(), Some(0));
            balancer.remove(address);
            pause().await;
            other = Replica::start(&files, &[]);
            balancer.add(other.address, other.health);
            restarts += 1;
            until("both are ready again", || balancer.ready() == 2).await;
            if early == 0 {
                early = lasting.resident();
            }
        }
        load.stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        let late = lasting.resident();
        let took = started.elapsed();
        let mut figures = std::mem::take(&mut *load.figures.lock().unwrap());
        let (half, most) = (figures.percentile(50), figures.percentile(99));
        println!(
            "{} reviews in {:.0} s over {} connections, {rotations} rotations, {changes} changes of policies, {restarts} \
             restarts: {} lost, {} wrong, p50 {half} µs, p99 {most} µs; resident {early} KiB after the first round, {late} KiB \
             at the end",
            figures.answered,
            took.as_secs_f64(),
            figures.connections,
            figures.lost.len(),
            figures.wrong.len(),
        );
        figures.check();
        assert!(figures.certificates.len() > rotations / 2, "{} certificates were seen", figures.certificates.len());
        assert!(late < early + (32 << 10), "{early} KiB after the first round, {late} KiB at the end");
    });
}

/// The answer to a shape after this version of the configuration is active.
async fn settled_answer(load: &Load, replica: &Replica, version: usize, shape: usize) -> serde_json::Value {
    let asked = &load.shapes[shape];
    let mut last = None;
    for _ in 0..500 {
        let (mut sender, _) = load.connect(replica.address).await.unwrap();
        let (status, body) = ask(&mut sender, asked.path, asked.review(0).0).await.unwrap();
        assert_eq!(status, 200);
        let answer = asked.normalised(&body, 0).unwrap();
        if asked.fits(&answer, version) {
            return answer;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} with version {version}: {last:#?}", asked.what);
}

/// Waits until a process uses this version of the configuration. From then on the process must keep to it.
async fn in_use(load: &Load, replica: &Replica, version: u64) {
    let version = usize::try_from(version % 2).unwrap();
    // The answers to this shape differ between the versions.
    settled_answer(load, replica, version, 1).await;
}

async fn until(what: &str, ask: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if ask() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("timed out after 20 s: {what}");
}
