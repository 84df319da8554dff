//! The content of both configurations.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
    ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use plimsoll_sdk::reserved::PROTECT;

use super::rules::NEVER;
use super::{KUBE_SYSTEM, Place, Reach, Rules, Wanted};
use crate::admission::decide::{collectors, control_plane};

/// The validating configuration with three webhooks. `validate.plimsoll.dev` is the normal one.
/// `protected.plimsoll.dev` is for deletions of protected objects. `lenient.plimsoll.dev` is for requests that must
/// succeed even if we do not answer. Every field is written, also with the API server's default, so that the stored
/// object equals the written one.
pub(super) fn validating(place: &Place, wanted: &Wanted, fail: bool) -> ValidatingWebhookConfiguration {
    let webhook =
        |name: &str, rules: Vec<RuleWithOperations>, fail: bool, what: Vec<MatchCondition>| ValidatingWebhook {
            name: format!("{name}.plimsoll.dev"),
            client_config: client_config(place, wanted, "/validate"),
            rules: Some(rules),
            // If nothing can be denied, an apply must not fail because we do not answer.
            failure_policy: Some(if fail { "Fail" } else { "Ignore" }.to_owned()),
            match_policy: Some("Equivalent".to_owned()),
            namespace_selector: Some(namespaces(place)),
            object_selector: Some(LabelSelector::default()),
            match_conditions: Some([vec![by_namespace(place), not_of_the_control_plane()], what].concat()),
            side_effects: "None".to_owned(),
            admission_review_versions: vec!["v1".to_owned()],
            timeout_seconds: Some(10),
        };
    let Rules { validated, deleted, .. } = &wanted.rules;
    let strict = webhook("validate", validated.clone(), fail, vec![not_by_the_control_plane()]);
    let kept = webhook("protected", deleted.clone(), fail, vec![not_by_the_control_plane(), protected(true)]);
    let others = vec![by_the_control_plane_or_delete(), protected(false)];
    let lenient = webhook("lenient", [&validated[..], deleted].concat(), false, others);
    let webhooks =
        [strict, kept, lenient].into_iter().filter_map(|webhook| non_empty(webhook, |webhook| &webhook.rules));
    let webhooks = Some(webhooks.collect());
    ValidatingWebhookConfiguration { webhooks, ..ValidatingWebhookConfiguration::default() }
}

