//! Which version of an object a question is about, and what the host knows of its author.

/// Which version of the reviewed object is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The object of the request.
    Object,
    /// The object as it was.
    OldObject,
}

/// Whether the author wrote a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knowledge {
    /// It stands in what the author applied.
    Yes,
    /// It does not.
    No,
    /// Nobody can tell.
    Unknown,
}
