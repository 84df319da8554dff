//! One of the two configurations in the API server.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::errors::Access;
use super::owner::{self, OWNER, SINCE};
use super::standing::Home;
use super::{HELM, NAME, Place, RegisterError};

/// Annotation with the digest of the webhooks that a replica wrote. If the digest is correct, other replicas leave the
/// configuration alone. So replicas with different versions or configurations don't overwrite each other all the time.
pub(super) const WRITTEN: &str = "plimsoll.dev/webhooks";

/// How long a configuration stays missing before it is recreated. An uninstallation deletes the configurations first
/// and the Service a moment later.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) trait Configuration:
    Resource<DynamicType = ()> + Clone + Debug + Default + DeserializeOwned + Serialize
{
    const KIND: &'static str;
    const RESOURCE: &'static str;

    fn webhooks(&self) -> serde_json::Result<Vec<u8>>;

    /// The failure policy of each webhook, and the server that the API server calls.
    fn entries(&self) -> Vec<(Option<&str>, &WebhookClientConfig)>;

    /// Whether an apply fails if the server does not answer.
    fn fails(&self) -> bool {
        // The default of an absent `failurePolicy` is `Fail`.
        self.entries().iter().any(|(failure_policy, _)| *failure_policy != Some("Ignore"))
    }

    /// The servers that the API server calls.
    fn clients(&self) -> Vec<&WebhookClientConfig> {
        self.entries().into_iter().map(|(_, client)| client).collect()
    }
}

impl Configuration for ValidatingWebhookConfiguration {
    const KIND: &'static str = "ValidatingWebhookConfiguration";
    const RESOURCE: &'static str = "validatingwebhookconfigurations.admissionregistration.k8s.io";

    fn webhooks(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.webhooks)
    }

    fn entries(&self) -> Vec<(Option<&str>, &WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (webhook.failure_policy.as_deref(), &webhook.client_config)).collect()
    }
}

impl Configuration for MutatingWebhookConfiguration {
    const KIND: &'static str = "MutatingWebhookConfiguration";
    const RESOURCE: &'static str = "mutatingwebhookconfigurations.admissionregistration.k8s.io";

    fn webhooks(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.webhooks)
    }

    fn entries(&self) -> Vec<(Option<&str>, &WebhookClientConfig)> {
        let webhooks = self.webhooks.iter().flatten();
        webhooks.map(|webhook| (webhook.failure_policy.as_deref(), &webhook.client_config)).collect()
    }
}

/// Access to one configuration, with the state that is kept between rounds.
#[derive(Debug)]
pub(super) struct Stored<K> {
    api: Api<K>,
    name: String,
    /// The digest of the content that this process wrote last, or found to be as wanted.
    ours: Option<String>,
    missing_since: Option<Instant>,
    due: bool,
}

/// The result of [`Stored::settle`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Settled {
    /// The configuration is as wanted, or as another replica wants it.
    Kept,
    Written,
    /// The configuration does not exist, and was not written.
    Missing,
}

impl<K: Configuration> Stored<K> {
    pub(super) fn new(client: &Client, name: &str) -> Self {
        Self { api: Api::all(client.clone()), name: name.to_owned(), ours: None, missing_since: None, due: false }
    }

    pub(super) async fn find(&self) -> Result<Option<K>, RegisterError> {
        self.api.get_opt(&self.name).await.map_err(|error| self.access().failed(error))
    }

    /// Changes `found` to `wanted`. `changed` says whether `wanted` is new since the last round. `home` is set if
    /// Plimsoll is installed in the cluster, and so may be uninstalled.
    pub(super) async fn settle(
        &mut self,
        found: Option<&K>,
        mut wanted: K,
        place: &Place,
        home: Option<&Home>,
        changed: bool,
    ) -> Result<Settled, RegisterError> {
        let digest = digest(&wanted);
        if let Some(found) = found {
            (self.missing_since, self.due) = (None, false);
            if found.meta().deletion_timestamp.is_some() {
                return Ok(Settled::Missing);
            }
            let theirs = self::digest(found);
            let owned = home.is_none_or(|home| is_owned_by(found, &home.owner.uid));
            let untouched = owned && found.annotations().get(WRITTEN) == Some(&theirs);
            if untouched && theirs == digest {
                self.ours = Some(digest);
                return Ok(Settled::Kept);
            }
            if untouched && !changed && self.ours.as_ref() != Some(&theirs) {
                return Ok(Settled::Kept);
            }
            if !untouched && found.annotations().contains_key(WRITTEN) {
                self.log_edit(found);
            }
        } else {
            if (home.is_some() || self.ours.is_some()) && !self.is_due() {
                return Ok(Settled::Missing);
            }
            if let Some(metadata) = home.and_then(|home| home.of_helm.clone()) {
                let mut rendered = K::default();
                *rendered.meta_mut() = metadata;
                self.apply(rendered, HELM).await?;
            }
        }
        let metadata = wanted.meta_mut();
        let since = found.and_then(|found| owner::since(found, place)).unwrap_or_else(now);
        let written = [(WRITTEN, digest.clone()), (OWNER, place.reach.to_string()), (SINCE, since)];
        metadata.annotations = Some(written.map(|(name, value)| (name.to_owned(), value)).into());
        // The version prevents overwriting a change that another server wrote meanwhile.
        metadata.resource_version = found.and_then(|found| found.meta().resource_version.clone());
        metadata.owner_references = home.map(|home| vec![home.owner.clone()]);
        let applied = self.apply(wanted.clone(), NAME).await?;
        if self::digest(&applied) != digest {
            // A server-side apply keeps list items that other managers added, such as a condition that excludes
            // requests.
            self.replace_webhooks(&wanted, &applied).await?;
        }
        self.ours = Some(digest);
        (self.missing_since, self.due) = (None, false);
        Ok(Settled::Written)
    }

