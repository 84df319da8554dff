//! Says offline what the API server of Kubernetes says about one object on CREATE with `fieldValidation=Strict`.
//!
//! [`judge`] first compares the object with a table of every field of every kind, then applies the validation that goes
//! beyond the schema. It needs no cluster, never panics, and takes time linear in the size of the object.

mod decode;
mod fault;
mod formats;
mod misplaced;
mod place;
mod rules;
mod schema;
mod served;
mod table;

use plimsoll_flat::Node;

use fault::Faults;
pub use fault::{Edit, Fault, Fix, Place, Rule, Severity};
use place::At;
use served::Served;

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
    /// The group belongs to Kubernetes itself.
    Kind,
    /// The group is not one of Kubernetes' own: nothing is known.
    Custom,
}

/// All that the API server of this version would say about this object.
#[must_use]
pub fn judge(object: Node<'_>, version: Version) -> Judgement {
    let mut faults = Faults::new(version.clamped());
    let at = At::root(object);
    if !at.is_object() {
        let message = format!("a manifest is an object, but this is {}", schema::describe(object));
        faults.error(Rule::WrongType, &at, message, "write an object with `apiVersion` and `kind`");
        return Judgement { faults: faults.finish(), known: Known::Kind };
    }
    let known = match served::find(&at, &mut faults) {
        Served::As(kind) => {
            schema::check(object, kind.shape(), &mut faults);
            rules::probe(&kind.api_version(), kind.name(), &at, &mut faults);
            Known::Kind
        }
        Served::List | Served::Refused => Known::Kind,
        Served::Custom => Known::Custom,
    };
    Judgement { faults: faults.finish(), known }
}
