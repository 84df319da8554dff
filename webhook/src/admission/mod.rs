//! The pure middle: a request becomes a [`Review`](crate::model::Review), outcomes become a [`Verdict`], a verdict becomes an answer.
//! No I/O.

pub mod authored;
pub mod decide;
pub mod message;
pub mod patch;
pub mod respond;
pub mod verdict;

pub use decide::decide;
pub use verdict::{Judged, Verdict};
