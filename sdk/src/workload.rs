//! Pod templates and their containers, over every kind that carries one.

use std::rc::Rc;

use plimsoll_flat::{Kind as Json, Node};

use crate::cursor::Cursor;
use crate::findings::Finding;
use crate::image::Reference;
use crate::resources::Inherited;
use crate::review::Review;

/// The four classes of containers. What the API allows, and what matters, differs by class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// One of `containers`.
    App,
    /// One of `initContainers` with `restartPolicy: Always`: it runs beside the app and counts for readiness.
    Sidecar,
    /// One of `initContainers` that runs to its end before the app starts.
    Init,
    /// Added to a running Pod; the API forbids it probes, ports and resources.
    Ephemeral,
}

impl Class {
    /// As a message names it.
    pub fn noun(self) -> &'static str {
        match self {
            Class::App => "container",
            Class::Sidecar => "sidecar container",
            Class::Init => "init container",
            Class::Ephemeral => "ephemeral container",
        }
    }

    /// Whether it runs for as long as the Pod: app containers and native sidecars.
    pub fn runs_on(self) -> bool {
        matches!(self, Class::App | Class::Sidecar)
    }
}

/// The pod template of a workload, or a Pod itself.
#[derive(Debug)]
pub struct PodTemplate<'a> {
    root: Cursor<'a>,
    spec: Cursor<'a>,
    containers: Vec<Container<'a>>,
    injected: Vec<Container<'a>>,
}

impl<'a> PodTemplate<'a> {
    pub(crate) fn new(root: Cursor<'a>) -> Self {
        let spec = root.at("/spec");
        let pod = Rc::new(Around { spec: spec.clone(), inherited: Inherited::default() });
        let (mut containers, mut injected) = (Vec::new(), Vec::new());
        let is_injected_into = is_injected_into(&root);
        let mut collect = |list: &'static str, class: fn(&Cursor<'a>) -> Class| {
            for cursor in spec.member(list).items() {
                // Text where an object belongs has no members; the API server refuses it, and so does the schema.
                if cursor.node().is_some_and(|node| node.kind() == Json::Object) {
                    let container = Container { class: class(&cursor), pod: Rc::clone(&pod), cursor };
                    let is_auto = container.at("/image").as_str() == Some("auto");
                    let is_filled_in = is_injected_into && is_auto && container.class != Class::Ephemeral;
                    if is_filled_in { &mut injected } else { &mut containers }.push(container);
                }
            }
        };
        collect("containers", |_| Class::App);
        collect("initContainers", |container| {
            if container.at("/restartPolicy").as_str() == Some("Always") { Class::Sidecar } else { Class::Init }
        });
        collect("ephemeralContainers", |_| Class::Ephemeral);
        Self { root, spec, containers, injected }
    }

    /// The template (or the Pod): the parent of `metadata` and `spec`.
    pub fn root(&self) -> &Cursor<'a> {
        &self.root
    }

    /// The pod spec.
    pub fn spec(&self) -> &Cursor<'a> {
        &self.spec
    }

    /// The labels, if there are any.
    pub fn labels(&self) -> Option<Node<'a>> {
        self.root.at("/metadata/labels").node()
    }

    /// A place in the Pod's own `securityContext`, `/runAsUser`, which containers without one of their own inherit.
    pub fn security(&self, pointer: &'static str) -> Cursor<'a> {
        self.spec.at("/securityContext").at(pointer)
    }

    /// App, then init and sidecar containers, then ephemeral ones, each as they are written; without [`Self::injected`].
    pub fn containers(&self) -> &[Container<'a>] {
        &self.containers
    }

    /// The containers of which Istio's webhook fills in the image and what else is missing: `image: auto`, in Pods that
    /// ask for the injection.
    pub fn injected(&self) -> &[Container<'a>] {
        &self.injected
    }

    /// All containers: those of [`Self::containers`], and those of [`Self::injected`].
    pub fn all_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        self.containers.iter().chain(&self.injected)
    }

    /// Every image that a Pod pulls, with its place: those of all containers, and those that volumes mount
    /// (`volumes[*].image`, from Kubernetes 1.35 without a feature gate).
    pub fn images(&self) -> impl Iterator<Item = Image<'a>> + use<'_, 'a> {
        let of_containers = self.containers.iter().map(|container| Image {
            noun: container.class.noun(),
            name: container.name(),
            reference: container.at("/image"),
            pull_policy: container.at("/imagePullPolicy"),
        });
        let volumes = self.spec.at("/volumes").items().filter(|volume| volume.at("/image").exists());
        of_containers.chain(volumes.map(|volume| Image {
            noun: "volume",
            name: volume.at("/name").as_str().unwrap_or_default(),
            reference: volume.at("/image/reference"),
            pull_policy: volume.at("/image/pullPolicy"),
        }))
    }

    /// Whether anything but running makes the Pod ready: a readinessProbe of some container that runs on. An injected
    /// container gets one.
    pub fn has_readiness_probe(&self) -> bool {
        let mut running = self.containers.iter().filter(|container| container.class().runs_on());
        !self.injected.is_empty() || running.any(|container| container.at("/readinessProbe").has_content())
    }

    /// The first port of its node that a Pod takes, which no other Pod there can have: a `hostPort`, and with `hostNetwork`
    /// every port that is declared.
    pub fn host_port(&self) -> Option<(i64, Cursor<'a>)> {
        let is_host = self.spec.at("/hostNetwork").as_bool() == Some(true);
        let member = if is_host { "containerPort" } else { "hostPort" };
        let running = self.all_containers().filter(|container| container.class().runs_on());
        let mut ports = running.flat_map(|container| container.at("/ports").items());
        ports.find_map(|port| {
            let at = port.member(member);
            Some((at.as_i64().filter(|number| *number > 0)?, at))
        })
    }

    /// Whether all of its Pods are on one node: that of a name or a label, or that of another Pod.
    pub fn is_tied_to_node(&self) -> bool {
        const HOST: &str = "kubernetes.io/hostname";
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        let affinity = self.spec().at("/affinity");
        let mut beside = affinity.at("/podAffinity").member(REQUIRED).items();
        let terms: Vec<_> = affinity.at("/nodeAffinity").member(REQUIRED).at("/nodeSelectorTerms").items().collect();
        // Several terms are alternatives.
        let names = |list: &'static str, key: &'static str| match &terms[..] {
            [only] => only.member(list).items().any(|it| {
                let text = |member: &'static str| it.member(member).as_str().map(str::to_owned);
                text("key").as_deref() == Some(key)
                    && text("operator").as_deref() == Some("In")
                    && it.at("/values").items().count() == 1
            }),
            _ => false,
        };
        self.spec().at("/nodeName").exists()
            || self.spec().at("/nodeSelector").key(HOST).exists()
            // A term without a selector selects no Pods, so it brings the Pods together with none.
            || beside.any(|term| term.at("/topologyKey").as_str() == Some(HOST) && term.at("/labelSelector").exists())
            || names("matchExpressions", HOST)
            || names("matchFields", "metadata.name")
    }
}

