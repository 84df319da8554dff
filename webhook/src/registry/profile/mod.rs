//! Profiles: where a PolicySet starts from.

mod table;

pub use self::table::Reason;

use self::table::{InDefault, InProduction, Mutates, On, Row, TABLE};
use super::Actions;
use crate::model::Action;

/// Where a PolicySet starts from; its own lines come on top.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// Only what is listed is on.
    None,
    /// For a whole cluster. Denies what can't work, what blocks others, and what takes a service down; warns of the
    /// rest, and records what the manifest merely does not say.
    #[default]
    Default,
    /// As `default`, and the webhook fills in whatever it can without settings of its own.
    Mutate,
    /// For a team's own namespaces: errors deny, and so do what may run as root, a high ratio of limit to request, and a
    /// missing disruption budget.
    Production,
    /// As `production`, and what not every team asks for.
    Strict,
}

/// What a profile says of one policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Start {
    pub(super) actions: Actions,
    pub(super) mutate: bool,
}

/// Planned, and refused as such.
pub(super) const LATER: &[&str] = &["pss-baseline", "pss-restricted", "cost", "progressive", "swarm"];

/// Names of earlier versions, and the names that replace them.
const RENAMED: &[(&str, &str)] = &[("defaults", "mutate")];

impl Profile {
    /// Every profile, by the name that PolicySets and `--profile` give it.
    pub const ALL: &[(&'static str, Profile)] = &[
        ("none", Profile::None),
        ("default", Profile::Default),
        ("mutate", Profile::Mutate),
        ("production", Profile::Production),
        ("strict", Profile::Strict),
    ];

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, profile)| *profile)
    }

    /// The name that replaces one of an earlier version.
    pub fn renamed(name: &str) -> Option<&'static str> {
        RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new)
    }

    /// As PolicySets spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::None => "none",
            Profile::Default => "default",
            Profile::Mutate => "mutate",
            Profile::Production => "production",
            Profile::Strict => "strict",
        }
    }

    /// For people, what it is for.
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

    /// For people, of a built-in policy that is not on by default.
    pub fn beyond_default(id: &str) -> Option<&'static str> {
        match row(id)?.on {
            On::Everywhere => None,
            On::Strict => Some("strict"),
            On::OptIn => Some("opt-in"),
        }
    }

    /// Why a built-in policy denies in `default`; none: it does not.
    pub fn reason(id: &str) -> Option<Reason> {
        match row(id)?.default {
            InDefault::Denies(reason) => Some(reason),
            InDefault::Warns | InDefault::Records => None,
        }
    }

    /// What errors and warnings of a built-in policy do, and whether the webhook fills in; none: the policy is off.
    pub fn actions(self, id: &str) -> Option<(Action, Action, bool)> {
        let start = self.start(id, true)?;
        Some((start.actions.error, start.actions.warning, start.mutate))
    }

    /// What the profile makes of a policy that the PolicySet does not list; none: it is off. Profiles know the
    /// built-in bundle only: what another brings is on, with its actions by severity, and changes nothing.
    pub(super) fn start(self, id: &str, builtin: bool) -> Option<Start> {
        if self == Profile::None {
            return None;
        }
        let Some(row) = row(id).filter(|_| builtin) else {
            return Some(Start { actions: Actions::default(), mutate: false });
        };
        let is_on = match row.on {
            On::Everywhere => true,
            On::Strict => self == Profile::Strict,
            On::OptIn => false,
        };
        let mutate = match row.mutates {
            Mutates::Always => true,
            Mutates::InMutate => self == Profile::Mutate,
            Mutates::Never => false,
        };
        is_on.then(|| Start { actions: self.row_actions(row), mutate })
    }

    fn row_actions(self, row: &Row) -> Actions {
        let (error, warning) = match (self, row.default, row.production) {
            (Profile::Production | Profile::Strict, _, InProduction::Denies) => (Action::Deny, Action::Deny),
            (Profile::Production | Profile::Strict, _, InProduction::BySeverity) | (_, InDefault::Denies(_), _) => {
                (Action::Deny, Action::Warn)
            }
            (_, InDefault::Warns, _) => (Action::Warn, Action::Warn),
            (_, InDefault::Records, _) => (Action::Warn, Action::Audit),
        };
        // Infos say what somebody may want to know; no profile changes what is done about them.
        Actions { error, warning, ..Actions::default() }
    }
}

