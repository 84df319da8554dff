//! Tables of objects with the faults that they have.
