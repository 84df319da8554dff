//! What one run takes at most, so that no repository makes it take all memory or never end. `docs/check.md` lists them.

use crate::{files, yaml};

/// Maximum size of a file of manifests, and of the standard input.
pub const MAX_FILE: u64 = yaml::MAX_BYTES as u64;

/// Maximum size of all files of a run.
pub const MAX_TOTAL: u64 = 64 << 20;

/// Maximum number of files of a run.
pub const MAX_FILES: usize = 50_000;

/// Maximum number of Kubernetes objects of a run.
pub const MAX_OBJECTS: usize = 100_000;

/// Maximum size of the configuration.
pub const MAX_CONFIGURATION: u64 = files::MAX_CONFIGURATION;

/// Maximum size of a file of a record (`--context`). The objects of a kind of a large cluster are in one.
pub const MAX_RECORD: u64 = 256 << 20;

/// Maximum size of all files of a record.
pub const MAX_RECORDS: u64 = 512 << 20;
