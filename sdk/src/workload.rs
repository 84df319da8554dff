//! Pod templates and their containers, over every kind that carries one.

use plimsoll_flat::{Kind, Node};

use crate::cursor::Cursor;

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
}

impl<'a> PodTemplate<'a> {
    pub(crate) fn new(root: Cursor<'a>) -> Self {
        let spec = root.at("spec");
        let mut containers = Vec::new();
        let mut collect = |list: &'static str, class: fn(&Cursor<'a>) -> Class| {
            for cursor in spec.at(list).items() {
                // Text where an object belongs has no members; the API server refuses it, and so does the schema.
                if cursor.node().is_some_and(|node| node.kind() == Kind::Object) {
                    containers.push(Container { class: class(&cursor), spec: spec.clone(), cursor });
                }
            }
        };
        collect("containers", |_| Class::App);
        collect("initContainers", |container| {
            if container.at("restartPolicy").as_str() == Some("Always") { Class::Sidecar } else { Class::Init }
        });
        collect("ephemeralContainers", |_| Class::Ephemeral);
        Self { root, spec, containers }
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
        self.root.at("metadata/labels").node()
    }

    /// App, then init and sidecar containers, then ephemeral ones, each as they are written.
    pub fn containers(&self) -> &[Container<'a>] {
        &self.containers
    }

    /// Whether the Pod says that it runs on Windows, where several Linux-only fields may not be set.
    pub fn is_windows(&self) -> bool {
        self.spec.at("os/name").as_str() == Some("windows")
    }
}

/// One container, whatever its class.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    class: Class,
    spec: Cursor<'a>,
    cursor: Cursor<'a>,
}

impl<'a> Container<'a> {
    /// Its class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.cursor.at("name").as_str().unwrap_or_default()
    }

    /// As a message names it: `container "app"`.
    pub fn describe(&self) -> String {
        format!("{} {:?}", self.class.noun(), self.name())
    }

    /// The container itself as a place.
    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// A place below the container, `resources/requests/memory`.
    pub fn at(&self, path: &'static str) -> Cursor<'a> {
        self.cursor.at(path)
    }

    /// A place in the pod spec around it, `securityContext/runAsUser`.
    pub fn pod(&self, path: &'static str) -> Cursor<'a> {
        self.spec.at(path)
    }

    /// A field that the container's own `securityContext` decides, else the Pod's: the effective one.
    pub fn security(&self, field: &'static str) -> Cursor<'a> {
        let own = self.cursor.at("securityContext").at(field);
        if own.exists() {
            return own;
        }
        let of_pod = self.spec.at("securityContext").at(field);
        if of_pod.exists() { of_pod } else { own }
    }

    /// The probe of this member name: `readinessProbe`, `livenessProbe`, `startupProbe`.
    pub fn probe(&self, member: &'static str) -> Option<Probe<'a>> {
        let cursor = self.cursor.at(member);
        cursor.exists().then(|| Probe { container: self.cursor.clone(), cursor })
    }
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
    pub fn at(&self, path: &'static str) -> Cursor<'a> {
        self.cursor.at(path)
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
        self.cursor.at(field).as_i64().filter(|value| *value != 0).unwrap_or(default)
    }

    /// Seconds from the container's start until a container that never answers has failed:
    /// initialDelay + failureThreshold × max(period, timeout).
    pub fn failure_window(&self) -> i64 {
        let once = self.period().max(self.timeout());
        self.initial_delay().saturating_add(self.failure_threshold().saturating_mul(once))
    }

    /// How it asks; none where no handler is stated.
    pub fn handler(&self) -> Option<Handler<'a>> {
        let text = |cursor: Cursor<'a>, default: &'a str| cursor.as_str().filter(|text| !text.is_empty()).unwrap_or(default);
        let http = self.at("httpGet");
        if http.exists() {
            return Some(Handler::Http {
                port: self.port(&http)?,
                scheme: text(http.at("scheme"), "HTTP"),
                host: text(http.at("host"), ""),
                path: text(http.at("path"), "/"),
                headers: http
                    .at("httpHeaders")
                    .items()
                    .map(|header| (text(header.at("name"), "").to_ascii_lowercase(), text(header.at("value"), "")))
                    .collect(),
            });
        }
        let tcp = self.at("tcpSocket");
        if tcp.exists() {
            return Some(Handler::Tcp { port: self.port(&tcp)?, host: text(tcp.at("host"), "") });
        }
        let grpc = self.at("grpc");
        if grpc.exists() {
            return Some(Handler::Grpc { port: self.port(&grpc)?, service: text(grpc.at("service"), "") });
        }
        let command = self.at("exec/command");
        command.exists().then(|| Handler::Exec { command: command.items().filter_map(|item| item.as_str()).collect() })
    }

    fn port(&self, handler: &Cursor<'a>) -> Option<Port<'a>> {
        let port = handler.at("port");
        if let Some(number) = port.as_i64() {
            return Some(Port::Number(number));
        }
        let name = port.as_str()?;
        let declared = self.container.at("ports").items().find(|port| port.at("name").as_str() == Some(name));
        Some(declared.and_then(|port| port.at("containerPort").as_i64()).map_or(Port::Name(name), Port::Number))
    }
}
