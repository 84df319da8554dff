//! The context of the cluster, from watches of the kinds that policies declare.
//!
//! Reviews read, and one task for each kind writes. A namespace is one shard. A change replaces the shard, so a review
//! keeps its own version and never waits.

mod follow;
mod supervisor;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kube::Client;
use tokio::sync::watch;

use super::index::{Growth, Shard};
use super::kept::Kept;
use super::live::{Cluster, Kinds};
use super::question::{Question, Shape};
use super::references::{among_all, names_namespaces};
use super::{Context, Knowing, Live, NAMESPACE, Watched};
use crate::engine::Answer;
use crate::model::Current;
use crate::registry::Workloads;

/// The watched part of the cluster.
#[derive(Debug)]
pub struct Watches {
    known: RwLock<Contents>,
    /// Locked while something is changed.
    states: Mutex<BTreeMap<String, State>>,
    /// Whether every kind of the first configuration was listed once.
    ready: AtomicBool,
    workloads: Arc<Current<Workloads>>,
    /// The watched namespaces. Empty for all.
    only: Arc<[String]>,
    cluster: Arc<Cluster>,
    wanted: watch::Sender<Wanted>,
    /// Counts calls of [`Watches::want`], so that no version repeats: a task for an earlier version may still be
    /// running.
    versions: AtomicU64,
    /// Counts completed lists.
    listed: watch::Sender<u64>,
}

/// The wanted kinds, `group/Kind`, each with the version of the request.
type Wanted = BTreeMap<String, u64>;

/// The part that reviews read.
#[derive(Debug, Default)]
struct Contents {
    shards: HashMap<Arc<str>, Arc<Shard>>,
    kinds: Arc<HashMap<String, Extent>>,
}

/// The extent to which a kind is known.
#[derive(Clone, Debug)]
struct Extent {
    namespaced: bool,
    /// Whether it was listed in every watched scope.
    complete: bool,
}

/// The state of a kind.
#[derive(Debug, Default)]
struct State {
    /// It changes if the kind must be listed again, because more of its objects is kept.
    version: u64,
    /// Whether policies ask for the kind. Then its objects are required for every verdict. Other kinds only serve
    /// decisions, which can ask the API server instead.
    needed: bool,
    namespaced: bool,
    not_served: bool,
    /// The state in each namespace that is watched separately. None is the key if all are watched together.
    scopes: BTreeMap<Option<String>, Scope>,
    /// The error, if discovery of the kind failed.
    undiscovered: Option<String>,
    change: Growth,
    failures: u64,
}

#[derive(Debug, Default)]
struct Scope {
    listed: bool,
    trouble: Option<String>,
}

/// One object from the API server.
struct Sent {
    namespace: String,
    name: String,
    kept: Kept,
}

impl Watches {
    /// Starts to watch what [`Watches::want`] asks for, on the event loop of the caller: in these namespaces, or in all
    /// if the list is empty.
    pub fn start(client: Client, namespaces: Vec<String>) -> Arc<Self> {
        let (kinds, only) = (Arc::new(Kinds::default()), Arc::<[String]>::from(namespaces));
        let (wanted, changes) = watch::channel(Wanted::new());
        let workloads = Arc::<Current<Workloads>>::default();
        let watches = Arc::new(Self {
            known: RwLock::default(),
            states: Mutex::default(),
            ready: AtomicBool::new(false),
            workloads: Arc::clone(&workloads),
            only: Arc::clone(&only),
            cluster: Arc::new(Cluster::new(client.clone(), Arc::clone(&kinds), workloads, only.is_empty())),
            wanted,
            versions: AtomicU64::new(0),
            listed: watch::channel(0).0,
        });
        tokio::spawn(supervisor::run(Arc::downgrade(&watches), client, kinds, only, changes));
        watches
    }

