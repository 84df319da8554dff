//! Which ports Prometheus reads, as its operator's ServiceMonitors and PodMonitors say.

use std::cell::Cell;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::review::Review;
use crate::selector;

/// `group/Kind` of what reads the ports of Services, and of what reads those of Pods.
pub const MONITORS: [&str; 2] = ["monitoring.coreos.com/ServiceMonitor", "monitoring.coreos.com/PodMonitor"];

/// Maximum size in bytes of the monitors whose selectors are compared, each as often as it is. Beyond it, no monitor counts:
/// a namespace can have thousands of Services and of monitors.
const MAX_COMPARED: usize = 512 << 10;

/// The monitors that read in a namespace.
#[derive(Debug)]
pub(crate) struct Monitors {
    of_services: Named,
    of_pods: Named,
}

/// The ports that monitors of one kind name, each with the monitor's place in the answer.
#[derive(Debug)]
struct Named {
    answer: Rc<Answer>,
    /// Names of ports of Services, sorted.
    ports: Vec<(Box<str>, usize)>,
    /// Names of ports of containers, sorted.
    names: Vec<(Box<str>, usize)>,
    /// Numbers of ports of containers, sorted.
    numbers: Vec<(i64, usize)>,
}

/// A port of Pods by everything that it is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Called<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) numbers: Vec<i64>,
}

/// How much may still be compared.
#[derive(Debug)]
pub(crate) struct Left(Cell<usize>);

impl Default for Left {
    fn default() -> Self {
        Self(Cell::new(MAX_COMPARED))
    }
}

impl Left {
    fn takes(&self, bytes: usize) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(bytes));
        left >= bytes
    }
}

impl Monitors {
    pub(crate) fn of(review: &Review<'_>) -> Self {
        let [of_services, of_pods] =
            MONITORS.map(|kind| review.referring(kind, "/Namespace", review.namespace().unwrap_or_default()));
        let of_services = Named::new(of_services, "/spec/endpoints", |endpoint, named, monitor| {
            named.ports.extend(text(endpoint, "port").map(|name| (name, monitor)));
        });
        let of_pods = Named::new(of_pods, "/spec/podMetricsEndpoints", |endpoint, named, monitor| {
            named.names.extend(text(endpoint, "port").map(|name| (name, monitor)));
            named.numbers.extend(endpoint.get("portNumber").and_then(Node::as_i64).map(|number| (number, monitor)));
        });
        Self { of_services, of_pods }
    }

    /// Whether no monitor names a port.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.of_services, &self.of_pods]
            .iter()
            .all(|named| named.ports.is_empty() && named.names.is_empty() && named.numbers.is_empty())
    }

    /// Whether one reads this port of a Service with these labels.
    pub(crate) fn read_service(
        &self,
        labels: Option<Node<'_>>,
        port: Option<&str>,
        target: &Called<'_>,
        left: &Left,
    ) -> bool {
        self.of_services.read(labels, port, target, left)
    }

    /// Whether one reads this port of Pods with these labels.
    pub(crate) fn read_pod(&self, labels: Option<Node<'_>>, port: &Called<'_>, left: &Left) -> bool {
        self.of_pods.read(labels, None, port, left)
    }
}

impl Named {
    /// `more` adds the ports that only this kind names. Both name the target by its name or number.
    fn new(answer: Rc<Answer>, list: &str, more: impl Fn(Node<'_>, &mut Self, usize)) -> Self {
        let mut named = Self { answer: Rc::clone(&answer), ports: Vec::new(), names: Vec::new(), numbers: Vec::new() };
        for (monitor, document) in answer.documents.iter().enumerate() {
            let endpoints = Node::root(document).ok().and_then(|monitor| monitor.at(list));
            for endpoint in endpoints.into_iter().flat_map(Node::items) {
                named.names.extend(text(endpoint, "targetPort").map(|name| (name, monitor)));
                named.numbers.extend(endpoint.get("targetPort").and_then(Node::as_i64).map(|port| (port, monitor)));
                more(endpoint, &mut named, monitor);
            }
        }
        named.ports.sort_unstable();
        named.names.sort_unstable();
        named.numbers.sort_unstable();
        named
    }

    fn read(&self, labels: Option<Node<'_>>, port: Option<&str>, target: &Called<'_>, left: &Left) -> bool {
        let by_port = port.into_iter().flat_map(|port| by_name(&self.ports, port));
        let by_names = target.names.iter().flat_map(|name| by_name(&self.names, name));
        let by_numbers = target.numbers.iter().flat_map(|number| {
            let from = self.numbers.partition_point(|(known, _)| known < number);
            self.numbers.iter().skip(from).take_while(move |(known, _)| known == number).map(|(_, monitor)| *monitor)
        });
        by_port.chain(by_names).chain(by_numbers).any(|monitor| self.selects(monitor, labels, left))
    }

    fn selects(&self, monitor: usize, labels: Option<Node<'_>>, left: &Left) -> bool {
        let document = self.answer.documents.get(monitor).map_or(&[][..], Vec::as_slice);
        let selector = || Node::root(document).ok()?.at("/spec/selector");
        left.takes(document.len()) && selector().is_some_and(|selector| selector::matches(selector, labels).is_yes())
    }
}

fn by_name(all: &[(Box<str>, usize)], name: &str) -> impl Iterator<Item = usize> {
    let from = all.partition_point(|(known, _)| **known < *name);
    all.iter().skip(from).take_while(move |(known, _)| **known == *name).map(|(_, monitor)| *monitor)
}

fn text(node: Node<'_>, member: &str) -> Option<Box<str>> {
    node.get(member).and_then(Node::as_str).filter(|text| !text.is_empty()).map(Into::into)
}
