//! More Prometheus monitors than a policy receives.

use super::Folder;

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: missing-readiness-probe}]
";

const SHOP: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: app:1.4.2, ports: [{name: stats, containerPort: 9402}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: stats, port: 9402}]}
";

/// Monitors of another namespace that name `shop`. The last ones by name select the Service.
fn monitors(count: usize, selects: bool) -> String {
    let monitor = |number: usize| {
        let app = if selects && number + 1 == count { "web" } else { "other" };
        format!(
            "---\napiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {{name: m{number:04}, namespace: monitoring}}\n\
             spec: {{selector: {{matchLabels: {{app: {app}}}}}, namespaceSelector: {{matchNames: [shop]}}, endpoints: [{{port: stats}}]}}\n"
        )
    };
    (0..count).map(monitor).collect()
}

/// The list of monitors is limited. A monitor beyond the limit may use the port, so the finding only warns.
#[test]
fn a_list_that_is_cut_proves_nothing() {
    let folder = Folder::new(&[("k/web.yaml", SHOP), (".plimsoll.yaml", CONFIG)]);
    let said = |count: usize, selects: bool| {
        folder.write("k/monitors.yaml", &monitors(count, selects));
        let run = folder.check(&["k"]);
        let of = |level: &str| run.out.contains(&format!("{level}[missing-readiness-probe]"));
        (of("error"), of("warning"), run.out)
    };
    let (error, warning, out) = said(10, false);
    assert!(error && !warning, "none of ten reads it: {out}");
    let (error, warning, out) = said(10, true);
    assert!(!error && !warning, "the last of ten reads it: {out}");
    for selects in [false, true] {
        let (error, warning, out) = said(400, selects);
        assert!(!error && warning, "nobody knows the last of 400: {out}");
    }
}
