use plimsoll_sdk::autoscaling::utilizations;
use plimsoll_sdk::disruption::{name, target};
use plimsoll_sdk::kind::OwnedKind;
use plimsoll_sdk::prelude::*;

/// Workloads that scale by a share of requests, while another autoscaler changes these requests.
///
/// ## What it finds
/// `warning`: a HorizontalPodAutoscaler or a ScaledObject aims at a share of the requested cpu or memory. A
/// VerticalPodAutoscaler sets the requests of the same workload for the same resource. The VerticalPodAutoscaler counts
/// if both are true:
///
/// - Its `updateMode` is `Auto` (the default), `Recreate` or `InPlaceOrRecreate`.
/// - `controlledResources` or `mode: Off` do not exclude the resource for all containers.
///
/// The finding appears at the object that is applied last. In a set it is reported once, at the VerticalPodAutoscaler.
///
/// ## Why
/// Under load one autoscaler adds Pods and the other raises the request. With a greater request the same use is a
/// smaller share, so the first one removes Pods again. Each restart for a new request takes one more Pod out of
/// service.
///
/// ## What to write
/// A VerticalPodAutoscaler that only recommends, or that excludes the measured resource:
///
/// ```yaml
/// spec:
///   updatePolicy: {updateMode: "Off"}
/// ```
#[policy(
    on = Kinds,
    kinds = [Autoscalers, "autoscaling.k8s.io/VerticalPodAutoscaler"],
    severity = Warning, since = "0.1.0",
    requires = ["autoscaling/HorizontalPodAutoscaler", "autoscaling.k8s.io/VerticalPodAutoscaler"],
    refines = ["keda.sh/ScaledObject"],
    reads = [Autoscalers, VerticalAutoscalers],
    covers = ["hpa-vpa-conflict"]
)]
pub fn autoscaler_fights_vertical_autoscaler(review: &Review, findings: &mut Findings) {
    let Some(object) = review.object().node() else { return };
    let Some(scaler) = Autoscaler::of(review) else {
        return of_vertical(review, object, findings);
    };
    let measured = utilizations(scaler, object);
    let Some((kind, scaled)) = target(review, object).filter(|_| !measured.is_empty()) else { return };
    let answer = review.referring(Kind::VERTICAL_POD_AUTOSCALER, kind.get(), &scaled);
    let first = |resource: &str| measured.iter().position(|measure| measure.resource == resource);
    let measured_first = SET.map(first);
    for vertical in answer.nodes() {
        let sets = sets(vertical);
        let index = measured_first.iter().zip(sets).filter_map(|(index, is_set)| index.filter(|_| is_set)).min();
        let Some(measure) = index.and_then(|index| measured.get(index)) else { continue };
        let name = name(vertical);
        let message = format!(
            "VerticalPodAutoscaler {name} changes the {} requests of {} {scaled}, and this autoscaler scales by a share of them",
            measure.resource,
            kind.name()
        );
        let finding = findings.warning(&measure.place(review, scaler), message, HELP);
        finding.related(format!("VerticalPodAutoscaler/{name}"));
        return;
    }
    if !answer.complete {
        findings.skip("not all VerticalPodAutoscalers of the namespace are known");
    }
}

const HELP: &str = "write updateMode: \"Off\" in the VerticalPodAutoscaler, or scale by a metric of another resource";

fn of_vertical(review: &Review<'_>, object: Node<'_>, findings: &mut Findings) {
    let text = |field: &'static str| review.at("/spec/targetRef").key(field).as_str();
    let (Some(kind), Some(scaled)) = (text("kind"), text("name")) else { return };
    let kind = OwnedKind::new(text("apiVersion").unwrap_or_default(), kind);
    let mut is_known = true;
    let sets = sets(object);
    let is_set = |resource: &str| SET.into_iter().zip(sets).any(|(known, is_set)| is_set && known == resource);
    for scaler in Autoscaler::ALL {
        let answer = review.referring(scaler.kind(), kind.get(), scaled);
        is_known &= scaler.is_known(answer.complete);
        for horizontal in answer.nodes() {
            let measured = utilizations(scaler, horizontal);
            let Some(measure) = measured.iter().find(|measure| is_set(&measure.resource)) else { continue };
            let message = format!(
                "this VerticalPodAutoscaler changes the {} requests of {} {scaled}, and {} scales by a share of them",
                measure.resource,
                kind.name(),
                scaler.describe(horizontal)
            );
            findings
                .warning(&review.at("/spec/updatePolicy/updateMode"), message, HELP)
                .about(&review.at("/spec/targetRef"));
            return;
        }
    }
    if !is_known {
        findings.skip("not all autoscalers of the namespace are known");
    }
}

/// The resources whose requests a VerticalPodAutoscaler can change.
const SET: [&str; 2] = ["cpu", "memory"];

/// For each of these resources, whether the VerticalPodAutoscaler changes its requests in any container.
fn sets(vertical: Node<'_>) -> [bool; 2] {
    let text = |pointer: &str| vertical.at(pointer).and_then(Node::as_str);
    if matches!(text("/spec/updatePolicy/updateMode"), Some("Off" | "Initial")) {
        return [false; 2];
    }
    let policies: Vec<_> =
        vertical.at("/spec/resourcePolicy/containerPolicies").into_iter().flat_map(Node::items).collect();
    // A policy for `*` covers every container without its own policy. Without a policy for `*`, the
    // VerticalPodAutoscaler sets both resources of these containers.
    let rest = policies.iter().find(|policy| policy.get("containerName").and_then(Node::as_str) == Some("*"));
    SET.map(|resource| {
        let is_set = |policy: &Node<'_>| {
            let resources = policy.get("controlledResources").filter(|list| !list.is_null());
            let is_listed = resources.is_none_or(|list| list.items().any(|item| item.as_str() == Some(resource)));
            policy.get("mode").and_then(Node::as_str) != Some("Off") && is_listed
        };
        rest.is_none_or(is_set) || policies.iter().any(is_set)
    })
}
