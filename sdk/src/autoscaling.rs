//! Autoscalers: their bounds, and the metrics that they measure.

use std::collections::BTreeMap;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::cursor::Cursor;
use crate::disruption::{name, target_of};
use crate::int_or_percent::pods_at;
use crate::keda::Paused;
use crate::kind::{Autoscaler, Kind, OwnedKind};
use crate::references::REFERRED;
use crate::review::Review;

/// Target of an autoscaler, as a share of the requests of the Pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilization {
    /// `cpu`, `memory`.
    pub resource: String,
    /// The single container that is measured; `None` for all containers.
    pub container: Option<String>,
    /// Percentage of the request; `None` if it is no number.
    pub share: Option<i64>,
    /// Index of the metric or trigger in its list; `None` for the default metric, cpu.
    pub index: Option<usize>,
}

impl Utilization {
    /// Place of this target in the reviewed autoscaler of this kind, even if it is missing.
    #[must_use]
    pub fn place<'a>(&self, review: &Review<'a>, scaler: Autoscaler) -> Cursor<'a> {
        let list = review.at(scaler.metrics());
        let of_version_1 = review.at("/spec/targetCPUUtilizationPercentage");
        match self.index {
            Some(index) => list.item(index).unwrap_or(list),
            None if of_version_1.exists() => of_version_1,
            None => list,
        }
    }
}

/// Minimum and maximum size at which an autoscaler keeps a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Minimum number of Pods while there are any.
    pub least: i64,
    /// Maximum number of Pods; `None` if the autoscaler has no maximum.
    pub most: Option<i64>,
    /// `HorizontalPodAutoscaler shop`
    pub by: String,
}

/// Maximum number of workloads whose autoscalers are requested one by one.
const ASKED_EACH: usize = 4;

/// The autoscalers of several workloads. For a few workloads, each one is requested. For many, all autoscalers of the
/// namespace are listed once. So the number of questions does not grow with the number of workloads.
#[derive(Debug)]
pub struct Scalers {
    listed: Option<[Listed; 2]>,
}

/// All autoscalers of a kind, and their indexes by target.
#[derive(Debug)]
struct Listed {
    answer: Rc<Answer>,
    by_target: BTreeMap<(OwnedKind, String), Vec<usize>>,
}

impl Scalers {
    /// Prepares the questions for this number of workloads.
    #[must_use]
    pub fn of(review: &Review<'_>, workloads: usize) -> Self {
        let listed = (workloads > ASKED_EACH).then(|| Autoscaler::ALL.map(|scaler| Listed::of(scaler, review)));
        Self { listed }
    }

    /// Calls `found` for each autoscaler of this kind that scales a workload. Returns false if there may be others.
    pub fn each(
        &self,
        review: &Review<'_>,
        scaler: Autoscaler,
        kind: Kind<'_>,
        name: &str,
        found: &mut dyn FnMut(Node<'_>),
    ) -> bool {
        let Some(listed) = &self.listed else {
            let is_own = review.is(kind) && name == review.name() && review.subresource().is_empty();
            let answer = match is_own {
                true => Rc::clone(review.scaled_by(scaler)),
                false => review.referring(scaler.kind(), kind, name),
            };
            answer.nodes().for_each(found);
            return answer.complete;
        };
        let [hpas, scaled_objects] = listed;
        let Listed { answer, by_target } = match scaler {
            Autoscaler::Horizontal => hpas,
            Autoscaler::Keda => scaled_objects,
        };
        // The key owns its text, so a look-up needs an owned text too.
        for index in by_target.get(&(kind.into(), name.to_owned())).into_iter().flatten() {
            answer
                .documents
                .get(*index)
                .and_then(|document| Node::root(document).ok())
                .into_iter()
                .for_each(&mut *found);
        }
        answer.complete
    }
}

impl Listed {
    fn of(scaler: Autoscaler, review: &Review<'_>) -> Self {
        let answer = review.listing(scaler.kind());
        let mut by_target: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, document) in answer.documents.iter().enumerate() {
            if let Some(target) = Node::root(document).ok().and_then(|object| target_of(scaler, object)) {
                by_target.entry(target).or_default().push(index);
            }
        }
        Self { answer, by_target }
    }
}

