//! Valid objects of every kind, in several sizes.

use anyhow::{Context as _, Result};
use serde_json::Value;

#[rustfmt::skip]
const FILES: &[(&str, &str)] = &[
    ("access", include_str!("objects/access.json")),
    ("config", include_str!("objects/config.json")),
    ("extension", include_str!("objects/extension.json")),
    ("more", include_str!("objects/more.json")),
    ("network", include_str!("objects/network.json")),
    ("pods", include_str!("objects/pods.json")),
    ("rare", include_str!("objects/rare.json")),
    ("scaling", include_str!("objects/scaling.json")),
    ("storage", include_str!("objects/storage.json")),
    ("workloads", include_str!("objects/workloads.json")),
];

/// Objects that the API server accepts.
pub fn objects() -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for (name, text) in FILES {
        let objects: Vec<Value> = serde_json::from_str(text).with_context(|| format!("objects/{name}.json"))?;
        all.extend(objects);
    }
    Ok(all)
}
