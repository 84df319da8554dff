//! Which kinds an API server serves, and in which group and version.

use std::cmp::Reverse;

use crate::Version;
use crate::fault::{Edit, Faults, Rule};
use crate::place::At;
use crate::schema;
use crate::table::Kind;

/// What the table says about the apiVersion and the kind of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    /// The fields of the object, and the apiVersion by which the further rules judge it.
    As(Kind),
    /// A list of objects: kubectl sends the items one by one.
    List,
    /// A group that Kubernetes does not have.
    Custom,
    /// Refused, and nothing more is known.
    Refused,
}

/// A group and version that was served by older versions of Kubernetes than the table describes.
struct Removed {
    group: &'static str,
    version: &'static str,
    kinds: &'static [&'static str],
    /// The minor version that does not serve it any more.
    since: u16,
    successor: &'static str,
    /// Whether the successor reads the same fields in the same way.
    same: bool,
}

const fn removed(
    group: &'static str,
    version: &'static str,
    kinds: &'static [&'static str],
    since: u16,
    successor: &'static str,
    same: bool,
) -> Removed {
    Removed { group, version, kinds, since, successor, same }
}

static REMOVED: &[Removed] = &[
    removed("extensions", "v1beta1", &["DaemonSet", "Deployment", "ReplicaSet"], 16, "apps/v1", true),
    removed("extensions", "v1beta1", &["NetworkPolicy"], 16, "networking.k8s.io/v1", true),
    removed("extensions", "v1beta1", &["Ingress"], 22, "networking.k8s.io/v1", false),
    removed("extensions", "v1beta1", &["PodSecurityPolicy"], 16, "", false),
    removed("apps", "v1beta1", &["Deployment", "StatefulSet", "ControllerRevision"], 16, "apps/v1", true),
    removed(
        "apps",
        "v1beta2",
        &["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet", "ControllerRevision"],
        16,
        "apps/v1",
        true,
    ),
    removed("networking.k8s.io", "v1beta1", &["Ingress"], 22, "networking.k8s.io/v1", false),
    removed("networking.k8s.io", "v1beta1", &["IngressClass"], 22, "networking.k8s.io/v1", true),
    removed("rbac.authorization.k8s.io", "v1alpha1", RBAC, 22, "rbac.authorization.k8s.io/v1", true),
    removed("rbac.authorization.k8s.io", "v1beta1", RBAC, 22, "rbac.authorization.k8s.io/v1", true),
    removed("scheduling.k8s.io", "v1alpha1", &["PriorityClass"], 22, "scheduling.k8s.io/v1", true),
    removed("scheduling.k8s.io", "v1beta1", &["PriorityClass"], 22, "scheduling.k8s.io/v1", true),
    removed(
        "admissionregistration.k8s.io",
        "v1beta1",
        &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"],
        22,
        "admissionregistration.k8s.io/v1",
        false,
    ),
    removed("apiextensions.k8s.io", "v1beta1", &["CustomResourceDefinition"], 22, "apiextensions.k8s.io/v1", false),
    removed("apiregistration.k8s.io", "v1beta1", &["APIService"], 22, "apiregistration.k8s.io/v1", true),
    removed("authentication.k8s.io", "v1beta1", &["TokenReview"], 22, "authentication.k8s.io/v1", true),
    removed(
        "authorization.k8s.io",
        "v1beta1",
        &["LocalSubjectAccessReview", "SelfSubjectAccessReview", "SubjectAccessReview", "SelfSubjectRulesReview"],
        22,
        "authorization.k8s.io/v1",
        false,
    ),
    removed("certificates.k8s.io", "v1beta1", &["CertificateSigningRequest"], 22, "certificates.k8s.io/v1", false),
    removed("coordination.k8s.io", "v1beta1", &["Lease"], 22, "coordination.k8s.io/v1", true),
    removed(
        "storage.k8s.io",
        "v1beta1",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"],
        22,
        "storage.k8s.io/v1",
        true,
    ),
    removed("storage.k8s.io", "v1alpha1", &["VolumeAttachment"], 24, "storage.k8s.io/v1", true),
    removed("storage.k8s.io", "v1alpha1", &["CSIStorageCapacity"], 24, "storage.k8s.io/v1", true),
    removed("storage.k8s.io", "v1beta1", &["CSIStorageCapacity"], 27, "storage.k8s.io/v1", true),
    removed("batch", "v2alpha1", &["CronJob"], 21, "batch/v1", true),
    removed("batch", "v1beta1", &["CronJob"], 25, "batch/v1", true),
    removed("discovery.k8s.io", "v1beta1", &["EndpointSlice"], 25, "discovery.k8s.io/v1", false),
    removed("events.k8s.io", "v1beta1", &["Event"], 25, "events.k8s.io/v1", false),
    removed("autoscaling", "v2beta1", &["HorizontalPodAutoscaler"], 25, "autoscaling/v2", false),
    removed("autoscaling", "v2beta2", &["HorizontalPodAutoscaler"], 26, "autoscaling/v2", true),
    removed("policy", "v1beta1", &["PodDisruptionBudget"], 25, "policy/v1", true),
    removed("policy", "v1beta1", &["PodSecurityPolicy"], 25, "", false),
    removed("node.k8s.io", "v1alpha1", &["RuntimeClass"], 22, "node.k8s.io/v1", false),
    removed("node.k8s.io", "v1beta1", &["RuntimeClass"], 25, "node.k8s.io/v1", true),
    removed("flowcontrol.apiserver.k8s.io", "v1alpha1", FLOW, 21, "flowcontrol.apiserver.k8s.io/v1", false),
    removed("flowcontrol.apiserver.k8s.io", "v1beta1", FLOW, 26, "flowcontrol.apiserver.k8s.io/v1", false),
    removed("flowcontrol.apiserver.k8s.io", "v1beta2", FLOW, 29, "flowcontrol.apiserver.k8s.io/v1", false),
    removed("flowcontrol.apiserver.k8s.io", "v1beta3", FLOW, 32, "flowcontrol.apiserver.k8s.io/v1", true),
    removed("settings.k8s.io", "v1alpha1", &["PodPreset"], 20, "", false),
    removed("auditregistration.k8s.io", "v1alpha1", &["AuditSink"], 19, "", false),
];

