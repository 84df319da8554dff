//! Effective requests and limits of a container.
//!
//! If no request is stated, the first of these takes effect: the container's limit (which the API server copies into
//! each Pod), the default of a LimitRange, and the Pod's own `resources` (from Kubernetes 1.34). If no limit is stated,
//! the limit of the LimitRange takes effect. The rules are those of Kubernetes 1.36, `pkg/apis/core/v1/defaults.go` and
//! `plugin/pkg/admission/limitranger`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use plimsoll_flat::{Kind as Json, Node};

use crate::bundle::Answer;
use crate::cursor::Cursor;
use crate::guest::Knowledge;
use crate::kind::Kind;
use crate::quantity::{Quantity, Unit};
use crate::review::Review;
use crate::workload::{Class, Container, PodTemplate};

const MEBI: i64 = 1 << 20;

/// Smallest amount of memory that a program can need, because no process with its libraries fits into less. A smaller
/// amount is a mistake in the unit, such as `128m`, an eighth of a byte.
pub const LEAST_MEMORY: Quantity = Quantity::from_bytes(MEBI);

/// The origin of an effective request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// The container states it.
    Stated(Quantity),
    /// Only a limit is stated. The API server copies it; in a Pod of the cluster this has already happened.
    CopiedFromLimit(Quantity),
    /// The request equals the limit in a Pod of the cluster, and the object does not show whether the request was
    /// written or copied.
    PerhapsCopied(Quantity),
    /// A LimitRange of the namespace fills it in.
    FromLimitRange(Quantity),
    /// The Pod as a whole has a request. No part of it belongs to this container.
    FromPod,
    /// There is no request.
    Missing,
    /// The value is not a quantity, so the API server rejects it.
    Unreadable,
}

impl Request {
    /// The container's own quantity, whatever its origin.
    pub fn quantity(self) -> Option<Quantity> {
        match self {
            Request::Stated(value)
            | Request::CopiedFromLimit(value)
            | Request::PerhapsCopied(value)
            | Request::FromLimitRange(value) => Some(value),
            Request::FromPod | Request::Missing | Request::Unreadable => None,
        }
    }
}

/// Requests and limits by resource name: `cpu`, `memory`.
pub trait Resources<'a> {
    /// Place of the container's request, even if it is missing.
    fn request_at(&self, resource: &str) -> Cursor<'a>;
    /// Place of the container's limit, even if it is missing.
    fn limit_at(&self, resource: &str) -> Cursor<'a>;
    /// The effective request and its origin. This may ask the host who wrote it.
    fn request(&self, review: &Review<'_>, resource: &str) -> Request;
    /// The effective request, whatever its origin. `None` if the container itself has none, or if the value is not a
    /// quantity.
    fn requested(&self, review: &Review<'_>, resource: &str) -> Option<Quantity>;
    /// The effective limit of the container itself. `None` if there is none, or if the value is not a quantity.
    fn limit(&self, review: &Review<'_>, resource: &str) -> Option<Quantity>;
}

impl<'a> Resources<'a> for Container<'a> {
    fn request_at(&self, resource: &str) -> Cursor<'a> {
        self.at("/resources/requests").key(resource)
    }

    fn limit_at(&self, resource: &str) -> Cursor<'a> {
        self.at("/resources/limits").key(resource)
    }

    fn request(&self, review: &Review<'_>, resource: &str) -> Request {
        match self.found(review, resource) {
            Request::Stated(request) if review.is(Kind::POD) => match amount(&self.at("/resources/limits"), resource) {
                Amount::Of(limit) if limit == request => {
                    copied(review, request, &self.request_at(resource), &self.limit_at(resource))
                }
                _ => Request::Stated(request),
            },
            found => found,
        }
    }

    fn requested(&self, review: &Review<'_>, resource: &str) -> Option<Quantity> {
        self.found(review, resource).quantity()
    }

    fn limit(&self, review: &Review<'_>, resource: &str) -> Option<Quantity> {
        match amount(&self.at("/resources/limits"), resource) {
            Amount::Of(limit) => Some(limit),
            Amount::Absent => review.ranges().of_resource(resource)?.limit,
            Amount::Unreadable => None,
        }
    }
}

