//! The versions of kinds that Kubernetes' own API serves, by release. The API server rejects an object of any other
//! version. Policies would silently skip it, because they know kinds by their group.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use plimsoll_flat::Writer;
use plimsoll_sdk::version::KubernetesVersion;

use crate::model::Kind;

/// The table. `tests/tools/served` writes it from the life cycles of the types, and `tests/tests/served.rs` compares it
/// with an API server.
const TABLE: &str = include_str!("served/table.txt");

/// The newest release in the table. The additions of later releases are not known.
const NEWEST: KubernetesVersion = KubernetesVersion::new(1, 37);

/// Why the API server rejects an object because of its `apiVersion` and `kind`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unserved {
    /// The cause.
    pub why: Why,
    /// The `apiVersion` that replaces it, if there is one.
    pub api_version: Option<String>,
    /// The kind that was meant, if it is misspelt.
    pub kind: Option<&'static str>,
}

/// What is wrong with an `apiVersion` and a `kind`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// This release removed it.
    Removed(KubernetesVersion),
    /// It is not served before this release.
    Later(KubernetesVersion),
    /// This version of the group has no such kind.
    Unknown,
}

/// A version of a kind, and the releases that serve it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Empty for the core group.
    pub group: &'static str,
    /// Such as `v1`.
    pub version: &'static str,
    /// Such as `Deployment`.
    pub kind: &'static str,
    first: Option<KubernetesVersion>,
    last: Option<KubernetesVersion>,
    replacement: Option<&'static str>,
}

impl Row {
    /// Whether this release serves it, at least if it is enabled.
    pub fn is_served(&self, by: KubernetesVersion) -> bool {
        self.first.is_none_or(|first| by.at_least(first.major, first.minor))
            && self.last.is_none_or(|last| last.at_least(by.major, by.minor))
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    fn is_stable(&self) -> bool {
        !self.version.contains("alpha") && !self.version.contains("beta")
    }

    fn parse(line: &'static str) -> Option<Self> {
        let mut words = line.split(' ').map(|word| Some(word).filter(|word| *word != "-"));
        let mut next = || words.next().flatten();
        let (group, version, kind) = (next().unwrap_or_default(), next()?, next()?);
        let mut release = || next().and_then(KubernetesVersion::parse);
        let (first, last) = (release(), release());
        Some(Self { group, version, kind, first, last, replacement: next() })
    }
}

struct Table {
    by_kind: HashMap<&'static str, Vec<Row>>,
    groups: HashSet<&'static str>,
}

static ROWS: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { by_kind: HashMap::new(), groups: HashSet::new() };
    for row in rows() {
        table.groups.insert(row.group);
        table.by_kind.entry(row.kind).or_default().push(row);
    }
    table
});

/// Every version of every kind of the table.
pub fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(Row::parse)
}

/// Custom kinds that policies read, and others of the same projects, each with its `apiVersion`. Kubernetes has no
/// kinds with these names. So if an object uses one in a group of Kubernetes, its author means the custom kind.
const CUSTOM: &[(&str, &str)] = &[
    ("Rollout", "argoproj.io/v1alpha1"),
    ("AnalysisTemplate", "argoproj.io/v1alpha1"),
    ("ScaledObject", "keda.sh/v1alpha1"),
    ("ScaledJob", "keda.sh/v1alpha1"),
    ("TriggerAuthentication", "keda.sh/v1alpha1"),
    ("ServiceMonitor", "monitoring.coreos.com/v1"),
    ("PodMonitor", "monitoring.coreos.com/v1"),
    ("PrometheusRule", "monitoring.coreos.com/v1"),
    ("VerticalPodAutoscaler", "autoscaling.k8s.io/v1"),
    ("CloneSet", "apps.kruise.io/v1alpha1"),
];

/// The `apiVersion` of a kind that policies are written for.
#[cfg(feature = "serve")]
pub(crate) fn written_for(group: &str, kind: &str) -> String {
    let is_own = |api_version: &str| api_version.split_once('/').is_some_and(|(known, _)| known == group);
    let custom = CUSTOM.iter().find(|(custom, api_version)| *custom == kind && is_own(api_version));
    let rows = ROWS.by_kind.get(kind).map(Vec::as_slice).unwrap_or_default();
    let own = || best(rows.iter().filter(|row| row.group == group), NEWEST);
    custom.map(|(_, version)| (*version).to_owned()).or_else(own).unwrap_or_else(|| format!("{group}/v1"))
}

/// Whether some release of Kubernetes serves this group itself.
#[cfg(feature = "check")]
pub(crate) fn is_group_of_kubernetes(group: &str) -> bool {
    ROWS.groups.contains(group)
}