    /// Changes the watched kinds, the kinds with a pod template, and the kept parts. If more of a kind is to be kept
    /// than before, the kind is listed again, and is not known until then. Namespaces are always watched, because
    /// decisions ask whether a namespace is being deleted.
    pub fn want(&self, kinds: BTreeSet<String>, workloads: &Arc<Workloads>) {
        let kinds: BTreeMap<String, bool> =
            [(NAMESPACE.to_owned(), false)].into_iter().chain(kinds.into_iter().map(|kind| (kind, true))).collect();
        let wanted = {
            let mut states = self.states();
            let before = self.workloads.get();
            let stays = |(kind, state): &(&String, &State)| {
                kinds.get(*kind) == Some(&state.needed) && before.suffice(workloads, kind)
            };
            let gone: Vec<String> = states.iter().filter(|it| !stays(it)).map(|(kind, _)| kind.clone()).collect();
            for kind in &gone {
                states.remove(kind);
            }
            let version = self.versions.fetch_add(1, Ordering::Relaxed);
            for (kind, needed) in kinds {
                states.entry(kind).or_insert_with(|| State { version, needed, ..State::default() });
            }
            self.publish(&states);
            gone.iter().for_each(|kind| self.forget(kind));
            self.workloads.replace(Arc::clone(workloads));
            states.iter().map(|(kind, state)| (kind.clone(), state.version)).collect()
        };
        self.listed.send_modify(|count| *count += 1);
        self.wanted.send_replace(wanted);
    }

    /// The kinds that are watched for policies.
    pub fn wanted(&self) -> BTreeSet<String> {
        self.states().iter().filter(|(_, state)| state.needed).map(|(kind, _)| kind.clone()).collect()
    }

    /// The current kinds with a pod template, and the kept parts.
    pub fn workloads(&self) -> Arc<Workloads> {
        self.workloads.get()
    }