impl Container<'_> {
    /// The effective request, as if its author had written every value that is there.
    pub(crate) fn found(&self, review: &Review<'_>, resource: &str) -> Request {
        match amount(&self.at("/resources/requests"), resource) {
            Amount::Unreadable => return Request::Unreadable,
            Amount::Of(request) => return Request::Stated(request),
            Amount::Absent => {}
        }
        match amount(&self.at("/resources/limits"), resource) {
            Amount::Unreadable => return Request::Unreadable,
            Amount::Of(limit) => return Request::CopiedFromLimit(limit),
            Amount::Absent => {}
        }
        match review.ranges().of_resource(resource).and_then(|range| range.request) {
            Some(default) => Request::FromLimitRange(default),
            None if self.inherits_request(review, resource) => Request::FromPod,
            None => Request::Missing,
        }
    }
}

/// Requests or limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The amount that is reserved.
    Request,
    /// The amount that may be used.
    Limit,
}

impl Side {
    /// Name of the member of `resources`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Request => "requests",
            Side::Limit => "limits",
        }
    }
}

/// Sum of the requests or the limits of a Pod.
#[derive(Clone, Debug)]
pub struct Total<'a> {
    /// The larger of two sums of containers that run at the same time: the app containers with all sidecars, and an
    /// init container with the sidecars before it. `None` if no container states a value.
    pub sum: Option<Quantity>,
    /// The first container that states no value.
    pub lacking: Option<Container<'a>>,
}

/// The sum over a Pod as the scheduler and quotas compute it (`PodRequests` and `PodLimits` of
/// `k8s.io/component-helpers/resource`), for this or another workload of the namespace. `None` if the sum is out of
/// range, or if a value is not a quantity.
#[must_use]
pub fn pod_total<'a>(review: &Review<'_>, template: &PodTemplate<'a>, resource: &str, side: Side) -> Option<Total<'a>> {
    let of_pod = template.spec().at("/resources");
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    if is_known && matches!(resource, "cpu" | "memory") {
        let stated = |side: Side| match amount(&of_pod.member(side.as_str()), resource) {
            Amount::Of(stated) => Some(stated),
            Amount::Absent | Amount::Unreadable => None,
        };
        let stated = stated(side).or_else(|| stated(Side::Limit).filter(|_| side == Side::Request));
        if stated.is_some() {
            return Some(Total { sum: stated, lacking: None });
        }
    }
    let (mut running, mut most, mut beside) = (Quantity::ZERO, Quantity::ZERO, Quantity::ZERO);
    let (mut is_stated, mut lacking) = (false, None);
    for (index, container) in template.all_containers().enumerate() {
        if container.class() == Class::Ephemeral {
            continue;
        }
        let own = match side {
            Side::Request => match container.found(review, resource) {
                Request::Unreadable => return None,
                request => request.quantity(),
            },
            Side::Limit => container.limit(review, resource),
        };
        is_stated |= own.is_some();
        // An injection fills in the values of its containers, so they are not missing.
        let is_injected = index >= template.containers().len();
        if own.is_none() && lacking.is_none() && !is_injected {
            lacking = Some(container.clone());
        }
        let own = own.unwrap_or(Quantity::ZERO);
        match container.class() {
            Class::Init => most = most.max(beside.checked_add(own)?),
            Class::Sidecar => {
                beside = beside.checked_add(own)?;
                running = running.checked_add(own)?;
                most = most.max(beside);
            }
            Class::App | Class::Ephemeral => running = running.checked_add(own)?,
        }
    }
    Some(Total { sum: is_stated.then(|| running.max(most)), lacking })
}

/// Whether an autoscaler uses the requests of the Pod as a whole. For a resource that the Pod does not state, it uses
/// the sum of the containers' requests. Otherwise each container must state a request.
///
/// If the Pod has only limits, the API server fills in its requests (`defaultPodRequests`). This holds from Kubernetes
/// 1.34 (`calculateRequests` of `pkg/controller/podautoscaler`).
#[must_use]
pub fn is_requested_as_a_whole(review: &Review<'_>, template: &PodTemplate<'_>) -> bool {
    let of_pod = template.spec().at("/resources");
    let is_supported = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    let states = |side: Side| of_pod.member(side.as_str()).members().any(|(name, _)| is_supported(name));
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    is_known && (states(Side::Request) || states(Side::Limit))
}