    async fn apply(&self, mut configuration: K, manager: &str) -> Result<K, RegisterError> {
        configuration.meta_mut().name = Some(self.name.clone());
        let parameters = PatchParams::apply(manager).force();
        let applied = self.api.patch(&self.name, &parameters, &Patch::Apply(&configuration)).await;
        applied.map_err(|error| self.refused(error))
    }

    /// Replaces the whole list of webhooks, including items of other field managers.
    async fn replace_webhooks(&self, wanted: &K, applied: &K) -> Result<(), RegisterError> {
        let webhooks = serde_json::to_value(wanted).map(|mut wanted| wanted["webhooks"].take()).unwrap_or_default();
        let version = &applied.meta().resource_version;
        let patch = serde_json::json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks});
        let parameters = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
        let replaced = self.api.patch(&self.name, &parameters, &Patch::Merge(&patch)).await;
        tracing::warn!(
            kind = K::KIND,
            name = self.name,
            "removed items that other field managers had added to the webhook configuration"
        );
        replaced.map(drop).map_err(|error| self.refused(error))
    }

    fn refused(&self, error: kube::Error) -> RegisterError {
        match error {
            kube::Error::Api(status) if status.code == 409 => RegisterError::Contended(self.access().subject()),
            error => self.access().failed(error),
        }
    }

    /// Logs that another client edited the configuration, and that the edit is reverted.
    fn log_edit(&self, found: &K) {
        let others = found.meta().managed_fields.iter().flatten();
        let others = others.filter(|entry| !matches!(entry.manager.as_deref(), Some(NAME | HELM)));
        let last = others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
        let by = last.and_then(|entry| entry.manager.as_deref()).unwrap_or("an unknown program");
        let at = last.and_then(|entry| entry.time.as_ref()).map(|time| time.0.to_string()).unwrap_or_default();
        tracing::warn!(
            kind = K::KIND,
            name = self.name,
            by,
            at,
            "the webhook configuration was edited, and is repaired"
        );
    }

    /// Whether the configuration was missing long enough, in this round and already in the previous one. Another
    /// replica may recreate it between two rounds, and an uninstallation may delete it again. This replica would see
    /// one long absence. In the next round, the Service is gone too.
    fn is_due(&mut self) -> bool {
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        since.elapsed() >= PATIENCE && std::mem::replace(&mut self.due, true)
    }

    /// Deletes the configuration if that Namespace owns it.
    pub(super) async fn withdraw(&self, namespace_uid: &str) -> Result<(), RegisterError> {
        let Some(found) = self.find().await?.filter(|found| is_owned_by(found, namespace_uid)) else { return Ok(()) };
        let same = Preconditions { uid: found.meta().uid.clone(), resource_version: None };
        let parameters = DeleteParams::default().preconditions(same);
        match self.api.delete(&self.name, &parameters).await {
            Ok(_) => Ok(()),
            // Another replica or the garbage collector was faster.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(self.access().failed(error)),
        }
    }

    fn access(&self) -> Access<'_> {
        Access {
            kind: K::KIND,
            name: &self.name,
            verbs: "`get`, `create`, `patch` and `delete`",
            resource: K::RESOURCE,
            advice: ", or start without --register and apply the configuration yourself",
        }
    }
}

/// `2026-11-28T13:00:00Z`
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    format!("{}T{:02}:{:02}:{:02}Z", now.date(), now.hour(), now.minute(), now.second())
}

fn is_owned_by<K: Configuration>(found: &K, uid: &str) -> bool {
    found.owner_references().iter().any(|owner| owner.uid == uid)
}

/// Whether the webhooks are unchanged since a replica wrote them.
pub(super) fn is_untouched<K: Configuration>(found: &K) -> bool {
    found.annotations().get(WRITTEN) == Some(&digest(found))
}

/// Digest of the webhooks alone. It ignores fields that this version does not know, so the defaults of a newer API
/// server are no change.
pub(super) fn digest<K: Configuration>(configuration: &K) -> String {
    // Serialising can't fail, because the webhooks were read from JSON. The fallback would only cause a write.
    let webhooks = configuration.webhooks().unwrap_or_else(|_| configuration.name_any().into_bytes());
    format!("sha256:{:x}", Sha256::digest(webhooks))
}
