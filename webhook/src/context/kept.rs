//! The kept part of an object: the fields that policies read of other objects, without fields that change all the time.

use plimsoll_flat::{Kind as Json, Node, Writer};
use serde_json::Value;

use crate::model::review::LAST_APPLIED;
use crate::registry::Parts;
use plimsoll_sdk::question::Shape;
use plimsoll_sdk::question::references::{self, Referred};

/// The kept part of an object, and the objects that it names.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) document: Vec<u8>,
    /// These are complete, even if the fields with the names are not kept.
    pub(super) references: Vec<Referred>,
}

/// The parts of a kind's objects that are kept: those that policies read. Managed fields, resource versions and status
/// are left out. For ConfigMaps, everything but metadata is left out. The rest changes only when its author changes it.
/// So a rollout in which every Pod reports its readiness costs nothing.
///
/// Secrets are never kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeping<'a> {
    shape: Shape<'a>,
    parts: Option<&'a Parts>,
    /// `apiVersion` and `kind`, which the items of lists do not contain.
    types: Option<(&'a str, &'a str)>,
    status: bool,
}

impl<'a> Keeping<'a> {
    /// Keeps these parts. None keeps the whole object.
    pub(super) fn new(shape: Shape<'a>, parts: Option<&'a Parts>) -> Self {
        Self { shape, parts, types: None, status: false }
    }

    /// Adds `apiVersion` and `kind`, as the API server writes them outside of a list.
    #[cfg(any(feature = "serve", test))]
    pub(super) fn typed(self, api_version: &'a str, kind: &'a str) -> Self {
        Self { types: Some((api_version, kind)), ..self }
    }

    /// Includes the status. Used for objects that are read once and not stored.
    #[cfg(any(feature = "serve", test))]
    pub(super) fn with_status(self) -> Self {
        Self { status: true, ..self }
    }

    /// None if the value is not an object, or exceeds the limits of a document.
    pub(super) fn keep(&self, object: &Value) -> Option<Kept> {
        let whole = plimsoll_flat::to_document(object).ok()?;
        let object = Node::root(&whole).ok()?;
        let mut referred = Vec::new();
        references::each(self.shape, object, &mut |reference| referred.push(reference.into()));
        Some(Kept { document: self.document(object)?, references: referred })
    }

    /// The kept part of a valid object.
    pub(super) fn document(&self, object: Node<'_>) -> Option<Vec<u8>> {
        if object.kind() != Json::Object {
            return None;
        }
        let mut writer = Writer::with_capacity(1 << 10);
        writer.begin_object();
        match self.types {
            Some(types) => [("apiVersion", types.0), ("kind", types.1)].into_iter().for_each(|(name, text)| {
                writer.key(name);
                writer.string(text);
            }),
            None => ["apiVersion", "kind"].iter().for_each(|name| copy(&mut writer, object, name)),
        }
        if let Some(metadata) = object.get("metadata") {
            writer.key("metadata");
            self.metadata(&mut writer, metadata);
        }
        if !self.is_config_map(object) {
            let is_left_out = |name: &str| matches!(name, "apiVersion" | "kind" | "metadata" | "status");
            members(&mut writer, object, self.parts, is_left_out);
        }
        if self.status {
            copy(&mut writer, object, "status");
        }
        writer.end();
        writer.finish().ok()
    }

    fn metadata(&self, writer: &mut Writer, metadata: Node<'_>) {
        if metadata.kind() != Json::Object {
            return writer.sound_node(metadata);
        }
        writer.begin_object();
        ALWAYS.iter().for_each(|name| copy(writer, metadata, name));
        let parts = self.parts.filter(|parts| !parts.is_whole());
        if let Some(annotations) = metadata.get("annotations")
            && let Some(parts) = parts.map_or(Some(None), |parts| parts.at(&["metadata", "annotations"]).map(Some))
        {
            writer.key("annotations");
            if annotations.kind() == Json::Object {
                writer.begin_object();
                members(writer, annotations, parts, |name| name == LAST_APPLIED);
                writer.end();
            } else {
                writer.sound_node(annotations);
            }
        }
        let is_left_out =
            |name: &str| ALWAYS.contains(&name) || matches!(name, "annotations" | "managedFields" | "resourceVersion");
        match parts {
            None => members(writer, metadata, None, is_left_out),
            Some(parts) => {
                if let Some(parts) = parts.member("metadata") {
                    members(writer, metadata, Some(parts), is_left_out);
                }
            }
        }
        writer.end();
    }

    fn is_config_map(&self, object: Node<'_>) -> bool {
        let text = |member: &str| object.get(member).and_then(Node::as_str);
        let (version, kind) = match self.types {
            Some((version, kind)) => (Some(version), Some(kind)),
            None => (text("apiVersion"), text("kind")),
        };
        kind == Some("ConfigMap") && version == Some("v1")
    }
}

