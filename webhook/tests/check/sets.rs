//! Folders that are not applied together.

use super::{Folder, Run};

const CONFIG: &str = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies:
  - {id: overlapping-workload-selectors}
  - {id: missing-disruption-budget, action: Warn}
  - {id: autoscaler-without-target}
  - {id: drain-deadlock}
";

const BUDGET: &str = "\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
";

fn deployment(name: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 3\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: app, image: app:1.4.2}}]}}\n"
    )
}

fn autoscaler(target: &str) -> String {
    format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web}}\nspec:\n  minReplicas: 2\n  maxReplicas: 5\n  \
         scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}\n"
    )
}

fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new(files);
    folder.write(".plimsoll.yaml", CONFIG);
    folder
}

#[track_caller]
fn counts(run: &Run, counts: &str) {
    assert!(run.out.contains(counts), "{}", run.out);
}

fn overlaps(run: &Run) -> usize {
    run.out.matches("[overlapping-workload-selectors]").count()
}

/// Folders that are valid alone are valid together.
#[test]
fn namesakes_in_two_folders_do_not_meet() {
    let (dev, prod) = (deployment("web"), deployment("shop"));
    let (scaled, scaled_too) = (autoscaler("web"), autoscaler("shop"));
    let folder = folder(&[
        ("dev/web.yaml", &dev),
        ("dev/budget.yaml", BUDGET),
        ("dev/scaling.yaml", &scaled),
        ("prod/web.yaml", &prod),
        ("prod/budget.yaml", BUDGET),
        ("prod/scaling.yaml", &scaled_too),
    ]);
    for path in ["dev", "prod", "."] {
        counts(&folder.check(&[path]), "0 denied, 0 warned, 0 recorded");
    }
    // Files on one command line are applied together.
    let run = folder.check(&["dev/web.yaml", "prod/web.yaml"]);
    assert!(run.out.contains("[overlapping-workload-selectors]"), "{}", run.out);
}

/// An object in another folder may belong to this one. An object in no folder is missing.
#[test]
fn nothing_is_concluded_from_what_another_folder_has() {
    let (web, scaled) = (deployment("web"), autoscaler("web"));
    let apart = folder(&[("a/web.yaml", &web), ("b/budget.yaml", BUDGET), ("c/scaling.yaml", &scaled)]);
    counts(&apart.check(&["."]), "0 denied, 0 warned, 0 recorded");
    let missing = folder(&[("a/web.yaml", &web), ("c/scaling.yaml", &autoscaler("shop"))]);
    let run = missing.check(&["."]);
    assert!(run.out.contains("[missing-disruption-budget]"), "{}", run.out);
    assert!(run.out.contains("[autoscaler-without-target]"), "{}", run.out);
}

#[test]
fn a_configuration_in_a_folder_makes_a_set_of_what_lies_below() {
    let (web, shop) = (deployment("web"), deployment("shop"));
    let files = [("apps/a/one/web.yaml", web.as_str()), ("apps/a/two/shop.yaml", &shop), ("apps/b/web.yaml", &web)];
    let folder = folder(&files);
    assert_eq!(overlaps(&folder.check(&["."])), 0);
    folder.write("apps/a/.plimsoll.yaml", CONFIG);
    assert_eq!(overlaps(&folder.check(&["."])), 1);
}

#[test]
fn an_application_names_a_set() {
    let (web, shop) = (deployment("web"), deployment("shop"));
    let application = "\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  sources: [{repoURL: 'https://git.example.com/shop', path: apps/a}]
";
    let files = [("apps/a/one/web.yaml", web.as_str()), ("apps/a/two/shop.yaml", &shop), ("apps/b/web.yaml", &web)];
    let folder = folder(&files);
    folder.write("argocd/shop.yaml", application);
    assert_eq!(overlaps(&folder.check(&["."])), 1);
    // A path outside of the repository, or the whole repository, is rejected.
    for path in ["../apps", "/", ".", "apps/../.."] {
        folder.write("argocd/shop.yaml", &application.replace("apps/a", path));
        assert_eq!(overlaps(&folder.check(&["."])), 0, "{path}");
    }
}

/// A stated namespace is the same in all folders, but two folders may be for two clusters.
#[test]
fn what_crosses_folders_warns_at_most_and_names_both() {
    let stated = |name: &str| deployment(name).replacen("metadata: {name:", "metadata: {namespace: shop, name:", 1);
    let (web, shop) = (stated("web"), stated("shop"));
    let together = folder(&[("a/web.yaml", &web), ("a/shop.yaml", &shop)]);
    let run = together.check(&["."]);
    assert!(run.out.contains("error[overlapping-workload-selectors]") && run.status == 1, "{}", run.out);
    let apart = folder(&[("a/web.yaml", &web), ("b/shop.yaml", &shop)]);
    let run = apart.check(&["."]);
    assert!(run.out.contains("warning[overlapping-workload-selectors]"), "{}", run.out);
    assert!(!run.out.contains("error[overlapping") && run.status == 0, "{}", run.out);
    let names = |file: &str| run.out.contains(&format!("(with what other folders have in this namespace: {file})"));
    assert!(names("a/web.yaml") || names("b/shop.yaml"), "{}", run.out);
}

/// A finding that only warns names the other folder too, and only the files that matter.
#[test]
fn warnings_that_cross_folders_name_what_they_are_about() {
    let stated = |text: &str| text.replacen("metadata: {name:", "metadata: {namespace: shop, name:", 1);
    let service = "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: other}\nspec: {selector: {app: other}, ports: [{port: 80}]}\n";
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {namespace: shop, name: settings}\n";
    let (web, scaled) = (stated(&deployment("web")), stated(&autoscaler("web")));
    let shop = stated(&deployment("shop")).replace("app: web", "app: shop");
    let config = "\
apiVersion: plimsoll.dev/v1alpha1
kind: ClusterPolicySet
metadata: {name: tests}
spec:
  profile: none
  policies: [{id: autoscaler-without-requests, action: Warn}]
";
    let folder = Folder::new(&[
        ("a/settings.yaml", settings),
        ("b/service.yaml", service),
        ("c/shop.yaml", &shop),
        (
            "d/scaling.yaml",
            &format!(
                "{scaled}  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 80}}}}}}]\n"
            ),
        ),
        ("e/web.yaml", &web),
    ]);
    folder.write(".plimsoll.yaml", config);
    let run = folder.check(&["."]);
    counts(&run, "0 denied, 1 warned");
    let names = |file: &str| run.out.contains(&format!("(with what other folders have in this namespace: {file})"));
    assert!(names("d/scaling.yaml") || names("e/web.yaml"), "{}", run.out);
}

/// Flux applies a path as a whole too.
#[test]
fn a_kustomization_of_flux_names_a_set() {
    let (web, shop) = (deployment("web"), deployment("shop"));
    let flux = "\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: shop, namespace: flux-system}
spec: {path: ./apps/a, sourceRef: {kind: GitRepository, name: flux-system}}
";
    let folder = folder(&[("apps/a/one/web.yaml", &web), ("apps/a/two/shop.yaml", &shop)]);
    assert_eq!(overlaps(&folder.check(&["."])), 0);
    folder.write("clusters/shop.yaml", flux);
    assert_eq!(overlaps(&folder.check(&["."])), 1);
}
