//! The minimum number of Pods that autoscalers keep.

use plimsoll_flat::Node;

use crate::autoscaling::Scalers;
use crate::disruption::{is_reviewed, name, target};
use crate::int_or_percent::pods_at;
use crate::keda::{PAUSED_REPLICAS, Paused};
use crate::kind::{Autoscaler, Kind};
use crate::owners::is_owned_by;
use crate::review::Review;

/// Minimum number of Pods that an autoscaler keeps while it runs any.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// Number of Pods.
    pub pods: i64,
    /// `HorizontalPodAutoscaler web`
    pub by: String,
    /// The field that sets it, such as `minReplicas`.
    pub field: &'static str,
    /// Whether KEDA also scales to no Pods at all if there is nothing to do.
    pub is_left: bool,
}

impl Floor {
    /// Whether KEDA sets it. KEDA starts Pods again if there are none.
    #[must_use]
    pub fn is_of_keda(&self) -> bool {
        self.field != "minReplicas"
    }

    /// Whether KEDA is paused at exactly this number of Pods.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.field == PAUSED_REPLICAS
    }
}

/// The lowest minimum of the autoscalers of a workload, and whether all of them are known. The reviewed autoscaler
/// counts as the review has it.
///
/// A ScaledObject that is paused at its current size counts with its minimum if the workload states no `replicas`: the
/// size at which it was paused is not known.
pub(crate) fn floor(
    review: &Review<'_>,
    scalers: &Scalers,
    kind: Kind<'_>,
    name_of: &str,
    is_sized: bool,
) -> (Option<Floor>, bool) {
    let mut known = true;
    let mut floors = Vec::new();
    for scaler in Autoscaler::ALL {
        let complete = scalers.each(review, scaler, kind, name_of, &mut |object| {
            // The ScaledObject of this HorizontalPodAutoscaler has the same minimum.
            if !is_reviewed(review, scaler.kind(), name(object)) && !is_owned_by(review, Kind::SCALED_OBJECT, object) {
                floors.extend(minimum(scaler, object, name(object), is_sized));
            }
        });
        // KEDA creates a HorizontalPodAutoscaler with the same minimum, so ScaledObjects need not be known.
        known &= scaler.is_known(complete);
    }
    let own = Autoscaler::of(review);
    if let (Some(scaler), Some(object)) = (own, review.object().node())
        && target(review, object).is_some_and(|(kind_of, name)| kind_of == kind && name == name_of)
    {
        floors.extend(minimum(scaler, object, review.name(), is_sized));
    }
    (floors.into_iter().reduce(|least, next| if next.pods < least.pods { next } else { least }), known)
}

/// `None` for a ScaledObject that is paused at a size that is known, and for a minimum that the API server rejects.
fn minimum(scaler: Autoscaler, object: Node<'_>, name: &str, is_sized: bool) -> Option<Floor> {
    let is_hpa = scaler == Autoscaler::Horizontal;
    let by = format!("{} {name}", scaler.kind().name());
    match Paused::of(object).filter(|_| !is_hpa) {
        Some(Paused::At(pods)) => return Some(Floor { pods, by, field: PAUSED_REPLICAS, is_left: false }),
        Some(Paused::Now) if is_sized => return None,
        Some(Paused::Now) | None => {}
    }
    let (field, unset) = if is_hpa { ("minReplicas", 1) } else { ("minReplicaCount", 0) };
    let least = pods_at(object, scaler.min(), unset)?;
    let is_left = !is_hpa && least == 0 && Paused::of(object).is_none();
    Some(Floor { pods: least.max(1), by, field, is_left })
}
