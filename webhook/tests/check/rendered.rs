//! Charts and kustomizations in folders, and the commands that `check` prints for them.

use std::process::Command;

use super::{Folder, GOOD, LATEST};

const COMPONENT: &str = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [../shared]\n";

/// The lines about input that was not read.
fn passed_over(folder: &Folder) -> Vec<String> {
    let run = folder.check(&["k", "-v"]);
    run.out.lines().filter_map(|line| line.strip_prefix("passed over: ")).map(str::to_owned).collect()
}

fn kustomizations() -> Folder {
    Folder::new(&[
        ("k/app/base/kustomization.yaml", "resources: [pod.yaml]\n"),
        ("k/app/base/pod.yaml", LATEST),
        ("k/app/components/shared/kustomization.yaml", "resources: [pod.yaml]\n"),
        ("k/app/components/shared/pod.yaml", GOOD),
        ("k/app/components/tls/kustomization.yaml", COMPONENT),
        ("k/app/components/unused/kustomization.yaml", &COMPONENT.replace("../shared", "../../lonely")),
        ("k/app/lonely/Kustomization", "resources: [pod.yaml]\n"),
        ("k/app/lonely/pod.yaml", GOOD),
        ("k/app/my dev/kustomization.yml", "resources: [../base]\npatches: [{path: ../dev.yaml}]\n"),
        ("k/app/dev.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: front, namespace: shop, labels: {a: b}}\n"),
        ("k/app/prod/kustomization.yaml", "resources: [../base]\ncomponents: [../components/tls]\n"),
        ("k/app/west/kustomization.yaml", "resources: ['../my dev']\n"),
    ])
}

/// If kustomizations build each other, only the outermost ones have a command.
#[test]
fn only_roots_have_commands() {
    let folder = kustomizations();
    let expected = [
        "k/app/dev.yaml has patches, which are no whole objects: check what applies them",
        "k/app/base/pod.yaml belongs to a kustomization: check what that builds",
        "k/app/components/shared/pod.yaml belongs to a kustomization: check what that builds",
        "k/app/lonely/pod.yaml belongs to a kustomization: check what that builds",
        "k/app/base is a kustomize base that k/app/prod builds",
        "k/app/components/shared is a kustomize base that k/app/prod builds",
        "k/app/components/tls is a kustomize component that k/app/prod builds",
        "k/app/components/unused is a kustomize component; check what uses it",
        "k/app/lonely is a kustomization; run: kubectl kustomize k/app/lonely | plimsoll check -",
        "k/app/my dev is a kustomize base that k/app/west builds",
        "k/app/prod is a kustomization; run: kubectl kustomize k/app/prod | plimsoll check -",
        "k/app/west is a kustomization; run: kubectl kustomize --load-restrictor=LoadRestrictionsNone k/app/west | plimsoll check -",
        "3 kustomizations, 3 kustomize bases, 2 kustomize components, 1 file with patches, 3 files of kustomizations",
    ];
    assert_eq!(passed_over(&folder), expected);
    // A base with a single user needs no command of its own.
    let one = Folder::new(&[
        ("k/base/kustomization.yaml", "resources: [pod.yaml]\n"),
        ("k/prod/kustomization.yaml", "resources: [../base]\nhelmCharts: [{name: x}]\n"),
    ]);
    let run = one.check(&["k"]);
    let line =
        "passed over: k/prod is a kustomization; run: kubectl kustomize --enable-helm k/prod | plimsoll check -\n";
    assert!(run.out.contains(line), "{}", run.out);
}

