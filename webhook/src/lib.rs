//! Plimsoll: the load line for Kubernetes.
//!
//! One library under one binary, so that `plimsoll check` says what the cluster will say. `docs/architecture.md` is the
//! map; the modules stand in the order in which a review passes through them.

pub mod admission;
pub mod context;
pub mod engine;
pub mod judge;
pub mod registry;
pub mod yaml;
