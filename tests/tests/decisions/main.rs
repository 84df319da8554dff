//! What decisions rest on: the API server when it is slow, the revisions of a workload, and how large an object may be.

mod rollback;
mod size;
mod slow;
