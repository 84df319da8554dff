//! The revisions of a workload: the objects that it controls. It also tells which of them the controller wrote itself.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use plimsoll_flat::Node;
use serde_json::Value;

use crate::admission::decide::Revision;
use crate::model::Review;

/// The field manager of kube-controller-manager. It writes the revisions, unless another program does its work.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// A workload whose revisions are read.
#[derive(Debug)]
pub(super) struct Workload {
    uid: String,
    created: Option<Timestamp>,
    /// The field managers of its controller.
    managers: BTreeSet<String>,
}

/// An object that holds an earlier pod template.
pub(super) trait Kept: Resource {
    /// The pod template.
    fn template(&self) -> Option<Value>;
    /// Whether these managed fields hold part of the template.
    fn is_template_in(fields: &Value) -> bool;
}

impl Workload {
    /// The workload of a review, from the old object. None if it has no uid.
    pub(super) fn of(review: &Review) -> Option<Self> {
        let metadata = review.old_object()?.get("metadata")?;
        let text = |name: &str| metadata.get(name).and_then(Node::as_str);
        let entries: Vec<Value> =
            review.old_managed_fields().and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
        // The controller writes the status. A user who may only change workloads can't.
        let of_status = entries.iter().filter(|entry| entry["subresource"] == "status");
        let managers = of_status.filter_map(|entry| entry["manager"].as_str());
        Some(Self {
            uid: text("uid")?.to_owned(),
            created: text("creationTimestamp").and_then(|text| text.parse().ok()),
            managers: managers.chain([CONTROLLER_MANAGER]).map(str::to_owned).collect(),
        })
    }

    /// The objects that the workload controls.
    pub(super) fn revisions<K: Kept>(&self, objects: &[K]) -> Vec<Revision> {
        let controlled = objects.iter().filter(|object| {
            let owners = object.meta().owner_references.iter().flatten();
            owners.into_iter().any(|owner| owner.controller == Some(true) && owner.uid == self.uid)
        });
        let revision = |object: &K| {
            let template = plimsoll_flat::to_document(&object.template()?).ok()?;
            Some(Revision { template, own: self.wrote(object) })
        };
        controlled.filter_map(revision).collect()
    }

    /// Whether the object is not older than the workload, and only the controller wrote its template. A user could
    /// otherwise create a ReplicaSet first and then a Deployment that adopts it, or write any owner into a ReplicaSet.
    fn wrote<K: Kept>(&self, object: &K) -> bool {
        let created = object.meta().creation_timestamp.as_ref().map(|time| time.0);
        // Both times are whole seconds, and a controller can react within one.
        let is_younger = created.zip(self.created).is_some_and(|(created, workload)| created >= workload);
        let entries = object.meta().managed_fields.iter().flatten();
        let mut writers = entries.filter(|entry| writes::<K>(entry)).peekable();
        is_younger
            && writers.peek().is_some()
            && writers.all(|entry| entry.manager.as_ref().is_some_and(|manager| self.managers.contains(manager)))
    }
}

fn writes<K: Kept>(entry: &ManagedFieldsEntry) -> bool {
    entry.subresource.as_deref().unwrap_or_default().is_empty()
        && entry.fields_v1.as_ref().is_some_and(|fields| K::is_template_in(&fields.0))
}

impl Kept for ReplicaSet {
    fn template(&self) -> Option<Value> {
        serde_json::to_value(self.spec.as_ref()?.template.as_ref()?).ok()
    }

    fn is_template_in(fields: &Value) -> bool {
        !fields["f:spec"]["f:template"].is_null()
    }
}

impl Kept for ControllerRevision {
    fn template(&self) -> Option<Value> {
        self.data.as_ref()?.0.pointer("/spec/template").cloned()
    }

    fn is_template_in(fields: &Value) -> bool {
        !fields["f:data"].is_null()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(status: &str) -> Workload {
        let fields = json!([{"manager": status, "operation": "Update", "subresource": "status"},
            {"manager": "kubectl", "operation": "Update"}]);
        let metadata =
            json!({"name": "web", "uid": "u", "creationTimestamp": "2026-06-01T11:00:00Z", "managedFields": fields});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {}});
        let request = json!({"uid": "1", "operation": "UPDATE", "object": object, "oldObject": object,
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}});
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        Workload::of(&Review::from_admission_review(body.to_string().as_bytes()).unwrap()).unwrap()
    }

    fn set(uid: &str, created: &str, managers: &[&str]) -> ReplicaSet {
        let fields = json!({"f:spec": {"f:template": {"f:spec": {}}}});
        let mut managed: Vec<Value> = managers
            .iter()
            .map(|manager| json!({"manager": manager, "operation": "Update", "fieldsV1": fields}))
            .collect();
        managed.push(json!({"manager": "kubectl-label", "operation": "Update", "fieldsV1": {"f:metadata": {}}}));
        managed.push(json!({"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": fields}));
        serde_json::from_value(json!({
            "metadata": {"name": "web-1", "creationTimestamp": created, "managedFields": managed,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": true}]},
            "spec": {"selector": {}, "template": {"spec": {"containers": []}}},
        }))
        .unwrap()
    }

    #[test]
    fn its_own_are_younger_and_written_by_its_controller() {
        let manager = CONTROLLER_MANAGER;
        let own = |status: &str, created: &str, managers: &[&str]| {
            let revisions = workload(status).revisions(&[set("u", created, managers)]);
            assert_eq!(revisions.len(), 1, "whoever wrote it, it is controlled");
            revisions[0].own
        };
        assert!(own(manager, "2026-06-01T11:00:00Z", &[manager]), "in the same second");
        assert!(own(manager, "2026-06-02T11:00:00Z", &[manager]));
        assert!(!own(manager, "2026-06-01T10:59:59Z", &[manager]), "older than the workload");
        assert!(!own(manager, "2026-06-01T11:00:01Z", &["kubectl-create"]), "made by hand");
        assert!(!own(manager, "2026-06-01T11:00:01Z", &[manager, "kubectl-edit"]), "edited by hand");
        assert!(!own(manager, "2026-06-01T11:00:01Z", &[]), "nobody knows who wrote it");
        // A program that does the work of kube-controller-manager and other tasks, under its own name.
        assert!(own("k3s", "2026-06-01T11:00:01Z", &["k3s"]));
        assert!(!own(manager, "2026-06-01T11:00:01Z", &["k3s"]));
        assert!(workload(manager).revisions(&[set("other", "2026-06-01T11:00:01Z", &[manager])]).is_empty());
    }
}
