//! Profiles: where a PolicySet starts from.

use crate::admission::Action;

/// Where a PolicySet starts from; its own lines come on top.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// Only what is listed is on.
    None,
    /// Every policy is on but those that `strict` adds and those that are opted into by name; what the restricted Pod
    /// Security Standard asks for warns; of what the webhook can fill in, only what changes nothing at run time and is
    /// asked for everywhere.
    #[default]
    Default,
    /// As `default`, and whatever the webhook can fill in without settings of its own, it does.
    Defaults,
    /// As `default`, and what not every team asks for.
    Strict,
}

/// What a profile says of one policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Start {
    /// None: by severity.
    pub(super) action: Option<Action>,
    pub(super) mutate: bool,
}

/// Planned, and refused as such.
pub(super) const LATER: &[&str] = &["pss-baseline", "pss-restricted", "cost", "progressive", "swarm"];

/// On in `strict` only, or where a PolicySet lists them.
const STRICT: &[&str] = &[
    "autoscaler-without-readiness",
    "rollout-without-min-ready",
    "shutdown-without-pre-stop",
    "signals-lost-in-shell",
    "single-replica",
    "undisruptable-pods",
];

/// On only where a PolicySet lists them.
const OPT_IN: &[&str] = &[
    "config-change-without-rollout",
    "evictable-under-pressure",
    "excessive-grace-period",
    "missing-cpu-limit",
    "missing-priority-class",
    "pod-larger-than-nodes",
];

/// Policy of the built-in bundle, its action in both profiles, whether it mutates in `default` and in `defaults`.
///
/// Warned of: what only the restricted Pod Security Standard asks for (`E(restricted)` in the catalogue). Mutations: the
/// catalogue's table of what the webhook can fill in, rows `on` and `defaults`.
#[rustfmt::skip]
const TABLE: &[(&str, Option<Action>, bool, bool)] = &[
    ("missing-readiness-probe",   None,               false, false),
    ("identical-probes",          None,               false, false),
    ("excessive-memory-ratio",    None,               false, false),
    ("missing-resource-requests", None,               false, true),
    ("runs-as-root",              Some(Action::Warn), true,  true),
    ("privilege-escalation",      Some(Action::Warn), false, true),
    ("missing-seccomp-profile",   None,               false, true),
    ("rollout-without-capacity",  None,               false, true),
    ("rollout-rounding-surprise", None,               false, false),
    ("rollout-deadline-too-short", None,              false, false),
    ("latest-image-tag",          None,               false, false),
    ("live-workload-removed",     None,               false, false),
];

impl Profile {
    /// Every profile, by the name that PolicySets and `--profile` give it.
    pub const ALL: &[(&'static str, Profile)] = &[
        ("none", Profile::None),
        ("default", Profile::Default),
        ("defaults", Profile::Defaults),
        ("strict", Profile::Strict),
    ];

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, profile)| *profile)
    }

    /// As PolicySets spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::None => "none",
            Profile::Default => "default",
            Profile::Defaults => "defaults",
            Profile::Strict => "strict",
        }
    }

    /// For people, of a built-in policy that is not on by default.
    pub fn beyond_default(id: &str) -> Option<&'static str> {
        match id {
            id if STRICT.contains(&id) => Some("strict"),
            id if OPT_IN.contains(&id) => Some("opt-in"),
            _ => None,
        }
    }

    /// What the profile makes of a policy that the PolicySet does not list; none: it is off. Profiles know the
    /// built-in bundle only: what another brings is on, with its actions by severity, and changes nothing.
    pub(super) fn start(self, id: &str, builtin: bool) -> Option<Start> {
        let listed = |ids: &[&str]| builtin && ids.contains(&id);
        if self == Profile::None || listed(OPT_IN) || (self != Profile::Strict && listed(STRICT)) {
            return None;
        }
        let row = TABLE.iter().find(|(known, ..)| builtin && *known == id);
        let &(_, action, by_default, by_defaults) = row.unwrap_or(&("", None, false, false));
        Some(Start { action, mutate: if self == Profile::Defaults { by_defaults } else { by_default } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{BUILTIN, Bundle, Engine, Limits};

    #[test]
    fn names_are_those_of_the_table() {
        for &(name, profile) in Profile::ALL {
            assert_eq!((Profile::parse(name), profile.as_str()), (Some(profile), name));
        }
        assert_eq!(Profile::parse("pss-baseline"), None);
    }

    #[test]
    fn what_the_profiles_say() {
        let start = |action, mutate| Some(Start { action, mutate });
        assert_eq!(Profile::None.start("runs-as-root", true), None);
        assert_eq!(Profile::Default.start("runs-as-root", true), start(Some(Action::Warn), true));
        assert_eq!(Profile::Default.start("privilege-escalation", true), start(Some(Action::Warn), false));
        assert_eq!(Profile::Defaults.start("privilege-escalation", true), start(Some(Action::Warn), true));
        assert_eq!(Profile::Default.start("missing-resource-requests", true), start(None, false));
        assert_eq!(Profile::Defaults.start("missing-resource-requests", true), start(None, true));
        assert_eq!(Profile::Defaults.start("runs-as-root", false), start(None, false));
        assert_eq!(Profile::Defaults.start("somebody-elses", false), start(None, false));
    }

    /// `defaults` changes more than `default`, and nothing else.
    #[test]
    fn defaults_only_adds_mutations() {
        assert!(TABLE.iter().all(|&(_, _, default, defaults)| defaults || !default));
    }

    #[test]
    fn every_policy_that_a_profile_names_exists() {
        let bundle = Bundle::load(&Engine::new(Limits::default()).unwrap(), BUILTIN).unwrap();
        let missing = |id: &&str| !bundle.metadata().policies.iter().any(|policy| policy.id == **id);
        let named = TABLE.iter().map(|(id, ..)| *id).chain(STRICT.iter().copied()).chain(OPT_IN.iter().copied());
        let missing: Vec<_> = named.filter(missing).collect();
        assert!(missing.is_empty(), "{missing:?} are in a profile, but not in the built-in bundle");
    }

    #[test]
    fn every_policy_that_a_profile_mutates_declares_its_edits() {
        let bundle = Bundle::load(&Engine::new(Limits::default()).unwrap(), BUILTIN).unwrap();
        for policy in &bundle.metadata().policies {
            let mutates = Profile::Defaults.start(&policy.id, true).is_some_and(|start| start.mutate);
            assert!(!mutates || !policy.edits.is_empty(), "{} mutates, but may edit nothing", policy.id);
        }
    }
}
