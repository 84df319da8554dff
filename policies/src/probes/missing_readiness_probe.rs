use plimsoll_sdk::last;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::services::{Reaching, Scraped, Targets, are_only_scraped, distinct, names_metrics};
use plimsoll_sdk::shell::always_succeeds;
use plimsoll_sdk::workload::{Handler, Port};

/// Containers that receive requests before they can answer.
///
/// ## What it finds
/// A container has no readinessProbe, and its workload is long-running (Deployment, StatefulSet, DaemonSet, ReplicaSet,
/// ReplicationController, Rollout and configured kinds). The severity depends on the Services that select its Pods:
///
/// - `error`: a Service sends it requests. Either the container declares the Service's `targetPort`, or one of its
///   probes uses that number. Or no container does (or the Service has no ports), and this is the Pod's only app
///   container.
/// - `warning`: a Service may send it requests. No container declares or probes the number of the `targetPort`, and
///   this is one of several app containers.
/// - `warning`: no Service targets it, but it declares a port. Then another container, such as a proxy, is likely to
///   forward requests to it, and the Pod is ready too early.
/// - `info`: no Service targets it and it declares no port (for example, it ships logs), or no Service selects the
///   Pods.
/// - `info`: a readinessProbe has a command that always succeeds, such as `true` or `sh -c "exit 0"`. It does not check
///   the program, so the container is ready as soon as it has started.
///
/// A native sidecar (an init container with `restartPolicy: Always`) needs a readinessProbe only if it declares a
/// Service's `targetPort`.
///
/// A port that serves only metrics gets no requests. These ports of a Service do not count:
///
/// - A port with `metrics`, `metric`, `prometheus`, `prom` or `monitoring` as a word of its name. The name is that of
///   the Service's port, of its `targetPort` or of the container's port.
/// - A port without a name, if the name of the Service ends in `-metrics`.
/// - A port that `prometheus.io/port` names, at the Service or at the Pods. If a Service has
///   `prometheus.io/scrape: "true"` and no such port, none of its ports count.
/// - A port that a ServiceMonitor or PodMonitor of the Prometheus operator names, by the port's name, its number or its
///   `targetPort`. The monitor must select the Service or the Pods, also from another namespace (`namespaceSelector`).
///
/// Ports 80 and 443, and Services of type `NodePort` or `LoadBalancer`, count even if an annotation or a monitor names
/// them. In the cluster a monitor counts once it exists. `helm` applies it after the Service and the workload.
///
/// A Service's port with a name such as `http` or `grpc` always counts, because many programs serve both on one port.
///
/// If only such Services select the Pods, there is no finding. Services with `publishNotReadyAddresses: true` include
/// Pods that are not ready, and do not count either.
///
/// The finding appears at the object that is applied last: the workload or the selector of the Service.
/// `plimsoll check` reports it once for a set.
///
/// If the Service is applied last, the policy looks at the first 16 workloads, by name, that it selects. It looks at
/// fewer if these are large, and assumes that the others are correct.
///
/// ## Why
/// Without a readinessProbe a container is ready as soon as its process has started. Each rollout and each restart then
/// sends requests to a program that does not listen yet. A rollout continues with a version that never answers.
///
/// ## What to write
/// A probe that succeeds once the container can serve:
///
/// ```yaml
/// readinessProbe:
///   httpGet: {path: /health/ready, port: 8080}
///   periodSeconds: 10
/// ```
///
/// `--fix=unsafe` writes a `tcpSocket` probe of the one TCP port that Services target. If there is none, it uses the
/// one port that the container declares. This is better than no probe, but it shows only that a program listens. The
/// fix writes no probe if the livenessProbe already checks the same, and never a livenessProbe.
///
/// ## Assumptions
/// If not all Services are known, and no known one counts, the policy assumes that some Service selects the Pods. If a
/// Service for metrics selects them, it assumes that no other one does. Findings are at most warnings then.
#[policy(
    on = LongRunning, kinds = ["/Service"], severity = Error, since = "0.1.0",
    refines = [LongRunning, Monitors, "/Service"],
    edits = ["{template}/spec/containers/*/readinessProbe", "{template}/spec/initContainers/*/readinessProbe"],
    default = Warn,
    reads = [Workloads, Services],
    covers = [
        "probe-readiness-missing",
        "probe-sidecar: the readiness of a sidecar that a Service targets; not a startupProbe for those that others wait for"
    ]
)]
pub fn missing_readiness_probe(review: &Review, findings: &mut Findings) {
    if last::workloads(review, findings, &[], missing_readiness_probe) {
        return;
    }
    for container in review.containers().iter().filter(|container| container.class().runs_on()) {
        always_ready(container, findings);
    }
    let services = review.services();
    if are_only_scraped(review) {
        if !services.complete {
            findings.assume("no other Service selects these Pods");
        }
        return;
    }
    let running: Vec<_> = review.containers().iter().filter(|container| container.class().runs_on()).collect();
    let scraped = Scraped::of(review);
    let targets = Targets::of(services.nodes(), &running, &scraped);
    let is_certain = !scraped.is_uncertain();
    if !is_certain {
        findings.assume("no further monitor reads the ports of these Pods");
    }
    let is_app = |container: &Container<'_>| container.class() == Class::App;
    let apps = running.iter().filter(|container| is_app(container)).count();
    let none_listens = !running.iter().any(|container| is_app(container) && listens(container));

    for container in running.iter().filter(|container| container.at("/readinessProbe").is_absent()) {
        let own = targets.of_container(container);
        let is_own = own.first.is_some();
        let reaching = if is_own || !is_app(container) { &own } else { targets.stray() };
        let (severity, why) = match reaching.first {
            Some(service) if (is_own || apps == 1) && is_certain => {
                (Severity::Error, format!(", so Service {service:?} sends it requests before it can answer"))
            }
            Some(service) => {
                (Severity::Warning, format!(", so Service {service:?} may send it requests before it can answer"))
            }
            None if !is_app(container) => continue,
            None if targets.is_empty() && services.complete => {
                (Severity::Info, "; no Service sends it requests".to_owned())
            }
            None if listens(container) || targets.is_empty() && none_listens => {
                (Severity::Warning, ", so the Pod is ready before the container can answer".to_owned())
            }
            None => (Severity::Info, "; no Service targets it".to_owned()),
        };
        if targets.is_empty() && !services.complete {
            findings.assume("some Service selects these Pods");
        }
        let finding = findings.report(
            severity,
            &container.at("/readinessProbe"),
            format!("{} has no readinessProbe{why}", container.describe()),
            HELP,
        );
        if let Some(service) = reaching.first {
            finding.related(format!("Service/{service}"));
        }
        let is_sure = severity == Severity::Error || severity == Severity::Warning && reaching.first.is_none();
        if let Some(fix) = tcp_probe(container, reaching).filter(|_| is_sure) {
            finding.fix(fix);
        }
    }
}

