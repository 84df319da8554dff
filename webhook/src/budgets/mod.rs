//! Writes the PodDisruptionBudget that a workload lacks, and withdraws it once somebody wrote their own.
//!
//! What to write is what a policy proposes: the companion object of the fix that `check --fix=unsafe` puts into a file. It
//! is judged anew in every round, as if nothing had been written yet, so that nothing is remembered between rounds, and
//! replicas that do the same at once do no harm. Nothing here is part of a review.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Api, Client, ResourceExt as _};

use crate::context::Context as _;
use crate::context::watch::Watches;
use crate::model::{Current, Moment};
use crate::serving::{Health, Loaded, Part};
use plan::{Plan, Withdrawn, plan};

/// So many namespaces are changed in one round; the next one goes on behind them, so that a cluster into which this comes is
/// not flooded, and what fails again and again keeps nobody waiting.
const MOST: usize = 100;

/// Writes and withdraws in rounds, a time apart, until it is dropped.
pub async fn keep(
    client: Client,
    watches: Arc<Watches>,
    loaded: Arc<Current<Loaded>>,
    health: Arc<Health>,
    rounds: Rounds,
) {
    tracing::info!(every = ?rounds.every, "missing PodDisruptionBudgets are written");
    let writer = Writer { client, watches, loaded, health, left_out: rounds.left_out };
    let mut last: Option<String> = None;
    loop {
        tokio::time::sleep(rounds.every).await;
        // An object that is not known yet may exist.
        if writer.watches.is_ready() {
            last = writer.round(last).await;
        }
    }
}

/// When, and where not.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// Between two rounds.
    pub every: Duration,
    /// Namespaces about which the API server does not ask either.
    pub left_out: Vec<String>,
}

struct Writer {
    client: Client,
    watches: Arc<Watches>,
    loaded: Arc<Current<Loaded>>,
    health: Arc<Health>,
    left_out: Vec<String>,
}

impl Writer {
    /// From the namespace behind this one on. Gives the last one, unless it came round.
    async fn round(&self, last: Option<String>) -> Option<String> {
        let (watches, loaded, left_out) = (Arc::clone(&self.watches), self.loaded.get(), self.left_out.clone());
        // Judging takes a while, which the event loop does not have.
        let plans = tokio::task::spawn_blocking(move || {
            let now = Moment::now();
            let of = |namespace: Arc<str>| plan(&loaded.registry, &watches, &namespace, now);
            let judged = |namespace: &Arc<str>| !left_out.iter().any(|name| **name == **namespace);
            let mut namespaces = watches.namespaces();
            let done = namespaces.partition_point(|namespace| last.as_deref().is_some_and(|last| **namespace <= *last));
            namespaces.rotate_left(done);
            let plans = namespaces.into_iter().filter(judged).map(of).filter(|plan| !plan.is_empty());
            plans.take(MOST).collect::<Vec<_>>()
        });
        let Ok(plans) = plans.await else {
            self.health.failed(Part::Budgets, "a round panicked, which is a defect: please report it");
            return None;
        };
        let last = plans.last().filter(|_| plans.len() == MOST).map(|plan| plan.namespace.clone());
        let mut trouble = None;
        for Plan { namespace, write, withdraw } in plans {
            let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &namespace);
            // First away with what stands beside somebody's own: two budgets over one Pod are worse than none.
            for withdrawn in withdraw {
                trouble = remove(&api, &namespace, withdrawn).await.err().or(trouble);
            }
            for budget in write {
                trouble = create(&api, &namespace, budget).await.err().or(trouble);
            }
        }
        match trouble {
            Some(undone) => {
                let why = undone.to_string();
                tracing::warn!(why, "a PodDisruptionBudget could not be written or withdrawn; it is tried again");
                self.health.failed(Part::Budgets, &why);
            }
            None => drop(self.health.succeeded(Part::Budgets)),
        }
        last
    }
}

/// A budget that the API server did not take, or did not give up.
#[derive(Debug, thiserror::Error)]
#[error("PodDisruptionBudget {namespace}/{name} cannot be {what}: {error}")]
struct Undone {
    namespace: String,
    name: String,
    what: &'static str,
    error: kube::Error,
}

async fn create(api: &Api<PodDisruptionBudget>, namespace: &str, budget: PodDisruptionBudget) -> Result<(), Undone> {
    let name = budget.name_any();
    match api.create(&PostParams::default(), &budget).await {
        Ok(_) => tracing::info!(namespace, name, "a PodDisruptionBudget was missing, and is written"),
        // Another replica was first; or a namesake came, which the next round knows.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        // Nothing can be made any more in a namespace that is on its way out.
        Err(kube::Error::Api(status)) if is_terminating(&status) => {}
        Err(error) => return Err(Undone { namespace: namespace.to_owned(), name, what: "written", error }),
    }
    Ok(())
}

fn is_terminating(status: &Status) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}

async fn remove(api: &Api<PodDisruptionBudget>, namespace: &str, withdrawn: Withdrawn) -> Result<(), Undone> {
    let Withdrawn { name, uid } = withdrawn;
    // Not a namesake that somebody made meanwhile.
    let preconditions = Some(Preconditions { uid: Some(uid), ..Preconditions::default() });
    match api.delete(&name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
        Ok(_) => tracing::info!(namespace, name, "a PodDisruptionBudget is no longer missing; ours is withdrawn"),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
        Err(error) => return Err(Undone { namespace: namespace.to_owned(), name, what: "withdrawn", error }),
    }
    Ok(())
}
