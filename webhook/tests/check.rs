//! `plimsoll check` as users run it: the real binary on files, in an empty environment.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[cfg(unix)]
#[path = "check/bounds.rs"]
mod bounds;
#[path = "check/configurations.rs"]
mod configurations;
#[path = "check/fixes.rs"]
mod fixes;
#[path = "check/ignores.rs"]
mod ignores;
#[path = "check/jobs.rs"]
mod jobs;
#[cfg(unix)]
#[path = "check/links.rs"]
mod links;
#[cfg(feature = "manifest")]
#[path = "check/manifest.rs"]
mod manifest;
#[path = "check/monitors.rs"]
mod monitors;
#[cfg(unix)]
#[path = "check/pages.rs"]
mod pages;
#[cfg(unix)]
#[path = "check/rendered.rs"]
mod rendered;
#[cfg(unix)]
#[path = "check/sets.rs"]
mod sets;
#[cfg(unix)]
#[path = "check/terminals.rs"]
mod terminals;
#[path = "check/unnamed.rs"]
mod unnamed;
#[cfg(unix)]
#[path = "check/whole.rs"]
mod whole;
#[cfg(unix)]
#[path = "check/worlds.rs"]
mod worlds;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A Deployment without any finding under [`CONFIG`].
const GOOD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: good}
spec:
  containers:
  - name: app
    image: app:1.4.2
    securityContext: {allowPrivilegeEscalation: false}
";

const LATEST: &str = "\
# The shop's front.
apiVersion: v1
kind: Pod
metadata:
  name: front   # named by marketing
  namespace: shop
spec:
  containers:
    # An image without a tag.
    - name: app
      image: nginx
      securityContext:
        allowPrivilegeEscalation: false
";

const ESCALATES: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: escalates}
spec:
  containers:
  - name: app   # the only one
    image: 'app:1.4.2'

  # the end
  restartPolicy: Always
";

/// The same manifest after `--fix`.
const FIXED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: escalates}
spec:
  containers:
  - name: app   # the only one
    image: 'app:1.4.2'
    securityContext:
      allowPrivilegeEscalation: false

  # the end
  restartPolicy: Always
";

/// A configuration with two policies, so new policies don't change these tests.
const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  mode: observe
  policies:
  - {id: latest-image-tag, action: Deny}
  - {id: privilege-escalation, action: Warn}
";

/// The root folder of a repository with a configuration.
struct Folder(TempDir);

struct Run {
    status: i32,
    out: String,
    err: String,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        // Folders above the repository are not searched.
        fs::create_dir(folder.path(".git")).unwrap();
        folder.write(".plimsoll.yaml", CONFIG);
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn check(&self, arguments: &[&str]) -> Run {
        self.pipe("", arguments)
    }

