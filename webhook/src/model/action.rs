//! The action on a finding, and the reason for a milder one than the PolicySets say.

/// The action on a finding, mildest first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// Nothing is done; the policy does not even run.
    #[default]
    Off,
    /// The finding is recorded and not shown.
    Audit,
    /// The finding is shown to the user who applies the object.
    Warn,
    /// The request is denied.
    Deny,
}

impl Action {
    /// Spelling in PolicySets and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Off => "Off",
            Action::Audit => "Audit",
            Action::Warn => "Warn",
            Action::Deny => "Deny",
        }
    }
}

/// Why the action is lower than in the PolicySets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Spared {
    /// The mode is `observe`.
    Observed,
    /// `breakGlass` of the PolicySet names the user.
    BreakGlass,
    /// The user is one of `trustedControllers`.
    TrustedController,
    /// The policy, or this kind of its findings, is newer than `policiesAsOf`.
    New,
    /// The old object already violated the policy in the same way.
    Ratchet,
    /// The request changes only metadata.
    MetadataOnly,
    /// A HorizontalPodAutoscaler scales.
    Autoscaler,
    /// The workload goes back to an earlier template.
    Rollback,
    /// The object belongs to a controller, which copies what its owner says.
    Owned,
    /// The reviewed object is new, so the missing object may still come.
    Young,
    /// A later object of the same release may resolve the finding.
    Unsettled,
    /// The request changes nothing that the missing object would be about.
    Untouched,
    /// The namespace is being deleted.
    Terminating,
    /// The finding depends on an absent object, and a second look did not confirm it.
    Unconfirmed,
}

impl Spared {
    /// Spelling in audit annotations and metrics.
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
