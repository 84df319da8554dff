//! The objects that exist: versions of one object, input that was not read, and paths on the command line.

use super::{Folder, Run};

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies:
  - {id: overlapping-disruption-budgets}
  - {id: shared-disruption-budget}
  - {id: dangling-disruption-budget, action: Deny}
  - {id: autoscaler-without-target}
  - {id: drain-deadlock}
  - {id: missing-disruption-budget, action: Warn}
  - {id: declared-twice, action: Warn}
";

fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(files);
    folder.write(".plimsoll.yaml", CONFIG);
    folder
}

/// A Deployment. `metadata` is the text of its members.
fn deployment(metadata: &str, replicas: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{{metadata}}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    \
         spec: {{containers: [{{name: app, image: app:1.4.2}}]}}\n"
    )
}

fn budget(metadata: &str, app: &str, rule: &str) -> String {
    format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{{metadata}}}\n\
         spec: {{{rule}, selector: {{matchLabels: {{app: {app}}}}}}}\n"
    )
}

fn autoscaler(metadata: &str, target: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{{metadata}}}\nspec:\n  minReplicas: 3\n  \
         maxReplicas: 5\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}\n"
    )
}

/// The policies of all findings, one entry for each finding.
fn found(run: &Run) -> Vec<&str> {
    let titles = run.out.lines().filter(|line| line.starts_with("error[") || line.starts_with("warning["));
    let mut found: Vec<&str> = titles.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0)).collect();
    found.sort_unstable();
    found
}

#[track_caller]
fn finds(run: &Run, expected: &[&str]) {
    assert_eq!(found(run), expected, "{}{}", run.out, run.err);
}

/// Both folders state the same namespace, so their objects belong together.
#[test]
fn one_object_in_two_folders_counts_once() {
    let (web, own) =
        (deployment("name: web, namespace: shop", 3), budget("name: web, namespace: shop", "web", "maxUnavailable: 1"));
    let more = deployment("name: web, namespace: shop", 5);
    let copies = folder(&[
        ("k/dev/web.yaml", &web),
        ("k/dev/budget.yaml", &own),
        ("k/prod/web.yaml", &more),
        ("k/prod/budget.yaml", &own),
        ("k/prod/eu/web.yaml", &more),
    ]);
    finds(&copies.check(&["k"]), &[]);
    // A problem of one version is reported only for that version.
    copies.write("k/prod/budget.yaml", &budget("name: web, namespace: shop", "web", "minAvailable: 5"));
    let run = copies.check(&["k"]);
    finds(&run, &["drain-deadlock"]);
    assert!(run.out.contains("--> k/prod/budget.yaml"), "{}", run.out);
    assert!(!run.out.contains("--> k/dev"), "{}", run.out);
    // Two budgets with different names are two objects.
    copies.write("k/prod/budget.yaml", &own);
    copies.write("k/dev/more.yaml", &budget("name: more, namespace: shop", "web", "maxUnavailable: 2"));
    assert!(found(&copies.check(&["k/dev"])).contains(&"overlapping-disruption-budgets"));
}

#[test]
fn an_object_that_a_folder_declares_twice() {
    let (web, more) = (deployment("name: web", 3), deployment("name: web", 4));
    let guard = budget("name: web", "web", "maxUnavailable: 1");
    let all = [web.as_str(), &more, &guard, &guard].join("---\n");
    let twice = folder(&[("k/web.yaml", &all)]);
    let run = twice.check(&["k"]);
    finds(&run, &["declared-twice"]);
    assert!(run.out.contains("here and in document 1 of this file: the one that is applied last"), "{}", run.out);
    let run = twice.pipe(&all, &["-"]);
    finds(&run, &["declared-twice"]);
    let files = folder(&[("k/a.yaml", &web), ("k/b.yaml", &more), ("k/c.yaml", &guard), ("k/dev/a.yaml", &web)]);
    let run = files.check(&["k"]);
    finds(&run, &["declared-twice"]);
    assert!(run.out.contains("here and in k/a.yaml:"), "{}", run.out);
    // The folders are named after environments.
    finds(&files.check(&["k/dev/a.yaml", "k/b.yaml"]), &[]);
}

