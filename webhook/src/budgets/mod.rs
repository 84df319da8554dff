//! Writes the PodDisruptionBudget that a workload lacks, and deletes it once the workload has another budget.
//!
//! A policy proposes the budget: it is the companion object that `check --fix=unsafe` writes to a file. Every round
//! judges all workloads again, as if no such budget had been written. So no state is kept between rounds, and several
//! replicas can do the same at once. This is no part of a review.

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

/// Maximum number of namespaces that one round changes. The next round continues after them. So a large cluster is not
/// flooded, and a namespace that always fails does not block the others.
const MOST: usize = 100;

/// Runs the rounds until the future is dropped.
pub async fn keep(
    client: Client,
    watches: Arc<Watches>,
    loaded: Arc<Current<Loaded>>,
    health: Arc<Health>,
    rounds: Rounds,
) {
    tracing::info!(every = ?rounds.every, "writing missing PodDisruptionBudgets");
    let writer = Writer { client, watches, loaded, health, left_out: rounds.left_out };
    let mut last: Option<String> = None;
    loop {
        tokio::time::sleep(rounds.every).await;
        // Before all lists are complete, a budget may exist without being known.
        if writer.watches.is_ready() {
            last = writer.round(last).await;
        }
    }
}

/// The schedule of the rounds, and the namespaces that they skip.
#[derive(Clone, Debug)]
pub struct Rounds {
    /// Time between two rounds.
    pub every: Duration,
    /// Namespaces to skip. The webhook is not registered for them either.
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
    /// Runs one round, starting after the namespace `last`. Returns the last namespace that it changed, or None if it
    /// finished all of them.
    async fn round(&self, last: Option<String>) -> Option<String> {
        let (watches, loaded, left_out) = (Arc::clone(&self.watches), self.loaded.get(), self.left_out.clone());
        // Judging would block the event loop.
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
            self.health.failed(Part::Budgets, "a round panicked, which is a bug: please report it");
            return None;
        };
        let last = plans.last().filter(|_| plans.len() == MOST).map(|plan| plan.namespace.clone());
        let mut trouble = None;
        for Plan { namespace, write, withdraw } in plans {
            let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &namespace);
            // Deletions come first, because a Pod with two budgets can't be evicted at all.
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
                tracing::warn!(why, "a PodDisruptionBudget could not be written or deleted; it is retried");
                self.health.failed(Part::Budgets, &why);
            }
            None => drop(self.health.succeeded(Part::Budgets)),
        }
        last
    }
}

/// A budget that the API server did not create or delete.
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
        Ok(_) => tracing::info!(namespace, name, "wrote a missing PodDisruptionBudget"),
        // Another replica was faster, or a budget of this name exists that the next round knows.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        // Objects can't be created in a namespace that is being deleted.
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
    // Another budget of the same name, created meanwhile, is not deleted.
    let preconditions = Some(Preconditions { uid: Some(uid), ..Preconditions::default() });
    match api.delete(&name, &DeleteParams { preconditions, ..DeleteParams::default() }).await {
        Ok(_) => tracing::info!(namespace, name, "deleted our PodDisruptionBudget, because it is no longer needed"),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
        Err(error) => return Err(Undone { namespace: namespace.to_owned(), name, what: "deleted", error }),
    }
    Ok(())
}