    fn pipe(&self, stdin: &str, arguments: &[&str]) -> Run {
        plimsoll(self.0.path(), stdin, &[&["check"], arguments].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let run = self.check(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}{}", run.out, run.err))
    }
}

fn plimsoll(folder: &Path, stdin: &str, arguments: &[&str]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The write fails if the program does not read its standard input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn a_report_for_people() {
    let folder = Folder::new(&[("k8s/front.yaml", LATEST), ("k8s/b.yaml", ESCALATES), ("k8s/values.yaml", "a: 1\n")]);
    let run = folder.check(&["k8s"]);
    assert_eq!(run.err, "");
    let expected = "\
warning[privilege-escalation]: allowPrivilegeEscalation of container \"app\" is not set (default: true): its processes may gain privileges through setuid programs
 --> k8s/b.yaml:6:5
  |
6 |   - name: app   # the only one
  |     ^^^^^^^^^
  |
  = note: Pod escalates at /spec/containers/0/securityContext/allowPrivilegeEscalation
  = help: write securityContext.allowPrivilegeEscalation: false in the container
  = help: `--fix=hardening`: Set allowPrivilegeEscalation of container \"app\" to false

error[latest-image-tag]: the image of container \"app\" has no tag, so it is `latest`: every push changes what new Pods run
  --> k8s/front.yaml:11:14
   |
11 |       image: nginx
   |              ^^^^^
   |
   = note: Pod shop/front at /spec/containers/0/image
   = help: write a tag that never moves, such as :1.4.2, or a digest (@sha256:…)

passed over: 1 document without a Kubernetes object
2 objects in 3 files: 1 denied, 1 warned, 0 recorded
The cluster would deny this.
";
    assert_eq!(run.out, expected);
    assert_eq!(run.status, 1);
    assert!(!folder.check(&["k8s", "--quiet"]).out.contains("warning["), "a warning fails nothing");
    assert_eq!(folder.check(&["k8s/b.yaml", "-q"]).out, "");
    assert!(folder.check(&["k8s/b.yaml", "-q", "--max-warnings=0"]).out.contains("warning["));
    assert!(folder.check(&["k8s", "--color=always"]).out.contains("\u{1b}["));
}

#[test]
fn exit_statuses() {
    // So many containers use up the fuel of a policy.
    let containers: Vec<_> = (0..150_000).map(|index| format!(r#"{{"name":"c{index}","image":"a:1"}}"#)).collect();
    let huge = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"huge"}},"spec":{{"containers":[{}]}}}}"#,
        containers.join(",")
    );
    let folder = Folder::new(&[
        ("good.yaml", GOOD),
        ("latest.yaml", LATEST),
        ("warned.yaml", ESCALATES),
        ("broken.yaml", "a: [\n"),
        ("other.yaml", "a: 1\n"),
        ("huge.json", &huge),
        ("wrong.yaml", &CONFIG.replace("mode", "mdoe")),
        ("old.yaml", &CONFIG.replace("mode: observe", "policiesAsOf: \"0.0\"")),
    ]);
    let cases: &[(i32, &[&str])] = &[
        (0, &["good.yaml"]),
        (0, &["warned.yaml"]),
        (1, &["warned.yaml", "--fail-on=warn"]),
        (1, &["warned.yaml", "--max-warnings=0"]),
        (0, &["warned.yaml", "--max-warnings=1"]),
        (0, &["warned.yaml", "--max-warnings=0", "--exit-zero"]),
        (1, &["latest.yaml"]),
        (0, &["latest.yaml", "--exit-zero"]),
        (0, &["latest.yaml", "--config=old.yaml"]),
        (1, &["latest.yaml", "--config=old.yaml", "--fail-on=audit"]),
        (2, &["nowhere.yaml", "broken.yaml"]),
        (2, &["good.yaml", "--config=wrong.yaml"]),
        (2, &["good.yaml", "--config=nowhere.yaml"]),
        (2, &["good.yaml", "--profile=strictest"]),
        (2, &["good.yaml", "--kubernetes-version=new"]),
        (2, &["good.yaml", "--format=xml"]),
        (2, &["good.yaml", "--format=human", "--format=json"]),
        (2, &["good.yaml", "--format=json=no/such/folder.json"]),
        (2, &["good.yaml", "--unknown"]),
        (2, &["--only", "."]),
        (3, &["other.yaml"]),
        (0, &["other.yaml", "--allow-empty"]),
        (4, &["broken.yaml", "--allow-empty"]),
        (4, &["broken.yaml", "latest.yaml"]),
        (4, &["broken.yaml", "latest.yaml", "--exit-zero"]),
        (5, &["huge.json", "broken.yaml", "latest.yaml"]),
    ];
    for (status, arguments) in cases {
        let run = folder.check(arguments);
        assert_eq!(run.status, *status, "{arguments:?}\n{}{}", run.out, run.err);
        assert_eq!(run.err.contains("error: "), *status == 2, "{arguments:?}\n{}", run.err);
    }
    let run = folder.check(&["huge.json"]);
    assert!(run.out.contains("could not judge the Pod huge"), "{}", run.out);
    assert!(run.out.ends_with("Not judged: a policy failed.\n"), "{}", run.out);
}

