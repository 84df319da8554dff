//! The classes of fixes are right: after a `safe` fix, the object with the API's defaults is the same as before. A fix
//! that changes nothing in that sense has the class `safe`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use plimsoll::model::{Edit, FixClass, edit};
use plimsoll::registry::Site;
use plimsoll_tests::ControlPlane;
use serde_json::Value;

use plimsoll_cases::{Bench, Case, documents, review};

/// One fix, before and after.
struct Trial {
    title: String,
    class: FixClass,
    only_adds: bool,
    before: String,
    after: String,
}

/// The number of compared fixes, and the wrong ones.
pub(crate) fn compare(cases: &[Arc<Case>], control_plane: &ControlPlane) -> Result<(usize, Vec<String>)> {
    let mut trials = Vec::new();
    // This version of the API server may refuse a fix that is right for an older release.
    for case in cases.iter().filter(|case| !case.rejected && !case.deleted && case.version.is_none()) {
        trials.extend(of_case(case)?);
    }
    let mut texts: Vec<&str> = trials.iter().flat_map(|trial| [trial.before.as_str(), &trial.after]).collect();
    texts.sort_unstable();
    texts.dedup();
    let answers = control_plane.defaulted_all(&texts)?;
    let stored: BTreeMap<&str, _> = texts.into_iter().zip(answers).collect();
    let mut wrong = Vec::new();
    for trial in &trials {
        let stored = |text: &String| stored.get(text.as_str()).context("an answer");
        let judged = match (stored(&trial.before)?, stored(&trial.after)?) {
            (Ok(before), Ok(after)) => judge(trial, comparable(before) == comparable(after)),
            // Custom kinds are not served here, and a fix may turn a refused object into an accepted one.
            (Err(_), _) => judge(trial, false),
            (Ok(_), Err(refusal)) => Err(anyhow::anyhow!("the API server refuses the fixed object: {refusal}")),
        };
        wrong.extend(judged.err().map(|error| format!("{} (class {})\n{error:#}", trial.title, trial.class.as_str())));
    }
    Ok((trials.len() - wrong.len(), wrong))
}

fn judge(trial: &Trial, is_same: bool) -> Result<()> {
    match trial.class {
        FixClass::Safe => {
            ensure!(trial.only_adds, "the fix replaces a value of the author");
            ensure!(is_same, "with the API's defaults, the object differs");
        }
        _ => ensure!(
            !(is_same && trial.only_adds),
            "after the API's defaults the object is the same: this fix is `safe`"
        ),
    }
    Ok(())
}

fn of_case(case: &Case) -> Result<Vec<Trial>> {
    let bench = Bench::new(case, Site::Files)?;
    let mut trials = Vec::new();
    for object in documents(&case.input)? {
        for finding in bench.report(review(case, &object)?)?.findings {
            let Some(fix) = finding.fix.filter(|fix| !fix.edits.is_empty()) else { continue };
            let title = format!("{}: {}: {}", case.file, case.title, fix.title);
            let only_adds = fix.edits.iter().all(|edit| matches!(edit, Edit::Add { .. }));
            let mut fixed = object.clone();
            edit::apply(&mut fixed, &fix.edits)?;
            let (before, after) = (object.to_string(), fixed.to_string());
            trials.push(Trial { title, class: fix.class, only_adds, before, after });
        }
    }
    Ok(trials)
}

/// The object without the values that the API server creates for each request.
fn comparable(object: &Value) -> String {
    let mut object = object.clone();
    let uid = object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for made in ["uid", "creationTimestamp", "resourceVersion", "generation", "managedFields"] {
            metadata.remove(made);
        }
    }
    let text = object.to_string();
    // For a Job, these values are in labels and in the selector too.
    if uid.is_empty() { text } else { text.replace(&uid, "uid") }
}
