//! Says offline what the API server of Kubernetes says about one object on CREATE with `fieldValidation=Strict`.
//!
//! [`judge`] first compares the object with a table of every field of every kind, then applies the validation that goes
//! beyond the schema. It needs no cluster, never panics, and takes time linear in the size of the object.

pub mod fault;
mod formats;
mod place;
mod rules;

use plimsoll_flat::Node;

pub use fault::{Edit, Fault, Faults, Fix, Place, Rule, Severity};
pub use place::At;

/// A minor version of Kubernetes: 1.32 to 1.37. Newer versions are read as the newest, older ones as the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 32 of Kubernetes 1.32.
    pub minor: u16,
}

impl Version {
    /// The oldest version that the table describes.
    pub const OLDEST: Self = Self { minor: 32 };
    /// The newest version that the table describes.
    pub const NEWEST: Self = Self { minor: 37 };

    /// The nearest version that the table describes.
    #[must_use]
    pub fn clamped(self) -> Self {
        self.clamp(Self::OLDEST, Self::NEWEST)
    }
}

/// All that the API server would say about one object.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The faults, in the order in which they were found.
    pub faults: Vec<Fault>,
    /// How much is known about the kind of the object.
    pub known: Known,
}

/// How much is known about the kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The kind belongs to Kubernetes itself, and was checked.
    Kind,
    /// The group is not one of Kubernetes' own, so only the metadata was checked.
    Custom,
}

/// All that the API server of this version would say about this object.
#[must_use]
pub fn judge(object: Node<'_>, version: Version) -> Judgement {
    let mut faults = Faults::new(version.clamped());
    let at = At::root(object);
    let api_version = at.at("apiVersion").text();
    let kind = at.at("kind").text();
    rules::probe(api_version, kind, &at, &mut faults);
    Judgement { faults: faults.finish(), known: Known::Kind }
}
