//! Who may mount the volumes of Pods at a time.

use plimsoll_flat::Node;

use crate::cursor::Cursor;
use crate::kind::Kind;
use crate::review::Review;
use crate::storage::Storage;
use crate::workload::PodTemplate;

/// Who may mount a PersistentVolumeClaim at a time.
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
    /// As `accessModes` spells it; none for what is shared, which has two names.
    #[must_use]
    pub fn mode(self) -> Option<&'static str> {
        match self {
            Access::OnePod => Some("ReadWriteOncePod"),
            Access::OneNode => Some("ReadWriteOnce"),
            Access::Many => None,
        }
    }

    /// What a PersistentVolumeClaim asks for. Of several modes the widest counts, for the volume has to offer all of them.
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
    /// Its name.
    pub name: &'a str,
    /// The name of the volume.
    pub volume: &'a str,
    /// `persistentVolumeClaim/claimName` of the volume.
    pub at: Cursor<'a>,
}

/// Whether a claim keeps a second Pod waiting while the first one runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// The claim, or what it asks for, is not known.
    Unknown,
    /// Any number of Pods may mount it, whichever node they are on or are brought to.
    Free,
    /// It does if its volume is attached, which is not known.
    Perhaps(Access),
    /// It does.
    Certain(Access),
}

impl Hold {
    /// Of this claim. `ReadWriteOncePod` holds for every volume, because the scheduler itself keeps to it.
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
    /// Whether it keeps a second Pod waiting. Needs [`Kind::PERSISTENT_VOLUME_CLAIM`] in `requires` or `refines`, and the kinds of
    /// [`Storage::of_claim`].
    #[must_use]
    pub fn hold(&self, review: &Review<'_>) -> Hold {
        review
            .get(Kind::PERSISTENT_VOLUME_CLAIM, self.name)
            .nodes()
            .next()
            .map_or(Hold::Unknown, |claim| Hold::of(review, claim))
    }

    /// Who may mount it; none where the claim, or what it asks for, is not known. Needs [`Kind::PERSISTENT_VOLUME_CLAIM`] in `requires` or
    /// `refines`.
    #[must_use]
    pub fn access(&self, review: &Review<'_>) -> Option<Access> {
        let answer = review.get(Kind::PERSISTENT_VOLUME_CLAIM, self.name);
        answer.nodes().next().and_then(Access::of)
    }
}

/// Whether a claim of these Pods keeps them from being two, for certain or perhaps: advice must not ask for a second one.
/// Needs [`Kind::PERSISTENT_VOLUME_CLAIM`] and the kinds of [`Storage::of_claim`] in `refines`.
#[must_use]
pub fn keep_one_pod(review: &Review<'_>, template: &PodTemplate<'_>) -> bool {
    let is_tied = template.is_tied_to_node();
    claims(template).any(|claim| match claim.hold(review) {
        Hold::Unknown | Hold::Free => false,
        Hold::Perhaps(access) | Hold::Certain(access) => !(is_tied && access == Access::OneNode),
    })
}

/// Maximum number of claims of one template that are looked at. No node attaches that many volumes to its Pods together.
pub const MAX_CLAIMS: usize = 128;

/// The claims that a template's volumes name, the first [`MAX_CLAIMS`] of them. Those of a StatefulSet's `volumeClaimTemplates`, and ephemeral ones, are
/// each Pod's own.
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