/// Why this release does not serve the object. None if it does, or if the kind may be a custom resource.
pub fn unserved(kind: &Kind, by: KubernetesVersion) -> Option<Unserved> {
    let table = &*ROWS;
    let of_kind = table.by_kind.get(kind.kind.as_str()).map(Vec::as_slice).unwrap_or_default();
    let own = || of_kind.iter().filter(|row| row.group == kind.group);
    if let Some(row) = own().find(|row| row.version == kind.version) {
        let why = match (row.first, row.last) {
            (_, Some(last)) if !last.at_least(by.major, by.minor) => {
                Why::Removed(KubernetesVersion::new(last.major, last.minor + 1))
            }
            (Some(first), _) if !by.at_least(first.major, first.minor) => Why::Later(first),
            _ => return None,
        };
        let replacement = row
            .replacement
            .filter(|text| of_kind.iter().any(|other| other.is_served(by) && other.api_version() == **text));
        let api_version = replacement.map(str::to_owned).or_else(|| best(own(), by));
        return Some(Unserved { why, api_version, kind: None });
    }
    // Groups with a dot are custom ones, unless they are in the table. Every custom group has a dot.
    if !NEWEST.at_least(by.major, by.minor) || kind.group.contains('.') && !table.groups.contains(kind.group.as_str()) {
        return None;
    }
    let unknown = |api_version, kind| Some(Unserved { why: Why::Unknown, api_version, kind });
    if own().next().is_some() {
        // The table does not contain every alpha version of the past. But if the kind has a stable version, alpha
        // versions are no longer served.
        let may_have_been = kind.version.contains("alpha") && !own().any(Row::is_stable);
        return if may_have_been { None } else { unknown(best(own(), by), None) };
    }
    if let Some(api_version) = best(of_kind.iter(), by) {
        return unknown(Some(api_version), None);
    }
    if let Some((_, api_version)) = CUSTOM.iter().find(|(custom, _)| *custom == kind.kind) {
        return unknown(Some((*api_version).to_owned()), None);
    }
    if !table.groups.contains(kind.group.as_str()) {
        return None;
    }
    match misspelt(&kind.kind, &kind.group, by) {
        Some(meant) => {
            let rows = table.by_kind.get(meant).map(Vec::as_slice).unwrap_or_default();
            let own = best(rows.iter().filter(|row| row.group == kind.group), by);
            unknown(own.or_else(|| best(rows.iter(), by)), Some(meant))
        }
        // Files that only tools read also use `v1`, and a group with a dot may be extended. So these are not reported.
        None if kind.group.is_empty() || kind.group.contains('.') => None,
        None => unknown(None, None),
    }
}

/// The version to write: stable before others, later before earlier.
fn best<'a>(rows: impl Iterator<Item = &'a Row>, by: KubernetesVersion) -> Option<String> {
    let served = rows.filter(|row| row.is_served(by));
    served.max_by_key(|row| (row.is_stable(), row.version)).map(Row::api_version)
}

/// The nearest kind by edit distance, ignoring case. Kinds of the same group come first.
fn misspelt(kind: &str, group: &str, by: KubernetesVersion) -> Option<&'static str> {
    // Longer names are not compared, because no kind is as long.
    if kind.len() > 100 {
        return None;
    }
    let lower = kind.to_lowercase();
    let most = if lower.len() < 6 { 1 } else { 2 };
    let served = rows().filter(|row| row.is_served(by));
    let near = served.filter_map(|row| {
        let distance = strsim::damerau_levenshtein(&lower, &row.kind.to_lowercase());
        (distance <= most).then_some((row.group != group, distance, row.kind))
    });
    near.min().map(|(.., kind)| kind)
}

impl Unserved {
    /// Writes the member `unserved` of the environment that policies get.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.key("unserved");
        writer.begin_object();
        if let Some(api_version) = &self.api_version {
            writer.key("apiVersion");
            writer.string(api_version);
        }
        if let Some(kind) = self.kind {
            writer.key("kind");
            writer.string(kind);
        }
        if let Why::Removed(release) | Why::Later(release) = self.why {
            writer.key("release");
            writer.string(&release.to_string());
        }
        writer.key("why");
        writer.string(match self.why {
            Why::Removed(_) => "removed",
            Why::Later(_) => "later",
            Why::Unknown => "unknown",
        });
        writer.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(api_version: &str, kind: &str, minor: u32) -> Option<(Why, Option<String>, Option<&'static str>)> {
        let kind = Kind::from_api_version(api_version, kind);
        let unserved = unserved(&kind, KubernetesVersion::new(1, minor))?;
        Some((unserved.why, unserved.api_version, unserved.kind))
    }

    fn release(minor: u32) -> KubernetesVersion {
        KubernetesVersion::new(1, minor)
    }

