//! The pure middle: a request becomes a [`Review`], outcomes become a [`Verdict`], a verdict becomes an answer. No I/O.

pub mod authored;
pub mod decide;
pub mod edit;
pub mod message;
pub mod patch;
pub mod respond;
pub mod review;
mod size;
pub mod verdict;

pub use decide::decide;
pub use review::{Kind, Operation, Review};
pub use size::MAX_BODY;
pub use verdict::{Action, Judged, Verdict};