/// Whether a container may use all of a resource, because neither the container, nor a LimitRange, nor the Pod as a
/// whole sets a limit.
pub fn lacks_limit(review: &Review<'_>, container: &Container<'_>, resource: &str) -> bool {
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    let of_pod = container.pod("/resources/limits").key(resource);
    container.class() != Class::Ephemeral
        && matches!(amount(&container.at("/resources/limits"), resource), Amount::Absent)
        && container.limit(review, resource).is_none()
        && !(is_known && of_pod.exists())
}

/// Whether a LimitRange may exist that the host does not know.
pub fn limit_ranges_unknown(review: &Review<'_>) -> bool {
    !review.limit_ranges().complete
}

/// Request and limit that the LimitRanges of the namespace fill in, for a container that states neither.
#[must_use]
pub fn filled(review: &Review<'_>, resource: &str) -> (Option<Quantity>, Option<Quantity>) {
    review.ranges().of_resource(resource).map_or((None, None), |range| (range.request, range.limit))
}

/// The smallest request for a limit: limit / ratio, rounded up, but at most the limit. It is at least the amount that the
/// LimitRanges of the namespace require (`min` and `maxLimitRequestRatio`). A ratio below 1, which no request could meet,
/// counts as 1.
///
/// If a memory limit is a multiple of 1Mi and the result is at least 16Mi, the result is rounded up to 1Mi, so that it
/// reads well. `None` if the result is out of range.
pub fn least_request(review: &Review<'_>, resource: &str, limit: Quantity, ratio: Quantity) -> Option<Quantity> {
    let unit = if resource == "cpu" { Unit::Milli } else { Unit::Whole };
    let one = Quantity::from_milli(1000);
    let own = limit.ceil_div(ratio.max(one), unit)?;
    let range = review.ranges().of_resource(resource);
    let by_ratio = range.and_then(|range| range.ratio).and_then(|most| limit.ceil_div(most, unit));
    let least = [range.and_then(|range| range.min), by_ratio].into_iter().flatten().fold(own, Quantity::max);
    let bytes = least.bytes();
    let is_rounded = unit == Unit::Whole && limit.bytes() % MEBI == 0 && bytes >= 16 * MEBI;
    let rounded = if is_rounded { Quantity::from_bytes(bytes.saturating_add(MEBI - 1) / MEBI * MEBI) } else { least };
    Some(rounded.min(limit))
}

/// The value of one resource in a list of requests or limits.
enum Amount {
    Absent,
    Of(Quantity),
    Unreadable,
}

fn amount(list: &Cursor<'_>, resource: &str) -> Amount {
    match list.node() {
        None if list.is_absent() => Amount::Absent,
        Some(node) if node.kind() == Json::Object => match node.get(resource) {
            None => Amount::Absent,
            // Here `null` does not mean absent: apimachinery reads it as a quantity of zero.
            Some(value) if value.is_null() => Amount::Of(Quantity::ZERO),
            Some(value) => match Quantity::from_node(value).filter(|quantity| *quantity >= Quantity::ZERO) {
                Some(quantity) => Amount::Of(quantity),
                None => Amount::Unreadable,
            },
        },
        _ => Amount::Unreadable,
    }
}

/// Origin of a request that equals the limit in a Pod. The API server copies the limit if no request was written, and a
/// LimitRange may have filled in both.
fn copied(review: &Review<'_>, request: Quantity, request_at: &Cursor<'_>, limit_at: &Cursor<'_>) -> Request {
    if !review.may_ask_of_copy() {
        return Request::PerhapsCopied(request);
    }
    match review.authored(request_at) {
        Knowledge::Yes => Request::Stated(request),
        Knowledge::Unknown => Request::PerhapsCopied(request),
        Knowledge::No if review.authored(limit_at) == Knowledge::No => Request::FromLimitRange(request),
        Knowledge::No => Request::CopiedFromLimit(request),
    }
}

/// The requests that containers inherit from their Pod, computed once for all containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inherited {
    cpu: OnceCell<bool>,
    memory: OnceCell<bool>,
}

impl Inherited {
    /// Whether the Pod's own `resources` result in a request.
    pub(crate) fn requests(&self, review: &Review<'_>, spec: &Cursor<'_>, resource: &str) -> bool {
        let known = match resource {
            "cpu" => &self.cpu,
            "memory" => &self.memory,
            _ => return false,
        };
        *known.get_or_init(|| pod_requests(review, spec, resource))
    }
}