/// Whether Istio's webhook fills in containers of these Pods. The label `"false"` turns it off whatever else is written.
fn is_injected_into(root: &Cursor<'_>) -> bool {
    let inject = "sidecar.istio.io/inject";
    let annotations = root.at("/metadata/annotations");
    let label = root.at("/metadata/labels").key(inject);
    if label.exists() {
        return label.as_str() == Some("true");
    }
    match annotations.key(inject).as_str() {
        Some(written) => written == "true",
        None => annotations.key("inject.istio.io/templates").as_str().is_some_and(|names| !names.is_empty()),
    }
}

/// An image that a Pod pulls, for a container or for a volume.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    noun: &'static str,
    name: &'a str,
    /// Where its reference stands, or would.
    pub reference: Cursor<'a>,
    /// Where it says when it is pulled, or would: `imagePullPolicy` of a container, `pullPolicy` of a volume.
    pub pull_policy: Cursor<'a>,
}

impl<'a> Image<'a> {
    /// As a message names what pulls it: `container "app"`, `volume "model"`; what has no name by its place, `volumes[0]`.
    #[must_use]
    pub fn describe(&self) -> String {
        described(self.noun, self.name, &self.reference)
    }

    /// `Always`, `IfNotPresent` or `Never`, with the API server's default filled in: `Always` where the reference has the tag
    /// `latest` or neither tag nor digest (`SetDefaults_Container` and `SetDefaults_Volume` of `pkg/apis/core/v1`).
    #[must_use]
    pub fn effective_pull_policy(&self) -> &'a str {
        let is_latest = || {
            let reference = self.reference.as_str().and_then(Reference::parse);
            reference.is_some_and(|reference| reference.is_mutable_latest())
        };
        match self.pull_policy.as_str().filter(|policy| !policy.is_empty()) {
            Some(policy) => policy,
            None if is_latest() => "Always",
            None => "IfNotPresent",
        }
    }
}

