//! Validation that goes beyond the schema, by kind.
//!
//! Each file follows `pkg/apis/*/validation` of Kubernetes in the order of the fields of its kinds. Absent fields count
//! as their defaults. A value of a wrong type counts as absent, because the schema has told of it already.

mod admission;
mod autoscaling;
mod check;
mod claim;
mod cluster;
mod config;
mod container;
mod crd;
mod crd_pattern;
mod crd_schema;
mod crd_values;
mod endpoints;
mod env;
mod handler;
mod ingress;
mod job;
mod meta;
mod mount;
mod os;
mod overlap;
mod persistent;
mod placement;
mod pod;
mod pod_annotations;
mod pod_resources;
mod pod_warnings;
mod projected;
mod quota;
mod rare;
mod rbac;
mod resources;
mod security;
mod selector;
mod service;
#[cfg(test)]
mod tests;
mod vendor;
mod volume;
mod warnings;
mod workload;

use crate::formats::{Form, address, names};
use crate::{At, Faults, Rule};

/// Protocols of ports.
const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];

/// What the API server's validation says about an object of this kind.
pub(crate) fn probe(api_version: &str, kind: &str, at: &At<'_>, faults: &mut Faults) {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => pod::probe(at, faults),
        ("", "PodTemplate") => workload::pod_template(at, faults),
        ("", "ReplicationController") => workload::replication_controller(at, faults),
        ("", "Service") => service::probe(at, faults),
        ("", "Endpoints") => endpoints::endpoints(at, faults),
        ("", "ConfigMap") => config::config_map(at, faults),
        ("", "Secret") => config::secret(at, faults),
        ("", "PersistentVolumeClaim") => claim::probe(at, faults),
        ("", "PersistentVolume") => persistent::volume(at, faults),
        ("", "LimitRange") => quota::limit_range(at, faults),
        ("", "ResourceQuota") => quota::resource_quota(at, faults),
        ("", "Namespace") => cluster::namespace(at, faults),
        ("", "ServiceAccount") => {}
        ("apps", "Deployment") => workload::deployment(at, faults),
        ("apps", "ReplicaSet") => workload::replica_set(at, faults),
        ("apps", "DaemonSet") => workload::daemon_set(at, faults),
        ("apps", "StatefulSet") => workload::stateful_set(at, faults),
        ("batch", "Job") => job::job(at, faults),
        ("batch", "CronJob") => job::cron_job(at, faults),
        ("networking.k8s.io", "Ingress") => ingress::ingress(at, faults),
        ("networking.k8s.io", "IngressClass") => ingress::class(at, faults),
        ("networking.k8s.io", "NetworkPolicy") => ingress::network_policy(at, faults),
        ("autoscaling", "HorizontalPodAutoscaler") => {
            autoscaling::autoscaler(at, api_version == "autoscaling/v1", faults);
        }
        ("policy", "PodDisruptionBudget") => autoscaling::budget(at, faults),
        ("storage.k8s.io", "StorageClass") => persistent::storage_class(at, faults),
        ("rbac.authorization.k8s.io", "Role") => rbac::role(at, true, faults),
        ("rbac.authorization.k8s.io", "ClusterRole") => rbac::role(at, false, faults),
        ("rbac.authorization.k8s.io", "RoleBinding") => rbac::binding(at, true, faults),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding") => rbac::binding(at, false, faults),
        ("scheduling.k8s.io", "PriorityClass") => cluster::priority_class(at, faults),
        ("coordination.k8s.io", "Lease") => cluster::lease(at, faults),
        ("discovery.k8s.io", "EndpointSlice") => endpoints::slice(at, faults),
        ("node.k8s.io", "RuntimeClass") => cluster::runtime_class(at, faults),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => admission::webhooks(at, false, faults),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => admission::webhooks(at, true, faults),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::probe(at, faults),
        _ => {
            if !rare::probe(api_version, kind, at, faults) {
                meta::probe(at, &names::PATH_SEGMENT, false, faults);
            }
            return;
        }
    }
    let (form, core) = name(group, kind, faults);
    meta::probe(at, form, core, faults);
}

/// The form of an object's name, and whether its finalizers need a domain.
fn name(group: &str, kind: &str, faults: &Faults) -> (&'static Form, bool) {
    match (group, kind) {
        // Since 1.36 the name of a Service may begin with a digit.
        ("", "Service") if faults.since(36) => (&names::DNS_LABEL, true),
        ("", "Service") => (&names::DNS_1035_LABEL, true),
        ("", "Namespace") | ("apps", "StatefulSet") => (&names::DNS_LABEL, true),
        ("rbac.authorization.k8s.io", _) => (&names::PATH_SEGMENT, true),
        ("policy", _) => (&names::PATH_SEGMENT, false),
        ("node.k8s.io", _) => (&names::DNS_SUBDOMAIN, false),
        ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "coordination.k8s.io", _) => {
            (&names::DNS_SUBDOMAIN, false)
        }
        _ => (&names::DNS_SUBDOMAIN, true),
    }
}

/// An address in an old field: since 1.36 without leading zeros. Returns whether it is one.
fn ip(at: &At<'_>, name: &str, faults: &mut Faults) -> bool {
    let text = at.text();
    let strict = faults.since(36);
    let known = if strict { address::strict(text).is_some() } else { address::lenient(text).is_some() };
    if !known {
        let why = match address::lenient(text) {
            Some(_) => "must not have leading zeros, and must not be an IPv4 address in an IPv6 one",
            None => "must be an IP address",
        };
        let message = format!("`{}` in `{name}` {why}", check::shown(text));
        faults.error(Rule::InvalidFormat, at, message, "write an address such as `10.0.0.1` or `2001:db8::1`");
    }
    known
}

/// A range of addresses in an old field. Returns whether it is one.
fn cidr(at: &At<'_>, text: &str, faults: &mut Faults) -> bool {
    let strict = faults.since(36);
    let known = if strict { address::strict_range(text).is_some() } else { address::lenient_range(text).is_some() };
    if !known {
        let why = match address::lenient_range(text) {
            Some(_) => "must not have leading zeros, or bits behind the prefix",
            None => "must be a range of addresses",
        };
        let message = format!("`{}` {why}", check::shown(text));
        faults.error(Rule::InvalidFormat, at, message, "write a range such as `10.0.0.0/8` or `2001:db8::/32`");
    }
    known
}
