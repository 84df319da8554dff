//! The Secret in which replicas share their CAs.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use time::OffsetDateTime;

use super::errors::Access;
use super::{HELM, NAME, RegisterError, standing};
use crate::certs::{Authorities, CertError};

const CERTIFICATES: &str = "ca.crt";
const KEYS: &str = "ca.key";

/// Access to the Secret.
#[derive(Clone)]
pub struct AuthoritySecret {
    client: Client,
    api: Api<Secret>,
    namespace: String,
    name: String,
    service: String,
}

impl fmt::Debug for AuthoritySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AuthoritySecret").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AuthoritySecret {
    /// The Secret for the replicas of a Service. Sends no request yet.
    pub fn new(client: Client, namespace: &str, name: &str, service: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            service: service.to_owned(),
        }
    }

    /// Reads the CAs that replicas share. The first replica that finds the next CA due creates it, and if several do so
    /// at once, one of them wins. If the Secret is missing or empty, it is restored from `known`, because the API
    /// server trusts these CAs.
    ///
    /// # Errors
    /// If the Secret can't be read or written, or contains other data.
    pub async fn current(
        &self,
        known: Option<&Authorities>,
        now: OffsetDateTime,
    ) -> Result<Authorities, RegisterError> {
        // A conflict means that another replica made progress, so a few attempts are enough.
        for _ in 0..5 {
            let found = self.api.get_opt(&self.name).await.map_err(|error| self.access().failed(error))?;
            let Some(found) = found else {
                if !self.restore().await? {
                    // Plimsoll is being uninstalled, or is not installed yet.
                    let known = known.ok_or_else(|| RegisterError::NoService(self.service.clone()))?;
                    return copy(known).map_err(|error| self.broken(error));
                }
                continue;
            };
            let stored = found.data.as_ref().and_then(pair);
            let (mut authorities, stored) = match (stored, known) {
                (Some((certificates, keys)), _) => {
                    (Authorities::parse(certificates, keys).map_err(|error| self.broken(error))?, true)
                }
                (None, Some(known)) => (copy(known).map_err(|error| self.broken(error))?, false),
                (None, None) => (Authorities::new(now).map_err(|error| self.broken(error))?, false),
            };
            let due = authorities.maintain(now).map_err(|error| self.broken(error))?;
            if stored && !due {
                return Ok(authorities);
            }
            if self.write(&found, &authorities).await? {
                tracing::info!(secret = self.name, "wrote the authority that replicas share");
                return Ok(authorities);
            }
        }
        Err(RegisterError::Contended(self.access().subject()))
    }

    /// Creates the Secret as the chart does, without data. Returns false if the Service does not exist, because then
    /// there are no replicas.
    async fn restore(&self) -> Result<bool, RegisterError> {
        let Some(service) = standing::service(&self.client, &self.namespace, &self.service).await? else {
            return Ok(false);
        };
        let (metadata, manager) = match standing::known_to_helm(service.metadata) {
            Some(metadata) => (metadata, HELM),
            None => (ObjectMeta::default(), NAME),
        };
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..metadata };
        let secret = Secret { metadata, type_: Some("Opaque".to_owned()), ..Secret::default() };
        let applied = self.api.patch(&self.name, &PatchParams::apply(manager), &Patch::Apply(&secret)).await;
        applied.map(|_| true).map_err(|error| self.access().failed(error))
    }

    /// Writes the CAs. Returns false if another replica changed the Secret since it was read.
    async fn write(&self, found: &Secret, authorities: &Authorities) -> Result<bool, RegisterError> {
        let data = [(CERTIFICATES, authorities.certificates()), (KEYS, authorities.keys())];
        let data = data.map(|(key, pem)| (key.to_owned(), ByteString(pem.into_bytes())));
        let metadata =
            ObjectMeta { resource_version: found.metadata.resource_version.clone(), ..ObjectMeta::default() };
        let change = Secret { metadata, data: Some(data.into()), ..Secret::default() };
        let parameters = PatchParams { field_manager: Some(NAME.to_owned()), ..PatchParams::default() };
        match self.api.patch(&self.name, &parameters, &Patch::Merge(&change)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(self.access().failed(error)),
        }
    }

    fn broken(&self, error: CertError) -> RegisterError {
        RegisterError::Authority { subject: self.access().subject(), error }
    }

    fn access(&self) -> Access<'_> {
        Access {
            kind: "Secret",
            name: &self.name,
            verbs: "`get`, `create` and `patch`",
            resource: "secrets",
            advice: ", or give a certificate by --tls-cert-file",
        }
    }
}

/// Certificates and keys. None if both are absent or empty, as in the Secret of the chart.
fn pair(data: &BTreeMap<String, ByteString>) -> Option<(&[u8], &[u8])> {
    let of = |key: &str| data.get(key).map(|value| value.0.as_slice()).unwrap_or_default();
    let (certificates, keys) = (of(CERTIFICATES), of(KEYS));
    (!certificates.is_empty() || !keys.is_empty()).then_some((certificates, keys))
}

fn copy(known: &Authorities) -> Result<Authorities, CertError> {
    Authorities::parse(known.certificates().as_bytes(), known.keys().as_bytes())
}
