use plimsoll_flat::Node;
use serde_json::json;

use super::*;
use crate::engine::Limits;
use crate::registry::policy_set::tests::{named, set};

fn engine() -> Engine {
    Engine::new(Limits::default()).unwrap()
}

fn deployment() -> Review {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
    Review::from_object(&object).unwrap()
}

fn files() -> Options {
    Options { site: Site::Files, ..Options::default() }
}

fn problems(result: Result<Registry, Vec<ConfigError>>) -> Vec<String> {
    result.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn without_sets_there_is_one() {
    let engine = engine();
    let registry = Registry::new(&engine, Vec::new(), files()).unwrap();
    assert_eq!(registry.bundles().len(), 1);
    let ids: Vec<_> = registry.policies().map(|policy| policy.id.as_str()).collect();
    assert_eq!(
        ids,
        registry.bundles()[0].metadata().policies.iter().map(|policy| policy.id.as_str()).collect::<Vec<_>>()
    );
    let selected = registry.select(&deployment());
    assert!(selected.iter().any(|selected| selected.policy.id == "latest-image-tag"));
    let none = Options { profile: Some(Profile::None), ..files() };
    assert!(Registry::new(&engine, Vec::new(), none).unwrap().select(&deployment()).is_empty());
}

#[test]
fn the_profile_of_the_command_line_wins() {
    let none = Options { profile: Some(Profile::None), ..files() };
    let sets = vec![set("profile: mutate\npolicies: [{id: latest-image-tag}]")];
    let selected = Registry::new(&engine(), sets, none).unwrap().select(&deployment());
    assert_eq!(selected.len(), 1);
}

#[test]
fn the_environment_is_made_once() {
    let registry = Registry::new(&engine(), Vec::new(), files()).unwrap();
    let environment = registry.environment(&deployment());
    assert!(Arc::ptr_eq(&environment, &registry.environment(&deployment())));
    let root = Node::root(&environment).unwrap();
    assert_eq!(root.get("kubernetesVersion").and_then(Node::as_str), Some("1.37"));
    let templates = root.get("workloads").unwrap();
    assert_eq!(templates.get("apps/Deployment").and_then(Node::as_str), Some("/spec/template"));
    assert_eq!(templates.get("/Pod").and_then(Node::as_str), Some(""));
}

#[test]
fn which_version_of_kubernetes_counts() {
    let engine = engine();
    let version = |site, option: Option<&str>, spec: &str| {
        let options = Options { kubernetes_version: option.map(str::to_owned), site, ..Options::default() };
        Registry::new(&engine, vec![set(spec)], options).unwrap().kubernetes_version().to_string()
    };
    let stated = "kubernetesVersion: \"1.30\"";
    for (site, option, spec, expected) in [
        (Site::Files, None, "{}", "1.37"),
        (Site::Files, None, stated, "1.30"),
        (Site::Files, Some("1.31"), stated, "1.31"),
        (Site::Cluster, Some("v1.34.2-gke.1"), "{}", "1.34"),
        (Site::Cluster, Some("v1.34.2"), stated, "1.30"),
        (Site::Cluster, None, "{}", "1.37"),
    ] {
        assert_eq!(version(site, option, spec), expected);
    }
    let sets = vec![named("a", stated), named("b", "kubernetesVersion: \"1.31\"")];
    assert_eq!(
        problems(Registry::new(&engine, sets, files())),
        ["sets.yaml:5:22: `kubernetesVersion` is 1.31, but 1.30 at sets.yaml:5:22; there is one cluster"]
    );
    let options = Options { kubernetes_version: Some("new".to_owned()), ..files() };
    assert_eq!(
        problems(Registry::new(&engine, Vec::new(), options)),
        ["\"new\" is not a version of Kubernetes, such as 1.34"]
    );
}

#[test]
fn bundles_of_files_are_found_beside_the_configuration_and_loaded_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".plimsoll.yaml");
    std::fs::write(folder.path().join("own.wasm"), BUILTIN).unwrap();
    let read = |spec: &str| {
        let text = format!(
            "{}---\n{}",
            crate::registry::policy_set::tests::document("a", spec),
            crate::registry::policy_set::tests::document("b", spec)
        );
        crate::registry::read(&text, file.to_str().unwrap()).unwrap()
    };
    let engine = engine();
    let registry = Registry::new(&engine, read("bundle: ./own.wasm"), files()).unwrap();
    assert_eq!(registry.bundles().len(), 1);
    assert!(!registry.select(&deployment()).is_empty());
    let problems = problems(Registry::new(&engine, read("bundle: other.wasm\npolicies: []"), files()));
    let expected = format!("{}:5:11: the bundle `other.wasm` cannot be used: cannot read ", file.display());
    assert!(problems[0].starts_with(&expected), "{problems:?}");
}

#[test]
fn a_broken_bundle_is_refused() {
    let problems = problems(Registry::with_bundle(&engine(), b"nonsense", Vec::new(), files()));
    assert!(problems[0].starts_with("the bundle `builtin` cannot be used: it is no WebAssembly"), "{problems:?}");
}
