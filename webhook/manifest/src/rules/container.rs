//! Containers and init containers.

use super::check::{Seen, duplicate, field, shown};
use super::pod::Pod;
use super::resources::Owner;
use super::volume::Volumes;
use super::{env, handler, mount, resources, security};
use crate::formats::names;
use crate::{At, Faults, Rule};

const POLICIES: &[&str] = &["Always", "Never", "OnFailure"];

/// What containers refer to in their Pod.
pub(super) struct Context<'a, 'v> {
    pub(super) pod: &'v Pod<'a>,
    pub(super) volumes: &'v Volumes<'a>,
    pub(super) claims: &'v Seen<'a>,
}

/// All containers of a Pod.
pub(super) fn all(context: &Context<'_, '_>, faults: &mut Faults) {
    let spec = &context.pod.spec;
    let containers = field(spec, "containers");
    if containers.at.count() == 0 {
        containers.missing("a list of at least one container", faults);
    }
    let mut names = Seen::default();
    let mut host_ports = Vec::new();
    let grace = context.pod.grace();
    for container in containers.at.items() {
        common(context, &container, faults);
        unique_name(&container, &mut names, faults);
        handler::lifecycle(&container, grace, faults);
        handler::probes(&container, faults);
        restart(&container, faults);
        collect_host_ports(context, &container, &mut host_ports);
    }
    unique_host_ports(&host_ports, faults);
    for container in spec.at("initContainers").items() {
        common(context, &container, faults);
        unique_name(&container, &mut names, faults);
        init(&container, grace, faults);
        let mut own = Vec::new();
        collect_host_ports(context, &container, &mut own);
        unique_host_ports(&own, faults);
    }
    let ephemeral = field(spec, "ephemeralContainers");
    if ephemeral.at.count() > 0 {
        ephemeral.forbid(Rule::InvalidValue, "on creation: ephemeral containers are added to running Pods", faults);
    }
}

fn unique_name<'a>(container: &At<'a>, seen: &mut Seen<'a>, faults: &mut Faults) {
    let name = field(container, "name");
    if let Some(text) = name.need_form(&names::DNS_LABEL, Rule::InvalidName, faults)
        && !seen.insert(text)
    {
        duplicate(&name.at, "the container", text, faults);
    }
}

fn common(context: &Context<'_, '_>, container: &At<'_>, faults: &mut Faults) {
    let image = field(container, "image");
    if let Some(text) = image.need("the reference of an image", faults)
        && context.pod.is_pod
        && text.trim() != text
    {
        faults.error(
            Rule::InvalidFormat,
            &image.at,
            "`image` begins or ends with a space",
            "remove the spaces at both ends",
        );
    }
    field(container, "terminationMessagePolicy").one_of_or_empty(&["File", "FallbackToLogsOnError"], faults);
    field(container, "imagePullPolicy").one_of_or_empty(&["Always", "IfNotPresent", "Never"], faults);
    ports(context, container, faults);
    env::probe(container, faults);
    file_volumes(context, container, faults);
    mount::probe(container, context.volumes, faults);
    resources::probe(&container.at("resources"), Owner::Container, Some(context.claims), faults);
    resize(context, container, faults);
    security::container(&container.at("securityContext"), context.pod.host_users(faults), faults);
}

fn ports(context: &Context<'_, '_>, container: &At<'_>, faults: &mut Faults) {
    let mut seen = Seen::default();
    let host_network = context.pod.spec.at("hostNetwork").is_true();
    for port in container.at("ports").items() {
        let name = field(&port, "name");
        let text = name.at.text();
        name.form_or_empty(&names::PORT_NAME, Rule::InvalidName, faults);
        if !text.is_empty() && !seen.insert(text) {
            duplicate(&name.at, "the port", text, faults);
        }
        field(&port, "containerPort").need_port(faults);
        field(&port, "protocol").one_of_or_empty(super::PROTOCOLS, faults);
        let host = field(&port, "hostPort");
        let number = host.at.int().unwrap_or(0);
        if number == 0 {
            continue;
        }
        host.port(faults);
        if host_network && Some(number) != port.at("containerPort").int() {
            let message =
                format!("`hostPort` is {number}, but must be equal to `containerPort` with `hostNetwork: true`");
            faults.error(Rule::DependentFields, &host.at, message, "remove `hostPort`");
        }
    }
}

/// A port of the node: number, protocol, address, and where it is written.
type HostPort<'a> = (i64, &'a str, &'a str, At<'a>);

fn collect_host_ports<'a>(context: &Context<'_, '_>, container: &At<'a>, list: &mut Vec<HostPort<'a>>) {
    // In a Pod every port of a container in the node's network is one of the node.
    let all = context.pod.is_pod && context.pod.spec.at("hostNetwork").is_true();
    for port in container.at("ports").items() {
        let host = port.at("hostPort");
        let number = match host.int().unwrap_or(0) {
            0 if all => port.at("containerPort").int().unwrap_or(0),
            number => number,
        };
        if number != 0 {
            let protocol = Some(port.at("protocol").text()).filter(|text| !text.is_empty()).unwrap_or("TCP");
            list.push((number, protocol, port.at("hostIP").text(), if host.is_present() { host } else { port }));
        }
    }
}

