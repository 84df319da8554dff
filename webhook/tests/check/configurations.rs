//! The configuration that applies to a path, and kinds that it declares.

use super::Folder;

const POLICIES: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: latest-image-tag, action: Deny}, {id: autoscaler-without-target}]
";

const SETS: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: CheckConfiguration
metadata: {name: paths}
spec: {sets: [apps], exclude: [old]}
";

const LATEST: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: app, image: app:latest}]}
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: app:1.4.2}]}
";

const AUTOSCALER: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {maxReplicas: 5, minReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
";

/// The configuration of the second path counts too, in either order.
#[test]
fn each_path_has_its_own() {
    let folder = Folder::new(&[
        (".plimsoll.yaml", POLICIES),
        ("one/.plimsoll.yaml", SETS),
        ("one/apps/a/web.yaml", DEPLOYMENT),
        ("one/apps/b/scaling.yaml", AUTOSCALER),
        ("one/old/latest.yaml", LATEST),
        ("two/.plimsoll.yaml", SETS),
        ("two/apps/a/web.yaml", DEPLOYMENT),
        ("two/apps/b/scaling.yaml", AUTOSCALER),
        ("two/old/latest.yaml", LATEST),
        ("three/web.yaml", DEPLOYMENT),
    ]);
    for paths in [["one", "two"], ["two", "one"], ["three", "two"], ["two", "three"]] {
        let run = folder.check(&paths);
        // The folders of `apps` are applied together, and excluded paths are skipped.
        let says = |text: &str| run.out.contains(text);
        assert!(!says("autoscaler-without-target") && !says("old/latest.yaml"), "{paths:?}: {}{}", run.out, run.err);
        assert!(says("objects in"), "{paths:?}: {}{}", run.out, run.err);
    }
}

/// A run has one set of policies, so two files with policies are an error, in either order.
#[test]
fn two_with_policies_are_refused() {
    let folder = Folder::new(&[
        ("one/.plimsoll.yaml", POLICIES),
        ("one/pod.yaml", LATEST),
        ("two/.plimsoll.yaml", POLICIES),
        ("two/pod.yaml", LATEST),
        ("paths/.plimsoll.yaml", SETS),
        ("paths/pod.yaml", LATEST),
    ]);
    for paths in [["one", "two"], ["two", "one"], ["one/pod.yaml", "two/pod.yaml"]] {
        let run = folder.check(&paths);
        let says = run.err.contains("two configurations with policies") && run.err.contains("one/.plimsoll.yaml");
        assert!(run.status == 2 && says && run.err.contains("--config"), "{}{}", run.out, run.err);
    }
    // A file without policies does not conflict. `--config` takes precedence.
    assert!(folder.check(&["paths", "one"]).out.contains("2 denied"));
    assert!(folder.check(&["one", "two", "--config", "one/.plimsoll.yaml"]).out.contains("2 denied"));
    assert!(folder.check(&["one", "one/pod.yaml"]).out.contains("1 denied"), "the same file twice is one");
}

const FLEETS: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: latest-image-tag, action: Deny}, {id: unserved-kind}]
  workloads:
  - {group: fleets.example, kind: Fleet, template: /spec/crew/template}
  - {group: ray.io, kind: RayCluster, template: /spec/headGroupSpec/template}
  - {group: ray.io, kind: RayCluster, template: /spec/workerGroupSpecs/*/template}
";

/// A pointer that matches nothing in an object is reported, and the object does not count as judged.
#[test]
fn a_pointer_that_matches_nothing_is_said() {
    let template = "template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: app:latest}]}}";
    let fleet =
        |spec: &str| format!("apiVersion: fleets.example/v1\nkind: Fleet\nmetadata: {{name: web}}\nspec: {{{spec}}}\n");
    let rays =
        |spec: &str| format!("apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {{name: web}}\nspec: {{{spec}}}\n");
    let folder = Folder::new(&[("web.yaml", &fleet(template)), (".plimsoll.yaml", FLEETS)]);
    let run = folder.check(&["web.yaml"]);
    let says =
        "there is no pod template at /spec/crew/template, where `workloads` of the configuration says that it is";
    assert!(run.out.contains("skipped") && run.out.contains(says), "{}{}", run.out, run.err);
    assert!(run.out.contains("latest-image-tag"), "{}", run.out);
    folder.write("web.yaml", &fleet(&format!("crew: {{{template}}}")));
    let run = folder.check(&["web.yaml"]);
    assert!(run.out.contains("1 denied") && !run.out.contains("there is no pod template"), "{}", run.out);
    // One of several pointers is enough, because a cluster may have no workers.
    folder.write("web.yaml", &rays(&format!("headGroupSpec: {{{template}}}")));
    let run = folder.check(&["web.yaml"]);
    assert!(run.out.contains("1 denied") && !run.out.contains("there is no pod template"), "{}", run.out);
    folder.write("web.yaml", &rays(&format!("head: {{{template}}}")));
    let says = "at /spec/headGroupSpec/template or /spec/workerGroupSpecs/*/template";
    assert!(folder.check(&["web.yaml"]).out.contains(says));
}

/// A skipped policy names only reasons about kinds that it uses itself.
#[test]
fn reasons_belong_to_their_policy() {
    let broken = |kind: &str, version: &str| format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web\n");
    let policies = POLICIES
        .replace("policies: [", "policies: [{id: missing-disruption-budget}, {id: overlapping-workload-selectors}, ");
    let folder = Folder::new(&[
        (".plimsoll.yaml", &policies),
        ("k/web.yaml", &DEPLOYMENT.replace("spec:\n  selector", "spec:\n  replicas: 3\n  selector")),
        ("k/a.yaml", &broken("PodDisruptionBudget", "policy/v1")),
        ("k/b.yaml", &broken("StatefulSet", "apps/v1")),
    ]);
    let report = folder.json(&["k"]);
    let reason = |policy: &str| {
        let all = report["skipped"].as_array().unwrap().iter();
        all.filter(|skipped| skipped["policy"] == policy).map(|skipped| skipped.to_string()).collect::<String>()
    };
    let overlapping = reason("overlapping-workload-selectors");
    assert!(overlapping.contains("k/b.yaml") && !overlapping.contains("k/a.yaml"), "{report}");
    let missing = reason("missing-disruption-budget");
    assert!(missing.contains("k/a.yaml") && !missing.contains("k/b.yaml"), "{report}");
}
