//! The pure middle: it turns a request into a [`Review`](crate::model::Review), outcomes into a [`Verdict`], and a
//! verdict into an answer. No I/O.

pub mod authored;
pub mod decide;
pub mod message;
pub mod patch;
pub mod respond;
pub mod verdict;

pub use decide::decide;
pub use verdict::{Judged, Verdict};