/// The bounds of a workload's autoscalers, and whether there are no other autoscalers. Needs both autoscalers in
/// `requires` or `refines`.
#[must_use]
pub fn bounds(review: &Review<'_>, kind: Kind<'_>, name: &str) -> (Vec<Bounds>, bool) {
    let mut complete = true;
    let mut bounds = Vec::new();
    for scaler in Autoscaler::ALL {
        let answer = review.referring(scaler.kind(), kind, name);
        // KEDA creates a HorizontalPodAutoscaler with the same bounds, so ScaledObjects need not be known.
        complete &= scaler.is_known(answer.complete);
        let unset = if scaler == Autoscaler::Keda { 100 } else { -1 };
        let paused = |object| Paused::of(object).filter(|_| scaler == Autoscaler::Keda);
        bounds.extend(answer.nodes().filter(|object| paused(*object) != Some(Paused::Now)).filter_map(|object| {
            if let Some(Paused::At(pods)) = paused(object) {
                return Some(Bounds { least: pods, most: Some(pods), by: scaler.describe(object) });
            }
            // An autoscaler with a value that the API server rejects scales nothing.
            let least = pods_at(object, scaler.min(), 1)?.max(1);
            let most = pods_at(object, scaler.max(), unset)?;
            Some(Bounds { least, most: Some(most).filter(|most| *most >= 0), by: scaler.describe(object) })
        }));
    }
    (bounds, complete)
}

/// Maximum number of Pods of an autoscaler; 0 if the API server rejects the written value. The default of KEDA is 100.
#[must_use]
pub fn maximum(scaler: Autoscaler, object: Node<'_>) -> i64 {
    let is_hpa = scaler == Autoscaler::Horizontal;
    let unset = if is_hpa { 1 } else { 100 };
    match Paused::of(object).filter(|_| !is_hpa) {
        Some(Paused::At(pods)) => pods,
        Some(Paused::Now) => 0,
        None => pods_at(object, scaler.max(), unset).unwrap_or(0),
    }
}

/// Maximum number of Rollouts of one workload whose autoscalers are requested. A workload usually has one.
const MAX_ROLLOUTS: usize = 4;

/// The autoscalers of a kind that measure the Pods of the reviewed workload, and whether there are no others. These are
/// its own autoscalers, and those of Argo Rollouts that take their template from it.
#[must_use]
pub fn measuring(review: &Review<'_>, scaler: Autoscaler) -> (Vec<Rc<Answer>>, bool) {
    let mut answers = vec![Rc::clone(review.scaled_by(scaler))];
    let mut complete = true;
    if let Some(kind) = REFERRED.into_iter().find(|kind| review.is(*kind)) {
        let rollouts = review.rollouts_of(kind, review.name());
        let asked = rollouts.nodes().take(MAX_ROLLOUTS);
        answers.extend(asked.map(|rollout| review.referring(scaler.kind(), Kind::ROLLOUT, name(rollout))));
        complete = rollouts.documents.len() <= MAX_ROLLOUTS && rollouts.complete;
    }
    complete &= answers.iter().all(|answer| answer.complete);
    (answers, complete)
}

/// The metrics of an autoscaler that are shares of requests. Without any metric, a HorizontalPodAutoscaler measures 80%
/// of cpu (`pkg/apis/autoscaling`).
#[must_use]
pub fn utilizations(scaler: Autoscaler, object: Node<'_>) -> Vec<Utilization> {
    if scaler == Autoscaler::Horizontal { of_hpa(object) } else { of_scaled_object(object) }
}

/// Number of metrics of an autoscaler, shares of requests and others. The autoscaler uses each one that it can compute
/// (`computeReplicasForMetrics`).
#[must_use]
pub fn metrics(scaler: Autoscaler, object: Node<'_>) -> usize {
    let count = |pointer: &str| object.at(pointer).map_or(0, Node::len);
    if scaler == Autoscaler::Keda {
        return count("/spec/triggers");
    }
    // Version 1 has a field for cpu, and an annotation for all other metrics.
    let more = object.at("/metadata/annotations").and_then(|all| all.get(METRICS_OF_VERSION_1));
    count("/spec/metrics").max(1) + usize::from(more.is_some())
}

const METRICS_OF_VERSION_1: &str = "autoscaling.alpha.kubernetes.io/metrics";