    #[test]
    fn every_row_is_read() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!((rows().count(), rows().count() > 150), (lines, true));
        for row in rows() {
            assert!(
                row.first.zip(row.last).is_none_or(|(first, last)| last.at_least(first.major, first.minor)),
                "{row:?}"
            );
        }
    }

    #[cfg(feature = "serve")]
    #[test]
    fn the_versions_that_policies_are_written_for() {
        for (group, kind, expected) in [
            ("apps", "Deployment", "apps/v1"),
            ("autoscaling", "HorizontalPodAutoscaler", "autoscaling/v2"),
            ("policy", "PodDisruptionBudget", "policy/v1"),
            ("argoproj.io", "Rollout", "argoproj.io/v1alpha1"),
            ("keda.sh", "ScaledObject", "keda.sh/v1alpha1"),
            ("autoscaling.k8s.io", "VerticalPodAutoscaler", "autoscaling.k8s.io/v1"),
            ("example.com", "Rollout", "example.com/v1"),
        ] {
            assert_eq!(written_for(group, kind), expected);
        }
    }

    #[test]
    fn what_is_served_is_not_named() {
        for (api_version, kind) in [
            ("v1", "Service"),
            ("apps/v1", "Deployment"),
            ("autoscaling/v1", "HorizontalPodAutoscaler"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            ("batch/v1", "CronJob"),
        ] {
            assert_eq!(judged(api_version, kind, 36), None, "{api_version} {kind}");
        }
    }

    #[test]
    fn custom_groups_and_files_of_tools_are_left_alone() {
        for (api_version, kind) in [
            ("argoproj.io/v1alpha1", "Rollout"),
            ("apps.openshift.io/v1", "DeploymentConfig"),
            ("serving.knative.dev/v1", "Service"),
            ("gateway.networking.k8s.io/v1", "Gateway"),
            ("example.com/v1", "Rollout"),
            ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler"),
            ("apps.kruise.io/v1alpha1", "CloneSet"),
            ("apps.kruise.io/v1beta1", "StatefulSet"),
            ("example.com/v1", "Deploymnet"),
            ("v1", "Config"),
            ("v1", "Template"),
            ("skaffold/v2beta29", "Config"),
            ("scheduling.k8s.io/v1alpha1", "Workload"),
            ("storage.k8s.io/v1", "Elsewhere"),
        ] {
            assert_eq!(judged(api_version, kind, 36), None, "{api_version} {kind}");
        }
    }

    #[test]
    fn what_is_wrong_and_what_to_write() {
        let apps = || Some("apps/v1".to_owned());
        let unknown = |api_version, kind| Some((Why::Unknown, api_version, kind));
        assert_eq!(judged("v1", "Deployment", 36), unknown(apps(), None));
        assert_eq!(judged("app/v1", "Deployment", 36), unknown(apps(), None));
        assert_eq!(judged("apps/v2", "Deployment", 36), unknown(apps(), None));
        assert_eq!(judged("apps/v1alpha1", "StatefulSet", 36), unknown(apps(), None));
        assert_eq!(judged("apps/v1", "Deploymnet", 36), unknown(apps(), Some("Deployment")));
        assert_eq!(judged("apps/v1", "deployment", 36), unknown(apps(), Some("Deployment")));
        assert_eq!(judged("v1", "Deploymnet", 36), unknown(apps(), Some("Deployment")));
        assert_eq!(judged("batch/v1", "Whatever", 36), unknown(None, None));
        assert_eq!(judged("v1", "Servce", 36), unknown(Some("v1".to_owned()), Some("Service")));
        let custom = |api_version: &str| unknown(Some(api_version.to_owned()), None);
        assert_eq!(judged("v1", "Rollout", 36), custom("argoproj.io/v1alpha1"));
        assert_eq!(judged("keda/v1alpha1", "ScaledObject", 36), custom("keda.sh/v1alpha1"));
        assert_eq!(judged("autoscaling/v1", "VerticalPodAutoscaler", 36), custom("autoscaling.k8s.io/v1"));
        let autoscaling = Some("autoscaling/v2".to_owned());
        let removed = |minor, api_version| Some((Why::Removed(release(minor)), api_version, None));
        assert_eq!(judged("extensions/v1beta1", "Deployment", 36), removed(16, apps()));
        assert_eq!(judged("autoscaling/v2beta2", "HorizontalPodAutoscaler", 36), removed(26, autoscaling));
        assert_eq!(judged("batch/v1beta1", "CronJob", 36), removed(25, Some("batch/v1".to_owned())));
        assert_eq!(judged("policy/v1beta1", "PodSecurityPolicy", 36), removed(25, None));
        assert_eq!(judged("policy/v1beta1", "PodDisruptionBudget", 24), None, "it was served then");
        let (why, ..) = judged("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", 29).unwrap();
        assert_eq!(why, Why::Later(release(30)));
        assert_eq!(judged("autoscaling/v9", "HorizontalPodAutoscaler", 99), None, "nobody knows that release");
    }
}
