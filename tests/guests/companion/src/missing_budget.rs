use plimsoll_sdk::prelude::*;

/// A workload requires a PodDisruptionBudget by an annotation, and there is none.
///
/// ## What it finds
/// `error`: the workload has the annotation `example.com/budget`, and no PodDisruptionBudget selects its Pods. A budget
/// with the annotation `example.com/draft` does not count.
///
/// ## Why
/// It is a fixture.
///
/// ## What to write
/// The PodDisruptionBudget.
#[policy(
    category = "availability", on = LongRunning, severity = Error, since = "0.1.0", judges = Companion,
    requires = ["policy/PodDisruptionBudget"]
)]
pub fn missing_budget(review: &Review, findings: &mut Findings) {
    let asked = review.at("/metadata/annotations").key("example.com/budget");
    let Some(labels) = review.template().and_then(|template| template.labels()).filter(|_| asked.exists()) else {
        return;
    };
    let answer = review.selecting(Kind::POD_DISRUPTION_BUDGET, labels);
    if !answer.complete {
        findings.skip("PodDisruptionBudgets are not known");
        return;
    }
    let is_draft = |budget: &Node<'_>| budget.at("/metadata/annotations/example.com~1draft").is_some();
    if answer.nodes().all(|budget| is_draft(&budget)) {
        findings.error(&asked, "no PodDisruptionBudget selects the Pods", "apply one too").companion();
    }
}
