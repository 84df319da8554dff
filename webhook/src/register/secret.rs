//! The Secret in which replicas share their authorities.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use time::OffsetDateTime;

use super::errors::Access;
use super::{NAME, RegisterError};
use crate::certs::{Authorities, CertError};

const CERTIFICATES: &str = "ca.crt";
const KEYS: &str = "ca.key";

/// Where it is.
#[derive(Clone, Debug)]
pub struct AuthoritySecret {
    api: Api<Secret>,
    name: String,
}

impl AuthoritySecret {
    /// Asks nothing yet.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    /// What replicas share at this time. Whoever finds that the next authority is due makes it, and of several who do
    /// one wins. Where the Secret is gone or empty, `known` is put back: the API server trusts that one.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn current(
        &self,
        known: Option<&Authorities>,
        now: OffsetDateTime,
    ) -> Result<Authorities, RegisterError> {
        // Each time others wrote in between they got further, so a few tries are plenty.
        for _ in 0..5 {
            let found = self.api.get_opt(&self.name).await.map_err(|error| self.access().failed(error))?;
            let stored = found.as_ref().and_then(|secret| secret.data.as_ref()).and_then(pair);
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
            if self.write(found, &authorities).await? {
                tracing::info!(secret = self.name, "wrote the authority that replicas share");
                return Ok(authorities);
            }
        }
        Err(RegisterError::Contended(self.access().subject()))
    }

    /// Whether nobody else was faster.
    async fn write(&self, found: Option<Secret>, authorities: &Authorities) -> Result<bool, RegisterError> {
        let parameters = PostParams { field_manager: Some(NAME.to_owned()), ..PostParams::default() };
        let new = found.is_none();
        let mut secret = found.unwrap_or_default();
        secret.metadata.name = Some(self.name.clone());
        secret.data.get_or_insert_default().extend([
            (CERTIFICATES.to_owned(), ByteString(authorities.certificates().into_bytes())),
            (KEYS.to_owned(), ByteString(authorities.keys().into_bytes())),
        ]);
        let written = match new {
            true => self.api.create(&parameters, &secret).await,
            // It carries the version that was read, so that a later one is not overwritten.
            false => self.api.replace(&self.name, &parameters, &secret).await,
        };
        match written {
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
            verbs: "`get`, `create` and `update`",
            resource: "secrets",
            advice: ", or give a certificate by --tls-cert-file",
        }
    }
}

/// Both, unless both are absent or empty, as a chart makes it.
fn pair(data: &BTreeMap<String, ByteString>) -> Option<(&[u8], &[u8])> {
    let of = |key: &str| data.get(key).map(|value| value.0.as_slice()).unwrap_or_default();
    let (certificates, keys) = (of(CERTIFICATES), of(KEYS));
    (!certificates.is_empty() || !keys.is_empty()).then_some((certificates, keys))
}

fn copy(known: &Authorities) -> Result<Authorities, CertError> {
    Authorities::parse(known.certificates().as_bytes(), known.keys().as_bytes())
}
