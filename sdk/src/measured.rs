//! The requests and limits by which autoscalers measure the containers of a template.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::autoscaling::Utilization;
use crate::bundle::Answer;
use crate::quantity::Quantity;
use crate::resources::{Request, Resources as _, Side, is_requested_as_a_whole, pod_total};
use crate::review::Review;
use crate::vertical::Filled;
use crate::workload::{Container, PodTemplate};

/// The containers of a template as autoscalers measure them. Each result is computed once, because a workload can have
/// hundreds of containers, and its autoscalers hundreds of metrics.
#[derive(Debug)]
pub struct Measured<'t, 'a> {
    template: &'t PodTemplate<'a>,
    by_name: OnceCell<BTreeMap<&'a str, &'t Container<'a>>>,
    /// Resources other than cpu and memory.
    others: BTreeSet<String>,
    lacking: BTreeMap<String, Option<&'t Container<'a>>>,
    totals: BTreeMap<(String, Option<String>), Option<Total>>,
    /// The VerticalPodAutoscalers that set requests when a Pod is created.
    verticals: Option<Rc<Answer>>,
    filled: BTreeMap<String, Filled>,
}

/// Maximum number of resources besides cpu and memory for which all containers of a template are read. The metrics API
/// knows only cpu and memory, so no working autoscaler measures another resource.
const MAX_OTHERS: usize = 4;

/// Sums over the measured containers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Total {
    /// The sum of the requests.
    pub request: Quantity,
    /// The sum of the limits.
    pub limit: Quantity,
}

impl<'t, 'a> Measured<'t, 'a> {
    /// The containers of this template that run as long as the Pod.
    #[must_use]
    pub fn of(template: &'t PodTemplate<'a>) -> Self {
        Self {
            template,
            by_name: OnceCell::new(),
            others: BTreeSet::new(),
            lacking: BTreeMap::new(),
            totals: BTreeMap::new(),
            verticals: None,
            filled: BTreeMap::new(),
        }
    }

    /// Adds the VerticalPodAutoscalers of the workload, which set requests.
    #[must_use]
    pub fn filled_by(self, verticals: Rc<Answer>) -> Self {
        Self { verticals: Some(verticals), ..self }
    }

    /// Whether a VerticalPodAutoscaler sets the request of a container.
    pub fn is_filled(&mut self, container: &Container<'_>, resource: &str) -> bool {
        let Some(verticals) = self.verticals.as_ref().filter(|verticals| !verticals.documents.is_empty()) else {
            return false;
        };
        if !self.filled.contains_key(resource) {
            self.filled.insert(resource.to_owned(), Filled::by(verticals.nodes(), resource));
        }
        self.filled.get(resource).is_some_and(|filled| filled.has(container.name()))
    }

    /// The template.
    #[must_use]
    pub fn template(&self) -> &'t PodTemplate<'a> {
        self.template
    }

    /// The container with this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&'t Container<'a>> {
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name = BTreeMap::new();
            for container in running(self.template) {
                by_name.entry(container.name()).or_insert(container);
            }
            by_name
        });
        by_name.get(name).copied()
    }

    /// The first container that counts for a measure.
    #[must_use]
    pub fn first(&self, measure: &Utilization) -> Option<&'t Container<'a>> {
        match &measure.container {
            Some(name) => self.container(name),
            None => running(self.template).next(),
        }
    }

    /// The first container without a request for a resource.
    ///
    /// - If the Pod counts as a whole, it is the first container, if neither the Pod nor any container has a request.
    /// - If all containers request 0, it is the first container, because an autoscaler can't divide by 0
    ///   (`GetResourceUtilizationRatio`).
    pub fn first_lacking(&mut self, review: &Review<'_>, resource: &str) -> Option<&'t Container<'a>> {
        if let Some(known) = self.lacking.get(resource) {
            return *known;
        }
        if !self.is_looked_at(resource) {
            return None;
        }
        let first = match is_requested_as_a_whole(review, self.template) {
            true => self.lacking_as_a_whole(review, resource),
            false => self.lacking_alone(review, resource),
        };
        self.lacking.insert(resource.to_owned(), first);
        first
    }

    fn lacking_as_a_whole(&mut self, review: &Review<'_>, resource: &str) -> Option<&'t Container<'a>> {
        // `None` means that the total is out of range, or that a value is not a quantity.
        let total = pod_total(review, self.template, resource, Side::Request)?;
        let is_none = total.sum.is_none_or(Quantity::is_zero);
        let template = self.template;
        let first = running(template).next().filter(|_| is_none)?;
        let is_filled = running(template).any(|container| self.is_filled(container, resource));
        (!is_filled).then_some(first)
    }

    fn lacking_alone(&mut self, review: &Review<'_>, resource: &str) -> Option<&'t Container<'a>> {
        let mut is_zero = true;
        let template = self.template;
        let first = running(template).find(|container| {
            let request = container.found(review, resource);
            let has_none = request == Request::Missing || request.quantity().is_some_and(Quantity::is_zero);
            let lacks = has_none && !self.is_filled(container, resource);
            is_zero &= lacks && request != Request::Missing;
            lacks && request == Request::Missing
        });
        first.or_else(|| running(template).next().filter(|_| is_zero))
    }

    /// Whether all containers are read for a resource: for cpu and memory, and for a few others.
    fn is_looked_at(&mut self, resource: &str) -> bool {
        if matches!(resource, "cpu" | "memory") || self.others.contains(resource) {
            return true;
        }
        let has_room = self.others.len() < MAX_OTHERS;
        if has_room {
            self.others.insert(resource.to_owned());
        }
        has_room
    }

    /// Requests and limits of the containers that count for a measure. `None` if one of these values is not known.
    pub fn total(&mut self, review: &Review<'_>, measure: &Utilization) -> Option<Total> {
        let key = (measure.resource.clone(), measure.container.clone());
        if let Some(known) = self.totals.get(&key) {
            return *known;
        }
        if measure.container.is_none() && !self.is_looked_at(&measure.resource) {
            return None;
        }
        let add = |sum: Total, container: &Container<'_>| {
            let request = sum.request.checked_add(container.requested(review, &measure.resource)?)?;
            let limit = sum.limit.checked_add(container.limit(review, &measure.resource)?)?;
            Some(Total { request, limit })
        };
        let none = Total { request: Quantity::ZERO, limit: Quantity::ZERO };
        let total = match &measure.container {
            Some(name) => self.container(name).map_or(Some(none), |container| add(none, container)),
            None => running(self.template).try_fold(none, add),
        };
        self.totals.insert(key, total);
        total
    }
}

fn running<'t, 'a>(template: &'t PodTemplate<'a>) -> impl Iterator<Item = &'t Container<'a>> {
    template.containers().iter().filter(|container| container.class().runs_on())
}
