//! Write Plimsoll policies: one function, its settings and its documentation in one file.
//!
//! ```ignore
//! use plimsoll_sdk::prelude::*;
//!
//! /// Images without a fixed tag.
//! ///
//! /// ## Why
//! /// The same tag may be another program tomorrow.
//! #[policy(category = "image", on = Workloads, severity = Error, since = "0.1.0")]
//! pub fn latest_image_tag(review: &Review, findings: &mut Findings) {
//!     for container in review.containers() { /* … */ }
//! }
//! ```
//!
//! A policy reads the reviewed object through [`Review`] and [`Cursor`], and reports [`Findings`] at the places of the
//! cursors. A policy never decides: the host denies, warns, records and patches.

// The macros name this crate by its name, also inside of it.
extern crate self as plimsoll_sdk;

pub mod affinity;
#[cfg(target_arch = "wasm32")]
mod allocator;
#[cfg(doctest)]
mod attribute;
pub mod autoscaling;
pub mod budgets;
pub mod bundle;
pub mod cursor;
mod deadlock;
pub mod disruption;
pub mod evictions;
pub mod findings;
pub mod floors;
pub mod guest;
pub mod image;
pub mod int_or_percent;
pub mod keda;
pub mod kind;
pub mod last;
pub mod measured;
#[cfg(not(target_arch = "wasm32"))]
pub mod metadata;
pub mod monitors;
pub mod owners;
pub mod quantity;
#[cfg(not(target_arch = "wasm32"))]
pub mod question;
pub mod quota;
#[cfg(not(target_arch = "wasm32"))]
pub mod reads;
pub mod references;
pub mod reserved;
pub mod resources;
pub mod review;
pub mod rollout;
pub mod rounding;
pub mod selector;
pub mod services;
pub mod settings;
pub mod sharing;
pub mod shell;
pub mod shutdown;
mod stand_in;
pub mod storage;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod testing;
pub mod value;
pub mod version;
pub mod vertical;
pub mod volumes;
pub mod windows;
pub mod workload;

pub use bundle::{Host, Policy};
pub use cursor::Cursor;
pub use findings::{Finding, Findings, Fix};
pub use plimsoll_flat as flat;
pub use plimsoll_sdk_macros::{Settings, bundle, policy};
pub use review::Review;

/// The imports of a policy file.
pub mod prelude {
    pub use crate::cursor::Cursor;
    pub use crate::findings::{Finding, Findings, Fix};
    pub use crate::guest::{Knowledge, Severity};
    pub use crate::int_or_percent::IntOrPercent;
    pub use crate::kind::{Autoscaler, Kind};
    pub use crate::quantity::Quantity;
    pub use crate::review::Review;
    pub use crate::settings::Settings as _;
    pub use crate::value::Value;
    pub use crate::workload::{Class, Container};
    pub use plimsoll_flat::Node;
    pub use plimsoll_sdk_macros::{Settings, policy};
}
