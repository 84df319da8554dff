//! Ports of Pods to which Services send requests.

use plimsoll_flat::Node;

use crate::monitors::{Called, Left};
use crate::review::Review;
use crate::workload::{Container, ContainerPort, Handler, PodTemplate, Port};

/// Port to which a Service sends requests. A headless Service without ports targets the Pod as a whole.
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
    /// Each port number once, with its first target in `all` and whether one of its targets is TCP.
    by_number: Vec<(i64, usize, bool)>,
    /// Each name and protocol with the index of a target in `all`, sorted.
    by_name: Vec<(&'a str, &'a str, usize)>,
    stray: Reaching<'a>,
}

/// The targets that reach a container.
#[derive(Clone, Debug, Default)]
pub struct Reaching<'a> {
    /// The first Service, by name.
    pub first: Option<&'a str>,
    /// The TCP ports that are targeted, sorted.
    pub tcp: Vec<i64>,
}

impl<'a> Targets<'a> {
    /// The targets of these Services for a Pod with these containers. Ports for metrics are left out. So are Services
    /// that also send requests to Pods that are not ready.
    pub fn of(services: impl Iterator<Item = Node<'a>>, running: &[&Container<'_>], scraped: &Scraped<'_, '_>) -> Self {
        let mut all: Vec<_> = services.flat_map(|service| targets(service, scraped)).collect();
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

    /// Whether there are no targets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The targets that no container declares. A container can serve a port number without declaring it. A name that no
    /// container declares has no endpoints.
    #[must_use]
    pub fn stray(&self) -> &Reaching<'a> {
        &self.stray
    }

    /// The targets whose port this container declares or uses in a probe.
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
        for number in probed(container).filter(|_| !self.all.is_empty()) {
            let at = self.by_number.partition_point(|(known, ..)| *known < number);
            if let Some((_, index, true)) = self.by_number.get(at).filter(|(known, ..)| *known == number) {
                tcp.push(number);
                first = first.into_iter().chain([*index]).min();
            }
        }
        let first = first.and_then(|index| self.all.get(index)).map(|target| target.service);
        Reaching { first, tcp: distinct(tcp.into_iter()) }
    }
}

fn stray<'a>(all: &[Target<'a>], running: &[&Container<'_>]) -> Reaching<'a> {
    let declared = running.iter().flat_map(|container| container.ports()).map(|port| port.number);
    let declared = distinct(declared.chain(running.iter().copied().flat_map(probed)));
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

/// The TCP ports in the probes of this container. The containers of a Pod share its network, so a probe shows which
/// container listens on a port.
fn probed(container: &Container<'_>) -> impl Iterator<Item = i64> {
    let probes = ["readinessProbe", "livenessProbe", "startupProbe"].into_iter();
    let handlers = probes.filter_map(|field| container.probe(field)?.handler());
    handlers.filter_map(|handler| match handler {
        Handler::Http { port: Port::Number(number), host: "", .. }
        | Handler::Tcp { port: Port::Number(number), host: "" }
        | Handler::Grpc { port: Port::Number(number), .. } => Some(number),
        _ => None,
    })
}

/// The targets of a Service, without ports for metrics. Empty if the Service also sends requests to Pods that are not
/// ready, or if it is an ExternalName.
fn targets<'a>(service: Node<'a>, scraped: &Scraped<'_, '_>) -> Vec<Target<'a>> {
    let name = name(service);
    let publishes_all = service.at("/spec/publishNotReadyAddresses").and_then(Node::as_bool) == Some(true);
    if publishes_all || is_external(service) {
        return Vec::new();
    }
    let Some(ports) = service.at("/spec/ports").filter(|ports| ports.len() > 0) else {
        return vec![Target { service: name, port: None, protocol: "TCP" }];
    };
    let mut targets = Vec::new();
    let of_service = Scrape::of(service.at("/metadata/annotations"));
    for port in ports.items().map(ServicePort) {
        if let Some(target) = port.target().filter(|_| !port.is_for_metrics(service, of_service, scraped)) {
            let protocol = port.text("protocol").unwrap_or("TCP");
            targets.push(Target { service: name, port: Some(target), protocol });
        }
    }
    targets
}

/// Whether the Service carries requests. An ExternalName, or a Service whose ports are all for metrics, does not.
#[must_use]
pub fn carries_requests(service: Node<'_>, scraped: &Scraped<'_, '_>) -> bool {
    let ports = service.at("/spec/ports").filter(|ports| ports.len() > 0);
    let of_service = Scrape::of(service.at("/metadata/annotations"));
    let is_for_metrics = |port| ServicePort(port).is_for_metrics(service, of_service, scraped);
    !is_external(service) && !ports.is_some_and(|ports| ports.items().all(is_for_metrics))
}

