use plimsoll_sdk::prelude::*;

/// Settings of `missing-priority-class`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Classes that may be named; an empty list allows any
    #[settings(default = [])]
    allowed: Vec<String>,
}

/// Pods of no priority, or of one that is not theirs.
///
/// ## What it finds
/// `info`: a workload that runs on without `priorityClassName`, or with one that is not among `allowed`. It is on only where
/// a PolicySet lists it.
///
/// ## Why
/// When nodes are full, Pods of a higher class displace those of a lower one. Where nobody names a class, all are equally
/// important, and which of them waits is chance.
///
/// ## What to write
/// ```yaml
/// spec:
///   priorityClassName: business
/// ```
///
/// ## Settings
/// `allowed`: the classes that may be named. An empty list allows any.
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
                [] => "write priorityClassName".to_owned(),
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
                format!("priority class {name} is not among those allowed"),
                format!("write one of {allowed}"),
            );
        }
        _ => {}
    }
}
