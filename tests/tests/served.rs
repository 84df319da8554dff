//! The table of served kinds, compared with the discovery of an API server with every API enabled.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use plimsoll::registry::served::rows;
use plimsoll_sdk::version::KubernetesVersion;
use plimsoll_tests::{ControlPlane, Options};
use serde_json::Value;

/// Kinds of subresources only (`scale`, `eviction`), and kinds that only the API server itself stores.
const SUBRESOURCES: [&str; 5] = ["Scale", "Eviction", "Binding", "TokenRequest", "RangeAllocation"];

#[test]
fn the_table_is_what_an_api_server_serves() -> Result<()> {
    let control_plane = ControlPlane::start(&Options {
        api_server_arguments: vec!["--runtime-config=api/all=true".to_owned()],
        ..Options::default()
    })?;
    let kubectl = control_plane.kubectl();
    let read = |path: &str| -> Result<Value> {
        let output = kubectl.run(&["get", "--raw", path], None)?;
        serde_json::from_str(&output.stdout).with_context(|| format!("{path}: {}", output.stderr))
    };
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let release = read("/version")?;
    let release = KubernetesVersion::parse(&text(&release, "gitVersion")).context("a version")?;

    let mut paths = vec![(String::new(), "v1".to_owned(), "/api/v1".to_owned())];
    for group in read("/apis")?["groups"].as_array().into_iter().flatten() {
        for version in group["versions"].as_array().into_iter().flatten() {
            let path = format!("/apis/{}", text(version, "groupVersion"));
            paths.push((text(group, "name"), text(version, "version"), path));
        }
    }
    let mut served = BTreeSet::new();
    for (group, version, path) in paths {
        for resource in read(&path)?["resources"].as_array().into_iter().flatten() {
            let is_whole = !text(resource, "name").contains('/');
            if is_whole && !SUBRESOURCES.contains(&text(resource, "kind").as_str()) {
                served.insert((group.clone(), version.clone(), text(resource, "kind")));
            }
        }
    }
    let stated: BTreeSet<_> = rows()
        .filter(|row| row.is_served(release) && !SUBRESOURCES.contains(&row.kind))
        .map(|row| (row.group.to_owned(), row.version.to_owned(), row.kind.to_owned()))
        .collect();
    let missing: Vec<_> = served.difference(&stated).collect();
    // Some unstable versions also need a feature gate.
    let is_stable = |version: &str| !version.contains("alpha") && !version.contains("beta");
    let invented: Vec<_> = stated.difference(&served).filter(|(_, version, _)| is_stable(version)).collect();
    assert!(served.len() > 60, "{served:?}");
    assert!(missing.is_empty(), "{release} serves kinds that the table lacks: {missing:?}");
    assert!(invented.is_empty(), "{release} does not serve: {invented:?}");
    Ok(())
}
