//! Types that all other modules share: reviews, findings, edits, actions, places and times. No I/O.

mod action;
mod current;
mod duration;
pub mod edit;
mod finding;
mod moment;
pub mod pointer;
pub mod review;
mod size;
mod subject;

pub use action::{Action, Spared};
pub use current::Current;
pub use duration::parse_duration;
pub use edit::Edit;
pub use finding::{Evaluated, Failure, Finding, Fix, FixClass, Outcome, Place};
pub use moment::Moment;
pub use plimsoll_sdk::metadata::Severity;
pub use review::{Kind, Operation, Review};
pub use size::MAX_BODY;
pub use subject::{Knowledge, Subject};
