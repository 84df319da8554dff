//! Profiles: the starting point of a PolicySet.

pub use plimsoll_sdk::metadata::Reason;

use plimsoll_sdk::metadata::{FillsIn, InDefault, InProduction, Only, Policy, Severity};

use super::Actions;
use crate::model::Action;

/// The starting point of a PolicySet. Its own entries override the profile.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// Only listed policies are on.
    None,
    /// For a whole cluster. Denies objects that can't work, that block others, or that take a service down. Warns about
    /// the rest. Only records values that a manifest leaves out.
    #[default]
    Default,
    /// Like `default`, and the webhook fills in whatever it can without settings of its own.
    Mutate,
    /// For a team's own namespaces. Denies errors, containers that may run as root, a high ratio of limit to request,
    /// and a missing disruption budget.
    Production,
    /// Like `production`, with policies that not every team wants.
    Strict,
}

/// The actions of one policy in a profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Start {
    pub(super) actions: Actions,
    pub(super) mutate: bool,
}

/// Profiles that are planned. Their names are rejected as not supported yet.
pub(super) const LATER: &[&str] = &["pss-baseline", "pss-restricted", "cost", "progressive", "swarm"];

/// Names of earlier versions, and the names that replace them.
const RENAMED: &[(&str, &str)] = &[("defaults", "mutate")];

impl Profile {
    /// Every profile, by its name in PolicySets and in `--profile`.
    pub const ALL: &[(&'static str, Profile)] = &[
        ("none", Profile::None),
        ("default", Profile::Default),
        ("mutate", Profile::Mutate),
        ("production", Profile::Production),
        ("strict", Profile::Strict),
    ];

    /// Parses the name of a profile.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, profile)| *profile)
    }