fn of_hpa(object: Node<'_>) -> Vec<Utilization> {
    let metrics: Vec<_> = object.at("/spec/metrics").into_iter().flat_map(Node::items).collect();
    // Version 1 keeps metrics that it can't express in an annotation.
    let more = object.at("/metadata/annotations").and_then(|all| all.get(METRICS_OF_VERSION_1));
    let share = object.at("/spec/targetCPUUtilizationPercentage").and_then(Node::as_i64);
    if metrics.is_empty() {
        let is_measured = share.is_some() || more.is_none();
        let cpu = Utilization { resource: "cpu".to_owned(), container: None, share: share.or(Some(80)), index: None };
        return if is_measured { vec![cpu] } else { Vec::new() };
    }
    let found: Vec<_> = metrics.iter().enumerate().filter_map(|(index, metric)| of_metric(index, *metric)).collect();
    match found.as_slice() {
        // The API server's default and the same metric in the manifest must be equal.
        [Utilization { resource, container: None, share: Some(80), .. }] if metrics.len() == 1 && resource == "cpu" => {
            vec![Utilization { index: None, ..found[0].clone() }]
        }
        _ => found,
    }
}

fn of_metric(index: usize, metric: Node<'_>) -> Option<Utilization> {
    let source = match metric.get("type").and_then(Node::as_str)? {
        "Resource" => metric.get("resource")?,
        "ContainerResource" => metric.get("containerResource")?,
        _ => return None,
    };
    if source.at("/target/type").and_then(Node::as_str) != Some("Utilization") {
        return None;
    }
    Some(Utilization {
        resource: source.get("name").and_then(Node::as_str)?.to_owned(),
        container: source.get("container").and_then(Node::as_str).map(str::to_owned),
        share: source.at("/target/averageUtilization").and_then(Node::as_i64),
        index: Some(index),
    })
}

/// The cpu and memory scalers of KEDA, which become metrics of its HorizontalPodAutoscaler.
fn of_scaled_object(object: Node<'_>) -> Vec<Utilization> {
    let triggers = object.at("/spec/triggers").into_iter().flat_map(Node::items).enumerate();
    triggers
        .filter_map(|(index, trigger)| {
            let text = |pointer: &str| trigger.at(pointer).and_then(Node::as_str);
            let resource = text("/type").filter(|kind| matches!(*kind, "cpu" | "memory"))?;
            // Older versions of KEDA have the type in the metadata.
            let kind = text("/metricType").or_else(|| text("/metadata/type"));
            (kind == Some("Utilization")).then(|| Utilization {
                resource: resource.to_owned(),
                container: text("/metadata/containerName").map(str::to_owned),
                share: text("/metadata/value").and_then(|value| value.parse().ok()),
                index: Some(index),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::utilizations;
    use crate::kind::Autoscaler;

    /// Resource, container, share, and index in the list.
    type Read = (String, Option<String>, Option<i64>, Option<usize>);

    fn read(scaler: Autoscaler, spec: &str) -> Vec<Read> {
        let document = json::from_json(format!(r#"{{"spec": {spec}}}"#).as_bytes()).unwrap();
        let found = utilizations(scaler, Node::root(&document).unwrap());
        found.into_iter().map(|found| (found.resource, found.container, found.share, found.index)).collect()
    }

    #[test]
    fn the_default_metric_is_cpu() {
        let default = vec![("cpu".to_owned(), None, Some(80), None)];
        let written = r#"{"metrics": [{"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}"#;
        assert_eq!(read(Autoscaler::Horizontal, "{}"), default);
        assert_eq!(read(Autoscaler::Horizontal, written), default);
        assert_eq!(read(Autoscaler::Horizontal, r#"{"targetCPUUtilizationPercentage": 60}"#)[0].2, Some(60));
    }

    #[test]
    fn only_shares_of_requests_count() {
        let metrics = r#"{"metrics": [
            {"type": "Pods", "pods": {}},
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue"}}},
            {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
                "target": {"type": "Utilization", "averageUtilization": 70}}}]}"#;
        assert_eq!(
            read(Autoscaler::Horizontal, metrics),
            [("cpu".to_owned(), Some("app".to_owned()), Some(70), Some(2))]
        );
        let triggers = r#"{"triggers": [{"type": "kafka"}, {"type": "memory", "metricType": "Utilization",
            "metadata": {"value": "60"}}, {"type": "cpu", "metricType": "AverageValue"}]}"#;
        assert_eq!(read(Autoscaler::Keda, triggers), [("memory".to_owned(), None, Some(60), Some(1))]);
        assert_eq!(read(Autoscaler::Keda, "{}"), []);
    }
}
