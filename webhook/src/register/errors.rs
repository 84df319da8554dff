//! Errors of reading and writing objects in the cluster.

use crate::certs::CertError;

/// Why the webhooks are not registered, or why replicas have no CA to share.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// RBAC, or another webhook, denies the request.
    #[error("{subject}: not allowed: {message}\n  grant its user the verbs {verbs} on `{resource}`{advice}")]
    Forbidden {
        /// Kind and name of the object.
        subject: String,
        /// The verbs that are needed.
        verbs: &'static str,
        /// `resource.group`
        resource: &'static str,
        /// An alternative to granting the verbs.
        advice: &'static str,
        /// The message of the API server.
        message: String,
    },
    /// The API server does not answer, or its certificate is not trusted.
    #[error(
        "{subject}: cannot reach the API server: {error:#}\n  check server, certificate authority and credentials of the \
         kubeconfig"
    )]
    Unreachable {
        /// Kind and name of the object.
        subject: String,
        /// The error with all its causes.
        error: anyhow::Error,
    },
    /// The API server rejected the object.
    #[error("{subject}: rejected by the API server: {message}")]
    Refused {
        /// Kind and name of the object.
        subject: String,
        /// The message of the API server.
        message: String,
    },
    /// Several replicas tried to write at the same time, repeatedly.
    #[error("{0}: other clients keep changing it; trying again")]
    Contended(String),
    /// Another server is registered under this name.
    #[error(
        "the webhooks are registered by another: {owner}, since {since}\n  stop that server first, or give \
         --take-over to replace its registration, or --register-name to register beside it"
    )]
    Foreign {
        /// URL or Service of that server.
        owner: String,
        /// Time of its registration.
        since: String,
    },
    /// The Service of the replicas does not exist.
    #[error("Service `{0}` does not exist")]
    NoService(String),
    /// Our own certificate could not be issued.
    #[error(transparent)]
    Certificate(#[from] CertError),
    /// The Secret contains data that Plimsoll did not write.
    #[error("{subject}: {error}\n  if nothing else needs it, delete it, and Plimsoll makes a new one")]
    Authority {
        /// The Secret.
        subject: String,
        /// The error in its data.
        error: CertError,
    },
}

/// A kind of access to an object, for error messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'a> {
    /// `ValidatingWebhookConfiguration`
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    /// All verbs that are needed, in Markdown.
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
