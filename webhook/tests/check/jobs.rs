//! Jobs whose Pods many workloads select.

use super::Folder;

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: overlapping-workload-selectors, action: Warn}]
";

const JOB: &str = "\
apiVersion: batch/v1
kind: Job
metadata: {name: report}
spec:
  template:
    metadata: {labels: {app: many, job: report}}
    spec: {restartPolicy: Never, containers: [{name: app, image: app:1.4.2}]}
";

fn workloads(count: usize) -> String {
    let workload = |number: usize| {
        format!(
            "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: m{number}}}\nspec:\n  serviceName: m\n  \
             selector: {{matchLabels: {{app: many}}}}\n  template:\n    metadata: {{labels: {{app: many, own: m{number}}}}}\n    \
             spec: {{containers: [{{name: app, image: app:1.4.2}}]}}\n"
        )
    };
    (0..count).map(workload).collect()
}

/// The policy looks up the autoscalers of at most four workloads of a kind, and says so.
#[test]
fn what_is_not_asked_is_assumed() {
    let folder = Folder::new(&[("k/job.yaml", JOB), (".plimsoll.yaml", CONFIG)]);
    let assumed = |count: usize| {
        folder.write("k/many.yaml", &workloads(count));
        folder.json(&["k"])["assumed"].to_string()
    };
    assert!(!assumed(4).contains("no autoscaler scales"), "all four are asked for");
    let said = assumed(6);
    assert!(said.contains("no autoscaler scales 2 more workloads of kind StatefulSet that select its Pods"), "{said}");
}
