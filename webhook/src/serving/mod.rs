//! What the server and the tasks beside it share: what reviews are judged by, how a part of it is replaced while it is in
//! use, and how that went.

pub(crate) mod health;

use std::sync::Arc;

pub use health::{Health, Part};

use crate::context::Context;
pub use crate::model::Current;
use crate::registry::Registry;

/// Everything that reviews are judged by. A new configuration is a new one.
#[derive(Debug)]
pub struct Loaded {
    /// Bundles and PolicySets.
    pub registry: Registry,
    /// The other objects of the cluster.
    pub context: Arc<dyn Context>,
    /// Whether anything can be denied: some mode is `enforce`.
    pub enforces: bool,
}
