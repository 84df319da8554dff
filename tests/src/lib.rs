//! The harness of Plimsoll's whole-system tests.
//!
//! A test starts a real [`ControlPlane`] (etcd and kube-apiserver, three seconds) and the real `plimsoll serve` as its
//! [`Webhook`]. It creates a [`Namespace`], and states the expected answers to `kubectl apply` as a table of
//! [`accepts`] and [`rejects`]:
//!
//! ```no_run
//! use plimsoll_tests::{ControlPlane, Namespace, Webhook, WebhookOptions, accepts, rejects};
//!
//! # fn main() -> anyhow::Result<()> {
//! let control_plane = ControlPlane::shared()?;
//! let _webhook = Webhook::start(control_plane, &WebhookOptions::default())?;
//! let namespace = Namespace::new(control_plane, "probes")?;
//! namespace.run(&[
//!     accepts("a probe", "apiVersion: v1\nkind: …"),
//!     rejects("no probe", "apiVersion: v1\nkind: …", &["missing-readiness-probe"]),
//! ])
//! # }
//! ```
//!
//! The only client is kubectl. `tests/README.md` lists the environment variables.

mod assets;
mod cases;
mod control_plane;
mod corpus;
mod current;
mod defaulted;
mod helm;
mod kubectl;
mod link;
mod manifest;
mod messages;
mod mutants;
mod namespace;
mod objects;
mod pods;
mod process;
mod users;
mod wait;
mod webhook;

pub use assets::{Assets, Extra};
pub use cases::{Case, accepts, accepts_with_warnings, rejects, run};
pub use control_plane::{ControlPlane, Options};
pub use corpus::{corpus, files, strict_report};
pub use current::CurrentCluster;
pub use helm::Helm;
pub use kubectl::{Kubectl, Output};
pub use link::Link;
pub use manifest::{Manifest, WORKLOADS, container};
pub use messages::{VALIDATING_WEBHOOK, causes, denied_policies, named_policies, warned_policies};
pub use mutants::{Mutant, Mutants};
pub use namespace::Namespace;
pub use objects::objects;
pub use pods::{Eviction, evict, make_ready, running_pod, until_counted};
pub use process::Process;
pub use users::{ADMIN, PLAIN, User};
pub use wait::until;
pub use webhook::{CONFIGURATION, Webhook, WebhookOptions, plimsoll_binary};
