//! The load test behind a real API server: kubectl applies objects, while the two webhook processes are replaced in
//! turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use plimsoll_tests::{ControlPlane, Kubectl, Manifest, Namespace, Options, VALIDATING_WEBHOOK};
use serde_json::{Value, json};

use crate::balancer::Balancer;
use crate::reviews::CONFIGURATIONS;
use crate::until;
use crate::world::{Files, Replica};

/// Objects of one run of kubectl. Every other one is good.
const OBJECTS: u64 = 40;

#[test]
fn kubectl_notices_nothing() -> Result<()> {
    let _alone = crate::alone();
    let control_plane = ControlPlane::start(&Options::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let balancer = runtime.block_on(Balancer::start());
    let url = format!("https://{}", balancer.address);
    let kubeconfig = control_plane.kubeconfig().display().to_string();
    let arguments = ["--register", "--url", &url, "--kubeconfig", &kubeconfig];
    let mut files = Files::new(CONFIGURATIONS[0]);
    let start = |files: &Files| {
        let replica = Replica::start(files, &arguments);
        balancer.add(replica.address, replica.health);
        replica
    };
    let mut replicas = vec![start(&files), start(&files)];
    runtime.block_on(until("both are ready", || balancer.ready() == 2));
    let namespace = Namespace::new(&control_plane, "load")?;
    let kubectl = namespace.kubectl();
    // The API server loads the registration shortly after it is written.
    let end = Instant::now() + Duration::from_secs(30);
    while create(kubectl, 0).is_err() {
        ensure!(Instant::now() < end, "the API server does not call the webhook: {:?}", create(kubectl, 0));
    }
    let (stop, round) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let appliers: Vec<_> = (0..2)
        .map(|_| {
            let (kubectl, stop, round) = (kubectl.clone(), Arc::clone(&stop), Arc::clone(&round));
            std::thread::spawn(move || -> Result<()> {
                while !stop.load(Ordering::SeqCst) {
                    create(&kubectl, round.fetch_add(1, Ordering::SeqCst))?;
                }
                Ok(())
            })
        })
        .collect();
    let started = Instant::now();
    let mut version = 0;
    while started.elapsed() < Duration::from_secs(25) {
        if version % 2 == 0 {
            // A new CA is published for two seconds before it is used. The rest is a margin.
            files.replace_authority();
            std::thread::sleep(Duration::from_secs(4));
        } else {
            files.rotate();
        }
        version += 1;
        files.configure(CONFIGURATIONS[version % 2]);
        std::thread::sleep(Duration::from_secs(1));
        let replica = replicas.remove(0);
        let address = replica.address;
        ensure!(replica.stop() == Some(0), "the replica failed on SIGTERM");
        balancer.remove(address);
        replicas.push(start(&files));
        runtime.block_on(until("both are ready again", || balancer.ready() == 2));
    }
    stop.store(true, Ordering::SeqCst);
    for applier in appliers {
        applier.join().unwrap_or_else(|_| panic!("a thread panicked"))?;
    }
    let reviewed = round.load(Ordering::SeqCst) * OBJECTS;
    println!("{reviewed} objects, {version} rotations, changes of policies and restarts");
    Ok(())
}

/// The good objects are accepted, our webhook refuses the others, and nothing else happens.
fn create(kubectl: &Kubectl, round: u64) -> Result<()> {
    let object = |number: u64| {
        let object = Manifest::good("Deployment", &format!("app-{round}-{number}"));
        let object = if number.is_multiple_of(2) { object } else { object.pod("/containers/0/resources", json!({})) };
        serde_json::from_str::<Value>(&object.to_string())
    };
    let items = (0..OBJECTS).map(object).collect::<Result<Vec<_>, _>>()?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let output = kubectl.run(&["create", "--dry-run=server", "--filename=-"], Some(&list))?;
    let accepted = output.stdout.lines().filter(|line| line.ends_with("created (server dry run)")).count();
    let refusal = format!("admission webhook \"{VALIDATING_WEBHOOK}\" denied the request");
    let refused = output.stderr.matches(&refusal).count();
    let named = output.stderr.matches("• missing-resource-requests: ").count();
    let half = usize::try_from(OBJECTS / 2)?;
    ensure!(
        (accepted, refused) == (half, half) && named >= half && !output.stderr.contains("failed calling webhook"),
        "round {round}: {accepted} accepted, {refused} refused, {named} for the reason:\n{}",
        output.stderr
    );
    Ok(())
}