/// `mutate.plimsoll.dev`
pub(super) fn mutating(place: &Place, wanted: &Wanted) -> MutatingWebhookConfiguration {
    let webhook = MutatingWebhook {
        name: "mutate.plimsoll.dev".to_owned(),
        client_config: client_config(place, wanted, "/mutate"),
        rules: Some(wanted.rules.mutated.clone()),
        // Mutation is a convenience. Without it, validation still reports the missing fields.
        failure_policy: Some("Ignore".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(namespaces(place)),
        object_selector: Some(LabelSelector::default()),
        match_conditions: Some(vec![by_namespace(place), not_of_the_control_plane(), not_owned()]),
        // Fields of a sidecar that another webhook adds are filled in too.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        side_effects: "None".to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        timeout_seconds: Some(5),
    };
    let webhooks = Some(non_empty(webhook, |webhook| &webhook.rules).into_iter().collect());
    MutatingWebhookConfiguration { webhooks, ..MutatingWebhookConfiguration::default() }
}

/// Leaves out a webhook without rules, because the API server never calls it.
fn non_empty<W>(webhook: W, rules: impl Fn(&W) -> &Option<Vec<RuleWithOperations>>) -> Option<W> {
    let empty = rules(&webhook).as_ref().is_none_or(Vec::is_empty);
    (!empty).then_some(webhook)
}

fn client_config(place: &Place, wanted: &Wanted, path: &str) -> WebhookClientConfig {
    let ca_bundle = Some(ByteString(wanted.ca_bundle.clone()));
    match &place.reach {
        Reach::Url(url) => {
            WebhookClientConfig { url: Some(format!("{}{path}", url.trim_end_matches('/'))), ca_bundle, service: None }
        }
        Reach::Service { namespace, name, port } => WebhookClientConfig {
            url: None,
            ca_bundle,
            service: Some(ServiceReference {
                namespace: namespace.clone(),
                name: name.clone(),
                path: Some(path.to_owned()),
                port: Some((*port).into()),
            }),
        },
    }
}

/// The namespaces of the control plane and of Plimsoll. Repairs and the uninstallation of Plimsoll must work without
/// it.
fn excluded(place: &Place) -> Vec<String> {
    let own = place.reach.namespace().filter(|own| *own != KUBE_SYSTEM);
    [Some(KUBE_SYSTEM), own].into_iter().flatten().map(str::to_owned).collect()
}

/// Selects namespaces by a label that the API server sets, and that no tenant can change.
fn namespaces(place: &Place) -> LabelSelector {
    let requirement = |operator: &str, values: Vec<String>| LabelSelectorRequirement {
        key: "kubernetes.io/metadata.name".to_owned(),
        operator: operator.to_owned(),
        values: Some(values),
    };
    let mut requirements = vec![requirement("NotIn", excluded(place))];
    if !place.only_namespaces.is_empty() {
        requirements.push(requirement("In", place.only_namespaces.clone()));
    }
    LabelSelector { match_expressions: Some(requirements), match_labels: None }
}

/// The same as a condition on the request, because a namespace selector does not exclude cluster-scoped objects. Their
/// requests have no `namespace`.
fn by_namespace(place: &Place) -> MatchCondition {
    let mut expression = format!("!has(request.namespace) || !(request.namespace in {})", list(&excluded(place)));
    if !place.only_namespaces.is_empty() {
        let only = list(&place.only_namespaces);
        expression = format!("({expression}) && has(request.namespace) && request.namespace in {only}");
    }
    MatchCondition { name: "by-namespace".to_owned(), expression }
}

/// Excludes resources that the control plane needs. No rule names them, so this is a second safeguard.
fn not_of_the_control_plane() -> MatchCondition {
    let names: Vec<_> = NEVER.iter().map(|(group, resource)| format!("{group}/{resource}")).collect();
    let expression = format!("!((request.resource.group + '/' + request.resource.resource) in {})", list(&names));
    MatchCondition { name: "not-of-the-control-plane".to_owned(), expression }
}

/// Requests of users, operators and pipelines. Requests of the control plane must succeed while we are down.
fn not_by_the_control_plane() -> MatchCondition {
    let expression = format!("!(request.userInfo.username in {})", list(&control_plane()));
    MatchCondition { name: "not-by-the-control-plane".to_owned(), expression }
}

/// Requests of the control plane to create and update, and deletions by all others. Deletions by the control plane
/// itself are clean-up, and are not reviewed.
fn by_the_control_plane_or_delete() -> MatchCondition {
    let expression = format!(
        "request.operation == 'DELETE' ? !(request.userInfo.username in {}) : request.userInfo.username in {}",
        list(&collectors()),
        list(&control_plane())
    );
    MatchCondition { name: "by-the-control-plane-or-a-deletion".to_owned(), expression }
}

/// Deletions of objects with the protection annotation, or everything else. The control plane is excepted, because a
/// Deployment's old ReplicaSets have its annotations, and its controller deletes them.
fn protected(is: bool) -> MatchCondition {
    let annotations = "oldObject.metadata.annotations";
    let protected = format!(
        "request.operation == 'DELETE' && oldObject != null && has({annotations}) && \
         '{PROTECT}' in {annotations} && {annotations}['{PROTECT}'] == 'true'"
    );
    if is {
        return MatchCondition { name: "protected".to_owned(), expression: protected };
    }
    let control_plane = format!("request.userInfo.username in {}", list(&control_plane()));
    MatchCondition { name: "not-protected".to_owned(), expression: format!("!({protected}) || {control_plane}") }
}

/// Excludes objects that a controller made. The controller would undo our changes.
fn not_owned() -> MatchCondition {
    MatchCondition {
        name: "not-owned-by-a-controller".to_owned(),
        expression: "object == null || !has(object.metadata.ownerReferences) || \
                     !object.metadata.ownerReferences.exists(owner, has(owner.controller) && owner.controller)"
            .to_owned(),
    }
}

/// A list in CEL. The names need no escapes, because they were checked as Kubernetes names when they were read.
fn list(names: &[String]) -> String {
    format!("['{}']", names.join("', '"))
}