const RBAC: &[&str] = &["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
const FLOW: &[&str] = &["FlowSchema", "PriorityLevelConfiguration"];

/// What is deprecated although it is served: group, version, kind (any if empty), since, successor.
static DEPRECATED: &[(&str, &str, &str, u16, &str)] = &[
    ("", "v1", "Endpoints", 33, "discovery.k8s.io/v1 EndpointSlice"),
    ("admissionregistration.k8s.io", "v1alpha1", "", 35, "admissionregistration.k8s.io/v1beta1"),
    ("admissionregistration.k8s.io", "v1beta1", "ValidatingAdmissionPolicy", 31, "admissionregistration.k8s.io/v1"),
    (
        "admissionregistration.k8s.io",
        "v1beta1",
        "ValidatingAdmissionPolicyBinding",
        31,
        "admissionregistration.k8s.io/v1",
    ),
    ("admissionregistration.k8s.io", "v1beta1", "", 37, "admissionregistration.k8s.io/v1"),
    ("certificates.k8s.io", "v1alpha1", "ClusterTrustBundle", 34, "certificates.k8s.io/v1beta1"),
    ("certificates.k8s.io", "v1beta1", "", 37, "certificates.k8s.io/v1"),
    ("coordination.k8s.io", "v1alpha2", "", 35, "coordination.k8s.io/v1beta1"),
    ("networking.k8s.io", "v1beta1", "", 34, "networking.k8s.io/v1"),
    ("resource.k8s.io", "v1alpha3", "DeviceTaintRule", 36, "a newer version of the group"),
    ("resource.k8s.io", "v1beta1", "", 35, "resource.k8s.io/v1"),
    ("resource.k8s.io", "v1beta2", "", 36, "resource.k8s.io/v1"),
    ("storage.k8s.io", "v1alpha1", "", 32, "storage.k8s.io/v1"),
    ("storage.k8s.io", "v1beta1", "", 34, "storage.k8s.io/v1"),
    ("storagemigration.k8s.io", "v1beta1", "", 37, "storagemigration.k8s.io/v1"),
];

/// Looks the object's apiVersion and kind up, and records what the API server says about them.
pub(crate) fn find(at: &At<'_>, faults: &mut Faults) -> Served {
    let (api_version, kind) = (at.at("apiVersion"), at.at("kind"));
    let mut readable = true;
    for (field, example) in [(&api_version, "apiVersion: apps/v1"), (&kind, "kind: Deployment")] {
        if field.is_zero() {
            let name = example.split(':').next().unwrap_or_default();
            faults.error(
                Rule::MissingKind,
                field,
                format!("the object has no {name}: the API server can't tell what it is"),
                format!("write both, for example `{example}`"),
            );
            readable = false;
        } else if field.str().is_none() {
            faults.error(
                Rule::WrongType,
                field,
                format!("this must be a string, such as `{example}`"),
                "write a string",
            );
            readable = false;
        }
    }
    if !readable {
        return Served::Refused;
    }
    let (written, kind_name) = (api_version.text(), kind.text());
    let (group, version) = written.split_once('/').unwrap_or(("", written));
    if version.contains('/') {
        faults.error(
            Rule::InvalidValue,
            &api_version,
            format!("`{}` is not a valid apiVersion: it has more than one `/`", schema::short(written)),
            "write a group and version, such as `apps/v1`",
        );
        return Served::Refused;
    }
    let exact = Kind::named(kind_name).filter(|known| known.group() == group && known.version() == version);
    if let Some(known) = exact.clone().find(|known| known.is_in(faults.version)) {
        warn(known, &api_version, faults);
        return Served::As(known);
    }
    if is_list(group, kind_name) {
        return Served::List;
    }
    if let Some(known) = exact.last() {
        return other_version(known, &api_version, faults);
    }
    if let Some(removed) = REMOVED.iter().find(|removed| removed.is(group, version, kind_name)) {
        return gone(removed, kind_name, &api_version, faults);
    }
    let likely = likely(group, kind_name, faults.version);
    let ours = is_own(group) || (likely.is_some() && is_slip(group, kind_name));
    if !ours {
        return Served::Custom;
    }
    if let Some(known) = likely {
        let right = known.api_version();
        let only = Kind::named(kind_name)
            .filter(|other| other.is_in(faults.version))
            .all(|other| other.group() == known.group());
        faults.error(
            Rule::UnservedKind,
            &api_version,
            format!("the API server has no {kind_name} in `{written}`: it is in `{right}`"),
            format!("write `apiVersion: {right}`"),
        );
        if only {
            faults.fix(format!("write `apiVersion: {right}`"), vec![replace(&api_version, &right)]);
        }
        return Served::As(known);
    }
    unknown_kind(group, version, &kind, faults)
}

/// The kind is in the table, but not in this version of Kubernetes.
fn other_version(known: Kind, api_version: &At<'_>, faults: &mut Faults) -> Served {
    let (kind, minor) = (known.name(), faults.version.minor);
    let written = known.api_version();
    let next = best(Kind::named(kind).filter(|other| other.group() == known.group() && other.is_in(faults.version)));
    let help = next.map_or_else(
        || "leave the object out, or check for another version of Kubernetes".to_owned(),
        |next| format!("write `apiVersion: {}`", next.api_version()),
    );
    let message = if known.first() > minor {
        format!("Kubernetes 1.{minor} does not serve {kind} in `{written}`: 1.{} does first", known.first())
    } else {
        format!("Kubernetes 1.{} has removed {kind} in `{written}`", known.last() + 1)
    };
    faults.error(Rule::UnservedKind, api_version, message, help);
    if let Some(next) = next.filter(|next| next.shape() == known.shape()) {
        let right = next.api_version();
        faults.fix(format!("write `apiVersion: {right}`"), vec![replace(api_version, &right)]);
    }
    Served::Refused
}

fn gone(removed: &Removed, kind: &str, api_version: &At<'_>, faults: &mut Faults) -> Served {
    let message = format!("Kubernetes 1.{} has removed {kind} in `{}`", removed.since, api_version.text());
    if removed.successor.is_empty() {
        faults.error(Rule::UnservedKind, api_version, message, "remove the object: it has no successor");
        return Served::Refused;
    }
    let right = removed.successor;
    let more = if removed.same { "" } else { ", and adapt the fields that differ" };
    faults.error(Rule::UnservedKind, api_version, message, format!("write `apiVersion: {right}`{more}"));
    if !removed.same {
        return Served::Refused;
    }
    faults.fix(format!("write `apiVersion: {right}`"), vec![replace(api_version, right)]);
    let known = Kind::named(kind).find(|known| known.api_version() == right && known.is_in(faults.version));
    known.map_or(Served::Refused, Served::As)
}

/// A group of Kubernetes has no such kind.
fn unknown_kind(group: &str, version: &str, kind: &At<'_>, faults: &mut Faults) -> Served {
    let written = kind.text();
    let served = || Kind::all().filter(|known| known.is_in(faults.version));
    let here = served().filter(|known| known.group() == group && (known.version() == version || version.is_empty()));
    let near = nearest(written, here).or_else(|| nearest(written, served()));
    let place = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let Some(near) = near else {
        faults.error(
            Rule::UnservedKind,
            kind,
            format!("the API server has no kind `{written}` in `{place}`"),
            "check the spelling of `kind` and `apiVersion`",
        );
        return Served::Refused;
    };
    let (name, api_version) = (near.name(), near.api_version());
    let right = if api_version == place {
        format!("write `kind: {name}`")
    } else {
        format!("write `apiVersion: {api_version}` and `kind: {name}`")
    };
    faults.error(
        Rule::UnservedKind,
        kind,
        format!("the API server has no kind `{written}` in `{place}`: the nearest is {name} in `{api_version}`"),
        right.clone(),
    );
    if api_version == place {
        faults.fix(right, vec![replace(kind, name)]);
    }
    Served::As(near)
}

/// The kind that is written almost like this.
fn nearest(written: &str, kinds: impl Iterator<Item = Kind>) -> Option<Kind> {
    let far = (written.len() / 4).clamp(1, 3);
    let lower = written.to_ascii_lowercase();
    kinds
        .filter(|kind| kind.name().len().abs_diff(written.len()) <= far)
        .map(|kind| (strsim::osa_distance(&lower, &kind.name().to_ascii_lowercase()), kind))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, kind)| (*distance, rank(kind.version())))
        .map(|(_, kind)| kind)
}

