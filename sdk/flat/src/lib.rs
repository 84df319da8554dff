//! Flat documents: JSON values as bytes that are read in place.
//!
//! The host turns a request into a document once, in one pass over its text ([`json::from_json`]); a
//! guest then looks up what it needs ([`Node`]) without parsing, copying or allocating. What goes back
//! is written with [`Writer`] or, from anything that serde can serialise, with [`to_document`].
//!
//! The layout, byte by byte, is in `docs/flat-encoding.md`. Two properties carry the rest:
//!
//! * A node says its own length, and every offset inside it counts from its first byte. So the bytes of any
//!   node can be copied as they are into another document.
//! * A reader never trusts an offset. Every access is checked against the bounds of the container
//!   that it goes through, and whatever does not fit counts as absent: no bytes make a reader panic. Only [`validate`]
//!   tells a damaged document from a small one; the host runs it on what a guest returned.
//!
//! ```
//! use plimsoll_flat::{Node, json};
//!
//! let document = json::from_json(br#"{"spec": {"replicas": 3}}"#)?;
//! let replicas = Node::root(&document)?.at("/spec/replicas").and_then(Node::as_i64);
//! assert_eq!(replicas, Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

mod builder;
mod de;
mod error;
pub mod json;
mod layout;
mod node;
mod number;
mod print;
mod ser;
mod validate;
mod writer;

pub use error::{Error, Problem};
pub use node::{Items, Kind, Members, Node};
pub use number::Number;
pub use ser::to_document;
pub use validate::validate;
pub use writer::Writer;

/// The first byte of every document of this version.
pub const VERSION: u8 = 1;

/// How many arrays and objects may lie inside one another: a scalar alone has depth 0, `[]` has 1.
pub const MAX_DEPTH: usize = 512;

/// Maximum number of values of a document, containers and scalars alike (keys do not count): two objects of a million
/// values, for an UPDATE carries both versions, and what a request has around them.
pub const MAX_NODES: usize = 2_010_000;
