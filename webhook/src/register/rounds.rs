//! One round: look at the cluster, and write what differs.

use std::fmt;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Client;

use super::standing::{self, Standing};
use super::stored::{Configuration as _, Settled, Stored};
use super::{Place, Reach, RegisterError, Wanted, configurations};

/// Both configurations, and what is known of them.
pub struct Registration {
    client: Client,
    place: Place,
    validating: Stored<ValidatingWebhookConfiguration>,
    mutating: Stored<MutatingWebhookConfiguration>,
    /// What the last round that succeeded was about.
    settled: Option<Wanted>,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The API server asks.
    Registered {
        /// `failurePolicy` of `/validate`.
        fail: bool,
    },
    /// It asks, but applies go through without an answer until the Service leads to a replica that is ready.
    AwaitingReplica,
    /// Somebody deleted a configuration. It comes back unless more is deleted.
    Missing,
    /// There is no Service, so nothing is written.
    WithoutService,
    /// The Namespace is being deleted, so the configurations are withdrawn.
    Leaving,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            State::Registered { fail: true } => "registered, failurePolicy Fail",
            State::Registered { fail: false } => "registered, failurePolicy Ignore",
            State::AwaitingReplica => "registered, failurePolicy Ignore until the Service has a ready endpoint",
            State::Missing => {
                "a webhook configuration was deleted; it is written anew soon, unless the Service goes too"
            }
            State::WithoutService => "the Service is not there, so nothing is registered",
            State::Leaving => "the Namespace is being deleted, so the webhook configurations are withdrawn",
        })
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registration").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Registration {
    /// Asks nothing yet.
    pub fn new(client: Client, place: Place) -> Self {
        let (validating, mutating) = (Stored::new(&client, &place.name), Stored::new(&client, &place.name));
        Self { client, place, validating, mutating, settled: None }
    }

    /// Whether it is registered with a URL, as somebody does who watches.
    pub fn is_by_hand(&self) -> bool {
        matches!(self.place.reach, Reach::Url(_))
    }

    /// One round. Call the first one once the server answers: from then on the API server asks.
    ///
    /// # Errors
    /// What is in the way, and what to do about it.
    pub async fn round(&mut self, wanted: &Wanted) -> Result<State, RegisterError> {
        let home = match self.standing().await? {
            None => None,
            Some(Standing::Here(home)) => Some(*home),
            Some(Standing::WithoutService) => return Ok(State::WithoutService),
            Some(Standing::Leaving(uid)) => {
                self.withdraw(uid.as_deref()).await?;
                return Ok(State::Leaving);
            }
        };
        let changed = self.settled.as_ref() != Some(wanted);
        let found = self.validating.find().await?;
        let failed = found.as_ref().is_some_and(|found| found.fails());
        let fail = wanted.enforces && (failed || self.answers().await?);
        let configuration = configurations::validating(&self.place, wanted, fail);
        let validating = self.validating.settle(found.as_ref(), configuration, home.as_ref(), changed).await?;
        let found = self.mutating.find().await?;
        let configuration = configurations::mutating(&self.place, wanted);
        let mutating = self.mutating.settle(found.as_ref(), configuration, home.as_ref(), changed).await?;
        if [validating, mutating].contains(&Settled::Missing) {
            return Ok(State::Missing);
        }
        self.settled = Some(wanted.clone());
        Ok(if wanted.enforces && !fail { State::AwaitingReplica } else { State::Registered { fail } })
    }

    /// The last look, after the first signal: nothing is written, but what nobody will answer for any more is withdrawn.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn leave(&self) -> Result<(), RegisterError> {
        if let Some(Standing::Leaving(uid)) = self.standing().await? {
            tracing::info!("{}", State::Leaving);
            self.withdraw(uid.as_deref()).await?;
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Option<Standing>, RegisterError> {
        let Reach::Service { namespace, name, .. } = &self.place.reach else { return Ok(None) };
        standing::standing(&self.client, namespace, name).await.map(Some)
    }

    /// At a URL there is nobody else to wait for: who registers it answers already.
    async fn answers(&self) -> Result<bool, RegisterError> {
        let Reach::Service { namespace, name, .. } = &self.place.reach else { return Ok(true) };
        standing::answers(&self.client, namespace, name).await
    }

    async fn withdraw(&self, namespace_uid: Option<&str>) -> Result<(), RegisterError> {
        // Without a uid the Namespace is gone, and the garbage collector at work.
        let Some(uid) = namespace_uid else { return Ok(()) };
        self.validating.withdraw(uid).await?;
        self.mutating.withdraw(uid).await
    }
}
