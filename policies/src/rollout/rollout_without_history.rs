use plimsoll_sdk::prelude::*;

/// Workloads that can't be rolled back.
///
/// ## What it finds
/// - `error`: a Deployment, StatefulSet, DaemonSet or Rollout has `revisionHistoryLimit: 0`, which keeps no earlier
///   revision.
/// - `info`: it keeps more than 20 revisions.
///
/// ## Why
/// `kubectl rollout undo` goes back to an earlier revision. Without one, the team must build and deploy another version
/// while the broken version is down. Too many revisions are no help either: the oldest are never used, but all of them
/// fill etcd.
///
/// ## What to write
/// Nothing: the default is 10. `--fix=hardening` writes that instead of 0. If the limit is more than 20, only
/// `--fix=unsafe` writes it, because the controller then deletes the oldest revisions.
#[policy(
    on = Kinds,
    kinds = [Rolling, "apps/StatefulSet", "apps/DaemonSet"], severity = Error,
    since = "0.1.0", edits = ["/spec/revisionHistoryLimit"],
    default = Warn,
    covers = ["rollout-history-zero"]
)]
pub fn rollout_without_history(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/revisionHistoryLimit");
    let title = "Set revisionHistoryLimit to 10";
    let (finding, fix) = match at.as_i64() {
        Some(0) => {
            let message = "revisionHistoryLimit is 0: no earlier revision is kept, so a rollback is impossible";
            (findings.error(&at, message, "remove revisionHistoryLimit (the default is 10)"), Fix::hardening(title))
        }
        Some(many @ 21..) => {
            let message = format!("revisionHistoryLimit is {many}: more revisions are kept than a rollback needs");
            // The controller deletes the surplus revisions at once, and they can't be restored.
            (findings.info(&at, message, "remove revisionHistoryLimit (the default is 10)"), Fix::changing(title))
        }
        _ => return,
    };
    finding.fix(fix.replace(&at, 10_i64));
}