fn unique_host_ports(list: &[HostPort<'_>], faults: &mut Faults) {
    if list.len() < 2 {
        return;
    }
    let mut order: Vec<usize> = (0..list.len()).collect();
    let key = |index: &usize| list.get(*index).map(|(number, protocol, address, _)| (*number, *protocol, *address));
    order.sort_by_key(key);
    for pair in order.windows(2) {
        if let [one, two] = pair
            && key(one) == key(two)
            && let Some((number, protocol, _, at)) = list.get(*two)
        {
            duplicate(at, "the port of the node", &format!("{number}/{protocol}"), faults);
        }
    }
}

/// Variables from files need a volume `emptyDir`.
fn file_volumes(context: &Context<'_, '_>, container: &At<'_>, faults: &mut Faults) {
    if !faults.since(35) {
        return;
    }
    for variable in container.at("env").items() {
        let name = variable.path(&["valueFrom", "fileKeyRef", "volumeName"]);
        let text = name.text();
        if text.is_empty() {
            continue;
        }
        match context.volumes.find(text) {
            None => mount::unknown(&name, text, context.volumes, faults),
            Some(known) if !known.is_empty_dir() => {
                let message = format!("the volume `{}` of a variable must be an `emptyDir`", shown(text));
                faults.error(Rule::DependentFields, &name, message, "use a volume `emptyDir`");
            }
            Some(_) => {}
        }
    }
}

fn resize(context: &Context<'_, '_>, container: &At<'_>, faults: &mut Faults) {
    // Before 1.33 the field was removed.
    if !faults.since(33) {
        return;
    }
    let never = context.pod.restart() == "Never";
    let mut seen = Seen::default();
    for policy in container.at("resizePolicy").items() {
        let resource = field(&policy, "resourceName").need_one_of(&["cpu", "memory"], faults);
        if !seen.insert(resource) {
            duplicate(&policy, "the resource", resource, faults);
        }
        let restart = field(&policy, "restartPolicy");
        let text = restart.need_one_of(&["NotRequired", "RestartContainer"], faults);
        if never && text == "RestartContainer" {
            let message =
                "`restartPolicy` of a resize must be `NotRequired`, because the Pod's `restartPolicy` is `Never`";
            faults.error(Rule::DependentFields, &restart.at, message, "write `restartPolicy: NotRequired`");
        }
    }
}

/// The restart policy of a container and its rules.
fn restart(container: &At<'_>, faults: &mut Faults) {
    let policy = field(container, "restartPolicy");
    match faults.version.minor {
        ..34 => policy.forbid(Rule::InvalidValue, "for a container that is no init container", faults),
        34 => {}
        _ => {
            policy.one_of(POLICIES, faults);
            rules(container, faults);
        }
    }
}

fn rules(container: &At<'_>, faults: &mut Faults) {
    let list = field(container, "restartPolicyRules");
    let count = list.at.count();
    if count > 0 && container.at("restartPolicy").is_absent() {
        field(container, "restartPolicy")
            .missing("one of `Always`, `Never`, `OnFailure`, with `restartPolicyRules`", faults);
    }
    list.at_most(count, 20, "rules", faults);
    let actions: &[&str] = if faults.since(36) { &["Restart", "RestartAllContainers"] } else { &["Restart"] };
    for rule in list.at.items() {
        field(&rule, "action").need_one_of(actions, faults);
        if let Some(codes) = field(&rule, "exitCodes").need_value("an operator and exit codes", faults) {
            field(&codes, "operator").need_one_of(&["In", "NotIn"], faults);
            let values = field(&codes, "values");
            values.at_most(values.at.count(), 255, "values", faults);
        }
    }
}

/// What init containers have beside what all have.
fn init(container: &At<'_>, grace: i64, faults: &mut Faults) {
    let policy = field(container, "restartPolicy");
    let sidecar = policy.at.text() == "Always";
    match faults.version.minor {
        ..34 => policy.one_of(&["Always"], faults),
        34 => {}
        _ => {
            policy.one_of(POLICIES, faults);
            if sidecar && !faults.since(36) {
                let list = field(container, "restartPolicyRules");
                if list.at.count() > 0 {
                    list.forbid(Rule::ExclusiveFields, "with `restartPolicy: Always`", faults);
                }
            } else {
                rules(container, faults);
            }
        }
    }
    if sidecar {
        handler::lifecycle(container, grace, faults);
        handler::probes(container, faults);
        return;
    }
    let why = "for an init container without `restartPolicy: Always`";
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        field(container, name).forbid(Rule::ExclusiveFields, why, faults);
    }
    let lifecycle = container.at("lifecycle");
    // A stop signal alone is removed.
    let signal_alone = lifecycle.at("stopSignal").is_present()
        && lifecycle.at("postStart").is_absent()
        && lifecycle.at("preStop").is_absent();
    if !signal_alone {
        field(container, "lifecycle").forbid(Rule::ExclusiveFields, why, faults);
    }
    if faults.since(36) {
        for policy in container.at("resizePolicy").items() {
            let restart = policy.at("restartPolicy");
            if restart.text() == "RestartContainer" {
                let message = format!("`restartPolicy` of a resize must not be `RestartContainer` {why}");
                faults.error(Rule::ExclusiveFields, &restart, message, "write `restartPolicy: NotRequired`");
            }
        }
    }
}