const HELP: &str =
    "add a readinessProbe that succeeds once the container can serve, such as an httpGet of /health/ready";

/// Reports a probe that succeeds whatever the program does.
fn always_ready(container: &Container<'_>, findings: &mut Findings) {
    let Some(Handler::Exec { command }) = container.probe("readinessProbe").and_then(|probe| probe.handler()) else {
        return;
    };
    if always_succeeds(&command) {
        let message = format!(
            "the readinessProbe of {} always succeeds: its command does not check the program",
            container.describe()
        );
        findings.info(&container.at("/readinessProbe/exec/command"), message, HELP);
    }
}

fn listens(container: &Container<'_>) -> bool {
    container.ports().any(|port| !names_metrics(port.name))
}

/// Proposes a probe of the one TCP port that Services target, or else of the one that the container declares.
fn tcp_probe(container: &Container<'_>, reaching: &Reaching<'_>) -> Option<Fix> {
    let declared = container.ports().filter(|port| port.protocol == "TCP" && !names_metrics(port.name));
    let port = match reaching.tcp.as_slice() {
        [] => match distinct(declared.map(|port| port.number)).as_slice() {
            [port] => *port,
            _ => return None,
        },
        [port] => *port,
        _ => return None,
    };
    let liveness = container.probe("livenessProbe").and_then(|probe| probe.handler());
    if liveness == Some(Handler::Tcp { port: Port::Number(port), host: "" }) {
        return None;
    }
    let probe = Value::object([
        ("tcpSocket", Value::object([("port", port.into())])),
        ("periodSeconds", 10.into()),
        ("failureThreshold", 3.into()),
    ]);
    let title = format!("Add a readinessProbe of TCP port {port} to {}", container.describe());
    Some(Fix::changing(title).add(&container.at("/readinessProbe"), probe))
}