#[test]
fn mistakes_get_help() {
    let folder = Folder::new(&[("a.yaml", GOOD), ("c.yaml", &CONFIG.replace("latest-image-tag", "latest-imagetag"))]);
    let run = folder.check(&["a.yaml", "--config", "c.yaml"]);
    assert!(
        run.err.contains("c.yaml:8:10: unknown policy `latest-imagetag`; did you mean `latest-image-tag`?"),
        "{}",
        run.err
    );
    let run = folder.check(&["a.yaml", "--profile", "defualts"]);
    assert!(run.err.contains("help: did you mean `default`?"), "{}", run.err);
    let run = folder.check(&["b.yaml"]);
    assert_eq!(run.err.lines().next(), Some("error: there is no file or folder `b.yaml`"));
}

#[test]
fn folders() {
    let folder = Folder::new(&[
        ("all/b/2.yml", LATEST),
        ("all/a.yaml", LATEST),
        ("all/c.json", r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "j"}}"#),
        ("all/readme.txt", "a: ["),
        ("all/.hidden/x.yaml", "a: ["),
        ("all/.hidden.yaml", "a: ["),
        ("all/my chart/Chart.yaml", "apiVersion: v2\n"),
        ("all/my chart/templates/x.yaml", "a: {{ .x }}\n"),
        ("all/kust/kustomization.yaml", "resources: [base]\n"),
        ("all/kust/base/x.yaml", "a: ["),
    ]);
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", folder.path("all/b/loop")).unwrap();
    let report = folder.json(&["all"]);
    let files: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(|finding| finding["file"].as_str()).collect();
    assert_eq!(files, ["all/a.yaml", "all/b/2.yml"]);
    assert_eq!(report["errors"], serde_json::json!([]));
    assert_eq!(report["summary"]["files"], 4);
    assert_eq!(report["summary"]["passedOver"], serde_json::json!(["all/kust", "all/my chart"]));
    let run = folder.check(&["all"]);
    let counts = "1 document without a Kubernetes object, 1 Helm chart, 1 kustomization";
    assert!(run.out.contains(&format!("passed over: {counts}; `--verbose` lists them\n")), "{}", run.out);
    let run = folder.check(&["all", "--verbose"]);
    let chart = "passed over: all/my chart is a Helm chart; run: helm template 'all/my chart' | plimsoll check -\n";
    let kustomization =
        "passed over: all/kust is a kustomization; run: kubectl kustomize all/kust | plimsoll check -\n";
    assert!(run.out.contains(chart) && run.out.contains(kustomization), "{}", run.out);
    // A file that is given by name and by folder counts once.
    assert_eq!(folder.json(&["all/a.yaml", "all", "./all/a.yaml"])["summary"]["findings"]["deny"], 2);
}

#[test]
fn broken_documents_hide_no_other() {
    let text = format!("a: 1\n---\na: [\n---\n{LATEST}---\nkind: Pod\nmetadata: {{name: x}}\n");
    let folder = Folder::new(&[("a.yaml", &text), ("t.yaml", "{{- if .x }}\na: 1\n{{- end }}\n")]);
    let report = folder.json(&["a.yaml", "t.yaml"]);
    assert_eq!(report["findings"][0]["line"], 15);
    assert_eq!(report["summary"]["otherDocuments"], 1);
    let errors: Vec<(&str, u64)> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["file"].as_str().unwrap(), error["line"].as_u64().unwrap()))
        .collect();
    assert_eq!(errors, [("a.yaml", 4), ("a.yaml", 19), ("t.yaml", 1)]);
    let run = folder.check(&["t.yaml"]);
    assert!(run.out.contains("= help: it contains `{{`, as templates do: render it first"), "{}", run.out);
    assert!(run.out.ends_with("Not judged: part of the input could not be read.\n"), "{}", run.out);
}

