//! Services.

use super::check::{Field, Seen, duplicate, field, item, shown};
use super::{PROTOCOLS, cidr, ip, selector, warnings};
use crate::formats::{address, names};
use crate::{At, Faults, Rule};

/// Ports of nodes that an API server hands out by default.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30000..=32767;

const RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const MODE: &str = "service.kubernetes.io/topology-mode";

pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    let service = Service::new(object);
    let spec = &service.spec;
    field(spec, "type").one_of_or_empty(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"], faults);
    hints(object, faults);
    kind(&service, faults);
    ports(&service, faults);
    selector::labels(&spec.at("selector"), faults);
    affinity(spec, faults);
    addresses(&service, faults);
    external_addresses(spec, faults);
    load_balancer(object, &service, faults);
    traffic(&service, faults);
    warn(object, &service, faults);
}

struct Service<'a> {
    spec: At<'a>,
    kind: &'a str,
    /// Whether the Service has no address of its own: `clusterIP: None`.
    headless: bool,
}

impl<'a> Service<'a> {
    fn new(object: &At<'a>) -> Self {
        let spec = object.at("spec");
        let kind = Some(spec.at("type").text()).filter(|text| !text.is_empty()).unwrap_or("ClusterIP");
        let all = spec.at("clusterIPs");
        let headless = match all.count() {
            0 => spec.at("clusterIP").text() == "None",
            1 => all.item(0).is_some_and(|first| first.text() == "None"),
            _ => false,
        };
        Self { spec, kind, headless }
    }

    fn is_external(&self) -> bool {
        let addressed = self.kind == "ClusterIP" && self.spec.at("externalIPs").count() > 0;
        addressed || matches!(self.kind, "NodePort" | "LoadBalancer")
    }
}

fn hints(object: &At<'_>, faults: &mut Faults) {
    let annotations = object.at("metadata").at("annotations");
    if let (Some(hints), Some(mode)) = (annotations.entry(HINTS), annotations.entry(MODE))
        && hints.text() != mode.text()
    {
        let message = format!("the annotations `{MODE}` and `{HINTS}` differ");
        faults.error(Rule::DependentFields, &mode, message, format!("remove `{HINTS}`"));
    }
}

/// What each type of Service has.
fn kind(service: &Service<'_>, faults: &mut Faults) {
    let spec = &service.spec;
    match service.kind {
        "LoadBalancer" | "NodePort" if service.headless => {
            let why = format!("to `None` for a Service of type `{}`", service.kind);
            let one = field(spec, "clusterIP");
            let all = field(spec, "clusterIPs");
            if one.at.is_present() { one } else { all }.forbid(Rule::ExclusiveFields, &why, faults);
        }
        "ExternalName" => {
            let why = "for a Service of type `ExternalName`";
            for name in ["clusterIP", "clusterIPs", "ipFamilies"] {
                if !spec.at(name).is_zero() {
                    field(spec, name).forbid(Rule::ExclusiveFields, why, faults);
                }
            }
            field(spec, "ipFamilyPolicy").forbid(Rule::ExclusiveFields, why, faults);
            let name = field(spec, "externalName");
            let text = name.at.text().strip_suffix('.').unwrap_or(name.at.text());
            if text.is_empty() {
                name.missing("the DNS name that the Service stands for", faults);
            } else if !names::is_dns_subdomain(text) {
                let message =
                    format!("`{}` is not a valid DNS name: use {}", shown(text), names::DNS_SUBDOMAIN.allowed);
                faults.error(Rule::InvalidName, &name.at, message, "write a DNS name such as `db.example.com`");
            }
        }
        _ => {}
    }
    let ports = field(spec, "ports");
    if ports.at.count() == 0 && !service.headless && service.kind != "ExternalName" {
        ports.missing("a list of at least one port", faults);
    }
}

fn ports(service: &Service<'_>, faults: &mut Faults) {
    let ports = service.spec.at("ports");
    let many = ports.count() > 1;
    let mut names = Seen::default();
    let mut numbers: Vec<(&str, i64)> = Vec::new();
    let mut node_ports: Vec<(&str, i64)> = Vec::new();
    for port in ports.items() {
        let name = field(&port, "name");
        let text = name.at.text();
        if text.is_empty() && many {
            name.missing("a name, because the Service has several ports", faults);
        }
        name.form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
        if !text.is_empty() && !names.insert(text) {
            duplicate(&name.at, "the port", text, faults);
        }
        field(&port, "port").need_port(faults);
        field(&port, "protocol").one_of_or_empty(PROTOCOLS, faults);
        let target = port.at("targetPort");
        if !target.is_zero() {
            item(&target, "targetPort").need_port_or_name(faults);
        }
        field(&port, "appProtocol").form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
        let protocol = Some(port.at("protocol").text()).filter(|text| !text.is_empty()).unwrap_or("TCP");
        let node_port = port.at("nodePort");
        let number = node_port.int().unwrap_or(0);
        if number != 0 {
            self::node_port(service, item(&node_port, "nodePort"), number, faults);
            once(&node_port, &mut node_ports, (protocol, number), "the node port", faults);
        }
        let number = port.at("port").int().unwrap_or(0);
        once(&port, &mut numbers, (protocol, number), "the port", faults);
    }
}