/// What a message calls an item of a list of the pod spec, or something within it.
fn described(noun: &str, name: &str, at: &Cursor<'_>) -> String {
    if !name.is_empty() {
        return format!("{noun} {name:?}");
    }
    let pointer = at.pointer();
    let parts: Vec<&str> = pointer.split('/').collect();
    let item = parts.windows(2).rev().find(|pair| LISTS.contains(&pair[0]));
    item.map_or_else(|| noun.to_owned(), |pair| format!("{}[{}]", pair[0], pair[1]))
}

/// Lists of the pod spec whose items have names.
const LISTS: [&str; 4] = ["containers", "initContainers", "ephemeralContainers", "volumes"];

/// Several containers as a message names them: at most three, and how many more.
pub fn describe_all(containers: &[&Container<'_>]) -> String {
    let mut text = containers.iter().take(3).map(|container| container.describe()).collect::<Vec<_>>().join(", ");
    if containers.len() > 3 {
        text.push_str(&format!(" and {} more", containers.len() - 3));
    }
    text
}

/// Makes a finding at the Pod be about these containers too: another one is a new finding, reordering them is not.
pub fn about_all(finding: &mut Finding, containers: &[&Container<'_>], pointer: &'static str) {
    let mut sorted = containers.to_vec();
    sorted.sort_by_key(|container| container.name());
    for container in sorted {
        finding.about(&container.at(pointer));
    }
}

/// One container, whatever its class.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    class: Class,
    pod: Rc<Around<'a>>,
    cursor: Cursor<'a>,
}

/// The pod spec around containers, and what was worked out of it.
#[derive(Debug)]
struct Around<'a> {
    spec: Cursor<'a>,
    inherited: Inherited,
}