#[test]
fn lists_and_the_standard_input() {
    let folder = Folder::new(&[]);
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "p"}, "spec": {"containers": [
{"name": "é", "image": "é:latest"}, {"name": "b", "image":
"b"}]}}]}]}"#;
    let run = folder.pipe(list, &["-", "--format", "json"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["path"] == "/items/0/items/0/spec/containers/1/image")
        .unwrap_or_else(|| panic!("{}", run.out));
    let place = ["file", "line", "column", "endLine", "endColumn"].map(|name| finding[name].to_string());
    assert_eq!(place, ["\"<stdin>\"", "4", "1", "4", "4"]);
    let object = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "namespace": "", "name": "p"});
    assert_eq!(finding["object"], object);
    assert_eq!(report["summary"]["objects"], 1);
    assert_eq!((run.status, run.err.as_str()), (1, ""));
}

/// A policy that depends on a Service for the Pods. In a closed world the answer is known, in an open world assumed.
#[test]
fn worlds() {
    let deployment = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: app:1.4.2}
";
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  selector: {app: web}\n  ports: [{port: 80}]\n";
    let config = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: t}\nspec:\n  profile: none\n  policies: [{id: missing-readiness-probe}]\n";
    let folder = Folder::new(&[("k/web.yaml", deployment), (".plimsoll.yaml", config)]);
    let counts = |arguments: &[&str]| {
        let report = folder.json(arguments);
        let count = |name: &str| report["summary"]["findings"][name].as_u64().unwrap();
        (count("deny"), count("warn"), report["assumed"].as_array().unwrap().len())
    };
    assert_eq!(counts(&["k"]), (0, 0, 0), "no Service, no requests");
    assert_eq!(counts(&["k/web.yaml"]), (0, 1, 1), "a Service may be elsewhere");
    assert_eq!(counts(&["k", "--world=open"]), (0, 1, 1));
    assert_eq!(counts(&["k/web.yaml", "--world=closed"]), (0, 0, 0));
    assert_eq!(counts(&["k/web.yaml", "k"]), (0, 0, 0), "a file of a folder belongs to it");
    let run = folder.pipe(deployment, &["-"]);
    assert_eq!(run.status, 0, "{}", run.out);
    let run = folder.check(&["k/web.yaml"]);
    assert!(run.out.contains("\nassumed: "), "{}", run.out);

    folder.write("service.yaml", service);
    assert_eq!(counts(&["k/web.yaml", "service.yaml"]).0, 1, "both are known, whatever the world");
    assert_eq!(folder.pipe(&format!("{deployment}---\n{service}"), &["-"]).status, 1);
    // The Service is in another namespace. An absent namespace is not `default`.
    folder.write("service.yaml", &service.replace("name: web", "name: web, namespace: default"));
    assert_eq!(counts(&["k", "service.yaml", "--world=closed"]), (0, 0, 0));
}

#[test]
fn what_the_cluster_fills_in_fails_nothing() {
    let config = CONFIG.replace("action: Warn", "action: Deny, mutate: true");
    let folder = Folder::new(&[("a.yaml", ESCALATES), (".plimsoll.yaml", &config)]);
    let report = folder.json(&["a.yaml"]);
    let finding = &report["findings"][0];
    assert_eq!(finding["policy"], "privilege-escalation");
    assert_eq!((&finding["action"], &finding["defaulted"]), (&"Deny".into(), &true.into()));
    assert_eq!(finding["fix"]["class"], "hardening");
    assert_eq!(report["summary"]["defaulted"], 1);
    assert_eq!((&report["summary"]["wouldDeny"], &report["summary"]["exitStatus"]), (&false.into(), &0.into()));
    let run = folder.check(&["a.yaml", "--fail-on=audit"]);
    let expected = "the webhook would add: securityContext.allowPrivilegeEscalation: false (privilege-escalation)\n\
                    1 object in 1 file: 0 denied, 0 warned, 0 recorded\nThe cluster would admit this.\n";
    assert_eq!((run.status, run.out.as_str()), (0, expected));
}