    /// The namespaces with known objects.
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut namespaces: Vec<_> = known.shards.keys().filter(|namespace| !namespace.is_empty()).cloned().collect();
        namespaces.sort_unstable();
        namespaces
    }

    /// Every object of a kind in a namespace, as flat documents. None if the kind is not completely known.
    pub fn objects(&self, namespace: &str, kind: &str) -> Option<Vec<Vec<u8>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_complete = known.kinds.get(kind).is_some_and(|extent| extent.complete);
        let shard = known.shards.get(namespace).cloned();
        drop(known);
        is_complete.then(|| shard.map(|shard| shard.documents(kind)).unwrap_or_default())
    }

    /// Waits until every kind that policies ask for was listed once.
    pub async fn listed(&self) {
        let mut listed = self.listed.subscribe();
        // We own the sender, so this never fails.
        let _ = listed.wait_for(|_| self.states().values().all(|state| !state.needed || state.is_listed())).await;
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records whether the API server serves a kind, and how.
    fn served(&self, kind: &str, namespaced: Option<bool>, scopes: &[Option<String>]) {
        let mut states = self.states();
        let Some(state) = states.get_mut(kind) else { return };
        state.not_served = namespaced.is_none();
        state.namespaced = namespaced.unwrap_or(state.namespaced);
        state.undiscovered = None;
        state.scopes = scopes.iter().map(|scope| (scope.clone(), Scope::default())).collect();
        if state.not_served {
            state.change = Growth::default();
            self.forget(kind);
        }
        self.publish(&states);
        drop(states);
        self.listed.send_modify(|count| *count += 1);
    }

    fn undiscovered(&self, kind: &str, why: &str) {
        if let Some(state) = self.states().get_mut(kind) {
            if state.undiscovered.as_deref() != Some(why) {
                tracing::warn!(
                    kind = shown(kind),
                    why,
                    "it is unknown whether the API server serves a kind that policies ask for"
                );
            }
            state.undiscovered = Some(why.to_owned());
            state.failures += 1;
        }
    }

    /// Stores a complete list of a kind in a scope. Objects that are not in the list do not exist.
    fn replace(&self, (kind, version): (&str, u64), scope: &Option<String>, mut sent: Vec<Sent>) {
        let objects = sent.len();
        if self.is_for_all(kind) {
            let copies: Vec<_> = sent.iter().map(Sent::among_all).collect();
            sent.extend(copies);
        }
        sent.sort_unstable_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        let mut states = self.states();
        let Some(state) = of_version(&mut states, kind, version) else { return };
        let workloads = self.workloads.get();
        let shape = Shape::of(kind, &workloads);
        let mut stale: Vec<Arc<str>> = match scope {
            Some(namespace) => vec![namespace.as_str().into()],
            None => self.known.read().unwrap_or_else(PoisonError::into_inner).shards.keys().cloned().collect(),
        };
        stale.sort_unstable();
        let mut nobodys = State::default();
        for of_namespace in sent.chunk_by_mut(|one, other| one.namespace == other.namespace) {
            let Some(namespace) = of_namespace.first().map(|sent| Arc::<str>::from(sent.namespace.as_str())) else {
                continue;
            };
            if let Ok(at) = stale.binary_search(&namespace) {
                stale.remove(at);
            }
            let counted = if self.is_for_all(kind) && namespace.is_empty() { &mut nobodys } else { &mut *state };
            self.change(&namespace, counted, |shard| {
                let names: Vec<&str> = of_namespace.iter().map(|sent| sent.name.as_str()).collect();
                let mut change = shard.retain(shape, &names);
                for sent in of_namespace.iter_mut() {
                    change += shard.put(shape, &sent.name, 0, std::mem::take(&mut sent.kept)).unwrap_or_default();
                }
                change
            });
        }
        for namespace in stale {
            let counted = if self.is_for_all(kind) && namespace.is_empty() { &mut nobodys } else { &mut *state };
            self.change(&namespace, counted, |shard| shard.retain(shape, &[]));
        }
        let first = !state.is_listed();
        if let Some(scope) = state.scopes.get_mut(scope) {
            // The trouble is over only when the watch works, too.
            scope.listed = true;
        }
        if first {
            tracing::debug!(kind = shown(kind), objects, "listed");
        }
        self.publish(&states);
        drop(states);
        self.listed.send_modify(|count| *count += 1);
    }

    fn put(&self, (kind, version): (&str, u64), sent: Sent) {
        let mut states = self.states();
        let Some(state) = of_version(&mut states, kind, version) else { return };
        let workloads = self.workloads.get();
        let shape = Shape::of(kind, &workloads);
        let put = |sent: Sent, state: &mut State| {
            self.change(&sent.namespace.as_str().into(), state, |shard| {
                shard.put(shape, &sent.name, 0, sent.kept).unwrap_or_default()
            });
        };
        if self.is_for_all(kind) {
            put(sent.among_all(), &mut State::default());
        }
        put(sent, state);
    }

    /// Whether references from objects of this kind are looked up in all namespaces. Such objects are stored twice.
    fn is_for_all(&self, kind: &str) -> bool {
        self.only.is_empty() && names_namespaces(kind)
    }

    fn remove(&self, (kind, version): (&str, u64), namespace: &str, name: &str) {
        let mut states = self.states();
        let Some(state) = of_version(&mut states, kind, version) else { return };
        let workloads = self.workloads.get();
        let shape = Shape::of(kind, &workloads);
        self.change(&namespace.into(), state, |shard| shard.remove(shape, name));
        if self.is_for_all(kind) {
            let own = among_all(namespace, name);
            self.change(&"".into(), &mut State::default(), |shard| shard.remove(shape, &own));
        }
    }

    /// Replaces the shard of a namespace by a changed one. The caller holds the lock of the states.
    fn change(&self, namespace: &Arc<str>, state: &mut State, change: impl FnOnce(&mut Shard) -> Growth) {
        let known = || self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut shard = known().shards.get(namespace).cloned().unwrap_or_default();
        let made = change(Arc::make_mut(&mut shard));
        state.change += made;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = match shard.is_empty() {
            true => known.shards.remove(namespace),
            false => known.shards.insert(Arc::clone(namespace), shard),
        };
        // Frees the previous version without holding the lock.
        drop(known);
        drop(before);
    }

    /// Removes all objects of a kind.
    fn forget(&self, kind: &str) {
        let workloads = self.workloads.get();
        let shape = Shape::of(kind, &workloads);
        let namespaces: Vec<Arc<str>> =
            self.known.read().unwrap_or_else(PoisonError::into_inner).shards.keys().cloned().collect();
        let mut nobodys = State::default();
        for namespace in namespaces {
            self.change(&namespace, &mut nobodys, |shard| shard.retain(shape, &[]));
        }
    }

    /// Records that a watch works again.
    fn works(&self, (kind, version): (&str, u64), scope: &Option<String>) {
        let mut states = self.states();
        let Some(scope) = of_version(&mut states, kind, version).and_then(|state| state.scopes.get_mut(scope)) else {
            return;
        };
        if scope.trouble.take().is_some() {
            tracing::info!(kind = shown(kind), "watched again");
        }
    }

    /// Records that a list or a watch failed. The known objects stay.
    fn fails(&self, (kind, version): (&str, u64), scope: &Option<String>, why: &str) {
        let mut states = self.states();
        let Some(state) = of_version(&mut states, kind, version) else { return };
        state.failures += 1;
        let Some(scope) = state.scopes.get_mut(scope) else { return };
        // Logged once, however often it is retried.
        if scope.trouble.is_none() {
            let then =
                if scope.listed { "what was known last stays in use" } else { "answers about it are incomplete" };
            tracing::warn!(kind = shown(kind), why, "objects that policies ask for cannot be watched: {then}");
        }
        scope.trouble = Some(why.to_owned());
    }

    /// Tells reviews which kinds are complete.
    fn publish(&self, states: &BTreeMap<String, State>) {
        let extent = |state: &State| Extent { namespaced: state.namespaced, complete: state.is_listed() };
        let kinds: HashMap<String, Extent> = states.iter().map(|(kind, state)| (kind.clone(), extent(state))).collect();
        if states.values().all(|state| !state.needed || state.is_listed()) {
            self.ready.store(true, Ordering::Release);
        }
        self.known.write().unwrap_or_else(PoisonError::into_inner).kinds = Arc::new(kinds);
    }
}

