//! Checks the result of a policy, and converts it to the host's own types.

use plimsoll_flat::Node;
use plimsoll_sdk::metadata::Severity;

use super::imports::contract::plimsoll::policy::types;
use crate::model::pointer::is_pointer;
use crate::model::{Edit, Evaluated, Failure, Finding, Fix, FixClass, Outcome, Place};
use crate::printed::{cut, words};

/// Maximum number of findings of one policy. Further ones are counted and cut.
pub(super) const MAX_FINDINGS: usize = plimsoll_sdk::findings::MAX_FINDINGS;

/// Maximum number of characters of a message, a help or a name. Readers expect a sentence; the rest is cut.
pub(super) const MAX_TEXT: usize = 1000;

/// Maximum number of characters of a pointer that are shown. Keys of labels and annotations have at most 317, and a
/// path contains few of them.
pub(super) const MAX_POINTER: usize = 4000;

/// Converts the result of a guest. Nothing in it is trusted.
pub(super) fn outcome(outcome: types::Outcome) -> Result<Outcome, Failure> {
    match outcome {
        types::Outcome::Skipped(reason) => Ok(Outcome::Skipped(clean(reason))),
        types::Outcome::Evaluated(report) => {
            // The SDK cuts and counts findings itself. Findings of other guests are cut here.
            let more = report.findings.len().saturating_sub(MAX_FINDINGS);
            let findings = report.findings.into_iter().take(MAX_FINDINGS).map(finding);
            Ok(Outcome::Evaluated(Evaluated {
                findings: findings.collect::<Result<_, _>>()?,
                assumptions: report.assumptions.into_iter().take(MAX_FINDINGS).map(clean).collect(),
                more: report.more.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)),
            }))
        }
    }
}

fn finding(finding: types::Finding) -> Result<Finding, Failure> {
    pointer(&finding.at.pointer)?;
    for about in &finding.about {
        pointer(about)?;
    }
    Ok(Finding {
        severity: match finding.severity {
            types::Severity::Info => Severity::Info,
            types::Severity::Warning => Severity::Warning,
            types::Severity::Error => Severity::Error,
        },
        at: Place { pointer: cut(finding.at.pointer, MAX_POINTER), missing: cut(finding.at.missing, MAX_POINTER) },
        message: clean(finding.message),
        help: clean(finding.help),
        fix: finding.fix.map(fix).transpose()?,
        about: finding.about,
        related: finding.related.map(clean),
        since: finding.since.map(clean),
        companion: finding.companion,
        unsettled: finding.unsettled,
    })
}

fn fix(fix: types::Fix) -> Result<Fix, Failure> {
    let edit = |edit| match edit {
        types::Edit::Add(add) => Ok(Edit::Add { value: value(&add.value)?, pointer: pointer(&add.pointer)? }),
        types::Edit::Replace(new) => Ok(Edit::Replace { value: value(&new.value)?, pointer: pointer(&new.pointer)? }),
        types::Edit::Remove(at) => Ok(Edit::Remove { pointer: pointer(&at)? }),
        types::Edit::Append(new) => Ok(Edit::Append { value: value(&new.value)?, pointer: pointer(&new.pointer)? }),
    };
    let edits = fix.edits.into_iter().map(edit).collect::<Result<Vec<_>, Failure>>()?;
    let only_adds = fix.companion.is_none() && edits.iter().all(|edit| matches!(edit, Edit::Add { .. }));
    Ok(Fix {
        title: clean(fix.title),
        class: match fix.class {
            types::FixClass::Safe if only_adds => FixClass::Safe,
            // A fix that replaces a value of the author or adds an object is never `safe`, even if the guest says so.
            types::FixClass::Safe | types::FixClass::Unsafe => FixClass::Unsafe,
            types::FixClass::Hardening => FixClass::Hardening,
        },
        edits,
        companion: fix.companion.as_deref().map(value).transpose()?,
    })
}

fn value(document: &[u8]) -> Result<serde_json::Value, Failure> {
    plimsoll_flat::validate(document).map_err(|error| Failure::Contract(format!("a broken document: {error}")))?;
    let node = Node::root(document).map_err(|error| Failure::Contract(format!("a broken document: {error}")))?;
    serde_json::to_value(node).map_err(|error| Failure::Contract(format!("a broken document: {error}")))
}

fn pointer(text: &str) -> Result<String, Failure> {
    if is_pointer(text) {
        Ok(text.to_owned())
    } else {
        Err(Failure::Contract(format!("{:?} is no JSON pointer", words(text))))
    }
}

/// Cleans a text of a guest.
fn clean(text: String) -> String {
    cut(text, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use plimsoll_sdk::value::Value;

    use super::*;

    #[test]
    fn a_fix_that_replaces_what_stands_is_not_safe() {
        let pointed = || types::PointedValue { pointer: "/spec/x".to_owned(), value: Value::Int(1).to_document() };
        let class = |class, edits, companion| {
            let given = types::Fix { title: "do it".to_owned(), class, edits, companion };
            fix(given).unwrap().class
        };
        let safe = types::FixClass::Safe;
        assert_eq!(class(safe, vec![types::Edit::Add(pointed())], None), FixClass::Safe);
        for edit in
            [types::Edit::Replace(pointed()), types::Edit::Append(pointed()), types::Edit::Remove("/spec/x".to_owned())]
        {
            assert_eq!(class(safe, vec![types::Edit::Add(pointed()), edit], None), FixClass::Unsafe);
        }
        assert_eq!(class(safe, Vec::new(), Some(Value::Int(1).to_document())), FixClass::Unsafe);
        let replaced = vec![types::Edit::Replace(pointed())];
        assert_eq!(class(types::FixClass::Hardening, replaced, None), FixClass::Hardening);
    }
}
