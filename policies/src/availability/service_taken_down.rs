//! Changes of a protected Service after which no request reaches its Pods.

use plimsoll_sdk::bundle::Answer;
use plimsoll_sdk::prelude::*;

use crate::availability::live_workload_removed::UNPROTECT;

/// Reports a type or a selector that takes a protected Service down.
pub(crate) fn service_taken_down(review: &Review<'_>, findings: &mut Findings) {
    let old = review.old();
    let (kind, selector) = (review.at("/spec/type"), review.at("/spec/selector"));
    let (was, is) = (old.at("/spec/type").as_str(), kind.as_str());
    let what = format!("protected Service {}", review.name());
    if is == Some("ExternalName") && was != is {
        findings.error(&kind, format!("{what} becomes an ExternalName: its address is gone"), UNPROTECT);
    } else if was == Some("LoadBalancer") && was != is {
        findings.error(&kind, format!("{what} is no longer a LoadBalancer: its external address is gone"), UNPROTECT);
    }
    let before = old.at("/spec/selector");
    if !before.has_content() || before.node() == selector.node() {
        return;
    }
    let Some(labels) = selector.node().filter(|_| selector.has_content()).and_then(Value::copy) else {
        findings.error(&selector, format!("{what} loses its selector: it selects no Pods"), UNPROTECT);
        return;
    };
    let selector_of_pods = Value::object([("matchLabels", labels)]).to_document();
    let selected = review.selected_by_each(&SELECTED, &selector_of_pods);
    let has_pods = |object: Node<'_>| object.at("/spec/replicas").and_then(Node::as_i64) != Some(0);
    // A truncated answer counts as known if it has any object. A kind without any known object may have Pods.
    let is_known = |answer: &Answer| answer.complete || answer.nodes().next().is_some();
    if selected.iter().all(|answer| is_known(answer) && !answer.nodes().any(has_pods)) {
        let message = format!("the new selector of {what} matches no workload with Pods: no Pod answers");
        // The workload that it selects may have been created a moment ago.
        findings.error(&selector, message, UNPROTECT).companion();
    }
}

/// Kinds whose Pods a Service can select.
const SELECTED: [Kind<'static>; 7] = [
    Kind::DEPLOYMENT,
    Kind::STATEFUL_SET,
    Kind::DAEMON_SET,
    Kind::REPLICA_SET,
    Kind::REPLICATION_CONTROLLER,
    Kind::ROLLOUT,
    Kind::JOB,
];