/// Whether known Services select these Pods, and all of these Services are for metrics only. Needs `/Service` and both
/// [`crate::monitors::MONITORS`] in `refines`.
#[must_use]
pub fn are_only_scraped(review: &Review<'_>) -> bool {
    let (services, scraped) = (review.services(), Scraped::of(review));
    let mut selecting = services.nodes().filter(|service| !is_external(*service)).peekable();
    selecting.peek().is_some() && !selecting.any(|service| carries_requests(service, &scraped))
}

/// The ports for metrics, by the names and annotations of Pods and by the monitors that select the Pods or their
/// Services.
#[derive(Debug)]
pub struct Scraped<'r, 'a> {
    review: &'r Review<'a>,
    /// Numbers of ports whose name is one for metrics, sorted.
    numbers: Vec<i64>,
    /// Port number in the annotations of the Pods.
    annotated: Option<i64>,
    /// Names of the ports with the annotated number.
    names: Vec<String>,
    /// Number and name of each named port, sorted by number. Only monitors need them.
    declared: Vec<(i64, String)>,
    /// Indexes of `declared`, sorted by name.
    by_name: Vec<usize>,
    /// Labels of the Pods. Only monitors need them.
    labels: Option<Vec<u8>>,
    left: Left,
}

/// Maximum number of further names, or numbers, of one port that are compared with monitors. Containers may declare
/// thousands.
const MAX_CALLED: usize = 8;

impl<'r, 'a> Scraped<'r, 'a> {
    /// Reads the template of the reviewed object, or the template that this object refers to. Without a template no
    /// port is for metrics.
    #[must_use]
    pub fn of(review: &'r Review<'a>) -> Self {
        let referenced = review.referenced();
        Self::of_template(review, review.template().or(referenced.as_ref()))
    }

    /// Reads another template.
    #[must_use]
    pub fn of_template(review: &'r Review<'a>, template: Option<&PodTemplate<'_>>) -> Self {
        let mut scraped = Self {
            review,
            numbers: Vec::new(),
            annotated: None,
            names: Vec::new(),
            declared: Vec::new(),
            by_name: Vec::new(),
            labels: None,
            left: Left::default(),
        };
        let Some(template) = template else { return scraped };
        scraped.annotated = match Scrape::of(template.root().at("/metadata/annotations").node()) {
            Scrape::Port(port) => Some(port),
            // The annotations do not say which port is read.
            Scrape::All | Scrape::Nothing => None,
        };
        let ports = || ports_of(template);
        scraped.numbers = distinct(ports().filter(|port| names_metrics(port.name)).map(|port| port.number));
        let named = || ports().filter(|port| !port.name.is_empty());
        let names = named().filter(|port| Some(port.number) == scraped.annotated);
        scraped.names = names.map(|port| port.name.to_owned()).collect();
        if !review.monitors().is_empty() {
            let mut declared: Vec<_> = named().map(|port| (port.number, port.name.to_owned())).collect();
            declared.sort_unstable();
            declared.dedup();
            scraped.by_name = (0..declared.len()).collect();
            scraped
                .by_name
                .sort_unstable_by(|one, other| declared[*one].1.cmp(&declared[*other].1).then(one.cmp(other)));
            scraped.declared = declared;
            scraped.labels = template.labels().map(Node::to_document);
        }
        scraped
    }

    /// Whether some monitors were not compared, so that a port that seems to carry requests may be for metrics.
    #[must_use]
    pub fn is_uncertain(&self) -> bool {
        self.left.is_over() || self.review.monitors().are_cut()
    }

    fn names(&self, target: Option<Port<'_>>) -> bool {
        match target {
            Some(Port::Number(number)) => self.annotated == Some(number),
            Some(Port::Name(name)) => self.names.iter().any(|known| known == name),
            None => false,
        }
    }

    /// Whether a ServiceMonitor names this port of the Service, or a PodMonitor the port of the Pods behind it.
    fn is_monitored(&self, service: Node<'_>, own: Option<&str>, target: Option<Port<'_>>) -> bool {
        let monitors = self.review.monitors();
        if monitors.is_empty() {
            return false;
        }
        let called = target.map_or_else(Called::default, |target| self.called(target));
        // A port with such a name carries requests, unless the Service's name for it is one for metrics.
        if called.names.iter().any(|name| FOR_REQUESTS.contains(name)) {
            return false;
        }
        let labels = self.labels.as_deref().and_then(|labels| Node::root(labels).ok());
        monitors.read_service(service.at("/metadata/labels"), own, &called, &self.left)
            || monitors.read_pod(labels, &called, &self.left)
    }

