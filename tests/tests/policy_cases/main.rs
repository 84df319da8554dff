//! Every case of every built-in policy (docs/policy-cases.md): natively, as WebAssembly, fixed, mutated, and with the
//! defaults of a real API server. Also the findings of all policies after the advice of one is followed. Each case is a
//! named test. `PLIMSOLL_CASES=part of an id,another` selects policies. `PLIMSOLL_WRITE=1` writes the found results
//! into the cases.
#![allow(clippy::print_stdout, reason = "the test prints the number of comparisons")]

mod advice;
mod classes;
mod openapi;
mod refusals;
mod server;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};
use plimsoll::admission::decide;
use plimsoll::engine::BUILTIN;
use plimsoll::model::Review;
use plimsoll::registry::Site;
use plimsoll_cases::{Arguments, Bench, Case, Failed, Suite, Trial, admission_review, documents, review};
use plimsoll_sdk::metadata::Stage;
use serde_json::Value;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (cases, mut trials) = plimsoll_cases::trials(Ok(Suite {
        component: BUILTIN.to_vec(),
        metadata: plimsoll_policies::metadata(),
        run_policy: plimsoll_policies::run_policy,
        cases: Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/cases"),
    }));
    let are_all = arguments.filter.is_none()
        && arguments.skip.is_empty()
        && !arguments.list
        && std::env::var("PLIMSOLL_CASES").unwrap_or_default().is_empty();
    trials.extend(cases.iter().filter(|case| advice::is_followed(case)).map(|case| {
        let (name, case) = (format!("{} (advice)", case.name()), Arc::clone(case));
        Trial::test(name, move || shown(advice::follow(&case)))
    }));
    match std::env::var_os("PLIMSOLL_CASES_OFFLINE") {
        Some(_) => println!("the comparison with the API server was skipped (PLIMSOLL_CASES_OFFLINE)"),
        None => trials.push(Trial::test("all of these on the API server", move || shown(compare_all(&cases)))),
    }
    let conclusion = plimsoll_cases::run(&arguments, trials);
    let unused = if are_all && !conclusion.has_failed() { advice::unused() } else { Vec::new() };
    for line in &unused {
        println!("FAILED {line}");
    }
    if unused.is_empty() { conclusion.exit_code() } else { ExitCode::FAILURE }
}

fn shown(result: Result<()>) -> Result<(), Failed> {
    result.map_err(|error| Failed::from(format!("{error:#}")))
}

fn compare_all(cases: &[Arc<Case>]) -> Result<()> {
    let (compared, differences) = on_the_api_server(cases)?;
    ensure!(differences.is_empty(), "{}", differences.join("\n\n"));
    println!("{compared} objects, fixes and refusals are the same on the API server");
    Ok(())
}

/// Compares the findings of the input as the API server would store it with those of the file.
fn on_the_api_server(cases: &[Arc<Case>]) -> Result<(usize, Vec<String>)> {
    let mut wanted = Vec::new();
    for case in cases.iter().filter(|case| !case.rejected && !case.deleted) {
        for object in documents(&case.input)? {
            wanted.push((case.as_ref(), object));
        }
    }
    if wanted.is_empty() {
        return Ok((0, Vec::new()));
    }
    let texts: Vec<String> = wanted.iter().map(|(_, object)| object.to_string()).collect();
    let control_plane = server::control_plane()?;
    let openapi = openapi::OpenApi::read(control_plane)?;
    let answers = control_plane.defaulted_all(&texts)?;
    let (mut compared, mut differences) = server::says_it_itself(cases)?;
    let mut taken = Vec::new();
    for ((case, object), answer) in wanted.iter().zip(&answers) {
        let title = format!("{}: {} (on the API server)", case.file, case.title);
        if let Ok(stored) = answer {
            taken.push((*case, object, stored));
        }
        match answer {
            Err(refusal) if refusal.contains("no matches for kind") => {}
            Err(refusal) => differences.push(format!("{title}\nrefused; mark the case `rejected`: {refusal}")),
            Ok(stored) => {
                match places_exist(case, object, &openapi).and_then(|()| same_findings(case, object, stored)) {
                    Ok(()) => compared += 1,
                    Err(error) => differences.push(format!("{title}\n{error:#}")),
                }
            }
        }
    }
    let (kept, broken) = classes::compare(cases, control_plane)?;
    println!("{kept} fixes were compared after the API's defaults");
    differences.extend(broken);
    let (held, untrue) = refusals::compare(cases, control_plane)?;
    println!("{held} refusals were claimed, and happen");
    differences.extend(untrue);
    let (tried, unsaid) = server::takes_the_pods(&taken)?;
    differences.extend(unsaid);
    Ok((compared + kept + held + tried, differences))
}

/// Each place of a finding or of a fix exists in the schema of the kind.
fn places_exist(case: &Case, object: &Value, openapi: &openapi::OpenApi) -> Result<()> {
    for finding in Bench::new(case, Site::Files)?.report(review(case, object)?)?.findings {
        let edits = finding.fix.iter().flat_map(|fix| &fix.edits).map(|edit| edit.pointer().to_owned());
        for pointer in [finding.at.full()].into_iter().chain(finding.about.clone()).chain(edits) {
            ensure!(openapi.has(object, &pointer), "the API has no {pointer}");
        }
    }
    Ok(())
}

fn same_findings(case: &Case, object: &Value, stored: &Value) -> Result<()> {
    let bench = Bench::new(case, Site::Cluster)?;
    let keys = |review: Review| -> Result<Vec<String>> {
        let copy = review.clone();
        let report = bench.report(review)?;
        let key = |finding| {
            let key = decide::key(&case.file, finding, copy.object());
            // A value that is missing in the file and defaulted in the cluster has the same logical place.
            format!("{:?} {key} {}", finding.severity, finding.message)
        };
        let mut keys: Vec<String> = report.findings.iter().map(key).collect();
        keys.sort();
        Ok(keys)
    };
    let old = case.old.as_deref().map(documents).transpose()?.and_then(|old| old.into_iter().next());
    // kubectl filled in this namespace. It is not part of the case.
    let mut stored = stored.clone();
    if object.pointer("/metadata/namespace").is_none()
        && let Some(metadata) = stored.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.remove("namespace");
    }
    // A dry run gives each object a new uid, which the owner references of the case do not have.
    if let Some(uid) = object.pointer("/metadata/uid") {
        stored["metadata"]["uid"] = uid.clone();
    }
    let of_file = keys(review(case, object)?)?;
    let of_cluster = keys(admission_review(&stored, old.as_ref(), Some(object))?)?;
    if plimsoll_policies::POLICIES
        .iter()
        .any(|policy| policy.id == case.file && (policy.metadata)().stage == Stage::Source)
    {
        ensure!(of_cluster.is_empty(), "a policy for files only has findings in the cluster: {of_cluster:?}");
        return Ok(());
    }
    ensure!(of_file == of_cluster, "in the file {of_file:#?}\nin the cluster {of_cluster:#?}");
    Ok(())
}
