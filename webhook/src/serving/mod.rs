//! State that the server shares with the tasks beside it: the loaded configuration, and the health of each part that is
//! replaced.

pub(crate) mod health;

use std::sync::Arc;

pub use health::{Health, Part};

use crate::context::Context;
use crate::registry::Registry;

/// Everything that a review is judged with. Each new configuration creates a new value.
#[derive(Debug)]
pub struct Loaded {
    /// Bundles and PolicySets.
    pub registry: Registry,
    /// The other objects of the cluster.
    pub context: Arc<dyn Context>,
    /// Whether anything can be denied: some mode is `enforce`.
    pub enforces: bool,
}
