//! If a message says that the API server refuses an object, the API server refuses it.

use std::sync::Arc;

use anyhow::Result;
use plimsoll::registry::Site;
use plimsoll_tests::ControlPlane;

use plimsoll_cases::{Bench, Case, documents, review};

/// The words of such a message.
const CLAIMS: [&str; 2] = ["the API server rejects it", "the API server refuses it"];

/// The number of true claims, and the wrong claims.
pub(crate) fn compare(cases: &[Arc<Case>], control_plane: &ControlPlane) -> Result<(usize, Vec<String>)> {
    let mut claims = Vec::new();
    // A dry run of a creation cannot check claims about another version or about an update.
    let judged = |case: &&Arc<Case>| !case.deleted && case.version.is_none() && case.old.is_none();
    for case in cases.iter().filter(judged) {
        let bench = Bench::new(case, Site::Files)?;
        for object in documents(&case.input)? {
            let mut findings = bench.report(review(case, &object)?)?.findings.into_iter();
            if let Some(finding) = findings.find(|finding| CLAIMS.iter().any(|claim| finding.message.contains(claim))) {
                claims.push((case, object.to_string(), finding.message));
            }
        }
    }
    let texts: Vec<&str> = claims.iter().map(|(_, text, _)| text.as_str()).collect();
    let answers = control_plane.defaulted_all(&texts)?;
    let mut wrong = Vec::new();
    for ((case, _, message), answer) in claims.iter().zip(answers) {
        if answer.is_ok() {
            wrong.push(format!(
                "{}: {}\nthe API server accepts the object, but our message says: {message}",
                case.file, case.title
            ));
        }
    }
    Ok((claims.len() - wrong.len(), wrong))
}