/// Checks files of one folder, and compares the findings.
#[track_caller]
fn versions(files: &[(&str, &str)], expected: &[&str]) {
    finds(&folder(files).check(&["k"]), expected);
}

/// An object in the file of one version belongs to that version, under any name.
#[test]
fn a_file_with_a_version_keeps_what_belongs_to_it() {
    let shop = |name: &str| format!("name: {name}, namespace: shop");
    let (few, many) = (deployment(&shop("web"), 2), deployment(&shop("web"), 5));
    let (one, most) =
        (budget(&shop("web-dev"), "web", "maxUnavailable: 1"), budget(&shop("web-prod"), "web", "minAvailable: 2"));
    let joined = |parts: &[&str]| parts.join("---\n");
    let (dev, prod) = (joined(&[&few, &one]), joined(&[&many, &most]));
    versions(&[("k/dev.yaml", &dev), ("k/prod.yaml", &prod)], &["declared-twice"]);
    versions(&[("k/dev/all.yaml", &dev), ("k/prod/all.yaml", &prod)], &[]);
    versions(
        &[("k/dev/web.yaml", &few), ("k/dev/pdb.yaml", &one), ("k/prod/web.yaml", &many), ("k/prod/pdb.yaml", &most)],
        &[],
    );
    // The same with equal names, and with autoscalers.
    let scaled = |name: &str| autoscaler(&shop(name), "web");
    let (dev, prod) = (joined(&[&dev, &scaled("dev")]), joined(&[&prod, &scaled("prod")]));
    versions(&[("k/dev.yaml", &dev), ("k/prod.yaml", &prod)], &["declared-twice"]);
    let [dev, prod] = [dev, prod].map(|text| text.replace("web-dev", "web").replace("web-prod", "web"));
    versions(&[("k/dev.yaml", &dev), ("k/prod.yaml", &prod)], &["declared-twice"; 2]);
    // A problem of one version is found.
    let stuck = joined(&[&few, &budget(&shop("web-dev"), "web", "minAvailable: 2")]);
    versions(
        &[("k/dev.yaml", &stuck), ("k/prod.yaml", &joined(&[&many, &most]))],
        &["declared-twice", "drain-deadlock"],
    );
}

#[test]
fn what_belongs_to_no_version_meets_all() {
    let shop = |name: &str| format!("name: {name}, namespace: shop");
    let (few, many) = (deployment(&shop("web"), 2), deployment(&shop("web"), 5));
    let shared = budget(&shop("web"), "web", "minAvailable: 2");
    for (names, twice) in [(["k/dev.yaml", "k/prod.yaml"], true), (["k/dev/web.yaml", "k/prod/web.yaml"], false)] {
        let both = folder(&[(names[0], &few), (names[1], &many), ("k/pdb.yaml", &shared)]);
        let run = both.check(&["k"]);
        assert!(found(&run).contains(&"drain-deadlock"), "{}", run.out);
        assert!(run.out.contains(&format!("--> {}", names[0])), "{}", run.out);
        assert_eq!(found(&run).contains(&"declared-twice"), twice, "{}", run.out);
        assert!(!run.out.contains("[missing-disruption-budget]"), "{}", run.out);
    }
    // Two versions of a budget for one Deployment: each is judged with the Deployment.
    for (dev, prod) in [("minAvailable: 2", "maxUnavailable: 1"), ("maxUnavailable: 1", "minAvailable: 2")] {
        let (dev, prod) = (budget(&shop("web"), "web", dev), budget(&shop("web"), "web", prod));
        versions(
            &[("k/base.yaml", &few), ("k/dev-pdb.yaml", &dev), ("k/prod-pdb.yaml", &prod)],
            &["declared-twice", "drain-deadlock"],
        );
    }
    // If both versions have a budget, either may guard the Deployment, so there is no finding.
    let run =
        folder(&[("k/dev/web.yaml", &few), ("k/prod/web.yaml", &many), ("k/prod/pdb.yaml", &shared)]).check(&["k"]);
    finds(&run, &[]);
    assert!(run.out.contains("such an object stands beside another version of a workload"), "{}", run.out);
}

