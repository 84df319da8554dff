//! The webhook configurations: what the API server is told to ask, and where.
//!
//! [`Registration`] does one round of it, [`Registrar`] goes on: new rules, another authority, repair of what somebody
//! changed, and withdrawal when the Namespace of Plimsoll goes away. [`AuthoritySecret`] is what replicas share.
//!
//! *Invariant*: a registration has one owner, the server that it leads to. Another server replaces it only if that one does
//! not answer, or if it was told to at its start.
//!
//! *Invariant*: after the first signal nothing is written any more, so that no replica on its way out brings back what
//! was uninstalled.

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

/// The default name of both configurations, and who owns their fields.
pub const NAME: &str = "plimsoll";

/// The control plane must come up without us.
pub const KUBE_SYSTEM: &str = "kube-system";

/// Who owns the fields that the chart renders. What is brought back in helm's place is left to it.
const HELM: &str = "helm";

/// Where a server is, as the API server sees it. It does not change while the server runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of both configurations.
    pub name: String,
    /// How the API server gets there.
    pub reach: Reach,
    /// Only these are asked about, if there are any. Nothing of the cluster is then.
    pub only_namespaces: Vec<String>,
    /// Whether a registration of another server is replaced at the start, be it alive or not.
    pub take_over: bool,
}

/// How the API server gets to a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Without a path: `https://host:port`.
    Url(String),
    /// By a Service of Plimsoll's own Namespace.
    Service {
        /// Its Namespace, which owns the configurations, and about which nothing is asked.
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

/// What is registered there. It changes with the PolicySets and the certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whether anything can be denied: some mode is `enforce`.
    pub enforces: bool,
    /// What is asked about.
    pub rules: Rules,
    /// PEM.
    pub ca_bundle: Vec<u8>,
}

#[cfg(test)]
mod tests;