impl<'a> Container<'a> {
    /// Its class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.cursor.at("/name").as_str().unwrap_or_default()
    }

    /// As a message names it: `container "app"`; one without a name by its place, `containers[0]`.
    pub fn describe(&self) -> String {
        described(self.class.noun(), self.name(), &self.cursor)
    }

    /// The container itself as a place.
    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// A place below the container, `/resources/requests/memory`.
    pub fn at(&self, pointer: &'static str) -> Cursor<'a> {
        self.cursor.at(pointer)
    }

    /// A place in the pod spec around it, `/securityContext/runAsUser`.
    pub fn pod(&self, pointer: &'static str) -> Cursor<'a> {
        self.pod.spec.at(pointer)
    }

    /// Whether the Pod as a whole requests a resource.
    pub(crate) fn inherits_request(&self, review: &Review<'_>, resource: &str) -> bool {
        self.pod.inherited.requests(review, &self.pod.spec, resource)
    }

    /// A place, `/runAsNonRoot`, that the container's own `securityContext` decides, else the Pod's: the effective one.
    pub fn security(&self, pointer: &'static str) -> Cursor<'a> {
        let own = self.cursor.at("/securityContext").at(pointer);
        if own.exists() {
            return own;
        }
        let of_pod = self.pod.spec.at("/securityContext").at(pointer);
        if of_pod.exists() { of_pod } else { own }
    }

    /// The ports that it declares; it may listen on others too.
    pub fn ports(&self) -> impl Iterator<Item = ContainerPort<'a>> + use<'a> {
        self.cursor.at("/ports").items().filter_map(|port| {
            Some(ContainerPort {
                name: port.at("/name").as_str().unwrap_or_default(),
                number: port.at("/containerPort").as_i64()?,
                protocol: port.at("/protocol").as_str().unwrap_or("TCP"),
            })
        })
    }

    /// The probe of this member name: `readinessProbe`, `livenessProbe`, `startupProbe`.
    pub fn probe(&self, member: &'static str) -> Option<Probe<'a>> {
        let cursor = self.cursor.member(member);
        cursor.exists().then(|| Probe { container: self.cursor.clone(), cursor })
    }
}

/// A port that a container declares, with the API server's defaults filled in.
#[derive(Clone, Copy, Debug)]
pub struct ContainerPort<'a> {
    /// Its name; empty where it has none.
    pub name: &'a str,
    /// Its number.
    pub number: i64,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'a str,
}

/// A probe with the API server's defaults filled in.
#[derive(Clone, Debug)]
pub struct Probe<'a> {
    container: Cursor<'a>,
    cursor: Cursor<'a>,
}

/// How a probe asks. Ports are numbers where the container declares the name.
#[derive(Clone, Debug, PartialEq)]
pub enum Handler<'a> {
    /// `httpGet`
    Http { port: Port<'a>, scheme: &'a str, host: &'a str, path: &'a str, headers: Vec<(String, &'a str)> },
    /// `tcpSocket`
    Tcp { port: Port<'a>, host: &'a str },
    /// `grpc`
    Grpc { port: Port<'a>, service: &'a str },
    /// `exec`
    Exec { command: Vec<&'a str> },
}

/// A probe's port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Port<'a> {
    /// A number, also one that a name stands for.
    Number(i64),
    /// A name that the container does not declare.
    Name(&'a str),
}

impl<'a> Probe<'a> {
    /// The probe as a place.
    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// A place below the probe.
    pub fn at(&self, pointer: &'static str) -> Cursor<'a> {
        self.cursor.at(pointer)
    }

    /// Seconds before the first question; 0 if unset.
    pub fn initial_delay(&self) -> i64 {
        self.number("initialDelaySeconds", 0)
    }

    /// Seconds between questions; 10 if unset.
    pub fn period(&self) -> i64 {
        self.number("periodSeconds", 10)
    }

    /// Seconds until an answer counts as none; 1 if unset.
    pub fn timeout(&self) -> i64 {
        self.number("timeoutSeconds", 1)
    }

    /// Good answers in a row that count; 1 if unset.
    pub fn success_threshold(&self) -> i64 {
        self.number("successThreshold", 1)
    }

    /// Bad answers in a row that count; 3 if unset.
    pub fn failure_threshold(&self) -> i64 {
        self.number("failureThreshold", 3)
    }

    /// A field that is unset, or 0 (which the API server replaces by its default too), counts as its default.
    fn number(&self, field: &'static str, default: i64) -> i64 {
        self.cursor.member(field).as_i64().filter(|value| *value != 0).unwrap_or(default)
    }

    /// Seconds that one question can take: max(period, timeout), for the next one waits for its answer.
    pub fn interval(&self) -> i64 {
        self.period().max(self.timeout())
    }

    /// Seconds until a container that stops answering has failed: failureThreshold × max(period, timeout).
    pub fn detection_window(&self) -> i64 {
        self.failure_threshold().saturating_mul(self.interval())
    }

    /// Seconds from the container's start until a container that never answers has failed:
    /// initialDelay + failureThreshold × max(period, timeout).
    pub fn failure_window(&self) -> i64 {
        self.initial_delay().saturating_add(self.detection_window())
    }

    /// How it asks; none where no handler is stated.
    pub fn handler(&self) -> Option<Handler<'a>> {
        let text =
            |cursor: Cursor<'a>, default: &'a str| cursor.as_str().filter(|text| !text.is_empty()).unwrap_or(default);
        let http = self.at("/httpGet");
        if http.exists() {
            return Some(Handler::Http {
                port: self.port(&http)?,
                scheme: text(http.at("/scheme"), "HTTP"),
                host: text(http.at("/host"), ""),
                path: text(http.at("/path"), "/"),
                headers: http
                    .at("/httpHeaders")
                    .items()
                    .map(|header| (text(header.at("/name"), "").to_ascii_lowercase(), text(header.at("/value"), "")))
                    .collect(),
            });
        }
        let tcp = self.at("/tcpSocket");
        if tcp.exists() {
            return Some(Handler::Tcp { port: self.port(&tcp)?, host: text(tcp.at("/host"), "") });
        }
        let grpc = self.at("/grpc");
        if grpc.exists() {
            return Some(Handler::Grpc { port: self.port(&grpc)?, service: text(grpc.at("/service"), "") });
        }
        let command = self.at("/exec/command").items().map(|item| item.as_str()).collect::<Option<Vec<_>>>()?;
        (!command.is_empty()).then_some(Handler::Exec { command })
    }

    fn port(&self, handler: &Cursor<'a>) -> Option<Port<'a>> {
        let port = handler.at("/port");
        if let Some(number) = port.as_i64() {
            return Some(Port::Number(number));
        }
        let name = port.as_str()?;
        let declared = self.container.at("/ports").items().find(|port| port.at("/name").as_str() == Some(name));
        Some(declared.and_then(|port| port.at("/containerPort").as_i64()).map_or(Port::Name(name), Port::Number))
    }
}
