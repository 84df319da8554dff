use plimsoll_sdk::prelude::*;

/// Settings of `missing-priority-class`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Priority classes that a workload may name; an empty list allows any
    #[settings(default = [])]
    allowed: Vec<String>,
}

/// Pods without a priority class, or with a class that is not allowed.
///
/// ## What it finds
/// `info`: a long-running workload without `priorityClassName`, or with a class that is not in `allowed`. The policy is
/// on only if a PolicySet lists it.
///
/// ## Why
/// When nodes are full, Pods of a higher priority class preempt Pods of a lower one. Without classes, all Pods are
/// equally important, and chance decides which of them waits.
///
/// ## What to write
/// ```yaml
/// spec:
///   priorityClassName: business
/// ```
///
/// ## Settings
/// `allowed`: the priority classes that a workload may name. An empty list allows any class.
#[policy(
    on = LongRunning, severity = Info, since = "0.1.0",
    profile = OptIn,
    covers = ["avail-priority-class"]
)]
pub fn missing_priority_class(review: &Review, settings: &Settings, findings: &mut Findings) {
    let Some(template) = review.template() else { return };
    let at = template.spec().at("/priorityClassName");
    let allowed = settings.allowed.join(", ");
    match at.as_str().filter(|name| !name.is_empty()) {
        None if at.is_absent() || at.as_str().is_some() => {
            let help = match settings.allowed.as_slice() {
                [] => "write a priorityClassName".to_owned(),
                _ => format!("write priorityClassName: one of {allowed}"),
            };
            findings.info(
                &at,
                "there is no priorityClassName: when nodes are full, chance decides which Pods wait",
                help,
            );
        }
        Some(name) if !settings.allowed.is_empty() && !settings.allowed.iter().any(|known| known == name) => {
            findings.info(
                &at,
                format!("priorityClassName {name} is not one of the allowed classes"),
                format!("write priorityClassName: one of {allowed}"),
            );
        }
        _ => {}
    }
}
