//! Checks that a place exists in the Kubernetes API. So a typo in a policy fails a test, and does not cause wrong
//! findings.

use anyhow::{Context as _, Result};
use plimsoll_tests::ControlPlane;
use serde_json::Value;

/// The API server's own OpenAPI document.
pub(crate) struct OpenApi(Value);

impl OpenApi {
    pub(crate) fn read(control_plane: &ControlPlane) -> Result<Self> {
        let text = control_plane.kubectl().ok(&["get", "--raw", "/openapi/v2"])?;
        Ok(Self(serde_json::from_str(&text).context("/openapi/v2")?))
    }

    /// Whether objects of this kind have a place with this RFC 6901 pointer. For a kind that the server does not know,
    /// such as a CRD that is not installed, every place exists.
    pub(crate) fn has(&self, object: &Value, pointer: &str) -> bool {
        let Some(mut schema) = self.schema_of(object) else { return true };
        for token in pointer.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            let next = match () {
                () if schema.get("items").is_some() && name.parse::<usize>().is_ok() => schema.get("items"),
                () if schema.get("properties").is_some() => {
                    schema.pointer("/properties").and_then(|all| all.get(&name))
                }
                () => schema.get("additionalProperties"),
            };
            match next.and_then(|next| self.resolve(next)) {
                Some(next) => schema = next,
                None => return false,
            }
        }
        true
    }

    fn schema_of(&self, object: &Value) -> Option<&Value> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let named = |kind: &Value| {
            kind.get("group").and_then(Value::as_str) == Some(group)
                && kind.get("version").and_then(Value::as_str) == Some(version)
                && kind.get("kind").and_then(Value::as_str) == Some(text("kind"))
        };
        self.0.get("definitions")?.as_object()?.values().find(|definition| {
            let kinds = definition.get("x-kubernetes-group-version-kind").and_then(Value::as_array);
            kinds.is_some_and(|kinds| kinds.iter().any(named))
        })
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> Option<&'a Value> {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.0.pointer(reference.strip_prefix('#')?),
            None => Some(schema),
        }
    }
}
