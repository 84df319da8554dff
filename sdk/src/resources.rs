//! Effective requests and limits of a container.
//!
//! A request that is not stated is, in this order: the container's limit (which the API server copies into each Pod),
//! the default of a LimitRange, the Pod's own `resources` (from Kubernetes 1.34). A limit that is not stated is the
//! LimitRange's. Read from Kubernetes 1.36: `pkg/apis/core/v1/defaults.go`, `plugin/pkg/admission/limitranger`.

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

/// Smallest amount of memory that a program can be said to need: no process with its libraries fits into less. What is
/// less is a slip in the unit, such as `128m`, an eighth of a byte.
pub const LEAST_MEMORY: Quantity = Quantity::from_bytes(MEBI);

/// Where an effective request comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// The container states it.
    Stated(Quantity),
    /// Only a limit is stated; the API server copies it, and in a Pod of the cluster has done so.
    CopiedFromLimit(Quantity),
    /// It equals the limit in a Pod of the cluster, and nobody can tell whether it was written or copied.
    PerhapsCopied(Quantity),
    /// A LimitRange of the namespace fills it in.
    FromLimitRange(Quantity),
    /// The Pod as a whole has one; no part of it is this container's.
    FromPod,
    /// There is none.
    Missing,
    /// Something stands there that is no amount; the API server refuses it.
    Unreadable,
}

impl Request {
    /// The container's own quantity, wherever it comes from.
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
    /// Where the container states its request, or would.
    fn request_at(&self, resource: &str) -> Cursor<'a>;
    /// Where the container states its limit, or would.
    fn limit_at(&self, resource: &str) -> Cursor<'a>;
    /// The effective request, and where it comes from. The host may be asked who wrote it.
    fn request(&self, review: &Review<'_>, resource: &str) -> Request;
    /// The effective request wherever it comes from; none where there is none of the container's own, or no amount.
    fn requested(&self, review: &Review<'_>, resource: &str) -> Option<Quantity>;
    /// The effective limit of the container itself; none also where what stands there is no amount.
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
    /// The effective request, as if whatever is there had been written by its author.
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
    /// What is reserved.
    Request,
    /// What may be used.
    Limit,
}

impl Side {
    /// The member of `resources`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Request => "requests",
            Side::Limit => "limits",
        }
    }
}

/// What a Pod as a whole requests, or is limited to.
#[derive(Clone, Debug)]
pub struct Total<'a> {
    /// The greater of what runs at a time: app containers and sidecars together, or an init container and the sidecars
    /// before it. None where no container says anything.
    pub sum: Option<Quantity>,
    /// The first container that says nothing.
    pub lacking: Option<Container<'a>>,
}

/// The sum over a Pod as the scheduler and quotas count it (`PodRequests` and `PodLimits` of
/// `k8s.io/component-helpers/resource`), of this or another workload of the namespace. None beyond the range of quantities,
/// or where something is no amount.
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
        // What an injection fills in is not lacking.
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

/// Whether an autoscaler takes the requests of a Pod as a whole: its own, and of what it does not state the sum of what its
/// containers state. Without, each container has to state one. Where the Pod has limits alone, the API server fills in its
/// requests (`defaultPodRequests`). From Kubernetes 1.34 (`calculateRequests` of `pkg/controller/podautoscaler`).
#[must_use]
pub fn is_requested_as_a_whole(review: &Review<'_>, template: &PodTemplate<'_>) -> bool {
    let of_pod = template.spec().at("/resources");
    let is_supported = |name: &str| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-");
    let states = |side: Side| of_pod.member(side.as_str()).members().any(|(name, _)| is_supported(name));
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    is_known && (states(Side::Request) || states(Side::Limit))
}

/// Whether a container may use all there is of a resource: neither it, nor a LimitRange, nor the Pod as a whole limits it.
pub fn lacks_limit(review: &Review<'_>, container: &Container<'_>, resource: &str) -> bool {
    let is_known = review.kubernetes_version().is_none_or(|version| version.at_least(1, 34));
    let of_pod = container.pod("/resources/limits").key(resource);
    container.class() != Class::Ephemeral
        && matches!(amount(&container.at("/resources/limits"), resource), Amount::Absent)
        && container.limit(review, resource).is_none()
        && !(is_known && of_pod.exists())
}

/// Whether a LimitRange may exist that nobody could look up.
pub fn limit_ranges_unknown(review: &Review<'_>) -> bool {
    !review.limit_ranges().complete
}

/// What LimitRanges of the namespace fill into a container that says nothing of a resource: request and limit.
#[must_use]
pub fn filled(review: &Review<'_>, resource: &str) -> (Option<Quantity>, Option<Quantity>) {
    review.ranges().of_resource(resource).map_or((None, None), |range| (range.request, range.limit))
}

/// The least request that a limit allows: limit / ratio, rounded up, and what the LimitRanges of the namespace demand,
/// but never more than the limit. A ratio below 1, which no request could meet, counts as 1. Memory of a limit in whole
/// Mi comes in whole Mi too, from 16 on: people write no 214748365. None where the result is out of range.
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

/// What stands in a list of resources for one of them.
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
            // Unlike elsewhere, `null` is no absent value here: apimachinery reads it as a quantity of zero.
            Some(value) if value.is_null() => Amount::Of(Quantity::ZERO),
            Some(value) => match Quantity::from_node(value).filter(|quantity| *quantity >= Quantity::ZERO) {
                Some(quantity) => Amount::Of(quantity),
                None => Amount::Unreadable,
            },
        },
        _ => Amount::Unreadable,
    }
}

/// Request and limit are equal in a Pod: the API server copies the limit to where nobody wrote a request, and then a
/// LimitRange fills in both.
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

/// What the containers of a Pod inherit from it: worked out once for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inherited {
    cpu: OnceCell<bool>,
    memory: OnceCell<bool>,
}

impl Inherited {
    /// Whether the Pod's own `resources` make for a request.
    pub(crate) fn requests(&self, review: &Review<'_>, spec: &Cursor<'_>, resource: &str) -> bool {
        let known = match resource {
            "cpu" => &self.cpu,
            "memory" => &self.memory,
            _ => return false,
        };
        *known.get_or_init(|| pod_requests(review, spec, resource))
    }
}

/// Whether the Pod's own `resources` make for a request (`defaultPodRequests`): one is stated, or it has a limit for it,
/// or it has limits at all and some container requests it. Of nothing, that is none.
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

/// What the LimitRanges of the namespace say of containers, by resource: read once, for there may be many of both.
#[derive(Debug, Default)]
pub(crate) struct Ranges(BTreeMap<String, Range>);

/// What all of them say together of one resource.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    /// The limit of a container without one: what the first says that says anything.
    limit: Option<Quantity>,
    /// The request of a container with neither request nor limit.
    request: Option<Quantity>,
    /// The greatest that is demanded, of a container or of its Pod.
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
            // Of the lists of an item, as of items, the first that says something counts. What the API server makes of the
            // LimitRange itself is included.
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

    /// A container that meets what is said of its Pod meets it for the Pod. Nothing is filled in, and requests are advised
    /// for CPU and memory alone.
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
