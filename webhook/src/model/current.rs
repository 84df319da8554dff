//! What can be replaced while it is in use: certificates, what is loaded, the kinds with a pod template.

use std::sync::{Arc, PoisonError, RwLock};

/// A value of which each reader takes the newest version and keeps it as long as it likes. Replacing it is one store of
/// a pointer, so that no review sees half of one version and half of the next.
#[derive(Debug, Default)]
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// The first version.
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(RwLock::new(value.into()))
    }

    /// The newest version.
    pub fn get(&self) -> Arc<T> {
        // A poisoned lock holds a whole pointer all the same.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the newest version.
    pub fn replace(&self, value: impl Into<Arc<T>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value.into();
    }
}