impl State {
    fn is_listed(&self) -> bool {
        self.not_served || (!self.scopes.is_empty() && self.scopes.values().all(|scope| scope.listed))
    }

    fn knowing(&self) -> Knowing {
        let troubled = self.scopes.values().any(|scope| scope.trouble.is_some());
        match self.is_listed() {
            _ if self.not_served => Knowing::NotServed,
            false => Knowing::Awaited,
            true if troubled => Knowing::Stale,
            true => Knowing::Current,
        }
    }
}

impl Sent {
    /// The same object, as stored in the list of all namespaces.
    fn among_all(&self) -> Self {
        let Self { namespace, name, kept } = self;
        Self { namespace: String::new(), name: among_all(namespace, name), kept: kept.clone() }
    }
}

/// The state of a kind. None if this version is no longer wanted.
fn of_version<'a>(states: &'a mut BTreeMap<String, State>, kind: &str, version: u64) -> Option<&'a mut State> {
    states.get_mut(kind).filter(|state| state.version == version)
}

/// `Service` for `/Service`.
fn shown(kind: &str) -> &str {
    kind.trim_start_matches('/')
}

impl Context for Watches {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        self.snapshot_of(namespace).answer(namespace, kind, question)
    }

    fn snapshot(&self, namespace: &str) -> Option<Arc<dyn Context>> {
        Some(Arc::new(self.snapshot_of(namespace)))
    }

    fn live(&self) -> Option<&dyn Live> {
        Some(&*self.cluster)
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn watched(&self) -> Vec<Watched> {
        let of = |(kind, state): (&String, &State)| Watched {
            kind: shown(kind).to_owned(),
            state: state.knowing(),
            trouble: state
                .undiscovered
                .clone()
                .or_else(|| state.scopes.values().find_map(|scope| scope.trouble.clone())),
            objects: usize::try_from(state.change.objects).unwrap_or(0),
            bytes: usize::try_from(state.change.bytes).unwrap_or(0),
            failures: state.failures,
        };
        self.states().iter().map(of).collect()
    }
}

impl Watches {
    fn snapshot_of(&self, namespace: &str) -> Snapshot {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            own: known.shards.get(namespace).cloned().unwrap_or_default(),
            cluster: known.shards.get("").cloned().unwrap_or_default(),
            kinds: Arc::clone(&known.kinds),
            workloads: self.workloads.get(),
            only: Arc::clone(&self.only),
            live: Arc::clone(&self.cluster),
        }
    }
}

/// The part that one review sees.
#[derive(Debug)]
struct Snapshot {
    /// The objects of its namespace.
    own: Arc<Shard>,
    /// The cluster-scoped objects.
    cluster: Arc<Shard>,
    kinds: Arc<HashMap<String, Extent>>,
    workloads: Arc<Workloads>,
    only: Arc<[String]>,
    live: Arc<Cluster>,
}

impl Context for Snapshot {
    fn answer(&self, namespace: &str, kind: &str, question: Question<'_>) -> Answer {
        let Some(extent) = self.kinds.get(kind) else { return Answer::unknown() };
        let shard = match extent.namespaced {
            false => &self.cluster,
            // A question from a cluster-scoped object has no namespace, so the answer is unknown.
            true if namespace.is_empty() => return Answer::unknown(),
            true if !self.only.is_empty() && self.only.iter().all(|known| known != namespace) => {
                return Answer::unknown();
            }
            true if matches!(question, Question::Referring { kind: NAMESPACE, .. }) && self.only.is_empty() => {
                &self.cluster
            }
            true => &self.own,
        };
        let shape = Shape::of(kind, &self.workloads);
        let answer = shard.answer(shape, namespace, question);
        Answer { complete: answer.complete && extent.complete, ..answer }
    }

    fn live(&self) -> Option<&dyn Live> {
        Some(&*self.live)
    }
}
