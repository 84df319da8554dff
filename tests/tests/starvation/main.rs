//! No user and no address may starve the others: attacks on the real server behind a real API server, and the effect on
//! a user in another namespace.
//!
//! `cargo test --release --package plimsoll-tests --test starvation -- --nocapture` prints the figures.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::print_stdout, reason = "the test prints the figures of a run")]

mod attacks;
mod client;
mod victim;
mod worst;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_tests::{ControlPlane, Namespace, Options, Webhook, WebhookOptions};
use tokio::runtime::Runtime;

use attacks::{Attack, Target};
use client::Client;
use victim::{Figures, Victim};

/// The memory limit of the chart. A test of the chart compares both.
const MEMORY: u64 = 256 << 20;

const CONFIG: &str = r#"
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: main}
spec:
  mode: enforce
  profile: production
"#;

struct Stage {
    _alone: MutexGuard<'static, ()>,
    runtime: Runtime,
    control_plane: ControlPlane,
    webhook: Webhook,
    /// Connection settings for the webhook's own port.
    target: Target,
}

impl Stage {
    /// One attack at a time, so that the figures mean something.
    fn start() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let control_plane = ControlPlane::start(&Options::default()).unwrap();
        let webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(CONFIG)).unwrap();
        let template = "{{index .webhooks 0 \"clientConfig\" \"caBundle\" | base64decode}}";
        let read = ["get", "validatingwebhookconfiguration", "plimsoll", "-o", &format!("go-template={template}")];
        let authority = control_plane.kubectl().ok(&read).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let target = Target::new(webhook.port(), &authority);
        Self { _alone: alone, runtime, control_plane, webhook, target }
    }

    fn api(&self) -> Client {
        Client::of_api_server(&self.control_plane)
    }

    /// The figures of a user of the API server, without and during the attack.
    fn compare(&self, name: &str, attack: Attack) -> (Figures, Figures) {
        let namespace = Namespace::new(&self.control_plane, "victim").unwrap();
        self.compare_for(&Victim::of_api_server(self.api(), namespace.name()), name, attack)
    }

    fn compare_for(&self, victim: &Victim, name: &str, attack: Attack) -> (Figures, Figures) {
        self.runtime.block_on(async {
            victim.run(20, Duration::ZERO).await;
            let quiet = victim.run(100, Duration::ZERO).await;
            let running = attack.start(&self.target);
            // Until the attack has taken all the resources that it can get.
            tokio::time::sleep(Duration::from_millis(700)).await;
            let during = victim.run(100, Duration::from_millis(20)).await;
            let sent = running.stop().await;
            println!("{name}: quiet {quiet}; during {during}; {sent}; resident {} MiB", self.resident() >> 20);
            (quiet, during)
        })
    }

    fn resident(&self) -> u64 {
        memory(self.webhook.id(), "VmRSS:")
    }
}

/// A line of `/proc/PID/status`, in bytes.
fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// Clients of the port take slots, bytes and connections, from the address of the API server and from others.
#[test]
fn who_reaches_the_port_starves_nobody() {
    let stage = Stage::start();
    let mut complaints = Vec::new();
    for (name, attack) in attacks::at_the_port() {
        let (_, during) = stage.compare(name, attack);
        // The attackers and the API server share the two cores.
        if during.refused > 0
            || during.percentile(90) > Duration::from_secs(1)
            || during.slowest > Duration::from_secs(8)
        {
            complaints.push(format!("{name}: {during}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let peak = memory(stage.webhook.id(), "VmHWM:");
    println!("high-water mark {} MiB", peak >> 20);
    assert!(peak < MEMORY, "{peak}");
}

/// 80 clients of one namespace, each with the most expensive reviews possible.
#[test]
fn one_namespace_starves_no_other() {
    let stage = Stage::start();
    let attacker = Namespace::new(&stage.control_plane, "attacker").unwrap();
    worst::fill(&stage.runtime, &stage.api(), attacker.name());
    // At the webhook itself. The clients share the two cores, so the limit allows for the cost of 80 cheap clients.
    let victim = Victim::of_webhook(stage.target.client(), "victim");
    let (_, cheap) = stage.compare_for(&victim, "80 cheap reviews", worst::reviews("other", 80, worst::harmless));
    let hostile = worst::reviews(attacker.name(), 80, worst::expensive);
    let (quiet, during) = stage.compare_for(&victim, "80 expensive reviews", hostile);
    assert_eq!(during.refused, 0, "{during}");
    let most = (quiet.percentile(99) * 5).max(cheap.percentile(99) * 2);
    assert!(during.percentile(99) <= most, "quiet {quiet}, among cheap ones {cheap}, during {during}");
    // From the view of a user. The API server shares the cores and is slow under this load, so the limit includes the
    // time for an object that no webhook reviews.
    let hostile = || worst::clients(stage.api().acting_as("mallory"), attacker.name(), 80, worst::expensive);
    let namespace = Namespace::new(&stage.control_plane, "alone").unwrap();
    let alone = Victim::of_api_server_alone(stage.api(), namespace.name());
    let (_, alone) =
        stage.compare_for(&alone, "80 users of the API server, and one whom no webhook is asked about", hostile());
    let (quiet, during) = stage.compare("80 users of the API server with expensive objects", hostile());
    assert_eq!(during.refused, 0, "{during}");
    // A review takes three answers instead of one, and the p99 of 100 values is the second slowest.
    for percent in [50, 99] {
        let most = (quiet.percentile(percent) + alone.percentile(percent)) * 5;
        assert!(during.percentile(percent) <= most, "quiet {quiet}, the API server alone {alone}, during {during}");
    }
}

/// 24 concurrent objects of the maximum size and the maximum number of values. The test sends them as the API server
/// does. The API server itself would take seconds for such an object, which would hide the cost of the webhook.
#[test]
fn memory_stays_below_the_limit_of_the_chart() {
    let stage = Stage::start();
    let before = stage.resident();
    let answered = stage.runtime.block_on(worst::at_once(&stage.target, 24));
    let peak = memory(stage.webhook.id(), "VmHWM:");
    let after = plimsoll_tests::until(Duration::from_secs(30), "memory is given back", || {
        let resident = stage.resident();
        Ok((resident < before + (48 << 20)).then_some(resident))
    });
    println!(
        "{answered} answered; resident {} MiB before, at most {} MiB, now {} MiB",
        before >> 20,
        peak >> 20,
        stage.resident() >> 20
    );
    assert!(answered > 0 && peak < MEMORY, "{answered}, {peak}");
    after.unwrap();
}
