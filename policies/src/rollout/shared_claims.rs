//! The PersistentVolumeClaims that all Pods of a workload mount.

use plimsoll_sdk::disruption::name;
use plimsoll_sdk::prelude::*;
use plimsoll_sdk::volumes::{Access, Claim, Hold, claims};
use plimsoll_sdk::workload::PodTemplate;

/// The claims that all Pods mount. In a StatefulSet, a claim template replaces the volume of the same name, so that
/// each Pod has a claim of its own.
pub(crate) fn shared_claims<'a>(object: Node<'_>, template: &PodTemplate<'a>) -> impl Iterator<Item = Claim<'a>> {
    let templates = object.at("/spec/volumeClaimTemplates").into_iter().flat_map(Node::items);
    let own: Vec<String> = templates.map(|template| name(template).to_owned()).collect();
    claims(template).filter(move |claim| !own.iter().any(|name| *name == claim.volume))
}

/// The first claim that not all Pods can mount, its access mode, and the severity.
pub(crate) fn narrow_claim(
    review: &Review<'_>,
    object: Node<'_>,
    template: &PodTemplate<'_>,
    findings: &mut Findings,
) -> Option<(String, &'static str, Severity)> {
    let is_tied = template.is_tied_to_node();
    let mut perhaps = None;
    for claim in shared_claims(object, template) {
        match claim.hold(review) {
            Hold::Unknown => findings.assume("an unknown PersistentVolumeClaim is for several nodes"),
            Hold::Perhaps(Access::OneNode) | Hold::Certain(Access::OneNode) if is_tied => {}
            Hold::Free => {}
            Hold::Perhaps(access) => {
                perhaps = perhaps.or_else(|| Some((claim.name.to_owned(), access.mode()?, Severity::Warning)));
            }
            Hold::Certain(access) => return Some((claim.name.to_owned(), access.mode()?, Severity::Error)),
        }
    }
    perhaps
}
