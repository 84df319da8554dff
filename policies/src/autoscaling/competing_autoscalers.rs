use plimsoll_sdk::disruption::{name, target};
use plimsoll_sdk::keda::taken_over;
use plimsoll_sdk::owners::is_owned_by;
use plimsoll_sdk::prelude::*;

/// Workloads that two autoscalers scale.
///
/// ## What it finds
/// `error`: a HorizontalPodAutoscaler or a ScaledObject scales a workload that another one scales too. The finding
/// appears at the autoscaler that is applied last; `plimsoll check` reports it once for a set. These two count as one
/// autoscaler:
///
/// - a ScaledObject and the HorizontalPodAutoscaler that KEDA makes for it;
/// - a ScaledObject and the HorizontalPodAutoscaler that it takes over by name (annotation
///   `scaledobject.keda.sh/transfer-hpa-ownership`).
///
/// ## Why
/// Every 15 seconds each autoscaler sets the number of Pods that its own metrics require. The workload grows and
/// shrinks without end. A HorizontalPodAutoscaler that detects this stops altogether (`AmbiguousSelector`).
///
/// ## What to write
/// One autoscaler with all metrics: it uses the highest number that any metric requires.
#[policy(
    on = Kinds, kinds = [Autoscalers],
    severity = Error, since = "0.1.0", requires = ["autoscaling/HorizontalPodAutoscaler"],
    refines = ["keda.sh/ScaledObject"],
    default = Warn,
    reads = [Autoscalers],
    covers = ["hpa-duplicate"]
)]
pub fn competing_autoscalers(review: &Review, findings: &mut Findings) {
    let Some(object) = review.object().node().filter(|object| !is_made_by_keda(review, *object)) else { return };
    let Some((kind, scaled)) = target(review, object) else { return };
    let Some(own_scaler) = Autoscaler::of(review) else { return };
    let own = format!("{}/{}", review.kind(), review.name());
    let mut others = Vec::new();
    let mut is_known = true;
    for scaler in Autoscaler::ALL {
        let answer = review.referring(scaler.kind(), kind.get(), &scaled);
        is_known &= scaler.is_known(answer.complete);
        let is_other =
            |other: &Node<'_>| !is_made_by_keda(review, *other) && !is_one((own_scaler, object), (scaler, *other));
        let found = answer.nodes().filter(is_other);
        others.extend(
            found.map(|object| format!("{}/{}", scaler.kind().name(), name(object))).filter(|other| *other != own),
        );
    }
    others.sort();
    let Some(other) = others.first() else {
        if !is_known {
            findings.skip("not all autoscalers of the namespace are known");
        }
        return;
    };
    let message = format!(
        "{} also scales {} {scaled}: the two set different numbers of Pods",
        other.replace('/', " "),
        kind.name()
    );
    let help = "keep one autoscaler, with the metrics of both";
    let finding = findings.error(&review.at("/spec/scaleTargetRef"), message, help);
    // One of the two autoscalers has the finding, and the other is its related object.
    if *other < own {
        finding.related(other.as_str());
    }
}

/// Whether one of the two is a ScaledObject that takes over the other.
fn is_one(own: (Autoscaler, Node<'_>), other: (Autoscaler, Node<'_>)) -> bool {
    [(own, other), (other, own)].into_iter().any(|((taker, object), (taken, hpa))| {
        taker == Autoscaler::Keda && taken == Autoscaler::Horizontal && taken_over(object) == Some(name(hpa))
    })
}

/// The ScaledObject must exist, because any user can write an owner reference.
fn is_made_by_keda(review: &Review<'_>, object: Node<'_>) -> bool {
    is_owned_by(review, Kind::SCALED_OBJECT, object)
}
