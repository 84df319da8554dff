//! The basis of decisions: a slow API server, the revisions of a workload, and the maximum size of an object.

mod rollback;
mod size;
mod slow;
