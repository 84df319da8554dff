//! Why something of the cluster cannot be read or written.

use crate::certs::CertError;

/// Why the webhooks are not registered, or why there is no authority to share.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// RBAC, or somebody else's webhook.
    #[error("{subject}: not allowed: {message}\n  grant its user the verbs {verbs} on `{resource}`{advice}")]
    Forbidden {
        /// What it was about.
        subject: String,
        /// What it takes.
        verbs: &'static str,
        /// `resource.group`
        resource: &'static str,
        /// What else could be done.
        advice: &'static str,
        /// What the API server says.
        message: String,
    },
    /// Nobody answers, or nobody who is trusted.
    #[error(
        "{subject}: cannot ask the API server: {error:#}\n  check server, certificate authority and credentials of the kubeconfig"
    )]
    Unreachable {
        /// What it was about.
        subject: String,
        /// With all its causes.
        error: anyhow::Error,
    },
    /// It does not like what it got.
    #[error("{subject}: the API server refuses: {message}")]
    Refused {
        /// What it was about.
        subject: String,
        /// What the API server says.
        message: String,
    },
    /// Several replicas wanted to write at once, again and again.
    #[error("{0}: others write it all the time; trying again")]
    Contended(String),
    /// Another server is registered under this name.
    #[error(
        "the webhooks are registered by another: {owner}, since {since}\n  stop that server and its registration first, give \
         --register-name for a second one beside it, or --take-over to replace it"
    )]
    Foreign {
        /// Its URL or its Service.
        owner: String,
        /// A time.
        since: String,
    },
    /// Without it there is nobody to share an authority with.
    #[error("Service `{0}` is not there")]
    NoService(String),
    /// No certificate of our own.
    #[error(transparent)]
    Certificate(#[from] CertError),
    /// Somebody else's data.
    #[error("{subject}: {error}\n  if it is not needed elsewhere, delete it, and a new one is made")]
    Authority {
        /// Which Secret.
        subject: String,
        /// What is wrong with it.
        error: CertError,
    },
}

/// What is being done, for its errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'a> {
    /// `ValidatingWebhookConfiguration`
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    /// All that it takes, in Markdown.
    pub(super) verbs: &'static str,
    /// `resource.group`
    pub(super) resource: &'static str,
    pub(super) advice: &'static str,
}

impl Access<'_> {
    pub(super) fn subject(&self) -> String {
        format!("{} `{}`", self.kind, self.name)
    }

    pub(super) fn failed(&self, error: kube::Error) -> RegisterError {
        let subject = self.subject();
        match error {
            kube::Error::Api(status) if matches!(status.code, 401 | 403) => RegisterError::Forbidden {
                subject,
                verbs: self.verbs,
                resource: self.resource,
                advice: self.advice,
                message: status.message,
            },
            kube::Error::Api(status) => RegisterError::Refused { subject, message: status.message },
            error => RegisterError::Unreachable { subject, error: error.into() },
        }
    }
}