    /// The new name of a profile that was renamed.
    pub fn renamed(name: &str) -> Option<&'static str> {
        RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
    }

    /// Spelling in PolicySets.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::None => "none",
            Profile::Default => "default",
            Profile::Mutate => "mutate",
            Profile::Production => "production",
            Profile::Strict => "strict",
        }
    }

    /// The purpose of the profile, for readers.
    pub fn purpose(self) -> &'static str {
        match self {
            Profile::None => "only what is listed in `policies` is on",
            Profile::Default => {
                "for a whole cluster: denies what can't work, what blocks others, and what takes a service down at an \
                 ordinary event; warns of the rest; records what a manifest merely does not say"
            }
            Profile::Mutate => "as `default`, and the webhook fills in more",
            Profile::Production => {
                "for a team's own namespaces: every error denies, and so do what may run as root, a high ratio of memory \
                 limit to request, and a missing disruption budget"
            }
            Profile::Strict => "as `production`, and the policies that not every team asks for",
        }
    }

    /// For a policy that is off in `default`, a word for readers that says where it is on.
    pub fn beyond_default(policy: &Policy) -> Option<&'static str> {
        match policy.profiles.only? {
            Only::Strict => Some("strict"),
            Only::OptIn => Some("opt-in"),
        }
    }

    /// Why a policy denies in `default`. None if it does not deny, or gives no reason.
    pub fn reason(policy: &Policy) -> Option<Reason> {
        match policy.profiles.default? {
            InDefault::Deny(reason) => Some(reason),
            InDefault::Warn | InDefault::Audit => None,
        }
    }

    /// The actions on errors and warnings of a built-in policy, and whether the webhook fills in. None if the policy is
    /// off.
    pub fn actions(self, policy: &Policy) -> Option<(Action, Action, bool)> {
        let start = self.start(policy, true)?;
        Some((start.actions.error, start.actions.warning, start.mutate))
    }

    /// The start of a policy that the PolicySet does not list. None if it is off. Only the built-in bundle fills in
    /// values without an explicit `mutate`.
    pub(super) fn start(self, policy: &Policy, builtin: bool) -> Option<Start> {
        let is_on = match policy.profiles.only {
            _ if self == Profile::None => false,
            None => true,
            Some(Only::Strict) => self == Profile::Strict,
            Some(Only::OptIn) => false,
        };
        let mutate = match policy.profiles.fills_in {
            Some(FillsIn::Default) => builtin,
            Some(FillsIn::Mutate) => builtin && self == Profile::Mutate,
            None => false,
        };
        is_on.then(|| Start { actions: self.actions_of(policy), mutate })
    }

    fn actions_of(self, policy: &Policy) -> Actions {
        let (error, warning) = match (self, policy.profiles.default, policy.profiles.production) {
            (Profile::Production | Profile::Strict, _, Some(InProduction::Deny)) => (Action::Deny, Action::Deny),
            (Profile::Production | Profile::Strict, _, None) | (_, Some(InDefault::Deny(_)), _) => {
                (Action::Deny, Action::Warn)
            }
            (_, Some(InDefault::Warn), _) => (Action::Warn, Action::Warn),
            (_, Some(InDefault::Audit), _) => (Action::Warn, Action::Audit),
            (_, None, _) if policy.severity == Severity::Error => (Action::Deny, Action::Warn),
            // The policy has no errors.
            (_, None, _) => (Action::Warn, Action::Warn),
        };
        // An info is only worth knowing, so no profile changes its action.
        Actions { error, warning, ..Actions::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{BUILTIN, Description};
    use crate::registry::test_bundle::policy;
    use Action::{Audit, Deny, Warn};
    use plimsoll_sdk::metadata::{Bundle, Profiles};

    #[test]
    fn names_are_those_of_the_list() {
        for &(name, profile) in Profile::ALL {
            assert_eq!((Profile::parse(name), profile.as_str()), (Some(profile), name));
        }
        assert_eq!(Profile::parse("pss-baseline"), None);
        for (old, new) in RENAMED {
            assert!(Profile::parse(old).is_none() && Profile::parse(new).is_some(), "{old}, {new}");
        }
    }

    #[test]
    fn what_the_profiles_say() {
        let metadata = built_in();
        let says = |profile: Profile, id: &str| {
            profile.actions(metadata.policies.iter().find(|policy| policy.id == id).unwrap())
        };
        assert_eq!(says(Profile::None, "runs-as-root"), None);
        assert_eq!(says(Profile::Default, "runs-as-root"), Some((Warn, Audit, true)));
        assert_eq!(says(Profile::Production, "runs-as-root"), Some((Deny, Deny, true)));
        assert_eq!(says(Profile::Default, "privilege-escalation"), Some((Warn, Audit, false)));
        assert_eq!(says(Profile::Mutate, "privilege-escalation"), Some((Warn, Audit, true)));
        assert_eq!(says(Profile::Default, "drain-deadlock"), Some((Deny, Warn, false)));
        assert_eq!(says(Profile::Default, "missing-readiness-probe"), Some((Warn, Warn, false)));
        assert_eq!(says(Profile::Production, "missing-readiness-probe"), Some((Deny, Warn, false)));
        assert_eq!(says(Profile::Production, "missing-disruption-budget"), Some((Deny, Deny, false)));
        assert_eq!(says(Profile::Production, "single-replica"), None);
        assert_eq!(says(Profile::Strict, "single-replica"), Some((Deny, Warn, false)));
        assert_eq!(says(Profile::Strict, "missing-cpu-limit"), None);
    }

    /// Other bundles' declarations about profiles count, except for what the webhook would fill in.
    #[test]
    fn the_policies_of_other_bundles() {
        let unsaid = policy("somebody-elses", "security", Severity::Error);
        let start = Some(Start { actions: Actions::default(), mutate: false });
        assert_eq!(Profile::Default.start(&unsaid, false), start);
        assert_eq!(Profile::None.start(&unsaid, false), None);
        let profiles = Profiles {
            only: Some(Only::Strict),
            default: Some(InDefault::Warn),
            fills_in: Some(FillsIn::Default),
            ..Profiles::default()
        };
        let said = Policy { profiles, ..unsaid };
        assert_eq!(Profile::Default.start(&said, false), None);
        assert_eq!(Profile::Strict.start(&said, false), start);
        assert!(Profile::Strict.start(&said, true).is_some_and(|start| start.mutate));
    }

    /// Each profile denies everything that a milder profile denies.
    #[test]
    fn a_stricter_profile_lets_nothing_pass_that_a_milder_one_denies() {
        let order = [Profile::Default, Profile::Production, Profile::Strict];
        for policy in &built_in().policies {
            let actions: Vec<_> = order.iter().map(|profile| profile.actions(policy)).collect();
            assert!(actions.is_sorted(), "{}: {actions:?}", policy.id);
        }
    }

    /// The author of a policy decides whether its errors deny in `default`, and gives the reason. The teams of such a
    /// cluster did not ask for the policy.
    #[test]
    fn every_built_in_policy_with_errors_says_what_they_do_in_default() {
        for policy in &built_in().policies {
            let says = policy.profiles.default.is_some();
            assert!(says || policy.severity != Severity::Error, "{} needs `default = …`", policy.id);
            let denies = Profile::reason(policy).is_some();
            assert!(!denies || policy.severity == Severity::Error, "{} has no errors that could deny", policy.id);
        }
    }

    #[test]
    fn every_policy_that_a_profile_mutates_declares_its_edits() {
        for policy in &built_in().policies {
            let mutates = policy.profiles.fills_in.is_some();
            assert!(!mutates || !policy.edits.is_empty(), "{} mutates, but may edit nothing", policy.id);
        }
    }

    fn built_in() -> Bundle {
        Description::read(BUILTIN).unwrap().metadata
    }
}
