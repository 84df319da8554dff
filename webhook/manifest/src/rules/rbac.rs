//! Roles and their bindings.

use super::check::{field, item};
use super::selector;
use crate::formats::names;
use crate::{At, Faults, Rule};

const GROUP: &str = "rbac.authorization.k8s.io";

/// A Role or ClusterRole.
pub(super) fn role(object: &At<'_>, namespaced: bool, faults: &mut Faults) {
    for rule in object.at("rules").items() {
        let verbs = field(&rule, "verbs");
        if verbs.at.count() == 0 {
            verbs.missing("a list of at least one verb", faults);
        }
        let urls = field(&rule, "nonResourceURLs");
        let lists = ["apiGroups", "resources"].map(|name| field(&rule, name));
        if urls.at.count() == 0 {
            for list in lists {
                if list.at.count() == 0 {
                    list.missing("a list of at least one group and one resource", faults);
                }
            }
            continue;
        }
        let resources = lists.iter().any(|list| list.at.count() > 0) || rule.at("resourceNames").count() > 0;
        if namespaced {
            urls.forbid(Rule::ExclusiveFields, "in a Role, only in a ClusterRole", faults);
        } else if resources {
            urls.forbid(Rule::ExclusiveFields, "with resources in one rule", faults);
        }
    }
    let aggregation = object.at("aggregationRule");
    if !namespaced && aggregation.is_present() {
        let selectors = field(&aggregation, "clusterRoleSelectors");
        if selectors.at.count() == 0 {
            selectors.missing("a list of at least one selector", faults);
        }
        for chosen in selectors.at.items() {
            selector::label_selector(&chosen, faults);
        }
    }
}

/// A RoleBinding or ClusterRoleBinding.
pub(super) fn binding(object: &At<'_>, namespaced: bool, faults: &mut Faults) {
    let role = object.at("roleRef");
    field(&role, "apiGroup").one_of_or_empty(&[GROUP], faults);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    field(&role, "kind").need_one_of(kinds, faults);
    let name = field(&role, "name");
    name.need("the name of the role", faults);
    name.form(&names::PATH_SEGMENT, Rule::InvalidName, faults);
    for subject in object.at("subjects").items() {
        self::subject(&subject, namespaced, faults);
    }
}

fn subject(subject: &At<'_>, namespaced: bool, faults: &mut Faults) {
    let name = field(subject, "name");
    name.need("the name of the user, group or ServiceAccount", faults);
    let group = field(subject, "apiGroup");
    match field(subject, "kind").need_one_of(&["ServiceAccount", "User", "Group"], faults) {
        "ServiceAccount" => {
            name.form_or_empty(&names::DNS_SUBDOMAIN, Rule::InvalidName, faults);
            if !group.at.text().is_empty() {
                group.forbid(Rule::ExclusiveFields, "for a ServiceAccount", faults);
            }
            if !namespaced {
                field(subject, "namespace").need("the namespace of the ServiceAccount", faults);
            }
        }
        "User" | "Group" => item(&group.at, "apiGroup").one_of_or_empty(&[GROUP], faults),
        _ => {}
    }
}