fn warn(known: Kind, api_version: &At<'_>, faults: &mut Faults) {
    let (group, version, kind) = (known.group(), known.version(), known.name());
    let written = known.api_version();
    let deprecated = DEPRECATED.iter().find(|(old, of, name, since, _)| {
        *old == group && *of == version && (name.is_empty() || *name == kind) && *since <= faults.version.minor
    });
    if let Some((.., since, successor)) = deprecated {
        faults.warning(
            Rule::DeprecatedApi,
            api_version,
            format!("{kind} in `{written}` is deprecated since Kubernetes 1.{since}"),
            format!("use {successor}"),
        );
    } else if !is_stable(version) {
        faults.warning(
            Rule::UnservedKind,
            api_version,
            format!("API servers serve `{written}` only if it is enabled, for example by `--runtime-config`"),
            "make sure that the cluster serves it",
        );
    }
}

/// The kind of this name that its author most likely means: of this group if it has one, the most stable version.
fn likely(group: &str, kind: &str, version: Version) -> Option<Kind> {
    let served = || Kind::named(kind).filter(|known| known.is_in(version));
    best(served().filter(|known| known.group() == group)).or_else(|| best(served()))
}

fn best(kinds: impl Iterator<Item = Kind>) -> Option<Kind> {
    // `events.k8s.io` and the core group share a kind: the core group comes first.
    kinds.min_by_key(|kind| (rank(kind.version()), kind.group().len()))
}

