//! Questions to the API server about rights and identities.

use super::super::check::{self, field, shown};
use super::super::selector;
use crate::{At, Faults, Rule};

/// Metadata that the API server clears before it looks.
const CLEARED: &[&str] =
    &["managedFields", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "uid", "selfLink"];

pub(super) fn probe(kind: &str, at: &At<'_>, faults: &mut Faults) {
    match kind {
        "SubjectAccessReview" | "SelfSubjectAccessReview" | "LocalSubjectAccessReview" => review(kind, at, faults),
        "TokenReview" => {
            field(&at.at("spec"), "token").need("the token to look up", faults);
        }
        _ => {}
    }
}

fn review(kind: &str, object: &At<'_>, faults: &mut Faults) {
    let local = kind == "LocalSubjectAccessReview";
    for (name, value) in object.at("metadata").members() {
        // The API server itself clears what it fills in.
        let kept = CLEARED.contains(&name) || name == "namespace";
        if !kept && !value.is_zero() {
            let message = format!("the metadata of a {kind} must be empty, but has `{name}`");
            faults.error(Rule::InvalidValue, &value, message, format!("remove `{name}`"));
        }
    }
    let spec = object.at("spec");
    let attributes = ["resourceAttributes", "nonResourceAttributes"];
    if check::exclusive(&spec, &attributes, "a review", faults) == 0 {
        check::need_one(&spec, &attributes, "a review", faults);
    }
    if local {
        let (own, asked) = (object.path(&["metadata", "namespace"]), spec.at("resourceAttributes").at("namespace"));
        if !own.text().is_empty() && spec.at("resourceAttributes").is_present() && own.text() != asked.text() {
            let message = format!("the review is in the namespace `{}`, but asks about another one", shown(own.text()));
            faults.error(Rule::DependentFields, &asked, message, format!("write `namespace: {}`", shown(own.text())));
        }
        field(&spec, "nonResourceAttributes").forbid(Rule::InvalidValue, "in a namespace", faults);
    }
    if kind != "SelfSubjectAccessReview" && spec.at("user").text().is_empty() && spec.at("groups").count() == 0 {
        check::need_one(&spec, &["user", "groups"], "a review", faults);
    }
    let resource = spec.at("resourceAttributes");
    for selector in [resource.at("fieldSelector"), resource.at("labelSelector")] {
        if selector.is_absent() {
            continue;
        }
        let (raw, requirements) =
            (!selector.at("rawSelector").text().is_empty(), selector.at("requirements").count() > 0);
        if raw && requirements {
            let message = "`rawSelector` and `requirements` are both set, but a selector has only one of them";
            faults.error(Rule::ExclusiveFields, &selector.at("rawSelector"), message, "remove one of the two");
        } else if !raw && !requirements {
            check::need_one(&selector, &["rawSelector", "requirements"], "a selector", faults);
        }
        for requirement in selector.at("requirements").items() {
            field(&requirement, "key").need("what is compared", faults);
            selector::values_of(&requirement, requirement.at("operator").text(), faults);
        }
    }
}
