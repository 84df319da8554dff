//! The Pod, and the template of a Pod: field by field.

use super::check::{Seen, duplicate, field, item, shown};
use super::container::{self, Context};
use super::volume::{self, Known, Volumes};
use super::{
    meta, os, placement, pod_annotations, pod_resources, pod_warnings, resources, security, selector, warnings,
};
use crate::formats::names;
use crate::{At, Faults, Rule};

/// A Pod or a template of Pods.
pub(super) struct Pod<'a> {
    /// The object that has `metadata` and `spec`.
    pub(super) object: At<'a>,
    pub(super) spec: At<'a>,
    /// Whether this is a Pod itself, and no template.
    pub(super) is_pod: bool,
    /// The templates of claims of a StatefulSet.
    pub(super) claims: Option<At<'a>>,
}

impl Pod<'_> {
    /// The grace period when the Pod ends, in seconds.
    pub(super) fn grace(&self) -> i64 {
        let seconds = self.spec.at("terminationGracePeriodSeconds").int().unwrap_or(30);
        // A negative period of a Pod counts as 1.
        if self.is_pod && seconds < 0 { 1 } else { seconds }
    }

    pub(super) fn restart(&self) -> &str {
        Some(self.spec.at("restartPolicy").text()).filter(|text| !text.is_empty()).unwrap_or("Always")
    }

    /// Whether the users of the containers are those of the node.
    pub(super) fn host_users(&self, faults: &Faults) -> bool {
        // Before 1.33 the field was removed.
        !faults.since(33) || self.spec.at("hostUsers").bool() != Some(false)
    }
}

/// The kind Pod.
pub(super) fn probe(object: &At<'_>, faults: &mut Faults) {
    let pod = Pod { object: *object, spec: object.at("spec"), is_pod: true, claims: None };
    check(&pod, faults);
    warnings::name_of_host(object, faults);
    let gates = pod.spec.at("schedulingGates");
    if gates.count() > 0 && !pod.spec.at("nodeName").text().is_empty() {
        field(&pod.spec, "nodeName").forbid(Rule::ExclusiveFields, "as long as the Pod has `schedulingGates`", faults);
    }
    if pod.spec.at("overhead").count() > 0 && pod.spec.at("runtimeClassName").is_absent() {
        field(&pod.spec, "overhead").forbid(Rule::DependentFields, "without `runtimeClassName`", faults);
    }
    // Until 1.36 a negative period counted as 1.
    if faults.since(37) {
        field(&pod.spec, "terminationGracePeriodSeconds").least(0, faults);
    }
}

/// A template of Pods. `claims` are the templates of claims of a StatefulSet.
pub(super) fn template(template: &At<'_>, claims: Option<At<'_>>, faults: &mut Faults) {
    meta::template(&template.at("metadata"), faults);
    check(&Pod { object: *template, spec: template.at("spec"), is_pod: false, claims }, faults);
}

fn check(pod: &Pod<'_>, faults: &mut Faults) {
    let spec = &pod.spec;
    let mut volumes = Volumes::default();
    for claim in pod.claims.iter().flat_map(At::items) {
        volumes.add(claim.at("metadata").at("name").text(), Known::Claim);
    }
    let name = if pod.is_pod { pod.object.at("metadata").at("name").text() } else { "" };
    volume::probe(&spec.at("volumes"), &mut volumes, name, faults);
    let claims = claims(&spec.at("resourceClaims"), faults);
    container::all(&Context { pod, volumes: &volumes, claims: &claims }, faults);
    pod_resources::probe(pod, faults);
    scalars(spec, faults);
    selector::labels(&spec.at("nodeSelector"), faults);
    security::pod(spec, faults);
    let labels = pod.object.at("metadata").at("labels");
    let labels = pod.is_pod.then_some(&labels);
    placement::affinity(&spec.at("affinity"), labels, faults);
    placement::spread(&spec.at("topologySpreadConstraints"), labels, faults);
    placement::tolerations(&spec.at("tolerations"), faults);
    dns(spec, faults);
    for gate in spec.at("readinessGates").items() {
        let kind = field(&gate, "conditionType");
        kind.need_form(&names::QUALIFIED_NAME, Rule::InvalidName, faults);
    }
    scheduling_gates(&spec.at("schedulingGates"), faults);
    host_aliases(&spec.at("hostAliases"), faults);
    names_of_host(pod, faults);
    resources::limits_only(&spec.at("overhead"), faults);
    os::probe(pod, faults);
    pod_annotations::probe(pod, faults);
    pod_warnings::probe(pod, faults);
}

