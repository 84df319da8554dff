//! Annotations of ScaledObjects that KEDA obeys. The rules follow KEDA 2.17,
//! `apis/keda/v1alpha1/scaledobject_types.go`.

use plimsoll_flat::Node;

/// Annotation with the number of Pods that KEDA keeps while scaling is paused.
pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

/// State of a ScaledObject whose scaling is paused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paused {
    /// KEDA keeps this number of Pods (`autoscaling.keda.sh/paused-replicas`), whatever the minimum.
    At(i64),
    /// KEDA does not change the number of Pods (`autoscaling.keda.sh/paused`).
    Now,
}

impl Paused {
    /// Reads a ScaledObject. `None` if scaling is not paused. The annotation with a number takes precedence.
    #[must_use]
    pub fn of(object: Node<'_>) -> Option<Self> {
        let text = |name: &str| annotation(object, name);
        match text(PAUSED_REPLICAS) {
            Some(pods) => pods.trim().parse().ok().filter(|pods| *pods >= 0).map(Self::At),
            // The values of `strconv.ParseBool`. KEDA treats a value that is no boolean as a pause.
            None => text("autoscaling.keda.sh/paused")
                .is_some_and(|text| !matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False"))
                .then_some(Self::Now),
        }
    }
}

/// Name of the HorizontalPodAutoscaler that a ScaledObject takes over. `None` without the annotation for it.
#[must_use]
pub fn taken_over<'a>(object: Node<'a>) -> Option<&'a str> {
    let is_told = annotation(object, "scaledobject.keda.sh/transfer-hpa-ownership") == Some("true");
    object.at("/spec/advanced/horizontalPodAutoscalerConfig/name").and_then(Node::as_str).filter(|_| is_told)
}

fn annotation<'a>(object: Node<'a>, name: &str) -> Option<&'a str> {
    object.at("/metadata/annotations").and_then(|all| all.get(name)).and_then(Node::as_str)
}
