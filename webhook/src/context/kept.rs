//! What is kept of an object: what policies read of other objects, and nothing that changes all the time.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

use crate::admission::review::LAST_APPLIED;

/// An object without what no policy is shown of others: who manages which field, versions of the store, status, and of
/// ConfigMaps everything but metadata. What is left changes only where somebody changes it, so that a rollout in which every Pod reports its
/// readiness costs nothing.
///
/// Secrets are never kept at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept<'a> {
    object: &'a Map<String, Value>,
    /// `apiVersion` and `kind`, which items of lists leave out.
    types: Option<(&'a str, &'a str)>,
    status: bool,
}

impl<'a> Kept<'a> {
    /// None of what is no object.
    pub(super) fn of(object: &'a Value) -> Option<Self> {
        Some(Self { object: object.as_object()?, types: None, status: false })
    }

    /// As the API server would have written it outside of a list.
    #[cfg(any(feature = "serve", test))]
    pub(super) fn typed(self, api_version: &'a str, kind: &'a str) -> Self {
        Self { types: Some((api_version, kind)), ..self }
    }

    /// With its status: what is read only once is not kept.
    #[cfg(any(feature = "serve", test))]
    pub(super) fn with_status(self) -> Self {
        Self { status: true, ..self }
    }

    /// As a flat document; none where it is beyond the limits of one.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        plimsoll_flat::to_document(self).ok()
    }

    fn is_config_map(&self) -> bool {
        let text = |member: &str| self.object.get(member).and_then(Value::as_str);
        let (version, kind) = match self.types {
            Some((version, kind)) => (Some(version), Some(kind)),
            None => (text("apiVersion"), text("kind")),
        };
        kind == Some("ConfigMap") && version == Some("v1")
    }
}

impl Serialize for Kept<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some((api_version, kind)) = self.types {
            map.serialize_entry("apiVersion", api_version)?;
            map.serialize_entry("kind", kind)?;
        }
        let config_map = self.is_config_map();
        for (name, value) in self.object {
            match name.as_str() {
                "apiVersion" | "kind" if self.types.is_some() => {}
                "status" if !self.status => {}
                "metadata" => map.serialize_entry(name, &Metadata(value))?,
                _ if config_map && !matches!(name.as_str(), "apiVersion" | "kind") => {}
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

struct Metadata<'a>(&'a Value);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(members) = self.0.as_object() else { return self.0.serialize(serializer) };
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in members {
            match name.as_str() {
                "managedFields" | "resourceVersion" => {}
                "annotations" => map.serialize_entry(name, &Annotations(value))?,
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

struct Annotations<'a>(&'a Value);

impl Serialize for Annotations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_object() {
            Some(annotations) => serializer.collect_map(annotations.iter().filter(|(name, _)| *name != LAST_APPLIED)),
            None => self.0.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::Node;
    use serde_json::json;

    use super::*;

    fn read(kept: Kept<'_>) -> Value {
        serde_json::from_str(&Node::root(&kept.document().unwrap()).unwrap().to_json()).unwrap()
    }

    #[test]
    fn leaves_out_what_nobody_reads() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "uid": "u", "resourceVersion": "7", "managedFields": [{}],
                "annotations": {LAST_APPLIED: "{}", "b": "c"},
            },
            "spec": {"replicas": 3}, "status": {"readyReplicas": 1},
        });
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "uid": "u", "annotations": {"b": "c"}}, "spec": {"replicas": 3},
        });
        assert_eq!(read(Kept::of(&object).unwrap()), expected);
        assert_eq!(read(Kept::of(&object).unwrap().with_status())["status"], json!({"readyReplicas": 1}));
        let item =
            json!({"metadata": {"name": "a"}, "data": {"password": "x"}, "binaryData": {"y": "z"}, "immutable": true});
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        assert_eq!(read(Kept::of(&item).unwrap().typed("v1", "ConfigMap")), expected);
        let other = json!({"apiVersion": "example.com/v1", "kind": "ConfigMap", "metadata": "odd", "data": 1});
        assert_eq!(read(Kept::of(&other).unwrap()), other);
        assert!(Kept::of(&json!([])).is_none());
    }
}