impl Reason {
    /// In a few words, which go on from "it".
    pub fn short(self) -> &'static str {
        match self {
            Reason::CannotWork => "can't work",
            Reason::BlocksOthers => "blocks others",
            Reason::TakesDown => "takes a service down",
        }
    }

    /// Every reason.
    pub const ALL: [Reason; 3] = [Reason::CannotWork, Reason::BlocksOthers, Reason::TakesDown];

    /// What that means.
    pub fn detail(self) -> &'static str {
        match self {
            Reason::CannotWork => {
                "the API server, a controller, the scheduler or the kubelet refuses it, or the Pod never starts"
            }
            Reason::BlocksOthers => "a drain, an upgrade or a rollout never ends",
            Reason::TakesDown => "an update, a scale or a switch leaves none of two or more Pods",
        }
    }
}

fn row(id: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{BUILTIN, Bundle, Engine, Limits};
    use Action::{Audit, Deny, Warn};
    use plimsoll_sdk::metadata::Severity;

    #[test]
    fn names_are_those_of_the_table() {
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
        assert_eq!(Profile::None.actions("runs-as-root"), None);
        assert_eq!(Profile::Default.actions("runs-as-root"), Some((Warn, Audit, true)));
        assert_eq!(Profile::Production.actions("runs-as-root"), Some((Deny, Deny, true)));
        assert_eq!(Profile::Default.actions("privilege-escalation"), Some((Warn, Audit, false)));
        assert_eq!(Profile::Mutate.actions("privilege-escalation"), Some((Warn, Audit, true)));
        assert_eq!(Profile::Default.actions("drain-deadlock"), Some((Deny, Warn, false)));
        assert_eq!(Profile::Default.actions("missing-readiness-probe"), Some((Warn, Warn, false)));
        assert_eq!(Profile::Production.actions("missing-readiness-probe"), Some((Deny, Warn, false)));
        assert_eq!(Profile::Production.actions("missing-disruption-budget"), Some((Deny, Deny, false)));
        assert_eq!(Profile::Production.actions("single-replica"), None);
        assert_eq!(Profile::Strict.actions("single-replica"), Some((Deny, Warn, false)));
        assert_eq!(Profile::Strict.actions("missing-cpu-limit"), None);
    }

    #[test]
    fn the_policies_of_other_bundles_are_on_by_severity() {
        let start = Some(Start { actions: Actions::default(), mutate: false });
        assert_eq!(Profile::Mutate.start("runs-as-root", false), start);
        assert_eq!(Profile::Default.start("somebody-elses", false), start);
        assert_eq!(Profile::None.start("somebody-elses", false), None);
    }

    /// Each profile denies whatever a milder one denies.
    #[test]
    fn a_stricter_profile_lets_nothing_pass_that_a_milder_one_denies() {
        let order = [Profile::Default, Profile::Production, Profile::Strict];
        for row in TABLE {
            let actions: Vec<_> = order.iter().map(|profile| profile.actions(row.id)).collect();
            assert!(actions.is_sorted(), "{}: {actions:?}", row.id);
        }
    }

    #[test]
    fn every_built_in_policy_has_one_row() {
        let bundle = Bundle::load(&Engine::new(Limits::default()).unwrap(), BUILTIN).unwrap();
        let policies: Vec<&str> = bundle.metadata().policies.iter().map(|policy| policy.id.as_str()).collect();
        let rows: Vec<&str> = TABLE.iter().map(|row| row.id).collect();
        assert_eq!(rows, policies, "webhook/src/registry/profile/table.rs has a row for each policy, in their order");
    }

    /// A reason is the reason of a Deny, and only errors deny in `default`.
    #[test]
    fn only_policies_with_errors_have_a_reason() {
        let bundle = Bundle::load(&Engine::new(Limits::default()).unwrap(), BUILTIN).unwrap();
        for policy in &bundle.metadata().policies {
            let denies = Profile::reason(&policy.id).is_some();
            assert!(!denies || policy.severity == Severity::Error, "{} has no errors that could deny", policy.id);
        }
    }

    #[test]
    fn every_policy_that_a_profile_mutates_declares_its_edits() {
        let bundle = Bundle::load(&Engine::new(Limits::default()).unwrap(), BUILTIN).unwrap();
        for policy in &bundle.metadata().policies {
            let mutates = Profile::Mutate.start(&policy.id, true).is_some_and(|start| start.mutate);
            assert!(!mutates || !policy.edits.is_empty(), "{} mutates, but may edit nothing", policy.id);
        }
    }
}
