//! Hostile questions to the host, sent directly through the imports.

use plimsoll_sdk::bundle::Host as _;
use plimsoll_sdk::guest::{Imports, Subject};

const KIND: &str = "apps/Deployment";

/// The guest keeps none of the answers, so that it runs out of time, not of memory.
pub(crate) fn for_ever() {
    let empty = [1, 0];
    loop {
        Imports.log("once more");
        std::hint::black_box(Imports.get(Subject::Object, KIND, "absent"));
        std::hint::black_box(Imports.selecting(Subject::Object, "/Service", &empty));
        std::hint::black_box(Imports.is_authored(Subject::Object, "/spec/replicas"));
    }
}

/// A pointer of two million steps, which the host would have to follow.
pub(crate) fn long_questions() {
    let pointer = "/a".repeat(1 << 20);
    loop {
        std::hint::black_box(Imports.is_authored(Subject::Object, &pointer));
    }
}

/// Invalid documents, pointers and kinds. Each has an empty answer.
pub(crate) fn nonsense() {
    let documents: [&[u8]; 6] =
        [&[], &[0], &[1], &[0xff; 64], &[1, 7, 0xff, 0xff, 0xff, 0xff], &[1, 6, 1, 0, 0, 0, 0xf0]];
    for document in documents {
        for kind in ["/Service", "apps/Deployment", "", "///", "\0"] {
            for subject in [Subject::Object, Subject::OldObject] {
                assert!(Imports.selecting(subject, kind, document).documents.is_empty());
                assert!(Imports.selected_by(subject, kind, document).documents.is_empty());
            }
        }
    }
    for pointer in ["", "no slash", "/~", "/spec/~9/x", "/spec/containers/99999999999999999999", "/\0/\u{202e}"] {
        for subject in [Subject::Object, Subject::OldObject] {
            std::hint::black_box(Imports.is_authored(subject, pointer));
        }
    }
    assert!(Imports.get(Subject::Object, "/Secret", "a").documents.is_empty());
}
