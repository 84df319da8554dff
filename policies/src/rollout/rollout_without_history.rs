use plimsoll_sdk::prelude::*;

/// Workloads that can't be rolled back.
///
/// ## What it finds
/// - `error`: a Deployment, StatefulSet, DaemonSet or Rollout with `revisionHistoryLimit: 0`, which keeps no earlier
///   revision.
/// - `info`: one that keeps more than 20.
///
/// ## Why
/// `kubectl rollout undo` goes back to a revision that is kept. Without one, a broken version has to be mended by building
/// and deploying another, while it is down. And of a hundred revisions nobody uses the oldest, but all lie in etcd.
///
/// ## What to write
/// Nothing: 10 are kept where it is not written. `--fix=hardening` writes that in the place of 0. In the place of more than 20
/// only `--fix=unsafe` does, because the controller then deletes the oldest revisions.
#[policy(
    on = Kinds,
    kinds = ["apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "argoproj.io/Rollout"], severity = Error,
    since = "0.1.0", edits = ["/spec/revisionHistoryLimit"],
    default = Warn,
    covers = ["rollout-history-zero"]
)]
pub fn rollout_without_history(review: &Review, findings: &mut Findings) {
    let at = review.at("/spec/revisionHistoryLimit");
    let title = "keep 10 earlier revisions";
    let (finding, fix) = match at.as_i64() {
        Some(0) => {
            let message = "no earlier revision is kept, so there is none to roll back to";
            (findings.error(&at, message, "take revisionHistoryLimit out, which keeps 10"), Fix::hardening(title))
        }
        Some(many @ 21..) => {
            let message = format!("{many} earlier revisions are kept, more than a rollback needs");
            // The controller deletes the others at once, and nothing brings them back.
            (findings.info(&at, message, "take revisionHistoryLimit out, which keeps 10"), Fix::changing(title))
        }
        _ => return,
    };
    finding.fix(fix.replace(&at, 10_i64));
}
