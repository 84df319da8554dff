use std::collections::BTreeSet;

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::reserved::PROTECT;

use crate::availability::service_taken_down::service_taken_down;

/// Workloads that are deleted or scaled to 0 while they run.
///
/// ## What it finds
/// The policy finds the DELETE of a Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Rollout
/// that has ready Pods. It also finds a change of its replicas to 0, by an update or by `kubectl scale`.
///
/// - `error`: the workload has the annotation `plimsoll.dev/protect: "true"`, even if none of its Pods is ready.
/// - `warning`: the workload does not have it.
///
/// The same annotation protects a Service. For a protected object, these changes are errors too:
///
/// - a new owner in `metadata.ownerReferences`, or the removal of an owner while another one stays. The garbage
///   collector deletes an object if none of its owners exists;
/// - a Service that becomes an `ExternalName`, or that stops being a `LoadBalancer`;
/// - a Service whose selector becomes empty, or selects no workload that has Pods any more;
/// - a DaemonSet whose `nodeName`, `nodeSelector` or required node affinity gets a new value.
///
/// Only the value `"true"` protects an object. The webhook warns of any other value except `"false"`. It also warns of
/// the annotation on a kind that it does not protect, and of a label with this name.
///
/// The policy reads the annotation from the object before the request. So a request that removes the annotation cannot
/// also make one of these changes. A request that removes the annotation and changes an image is a `warning`:
/// `kubectl rollout undo` restores the annotations of an older revision.
///
/// The policy never stops the namespace controller, the garbage collector or autoscalers. In a namespace that is being
/// deleted, it stops no request at all. Files delete nothing, so `plimsoll check` never reports these findings.
///
/// ## Why
/// The Pods that serve requests are gone at once: no controller waits until a successor is ready. A wrong context of
/// kubectl, a prune of a GitOps tool or a script that scales down the wrong colour looks like any other change.
///
/// ## What to write
/// Nothing, if the change is intended: a warning blocks no request. To remove a protected object, first remove the
/// annotation in a separate request:
///
/// ```sh
/// kubectl annotate deployment shop plimsoll.dev/protect-
/// ```
///
/// ## Assumptions
/// A Scale does not carry the annotations of the workload that it scales. If the policy cannot read these, it assumes
/// that the workload is not protected. It also assumes that a Service selects only Pods of workloads. An object that
/// had an owner before it was protected is deleted together with that owner.
///
/// The controllers of Deployments and Rollouts copy the annotation to their ReplicaSets. The ReplicaSets keep it when a
/// user removes it from the workload. Kubernetes' own controllers may remove such ReplicaSets. Argo's controller must
/// be one of the PolicySet's `trustedControllers` before a Rollout is protected. A workload adopts a protected
/// ReplicaSet without an owner if its selector matches the labels of the ReplicaSet. The ReplicaSet is then deleted
/// together with the workload.
///
/// ## Order
/// The policy judges a removal when it happens, and nothing can come after it. It judges a Scale by its Deployment,
/// StatefulSet, ReplicaSet, ReplicationController or Rollout, because that object carries the annotation. It judges the
/// selector of a Service by all of these kinds, and by each DaemonSet and Job, when the selector is changed.
#[policy(
    on = LongRunning, kinds = ["/Service"], subresources = ["scale"],
    operations = [Update, Delete], severity = Error, since = "0.1.0", judges = Transition,
    refines = [LongRunning, "batch/Job"],
    default = Deny(TakesDown),
    reads = [Workloads],
    covers = [
        "bluegreen-active-removed: any workload with ready Pods, whether or not it is the only backend of a Service"
    ]
)]
pub fn live_workload_removed(review: &Review, findings: &mut Findings) {
    if review.operation() == "DELETE" {
        return deleted(review, findings);
    }
    scaled_to_zero(review, findings);
    if protection(&review.old()).is_some() {
        given_an_owner(review, findings);
        protection_lost(review, findings);
        match review.kind() {
            "Service" => service_taken_down(review, findings),
            "DaemonSet" => moved_away(review, findings),
            _ => {}
        }
    }
}

fn deleted(review: &Review<'_>, findings: &mut Findings) {
    let object = review.object();
    let what = format!("{} {}", review.kind(), review.name());
    if let Some(annotation) = protection(object) {
        let message = format!("{what} is protected from deletion by the annotation plimsoll.dev/protect");
        findings.error(&annotation, message, UNPROTECT);
    } else if let ready @ 1.. = ready(object) {
        let are = if ready == 1 { "is" } else { "are" };
        let message = format!("{what} is deleted while {ready} of its Pods {are} ready: its Pods stop at once");
        let help = "add the annotation plimsoll.dev/protect: \"true\" to an object that must not be deleted by mistake";
        findings.warning(&object.at("/metadata"), message, help);
    }
}

