use plimsoll_sdk::prelude::*;

/// What marks an object that nobody is to remove by mistake.
const PROTECT: &str = "plimsoll.dev/protect";

/// Workloads taken away while they run.
///
/// ## What it finds
/// A DELETE of a Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController or Rollout that has ready Pods, and
/// a change of its replicas to 0, by an update or by `kubectl scale`.
///
/// - `error`: it carries the annotation `plimsoll.dev/protect: "true"`, whether or not anything of it is ready. Services
///   can be protected from deletion in the same way.
/// - `warning`: it does not.
///
/// The namespace controller, the garbage collector and autoscalers are never stopped, nor is anybody in a namespace that is
/// being deleted. Files delete nothing, so `plimsoll check` never finds this.
///
/// ## Why
/// What serves is gone at once: nothing waits for a successor to be ready. A wrong context of kubectl, a prune of a
/// GitOps tool or a script that scales down the wrong colour looks like any other change.
///
/// ## What to write
/// Nothing, where it is meant: a warning stops nobody. To remove a protected object, take the annotation away first:
///
/// ```sh
/// kubectl annotate deployment shop plimsoll.dev/protect-
/// ```
///
/// ## Assumptions
/// A Scale does not carry the annotations of what it scales. Where these cannot be read, it is assumed not to be protected.
///
/// ## Order
/// A removal is judged when it happens, and nothing can come after it. By a Deployment, StatefulSet, ReplicaSet,
/// ReplicationController or Rollout its own Scale is judged, because the annotation stands there.
#[policy(
    category = "availability", on = LongRunning, kinds = ["/Service"], subresources = ["scale"],
    operations = [Update, Delete], severity = Error, since = "0.1.0", judges = Transition,
    refines = [
        "apps/Deployment", "apps/StatefulSet", "apps/ReplicaSet", "/ReplicationController", "argoproj.io/Rollout"
    ]
)]
pub fn live_workload_removed(review: &Review, findings: &mut Findings) {
    match review.operation() {
        "DELETE" => deleted(review, findings),
        _ => scaled_to_zero(review, findings),
    }
}

fn deleted(review: &Review<'_>, findings: &mut Findings) {
    let object = review.object();
    let what = format!("{} {}", review.kind(), review.name());
    if let Some(annotation) = protection(object) {
        let message = format!("{what} is protected from deletion");
        findings.error(&annotation, message, unprotect());
    } else if let ready @ 1.. = ready(object) {
        let message =
            format!("{what} goes while {} of it {} ready", count(ready), if ready == 1 { "is" } else { "are" });
        let help = "write plimsoll.dev/protect: \"true\" where that must not happen by mistake";
        findings.warning(&object.at("metadata"), message, help);
    }
}

fn scaled_to_zero(review: &Review<'_>, findings: &mut Findings) {
    let scaled = review.scaled();
    // A Scale leaves a 0 out, a workload a 1.
    let unwritten = if scaled.is_some() { 0 } else { 1 };
    let (at, before) = (review.at("spec/replicas"), review.old().at("spec/replicas"));
    let pods = before.as_i64().unwrap_or(unwritten);
    if at.as_i64().unwrap_or(unwritten) != 0 || pods == 0 {
        return;
    }
    // The parent of a Scale has the annotations.
    let scaled = scaled.map(|kind| review.get(&kind, review.name()));
    let parent = scaled.as_ref().and_then(|answer| answer.nodes().next()).map(Cursor::of);
    if scaled.as_ref().is_some_and(|answer| !answer.complete && parent.is_none()) {
        findings.assume("what is scaled to 0 is not protected");
    }
    let workload = parent.as_ref().unwrap_or_else(|| review.object());
    let message = format!("from {pods} to 0 replicas: nothing of {} is left", review.name());
    if protection(workload).is_some() {
        findings.error(&at, format!("{message}, and it is protected"), unprotect());
    } else {
        findings.warning(&at, message, "keep one replica, or delete what is not needed any more");
    }
}

/// The annotation, where it says so.
fn protection<'a>(object: &Cursor<'a>) -> Option<Cursor<'a>> {
    Some(object.at("metadata/annotations").key(PROTECT)).filter(|annotation| annotation.as_str() == Some("true"))
}

fn unprotect() -> &'static str {
    "take the annotation plimsoll.dev/protect away first, if it is meant"
}

/// Ready Pods, by the status of any of these kinds.
fn ready(object: &Cursor<'_>) -> i64 {
    let counts = [object.at("status/readyReplicas"), object.at("status/numberReady")];
    counts.iter().filter_map(Cursor::as_i64).max().unwrap_or(0)
}

fn count(pods: i64) -> String {
    if pods == 1 { "1 Pod".to_owned() } else { format!("{pods} Pods") }
}
