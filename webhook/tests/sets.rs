//! `plimsoll check` on sets of objects. A problem between objects is reported once, and a missing object is written to
//! a new file.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: missing-disruption-budget}, {id: drain-deadlock}, {id: overlapping-disruption-budgets}]
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shops}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME, team: sales}}
    spec: {containers: [{name: app, image: 'app:1.4.2'}]}
";

const BUDGET: &str = "\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: NAME
  namespace: shops
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app: NAME
  unhealthyPodEvictionPolicy: AlwaysAllow
";

fn of(text: &str, name: &str) -> String {
    text.replace("NAME", name)
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("set")).unwrap();
    fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("set").join(name), text).unwrap();
    }
    folder
}

fn check(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["check", "--config", "config.yaml"])
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn findings(folder: &Path) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&check(folder, &["set", "--format=json"]).1).unwrap();
    let text = |finding: &Value, pointer: &str| finding.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|finding| {
            let object = format!("{}/{}", text(finding, "/object/kind"), text(finding, "/object/name"));
            (text(finding, "/policy"), object)
        })
        .collect()
}

#[test]
fn what_is_missing_is_written_to_a_new_file() {
    let two = format!("{}---\n{}", of(DEPLOYMENT, "a"), of(DEPLOYMENT, "b"));
    let folder = folder(&[("shop.yaml", &two)]);
    let path = folder.path();
    let read = |name: &str| fs::read_to_string(path.join("set").join(name)).unwrap();
    let budgets = format!("{}---\n{}", of(BUDGET, "a"), of(BUDGET, "b"));

    let (_, shown, said) = check(path, &["set", "--fix=unsafe", "--diff"]);
    let added: String = budgets.lines().map(|line| format!("+{line}\n")).collect();
    assert_eq!(
        shown,
        format!("--- /dev/null\n+++ b/set/shop.pdb.yaml\n@@ -0,0 +1,{} @@\n{added}", budgets.lines().count())
    );
    assert!(said.contains("would write: set/shop.pdb.yaml\n"), "{said}");
    assert!(!path.join("set/shop.pdb.yaml").exists(), "only shown");

    let (status, report, _) = check(path, &["set", "--fix=unsafe"]);
    assert_eq!(status, 0);
    assert_eq!((read("shop.pdb.yaml"), read("shop.yaml")), (budgets, two));
    assert!(report.contains("fixed: missing-disruption-budget × 2 in 1 file\nwrote: set/shop.pdb.yaml\n"), "{report}");
    assert!(report.contains("4 objects in 2 files: 0 denied, 0 warned"), "the report is that after: {report}");
    let (_, report, _) = check(path, &["set", "--fix=unsafe"]);
    assert!(report.contains("fixed: nothing"), "{report}");
}

/// A fix of the first round causes a finding in the second round. Both budgets go into one new file.
#[test]
fn a_later_round_adds_to_the_new_file() {
    let one = of(DEPLOYMENT, "a").replace("replicas: 2", "replicas: 1");
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shops}\n\
                   spec: {selector: {app: a}, ports: [{port: 80}]}\n";
    let folder = folder(&[("shop.yaml", &format!("{one}---\n{}{service}", of(DEPLOYMENT, "b")))]);
    let path = folder.path();
    fs::write(path.join("config.yaml"), CONFIG.replace("policies: [", "policies: [{id: single-replica}, ")).unwrap();
    let (status, report, said) = check(path, &["set", "--fix=unsafe"]);
    assert_eq!(status, 0, "{said}");
    assert!(report.contains("single-replica") && report.contains("wrote: set/shop.pdb.yaml\n"), "{report}");
    let written = fs::read_to_string(path.join("set/shop.pdb.yaml")).unwrap();
    assert_eq!(written, format!("{}---\n{}", of(BUDGET, "b"), of(BUDGET, "a")));
}

#[test]
fn no_file_is_written_over() {
    let folder = folder(&[("shop.yaml", &of(DEPLOYMENT, "a")), ("shop.pdb.yaml", "# empty as yet\n")]);
    let (_, report, _) = check(folder.path(), &["set", "--fix=unsafe"]);
    assert!(report.contains("not fixed: shop.pdb.yaml is there already"), "{report}");
    assert_eq!(fs::read_to_string(folder.path().join("set/shop.pdb.yaml")).unwrap(), "# empty as yet\n");
}

#[test]
fn a_file_alone_misses_nothing() {
    let folder = folder(&[("shop.yaml", &of(DEPLOYMENT, "a"))]);
    let (status, report, _) = check(folder.path(), &["set/shop.yaml", "--fix=unsafe"]);
    assert_eq!(status, 0);
    assert!(report.contains("skipped: ") && report.contains("missing-disruption-budget"), "{report}");
    assert!(!folder.path().join("set/shop.pdb.yaml").exists());
}

#[test]
fn what_several_objects_share_is_said_once() {
    let closed = of(BUDGET, "a").replace("maxUnavailable: 1", "minAvailable: 2");
    let folder = folder(&[("a.yaml", &of(DEPLOYMENT, "a")), ("z.yaml", &closed)]);
    let budget = "PodDisruptionBudget/a".to_owned();
    assert_eq!(findings(folder.path()), [("drain-deadlock".to_owned(), budget.clone())]);
    // Findings about several objects are reported at the budget.
    fs::write(folder.path().join("set/b.yaml"), of(DEPLOYMENT, "b")).unwrap();
    let second = of(BUDGET, "b").replace("app: b", "team: sales");
    fs::write(folder.path().join("set/y.yaml"), second).unwrap();
    let expected = [("drain-deadlock", &*budget), ("overlapping-disruption-budgets", &*budget)];
    assert_eq!(findings(folder.path()), expected.map(|(policy, object)| (policy.to_owned(), object.to_owned())));
}
