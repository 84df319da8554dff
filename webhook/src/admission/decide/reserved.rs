//! Plimsoll's annotations and labels that have no effect as written: the value, the place or the name is wrong.

use plimsoll_flat::Node;
use plimsoll_sdk::disruption::STAND_IN;
use plimsoll_sdk::reserved::{PREFIX, PROTECT, PROTECTABLE};

use super::silence::IGNORE;
use crate::admission::verdict::Unused;
use crate::model::Review;
use crate::registry::nearest;

/// Pointer to the annotations of an object.
pub(super) const ANNOTATIONS: &str = "/metadata/annotations";

/// Pointer to the labels of an object.
const LABELS: &str = "/metadata/labels";

/// Maximum number of names of one object that are reported.
const MOST: usize = 10;

/// Annotations that Plimsoll or its chart writes itself.
const OWN: [&str; 4] = [
    "plimsoll.dev/policies-as-of",
    "plimsoll.dev/registered-by",
    "plimsoll.dev/registered-since",
    "plimsoll.dev/webhooks",
];

/// Names that have no effect on this object. `template` is the pointer to its pod template, for a kind that has one.
/// Ignores with a valid name are left out, because their effect depends on the findings.
pub fn misused(review: &Review, template: Option<&str>) -> Vec<Unused> {
    let Some(object) = review.subject() else { return Vec::new() };
    let kind = review.kind.group_kind();
    let mut unused = Vec::new();
    let mut complain = |pointer: &str, complaint: &dyn Fn(&str, &str) -> Option<String>| {
        let names = object.at(pointer).into_iter().flat_map(Node::members);
        for (name, value) in names.filter(|(name, _)| short(name).is_some()) {
            if unused.len() >= MOST {
                break;
            }
            if let Some(complaint) = complaint(name, value.as_str().unwrap_or_default()) {
                let (at, name) = (pointer.to_owned(), name.to_owned());
                unused.push(Unused { at, name, warning: Some(complaint.clone()), complaint });
            }
        }
    };
    // Further workloads that a PolicySet names have templates.
    let is_protectable =
        PROTECTABLE.iter().any(|known| known.as_str() == kind) || kind.contains('.') && template.is_some();
    complain(ANNOTATIONS, &|name, value| annotation(&kind, is_protectable, name, value));
    complain(LABELS, &|name, _| label(name));
    // The Pod itself is its template.
    if let Some(template) = template.filter(|template| !template.is_empty()) {
        let message =
            format!("in the Pod template does nothing; move it to metadata.annotations of the {}", review.kind.kind);
        for place in [ANNOTATIONS, LABELS] {
            complain(&format!("{template}{place}"), &|name, _| (name == PROTECT).then(|| message.clone()));
        }
    }
    unused
}

fn annotation(kind: &str, is_protectable: bool, name: &str, value: &str) -> Option<String> {
    if name == PROTECT {
        let (_, short) = kind.split_once('/').unwrap_or(("", kind));
        return match value {
            "false" => None,
            "true" if is_protectable => None,
            _ if is_protectable => Some("protects nothing with this value; write \"true\"".to_owned()),
            _ => Some(format!("protects no {short}; it works on workloads that keep running, and on Services")),
        };
    }
    if name == STAND_IN {
        return Some("is a label, and does nothing as an annotation; take it away".to_owned());
    }
    let is_known = OWN.contains(&name) || name.starts_with(IGNORE);
    (!is_known).then(|| unknown(name))
}

fn label(name: &str) -> Option<String> {
    if name == PROTECT || name.starts_with(IGNORE) {
        return Some("is an annotation, and does nothing as a label; move it to metadata.annotations".to_owned());
    }
    (name != STAND_IN).then(|| unknown(name))
}

/// The name after the prefix. The API server accepts capitals in the name of an annotation.
fn short(name: &str) -> Option<&str> {
    let (start, short) = name.split_at_checked(PREFIX.len())?;
    start.eq_ignore_ascii_case(PREFIX).then_some(short)
}

