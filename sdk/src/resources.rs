//! Effective requests and limits of a container.
//!
//! A request that is not stated is, in this order: the container's limit (which the API server copies into each Pod),
//! the default of a LimitRange, the Pod's own `resources` (Kubernetes 1.34+). A limit that is not stated is the
//! LimitRange's, or the Pod's.

use plimsoll_flat::Node;

use crate::cursor::Cursor;
use crate::guest::Knowledge;
use crate::quantity::Quantity;
use crate::review::Review;
use crate::workload::Container;

/// Where an effective request comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// The container states it.
    Stated(Quantity),
    /// Only a limit is stated; the API server copies it.
    CopiedFromLimit(Quantity),
    /// A LimitRange of the namespace fills it in.
    FromLimitRange(Quantity),
    /// The Pod as a whole states one.
    FromPod(Quantity),
    /// There is none.
    Missing,
}

impl Request {
    /// The quantity, wherever it comes from.
    pub fn quantity(self) -> Option<Quantity> {
        match self {
            Request::Stated(value)
            | Request::CopiedFromLimit(value)
            | Request::FromLimitRange(value)
            | Request::FromPod(value) => Some(value),
            Request::Missing => None,
        }
    }
}

/// Requests and limits by resource name: `cpu`, `memory`.
pub trait Resources<'a> {
    /// Where the container states its request, or would.
    fn request_at(&self, resource: &str) -> Cursor<'a>;
    /// Where the container states its limit, or would.
    fn limit_at(&self, resource: &str) -> Cursor<'a>;
    /// The effective request.
    fn request(&self, review: &Review<'_>, resource: &str) -> Request;
    /// The effective limit of the container itself.
    fn limit(&self, review: &Review<'_>, resource: &str) -> Option<Quantity>;
}

impl<'a> Resources<'a> for Container<'a> {
    fn request_at(&self, resource: &str) -> Cursor<'a> {
        self.at("resources/requests").key(resource)
    }

    fn limit_at(&self, resource: &str) -> Cursor<'a> {
        self.at("resources/limits").key(resource)
    }

    fn request(&self, review: &Review<'_>, resource: &str) -> Request {
        let stated = self.request_at(resource);
        let limit = quantity(&self.limit_at(resource));
        if let Some(request) = quantity(&stated) {
            // In a Pod that the API server has seen, a copy of the limit stands where nobody wrote.
            let copied = Some(request) == limit && review.authored(&stated) == Knowledge::No;
            return if copied { Request::CopiedFromLimit(request) } else { Request::Stated(request) };
        }
        if let Some(limit) = limit {
            return Request::CopiedFromLimit(limit);
        }
        if let Some(default) =
            limit_range(review, "defaultRequest", resource).or_else(|| limit_range(review, "default", resource))
        {
            return Request::FromLimitRange(default);
        }
        let of_pod = |list: &'static str| quantity(&self.pod(list).key(resource));
        match of_pod("resources/requests").or_else(|| of_pod("resources/limits")) {
            Some(request) => Request::FromPod(request),
            None => Request::Missing,
        }
    }

    fn limit(&self, review: &Review<'_>, resource: &str) -> Option<Quantity> {
        quantity(&self.limit_at(resource)).or_else(|| limit_range(review, "default", resource))
    }
}

/// Whether a LimitRange may exist that nobody could look up.
pub fn limit_ranges_unknown(review: &Review<'_>) -> bool {
    !review.limit_ranges().complete
}

fn quantity(cursor: &Cursor<'_>) -> Option<Quantity> {
    cursor.node().and_then(Quantity::from_node)
}

fn limit_range(review: &Review<'_>, list: &str, resource: &str) -> Option<Quantity> {
    review
        .limit_ranges()
        .nodes()
        .filter_map(|range| range.at("/spec/limits"))
        .flat_map(Node::items)
        .filter(|item| item.get("type").and_then(Node::as_str) == Some("Container"))
        .find_map(|item| Quantity::from_node(item.get(list)?.get(resource)?))
}
