//! Values that are replaced while they are in use: certificates, the loaded configuration, the kinds with a pod
//! template.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that can be replaced. Each reader gets the newest version and may keep it. Replacing stores one pointer, so
/// no review sees parts of two versions.
#[derive(Debug, Default)]
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// Starts with this version.
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(RwLock::new(value.into()))
    }

    /// The newest version.
    pub fn get(&self) -> Arc<T> {
        // A poisoned lock still holds a whole pointer.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes this the newest version.
    pub fn replace(&self, value: impl Into<Arc<T>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value.into();
    }
}