/// kubectl and Helm put objects without a namespace into the namespace of the others.
#[test]
fn objects_that_state_a_namespace_and_others_that_do_not_meet() {
    let one = folder(&[
        ("k/web.yaml", &deployment("name: web", 3)),
        ("k/budget.yaml", &budget("name: web, namespace: shop", "web", "minAvailable: 3")),
        ("k/scaling.yaml", &autoscaler("name: web, namespace: shop", "web")),
    ]);
    finds(&one.check(&["k"]), &["drain-deadlock"]);
    one.write("k/budget.yaml", &budget("name: web, namespace: shop", "web", "maxUnavailable: 1"));
    finds(&one.check(&["k"]), &[]);
    // If several namespaces are stated, the right one is unknown.
    one.write("k/bakery.yaml", &budget("name: oven, namespace: bakery", "web", "maxUnavailable: 1"));
    let run = one.check(&["k"]);
    finds(&run, &[]);
    assert!(run.out.contains("some objects of its folder state a namespace, and others state none"), "{}", run.out);
}

const TEMPLATE: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\n";

/// Input that was not read may contain the missing object. So there is no finding, and the reason is printed.
#[test]
fn nothing_is_concluded_from_what_was_not_read() {
    let guard = budget("name: web", "web", "maxUnavailable: 1");
    let extras = [("k/extras/scaling.yaml", &*autoscaler("name: web", "web")), ("k/extras/budget.yaml", &guard)];
    let alone = folder(&extras);
    finds(&alone.check(&["k"]), &["autoscaler-without-target", "dangling-disruption-budget"]);
    let broken = format!("{}spec: [\n", deployment("name: web", 3));
    for (files, reason) in [
        (
            &[("k/chart/Chart.yaml", "name: web\nversion: 0.1.0\n"), ("k/chart/templates/web.yaml", TEMPLATE)][..],
            "the Helm chart k/chart was passed over",
        ),
        (
            &[("k/chart/Chart.yaml", "name: web\ndependencies: [{name: web}]\n")],
            "the Helm chart k/chart was passed over",
        ),
        (
            &[
                ("k/base/kustomization.yaml", "resources: [web.yaml]\n"),
                ("k/base/web.yaml", &deployment("name: web", 3)),
            ],
            "the kustomization k/base was passed over",
        ),
        (
            &[("k/base/kustomization.yaml", "resources: ['https://example.com/x?ref=v1']\n")],
            "the kustomization k/base was passed over",
        ),
        (&[("k/web.yaml", &broken)], "k/web.yaml could not be read"),
        (&[("k/web.yaml", TEMPLATE)], "the template k/web.yaml was passed over"),
        (
            &[(
                "k/extras/bell.yaml",
                "apiVersion: monitoring.coreos.com/v1\nkind: Alertmanager\nmetadata: {name: bell}\n",
            )],
            "a controller may make such objects of Alertmanager bell",
        ),
    ] {
        let beside = folder(&extras);
        files.iter().for_each(|(name, text)| beside.write(name, text));
        let run = beside.check(&["k"]);
        finds(&run, &[]);
        for policy in ["autoscaler-without-target", "dangling-disruption-budget"] {
            let line = run.out.lines().find(|line| line.starts_with(&format!("skipped: {policy}")));
            assert!(line.is_some_and(|line| line.ends_with(reason)), "{policy}, {reason}: {}", run.out);
        }
    }
}