/// The report names the additions that were made, and their policies. An addition may resolve a finding of another
/// policy, which has no fix of its own.
#[test]
fn what_resolves_a_finding_of_another_policy() {
    let text = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: app:1.4.2, resources: {requests: {memory: 64Mi}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 2, maxReplicas: 5}
";
    let config = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: t}\nspec:\n  \
        profile: none\n  policies: [{id: autoscaler-without-requests}, {id: missing-resource-requests, mutate: true}]\n";
    let folder = Folder::new(&[("k/web.yaml", text), (".plimsoll.yaml", config)]);
    let report = folder.json(&["k"]);
    let findings = report["findings"].as_array().unwrap().iter();
    let found: BTreeSet<(&str, bool, bool)> =
        findings.map(|it| (it["policy"].as_str().unwrap(), it["defaulted"] == true, it["fix"].is_null())).collect();
    let expected = [("autoscaler-without-requests", true, true), ("missing-resource-requests", true, false)];
    assert_eq!(found, BTreeSet::from(expected), "{report:#}");
    let run = folder.check(&["k"]);
    let line = "the webhook would add: requests.cpu: 100m (missing-resource-requests)\n";
    assert!(run.out.starts_with(line) && run.out.matches("would add").count() == 1, "{}", run.out);
    folder.write(".plimsoll.yaml", &config.replace("mutate: true", "action: Warn"));
    let run = folder.check(&["k"]);
    assert!(run.status == 1 && !run.out.contains("would add"), "{}", run.out);
}

#[test]
fn the_configuration_is_found_upward() {
    let folder = Folder::new(&[("deploy/prod/a.yaml", LATEST)]);
    let deny = |arguments: &[&str]| folder.json(arguments)["summary"]["findings"]["deny"].clone();
    assert_eq!(deny(&["deploy/prod"]), 1);
    let off = CONFIG.replace("action: Deny", "action: \"Off\"");
    folder.write("deploy/.plimsoll.yaml", &off);
    assert_eq!(deny(&["deploy/prod"]), 0, "the nearest counts");
    assert_eq!(deny(&["deploy/prod/a.yaml"]), 0);
    assert_eq!(deny(&["deploy/prod", "--config", ".plimsoll.yaml"]), 1);
    assert_eq!(folder.pipe(LATEST, &["-"]).status, 1, "for the standard input, the current folder's");
    // `--profile` replaces only `profile` of the file.
    fs::remove_file(folder.path("deploy/.plimsoll.yaml")).unwrap();
    let policies = |report: Value| -> BTreeSet<String> {
        report["findings"].as_array().unwrap().iter().map(|finding| finding["policy"].to_string()).collect()
    };
    assert!(policies(folder.json(&["deploy", "--profile=default"])).len() > policies(folder.json(&["deploy"])).len());
    // A file above the repository does not count.
    fs::create_dir(folder.path("deploy/.git")).unwrap();
    assert!(policies(folder.json(&["deploy"])).len() > 1);
}

