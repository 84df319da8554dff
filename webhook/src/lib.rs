//! Plimsoll: the load line for Kubernetes.
//!
//! `plimsoll check` and the webhook use the same library, so both give the same verdict. `docs/architecture.md`
//! describes the modules.

pub mod admission;
#[cfg(feature = "serve")]
pub mod budgets;
#[cfg(feature = "serve")]
pub mod certs;
#[cfg(feature = "check")]
pub mod check;
pub mod cli;
pub mod context;
pub mod engine;
pub mod files;
pub mod judge;
pub mod model;
pub mod printed;
#[cfg(feature = "serve")]
pub mod register;
pub mod registry;
#[cfg(feature = "check")]
pub mod report;
#[cfg(all(feature = "serve", feature = "check"))]
pub mod scan;
#[cfg(feature = "serve")]
pub mod server;
#[cfg(feature = "serve")]
pub mod serving;
pub mod yaml;
