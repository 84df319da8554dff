//! Resolves the actions of a policy. The rules apply from the widest to the narrowest, and the narrowest wins.

use plimsoll_sdk::metadata::{self, Severity};

use super::Actions;
use super::policy_set::PolicySet;
use super::profile::Start;
use crate::model::Action;

/// The order of the rules, narrowest first: the policy's own entry, its category, the severities, the profile, the
/// default by severity.
///
/// A rule for severities (`severities`) sets the action of each severity. A rule for policies (profile, category,
/// policy) sets the action of errors and warnings. It can lower infos but not raise them, because an info is only worth
/// knowing ("the request is only a copy of the limit"). If the policy's own severity is info, its own entry can raise
/// infos, too.
pub(super) fn resolve(set: &PolicySet, policy: &metadata::Policy, start: Option<Start>) -> Actions {
    let category = set.categories.iter().find(|(name, _)| name.value == policy.category).map(|(_, action)| *action);
    let entry = set.entry(&policy.id).and_then(|entry| entry.action);
    let info = set.severity(Severity::Info).unwrap_or(Actions::default().info);

    let start = start.map(|start| start.actions).unwrap_or_default();
    let mut actions = Actions { info, ..start };
    actions.error = set.severity(Severity::Error).unwrap_or(actions.error);
    actions.warning = set.severity(Severity::Warning).unwrap_or(actions.warning);
    if let Some(action) = category {
        actions = apply(action, info);
    }
    if let Some(action) = entry {
        actions = apply(action, info);
        if policy.severity == Severity::Info {
            actions.info = action;
        }
    }
    actions
}

/// `info` is the action of infos by severity. The action of the rule caps it.
fn apply(action: Action, info: Action) -> Actions {
    Actions { error: action, warning: action, info: info.min(action) }
}

#[cfg(test)]
mod tests {
    use plimsoll_sdk::metadata::InDefault;

    use super::*;
    use crate::registry::Profile;
    use crate::registry::policy_set::tests::set;
    use crate::registry::test_bundle::policy;

    const D: Action = Action::Deny;
    const W: Action = Action::Warn;
    const A: Action = Action::Audit;
    const O: Action = Action::Off;

    /// The actions of error, warning and info.
    fn of(spec: &str, id: &str, category: &str, severity: Severity) -> [Action; 3] {
        let set = set(spec);
        let mut policy = policy(id, category, severity);
        policy.profiles.default = (id == "runs-as-root").then_some(InDefault::Audit);
        let actions = resolve(&set, &policy, Profile::Default.start(&policy, true));
        [actions.error, actions.warning, actions.info]
    }

    #[test]
    fn the_narrowest_wins() {
        let error = |spec, id| of(spec, id, "security", Severity::Error);
        assert_eq!(error("{}", "drain-deadlock"), [D, W, A]);
        assert_eq!(error("{}", "runs-as-root"), [W, A, A], "the profile over the severity");
        let severities = "severities: [{name: error, action: Audit}]";
        assert_eq!(error(severities, "drain-deadlock"), [A, W, A]);
        assert_eq!(error(severities, "runs-as-root"), [A, A, A], "severities over the profile");
        let categories = "severities: [{name: error, action: Audit}]\ncategories: [{name: security, action: Deny}]";
        assert_eq!(error(categories, "runs-as-root"), [D, D, A], "categories over severities");
        assert_eq!(of(categories, "latest-image-tag", "image", Severity::Error), [A, W, A], "another category");
        let policies = "categories: [{name: security, action: Deny}]\npolicies: [{id: runs-as-root, action: Audit}]";
        assert_eq!(error(policies, "runs-as-root"), [A, A, A], "policies over categories");
        assert_eq!(error(policies, "privilege-escalation"), [D, D, A]);
        let unsaid = "categories: [{name: security, action: \"Off\"}]\npolicies: [{id: runs-as-root, mutate: true}]";
        assert_eq!(error(unsaid, "runs-as-root"), [O, O, O], "an entry without an action leaves the category's");
    }

    #[test]
    fn infos_are_silenced_but_not_raised() {
        let warning = |spec| of(spec, "p", "resources", Severity::Warning);
        assert_eq!(warning("policies: [{id: p, action: Deny}]"), [D, D, A]);
        assert_eq!(warning("categories: [{name: resources, action: Deny}]"), [D, D, A]);
        assert_eq!(warning("policies: [{id: p, action: \"Off\"}]"), [O, O, O]);
        assert_eq!(warning("severities: [{name: info, action: Warn}]"), [W, W, W], "by severity they can be raised");
        assert_eq!(warning("severities: [{name: info, action: Warn}]\npolicies: [{id: p, action: Deny}]"), [D, D, W]);
        assert_eq!(warning("severities: [{name: info, action: Warn}]\npolicies: [{id: p, action: Audit}]"), [A, A, A]);
        assert_eq!(
            warning("severities: [{name: info, action: \"Off\"}]\npolicies: [{id: p, action: Deny}]"),
            [D, D, O]
        );
    }

    #[test]
    fn a_policy_of_infos_is_raised_by_its_own_entry_only() {
        let info = |spec| of(spec, "p", "resources", Severity::Info);
        assert_eq!(info("policies: [{id: p, action: Deny}]"), [D, D, D]);
        assert_eq!(info("categories: [{name: resources, action: Deny}]"), [D, D, A]);
    }

    /// A narrower rule turns on what a wider rule turned off.
    #[test]
    fn off_is_undone() {
        let spec = "categories: [{name: resources, action: \"Off\"}]\npolicies: [{id: p, action: Warn}]";
        assert_eq!(of(spec, "p", "resources", Severity::Error), [W, W, A]);
    }
}
