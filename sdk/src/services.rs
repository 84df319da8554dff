//! Where Services send requests.

use plimsoll_flat::Node;

use crate::workload::{Container, Port};

/// Where a Service sends requests. Without a port, which a headless Service need not have: to the Pod as a whole.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    service: &'a str,
    port: Option<Port<'a>>,
    protocol: &'a str,
}

/// The targets of some Services, sorted by port, so that each port of a container is one look-up. A namespace can have
/// thousands of targets, and a Pod thousands of ports.
#[derive(Debug)]
pub struct Targets<'a> {
    /// Sorted by Service.
    all: Vec<Target<'a>>,
    /// Each number once: its first target in `all`, and whether one of its targets is TCP.
    by_number: Vec<(i64, usize, bool)>,
    /// Each name and protocol, and a target in `all`: the first one comes first.
    by_name: Vec<(&'a str, &'a str, usize)>,
    stray: Reaching<'a>,
}

/// What reaches a container.
#[derive(Clone, Debug, Default)]
pub struct Reaching<'a> {
    /// The first Service, by name.
    pub first: Option<&'a str>,
    /// The TCP ports that are targeted, sorted.
    pub tcp: Vec<i64>,
}

impl<'a> Targets<'a> {
    /// The targets of these Services, metrics apart, for a Pod with these containers. Services for which readiness does
    /// not decide who gets requests are left out.
    pub fn of(services: impl Iterator<Item = Node<'a>>, running: &[&Container<'_>]) -> Self {
        let mut all: Vec<_> = services.flat_map(targets).collect();
        all.sort_by_key(|target| target.service);
        let (mut by_number, mut by_name) = (Vec::new(), Vec::new());
        for (index, target) in all.iter().enumerate() {
            match target.port {
                Some(Port::Number(number)) => by_number.push((number, index, target.protocol == "TCP")),
                Some(Port::Name(name)) => by_name.push((name, target.protocol, index)),
                None => {}
            }
        }
        by_number.sort_unstable();
        by_number.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            kept.2 |= is_same && next.2;
            is_same
        });
        by_name.sort_unstable();
        let stray = if all.is_empty() { Reaching::default() } else { stray(&all, running) };
        Self { all, by_number, by_name, stray }
    }

    /// Whether there is no target at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The targets that no container declares. A number need not be declared; a name that is not has no endpoints.
    #[must_use]
    pub fn stray(&self) -> &Reaching<'a> {
        &self.stray
    }

    /// The targets whose port this container declares.
    #[must_use]
    pub fn of_container(&self, container: &Container<'_>) -> Reaching<'a> {
        let (mut first, mut tcp) = (None::<usize>, Vec::new());
        for port in container.ports().filter(|_| !self.all.is_empty()) {
            let at = self.by_number.partition_point(|(number, ..)| *number < port.number);
            if let Some((_, index, is_tcp)) = self.by_number.get(at).filter(|(number, ..)| *number == port.number) {
                tcp.extend(is_tcp.then_some(port.number));
                first = first.into_iter().chain([*index]).min();
            }
            let named = (port.name, port.protocol);
            let at = self.by_name.partition_point(|(name, protocol, _)| (*name, *protocol) < named);
            if let Some((.., index)) = self.by_name.get(at).filter(|(name, protocol, _)| (*name, *protocol) == named) {
                tcp.extend((port.protocol == "TCP").then_some(port.number));
                first = first.into_iter().chain([*index]).min();
            }
        }
        let first = first.and_then(|index| self.all.get(index)).map(|target| target.service);
        Reaching { first, tcp: distinct(tcp.into_iter()) }
    }
}

fn stray<'a>(all: &[Target<'a>], running: &[&Container<'_>]) -> Reaching<'a> {
    let declared = distinct(running.iter().flat_map(|container| container.ports()).map(|port| port.number));
    let is_stray = |target: &&Target<'_>| match target.port {
        None => true,
        Some(Port::Number(number)) => declared.binary_search(&number).is_err(),
        Some(Port::Name(_)) => false,
    };
    let first = all.iter().find(is_stray).map(|target| target.service);
    let tcp = all.iter().filter(is_stray).filter(|target| target.protocol == "TCP");
    let numbers = tcp.filter_map(|target| match target.port? {
        Port::Number(number) => Some(number),
        Port::Name(_) => None,
    });
    Reaching { first, tcp: distinct(numbers) }
}

/// What a Service targets, metrics apart; nothing where readiness does not decide who gets requests.
fn targets(service: Node<'_>) -> Vec<Target<'_>> {
    let name = service.at("/metadata/name").and_then(Node::as_str).unwrap_or_default();
    let publishes_all = service.at("/spec/publishNotReadyAddresses").and_then(Node::as_bool) == Some(true);
    if publishes_all || service.at("/spec/type").and_then(Node::as_str) == Some("ExternalName") {
        return Vec::new();
    }
    let Some(ports) = service.at("/spec/ports").filter(|ports| ports.len() > 0) else {
        return vec![Target { service: name, port: None, protocol: "TCP" }];
    };
    let mut targets = Vec::new();
    for port in ports.items() {
        let text = |field| port.get(field).and_then(Node::as_str).filter(|text| !text.is_empty());
        let number = |field| port.get(field).and_then(Node::as_i64).filter(|number| *number != 0);
        let is_metrics = match text("name").or(text("targetPort")) {
            Some(name) => names_metrics(name),
            None => name.ends_with("-metrics"),
        };
        let target = text("targetPort").map(Port::Name).or(number("targetPort").or(number("port")).map(Port::Number));
        if let Some(target) = target.filter(|_| !is_metrics) {
            targets.push(Target { service: name, port: Some(target), protocol: text("protocol").unwrap_or("TCP") });
        }
    }
    targets
}

/// Whether a port of this name is for metrics, by the words of the name.
#[must_use]
pub fn names_metrics(name: &str) -> bool {
    name.split('-').any(|word| word == "metrics" || word == "prometheus")
}

/// The numbers, sorted, each once.
#[must_use]
pub fn distinct(ports: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ports: Vec<_> = ports.collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
