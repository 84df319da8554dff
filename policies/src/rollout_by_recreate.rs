use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::is_served;

/// Deployments that end all Pods before they start new ones.
///
/// ## What it finds
/// `warning`: a Deployment of type `Recreate` with a Service that selects its Pods. One that mounts a
/// PersistentVolumeClaim is left out, unless all of its claims are known and shared (`ReadWriteMany`, `ReadOnlyMany`): the
/// volume must be let go before the next Pod can have it.
///
/// ## Why
/// Between the last old Pod and the first new one that is ready the Service has nobody to send requests to, at every
/// deployment, and for good if the new version does not start.
///
/// ## What to write
/// ```yaml
/// strategy:
///   type: RollingUpdate
///   rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
/// ```
///
/// Both versions then run at the same time, for which a change of a database has to be made in two steps.
///
/// ## Assumptions
/// Where not all Services are known, some Service is assumed to select the Pods. Where a claim is not known, it is assumed
/// to be for one node.
#[policy(
    category = "rollout", on = Kinds, kinds = ["apps/Deployment"], severity = Warning, since = "0.1.0",
    refines = ["/Service", "/PersistentVolumeClaim"]
)]
pub fn rollout_by_recreate(review: &Review, findings: &mut Findings) {
    let at = review.at("spec/strategy/type");
    if at.as_str() != Some("Recreate") {
        return;
    }
    let claims = review.template().map(|template| template.spec().at("volumes"));
    for volume in claims.iter().flat_map(Cursor::items) {
        // An ephemeral volume is each Pod's own.
        let Some(name) = volume.at("persistentVolumeClaim/claimName").as_str() else { continue };
        let answer = review.get("/PersistentVolumeClaim", name);
        let Some(claim) = answer.nodes().next() else {
            return findings.assume("a PersistentVolumeClaim that is not known is for one node");
        };
        let mut modes = claim.at("/spec/accessModes").into_iter().flat_map(Node::items);
        if !modes.any(|mode| matches!(mode.as_str(), Some("ReadWriteMany" | "ReadOnlyMany"))) {
            return;
        }
    }
    match is_served(review) {
        Knowledge::No => return,
        Knowledge::Unknown => findings.assume("some Service selects these Pods"),
        Knowledge::Yes => {}
    }
    let message = "Recreate ends all Pods before it starts new ones: the Service has nobody to send requests to";
    let help = "write type: RollingUpdate, with maxSurge: 1 and maxUnavailable: 0";
    findings.warning(&at, message, help);
}