/// Stable versions before beta and alpha, newer ones before older ones.
fn rank(version: &str) -> (u8, Reverse<&str>) {
    let stage = if is_stable(version) { 0 } else { 1 + u8::from(version.contains("alpha")) };
    (stage, Reverse(version))
}

fn is_stable(version: &str) -> bool {
    !version.contains("alpha") && !version.contains("beta")
}

/// Whether the group belongs to Kubernetes, now or in the past.
fn is_own(group: &str) -> bool {
    Kind::all().any(|kind| kind.group() == group) || REMOVED.iter().any(|removed| removed.group == group)
}

/// Whether a group that Kubernetes does not have is a slip of the pen: groups of custom resources have a dot, and
/// their names are not almost those of a group of Kubernetes with this kind.
fn is_slip(group: &str, kind: &str) -> bool {
    !group.contains('.') || Kind::named(kind).any(|known| strsim::osa_distance(known.group(), group) <= 2)
}

fn is_list(group: &str, kind: &str) -> bool {
    kind.strip_suffix("List").is_some_and(|item| {
        (item.is_empty() && group.is_empty()) || Kind::named(item).any(|known| known.group() == group)
    })
}

fn replace(at: &At<'_>, text: &str) -> Edit {
    // Group versions and kinds need no escapes.
    Edit::Replace { pointer: at.pointer(), value: format!("\"{text}\"") }
}

impl Removed {
    fn is(&self, group: &str, version: &str, kind: &str) -> bool {
        self.group == group && self.version == version && self.kinds.contains(&kind)
    }
}