/// Every file is judged, or listed as not read.
#[test]
fn what_no_kustomization_names_is_judged() {
    let generator =
        "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: a}\nfiles: [app.json=made/app.json]\n";
    let chart =
        "helmCharts: [{name: x, valuesFile: values.yaml}]\nconfigMapGenerator: [{name: b, files: [b=made/b.yaml]}]\n";
    let size = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 5}\n";
    let folder = Folder::new(&[
        ("k/kustomization.yaml", "resources: [named.yaml]\ngenerators: [made.yaml]\n"),
        ("k/named.yaml", LATEST),
        ("k/made.yaml", generator),
        ("k/made/app.json", "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}"),
        ("k/beside.yaml", LATEST),
        ("k/below/pod.yaml", LATEST),
        ("k/below/other.yaml", "a: b\n"),
        ("k/below/size.yaml", size),
        ("k/below/far.yaml", GOOD),
        ("k/prod/kustomization.yaml", &format!("resources: [../below/far.yaml]\n{chart}")),
        ("k/prod/values.yaml", "kind: x\n"),
        ("k/prod/made/b.yaml", LATEST),
        ("k/prod/pod.yaml", LATEST),
        ("k/unread/kustomization.yaml", "resources: [{{ .x }}\n"),
        ("k/unread/pod.yaml", LATEST),
    ]);
    let report = folder.json(&["k"]);
    let list = |member: &str| {
        let items = report["summary"][member].as_array().unwrap().iter();
        items.map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let named = [
        "k/below/far.yaml",
        "k/made/app.json",
        "k/made.yaml",
        "k/named.yaml",
        "k/prod/made/b.yaml",
        "k/prod/values.yaml",
        "k/unread/pod.yaml",
    ];
    let mut files = list("passedOverFiles");
    files.sort();
    let mut expected = named.map(str::to_owned);
    expected.sort();
    assert_eq!(files, expected);
    assert_eq!(list("passedOverPatches"), ["k/below/size.yaml"]);
    assert_eq!(report["summary"]["otherDocuments"], 1);
    assert_eq!(report["summary"]["objects"], 3);
    let mut found: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|it| it["file"].as_str().unwrap()).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, ["k/below/pod.yaml", "k/beside.yaml", "k/prod/pod.yaml"]);
    // A file on the command line is judged in any case.
    let both = folder.json(&["k", "k/named.yaml"]);
    assert_eq!(both["summary"]["objects"], 4);
    assert_eq!(both["summary"]["passedOverFiles"].as_array().unwrap().len(), 6);
    let only = folder.json(&["k", "--only", "k/beside.yaml", "k/named.yaml"]);
    assert_eq!(
        (&only["summary"]["objects"], &only["summary"]["passedOverFiles"]),
        (&1.into(), &["k/named.yaml"][..].into())
    );
}

/// A kind that occurs only in judged files is completely known.
#[test]
fn what_is_judged_beside_a_kustomization_is_known() {
    let scaled = |name: &str| {
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  \
             maxReplicas: 5\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}\n"
        )
    };
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 3\n  selector: {matchLabels: {app: web}}\n  \
         template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: app, image: app:1.4.2}]}\n";
    let folder = Folder::new(&[
        ("k/kustomization.yaml", "resources: [settings.yaml]\n"),
        ("k/settings.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"),
        ("k/web.yaml", web),
        ("k/scaling.yaml", &scaled("gone")),
    ]);
    let finds =
        |folder: &Folder| folder.check(&["k", "--profile", "default"]).out.contains("[autoscaler-without-target]");
    assert!(finds(&folder));
    folder.write("k/kustomization.yaml", "resources: [settings.yaml, web.yaml]\n");
    assert!(!finds(&folder), "the kustomization may rename it");
}

#[test]
fn a_circle_of_kustomizations_ends() {
    let folder = Folder::new(&[
        ("k/a/kustomization.yaml", "resources: [../b, .]\n"),
        ("k/b/kustomization.yaml", "resources: [../a, ../nowhere, 'https://example.com/x?ref=1']\n"),
        ("k/c/kustomization.yaml", "resources: {a: ['b']}\n"),
        ("k/d/kustomization.yaml", "resources: [{{ .x }}\n"),
    ]);
    let lines = passed_over(&folder);
    let commands: Vec<&str> = lines.iter().filter_map(|line| line.split_once("kustomize k/")).map(|it| it.1).collect();
    assert_eq!(commands, ["a | plimsoll check -", "c | plimsoll check -", "d | plimsoll check -"]);
}

