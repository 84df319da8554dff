use plimsoll_sdk::prelude::*;
use plimsoll_sdk::review::Why;

/// Objects of a kind that the API server does not serve.
///
/// ## What it finds
/// `error`: an `apiVersion` and a `kind` that Kubernetes' own API does not have together, for the version of Kubernetes
/// that the input is checked for:
///
/// - a version that was removed, such as `Deployment` in `extensions/v1beta1`, or that comes in a later release;
/// - a kind in another group than its own, such as `Deployment` in `v1`;
/// - a well-known custom kind in a group without a dot or in one of Kubernetes, such as `Rollout` in `v1`;
/// - a misspelt kind, such as `Deploymnet`.
///
/// Custom resources are left alone: groups with a dot that are not Kubernetes' own. So is `v1` with a kind that is like
/// none of Kubernetes, as configuration files of tools have it.
///
/// ## Why
/// The API server refuses the object, and whatever it was to do is not done. Policies know kinds by their group, so none of
/// them judges such an object.
///
/// ## What to write
/// The `apiVersion` that serves the kind:
///
/// ```yaml
/// apiVersion: apps/v1
/// kind: Deployment
/// ```
///
/// A newer version may ask for more: a Deployment of `apps/v1` needs `spec.selector`. If the cluster is of another version
/// than the newest, say so: `plimsoll check --kubernetes-version 1.34`.
#[policy(
    on = Kinds, kinds = ["*"], severity = Error, since = "0.1.0", stage = Source,
    default = Deny(CannotWork),
    covers = ["api-removed: not deprecated versions that are still served"]
)]
pub fn unserved_kind(review: &Review, findings: &mut Findings) {
    let Some(unserved) = review.unserved() else { return };
    let (api_version_at, kind_at) = (review.at("/apiVersion"), review.at("/kind"));
    let (Some(api_version), Some(kind)) = (api_version_at.as_str(), kind_at.as_str()) else { return };
    let message = match unserved.why {
        Why::Removed(release) => {
            format!("{kind} of {api_version} is not served since Kubernetes {release}: the API server refuses it")
        }
        Why::Later(release) => {
            format!("{kind} of {api_version} is served from Kubernetes {release} on: the API server refuses it")
        }
        Why::Unknown => format!("{api_version} has no kind {kind}: the API server refuses it"),
    };
    let help = match (unserved.kind, unserved.api_version) {
        (Some(meant), Some(served)) if served != api_version => format!("write apiVersion: {served} and kind: {meant}"),
        (Some(meant), _) => format!("write kind: {meant}"),
        (None, Some(served)) => format!("write apiVersion: {served}"),
        (None, None) if matches!(unserved.why, Why::Unknown) => "write the kind that is meant".to_owned(),
        (None, None) => "take it out: no version of it is served".to_owned(),
    };
    let at = if unserved.kind.is_some() { &kind_at } else { &api_version_at };
    findings.error(at, message, help);
}
