//! Flat documents: JSON values as bytes that are read in place.
//!
//! The host turns a request into a document once, in one pass over its text ([`json::from_json`]). A guest then reads
//! fields ([`Node`]) without parsing, copying or allocating. Answers are written with [`Writer`], or from any serde
//! type with [`to_document`].
//!
//! `docs/flat-encoding.md` specifies the layout, byte by byte. Two properties are essential:
//!
//! * A node states its own length, and every offset inside it counts from its first byte. So the bytes of any node can
//!   be copied into another document.
//! * A reader never trusts an offset. Every access is checked against the bounds of its container, and a value that
//!   does not fit counts as absent. So no bytes make a reader panic. Only [`validate`] distinguishes a damaged document
//!   from a small one. The host runs it on the results of a guest.
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

/// First byte of every document of this version.
pub const VERSION: u8 = 1;

/// Maximum nesting of arrays and objects: a scalar alone has depth 0, and `[]` has 1.
pub const MAX_DEPTH: usize = 512;

/// Maximum number of values of a document, both containers and scalars, without keys. Enough for the two objects of an
/// UPDATE with a million values each, and for the rest of the request.
pub const MAX_NODES: usize = 2_010_000;
