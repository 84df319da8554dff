//! The webhook configurations: what the API server is told to ask, and where.

mod rules;

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};

use crate::registry::Registry;

/// The name of both configurations, and who owns their fields.
pub const NAME: &str = "plimsoll";

/// What the API server is told.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Without a path: `https://host:port`.
    pub url: &'a str,
    /// PEM.
    pub ca_bundle: &'a [u8],
    /// Whether anything can be denied.
    pub enforces: bool,
}

/// Why the webhooks are not registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The API server refuses it.
    #[error(
        "may not write {kind} `{NAME}`: {message}\n  grant its user the verbs `get`, `create` and `patch` on `{resource}` of the API group \
         `admissionregistration.k8s.io`, or start without --register and apply the configuration yourself"
    )]
    Forbidden {
        /// `ValidatingWebhookConfiguration` or its twin.
        kind: &'static str,
        /// Its plural.
        resource: &'static str,
        /// What the API server says.
        message: String,
    },
    /// Nobody answers, or nobody who is trusted.
    #[error(
        "cannot ask the API server to write {kind} `{NAME}`: {error:#}\n  check server, certificate authority and credentials of the kubeconfig"
    )]
    Unreachable {
        /// `ValidatingWebhookConfiguration` or its twin.
        kind: &'static str,
        /// With all its causes.
        error: anyhow::Error,
    },
    /// It does not like the configuration.
    #[error("the API server does not take {kind} `{NAME}`: {message}")]
    Refused {
        /// `ValidatingWebhookConfiguration` or its twin.
        kind: &'static str,
        /// What the API server says.
        message: String,
    },
}

/// Writes both configurations by server-side apply. Call it once the server answers: from then on the API server asks.
///
/// # Errors
/// What is in the way, and what to do about it.
pub async fn register(client: Client, registry: &Registry, target: &Target<'_>) -> Result<(), RegisterError> {
    let parameters = PatchParams::apply(NAME).force();
    let validating = validating(registry, target);
    Api::<ValidatingWebhookConfiguration>::all(client.clone())
        .patch(NAME, &parameters, &Patch::Apply(&validating))
        .await
        .map_err(|error| explain("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", error))?;
    let mutating = mutating(registry, target);
    Api::<MutatingWebhookConfiguration>::all(client)
        .patch(NAME, &parameters, &Patch::Apply(&mutating))
        .await
        .map_err(|error| explain("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", error))?;
    Ok(())
}

fn explain(kind: &'static str, resource: &'static str, error: kube::Error) -> RegisterError {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            RegisterError::Forbidden { kind, resource, message: status.message }
        }
        kube::Error::Api(status) => RegisterError::Refused { kind, message: status.message },
        error => RegisterError::Unreachable { kind, error: error.into() },
    }
}

/// `validate.plimsoll.dev`
pub fn validating(registry: &Registry, target: &Target<'_>) -> ValidatingWebhookConfiguration {
    let webhook = ValidatingWebhook {
        name: "validate.plimsoll.dev".to_owned(),
        client_config: client_config(target, "/validate"),
        rules: Some(rules::validated(registry)),
        // Only what can deny may stop an apply when we do not answer.
        failure_policy: Some(if target.enforces { "Fail" } else { "Ignore" }.to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(not_kube_system()),
        match_conditions: Some(vec![outside_kube_system()]),
        side_effects: "None".to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        timeout_seconds: Some(10),
        ..ValidatingWebhook::default()
    };
    ValidatingWebhookConfiguration { metadata: metadata(), webhooks: non_empty(webhook, |webhook| &webhook.rules) }
}

/// `mutate.plimsoll.dev`
pub fn mutating(registry: &Registry, target: &Target<'_>) -> MutatingWebhookConfiguration {
    let webhook = MutatingWebhook {
        name: "mutate.plimsoll.dev".to_owned(),
        client_config: client_config(target, "/mutate"),
        rules: Some(rules::mutated(registry)),
        // A convenience: an object goes through without it, and validation says what is missing.
        failure_policy: Some("Ignore".to_owned()),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(not_kube_system()),
        match_conditions: Some(vec![outside_kube_system(), not_owned()]),
        // What another webhook adds (a sidecar) is completed as well.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        side_effects: "None".to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        timeout_seconds: Some(5),
        ..MutatingWebhook::default()
    };
    MutatingWebhookConfiguration { metadata: metadata(), webhooks: non_empty(webhook, |webhook| &webhook.rules) }
}

/// A webhook without rules is never asked; it is left out, so that nobody wonders.
fn non_empty<W>(webhook: W, rules: impl Fn(&W) -> &Option<Vec<RuleWithOperations>>) -> Option<Vec<W>> {
    let empty = rules(&webhook).as_ref().is_none_or(Vec::is_empty);
    Some(if empty { Vec::new() } else { vec![webhook] })
}

fn metadata() -> ObjectMeta {
    ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() }
}

fn client_config(target: &Target<'_>, path: &str) -> WebhookClientConfig {
    WebhookClientConfig {
        url: Some(format!("{}{path}", target.url.trim_end_matches('/'))),
        ca_bundle: Some(ByteString(target.ca_bundle.to_vec())),
        service: None,
    }
}

/// The control plane must come up without us. The label is the API server's own: no tenant can set it.
fn not_kube_system() -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "kubernetes.io/metadata.name".to_owned(),
            operator: "NotIn".to_owned(),
            values: Some(vec!["kube-system".to_owned()]),
        }]),
        match_labels: None,
    }
}

/// The same by the request, for a selector says nothing about what lies in no namespace. There `namespace` is absent.
fn outside_kube_system() -> MatchCondition {
    MatchCondition {
        name: "outside-kube-system".to_owned(),
        expression: "!has(request.namespace) || request.namespace != 'kube-system'".to_owned(),
    }
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

#[cfg(test)]
mod tests;
