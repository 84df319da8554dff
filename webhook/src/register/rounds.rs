//! One round: read the cluster, and write the differences.

use std::fmt;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Client;

use super::owner::{self, Other};
use super::probe::{self, Answers};
use super::standing::{self, Standing};
use super::stored::{Configuration as _, Settled, Stored};
use super::{Place, Reach, RegisterError, Wanted, configurations};

/// Both configurations, with the state that is kept between rounds.
pub struct Registration {
    client: Client,
    place: Place,
    validating: Stored<ValidatingWebhookConfiguration>,
    mutating: Stored<MutatingWebhookConfiguration>,
    /// The content of the last successful round.
    settled: Option<Wanted>,
    /// Number of consecutive rounds in which the server that is registered in our place did not answer.
    silent: u32,
    /// Value of `silent` from which that server is replaced.
    patience: u32,
}

/// Initial number of rounds without an answer before another server is replaced. It doubles with each replacement.
/// Otherwise two servers that can't reach each other would replace each other all the time.
const PATIENCE: u32 = 3;

/// Maximum number of retries of a round because another replica wrote meanwhile.
const TRIES: usize = 3;

/// Maximum of `patience`, about an hour.
const MOST_PATIENCE: u32 = 1_800;

/// The result of a round.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// The API server sends reviews.
    Registered {
        /// `failurePolicy` of `/validate`.
        fail: bool,
    },
    /// The API server sends reviews, but accepts objects without an answer until the Service has a ready replica.
    AwaitingReplica,
    /// A user deleted a configuration. It is recreated, unless Service or Namespace are deleted too.
    Missing,
    /// The Service does not exist, so nothing is written.
    WithoutService,
    /// The Namespace is being deleted, so the configurations are deleted.
    Leaving,
    /// Another server is registered in our place. Nothing is written while it answers.
    Foreign {
        /// URL or Service of that server.
        owner: String,
        /// Time of its registration.
        since: String,
        /// Whether that server answers, as far as this can be checked.
        answers: bool,
    },
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let State::Foreign { owner, since, answers } = self {
            write!(formatter, "registered by another: {owner}, since {since}")?;
            return formatter.write_str(if *answers { "" } else { "; it does not answer, and is replaced soon" });
        }
        formatter.write_str(match self {
            State::Registered { fail: true } => "registered, failurePolicy Fail",
            State::Registered { fail: false } => "registered, failurePolicy Ignore",
            State::AwaitingReplica => "registered, failurePolicy Ignore until the Service has a ready endpoint",
            State::Missing => {
                "a webhook configuration was deleted; it is recreated soon, unless the Service is deleted too"
            }
            State::WithoutService => "the Service does not exist, so nothing is registered",
            State::Leaving => "the Namespace is being deleted, so the webhook configurations are deleted",
            State::Foreign { .. } => "",
        })
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registration").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Registration {
    /// Creates a registration, without any request yet.
    pub fn new(client: Client, place: Place) -> Self {
        let (validating, mutating) = (Stored::new(&client, &place.name), Stored::new(&client, &place.name));
        Self { client, place, validating, mutating, settled: None, silent: 0, patience: PATIENCE }
    }

    /// Whether the server is registered with a URL. Then a user has usually started it, and reads its output.
    pub fn is_by_hand(&self) -> bool {
        matches!(self.place.reach, Reach::Url(_))
    }

    /// Runs one round. Call it only when the server answers, because the API server sends reviews from then on.
    ///
    /// # Errors
    /// If the configurations can't be read or written. The message says what to do.
    pub async fn round(&mut self, wanted: &Wanted) -> Result<State, RegisterError> {
        // Another replica may write at the same moment. Usually it writes the same.
        for _ in 0..TRIES {
            match self.look(wanted).await {
                Err(RegisterError::Contended(_)) => {}
                result => return result,
            }
        }
        self.look(wanted).await
    }

    async fn look(&mut self, wanted: &Wanted) -> Result<State, RegisterError> {
        let home = match self.standing().await? {
            None => None,
            Some(Standing::Here(home)) => Some(*home),
            Some(Standing::WithoutService) => return Ok(State::WithoutService),
            Some(Standing::Leaving(uid)) => {
                self.withdraw(uid.as_deref()).await?;
                return Ok(State::Leaving);
            }
        };
        let (found, found_mutating) = (self.validating.find().await?, self.mutating.find().await?);
        let other = |place: &Place| {
            let validating = found.as_ref().and_then(|found| owner::other(found, place));
            validating.or_else(|| found_mutating.as_ref().and_then(|found| owner::other(found, place)))
        };
        let other = other(&self.place);
        if let Some(other) = &other
            && let Some(state) = self.gives_way(other).await?
        {
            return Ok(state);
        }
        let namesake = found.as_ref().and_then(|found| owner::namesake(found, &self.place, &wanted.ca_bundle));
        if let Some(namesake) = &namesake
            && let Some(state) = self.gives_way_to_namesake(namesake).await?
        {
            return Ok(state);
        }
        let other = other.or(namesake.filter(|_| self.settled.is_some()));
        let changed = self.settled.as_ref() != Some(wanted) || other.is_some();
        let failed = found.as_ref().is_some_and(|found| found.fails());
        let fail = wanted.enforces && (failed || self.answers().await?);
        let configuration = configurations::validating(&self.place, wanted, fail);
        let (place, home) = (&self.place, home.as_ref());
        let validating = self.validating.settle(found.as_ref(), configuration, place, home, changed).await?;
        let configuration = configurations::mutating(&self.place, wanted);
        let mutating = self.mutating.settle(found_mutating.as_ref(), configuration, place, home, changed).await?;
        self.silent = 0;
        // `--take-over` applies only at the start. Another server may be started with it later.
        let ordered = std::mem::take(&mut self.place.take_over);
        if let Some(other) = other {
            tracing::warn!("the registration of {} is replaced by ours", other.reach);
            if !ordered {
                self.patience = (self.patience * 2).min(MOST_PATIENCE);
            }
        }
        if [validating, mutating].contains(&Settled::Missing) {
            return Ok(State::Missing);
        }
        self.settled = Some(wanted.clone());
        Ok(if wanted.enforces && !fail { State::AwaitingReplica } else { State::Registered { fail } })
    }

    /// The last round, after the first signal. It writes nothing. If the Namespace is being deleted, it deletes the
    /// configurations, because no server will answer any more.
    ///
    /// # Errors
    /// If the Namespace can't be read, or a configuration can't be deleted.
    pub async fn leave(&self) -> Result<(), RegisterError> {
        if let Some(Standing::Leaving(uid)) = self.standing().await? {
            tracing::info!("{}", State::Leaving);
            self.withdraw(uid.as_deref()).await?;
        }
        Ok(())
    }

    /// Whether the other server keeps the registration for now. At the start, a server with a URL returns an error
    /// instead.
    async fn gives_way(&mut self, other: &Other) -> Result<Option<State>, RegisterError> {
        if self.place.take_over {
            return Ok(None);
        }
        let (owner, since) = (other.reach.to_string(), other.since.clone());
        if self.is_by_hand() && self.settled.is_none() {
            return Err(RegisterError::Foreign { owner, since });
        }
        let answers = match probe::probe(&self.client, other).await {
            Answers::No(why) => {
                self.silent += 1;
                tracing::info!(owner, why, looks = self.silent, of = self.patience, "the other server does not answer");
                false
            }
            Answers::Yes => true,
            Answers::Unknown(why) => {
                tracing::debug!(owner, why, "it is unknown whether the other server answers");
                true
            }
        };
        if answers {
            self.silent = 0;
        }
        Ok((self.silent < self.patience).then_some(State::Foreign { owner, since, answers }))
    }

    /// The same for a server with our URL. A registration that an earlier process of this server left is replaced at
    /// once.
    async fn gives_way_to_namesake(&mut self, namesake: &Other) -> Result<Option<State>, RegisterError> {
        let starts = self.settled.is_none() && !self.place.take_over;
        if starts && probe::probe(&self.client, namesake).await != Answers::Yes {
            self.place.take_over = true;
        }
        self.gives_way(namesake).await
    }

    async fn standing(&self) -> Result<Option<Standing>, RegisterError> {
        let Reach::Service { namespace, name, .. } = &self.place.reach else { return Ok(None) };
        standing::standing(&self.client, namespace, name).await.map(Some)
    }

    /// Whether a replica is ready. With a URL, this server is the only one, and it answers already.
    async fn answers(&self) -> Result<bool, RegisterError> {
        let Reach::Service { namespace, name, .. } = &self.place.reach else { return Ok(true) };
        standing::answers(&self.client, namespace, name).await
    }

    async fn withdraw(&self, namespace_uid: Option<&str>) -> Result<(), RegisterError> {
        // Without a uid the Namespace is gone, and the garbage collector deletes the configurations.
        let Some(uid) = namespace_uid else { return Ok(()) };
        self.validating.withdraw(uid).await?;
        self.mutating.withdraw(uid).await
    }
}
