//! Whole repositories with files of all kinds.

use serde_json::json;

use super::{CONFIG, ESCALATES, Folder, GOOD, LATEST, schema_of};

const TEMPLATE: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Values.name }}
spec:
  {{- if .Values.host }}
  hostNetwork: true
  {{- end }}
  containers: [{name: app, image: nginx}]
";

#[test]
fn templates_in_folders_are_passed_over() {
    let good = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n";
    let folder = Folder::new(&[
        ("k/web.yaml", LATEST),
        ("k/template.yaml", TEMPLATE),
        ("k/mixed.yaml", &format!("{good}{TEMPLATE}")),
    ]);
    let run = folder.check(&["k"]);
    assert!(run.out.contains("passed over: 2 templates; `--verbose` lists them\n") && run.status == 1, "{}", run.out);
    assert!(folder.check(&["k", "-v"]).out.contains("passed over: k/template.yaml is a template: render it"));
    let report = folder.json(&["k"]);
    schema_of(&report);
    assert_eq!(report["summary"]["passedOverTemplates"], json!(["k/mixed.yaml", "k/template.yaml"]));
    assert_eq!((&report["errors"], &report["summary"]["objects"]), (&json!([]), &json!(1)));
    // A file on the command line is read.
    let run = folder.check(&["k/template.yaml"]);
    assert!(run.status == 4 && run.out.contains("render it first"), "{}", run.out);
}

