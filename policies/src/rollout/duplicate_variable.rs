use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;

/// Environment variables that stand twice in one container.
///
/// ## What it finds
/// `warning`: a name that is more than once in `env` of one container. It is found at the last one, which counts.
///
/// ## Why
/// The last one wins, so the others are read by nobody but people, who believe them. `kubectl apply` merges the list by name
/// and keeps what it happens to find; with `--server-side` the API server refuses it.
///
/// ## What to write
/// One of them. `--fix=unsafe` keeps the last.
#[policy(
    on = Workloads, severity = Warning, since = "0.1.0", stage = Source,
    edits = [
        "{template}/spec/containers/*/env/*",
        "{template}/spec/initContainers/*/env/*",
        "{template}/spec/ephemeralContainers/*/env/*",
    ],
    covers = ["rollout-env-duplicate"]
)]
pub fn duplicate_variable(review: &Review, findings: &mut Findings) {
    for container in review.containers() {
        let variables: Vec<_> = container
            .at("/env")
            .items()
            .filter_map(|at| Some((at.at("/name").as_str().filter(|name| !name.is_empty())?, at)))
            .collect();
        let mut numbers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, (name, _)) in variables.iter().enumerate() {
            numbers.entry(name).or_default().push(number);
        }
        let mut hidden: Vec<usize> =
            numbers.values().filter_map(|all| all.split_last()).flat_map(|(_, hidden)| hidden.to_vec()).collect();
        hidden.sort_unstable();
        let repeated = numbers.iter().filter(|(_, all)| all.len() > 1);
        for (position, (name, all)) in repeated.enumerate() {
            let Some((_, last)) = all.last().and_then(|last| variables.get(*last)) else { continue };
            let times = all.len();
            let times = if times == 2 { "twice".to_owned() } else { format!("{times} times") };
            let message = format!("{} has {name} {times} in env; this one, the last, counts", container.describe());
            let finding = findings.warning(last, message, "keep one of them");
            // One fix for all of the list, from its end, so that what is still to go keeps its place.
            if position == 0 {
                let fix = Fix::changing("keep the last of variables that stand there twice");
                let places = hidden.iter().rev().filter_map(|number| variables.get(*number));
                finding.fix(places.fold(fix, |fix, (_, at)| fix.remove(at)));
            }
        }
    }
}