fn scaled_to_zero(review: &Review<'_>, findings: &mut Findings) {
    let scaled = review.scaled();
    // A missing `replicas` means 0 in a Scale, and 1 in a workload.
    let unwritten = if scaled.is_some() { 0 } else { 1 };
    let (at, before) = (review.at("/spec/replicas"), review.old().at("/spec/replicas"));
    let pods = before.as_i64().unwrap_or(unwritten);
    if at.as_i64().unwrap_or(unwritten) != 0 || pods == 0 {
        return;
    }
    // The annotations are on the workload that the Scale belongs to.
    let scaled = scaled.map(|kind| review.resolve(kind, review.name()));
    let parent = scaled.as_ref().and_then(|answer| answer.nodes().next()).map(Cursor::of);
    if scaled.as_ref().is_some_and(|answer| !answer.complete && parent.is_none()) {
        findings.assume("the workload that is scaled to 0 is not protected");
    }
    let message = format!("replicas changes from {pods} to 0: no Pod of {} is left", review.name());
    if protection(&parent.unwrap_or_else(|| review.old())).is_some() {
        findings.error(&at, format!("{message}, and plimsoll.dev/protect is set"), UNPROTECT);
    } else {
        findings.warning(&at, message, "keep one replica, or delete the workload if it is no longer needed");
    }
}

/// Reports a new or removed owner. The garbage collector deletes an object if none of its owners exists.
fn given_an_owner(review: &Review<'_>, findings: &mut Findings) {
    let (old, new) = (review.old().at("/metadata/ownerReferences"), review.at("/metadata/ownerReferences"));
    let before: BTreeSet<_> = old.items().map(|owner| owner_of(&owner)).collect();
    let after: BTreeSet<_> = new.items().map(|owner| owner_of(&owner)).collect();
    let what = format!("protected {} {}", review.kind(), review.name());
    if let Some(added) = new.items().find(|owner| !before.contains(&owner_of(owner))) {
        let message = format!("{what} gets a new owner: the garbage collector deletes it if that owner does not exist");
        findings.error(&added, message, UNPROTECT);
    } else if !after.is_empty() && after.len() < before.len() {
        let message = format!("{what} loses an owner: the garbage collector deletes it with its other owners");
        findings.error(&new, message, UNPROTECT);
    }
}

/// Reports a change of images that also removes the protection, as `kubectl rollout undo` can do.
fn protection_lost(review: &Review, findings: &mut Findings) {
    let images = |object: &Cursor<'_>| -> Vec<String> {
        let containers = object.at("/spec/template/spec/containers");
        containers.items().filter_map(|container| container.at("/image").as_str().map(str::to_owned)).collect()
    };
    if protection(review.object()).is_none() && images(&review.old()) != images(review.object()) {
        let message = format!(
            "{} {} changes its images and loses the annotation plimsoll.dev/protect: it is no longer protected",
            review.kind(),
            review.name()
        );
        findings.warning(
            &review.at("/metadata"),
            message,
            "add the annotation plimsoll.dev/protect: \"true\" again, if the removal was a mistake",
        );
    }
}

/// The four fields by which the garbage collector identifies an owner.
fn owner_of<'a>(owner: &Cursor<'a>) -> [Option<&'a str>; 4] {
    [owner.at("/apiVersion"), owner.at("/kind"), owner.at("/name"), owner.at("/uid")].map(|field| field.as_str())
}

/// Reports changed node constraints. A DaemonSet has no replicas, but constraints that match no node remove its Pods.
fn moved_away(review: &Review<'_>, findings: &mut Findings) {
    let old = review.old();
    for path in [
        "/spec/template/spec/nodeName",
        "/spec/template/spec/nodeSelector",
        "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution",
    ] {
        let (before, now) = (old.at(path), review.at(path));
        if (now.has_content() || now.as_str().is_some_and(|name| !name.is_empty())) && now.node() != before.node() {
            let message = format!(
                "the node constraints of protected DaemonSet {} change: it leaves nodes on which it runs",
                review.name()
            );
            findings.error(&now, message, UNPROTECT);
        }
    }
}

/// The annotation, if its value is `"true"`.
fn protection<'a>(object: &Cursor<'a>) -> Option<Cursor<'a>> {
    Some(object.at("/metadata/annotations").key(PROTECT)).filter(|annotation| annotation.as_str() == Some("true"))
}

pub(crate) const UNPROTECT: &str =
    "if the change is intended, first remove the annotation plimsoll.dev/protect in a separate request";

/// Number of ready Pods, from the status of any of these kinds.
fn ready(object: &Cursor<'_>) -> i64 {
    let counts = [object.at("/status/readyReplicas"), object.at("/status/numberReady")];
    counts.iter().filter_map(Cursor::as_i64).max().unwrap_or(0)
}
