use std::collections::BTreeMap;

use plimsoll_sdk::prelude::*;

/// Environment variables that appear twice in one container.
///
/// ## What it finds
/// `warning`: a name appears more than once in `env` of one container. The finding appears at the last one, which
/// counts.
///
/// ## Why
/// The last value wins, and a reader may believe one of the others. `kubectl apply` merges the list by name, so the
/// result is hard to predict. With `--server-side` the API server rejects the list.
///
/// ## What to write
/// One of them. `--fix=unsafe` keeps the last one.
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
            let message = format!("{} has {name} {times} in env: only this last value counts", container.describe());
            let finding = findings.warning(last, message, format!("keep one entry of {name}"));
            // One fix covers the whole list. It removes from the end, so that the earlier positions stay valid.
            if position == 0 {
                let fix = Fix::changing("Remove all but the last value of each repeated variable");
                let places = hidden.iter().rev().filter_map(|number| variables.get(*number));
                finding.fix(places.fold(fix, |fix, (_, at)| fix.remove(at)));
            }
        }
    }
}