/// Input that can't contain the missing object does not open the world, so the finding stays.
#[test]
fn what_was_not_read_opens_the_world_for_what_it_may_hold() {
    let guard = budget("name: web", "web", "minAvailable: 3");
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\n";
    let chart = [("k/chart/Chart.yaml", "name: web\nversion: 0.1.0\n"), ("k/chart/templates/web.yaml", service)];
    let beside = folder(&chart);
    beside.write("k/extras/budget.yaml", &guard);
    finds(&beside.check(&["k"]), &["dangling-disruption-budget"]);
    beside.write("k/extras/web.yaml", &deployment("name: web", 3));
    // The chart's autoscaler belongs to the chart's own Deployment.
    beside.write("k/chart/templates/scaling.yaml", "kind: HorizontalPodAutoscaler\nname: {{ .x }}\n");
    let run = beside.check(&["k"]);
    finds(&run, &["drain-deadlock"]);
    assert_eq!(run.status, 1, "{}", run.out);
    // A selector is written for one workload, and the chart has its own.
    beside.write("k/chart/templates/set.yaml", "kind: StatefulSet\nname: {{ .x }}\n");
    assert_eq!(beside.check(&["k"]).status, 1);
    // A custom resource for configuration runs no Pods.
    let monitor = "apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: web}\n";
    let alone = folder(&[("k/budget.yaml", &guard), ("k/monitor.yaml", monitor)]);
    finds(&alone.check(&["k"]), &["dangling-disruption-budget"]);
}

#[test]
fn changed_files_are_judged_as_their_folder_is() {
    let blocked = folder(&[
        ("k/web.yaml", &deployment("name: web", 3)),
        ("k/budget.yaml", &budget("name: web", "web", "minAvailable: 3")),
        ("k/scaling.yaml", &autoscaler("name: gone", "gone")),
        ("k/broken.yaml", "apiVersion: v1\nkind: Secret\nmetadata: [\n"),
    ]);
    assert_eq!(blocked.check(&["k/budget.yaml"]).status, 0, "an open world");
    // The finding is reported at the changed file, and nothing about other files.
    for file in ["k/budget.yaml", "k/web.yaml"] {
        for arguments in [&["k", "--only", file, "k/deleted.yaml"][..], &["--only", file]] {
            let run = blocked.check(arguments);
            finds(&run, &["drain-deadlock"]);
            assert_eq!(run.status, 1, "{}{}", run.out, run.err);
            assert!(run.out.contains(&format!("--> {file}")) && run.out.contains("1 object in 1 file"), "{}", run.out);
        }
    }
    assert_eq!(blocked.check(&["k", "--only", "k/broken.yaml"]).status, 4);
    for (arguments, status) in [
        (&["k", "--only", "k/deleted.yaml"][..], 0),
        (&["k", "--only"], 3),
        (&["k", "--allow-empty", "--only"], 0),
        (&["k", "--only", "k"], 2),
    ] {
        let run = blocked.check(arguments);
        assert_eq!(run.status, status, "{arguments:?}: {}{}", run.out, run.err);
        let is_said = run.out.contains("1 file of `--only` does not exist, and counts as deleted");
        assert_eq!(is_said, arguments.contains(&"k/deleted.yaml"), "{arguments:?}: {}", run.out);
    }
    let report = blocked.json(&["k", "--only", "k/deleted.yaml", "./k/web.yaml"]);
    assert_eq!(report["summary"]["deleted"], serde_json::json!(["k/deleted.yaml"]));
    let run = blocked.check(&["k", "--only", "k"]);
    assert!(run.err.contains("`k` is a folder") && run.err.contains("plimsoll check k --only FILE"), "{}", run.err);
}