/// Fields that identify, find and list an object. They are always kept.
const ALWAYS: [&str; 7] =
    ["name", "namespace", "uid", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp"];

fn copy(writer: &mut Writer, object: Node<'_>, name: &str) {
    if let Some(value) = object.get(name) {
        writer.key(name);
        writer.sound_node(value);
    }
}

/// Writes these parts of an object. None writes the whole object.
fn members(writer: &mut Writer, object: Node<'_>, parts: Option<&Parts>, is_left_out: impl Fn(&str) -> bool) {
    match parts.filter(|parts| !parts.is_whole()) {
        Some(parts) => {
            for (name, parts) in parts.members().filter(|(name, _)| !is_left_out(name)) {
                if let Some(value) = object.get(name) {
                    writer.key(name);
                    part(writer, value, parts);
                }
            }
        }
        None => {
            for (name, value) in object.members().filter(|(name, _)| !is_left_out(name)) {
                writer.key(name);
                writer.sound_node(value);
            }
        }
    }
}

/// Writes a value unchanged if its type differs from the parts.
fn part(writer: &mut Writer, value: Node<'_>, parts: &Parts) {
    match (value.kind(), parts.items()) {
        _ if parts.is_whole() => writer.sound_node(value),
        (Json::Object, _) if parts.members().next().is_some() => {
            writer.begin_object();
            members(writer, value, Some(parts), |_| false);
            writer.end();
        }
        (Json::Array, Some(items)) => {
            writer.begin_array();
            value.items().for_each(|item| part(writer, item, items));
            writer.end();
        }
        _ => writer.sound_node(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use plimsoll_sdk::question::Template;

    const SHAPE: Shape<'_> = Shape { kind: "apps/Deployment", templates: &[Template::Borrowed("/spec/template")] };

    fn read(keeping: Keeping<'_>, object: &Value) -> Value {
        let kept = keeping.keep(object).unwrap().document;
        plimsoll_flat::validate(&kept).unwrap();
        serde_json::from_str(&Node::root(&kept).unwrap().to_json()).unwrap()
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
        let all = Keeping::new(SHAPE, None);
        assert_eq!(read(all, &object), expected);
        assert_eq!(read(all.with_status(), &object)["status"], json!({"readyReplicas": 1}));
        let item =
            json!({"metadata": {"name": "a"}, "data": {"password": "x"}, "binaryData": {"y": "z"}, "immutable": true});
        let expected = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        assert_eq!(read(all.typed("v1", "ConfigMap"), &item), expected);
        let other = json!({"apiVersion": "example.com/v1", "kind": "ConfigMap", "metadata": "odd", "data": 1});
        assert_eq!(read(all, &other), other);
        assert!(all.keep(&json!([])).is_none());
    }

    #[test]
    fn keeps_the_parts_that_are_read() {
        let mut parts = Parts::default();
        for pointer in ["/spec/replicas", "/spec/template/spec/containers/*/name", "/metadata/annotations/read~1me"] {
            parts.add(pointer);
        }
        let containers = json!([{"name": "a", "image": "b"}, 7, {"image": "c"}]);
        let volumes = json!([{"configMap": {"name": "settings"}}]);
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "generation": 4, "labels": {"app": "a"}, "ownerReferences": [],
                "annotations": {LAST_APPLIED: "{}", "read/me": "1", "other": "2"}, "creationTimestamp": "then",
            },
            "spec": {
                "replicas": 3, "paused": true,
                "template": {"spec": {"containers": containers, "volumes": volumes}},
            },
            "status": {"replicas": 3},
        });
        let expected = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "labels": {"app": "a"}, "ownerReferences": [],
                "annotations": {"read/me": "1"}, "creationTimestamp": "then",
            },
            "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a"}, 7, {}]}}},
        });
        let some = Keeping::new(SHAPE, Some(&parts));
        assert_eq!(read(some, &object), expected);
        assert_eq!(read(some.with_status(), &object)["status"], json!({"replicas": 3}));
        // The references are known although the fields are not kept.
        let references = some.keep(&object).unwrap().references;
        assert!(references.iter().any(|it| (&*it.kind, &*it.name) == ("/ConfigMap", "settings")), "{references:?}");
        // Values whose type differs from the parts.
        for spec in [json!([1]), json!("x"), json!({"template": {"spec": {"containers": {"name": 1}}}})] {
            let odd = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
            assert_eq!(read(some, &odd), odd);
        }
        assert_eq!(read(Keeping::new(SHAPE, Some(&Parts::whole())), &object)["spec"], object["spec"]);
    }
}
