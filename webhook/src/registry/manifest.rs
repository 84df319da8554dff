//! The category `manifest` in PolicySets. Its rules are part of the host, so they are in no bundle.

use plimsoll_manifest::Rule;

use super::policy_set::PolicySet;
use super::problem::Problem;
use crate::model::Action;

/// The category of the rules. The policy `unserved-kind` is in it, too.
const CATEGORY: &str = "manifest";

/// The action that a set states for the category.
pub(super) fn stated(set: &PolicySet) -> Option<Action> {
    set.categories.iter().find(|(name, _)| name.value == CATEGORY).map(|(_, action)| *action)
}

/// The problem of an entry of `policies`, if its id is a rule of the category. A rule has no settings, and the API server
/// refuses the object whatever a PolicySet says.
pub(super) fn refused(id: &str) -> Option<Problem> {
    Rule::ALL.iter().any(|rule| rule.id() == id).then(|| {
        Problem::Conflict(format!(
            "`{id}` is no policy but a rule of the API server, and a PolicySet cannot change a single rule; write \
             `categories: [{{name: {CATEGORY}, action: Warn}}]` to lower all of them"
        ))
    })
}