    /// The names and numbers of a port.
    fn called<'b>(&'b self, target: Port<'b>) -> Called<'b> {
        match target {
            Port::Number(number) => {
                let from = self.declared.partition_point(|(known, _)| *known < number);
                let same = self.declared.iter().skip(from).take_while(|(known, _)| *known == number);
                Called { names: same.map(|(_, name)| name.as_str()).take(MAX_CALLED).collect(), numbers: vec![number] }
            }
            Port::Name(name) => {
                let port = |index: &usize| self.declared.get(*index);
                let from =
                    self.by_name.partition_point(|index| port(index).is_some_and(|(_, known)| known.as_str() < name));
                let same = self.by_name.iter().skip(from).filter_map(port).take_while(|(_, known)| known == name);
                Called { names: vec![name], numbers: same.map(|(number, _)| *number).take(MAX_CALLED).collect() }
            }
        }
    }
}

/// The ports of app containers and native sidecars.
fn ports_of<'b, 'a>(template: &'b PodTemplate<'a>) -> impl Iterator<Item = ContainerPort<'a>> + use<'b, 'a> {
    template.all_containers().filter(|container| container.class().runs_on()).flat_map(|container| container.ports())
}

/// The annotations `prometheus.io/scrape` and `prometheus.io/port`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scrape {
    Nothing,
    All,
    Port(i64),
}

impl Scrape {
    fn of(annotations: Option<Node<'_>>) -> Self {
        let text = |name| annotations.and_then(|all| all.get(name)).and_then(Node::as_str);
        let is_read = text("prometheus.io/scrape");
        match text("prometheus.io/port").and_then(|port| port.trim().parse().ok()) {
            _ if is_read == Some("false") => Self::Nothing,
            Some(port) => Self::Port(port),
            None if is_read == Some("true") => Self::All,
            None => Self::Nothing,
        }
    }
}

/// Names of ports that carry requests, even if Prometheus also reads metrics from them.
const FOR_REQUESTS: [&str; 12] =
    ["http", "https", "http2", "h2c", "web", "http-web", "grpc", "api", "ui", "app", "service", "server"];

/// A port of a Service.
#[derive(Clone, Copy, Debug)]
struct ServicePort<'a>(Node<'a>);

impl<'a> ServicePort<'a> {
    fn text(self, field: &str) -> Option<&'a str> {
        self.0.get(field).and_then(Node::as_str).filter(|text| !text.is_empty())
    }

    fn number(self, field: &str) -> Option<i64> {
        self.0.get(field).and_then(Node::as_i64).filter(|number| *number != 0)
    }

    fn target(self) -> Option<Port<'a>> {
        let number = || self.number("targetPort").or(self.number("port")).map(Port::Number);
        self.text("targetPort").map(Port::Name).or_else(number)
    }

    /// Whether the port is for metrics: by its name, by the name of the container's port, or by annotations or
    /// monitors. Many programs answer requests and serve metrics on the same port. So a name in [`FOR_REQUESTS`] takes
    /// precedence over everything else. Port 80 or 443, or a Service of type `NodePort` or `LoadBalancer`, takes
    /// precedence over annotations and monitors.
    fn is_for_metrics(self, service: Node<'_>, of_service: Scrape, scraped: &Scraped<'_, '_>) -> bool {
        let (own, target) = (self.text("name"), self.target());
        if own.is_some_and(|own| FOR_REQUESTS.contains(&own)) {
            return false;
        }
        let mut names = own.into_iter().chain(self.text("targetPort"));
        let is_declared =
            matches!(target, Some(Port::Number(number)) if scraped.numbers.binary_search(&number).is_ok());
        if names.any(names_metrics) || is_declared {
            return true;
        }
        if own.or(self.text("targetPort")).is_none() && name(service).ends_with("-metrics") {
            return true;
        }
        let kind = service.at("/spec/type").and_then(Node::as_str);
        if matches!(self.number("port"), Some(80 | 443)) || matches!(kind, Some("NodePort" | "LoadBalancer")) {
            return false;
        }
        let is_named = match of_service {
            Scrape::All => true,
            Scrape::Port(port) => self.number("port") == Some(port) || target == Some(Port::Number(port)),
            Scrape::Nothing => false,
        };
        is_named || scraped.names(target) || scraped.is_monitored(service, own, target)
    }
}

fn name(service: Node<'_>) -> &str {
    service.at("/metadata/name").and_then(Node::as_str).unwrap_or_default()
}

fn is_external(service: Node<'_>) -> bool {
    service.at("/spec/type").and_then(Node::as_str) == Some("ExternalName")
}

/// Whether a word of this name says that the port is for metrics.
#[must_use]
pub fn names_metrics(name: &str) -> bool {
    name.split('-').any(|word| ["metrics", "metric", "prometheus", "prom", "monitoring"].contains(&word))
}

/// Sorts the numbers and removes duplicates.
#[must_use]
pub fn distinct(ports: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ports: Vec<_> = ports.collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
