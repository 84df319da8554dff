//! Ports that Prometheus reads, by the ServiceMonitors and PodMonitors of its operator.

use std::cell::Cell;
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::Answer;
use crate::kind::Kind;
use crate::review::Review;
use crate::selector;

/// Kind of the monitors that read ports of Services, and of the monitors that read ports of Pods.
pub const MONITORS: [Kind<'static>; 2] = [Kind::SERVICE_MONITOR, Kind::POD_MONITOR];

/// Maximum total size in bytes of the monitors whose selectors are compared. Each comparison counts, because a
/// namespace can have thousands of Services and monitors. Monitors of the own namespace and monitors of other
/// namespaces have this limit each, so that other namespaces cannot use up the limit of the own one. Beyond the limit,
/// it is unknown whether a monitor reads a port.
const MAX_COMPARED: usize = 512 << 10;

/// The monitors that read ports in a namespace.
#[derive(Debug)]
pub(crate) struct Monitors {
    of_services: Named,
    of_pods: Named,
}

/// The ports that monitors of one kind name, each with the index of the monitor in the answer.
#[derive(Debug)]
struct Named {
    answer: Rc<Answer>,
    /// Number of monitors in the own namespace. They come first in the answer.
    own: usize,
    /// Names of ports of Services, sorted.
    ports: Vec<(Box<str>, usize)>,
    /// Names of ports of containers, sorted.
    names: Vec<(Box<str>, usize)>,
    /// Numbers of ports of containers, sorted.
    numbers: Vec<(i64, usize)>,
}

/// The names and numbers of one port of Pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Called<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) numbers: Vec<i64>,
}

/// Bytes that are left of [`MAX_COMPARED`], for the own namespace and for others. The flag says whether a comparison
/// was left out.
#[derive(Debug)]
pub(crate) struct Left([Cell<usize>; 2], Cell<bool>);

impl Default for Left {
    fn default() -> Self {
        Self([Cell::new(MAX_COMPARED), Cell::new(MAX_COMPARED)], Cell::new(false))
    }
}

impl Left {
    fn takes(&self, is_own: bool, bytes: usize) -> bool {
        let left = &self.0[usize::from(!is_own)];
        let fits = left.get() >= bytes;
        left.set(left.get().saturating_sub(bytes));
        self.1.set(self.1.get() || !fits);
        fits
    }

    fn is_spent(&self, is_own: bool) -> bool {
        self.0[usize::from(!is_own)].get() == 0
    }

    /// Whether a comparison was left out.
    pub(crate) fn is_over(&self) -> bool {
        self.1.get()
    }
}

impl Monitors {
    pub(crate) fn of(review: &Review<'_>) -> Self {
        let [of_services, of_pods] =
            MONITORS.map(|kind| review.referring(kind, Kind::NAMESPACE, review.namespace().unwrap_or_default()));
        let namespace = review.namespace().unwrap_or_default();
        let of_services = Named::new(of_services, namespace, "/spec/endpoints", |endpoint, named, monitor| {
            named.ports.extend(text(endpoint, "port").map(|name| (name, monitor)));
        });
        let of_pods = Named::new(of_pods, namespace, "/spec/podMetricsEndpoints", |endpoint, named, monitor| {
            named.names.extend(text(endpoint, "port").map(|name| (name, monitor)));
            named.numbers.extend(endpoint.get("portNumber").and_then(Node::as_i64).map(|number| (number, monitor)));
        });
        Self { of_services, of_pods }
    }

    /// Whether the host left out monitors.
    pub(crate) fn are_cut(&self) -> bool {
        let is_cut = |named: &Named| !named.answer.complete && !named.answer.documents.is_empty();
        is_cut(&self.of_services) || is_cut(&self.of_pods)
    }

    /// Whether no monitor names a port.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.of_services, &self.of_pods]
            .iter()
            .all(|named| named.ports.is_empty() && named.names.is_empty() && named.numbers.is_empty())
    }

    /// Whether a monitor reads this port of a Service with these labels.
    pub(crate) fn read_service(
        &self,
        labels: Option<Node<'_>>,
        port: Option<&str>,
        target: &Called<'_>,
        left: &Left,
    ) -> bool {
        self.of_services.read(labels, port, target, left)
    }

    /// Whether a monitor reads this port of Pods with these labels.
    pub(crate) fn read_pod(&self, labels: Option<Node<'_>>, port: &Called<'_>, left: &Left) -> bool {
        self.of_pods.read(labels, None, port, left)
    }
}

impl Named {
    /// `more` adds the ports that only this kind of monitor names. Both kinds can name the port of the container, by
    /// name or number.
    fn new(answer: Rc<Answer>, namespace: &str, list: &str, more: impl Fn(Node<'_>, &mut Self, usize)) -> Self {
        let is_own = |monitor: &Node<'_>| {
            let of = monitor.at("/metadata/namespace").and_then(Node::as_str).unwrap_or_default();
            of.is_empty() || of == namespace
        };
        // The host shows monitors of the own namespace first.
        let own = answer.nodes().take_while(is_own).count();
        let mut named =
            Self { answer: Rc::clone(&answer), own, ports: Vec::new(), names: Vec::new(), numbers: Vec::new() };
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
        // One monitor can name the same port a thousand times.
        named.ports.dedup();
        named.names.dedup();
        named.numbers.dedup();
        named
    }

    fn read(&self, labels: Option<Node<'_>>, port: Option<&str>, target: &Called<'_>, left: &Left) -> bool {
        let by_port = port.into_iter().flat_map(|port| by_name(&self.ports, port));
        let by_names = target.names.iter().flat_map(|name| by_name(&self.names, name));
        let by_numbers = target.numbers.iter().flat_map(|number| {
            let from = self.numbers.partition_point(|(known, _)| known < number);
            self.numbers.iter().skip(from).take_while(move |(known, _)| known == number).map(|(_, monitor)| *monitor)
        });
        let candidates = by_port.chain(by_names).chain(by_numbers);
        candidates.take_while(|monitor| !left.is_spent(*monitor < self.own)).any(|it| self.selects(it, labels, left))
    }

    fn selects(&self, monitor: usize, labels: Option<Node<'_>>, left: &Left) -> bool {
        let document = self.answer.documents.get(monitor).map_or(&[][..], Vec::as_slice);
        let selector = || Node::root(document).ok()?.at("/spec/selector");
        let is_own = monitor < self.own;
        left.takes(is_own, document.len())
            && selector().is_some_and(|selector| selector::matches(selector, labels).is_yes())
    }
}

fn by_name(all: &[(Box<str>, usize)], name: &str) -> impl Iterator<Item = usize> {
    let from = all.partition_point(|(known, _)| **known < *name);
    all.iter().skip(from).take_while(move |(known, _)| **known == *name).map(|(_, monitor)| *monitor)
}

fn text(node: Node<'_>, member: &str) -> Option<Box<str>> {
    node.get(member).and_then(Node::as_str).filter(|text| !text.is_empty()).map(Into::into)
}
