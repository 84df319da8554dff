//! Which version of an object a question is about, and what the host knows about its author.

/// Which version of the reviewed object is judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The object of the request.
    Object,
    /// The old object.
    OldObject,
}

/// Whether the author wrote a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knowledge {
    /// The author applied it.
    Yes,
    /// The author did not apply it.
    No,
    /// The host can't tell.
    Unknown,
}
