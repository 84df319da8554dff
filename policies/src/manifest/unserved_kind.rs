use plimsoll_sdk::prelude::*;
use plimsoll_sdk::review::Why;

/// Objects of a kind that the API server does not serve.
///
/// ## What it finds
/// `error`: Kubernetes' own API does not serve the `apiVersion` and the `kind` together, in the version of Kubernetes
/// that the input is checked for:
///
/// - a version that was removed, such as `Deployment` in `extensions/v1beta1`, or that a later release adds;
/// - a kind in the wrong group, such as `Deployment` in `v1`;
/// - a well-known custom kind in a group without a dot or in a group of Kubernetes, such as `Rollout` in `v1`;
/// - a misspelt kind, such as `Deploymnet`.
///
/// The policy skips custom resources: groups with a dot that are not Kubernetes' own. It also skips `v1` with a kind
/// that is not similar to any kind of Kubernetes, as in configuration files of tools.
///
/// ## Why
/// The API server rejects the object, so the object has no effect. Policies know kinds by their group, so no other
/// policy judges such an object.
///
/// ## What to write
/// The `apiVersion` that serves the kind:
///
/// ```yaml
/// apiVersion: apps/v1
/// kind: Deployment
/// ```
///
/// A newer version may require more fields: a Deployment of `apps/v1` needs `spec.selector`. If the cluster has another
/// version than the newest, pass it: `plimsoll check --kubernetes-version 1.34`.
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
            format!("{kind} of {api_version} is not served since Kubernetes {release}: the API server rejects it")
        }
        Why::Later(release) => {
            format!("{kind} of {api_version} is served from Kubernetes {release} on: the API server rejects it")
        }
        Why::Unknown => format!("{api_version} has no kind {kind}: the API server rejects it"),
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