#[test]
fn a_broken_kustomization_is_an_error_at_its_place() {
    for (name, text, place) in [
        ("kustomization.yaml", "resources: [web.yaml\n", ":"),
        ("kustomization.yml", "resources: [web.yaml\n", ":"),
        ("Kustomization", "resources: [web.yaml\n", ":"),
        ("kustomization.yaml", "# {{ x }}\n\nresources: [web.yaml\n", ":"),
        ("kustomization.yaml", "- web.yaml\n", ":1:1"),
        ("Kustomization", "web.yaml\n", ":1:1"),
    ] {
        let broken = folder(&[(&format!("k/{name}"), text), ("k/web.yaml", &deployment("name: web", 1))]);
        let run = broken.check(&["k"]);
        assert_eq!(run.status, 4, "{text:?}: {}{}", run.out, run.err);
        assert!(run.out.contains(&format!("--> k/{name}{place}")), "{text:?}: {}", run.out);
        assert_eq!(run.out.matches("error: ").count(), 1, "{text:?}: {}", run.out);
        assert_eq!(run.out.contains("a kustomization must be a mapping"), place != ":", "{text:?}: {}", run.out);
        assert!(run.out.contains("1 file of kustomizations"), "{text:?}: {}", run.out);
    }
    // A file that is not text is an error, too.
    let binary = folder(&[("k/web.yaml", &deployment("name: web", 1))]);
    std::fs::write(binary.path("k/Kustomization"), b"resources: [\xff]\n").unwrap();
    let run = binary.check(&["k"]);
    assert!(run.status == 4 && run.out.contains("--> k/Kustomization:1:13"), "{}", run.out);
    // A template of one is none, and an empty one builds nothing.
    for (text, status) in [("resources: [{{ .Values.name }}.yaml]\n{{ end }}\n", 0), ("", 0), ("# empty\n", 0)] {
        let other = folder(&[("k/kustomization.yaml", text), ("k/web.yaml", &deployment("name: web", 1))]);
        let run = other.check(&["k", "--allow-empty"]);
        assert_eq!(run.status, status, "{text:?}: {}{}", run.out, run.err);
    }
}

#[test]
fn without_a_path_it_is_the_current_folder() {
    let own = folder(&[("k/budget.yaml", &budget("name: web", "web", "maxUnavailable: 1"))]);
    finds(&own.check(&[]), &["dangling-disruption-budget"]);
}

#[test]
fn a_fix_edits_changed_files_alone() {
    let own = Folder::new(&[("k/a.yaml", super::ESCALATES), ("k/b.yaml", super::ESCALATES)]);
    let before = own.read("k/b.yaml");
    own.check(&["k", "--fix=unsafe", "--only", "k/a.yaml"]);
    assert_ne!(own.read("k/a.yaml"), before);
    assert_eq!(own.read("k/b.yaml"), before);
}

#[test]
fn manifests_are_a_context() {
    let (web, guard) =
        (deployment("name: web, namespace: shop", 3), budget("name: web, namespace: shop", "web", "minAvailable: 3"));
    let both = folder(&[("k/web.yaml", &web), ("new/budget.yaml", &guard)]);
    finds(&both.check(&["new"]), &["dangling-disruption-budget"]);
    let run = both.check(&["new", "--context", "k"]);
    finds(&run, &["drain-deadlock"]);
    assert!(run.out.contains("1 object in 1 file"), "{}", run.out);
    // A checked object replaces the object of the same name in the context.
    both.write("new/web.yaml", &deployment("name: web, namespace: shop", 5));
    finds(&both.check(&["new", "--context", "k"]), &[]);
    let run = both.pipe(&guard, &["-", "--context", "k"]);
    finds(&run, &["drain-deadlock"]);
}

#[test]
fn patches_of_kustomize_are_no_objects() {
    let patch = deployment("name: web", 1).replace(", image: app:1.4.2", ", resources: {}");
    let whole = deployment("name: web", 3);
    let own = folder(&[
        ("k/a-shared/size.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 5}\n"),
        ("k/a-shared/whole.yaml", &whole),
        ("k/base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("k/base/web.yaml", &whole),
        (
            "k/prod/kustomization.yaml",
            "resources: [../base, ../a-shared/whole.yaml]\npatches: [{path: ../a-shared/size.yaml}]\n",
        ),
        ("k/other/patch.yaml", &patch),
        ("k/other/delete.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: old}\n$patch: delete\n"),
    ]);
    let run = own.check(&["k", "-v"]);
    assert!(run.out.contains("1 object in "), "the whole one: {}", run.out);
    assert!(run.out.contains("3 files with patches"), "{}", run.out);
    assert!(
        run.out.contains("k/a-shared/size.yaml has patches, which are no whole objects: check what applies them"),
        "{}",
        run.out
    );
    assert_eq!(own.check(&["k/other/patch.yaml"]).status, 3);
}