/// Whether the Pod's own `resources` result in a request above zero (`defaultPodRequests`). They do if the Pod states a
/// request or a limit for the resource. They also do if the Pod has any limit, and a container has a request or a limit
/// for the resource.
fn pod_requests(review: &Review<'_>, spec: &Cursor<'_>, resource: &str) -> bool {
    let of_pod = spec.at("/resources");
    if !of_pod.exists() || review.kubernetes_version().is_some_and(|version| !version.at_least(1, 34)) {
        return false;
    }
    let has = |list: &Cursor<'_>| matches!(amount(list, resource), Amount::Of(amount) if !amount.is_zero());
    if let Amount::Of(stated) = amount(&of_pod.at("/requests"), resource) {
        return !stated.is_zero();
    }
    let mut containers = spec.at("/containers").items().chain(spec.at("/initContainers").items());
    has(&of_pod.at("/limits"))
        || of_pod.at("/limits").has_content()
            && containers
                .any(|container| has(&container.at("/resources/requests")) || has(&container.at("/resources/limits")))
}

/// The rules of the namespace's LimitRanges for containers, by resource. They are read once, because there may be many
/// LimitRanges and many containers.
#[derive(Debug, Default)]
pub(crate) struct Ranges(BTreeMap<String, Range>);

/// The rules of all LimitRanges for one resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    /// The limit of a container without one: the first that a LimitRange states.
    limit: Option<Quantity>,
    /// The request of a container with neither request nor limit.
    request: Option<Quantity>,
    /// The largest minimum, for a container or for its Pod.
    min: Option<Quantity>,
    /// The smallest ratio of limit to request that is allowed.
    ratio: Option<Quantity>,
}

impl Range {
    fn demand(&mut self, least: Quantity) {
        self.min = self.min.max(Some(least));
    }

    fn bound(&mut self, ratio: Quantity) {
        if ratio > Quantity::ZERO && self.ratio.is_none_or(|known| ratio < known) {
            self.ratio = Some(ratio);
        }
    }
}

impl Ranges {
    pub(crate) fn of(answer: &Answer) -> Self {
        let mut ranges = Self::default();
        let items = answer.nodes().filter_map(|range| range.at("/spec/limits")).flat_map(Node::items);
        for item in items {
            match item.get("type").and_then(Node::as_str) {
                Some("Container") => {}
                Some("Pod") => {
                    ranges.read_of_pod(item);
                    continue;
                }
                _ => continue,
            }
            // The first item, and the first list of an item, that states a value counts. The order of the lists
            // includes the defaults that the API server writes into the LimitRange itself.
            ranges.read(item, "defaultRequest", |range, amount| {
                range.request.get_or_insert(amount);
            });
            for list in ["default", "max"] {
                ranges.read(item, list, |range, amount| {
                    range.limit.get_or_insert(amount);
                    range.request.get_or_insert(amount);
                });
            }
            ranges.read(item, "min", |range, least| {
                range.request.get_or_insert(least);
                range.demand(least);
            });
            ranges.read(item, "maxLimitRequestRatio", Range::bound);
        }
        ranges
    }

    /// Reads an item for Pods: if each container meets these bounds, so does the Pod. Such an item fills in nothing.
    /// Only CPU and memory are read, because policies propose only their requests.
    fn read_of_pod(&mut self, item: Node<'_>) {
        for resource in ["cpu", "memory"] {
            let amount = |list: &str| Quantity::from_node(item.get(list)?.get(resource)?);
            let (least, ratio) = (amount("min"), amount("maxLimitRequestRatio"));
            if least.is_none() && ratio.is_none() {
                continue;
            }
            let range = self.0.entry(resource.to_owned()).or_default();
            least.into_iter().for_each(|least| range.demand(least));
            ratio.into_iter().for_each(|ratio| range.bound(ratio));
        }
    }

    fn read(&mut self, item: Node<'_>, list: &str, take: impl Fn(&mut Range, Quantity)) {
        for (resource, value) in item.get(list).into_iter().flat_map(Node::members) {
            let Some(amount) = Quantity::from_node(value) else { continue };
            match self.0.get_mut(resource) {
                Some(range) => take(range, amount),
                None => take(self.0.entry(resource.to_owned()).or_default(), amount),
            }
        }
    }

    pub(crate) fn of_resource(&self, resource: &str) -> Option<&Range> {
        if self.0.is_empty() { None } else { self.0.get(resource) }
    }
}
