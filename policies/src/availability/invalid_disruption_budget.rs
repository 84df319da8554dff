use plimsoll_sdk::flat::Kind;
use plimsoll_sdk::prelude::*;

/// PodDisruptionBudgets that the API server rejects.
///
/// ## What it finds
/// `error`, in files only, because in the cluster the API server rejects the budget itself:
///
/// - a PodDisruptionBudget with both `minAvailable` and `maxUnavailable`;
/// - a field that is negative, above 100%, not a whole number, or a string that is no percentage, such as `"1"` or
///   `"50.5%"`.
///
/// The API server accepts a budget with neither field. Such a budget allows no eviction, and `drain-deadlock` reports
/// it.
///
/// ## Why
/// The schema of the API allows all of these values, and so do most checkers. The budget is missing when a drain needs
/// it, because the API server never accepted it.
///
/// ## What to write
/// ```yaml
/// spec:
///   maxUnavailable: 1
/// ```
#[policy(
    on = Kinds, kinds = ["policy/PodDisruptionBudget"], severity = Error, since = "0.1.0",
    stage = Source,
    default = Deny(CannotWork),
    covers = ["avail-pdb-both-or-none"]
)]
pub fn invalid_disruption_budget(review: &Review, findings: &mut Findings) {
    const REJECTED: &str = "the API server rejects it";
    let [min, max] = ["/spec/minAvailable", "/spec/maxUnavailable"].map(|field| review.at(field));
    if min.exists() && max.exists() {
        let message = format!("the budget sets both minAvailable and maxUnavailable: {REJECTED}");
        findings.error(&min, message, "remove minAvailable, and write maxUnavailable: 1").about(&max);
    }
    for (name, at) in [("minAvailable", &min), ("maxUnavailable", &max)] {
        let Some(node) = at.node() else { continue };
        let wrong = match IntOrPercent::from_node(node) {
            Some(count @ IntOrPercent::Int(..0)) => format!("{name} {count} is negative: {REJECTED}"),
            // Show the text as it is written: the parsed number is capped if it is too large.
            Some(IntOrPercent::Percent(101..)) => {
                format!("{name} {} is more than 100%: {REJECTED}", at.as_str().unwrap_or_default())
            }
            Some(_) => continue,
            None => match at.as_str() {
                Some(text) => format!("{name} {text:?} is a string, but not a percentage: {REJECTED}"),
                None if node.kind() == Kind::Number => {
                    format!("{name} is not a whole number of at most {}: {REJECTED}", i32::MAX)
                }
                None => format!("{name} is neither a number nor a percentage: {REJECTED}"),
            },
        };
        findings.error(at, wrong, format!("write a number, or a percentage up to 100%, such as {name}: 1"));
    }
}
