//! Ignores and exemptions, and those without an effect.

use serde_json::json;

use super::{ESCALATES, Folder, GOOD, LATEST, schema_of};

const EXEMPTIONS: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  exemptionNamespaces: [plimsoll]
  policies:
  - {id: latest-image-tag, action: Deny}
  - {id: privilege-escalation, action: Warn}
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: front, namespace: plimsoll}
spec:
  policies: [latest-image-tag]
  match: {namespaces: [shop]}
  reason: the vendor publishes nothing else
  owner: team-shop
  expires: '2099-12-31'
---
apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: past, namespace: plimsoll}
spec:
  policies: [privilege-escalation]
  match: {namespaces: [shop]}
  reason: it was needed for a while
  owner: team-shop
  expires: '2020-12-31'
";

fn ignoring(text: &str, annotation: &str) -> String {
    let name = "metadata: {name: escalates}";
    text.replace(name, &format!("metadata:\n  name: escalates\n  annotations:\n    plimsoll.dev/ignore.{annotation}"))
}

#[test]
fn an_annotation_with_a_reason_silences_a_warning() {
    let text = ignoring(ESCALATES, "privilege-escalation: 'ping is setuid; until=2099-01-31'");
    let folder = Folder::new(&[("a.yaml", &text)]);
    let run = folder.check(&["a.yaml", "--fail-on", "warn"]);
    assert_eq!(
        run.out,
        "ignored: privilege-escalation (ping is setuid, until 2099-01-31)\n1 object in 1 file: 0 denied, 0 warned, 0 \
         recorded\nThe cluster would admit this.\n"
    );
    assert_eq!(run.status, 0);
    let report = folder.json(&["a.yaml"]);
    let ignored = &report["ignored"][0];
    assert_eq!((&ignored["policy"], &ignored["line"]), (&json!("privilege-escalation"), &json!(9)));
    let by =
        json!({"kind": "annotation", "name": null, "reason": "ping is setuid", "owner": null, "until": "2099-01-31"});
    assert_eq!(ignored["ignoredBy"], by);
    assert_eq!(report["summary"]["ignored"], 1);
}

#[test]
fn annotations_that_count_for_nothing() {
    for (annotation, complaint) in [
        ("privilege-escalation: ''", "has no reason, so it counts for nothing"),
        ("privilege-escalation: 'old; until=2020-01-31'", "is over"),
        ("privilege-escalation: 'old; until=soon'", "ends at \"soon\", which is no date"),
        ("latest-image-tag: nothing else is published", "silences nothing here"),
        ("no-such-policy: because", "silences nothing here"),
    ] {
        let folder = Folder::new(&[("a.yaml", &ignoring(ESCALATES, annotation))]);
        let run = folder.check(&["a.yaml", "--fail-on", "warn"]);
        let name = annotation.split_once(':').unwrap().0;
        let unused = run.out.lines().find(|line| line.starts_with("unused: a.yaml:6:")).unwrap_or_default();
        assert!(unused.contains(&format!(": plimsoll.dev/ignore.{name} {complaint}")), "{annotation}: {}", run.out);
        assert!(run.out.contains("warning[privilege-escalation]") && run.status == 1, "{annotation}: {}", run.out);
    }
    // An annotation silences a denial only if the operator allows it.
    let latest = ignoring(ESCALATES, "latest-image-tag: 'in a hurry'").replace("app:1.4.2", "app");
    let folder = Folder::new(&[("a.yaml", &latest)]);
    let run = folder.check(&["a.yaml"]);
    assert!(run.status == 1 && run.out.contains("cannot silence what is denied"), "{}", run.out);
    folder.write(".plimsoll.yaml", &super::CONFIG.replace("  mode: observe", "  selfExempt: [image]"));
    let run = folder.check(&["a.yaml"]);
    assert!(run.status == 0 && run.out.contains("ignored: latest-image-tag (in a hurry)"), "{}", run.out);
}

/// Unknown names with Plimsoll's prefix are reported with their place on any object. They don't fail the run.
#[test]
fn names_that_do_nothing_are_said() {
    let named = |line: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  {line}\nspec: {{ports: [{{port: 80}}]}}\n")
    };
    let protect = |value: &str| named(&format!("annotations: {{plimsoll.dev/protect: {value}}}"));
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {plimsoll.dev/protect: 'true'}}\n";
    for (text, complaint) in [
        (protect("'yes'"), "plimsoll.dev/protect protects nothing with this value; write \"true\""),
        (protect("''"), "plimsoll.dev/protect protects nothing with this value; write \"true\""),
        (named("annotations: {plimsoll.dev/protects: 'true'}"), "did you mean plimsoll.dev/protect?"),
        (named("labels: {plimsoll.dev/protect: 'true'}"), "plimsoll.dev/protect is an annotation"),
        (
            named("labels: {plimsoll.dev/ignore.single-replica: why}"),
            "plimsoll.dev/ignore.single-replica is an annotation",
        ),
        (map.to_owned(), "plimsoll.dev/protect protects no ConfigMap"),
    ] {
        let folder = Folder::new(&[("a.yaml", &text)]);
        let run = folder.check(&["a.yaml"]);
        let unused = run.out.lines().find(|line| line.starts_with("unused: a.yaml:")).unwrap_or_default();
        assert!(unused.contains(complaint) && run.status == 0, "{}: {}{}\n{text}", run.status, run.out, run.err);
        let report = folder.json(&["a.yaml"]);
        schema_of(&report);
        assert!(report["unusedIgnores"][0]["message"].as_str().unwrap().contains(complaint), "{report:#}");
    }
    for value in ["'true'", "'false'"] {
        let folder = Folder::new(&[("a.yaml", &protect(value))]);
        let run = folder.check(&["a.yaml"]);
        assert!(!run.out.contains("unused:") && run.status == 0, "{}", run.out);
    }
}

#[test]
fn exemptions_are_obeyed_until_they_are_over() {
    let escalates = ESCALATES.replace("name: escalates", "name: escalates, namespace: shop");
    let folder = Folder::new(&[("a.yaml", LATEST), ("b.yaml", &escalates), ("c.yaml", GOOD)]);
    folder.write(".plimsoll.yaml", EXEMPTIONS);
    let run = folder.check(&["."]);
    assert_eq!(run.status, 0, "{}", run.out);
    let by =
        "ignored: latest-image-tag (exemption front of team-shop: the vendor publishes nothing else, until 2099-12-31)";
    assert!(run.out.contains(by), "{}", run.out);
    assert!(run.out.contains("warning[privilege-escalation]"), "{}", run.out);
    let over = "unused: the PolicyExemption past of team-shop ended on 2020-12-31";
    assert!(run.out.contains(over), "{}", run.out);
    let report = folder.json(&["."]);
    schema_of(&report);
    assert_eq!(report["ignored"][0]["ignoredBy"]["name"], "front");
    assert_eq!(report["unusedIgnores"].as_array().unwrap().len(), 1);
    // In another namespace, it is not reported.
    folder.write("a.yaml", &LATEST.replace("namespace: shop", "namespace: other"));
    assert_eq!(folder.check(&["."]).status, 1);
}
