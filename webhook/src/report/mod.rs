//! The formats of a report, one module for each.

mod human;
mod json;

pub use human::{Look, human};
pub use json::json;
