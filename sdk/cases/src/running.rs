//! Runs a case.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use plimsoll::model::edit::{self, Edit};
use plimsoll::model::{Finding, FixClass};
use plimsoll::registry::Site;
use plimsoll::{judge, yaml};
use serde_json::Value;

use crate::bench::{Bench, admission_review, documents, review};
use crate::case::{Case, Expected};

const MAX_ROUNDS: usize = 5;

/// Compares the policy with all expectations of a case.
pub(crate) fn run(case: &Case) -> Result<()> {
    let bench = Bench::new(case, Site::Files)?;
    let found = found(&bench, case)?;
    let expected = case.expected()?;
    compare(&expected, &found)?;
    let skipped = bench.skipped(&documents(&case.input)?)?;
    ensure!(case.skipped == (skipped > 0), "{skipped} objects of the input were skipped");
    for (class, text) in &case.fixed {
        let fixed = fix(case, &case.input, *class)?;
        ensure!(fixed == *text, "--fix={} gives\n{fixed}\ninstead of\n{text}", class.as_str());
        let again = fix(case, &fixed, *class)?;
        ensure!(again == fixed, "--fix={} is not idempotent:\n{again}", class.as_str());
        no_new_finding(case, &fixed, *class, found.iter().map(|(_, finding)| finding))?;
    }
    if let Some(mutated) = &case.mutated {
        let wanted = documents(mutated)?;
        for (object, wanted) in documents(&case.input)?.iter().zip(&wanted) {
            let (once, _) = mutate(&bench, case, object)?;
            ensure!(once == *wanted, "mutation gives\n{once:#}\ninstead of\n{wanted:#}");
            ensure!(mutate(&bench, case, &once)?.0 == once, "mutation is not idempotent");
        }
    }
    Ok(())
}

/// The findings of the input, each with its line.
pub(crate) fn found(bench: &Bench, case: &Case) -> Result<Vec<(usize, Finding)>> {
    let mut found = Vec::new();
    for document in yaml::read(&case.input) {
        let document = document?;
        for finding in bench.report(review(case, document.value())?)?.findings {
            let (place, nearest) = document.locate_nearest(&finding.at.pointer);
            ensure!(nearest == finding.at.pointer, "{:?} is not in the input", finding.at.pointer);
            ensure!(!finding.help.is_empty(), "a finding without help: {}", finding.message);
            let line = place.key.unwrap_or(place.value).line;
            found.push((line, finding));
        }
    }
    Ok(found)
}

/// The object as completed by the webhook, and the edits.
pub(crate) fn mutate(bench: &Bench, case: &Case, object: &Value) -> Result<(Value, Vec<Edit>)> {
    let old = case.old.as_deref().map(documents).transpose()?.and_then(|old| old.into_iter().next());
    let review = Arc::new(admission_review(object, old.as_ref(), Some(object))?);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mutation = judge::mutate(&bench.registry, &review, &bench.context, deadline);
    let mut result = mutation.object.unwrap_or_else(|| object.clone());
    // The empty annotations come from the test itself.
    if let Some(metadata) = result.get_mut("metadata").and_then(Value::as_object_mut)
        && metadata.get("annotations").is_some_and(|map| map.as_object().is_some_and(serde_json::Map::is_empty))
    {
        metadata.remove("annotations");
    }
    Ok((result, mutation.added.into_iter().map(|(_, edit)| edit).collect()))
}

/// Whether a finding is the expected one.
pub(crate) fn is_wanted(wanted: &Expected, (line, finding): &(usize, Finding)) -> bool {
    *line == wanted.line
        && finding.severity == wanted.severity
        && finding.at.missing == wanted.missing
        && wanted.text.as_ref().is_none_or(|text| finding.message.contains(text.as_str()))
}

fn compare(expected: &[Expected], found: &[(usize, Finding)]) -> Result<()> {
    let mut open: Vec<_> = found.iter().collect();
    let mut problems = String::new();
    for wanted in expected {
        let matching = open.iter().position(|found| is_wanted(wanted, found));
        match matching {
            Some(index) => drop(open.remove(index)),
            None => drop(writeln!(problems, "expected, but not found: {wanted:?}")),
        }
    }
    for (line, finding) in open {
        let _ = writeln!(
            problems,
            "found, but not expected: line {line}: {:?} missing={} {:?} (at {})",
            finding.severity, finding.at.missing, finding.message, finding.at.pointer
        );
    }
    ensure!(problems.is_empty(), "{problems}");
    Ok(())
}

/// The input after the fixes of this class and of lower classes, repeated until nothing changes.
pub(crate) fn fix(case: &Case, input: &str, class: FixClass) -> Result<String> {
    let mut text = input.to_owned();
    for _ in 0..MAX_ROUNDS {
        let changed = Case {
            input: text.clone(),
            file: case.file.clone(),
            settings: case.settings.clone(),
            context: case.context.clone(),
            version: case.version.clone(),
            open: case.open,
            skipped: case.skipped,
            ..Case::default()
        };
        let bench = Bench::new(&changed, Site::Files)?;
        let mut edits: Vec<(usize, Vec<Edit>)> = Vec::new();
        for (index, document) in yaml::read(&text).into_iter().enumerate() {
            let document = document?;
            let mut object = document.value().clone();
            let mut of_document = Vec::new();
            for finding in bench.report(review(case, document.value())?)?.findings {
                let Some(fix) = finding.fix.filter(|fix| fix.class <= class) else { continue };
                if fix.edits.iter().all(|edit| of_document.contains(edit)) {
                    continue;
                }
                edit::apply(&mut object, &fix.edits)?;
                of_document.extend(fix.edits);
            }
            if !of_document.is_empty() {
                edits.push((index, of_document));
            }
        }
        if edits.is_empty() {
            return Ok(text);
        }
        let spliced = yaml::splice::apply(&text, &edits);
        if let Some(refusal) = spliced.refused.first() {
            bail!("the edit was refused: {}", refusal.reason);
        }
        ensure!(spliced.text != text, "the fix changes nothing: {edits:?}");
        text = spliced.text;
    }
    bail!("the fix does not converge:\n{text}")
}

/// The fix has removed its findings, and has caused no new one.
fn no_new_finding<'a>(
    case: &Case,
    fixed: &str,
    class: FixClass,
    before: impl Iterator<Item = &'a Finding>,
) -> Result<()> {
    let before: Vec<_> = before.collect();
    let changed = Case {
        input: fixed.to_owned(),
        file: case.file.clone(),
        settings: case.settings.clone(),
        context: case.context.clone(),
        version: case.version.clone(),
        open: case.open,
        skipped: case.skipped,
        ..Case::default()
    };
    let bench = Bench::new(&changed, Site::Files)?;
    for object in documents(fixed)? {
        for finding in bench.report(review(case, &object)?)?.findings {
            let known = before.iter().any(|old| {
                // A finding about several things may lose one of them, which changes its message.
                let is_rest = old.about.contains(&finding.at.full()) || old.at.full() == finding.at.full();
                old.at == finding.at && old.message == finding.message || is_rest && old.severity >= finding.severity
            });
            ensure!(known, "the fix makes a new finding: {}", finding.message);
            ensure!(finding.fix.as_ref().is_none_or(|fix| fix.class > class), "still there: {}", finding.message);
        }
    }
    Ok(())
}
