//! What annotations tell KEDA about its ScaledObjects. Read from KEDA 2.17, `apis/keda/v1alpha1/scaledobject_types.go`.

use plimsoll_flat::Node;

/// The annotation with the number of Pods that KEDA keeps.
pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";

/// A ScaledObject that does not scale.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paused {
    /// KEDA keeps this number of Pods (`autoscaling.keda.sh/paused-replicas`), whatever the minimum.
    At(i64),
    /// KEDA leaves the number as it is (`autoscaling.keda.sh/paused`).
    Now,
}

impl Paused {
    /// What a ScaledObject says; none where it scales. The number counts before the other annotation.
    #[must_use]
    pub fn of(object: Node<'_>) -> Option<Self> {
        let text = |name: &str| annotation(object, name);
        match text(PAUSED_REPLICAS) {
            Some(pods) => pods.trim().parse().ok().filter(|pods| *pods >= 0).map(Self::At),
            // As `strconv.ParseBool` has it; KEDA pauses on what is no boolean.
            None => text("autoscaling.keda.sh/paused")
                .is_some_and(|text| !matches!(text, "0" | "f" | "F" | "false" | "FALSE" | "False"))
                .then_some(Self::Now),
        }
    }
}

/// The name of the HorizontalPodAutoscaler that a ScaledObject takes over, where it is told to.
#[must_use]
pub fn taken_over<'a>(object: Node<'a>) -> Option<&'a str> {
    let is_told = annotation(object, "scaledobject.keda.sh/transfer-hpa-ownership") == Some("true");
    object.at("/spec/advanced/horizontalPodAutoscalerConfig/name").and_then(Node::as_str).filter(|_| is_told)
}

fn annotation<'a>(object: Node<'a>, name: &str) -> Option<&'a str> {
    object.at("/metadata/annotations").and_then(|all| all.get(name)).and_then(Node::as_str)
}
