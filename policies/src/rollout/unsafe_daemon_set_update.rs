use plimsoll_sdk::prelude::*;

/// Settings of `unsafe-daemon-set-update`.
#[derive(Debug, Settings)]
pub struct Settings {
    /// Percentage of the nodes that may be without their Pod at a time
    #[settings(default = 10, minimum = 1, maximum = 100)]
    percent: i64,
    /// Number of nodes; 0 if it is not known
    #[settings(default = 0, minimum = 0)]
    nodes: i64,
}

/// Updates of DaemonSets that hang, or that affect many nodes at once.
///
/// ## What it finds
/// The policy looks at rolling updates of DaemonSets. Exactly one of `maxSurge` (default 0) and `maxUnavailable`
/// (default 1) must be more than 0. Both are rounded up.
///
/// - `error`: both are more than 0, or neither is. The API server rejects that.
/// - `error`: `maxSurge` is more than 0, and the Pods use a port of their node (`hostPort`, or `hostNetwork` with a
///   declared port).
/// - `warning`: `maxUnavailable` is more than `percent` of the nodes, and more than one.
///
/// ## Why
/// A surge starts the new Pod on the node of the old one, which still holds the port. So the new Pod never starts, and
/// the old one never stops.
///
/// A DaemonSet provides logs, network or storage. This service is missing on each node whose Pod is being replaced. A
/// broken version stops after `maxUnavailable` nodes.
///
/// ## What to write
/// One node after the other; `--fix=unsafe` writes this:
///
/// ```yaml
/// updateStrategy:
///   rollingUpdate: {maxUnavailable: 1}
/// ```
///
/// ## Settings
/// `percent`: share of the nodes. `nodes`: number of nodes, so that the policy can convert between numbers and shares.
///
/// ## Assumptions
/// If `nodes` is 0, the policy assumes that a number in `maxUnavailable` is at most `percent` of the nodes.
#[policy(
    on = Kinds, kinds = ["apps/DaemonSet"], severity = Error, since = "0.1.0",
    edits = ["/spec/updateStrategy/rollingUpdate/maxSurge", "/spec/updateStrategy/rollingUpdate/maxUnavailable"],
    default = Deny(BlocksOthers),
    covers = ["rollout-daemonset: how many nodes there are is a setting"]
)]
pub fn unsafe_daemon_set_update(review: &Review, settings: &Settings, findings: &mut Findings) {
    let strategy = review.at("/spec/updateStrategy");
    let kind = strategy.at("/type");
    if !(kind.is_absent() || matches!(kind.as_str(), Some("" | "RollingUpdate"))) {
        return;
    }
    let (surge_at, unavailable_at) =
        (strategy.at("/rollingUpdate/maxSurge"), strategy.at("/rollingUpdate/maxUnavailable"));
    let count = |at: &Cursor<'_>, unset: i64| match at.node() {
        None if at.is_absent() => Some(IntOrPercent::Int(unset)),
        node => IntOrPercent::from_node(node?).filter(|count| !matches!(count, IntOrPercent::Int(..0))),
    };
    let (Some(surge), Some(unavailable)) = (count(&surge_at, 0), count(&unavailable_at, 1)) else { return };
    let is_zero = |count| matches!(count, IntOrPercent::Int(0) | IntOrPercent::Percent(0));

    let mut fix = Fix::changing(match (surge_at.exists(), unavailable_at.exists()) {
        (true, true) if unavailable == IntOrPercent::Int(1) => "Remove maxSurge",
        (true, _) => "Remove maxSurge, and set maxUnavailable to 1",
        (false, _) => "Set maxUnavailable to 1",
    });
    if surge_at.exists() {
        fix = fix.remove(&surge_at);
    }
    fix = match unavailable_at.exists() {
        true if unavailable == IntOrPercent::Int(1) => fix,
        true => fix.replace(&unavailable_at, 1_i64),
        false => fix.add(&unavailable_at, 1_i64),
    };
    let finding = match (is_zero(surge), is_zero(unavailable)) {
        (false, false) => {
            let message = format!(
                "maxSurge is {surge} and maxUnavailable is {unavailable}, but only one may be more than 0: the API server \
                 rejects it"
            );
            findings.error(&surge_at, message, "write maxUnavailable: 0, or remove maxSurge")
        }
        (true, true) => {
            let message =
                "maxSurge and maxUnavailable are both 0: no Pod could ever be replaced, so the API server rejects it";
            findings.error(&unavailable_at, message, "write maxUnavailable: 1")
        }
        (false, true) => {
            let Some((port, at)) = review.template().and_then(|template| template.host_port()) else { return };
            let message = format!(
                "maxSurge is {surge}, but the old Pod keeps port {port} of its node until the new Pod is ready: the \
                 update hangs"
            );
            let finding = findings.error(&surge_at, message, "write maxUnavailable: 1 instead of maxSurge");
            finding.about(&at)
        }
        (true, false) => {
            let Some(message) = too_many(unavailable, settings, findings) else { return };
            findings.warning(&unavailable_at, message, "write maxUnavailable: 1")
        }
    };
    finding.fix(fix).about(&surge_at).about(&unavailable_at);
}

/// Message about a `maxUnavailable` that is too high; `None` if it is low enough.
fn too_many(unavailable: IntOrPercent, settings: &Settings, findings: &mut Findings) -> Option<String> {
    let Settings { percent, nodes } = *settings;
    let share = match unavailable {
        IntOrPercent::Int(1) => return None,
        count if nodes > 0 => {
            let down = count.resolve_up(nodes);
            let is_too_many = down > 1 && down.saturating_mul(100) > percent.saturating_mul(nodes);
            return is_too_many.then(|| {
                format!(
                    "maxUnavailable {unavailable} affects {down} of {nodes} nodes at once: this is more than {percent}%"
                )
            });
        }
        IntOrPercent::Int(_) => {
            findings.assume("maxUnavailable is at most the allowed share of the nodes");
            return None;
        }
        IntOrPercent::Percent(share) => share,
    };
    (share > percent).then(|| {
        format!("maxUnavailable is {unavailable}: this share of the nodes has no Pod at once, more than {percent}%")
    })
}