/// Double braces in one place do not excuse an error in another place.
#[test]
fn a_broken_manifest_is_no_template() {
    let alert = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  alert: 'of {{ $labels.pod }}'\n  a: [\n  b: c\n";
    for text in [alert, &format!("# {{{{ not here }}}}\n{}", ESCALATES.replace("spec:", "spec: ["))] {
        let folder = Folder::new(&[("k/a.yaml", text)]);
        let run = folder.check(&["k"]);
        assert!(run.status == 4 && !run.out.contains("template;"), "{}", run.out);
    }
}

/// Most files with these endings belong to other tools.
#[test]
fn what_is_broken_and_no_manifest_is_counted() {
    let files = [
        ("k/web.yaml", LATEST),
        ("k/data.json", "{\"rating\": 5}\n{\"rating\": 4}\n"),
        ("k/tsconfig.json", "{\n  // of the front\n  \"strict\": true,\n}\n"),
        ("k/site.yml", "emoji: !!python/name:twemoji\na: [\n"),
    ];
    let folder = Folder::new(&files);
    let run = folder.check(&["k"]);
    let line = "documents without a Kubernetes object\n1 object in 4 files: 1 denied";
    assert!(run.status == 1 && run.out.contains(line), "{}", run.out);
    assert_eq!(folder.json(&["k"])["errors"], json!([]));
    // A file on the command line must be a manifest. A file that may be a manifest counts as one.
    assert_eq!(folder.check(&["k/site.yml"]).status, 4);
    for broken in ["{\"kind\": [", "{\"\\u006bind\": ["] {
        folder.write("k/pod.json", broken);
        assert_eq!(folder.check(&["k"]).status, 4, "{broken}");
    }
}

/// Go and npm reserve these names for files that are never applied.
#[test]
fn test_data_is_excluded_unless_it_is_named() {
    let folder = Folder::new(&[
        ("k/good.yaml", GOOD),
        ("k/pkg/testdata/in/web.yaml", LATEST),
        ("k/node_modules/a/web.yaml", LATEST),
        ("k/pkg/testdata.yaml", GOOD),
    ]);
    let run = folder.check(&["k", "-v"]);
    assert!(run.status == 0 && run.out.contains("2 objects in 2 files: "), "{}", run.out);
    for path in ["k/node_modules", "k/pkg/testdata"] {
        assert!(run.out.contains(&format!("passed over: {path} is excluded\n")), "{}", run.out);
        assert_eq!(folder.check(&[path]).status, 1);
        assert_eq!(folder.check(&["k", path]).status, 1);
    }
    assert_eq!(folder.check(&["k/pkg/testdata/in"]).status, 1);
}

#[test]
fn excluded_paths_are_not_read() {
    let folder = Folder::new(&[
        ("k/web.yaml", LATEST),
        ("k/vendor/broken.yaml", "kind: ["),
        ("k/a/vendor/broken.yaml", "kind: ["),
        ("k/a/x.tpl.yaml", "kind: ["),
    ]);
    assert_eq!(folder.check(&["k"]).status, 4);
    let run = folder.check(&["k", "--exclude", "vendor/", "--exclude=*.tpl.yaml"]);
    assert!(run.status == 1 && run.out.contains("passed over: 3 excluded paths; `--verbose`"), "{}", run.out);
    // On the command line, a path starts from the current folder. In a configuration, it starts from the folder of the
    // file.
    assert_eq!(folder.check(&["k", "--exclude=k/vendor", "--exclude=k/a/**"]).status, 1);
    assert_eq!(folder.check(&["k", "--exclude=vendor", "--exclude=a/*.tpl.yaml"]).status, 4);
    let check = "apiVersion: plimsoll.dev/v1alpha1\nkind: CheckConfiguration\nmetadata: {name: r}\nspec:\n  exclude: [vendor, a/*.tpl.yaml]\n";
    folder.write("k/.plimsoll.yaml", &format!("{CONFIG}---\n{check}"));
    let report = folder.json(&["k"]);
    schema_of(&report);
    assert_eq!(report["summary"]["excluded"], json!(["k/a/vendor", "k/a/x.tpl.yaml", "k/vendor"]));
    assert_eq!(folder.check(&["k"]).status, 1);
    // A path on the command line is read.
    assert_eq!(folder.check(&["k/vendor/broken.yaml", "--config=k/.plimsoll.yaml"]).status, 4);
    let run = folder.check(&["k", "--exclude=a["]);
    assert!(run.status == 2 && run.err.contains("`a[` is no pattern of paths"), "{}", run.err);
}

#[test]
fn a_configuration_names_sets() {
    let deployment = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: app, image: app:1.4.2}}]}}\n"
        )
    };
    let folder =
        Folder::new(&[("apps/a/one/web.yaml", &deployment("web")), ("apps/a/two/shop.yaml", &deployment("shop"))]);
    let config = CONFIG.replace("latest-image-tag", "overlapping-workload-selectors");
    folder.write(".plimsoll.yaml", &config);
    assert_eq!(folder.check(&["apps"]).status, 0);
    let sets = "---\napiVersion: plimsoll.dev/v1alpha1\nkind: CheckConfiguration\nmetadata: {name: r}\nspec: {sets: ['apps/*']}\n";
    folder.write(".plimsoll.yaml", &format!("{config}{sets}"));
    let run = folder.check(&["apps"]);
    assert!(run.status == 1 && run.out.contains("[overlapping-workload-selectors]"), "{}", run.out);
}

#[test]
fn many_findings_begin_with_a_table() {
    let pods = |count: usize| (0..count).map(|_| format!("---\n{LATEST}")).collect::<String>();
    let folder = Folder::new(&[("few.yaml", &pods(10)), ("many.yaml", &pods(11))]);
    assert!(folder.check(&["few.yaml"]).out.starts_with("error["));
    let run = folder.check(&["many.yaml"]);
    let table = "denied  warned  recorded  policy\n    11       0         0  latest-image-tag\n\nerror[";
    assert!(run.out.starts_with(table), "{}", run.out);
    assert!(
        run.out.ends_with("\n11 objects in 1 file: 11 denied, 0 warned, 0 recorded\nThe cluster would deny this.\n")
    );
    assert!(!folder.check(&["many.yaml", "-q"]).out.contains("warned  recorded"));
}
