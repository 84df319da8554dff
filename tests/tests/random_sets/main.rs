//! Random sets of a workload, a budget, an autoscaler and a Service, compared with models of the controllers' code. The
//! models are written from these sources alone: `pkg/controller/disruption`, `ResolveFenceposts` of
//! `pkg/controller/deployment/util`, `calculateRequests` of `pkg/controller/podautoscaler`, `satisfyPodAntiAffinity` of
//! `pkg/scheduler/framework/plugins/interpodaffinity`, KEDA's `pkg/scaling/executor` and `controllers/keda`, and the
//! Pod Security Standards for Windows.

mod model;
mod set;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use plimsoll_tests::strict_report;

use set::Set;

const SETS: usize = 3000;

/// A policy that no profile enables.
const CONFIG: &str = "
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: random}
spec: {policies: [{id: missing-priority-class, action: Warn}]}
";

/// A random number generator with the same numbers in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap_or_default()].clone()
    }
}

#[test]
fn findings_are_what_the_controllers_do() -> Result<()> {
    let mut random = Random(20_261_129);
    let sets: Vec<Set> = (0..SETS).map(|_| Set::random(&mut random)).collect();
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(".plimsoll.yaml"), CONFIG)?;
    for (number, set) in sets.iter().enumerate() {
        let own = folder.path().join("k").join(number.to_string());
        std::fs::create_dir_all(&own)?;
        let text: String = set.objects(number).iter().map(|object| format!("{object}\n")).collect();
        std::fs::write(own.join("set.yaml"), text)?;
    }
    let report = strict_report(folder.path())?;
    let mut found = BTreeMap::<usize, Vec<(&str, &str, &str)>>::new();
    for finding in report["findings"].as_array().context("no findings")? {
        let text = |name: &str| finding[name].as_str().unwrap_or_default();
        let number = text("file").split('/').nth(1).and_then(|part| part.parse().ok()).context("a number")?;
        found.entry(number).or_default().push((text("policy"), text("severity"), text("message")));
    }
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::<(&str, bool), usize>::new());
    for (number, set) in sets.iter().enumerate() {
        let found = found.remove(&number).unwrap_or_default();
        let mut differs = |what: String| wrong.push(format!("{number}: {what}\n{set:?}\n{found:?}"));
        for (policy, is_expected) in set.expected() {
            *seen.entry((policy, is_expected)).or_default() += 1;
            if found.iter().any(|(found, ..)| *found == policy) != is_expected {
                differs(format!("{policy}: expected {is_expected}"));
            }
        }
        let expected = set.without_capacity();
        *seen.entry(("rollout-without-capacity", expected.is_some())).or_default() += 1;
        let said = found
            .iter()
            .find(|(policy, _, message)| *policy == "rollout-without-capacity" && message.contains("leaving 0"))
            .map(|(_, severity, _)| *severity);
        if said != expected {
            differs(format!("rollout-without-capacity: expected {expected:?}"));
        }
    }
    let count = wrong.len();
    ensure!(count == 0, "{count} differences, the first of them:\n{}", wrong[..count.min(5)].join("\n\n"));
    // A model that always gives the same answer proves nothing.
    ensure!(seen.len() == 22 && seen.values().all(|count| *count > 10), "{seen:?}");
    Ok(())
}