/// A file of Flux is a manifest under any name.
#[test]
fn a_kustomization_of_flux_is_an_object() {
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a, namespace: flux-system}\n";
    let folder = Folder::new(&[("k/kustomization.yaml", flux), ("k/pod.yaml", LATEST)]);
    let run = folder.check(&["k"]);
    assert!(run.out.contains("2 objects in 2 files: 1 denied") && !run.out.contains("passed over"), "{}", run.out);
}

fn chart(name: &str, more: &str) -> String {
    format!("apiVersion: v2\nname: {name}\nversion: 1.2.3\n{more}")
}

fn charts() -> Folder {
    let dependency =
        |name: &str| format!("dependencies: [{{name: {name}, version: 1.2.3, repository: 'file://../{name}'}}]\n");
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Release.Name }}}\n";
    Folder::new(&[
        ("k/held/Chart.yaml", &chart("held", &dependency("plain"))),
        ("k/held/charts/plain/Chart.yaml", &chart("plain", "")),
        ("k/it's held/Chart.yaml", &chart("packed", &dependency("plain"))),
        ("k/it's held/charts/plain-1.2.3.tgz", ""),
        ("k/lacks/Chart.yaml", &chart("lacks", &dependency("plain"))),
        ("k/lacks/charts/plain-and-more-1.2.3.tgz", ""),
        ("k/lib/Chart.yaml", &chart("lib", "type: library\n")),
        ("k/my old/Chart.yaml", &chart("old", "").replace("v2", "v1")),
        ("k/my old/requirements.yaml", &dependency("plain")),
        ("k/plain/Chart.yaml", &chart("plain", "")),
        ("k/plain/templates/pod.yaml", pod),
    ])
}

#[test]
fn charts_get_what_they_depend_on() {
    let expected = [
        "k/held is a Helm chart; run: helm template k/held | plimsoll check -",
        r"k/it's held is a Helm chart; run: helm template 'k/it'\''s held' | plimsoll check -",
        "k/lacks is a Helm chart; run: helm dependency build k/lacks && helm template k/lacks | plimsoll check -",
        "k/lib is a library chart; check what uses it",
        "k/my old is a Helm chart; run: helm dependency build 'k/my old' && helm template 'k/my old' | plimsoll check -",
        "k/plain is a Helm chart; run: helm template k/plain | plimsoll check -",
        "5 Helm charts, 1 library chart",
    ];
    assert_eq!(passed_over(&charts()), expected);
}

/// A link must not reveal the content of other files, not even in a printed command.
#[test]
fn links_out_of_the_folder_decide_nothing() {
    let folder = Folder::new(&[("lib.yaml", "type: library\n"), ("k/pod.yaml", GOOD)]);
    std::fs::create_dir(folder.path("k/chart")).unwrap();
    std::os::unix::fs::symlink("../../lib.yaml", folder.path("k/chart/Chart.yaml")).unwrap();
    assert_eq!(passed_over(&folder)[0], "k/chart is a Helm chart; run: helm template k/chart | plimsoll check -");
}

/// Each printed command works. The test needs kubectl and helm in the search path.
#[test]
fn printed_commands_work() {
    let has = |tool: &str| Command::new(tool).arg("help").output().is_ok_and(|output| output.status.success());
    for (tool, folder, count) in [("kubectl", kustomizations(), 3), ("helm", charts(), 4)] {
        if !has(tool) {
            eprintln!("skipped: there is no {tool} in the search path");
            continue;
        }
        // Their archives are empty.
        for archives in ["k/it's held", "k/lacks/charts"] {
            let _ = std::fs::remove_dir_all(folder.path(archives));
        }
        let lines = passed_over(&folder);
        let commands: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once("; run: ")?.1)).collect();
        assert_eq!(commands.len(), count, "{commands:?}");
        for command in commands {
            let command = command.strip_suffix(" | plimsoll check -").unwrap();
            let run = Command::new("sh").args(["-c", command]).current_dir(folder.path("")).output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
            assert!(
                run.status.success() && out.contains("kind: Pod") || command.ends_with("k/held"),
                "{command}: {err}"
            );
        }
    }
}
