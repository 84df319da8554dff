//! Fixes: the edits, the output of `--diff`, and the reasons for refused fixes.

use super::*;

#[test]
fn fixes() {
    let text = format!("{LATEST}---\na: [\n---\n{ESCALATES}");
    let folder = Folder::new(&[("a.yaml", &text)]);
    let run = folder.check(&["a.yaml", "--fix"]);
    assert_eq!(folder.read("a.yaml"), text, "the fix is of another class");
    assert!(
        run.out.contains("fixed: nothing (class safe)\nnot made: 1 fix of class hardening; run `--fix=hardening`\n"),
        "{}",
        run.out
    );
    let run = folder.check(&["a.yaml", "--fix=hardening"]);
    assert_eq!(folder.read("a.yaml"), text.replace(ESCALATES, FIXED));
    assert!(run.out.contains("fixed: privilege-escalation in 1 file\n"), "{}", run.out);
    assert!(!run.out.contains("warning["), "the report is that after the edits: {}", run.out);
    assert_eq!(folder.json(&["a.yaml", "--fix=unsafe"])["summary"]["fixed"], 0, "there is nothing left");
    let names: Vec<_> = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn fixes_of_the_standard_input() {
    let folder = Folder::new(&[]);
    let run = folder.pipe(ESCALATES, &["-", "--fix=hardening"]);
    assert_eq!(run.out, FIXED);
    assert!(run.err.contains("fixed: privilege-escalation in 1 file\n"), "{}", run.err);
    assert_eq!(run.status, 0);
    assert_eq!(folder.pipe(FIXED, &["-", "--fix=hardening"]).out, FIXED);
}

#[test]
fn a_diff_writes_nothing() {
    let folder = Folder::new(&[("k/a.yaml", ESCALATES), ("k/b.yaml", LATEST)]);
    let run = folder.check(&["k", "--diff", "--fix=hardening"]);
    let expected = "\
--- a/k/a.yaml
+++ b/k/a.yaml
@@ -5,6 +5,8 @@
   containers:
   - name: app   # the only one
     image: 'app:1.4.2'
+    securityContext:
+      allowPrivilegeEscalation: false
 
   # the end
   restartPolicy: Always
";
    assert_eq!(run.out, expected);
    assert!(run.err.contains("warning[privilege-escalation]") && run.err.contains("would fix: "), "{}", run.err);
    assert_eq!(run.status, 1);
    assert_eq!(folder.read("k/a.yaml"), ESCALATES);
    assert_eq!(folder.check(&["k", "--diff"]).out, "", "the class is safe");
}

#[test]
fn what_is_not_fixed_says_why() {
    let rendered = format!("---\n# Source: chart/templates/a.yaml\n{ESCALATES}");
    let template = ESCALATES.replace("'app:1.4.2'", "'{{ .Values.image }}'");
    let anchor = "\
apiVersion: v1
kind: Pod
metadata: {name: shared}
spec:
  initContainers:
  - &app
    name: app
    image: app:1
  containers:
  - *app
";
    for (text, reason) in [
        (rendered.as_str(), "not fixed: the file is rendered output (`# Source:`)"),
        (template.as_str(), "not fixed: the file contains `{{`"),
        (anchor, "is shared through an anchor, an alias or a merge key"),
    ] {
        let folder = Folder::new(&[("a.yaml", text)]);
        let run = folder.check(&["a.yaml", "--fix=unsafe"]);
        assert_eq!(folder.read("a.yaml"), text);
        assert!(run.out.contains(reason), "{}", run.out);
        let shown = folder.check(&["a.yaml", "--fix=unsafe", "--diff"]);
        assert_eq!(reasons(&shown.err), reasons(&run.out), "a diff says why, too");
    }
}

fn reasons(report: &str) -> Vec<&str> {
    report.lines().filter(|line| line.contains("not fixed: ")).collect()
}

/// One fix is made and one is refused. The edit moves the place of the refused one.
#[test]
fn a_diff_says_why_beside_the_edits() {
    let both = "\
apiVersion: v1
kind: Pod
metadata: {name: both}
spec:
  containers:
  - name: app
    image: app:1
  - name: kept
    image: app:1
    securityContext: &kept {runAsUser: 1000}
";
    let folder = Folder::new(&[("a.yaml", both)]);
    let shown = folder.check(&["a.yaml", "--fix=hardening", "--diff"]);
    assert!(shown.out.contains("+      allowPrivilegeEscalation: false"), "{}", shown.out);
    assert_eq!(folder.read("a.yaml"), both);
    let run = folder.check(&["a.yaml", "--fix=hardening"]);
    assert_eq!(reasons(&shown.err), reasons(&run.out));
    assert!(reasons(&run.out)[0].contains("is shared through an anchor"), "{}", run.out);
}
