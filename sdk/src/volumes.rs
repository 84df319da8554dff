//! Which Pods may mount a volume at the same time.

use plimsoll_flat::Node;

use crate::cursor::Cursor;
use crate::kind::Kind;
use crate::review::Review;
use crate::storage::Storage;
use crate::workload::PodTemplate;

/// Which Pods may mount a PersistentVolumeClaim at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// One Pod: `ReadWriteOncePod`.
    OnePod,
    /// The Pods of one node: `ReadWriteOnce`.
    OneNode,
    /// Pods of any node: `ReadWriteMany`, `ReadOnlyMany`.
    Many,
}

impl Access {
    /// The value in `accessModes`. `None` for [`Access::Many`], which has two values.
    #[must_use]
    pub fn mode(self) -> Option<&'static str> {
        match self {
            Access::OnePod => Some("ReadWriteOncePod"),
            Access::OneNode => Some("ReadWriteOnce"),
            Access::Many => None,
        }
    }

    /// Access of a PersistentVolumeClaim. If it lists several modes, the widest counts, because the volume must offer
    /// all of them.
    #[must_use]
    pub fn of(claim: Node<'_>) -> Option<Self> {
        let modes = claim.at("/spec/accessModes").into_iter().flat_map(Node::items);
        let modes = modes.filter_map(|mode| match mode.as_str()? {
            "ReadWriteOncePod" => Some(Access::OnePod),
            "ReadWriteOnce" => Some(Access::OneNode),
            "ReadWriteMany" | "ReadOnlyMany" => Some(Access::Many),
            _ => None,
        });
        modes.reduce(|widest, next| if next as u8 > widest as u8 { next } else { widest })
    }
}

/// A claim that all Pods of a template share, by its name.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Name of the claim.
    pub name: &'a str,
    /// Name of the volume in the pod template.
    pub volume: &'a str,
    /// `persistentVolumeClaim/claimName` of the volume.
    pub at: Cursor<'a>,
}

/// Whether a claim keeps a second Pod waiting while the first one runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// The claim, or its access mode, is not known.
    Unknown,
    /// Any number of Pods may mount it: on any node, or because the scheduler places all of them on the right node.
    Free,
    /// The claim keeps a second Pod waiting if its volume is attached, which is not known.
    Perhaps(Access),
    /// The claim keeps a second Pod waiting.
    Certain(Access),
}

impl Hold {
    /// Reads a claim. `ReadWriteOncePod` is certain for every volume, because the scheduler enforces it.
    #[must_use]
    pub fn of(review: &Review<'_>, claim: Node<'_>) -> Self {
        match Access::of(claim) {
            None => Hold::Unknown,
            Some(Access::Many) => Hold::Free,
            Some(access @ Access::OnePod) => Hold::Certain(access),
            Some(access @ Access::OneNode) => match Storage::of_claim(review, claim) {
                Storage::Free => Hold::Free,
                Storage::Unknown => Hold::Perhaps(access),
                Storage::Attached => Hold::Certain(access),
            },
        }
    }

    /// The assumption of a policy that reports a [`Hold::Perhaps`].
    pub const ASSUMED: &str = "a volume of an unknown StorageClass is attached to one node at a time";

    /// The reason why a policy only warns of a [`Hold::Perhaps`], for the message.
    pub const BECAUSE: &str =
        "the StorageClass is not known; this applies if the volume is attached to one node at a time";
}

impl Claim<'_> {
    /// Whether the claim keeps a second Pod waiting. Needs [`Kind::PERSISTENT_VOLUME_CLAIM`] in `requires` or
    /// `refines`, and the kinds of [`Storage::of_claim`].
    #[must_use]
    pub fn hold(&self, review: &Review<'_>) -> Hold {
        review
            .get(Kind::PERSISTENT_VOLUME_CLAIM, self.name)
            .nodes()
            .next()
            .map_or(Hold::Unknown, |claim| Hold::of(review, claim))
    }

    /// Which Pods may mount the claim. `None` if the claim or its access mode is not known. Needs
    /// [`Kind::PERSISTENT_VOLUME_CLAIM`] in `requires` or `refines`.
    #[must_use]
    pub fn access(&self, review: &Review<'_>) -> Option<Access> {
        let answer = review.get(Kind::PERSISTENT_VOLUME_CLAIM, self.name);
        answer.nodes().next().and_then(Access::of)
    }
}

/// Whether a claim may keep a second Pod waiting, so that a help must not propose a second Pod. Needs
/// [`Kind::PERSISTENT_VOLUME_CLAIM`] and the kinds of [`Storage::of_claim`] in `refines`.
#[must_use]
pub fn keep_one_pod(review: &Review<'_>, template: &PodTemplate<'_>) -> bool {
    let is_tied = template.is_tied_to_node();
    claims(template).any(|claim| match claim.hold(review) {
        Hold::Unknown | Hold::Free => false,
        Hold::Perhaps(access) | Hold::Certain(access) => !(is_tied && access == Access::OneNode),
    })
}

/// Maximum number of claims of one template that are checked. No node attaches this many volumes.
pub const MAX_CLAIMS: usize = 128;

/// The first [`MAX_CLAIMS`] claims that the volumes of a template name. Ephemeral claims and those of
/// `volumeClaimTemplates` are left out, because each Pod has its own.
pub fn claims<'a>(template: &PodTemplate<'a>) -> impl Iterator<Item = Claim<'a>> + use<'a> {
    template
        .spec()
        .at("/volumes")
        .items()
        .filter_map(|volume| {
            let at = volume.at("/persistentVolumeClaim/claimName");
            let volume = volume.at("/name").as_str().unwrap_or_default();
            Some(Claim { name: at.as_str().filter(|name| !name.is_empty())?, volume, at })
        })
        .take(MAX_CLAIMS)
}

#[cfg(test)]
mod tests {
    use plimsoll_flat::{Node, json};

    use super::Access;

    #[test]
    fn the_widest_mode_counts() {
        for (modes, expected) in [
            (r#"["ReadWriteOnce"]"#, Some(Access::OneNode)),
            (r#"["ReadWriteOncePod"]"#, Some(Access::OnePod)),
            (r#"["ReadWriteOnce", "ReadOnlyMany"]"#, Some(Access::Many)),
            (r#"["ReadWriteMany", "ReadWriteOnce"]"#, Some(Access::Many)),
            (r#"["Other"]"#, None),
            ("[]", None),
            ("3", None),
        ] {
            let document = json::from_json(format!(r#"{{"spec": {{"accessModes": {modes}}}}}"#).as_bytes()).unwrap();
            assert_eq!(Access::of(Node::root(&document).unwrap()), expected, "{modes}");
        }
    }
}
