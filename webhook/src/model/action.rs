//! The action on a finding, and the reason for a milder one than the PolicySets say.

/// The action on a finding, mildest first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// Nothing; the policy does not even run.
    #[default]
    Off,
    /// Recorded, not shown.
    Audit,
    /// Shown to whoever applies.
    Warn,
    /// Refused.
    Deny,
}

impl Action {
    /// As PolicySets and reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Off => "Off",
            Action::Audit => "Audit",
            Action::Warn => "Warn",
            Action::Deny => "Deny",
        }
    }
}

/// Why less is done than the PolicySets say.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Spared {
    /// The mode is `observe`.
    Observed,
    /// The user may break the glass.
    BreakGlass,
    /// The user is one of `trustedControllers`.
    TrustedController,
    /// The policy, or this meaning of it, is newer than `policiesAsOf`.
    New,
    /// The old object broke the policy in the same way.
    Ratchet,
    /// Only metadata changes.
    MetadataOnly,
    /// A HorizontalPodAutoscaler scales.
    Autoscaler,
    /// The workload goes back to a template that it has had.
    Rollback,
    /// A controller makes it of what its owner says.
    Owned,
    /// The missing object may still come: the reviewed one is new.
    Young,
    /// An object that follows in the same release may end it.
    Unsettled,
    /// The request changes nothing that the missing object would be about.
    Untouched,
    /// The namespace is being deleted.
    Terminating,
    /// It rests on an object that is absent, and a second look did not confirm that.
    Unconfirmed,
}

impl Spared {
    /// As audit annotations and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Spared::Observed => "observed",
            Spared::BreakGlass => "break-glass",
            Spared::TrustedController => "trusted-controller",
            Spared::New => "new-policy",
            Spared::Ratchet => "already-so",
            Spared::MetadataOnly => "metadata-only",
            Spared::Autoscaler => "autoscaler",
            Spared::Rollback => "rollback",
            Spared::Owned => "owned",
            Spared::Young => "young",
            Spared::Unsettled => "unsettled",
            Spared::Untouched => "untouched",
            Spared::Terminating => "terminating",
            Spared::Unconfirmed => "unconfirmed",
        }
    }
}
