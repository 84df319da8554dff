//! Objects whose names the API server generates.

use super::Folder;

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: overlapping-workload-selectors}, {id: drain-deadlock}, {id: overlapping-disruption-budgets}, {id: declared-twice}]
";

fn deployment(app: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{generateName: web-}}\nspec:\n  replicas: 3\n  \
         selector: {{matchLabels: {{app: {app}}}}}\n  template:\n    metadata: {{labels: {{app: {app}}}}}\n    \
         spec: {{containers: [{{name: app, image: app:1.4.2}}]}}\n"
    )
}

fn budget(app: &str) -> String {
    format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{generateName: web-}}\n\
         spec: {{minAvailable: 4, selector: {{matchLabels: {{app: {app}}}}}}}\n"
    )
}

/// Two objects with the same prefix are different objects. Each is named by its place in the file.
#[test]
fn two_of_them_are_two() {
    let both = format!("{}---\n{}", deployment("web"), deployment("web"));
    let folder = Folder::new(&[("k/web.yaml", &both), (".plimsoll.yaml", CONFIG)]);
    let run = folder.check(&["k"]);
    assert!(run.out.contains("spec.selector also matches the Pods of Deployment web-* (k/web.yaml:11)"), "{}", run.out);
    // A single object does not conflict with itself.
    folder.write("k/web.yaml", &deployment("web"));
    let run = folder.check(&["k"]);
    assert!(run.out.contains("0 denied, 0 warned, 0 recorded"), "{}", run.out);
    assert!(!folder.check(&["k", "--verbose"]).out.contains("declared twice"));
}

/// A budget of four blocks the three Pods of one object, and does not block the six Pods of two.
#[test]
fn what_belongs_together_is_counted() {
    let one = format!("{}---\n{}", deployment("web"), budget("web"));
    let folder = Folder::new(&[("k/web.yaml", &one), (".plimsoll.yaml", CONFIG)]);
    let run = folder.check(&["k"]);
    assert!(run.out.contains("minAvailable 4 of 3 Pods (Deployment web-* (k/web.yaml:1))"), "{}", run.out);
    let named = |out: &str| {
        let titles = out.lines().filter(|line| line.starts_with("error[") || line.starts_with("warning["));
        titles.into_iter().all(|title| [" :", " )", " ,", "  "].iter().all(|gap| !title.contains(gap)))
    };
    assert!(named(&run.out), "no name is empty: {}", run.out);
    folder.write("k/web.yaml", &format!("{}---\n{one}", deployment("web")));
    let run = folder.check(&["k"]);
    assert!(!run.out.contains("[drain-deadlock]"), "{}", run.out);
    // Two budgets with generated names are two objects.
    folder.write("k/web.yaml", &format!("{one}---\n{}", budget("web")));
    let run = folder.check(&["k"]);
    assert!(run.out.contains("[overlapping-disruption-budgets]") && named(&run.out), "{}", run.out);
}

/// Lists may be in lists. Items of different lists in one line have different names.
#[test]
fn items_of_lists_in_lists_have_names_of_their_own() {
    let item = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generateName": "web-"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app:1.4.2"}]}}}}"#;
    let list = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{item}]}}"#);
    let text = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{list}, {list}]}}"#);
    let folder = Folder::new(&[("k/web.json", &text), (".plimsoll.yaml", CONFIG)]);
    let run = folder.check(&["k"]);
    for item in ["items[0].items[0]", "items[1].items[0]"] {
        let name = format!("Deployment web-* (k/web.json:1, {item})");
        assert!(run.out.contains(&name), "{name}: {}", run.out);
    }
}
