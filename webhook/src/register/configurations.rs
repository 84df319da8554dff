//! What both configurations say.

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

/// `validate.plimsoll.dev`; `protected.plimsoll.dev` for deletions of protected objects; `lenient.plimsoll.dev` for what must go
/// through even while we do not answer. Every field is written, the API server's defaults too, so that what is read back is
/// equal.
pub(super) fn validating(place: &Place, wanted: &Wanted, fail: bool) -> ValidatingWebhookConfiguration {
    let webhook =
        |name: &str, rules: Vec<RuleWithOperations>, fail: bool, what: Vec<MatchCondition>| ValidatingWebhook {
            name: format!("{name}.plimsoll.dev"),
            client_config: client_config(place, wanted, "/validate"),
            rules: Some(rules),
            // Only what can deny may stop an apply when we do not answer.
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
        // A convenience: an object goes through without it, and validation says what is missing.
        failure_policy: Some("Ignore".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(namespaces(place)),
        object_selector: Some(LabelSelector::default()),
        match_conditions: Some(vec![by_namespace(place), not_of_the_control_plane(), not_owned()]),
        // What another webhook adds (a sidecar) is completed as well.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        side_effects: "None".to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        timeout_seconds: Some(5),
    };
    let webhooks = Some(non_empty(webhook, |webhook| &webhook.rules).into_iter().collect());
    MutatingWebhookConfiguration { webhooks, ..MutatingWebhookConfiguration::default() }
}

/// A webhook without rules is never asked; it is left out, so that nobody wonders.
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

/// The control plane's namespace, and our own: what mends or removes us must never need us.
fn excluded(place: &Place) -> Vec<String> {
    let own = place.reach.namespace().filter(|own| *own != KUBE_SYSTEM);
    [Some(KUBE_SYSTEM), own].into_iter().flatten().map(str::to_owned).collect()
}

/// The label is the API server's own: no tenant can set it.
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

/// The same by the request, for a selector says nothing about what lies in no namespace. There `namespace` is absent.
fn by_namespace(place: &Place) -> MatchCondition {
    let mut expression = format!("!has(request.namespace) || !(request.namespace in {})", list(&excluded(place)));
    if !place.only_namespaces.is_empty() {
        let only = list(&place.only_namespaces);
        expression = format!("({expression}) && has(request.namespace) && request.namespace in {only}");
    }
    MatchCondition { name: "by-namespace".to_owned(), expression }
}

/// No rule names these; should one ever, they still go through, for nothing works without them.
fn not_of_the_control_plane() -> MatchCondition {
    let names: Vec<_> = NEVER.iter().map(|(group, resource)| format!("{group}/{resource}")).collect();
    let expression = format!("!((request.resource.group + '/' + request.resource.resource) in {})", list(&names));
    MatchCondition { name: "not-of-the-control-plane".to_owned(), expression }
}

/// People, operators, pipelines. What the control plane does goes on while we are down.
fn not_by_the_control_plane() -> MatchCondition {
    let expression = format!("!(request.userInfo.username in {})", list(&control_plane()));
    MatchCondition { name: "not-by-the-control-plane".to_owned(), expression }
}

/// What the control plane makes and changes, and deletions, but for its own: these clear up.
fn by_the_control_plane_or_delete() -> MatchCondition {
    let expression = format!(
        "request.operation == 'DELETE' ? !(request.userInfo.username in {}) : request.userInfo.username in {}",
        list(&collectors()),
        list(&control_plane())
    );
    MatchCondition { name: "by-the-control-plane-or-a-deletion".to_owned(), expression }
}

/// Deletions of objects that carry the annotation of protection, or everything else. A Deployment's old ReplicaSets have its
/// annotations, and its controller deletes them.
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

/// What a controller makes follows its owner, and would be fought over.
fn not_owned() -> MatchCondition {
    MatchCondition {
        name: "not-owned-by-a-controller".to_owned(),
        expression: "object == null || !has(object.metadata.ownerReferences) || \
                     !object.metadata.ownerReferences.exists(owner, has(owner.controller) && owner.controller)"
            .to_owned(),
    }
}

/// A list of CEL. Names of Kubernetes need no escapes; that these are such names was checked where they came in.
fn list(names: &[String]) -> String {
    format!("['{}']", names.join("', '"))
}
