//! The webhook configurations: which requests the API server sends for review, and to which server.
//!
//! [`Registration`] runs one round, [`Registrar`] repeats it. A round writes new rules and CAs, and repairs edits by
//! others. It deletes the configurations when the Namespace of Plimsoll is deleted. [`AuthoritySecret`] is the Secret
//! with the CAs that replicas share.
//!
//! *Invariant*: a registration has one owner, the server that it leads to. Another server replaces it only if the owner
//! does not answer, or with `--take-over`.
//!
//! *Invariant*: after the first signal the server writes nothing. So a replica that is stopping never undoes an
//! uninstallation.

mod configurations;
mod errors;
mod owner;
mod probe;
mod registrar;
mod rounds;
mod rules;
mod secret;
mod standing;
mod stored;

pub use errors::RegisterError;
pub use registrar::{Registrar, Round};
pub use rounds::{Registration, State};
pub use rules::Rules;
#[cfg(feature = "check")]
pub use rules::looked_at;
pub use secret::AuthoritySecret;

/// The default name of both configurations, and the field manager that owns their fields.
pub const NAME: &str = "plimsoll";

/// The namespace that is never reviewed, because the control plane must start without us.
pub const KUBE_SYSTEM: &str = "kube-system";

/// The field manager of the fields that the chart renders. Objects that we recreate keep helm as the manager of these
/// fields.
const HELM: &str = "helm";

/// The location of a server, as the API server sees it. It does not change while the server runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of both configurations.
    pub name: String,
    /// How the API server reaches the server.
    pub reach: Reach,
    /// If not empty, only objects in these namespaces are reviewed, and no cluster-scoped objects.
    pub only_namespaces: Vec<String>,
    /// Whether to replace the registration of another server at the start, even if that server answers.
    pub take_over: bool,
}

/// How the API server reaches a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reach {
    /// A URL without a path: `https://host:port`.
    Url(String),
    /// A Service in Plimsoll's own Namespace.
    Service {
        /// The Namespace of the Service. It owns the configurations, and its objects are not reviewed.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
}

impl Reach {
    fn namespace(&self) -> Option<&str> {
        match self {
            Reach::Url(_) => None,
            Reach::Service { namespace, .. } => Some(namespace),
        }
    }
}

/// The content of a registration. It changes with the PolicySets and the certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whether anything can be denied: some mode is `enforce`.
    pub enforces: bool,
    /// The rules of the webhooks.
    pub rules: Rules,
    /// The CA certificates as PEM.
    pub ca_bundle: Vec<u8>,
}

#[cfg(test)]
mod tests;
