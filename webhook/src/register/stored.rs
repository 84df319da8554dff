//! One of the two configurations as the API server has it.

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

/// The digest of what some replica wrote. Who finds it true leaves the configuration alone, so that replicas of two
/// versions, or before and after a reload, don't take turns in writing.
pub(super) const WRITTEN: &str = "plimsoll.dev/webhooks";

/// An uninstallation deletes the configurations first and the Service a moment later. So long is waited for the second.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) trait Configuration:
    Resource<DynamicType = ()> + Clone + Debug + Default + DeserializeOwned + Serialize
{
    const KIND: &'static str;
    const RESOURCE: &'static str;

    fn webhooks(&self) -> serde_json::Result<Vec<u8>>;

    /// The failure policy of each webhook, and the server that the API server asks.
    fn entries(&self) -> Vec<(Option<&str>, &WebhookClientConfig)>;

    /// Whether an apply fails if the server does not answer.
    fn fails(&self) -> bool {
        // `kubectl edit` may leave out the policy. The default is `Fail`.
        self.entries().iter().any(|(failure_policy, _)| *failure_policy != Some("Ignore"))
    }

    /// The servers that the API server asks.
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

/// What is known of one configuration.
#[derive(Debug)]
pub(super) struct Stored<K> {
    api: Api<K>,
    name: String,
    /// The digest of what this process wrote last, or found written as it would have.
    ours: Option<String>,
    missing_since: Option<Instant>,
    due: bool,
}

/// What [`Stored::settle`] came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Settled {
    /// It is as it should be, or as another replica wants it.
    Kept,
    Written,
    /// It is not there, and not written either.
    Missing,
}

impl<K: Configuration> Stored<K> {
    pub(super) fn new(client: &Client, name: &str) -> Self {
        Self { api: Api::all(client.clone()), name: name.to_owned(), ours: None, missing_since: None, due: false }
    }

    pub(super) async fn find(&self) -> Result<Option<K>, RegisterError> {
        self.api.get_opt(&self.name).await.map_err(|error| self.access().failed(error))
    }

    /// Makes of `found` what is `wanted`. `changed`: that is something new since the last time. `home` is known where it
    /// was installed, and so may be uninstalled.
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
        // What another server wrote since it was read is not overwritten.
        metadata.resource_version = found.and_then(|found| found.meta().resource_version.clone());
        metadata.owner_references = home.map(|home| vec![home.owner.clone()]);
        let applied = self.apply(wanted.clone(), NAME).await?;
        if self::digest(&applied) != digest {
            // An apply leaves what another manager added to a list: a webhook, a condition under which nothing is asked.
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

    /// Replaces the list as a whole, whoever wrote parts of it.
    async fn replace_webhooks(&self, wanted: &K, applied: &K) -> Result<(), RegisterError> {
        let webhooks = serde_json::to_value(wanted).map(|mut wanted| wanted["webhooks"].take()).unwrap_or_default();
        let version = &applied.meta().resource_version;
        let patch = serde_json::json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks});
        let parameters = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
        let replaced = self.api.patch(&self.name, &parameters, &Patch::Merge(&patch)).await;
        tracing::warn!(
            kind = K::KIND,
            name = self.name,
            "what others had added to the webhook configuration is removed"
        );
        replaced.map(drop).map_err(|error| self.refused(error))
    }

    fn refused(&self, error: kube::Error) -> RegisterError {
        match error {
            kube::Error::Api(status) if status.code == 409 => RegisterError::Contended(self.access().subject()),
            error => self.access().failed(error),
        }
    }

    /// Somebody edited what we wrote. It is repaired, and said, so that nobody wonders why an edit has no effect.
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

    /// Whether it was missing long enough, in this round and already in the one before. Else an uninstallation right after
    /// another replica brought it back, which this one never saw, would be taken for the same absence; by the round
    /// after, its Service is gone.
    fn is_due(&mut self) -> bool {
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        since.elapsed() >= PATIENCE && std::mem::replace(&mut self.due, true)
    }

    /// Deletes it if it is that Namespace's.
    pub(super) async fn withdraw(&self, namespace_uid: &str) -> Result<(), RegisterError> {
        let Some(found) = self.find().await?.filter(|found| is_owned_by(found, namespace_uid)) else { return Ok(()) };
        let same = Preconditions { uid: found.meta().uid.clone(), resource_version: None };
        let parameters = DeleteParams::default().preconditions(same);
        match self.api.delete(&self.name, &parameters).await {
            Ok(_) => Ok(()),
            // Another replica was faster, or the garbage collector.
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

/// Whether the webhooks are as some Plimsoll wrote them.
pub(super) fn is_untouched<K: Configuration>(found: &K) -> bool {
    found.annotations().get(WRITTEN) == Some(&digest(found))
}

/// Of the webhooks alone. Fields that this version does not know are not in it, so that a newer API server's defaults
/// look like no change.
pub(super) fn digest<K: Configuration>(configuration: &K) -> String {
    // What came as JSON goes as JSON; if it ever did not, nothing would be equal, and it would be written.
    let webhooks = configuration.webhooks().unwrap_or_else(|_| configuration.name_any().into_bytes());
    format!("sha256:{:x}", Sha256::digest(webhooks))
}