fn unknown(name: &str) -> String {
    let short = short(name).unwrap_or(name).to_lowercase();
    if short.starts_with("ignore") {
        return "is no name that Plimsoll knows; write plimsoll.dev/ignore.POLICY, with the reason as its value"
            .to_owned();
    }
    match nearest(&short, PROTECT.strip_prefix(PREFIX).into_iter()) {
        Some(meant) => format!("is no name that Plimsoll knows; did you mean {PREFIX}{meant}?"),
        None => format!("is no name that Plimsoll knows; it knows {PROTECT} and {IGNORE}POLICY"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::engine::{Engine, Limits};
    use crate::registry::{Options, Registry};

    fn complaints(api_version: &str, kind: &str, object: Value) -> Vec<String> {
        let mut object = object;
        (object["apiVersion"], object["kind"]) = (json!(api_version), json!(kind));
        let review = Review::from_object(&object).unwrap();
        let template = matches!(kind, "Deployment" | "Job" | "CloneSet").then_some("/spec/template");
        misused(&review, template).into_iter().map(|unused| format!("{} {}", unused.name, unused.complaint)).collect()
    }

    fn annotated(kind: &str, name: &str, value: &str) -> Vec<String> {
        let (api_version, kind) = kind.rsplit_once('/').unwrap();
        complaints(api_version, kind, json!({"metadata": {"name": "x", "annotations": {name: value}}}))
    }

    #[test]
    fn only_true_protects() {
        for value in ["yes", "True", "TRUE", "1", "", " true", "enabled"] {
            let complaint = "plimsoll.dev/protect protects nothing with this value; write \"true\"";
            assert_eq!(annotated("apps/v1/Deployment", PROTECT, value), [complaint], "{value:?}");
        }
        for kind in ["apps/v1/Deployment", "v1/Service", "argoproj.io/v1alpha1/Rollout", "apps.kruise.io/v1/CloneSet"] {
            assert!(annotated(kind, PROTECT, "true").is_empty(), "{kind}");
            assert!(annotated(kind, PROTECT, "false").is_empty(), "{kind}");
        }
        for kind in ["batch/v1/Job", "v1/PersistentVolumeClaim", "v1/Pod", "keda.sh/v1alpha1/ScaledObject"] {
            assert!(annotated(kind, PROTECT, "true")[0].contains("protects no "), "{kind}");
        }
    }

    #[test]
    fn names_that_nobody_knows() {
        for (name, words) in [
            ("plimsoll.dev/protects", "did you mean plimsoll.dev/protect?"),
            ("plimsoll.dev/Protect", "did you mean plimsoll.dev/protect?"),
            ("Plimsoll.dev/protect", "did you mean plimsoll.dev/protect?"),
            ("PLIMSOLL.DEV/ignore.latest-image-tag", "write plimsoll.dev/ignore.POLICY"),
            ("plimsoll.dev/protected", "did you mean plimsoll.dev/protect?"),
            ("plimsoll.dev/ignore", "write plimsoll.dev/ignore.POLICY"),
            ("plimsoll.dev/ignore-latest-image-tag", "write plimsoll.dev/ignore.POLICY"),
            ("plimsoll.dev/Ignore.latest-image-tag", "write plimsoll.dev/ignore.POLICY"),
            ("plimsoll.dev/exempt", "it knows plimsoll.dev/protect and plimsoll.dev/ignore.POLICY"),
            ("plimsoll.dev/stand-in", "is a label"),
        ] {
            let complaints = annotated("apps/v1/Deployment", name, "true");
            assert!(complaints.len() == 1 && complaints[0].contains(words), "{name}: {complaints:?}");
        }
        for name in
            ["plimsoll.dev/ignore.latest-image-tag", "plimsoll.dev/webhooks", "example.com/plimsoll.dev", "protect"]
        {
            assert!(annotated("apps/v1/Deployment", name, "true").is_empty(), "{name}");
        }
    }

    #[test]
    fn names_in_the_wrong_place() {
        let labels =
            json!({PROTECT: "true", "plimsoll.dev/stand-in": "true", "plimsoll.dev/ignore.single-replica": "why"});
        let object = json!({"metadata": {"name": "x", "labels": labels}});
        let found = complaints("apps/v1", "Deployment", object);
        assert!(found.len() == 2 && found.iter().all(|found| found.contains("does nothing as a label")), "{found:?}");
        let template = json!({"metadata": {"annotations": {PROTECT: "true"}}});
        let object = json!({"metadata": {"name": "x"}, "spec": {"template": template}});
        let found = complaints("apps/v1", "Deployment", object);
        let words = "in the Pod template does nothing; move it to metadata.annotations of the Deployment";
        assert!(found.len() == 1 && found[0].ends_with(words), "{found:?}");
    }

    #[test]
    fn hostile_objects_cost_little() {
        let names: serde_json::Map<String, Value> =
            (0..100_000).map(|number| (format!("plimsoll.dev/x{number}"), json!("x"))).collect();
        let object = json!({"metadata": {"name": "x", "annotations": names, "labels": names}});
        assert_eq!(complaints("apps/v1", "Deployment", object).len(), MOST);
        for metadata in
            [json!(1), json!({"annotations": [PROTECT], "labels": "x"}), json!({"annotations": {PROTECT: 1}})]
        {
            let found = complaints("apps/v1", "Deployment", json!({"metadata": metadata}));
            assert!(found.len() <= 1, "{found:?}");
        }
    }

    /// The policy uses the list of the SDK.
    #[test]
    fn what_can_be_protected_is_what_the_policy_looks_at() {
        let engine = Engine::new(Limits::default()).unwrap();
        let registry = Registry::new(&engine, Vec::new(), Options::default()).unwrap();
        let policy = registry.policies().find(|policy| policy.id == "live-workload-removed").unwrap();
        let named = policy.metadata.on.kinds.iter().map(String::as_str);
        let kinds = registry.workloads().kinds().chain(named);
        let mut kinds: Vec<&str> =
            kinds.filter(|kind| registry.workloads().match_on(&policy.metadata.on, kind)).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, PROTECTABLE.map(|kind| kind.as_str()));
    }
}