/// The published schema. Checks that the report is valid by it.
fn schema_of(report: &Value) -> Value {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schemas/report-v1.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(report).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{report:#}");
    schema
}

#[test]
fn several_formats_and_the_schema() {
    let folder = Folder::new(&[("a.yaml", LATEST), ("b.yaml", "kind: ["), ("c.yaml", ESCALATES)]);
    let run = folder.check(&[".", "--format", "human", "--format", "json=report.json"]);
    assert!(
        run.out.ends_with("The cluster would deny this, and part of the input could not be read.\n"),
        "{}",
        run.out
    );
    let report: Value = serde_json::from_str(&folder.read("report.json")).unwrap();
    let schema = schema_of(&report);
    // The report and the schema have the same members.
    for (value, schema) in [
        (&report, &schema),
        (&report["findings"][0], &schema["$defs"]["finding"]),
        (&report["summary"], &schema["properties"]["summary"]),
        (&report["errors"][0], &schema["properties"]["errors"]["items"]),
    ] {
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let mut known = keys(&schema["properties"]);
        if cfg!(not(feature = "manifest")) {
            known.remove("unchecked");
        }
        assert_eq!(keys(value), known);
    }
    assert_eq!(report["summary"]["exitStatus"], 4);
    assert_eq!(folder.check(&["a.yaml", "--format=json=x.json"]).out, "", "only what is asked for");
}

#[test]
fn a_terminal_obeys_nothing() {
    let text = LATEST.replace("name: front   # named by marketing", r#"name: "a\e[2Jb\nc""#);
    let folder = Folder::new(&[("a\u{1b}[1m.yaml", &text)]);
    let run = folder.check(&["."]);
    assert_eq!(run.status, 1);
    assert!(!run.out.contains('\u{1b}') && run.out.contains("[2Jb c at "), "{:?}", run.out);
}

/// The order of the report does not depend on threads, even with more files than threads.
#[test]
fn many_files_are_in_order() {
    let folder = Folder::new(&[]);
    for number in 0..100 {
        folder.write(&format!("k/{number:03}.yaml"), LATEST);
    }
    let first = folder.check(&["k", "--format=json"]);
    let report: Value = serde_json::from_str(&first.out).unwrap();
    let files: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(|finding| finding["file"].as_str()).collect();
    assert_eq!(files.len(), 100);
    assert!(files.is_sorted());
    assert_eq!(folder.check(&["k", "--format=json"]).out, first.out);
}

#[test]
fn explains_lists_and_inspects() {
    let folder = Folder::new(&[]);
    let run = |arguments: &[&str]| plimsoll(folder.0.path(), "", arguments);
    let page = run(&["explain", "latest-image-tag"]);
    assert!(page.out.starts_with("# latest-image-tag\n") && page.out.contains("\n## Why\n"), "{}", page.out);
    let unknown = run(&["explain", "latest-tag-image"]);
    assert_eq!(unknown.status, 2);
    assert!(run(&["explain", "image-tag"]).err.contains("did you mean `latest-image-tag`?"), "{}", unknown.err);
    let list = run(&["policy", "list"]);
    assert!(list.out.lines().any(|line| line.starts_with("latest-image-tag ")), "{}", list.out);
    assert_eq!(run(&["explain"]).out, list.out);
    let bundle = run(&["policy", "inspect"]);
    let version = run(&["--version"]);
    let digest = version.out.lines().find_map(|line| line.strip_prefix("built-in bundle ")).unwrap();
    assert!(bundle.out.contains(&format!("digest: {digest}\n")), "{}", bundle.out);
    folder.write("x.wasm", "no component");
    assert_eq!(run(&["policy", "inspect", "x.wasm"]).status, 2);
}

/// docs/check.md lists the same options as `--help`.
#[test]
fn the_page_has_every_option() {
    let folder = Folder::new(&[]);
    let help = folder.check(&["--help"]).out;
    let spelled = |line: &str| Some(line.trim_start().get(line.trim_start().find("--")?..)?.to_owned());
    let of_help: BTreeSet<String> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-') && line.starts_with("  "))
        .filter_map(spelled)
        .map(|line| line.split("  ").next().unwrap_or_default().to_owned())
        .collect();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/check.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Options\n")).unwrap();
    let of_page: BTreeSet<String> =
        section.lines().filter_map(|line| Some(line.strip_prefix("- `")?.split_once('`')?.0.to_owned())).collect();
    assert_eq!(of_help, of_page);
    assert!(of_help.len() > 10);
}
