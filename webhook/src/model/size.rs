//! Limits for the size of a request. An UPDATE carries an object twice, so the limit of an object is half the limit of
//! an UPDATE. Otherwise a user could create an object that no request can ever change, and its finalizers would stay
//! forever.

use plimsoll_flat::json::from_json_omitting;
use plimsoll_flat::{MAX_NODES, Node};

use crate::model::Operation;
use crate::model::review::Malformed;

/// Maximum size of a body, in bytes. etcd accepts 1.5 MiB for an object. In JSON a byte can take six (`\u003c`), and an
/// UPDATE holds two objects.
pub const MAX_BODY: usize = 20 << 20;

/// Maximum size of the JSON text of a written object, in bytes.
const MAX_OBJECT: usize = MAX_BODY / 2;

/// Maximum number of values of a written object. A document has room for twice as many, and for the values around them.
const MAX_VALUES: usize = 1_000_000;

/// Minimum size of a value in a document, in bytes: its tag, and an entry in the table of its container.
const LEAST: usize = 5;

/// Rejects an object that would leave no room for its own UPDATE. An UPDATE that does not make the object larger
/// passes: users must be able to shrink it or to remove a finalizer.
///
/// # Errors
/// The limit that the object exceeds.
pub(super) fn check(uid: &str, body: &[u8], document: &[u8], operation: Operation) -> Result<(), Malformed> {
    if !matches!(operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    let refuse = |count: usize, unit: &str, most: usize| {
        let reason = format!(
            "the object has {count} {unit}, and an object may have {most}: its UPDATE carries it twice, and {} are the limit \
             of a request; split it into several objects",
            2 * most
        );
        Err(Malformed::TooLarge { uid: Some(uid.to_owned()), reason })
    };
    // Most requests are too small to reach a limit, and are not inspected.
    if body.len() > MAX_OBJECT {
        let [now, before] = texts(body);
        if now > MAX_OBJECT.max(before) {
            return refuse(now, "bytes of JSON", MAX_OBJECT);
        }
    }
    if document.len() > MAX_VALUES * LEAST {
        let request = Node::root(document).ok();
        let values = |member: &str| request.and_then(|request| request.get(member)).map_or(0, count);
        let now = values("object");
        if now > MAX_VALUES && now > values("oldObject") {
            return refuse(now, "values", MAX_VALUES);
        }
    }
    Ok(())
}

/// The error for a request with more values than a document holds.
pub(super) fn too_many() -> Malformed {
    let reason = format!(
        "the request has more than {MAX_NODES} values, and an object may have {MAX_VALUES}: split it into several objects"
    );
    Malformed::TooLarge { uid: None, reason }
}

/// Length of the text of the object and of the old object.
fn texts(body: &[u8]) -> [usize; 2] {
    let paths: &[&[&str]] = &[&["request", "object"], &["request", "oldObject"]];
    // The body was parsed before, so this can't fail.
    let ranges = from_json_omitting(body, paths).map(|(_, ranges)| ranges).unwrap_or_default();
    [0, 1].map(|index| ranges.get(index).cloned().flatten().map_or(0, |range| range.len()))
}

/// Number of values in a node, including the node.
fn count(node: Node<'_>) -> usize {
    let (mut open, mut count) = (vec![node], 0);
    while let Some(node) = open.pop() {
        count += 1;
        open.extend(node.items());
        open.extend(node.members().map(|(_, value)| value));
    }
    count
}

#[cfg(test)]
mod tests {
    use crate::model::Review;
    use crate::model::size::*;

    fn review(operation: &str, object: &str, old: &str) -> Result<Review, Malformed> {
        let kind = r#""kind":{"group":"apps","version":"v1","kind":"Deployment"}"#;
        let request = format!(r#"{{"uid":"1","operation":"{operation}",{kind},"object":{object},"oldObject":{old}}}"#);
        let body = format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{request}}}"#);
        Review::from_admission_review(body.as_bytes())
    }

    /// A document with this number of values, including itself and the list.
    fn values(count: usize) -> String {
        format!(r#"{{"a":[{}0]}}"#, "0,".repeat(count - 3))
    }

    /// A text that is short in etcd and six times as long in JSON.
    fn text(bytes: usize) -> String {
        let shell = r#"{"a":""}"#.len();
        format!(r#"{{"a":"{}{}"}}"#, r"\u003c".repeat((bytes - shell) / 6), "x".repeat((bytes - shell) % 6))
    }

    #[test]
    fn what_can_be_created_can_be_updated() {
        for largest in [values(MAX_VALUES), text(MAX_OBJECT - 200)] {
            assert!(review("CREATE", &largest, "null").is_ok());
            assert!(review("UPDATE", &largest, &largest).is_ok());
            assert!(review("UPDATE", &largest, "{}").is_ok());
            assert!(review("DELETE", "null", &largest).is_ok());
        }
        for (too_large, limit) in [
            (values(MAX_VALUES + 1), "an object may have 1000000"),
            (text(MAX_OBJECT + 1), "an object may have 10485760"),
        ] {
            for (operation, old) in [("CREATE", "null"), ("UPDATE", "{}")] {
                let error = review(operation, &too_large, old).unwrap_err();
                assert!(
                    matches!(&error, Malformed::TooLarge { uid: Some(_), reason } if reason.contains(limit)),
                    "{operation}: {error}"
                );
            }
        }
    }

    /// The object is already stored, so users must be able to shrink it.
    #[test]
    fn what_is_stored_can_become_smaller() {
        let stored = values(MAX_VALUES + 4_000);
        assert!(review("UPDATE", &values(MAX_VALUES + 3_999), &stored).is_ok());
        assert!(review("UPDATE", &stored, &stored).is_ok());
        assert!(review("UPDATE", &values(MAX_VALUES + 4_001), &stored).is_err());
        assert!(review("DELETE", "null", &values(2 * MAX_VALUES)).is_ok());
        let error = review("DELETE", "null", &values(MAX_NODES)).unwrap_err();
        assert!(error.to_string().contains("an object may have 1000000"), "{error}");
    }
}
