//! Metadata of every object.

use super::check::{field, item, shown, value};
use super::selector;
use crate::formats::{Form, names};
use crate::{At, Faults, Rule};

/// Largest total size of all annotations, in bytes.
const ANNOTATIONS: usize = 256 * 1024;

/// Kinds outside of namespaces. The API server drops a `namespace` of theirs.
const CLUSTER: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "DeviceClass",
    "DeviceTaintRule",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceSlice",
    "RuntimeClass",
    "SelfSubjectAccessReview",
    "SelfSubjectReview",
    "SelfSubjectRulesReview",
    "ServiceCIDR",
    "StorageClass",
    "SubjectAccessReview",
    "TokenReview",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeAttributesClass",
];

/// Kinds whose `generation` the API server sets, whatever it is.
const COUNTED: &[&str] = &[
    "CronJob",
    "CustomResourceDefinition",
    "DaemonSet",
    "Deployment",
    "DeviceClass",
    "DeviceTaintRule",
    "EndpointSlice",
    "FlowSchema",
    "Ingress",
    "IngressClass",
    "Job",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "NetworkPolicy",
    "Pod",
    "PodDisruptionBudget",
    "PodTemplate",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ReplicaSet",
    "ReplicationController",
    "ResourceSlice",
    "StatefulSet",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// The metadata of an object whose name has a form. `core` kinds check their finalizers more strictly.
pub(super) fn probe(object: &At<'_>, form: &Form, core: bool, faults: &mut Faults) {
    let meta = object.at("metadata");
    let name = field(&meta, "name");
    let generate = field(&meta, "generateName");
    // The API server names a LimitRange itself.
    let kind = object.at("kind").text();
    let unnamed = name.at.text().is_empty() && generate.at.text().is_empty();
    if unnamed && kind != "LimitRange" {
        name.missing("the name of the object, or `generateName`", faults);
    }
    name.form_or_empty(form, Rule::InvalidName, faults);
    // The name of a ReplicationController is checked in another way, which does not look at an unused prefix.
    let unused = kind == "ReplicationController" && !name.at.text().is_empty();
    let wrong = |prefix: &&str| !prefix.is_empty() && !is_prefix(prefix, form);
    if let Some(prefix) = generate.at.str().filter(wrong).filter(|_| !unused) {
        let message = format!("`{}` can't begin a {}: use {}", shown(prefix), form.what, form.allowed);
        faults.error(Rule::InvalidName, &generate.at, message, "write a prefix such as `my-name-`");
    }
    if !CLUSTER.contains(&kind) {
        field(&meta, "namespace").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
    }
    if !COUNTED.contains(&kind) {
        field(&meta, "generation").least(0, faults);
    }
    selector::labels(&meta.at("labels"), faults);
    annotations(&meta.at("annotations"), faults);
    owners(&meta.at("ownerReferences"), faults);
    finalizers(&meta.at("finalizers"), core, faults);
    let version = meta.at("resourceVersion");
    // The API server ignores a version that is no number.
    if version.text().parse::<u64>().is_ok_and(|number| number > 0) {
        let message = "`resourceVersion` is set, but the API server creates no object that has one";
        faults.warning(Rule::ServerWarning, &version, message, "remove `resourceVersion`");
    }
}

/// The metadata of a template: labels and annotations.
pub(super) fn template(meta: &At<'_>, faults: &mut Faults) {
    selector::labels(&meta.at("labels"), faults);
    annotations(&meta.at("annotations"), faults);
}

/// The annotations of an object.
pub(super) fn annotations(annotations: &At<'_>, faults: &mut Faults) {
    let mut size = 0;
    for (key, value) in annotations.members() {
        if !(names::QUALIFIED_NAME_ANY_CASE.holds)(key) {
            let allowed = names::QUALIFIED_NAME.allowed;
            let message = format!("`{}` is not a valid key of an annotation: use {allowed}", shown(key));
            faults.error(Rule::InvalidLabel, &value, message, "write a key such as `example.com/note`");
        }
        size += key.len() + value.text().len();
    }
    if size > ANNOTATIONS {
        let message = format!("the annotations have {size} bytes, but at most {ANNOTATIONS} (256 KiB) are allowed");
        faults.error(Rule::OutOfRange, annotations, message, "shorten the annotations");
    }
}

fn owners(owners: &At<'_>, faults: &mut Faults) {
    let mut controller = false;
    let mut known: Vec<At<'_>> = Vec::new();
    for owner in owners.items() {
        // Equal owners are merged.
        if known.iter().any(|other| other.node() == owner.node()) {
            faults.warning(Rule::ServerWarning, &owner, "the owner is there twice", "remove one of the two");
            continue;
        }
        if known.len() < 64 {
            known.push(owner);
        }
        let version = field(&owner, "apiVersion").need("the apiVersion of the owner", faults);
        let kind = field(&owner, "kind").need("the kind of the owner", faults);
        field(&owner, "name").need("the name of the owner", faults);
        field(&owner, "uid").need("the uid of the owner", faults);
        if version.is_some_and(|version| version.matches('/').count() > 1) {
            let message = format!("`{}` is not a valid apiVersion", value(&owner.at("apiVersion")));
            faults.error(Rule::InvalidValue, &owner.at("apiVersion"), message, "write a group and version: `apps/v1`");
        }
        if (version, kind) == (Some("v1"), Some("Event")) {
            faults.error(Rule::InvalidValue, &owner, "an Event can't be an owner", "remove the owner");
        }
        if owner.at("controller").is_true() && std::mem::replace(&mut controller, true) {
            let message = "two owners have `controller: true`, but only one can be the controller";
            faults.error(
                Rule::ExclusiveFields,
                &owner.at("controller"),
                message,
                "leave `controller: true` at one owner",
            );
        }
    }
}

fn finalizers(finalizers: &At<'_>, core: bool, faults: &mut Faults) {
    let (mut orphan, mut foreground) = (false, false);
    for finalizer in finalizers.items() {
        orphan |= finalizer.text() == "orphan";
        foreground |= finalizer.text() == "foregroundDeletion";
        self::finalizer(&finalizer, core, faults);
    }
    if orphan && foreground {
        let message = "the finalizers `orphan` and `foregroundDeletion` exclude each other";
        faults.error(Rule::ExclusiveFields, finalizers, message, "remove one of the two finalizers");
    }
}

/// One finalizer; of `core` kinds it has a domain unless it is one of Kubernetes' own.
pub(super) fn finalizer(finalizer: &At<'_>, core: bool, faults: &mut Faults) {
    let name = finalizer.text();
    if finalizer.is_absent() || name.is_empty() {
        return item(finalizer, "finalizer").missing("a name such as `example.com/my-finalizer`", faults);
    }
    item(finalizer, "finalizer").form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
    let own = matches!(name, "kubernetes" | "orphan" | "foregroundDeletion");
    if core && !own && !name.contains('/') && names::is_qualified_name(name) {
        let message = format!("the finalizer `{}` has no domain, and is not one of Kubernetes' own", shown(name));
        faults.error(Rule::InvalidName, finalizer, message, format!("write a domain before it: `example.com/{name}`"));
    }
}

/// Whether names can begin with this: a `-` at the end is fine, because more follows.
pub(super) fn is_prefix(prefix: &str, form: &Form) -> bool {
    match prefix.strip_suffix('-').filter(|rest| !rest.is_empty()) {
        None => (form.holds)(prefix),
        Some(rest) => {
            let mut letters = rest.chars();
            letters.next_back();
            let mut masked = String::from(letters.as_str());
            masked.push('a');
            (form.holds)(&masked)
        }
    }
}