/// Fields that are one text or number.
fn scalars(spec: &At<'_>, faults: &mut Faults) {
    field(spec, "restartPolicy").one_of_or_empty(&["Always", "OnFailure", "Never"], faults);
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    field(spec, "dnsPolicy").one_of_or_empty(&policies, faults);
    field(spec, "preemptionPolicy").one_of(&["PreemptLowerPriority", "Never"], faults);
    for name in ["serviceAccountName", "nodeName", "priorityClassName"] {
        field(spec, name).form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    }
    if spec.at("serviceAccountName").text().is_empty() {
        field(spec, "serviceAccount").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    }
    field(spec, "runtimeClassName").form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
    field(spec, "activeDeadlineSeconds").range(1, i64::from(i32::MAX), faults);
}

fn names_of_host(pod: &Pod<'_>, faults: &mut Faults) {
    let spec = &pod.spec;
    // The Pods of a StatefulSet get both names from it.
    if pod.claims.is_none() {
        field(spec, "hostname").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
        field(spec, "subdomain").form_or_empty(&names::DNS_LABEL, Rule::InvalidName, faults);
    }
    let name = field(spec, "hostnameOverride");
    // Before 1.35 the field was removed.
    if name.at.is_absent() || !faults.since(35) {
        return;
    }
    for other in ["setHostnameAsFQDN", "hostNetwork"] {
        if spec.at(other).is_true() {
            name.forbid(Rule::ExclusiveFields, &format!("with `{other}: true`"), faults);
        }
    }
    name.at_most(name.at.text().len(), 64, "characters", faults);
    name.form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
}

fn claims<'a>(claims: &At<'a>, faults: &mut Faults) -> Seen<'a> {
    let mut seen = Seen::default();
    // Before 1.34 the field was removed.
    if !faults.since(34) {
        return seen;
    }
    for claim in claims.items() {
        let name = field(&claim, "name");
        if let Some(text) = name.need_form(&names::DNS_LABEL, Rule::InvalidName, faults)
            && !seen.insert(text)
        {
            duplicate(&name.at, "the claim", text, faults);
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        if super::check::exclusive(&claim, &sources, "a claim", faults) == 0 {
            super::check::need_one(&claim, &sources, "a claim", faults);
        }
        for source in sources {
            field(&claim, source).form(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
        }
    }
    seen
}

fn dns(spec: &At<'_>, faults: &mut Faults) {
    let config = field(spec, "dnsConfig");
    let servers = field(&config.at, "nameservers");
    if spec.at("dnsPolicy").text() == "None" && servers.at.count() == 0 {
        servers.missing("at least one name server, because `dnsPolicy` is `None`", faults);
    }
    servers.at_most(servers.at.count(), 3, "name servers", faults);
    for server in servers.at.items() {
        super::ip(&server, "nameservers", faults);
    }
    let searches = field(&config.at, "searches");
    searches.at_most(searches.at.count(), 32, "search domains", faults);
    let mut length = searches.at.count().saturating_sub(1);
    for search in searches.at.items() {
        let text = search.text();
        length += text.len();
        // Since 1.33 `_` and `.` alone are allowed.
        let form = if faults.since(33) { &names::DNS_SUBDOMAIN_UNDERSCORE } else { &names::DNS_SUBDOMAIN };
        let rest = text.strip_suffix('.').unwrap_or(text);
        let is_root = text == "." && faults.since(33);
        if !is_root && !(form.holds)(rest) {
            let message = format!("`{}` is not a valid search domain: use {}", shown(text), form.allowed);
            faults.error(Rule::InvalidName, &search, message, "write a domain such as `svc.cluster.local`");
        }
    }
    searches.at_most(length, 2048, "characters", faults);
    for option in config.at.at("options").items() {
        field(&option, "name").need("the name of an option, such as `ndots`", faults);
    }
}

fn scheduling_gates(gates: &At<'_>, faults: &mut Faults) {
    let mut seen = Seen::default();
    for gate in gates.items() {
        let name = field(&gate, "name");
        if let Some(text) = name.need_form(&names::QUALIFIED_NAME, Rule::InvalidName, faults)
            && !seen.insert(text)
        {
            duplicate(&name.at, "the scheduling gate", text, faults);
        }
    }
}

fn host_aliases(aliases: &At<'_>, faults: &mut Faults) {
    for alias in aliases.items() {
        let ip = field(&alias, "ip");
        if ip.need("an IP address", faults).is_some() {
            super::ip(&ip.at, "ip", faults);
        }
        for name in alias.at("hostnames").items() {
            if name.text().is_empty() {
                item(&name, "hostnames").missing("the name of a host", faults);
            }
            item(&name, "hostnames").form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
        }
    }
}