/// Records a number that another port of the same protocol has too.
fn once<'a>(at: &At<'_>, seen: &mut Vec<(&'a str, i64)>, key: (&'a str, i64), what: &str, faults: &mut Faults) {
    if seen.contains(&key) {
        duplicate(at, what, &format!("{}/{}", key.1, key.0), faults);
    } else if seen.len() < 128 {
        seen.push(key);
    }
}

fn node_port(service: &Service<'_>, port: Field<'_>, number: i64, faults: &mut Faults) {
    if service.kind == "ClusterIP" {
        return port.forbid(Rule::ExclusiveFields, "for a Service of type `ClusterIP`", faults);
    }
    if !NODE_PORTS.contains(&number) {
        let message = format!("`nodePort` is {number}, but API servers only take 30000 to 32767 by default");
        faults.warning(Rule::OutOfRange, &port.at, message, "write a port from 30000 to 32767, or remove `nodePort`");
    }
}

fn affinity(spec: &At<'_>, faults: &mut Faults) {
    let affinity = field(spec, "sessionAffinity");
    affinity.one_of_or_empty(&["ClientIP", "None"], faults);
    if affinity.at.text() == "ClientIP" {
        let client = spec.path(&["sessionAffinityConfig", "clientIP"]);
        field(&client, "timeoutSeconds").range(1, 86_400, faults);
    }
}

/// The addresses of the Service in the cluster.
fn addresses(service: &Service<'_>, faults: &mut Faults) {
    let spec = &service.spec;
    if service.kind == "ExternalName" {
        return;
    }
    let (one, all) = (spec.at("clusterIP"), field(spec, "clusterIPs"));
    let first = all.at.item(0);
    if let Some(first) = first
        && first.text() != one.text()
    {
        let message =
            format!("the first of `clusterIPs` is `{}`, but must be equal to `clusterIP`", shown(first.text()));
        faults.error(Rule::DependentFields, &first, message, "write the same address in both, or remove `clusterIPs`");
    }
    all.at_most(all.at.count(), 2, "addresses", faults);
    if all.at.count() == 0 && !one.text().is_empty() && one.text() != "None" {
        ip(&one, "clusterIP", faults);
    }
    for (index, address) in all.at.items().enumerate() {
        if address.text() != "None" {
            ip(&address, "clusterIPs", faults);
        } else if index > 0 || all.at.count() > 1 {
            let message = "`None` excludes other addresses";
            faults.error(Rule::ExclusiveFields, &address, message, "leave `None` alone, or remove it");
        }
    }
    families(service, faults);
}

fn families(service: &Service<'_>, faults: &mut Faults) {
    let spec = &service.spec;
    let families = spec.at("ipFamilies");
    let mut seen = Seen::default();
    for family in families.items() {
        let text = item(&family, "ipFamilies").need_one_of(&["IPv4", "IPv6"], faults);
        if !text.is_empty() && !seen.insert(text) {
            duplicate(&family, "the family", text, faults);
        }
    }
    let policy = field(spec, "ipFamilyPolicy");
    policy.one_of(&["SingleStack", "PreferDualStack", "RequireDualStack"], faults);
    let all = spec.at("clusterIPs");
    let versions = [all.item(0), all.item(1)].map(|at| at.and_then(|at| address::lenient(at.text())));
    if let [Some(one), Some(two)] = versions
        && one.is_ipv4() == two.is_ipv4()
    {
        let message = "`clusterIPs` has two addresses of one family";
        faults.error(Rule::DependentFields, &all, message, "leave one address of each family");
    }
    let wanted = families.items().zip(all.items()).filter(|_| !service.headless);
    for (family, address) in wanted {
        let read = address::lenient(address.text());
        let fits = read.is_none_or(|read| (family.text() == "IPv4") == read.is_ipv4());
        if !fits && matches!(family.text(), "IPv4" | "IPv6") {
            let message = format!("`{}` is not an address of the family `{}`", shown(address.text()), family.text());
            faults.error(Rule::DependentFields, &address, message, "change `ipFamilies` or the address");
        }
    }
    // Without a policy a Service has one family, unless it is headless and selects nothing.
    let single = policy.at.text() == "SingleStack"
        || (policy.at.is_absent() && !(service.headless && spec.at("selector").count() == 0));
    if single && (families.count() == 2 || all.count() == 2) {
        let message = "two families or addresses need `ipFamilyPolicy: PreferDualStack` or `RequireDualStack`";
        faults.error(Rule::DependentFields, &policy.at, message, "write `ipFamilyPolicy: PreferDualStack`");
    }
}

