//! Limits of one run, so that no repository can use up all memory or time. `docs/check.md` lists them.

use crate::{files, yaml};

/// Maximum size of a file of manifests, and of standard input.
pub const MAX_FILE: u64 = yaml::MAX_BYTES as u64;

/// Maximum total size of all files of a run.
pub const MAX_TOTAL: u64 = 64 << 20;

/// Maximum number of files of a run.
pub const MAX_FILES: usize = 50_000;

/// Maximum number of Kubernetes objects of a run.
pub const MAX_OBJECTS: usize = 100_000;

/// Maximum size of a configuration file.
pub const MAX_CONFIGURATION: u64 = files::MAX_CONFIGURATION;

/// Maximum size of a file of a record (`--context`). It holds all objects of one kind, in a large cluster.
pub const MAX_RECORD: u64 = 256 << 20;

/// Maximum total size of all files of a record.
pub const MAX_RECORDS: u64 = 512 << 20;