fn external_addresses(spec: &At<'_>, faults: &mut Faults) {
    for address in spec.at("externalIPs").items() {
        if ip(&address, "externalIPs", faults) {
            super::endpoints::not_special(&address, faults);
        }
    }
}

fn load_balancer(object: &At<'_>, service: &Service<'_>, faults: &mut Faults) {
    let spec = &service.spec;
    let balanced = service.kind == "LoadBalancer";
    let why = "unless `type` is `LoadBalancer`";
    let ranges = field(spec, "loadBalancerSourceRanges");
    let annotation = object.at("metadata").at("annotations").entry(RANGES);
    if ranges.at.count() > 0 {
        if !balanced {
            ranges.forbid(Rule::ExclusiveFields, why, faults);
        }
        for range in ranges.at.items() {
            cidr(&range, range.text().trim(), faults);
        }
    } else if let Some(annotation) = annotation {
        if !balanced {
            item(&annotation, RANGES).forbid(Rule::ExclusiveFields, why, faults);
        }
        let text = annotation.text().trim();
        for range in text.split(',').filter(|_| !text.is_empty()) {
            cidr(&annotation, range.trim(), faults);
        }
    }
    if balanced {
        field(spec, "loadBalancerClass").form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
    } else {
        field(spec, "allocateLoadBalancerNodePorts").forbid(Rule::ExclusiveFields, why, faults);
        field(spec, "loadBalancerClass").forbid(Rule::ExclusiveFields, why, faults);
    }
}

fn traffic(service: &Service<'_>, faults: &mut Faults) {
    let spec = &service.spec;
    let external = field(spec, "externalTrafficPolicy");
    if service.is_external() {
        external.one_of_or_empty(&["Cluster", "Local"], faults);
    } else if !external.at.text().is_empty() {
        let why = "for a Service that is not reachable from outside (`NodePort`, `LoadBalancer` or `externalIPs`)";
        external.forbid(Rule::ExclusiveFields, why, faults);
    }
    let check = field(spec, "healthCheckNodePort");
    if check.at.int().unwrap_or(0) != 0 {
        if service.kind == "LoadBalancer" && external.at.text() == "Local" {
            check.port(faults);
        } else {
            let why = "unless `type` is `LoadBalancer` and `externalTrafficPolicy` is `Local`";
            check.forbid(Rule::ExclusiveFields, why, faults);
        }
    }
    field(spec, "internalTrafficPolicy").one_of(&["Cluster", "Local"], faults);
    let distributions: &[&str] =
        if faults.since(34) { &["PreferClose", "PreferSameZone", "PreferSameNode"] } else { &["PreferClose"] };
    field(spec, "trafficDistribution").one_of(distributions, faults);
}

fn warn(object: &At<'_>, service: &Service<'_>, faults: &mut Faults) {
    let spec = &service.spec;
    if let Some(at) = object.at("metadata").at("annotations").entry(HINTS) {
        let message = format!("the annotation `{HINTS}` is deprecated");
        faults.warning(Rule::ServerWarning, &at, message, format!("write the annotation `{MODE}`"));
    }
    let external = spec.at("externalIPs");
    let headless = service.kind == "ClusterIP" && spec.at("clusterIP").text() == "None";
    if headless {
        for name in ["loadBalancerIP", "externalIPs"] {
            ignored(&spec.at(name), name, "in a headless Service", faults);
        }
        if spec.at("sessionAffinity").text() == "ClientIP" {
            ignored(&spec.at("sessionAffinity"), "sessionAffinity", "in a headless Service", faults);
        }
    } else {
        warnings::ip(&spec.at("clusterIP"), faults);
    }
    for address in external.items() {
        warnings::ip(&address, faults);
    }
    if external.count() > 0 && !headless && service.kind != "ExternalName" && faults.since(36) {
        let message = "`externalIPs` is deprecated, and may do nothing in some clusters";
        faults.warning(Rule::ServerWarning, &external, message, "use a Service of type `LoadBalancer`, or a Gateway");
    }
    warnings::ip(&spec.at("loadBalancerIP"), faults);
    for range in spec.at("loadBalancerSourceRanges").items() {
        warnings::range(&range, faults);
    }
    if service.kind == "ExternalName" {
        ignored(&external, "externalIPs", "with `type: ExternalName`", faults);
    } else {
        ignored(&spec.at("externalName"), "externalName", "unless `type` is `ExternalName`", faults);
    }
    let distribution = spec.at("trafficDistribution");
    if distribution.text() == "PreferClose" && faults.since(35) {
        let message = "`PreferClose` is deprecated";
        faults.warning(Rule::ServerWarning, &distribution, message, "write `PreferSameZone`");
    }
}

fn ignored(at: &At<'_>, name: &str, when: &str, faults: &mut Faults) {
    if !at.is_zero() {
        let message = format!("`{name}` does nothing {when}");
        faults.warning(Rule::ServerWarning, at, message, format!("remove `{name}`"));
    }
}
