//! `plimsoll serve`: the admission webhook.

mod arguments;
mod background;
mod certificate;
mod configuration;
mod log;
mod own;
mod registration;
mod reload;
mod signals;
mod watched;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use crate::context::watch::Watches;
use crate::context::{Context, Knowing, Unknown, Watched};
use crate::engine::Limits;
use crate::register::{self, AuthoritySecret, RegisterError, Registrar, Registration, Rules, State, Wanted};
use crate::registry::{self, PolicySet, Profile};
use crate::server::{self, Clients, Server};
use crate::serving::{Current, Health, Loaded, Part};
use crate::{budgets, printed};
pub(super) use arguments::ServeArgs;
use background::Background;
use certificate::{Certificate, Source};
use configuration::{Loader, readable};
use log::log_to_stderr;
use own::Own;
use registration::client;
#[cfg(feature = "check")]
pub(super) use registration::config;
use registration::until_it_works;
pub(super) use registration::version_of;
use reload::Reloader;
use signals::Signals;
use watched::Fingerprint;

/// What the command line or a file of it is wrong about.
const USAGE: u8 = 2;

/// Who starts it by hand waits no longer for the first list of everything that policies ask for.
const LISTED: Duration = Duration::from_secs(30);

/// Open files that the server asks the system for: both listeners' connections, and some more.
const FILES: u64 = 4096;

/// Between readiness going off and the end of accepting, where others have to hear of it: endpoints, load balancers.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
///
/// # Errors
/// What the machine or the API server refuses. What is wrong with arguments and files is printed, with status 2.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode> {
    log_to_stderr(args.log_format);
    // For the client of the API server; our own TLS names it. A second call, as in tests, changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    crate::engine::keep_little_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("plimsoll-io")
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> Result<ExitCode> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, "starting");
    // Each connection takes one, and the usual soft limit is below their number.
    if let Err(error) = rlimit::increase_nofile_limit(FILES) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    // Before anything takes time: without a handler SIGHUP would end the process.
    let hangup = signals::hangup().context("cannot wait for SIGHUP")?;
    let options = server_options(&args);
    let source = Source::new(&args);
    // Before they are read: what changes from here on is found to be new.
    let certificates_seen = Fingerprint::of(&source.watched());
    let Certificate { key, authority, clients } = match source.load() {
        Ok(certificate) => certificate,
        Err(error) => return usage(&[error]),
    };
    // Before the API server is waited for: it may take long.
    if let Err(problems) = readable(&args.config) {
        return usage(&problems);
    }
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let client = if args.register { Some(client(args.kubeconfig.as_deref()).await?) } else { None };
    let Known { kubernetes_version, own } = tokio::select! {
        known = ask(&args, client.as_ref(), key.is_none()) => known?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let (key, authority) = match (key, &own) {
        (Some(key), _) => (Arc::new(key), authority),
        (None, Some(own)) => (own.key(), own.authority()),
        (None, None) => {
            return Err(anyhow!("there is no certificate, which is a defect of Plimsoll: please report it"));
        }
    };
    let registry_options = registry::Options {
        profile: args.profile,
        kubernetes_version,
        whole_workloads: args.write_budgets.is_some(),
        ..registry::Options::default()
    };
    let watches = client.as_ref().map(|client| Watches::start(client.clone(), args.only_namespace.clone()));
    let context: Arc<dyn Context> = match &watches {
        Some(watches) => Arc::<Watches>::clone(watches),
        None => Arc::new(Unknown),
    };
    // Who writes budgets judges beside the evaluating threads.
    let threads = options.threads + usize::from(args.write_budgets.is_some());
    let limits = Limits { time: args.evaluation_time, ..Limits::default() };
    let cache = args.bundle_cache.clone();
    let unsaid = PolicySet::new("default", Profile::Default).with_mode(args.mode.into());
    let mut loader = Loader::new((args.config.clone(), unsaid), registry_options, context, (threads, limits), cache);
    let (configuration_seen, loaded) = loader.load();
    let loaded = match loaded {
        Ok(loaded) => Arc::new(Current::new(loaded)),
        Err(problems) => return usage(&problems),
    };
    if let Some(watches) = &watches {
        let registry = &loaded.get().registry;
        watches.want(registry.context_kinds(), registry.workloads());
    }
    let key = Arc::new(Current::new(key));
    let clients = clients.map(|clients| Arc::new(Current::new(clients)));
    let server = bind(&args, options, &loaded, &key, clients.clone()).await?;
    let health = server.health();
    let mut reloader = Reloader {
        background: Background::start().context("cannot start a thread")?,
        health: Arc::clone(&health),
        configuration: reload::Configuration {
            loader: Arc::new(Mutex::new(loader)),
            loaded: Arc::clone(&loaded),
            seen: configuration_seen,
            retired: Vec::new(),
            watches: watches.clone(),
        },
        certificates: reload::Certificates {
            source: Arc::new(source),
            key: Arc::clone(&key),
            clients,
            authority: authority.clone(),
            seen: Some(certificates_seen),
        },
        registrar: None,
    };
    let (stop, mut stopping) = watch::channel(false);
    let stopped = stop.subscribe();
    let stop_serving = stop.clone();
    let serving = tokio::spawn(server.run(async move {
        tokio::select! {
            () = signals.first() => drop(stop_serving.send_replace(true)),
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }));
    if let Some(watches) = watches.filter(|_| args.service.is_none()) {
        // By a Service nobody asks before it is ready; by a URL the API server would at once.
        let known = tokio::select! {
            known = tokio::time::timeout(LISTED, watches.listed()) => known.is_ok(),
            () = until_stopped(stopped.clone()) => true,
        };
        if !known {
            stop.send_replace(true);
            serving.await.context("the server panicked")??;
            return Err(unlisted(&watches.watched()));
        }
    }
    let stops = *stopped.borrow();
    let writer = client.clone().zip(reloader.configuration.watches.clone()).zip(args.write_budgets);
    let writer = writer.map(|((client, watches), every)| {
        let own = args.service.iter().map(|service| service.namespace.clone());
        let left_out = own.chain([register::KUBE_SYSTEM.to_owned()]).collect();
        let rounds = budgets::Rounds { every, left_out };
        tokio::spawn(budgets::keep(client, watches, Arc::clone(&loaded), Arc::clone(&health), rounds))
    });
    if let (Some(client), Some(place), false) = (client, args.place(), stops) {
        // From here on the API server asks; everything that answers it is there.
        let version = loaded.get();
        let wanted = Wanted { enforces: version.enforces, rules: Rules::of(&version.registry), ca_bundle: authority };
        match register(Registration::new(client, place), wanted, stopped.clone(), Arc::clone(&health)).await {
            Ok(registrar) => reloader.registrar = Some(Arc::new(registrar)),
            Err(error) => {
                stop.send_replace(true);
                serving.await.context("the server panicked")??;
                return Err(error.into());
            }
        }
    }
    let registrar = reloader.registrar.clone();
    let own = own.map(|own| tokio::spawn(own.keep(key, registrar.clone(), health)));
    // Who is told to stop neither reloads nor registers any more.
    let interval = (!args.reload_interval.is_zero()).then_some(args.reload_interval);
    tokio::select! {
        () = until_stopped(stopped) => {}
        () = reloader.run(interval, hangup) => {}
    }
    if let Some(writer) = writer {
        writer.abort();
    }
    if let Some(own) = own {
        own.abort();
        let _ = own.await;
    }
    serving.await.context("the server panicked")??;
    if let Some(registrar) = registrar.and_then(Arc::into_inner) {
        registrar.left().await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// What has to be asked of the API server before anything is answered.
struct Known {
    kubernetes_version: Option<String>,
    /// Where no certificate was given.
    own: Option<Own>,
}

async fn ask(args: &ServeArgs, client: Option<&kube::Client>, needs_certificate: bool) -> Result<Known> {
    let in_cluster = args.service.as_ref().zip(client);
    let kubernetes_version = match (&args.kubernetes_version, client) {
        (None, Some(client)) if in_cluster.is_some() => Some(until_it_works(async || version_of(client).await).await),
        (None, Some(client)) => Some(version_of(client).await?),
        (given, _) => given.clone(),
    };
    let own = match in_cluster {
        _ if !needs_certificate => None,
        Some((service, client)) => {
            let secret =
                AuthoritySecret::new(client.clone(), &service.namespace, &args.authority_secret, &service.name);
            Some(until_it_works(async || Own::issue(Some(secret.clone()), args.hosts()).await).await)
        }
        None => Some(Own::issue(None, args.hosts()).await?),
    };
    Ok(Known { kubernetes_version, own })
}

/// Who starts it by hand sees at once what is wrong. In a Pod it goes on trying.
async fn register(
    mut registration: Registration,
    wanted: Wanted,
    stopped: watch::Receiver<bool>,
    health: Arc<Health>,
) -> Result<Registrar, RegisterError> {
    if registration.is_by_hand() {
        registration.round(&wanted).await?;
    }
    let report = move |round: &Result<State, String>| {
        health.registered_by_another(matches!(round, Ok(State::Foreign { .. })));
        match round {
            Ok(State::Registered { .. } | State::AwaitingReplica) => drop(health.succeeded(Part::Registration)),
            Ok(state) => health.failed(Part::Registration, &state.to_string()),
            Err(error) => health.failed(Part::Registration, error),
        }
    };
    Ok(Registrar::start(registration, wanted, until_stopped(stopped), report))
}

/// What policies ask for and could not be listed.
fn unlisted(watched: &[Watched]) -> anyhow::Error {
    let awaited = watched.iter().filter(|kind| kind.state == Knowing::Awaited);
    let kinds: Vec<String> = awaited
        .map(|kind| format!("{} ({})", kind.kind, kind.trouble.as_deref().unwrap_or("it takes too long")))
        .collect();
    anyhow!(
        "cannot list the objects that policies ask for: {}; `plimsoll policy rights` prints the rules that a role needs",
        kinds.join(", ")
    )
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // Nobody who could say so any more means that it has stopped.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn server_options(args: &ServeArgs) -> server::Options {
    let options = server::Options::default();
    let delay = if args.listen.ip().is_loopback() { Duration::ZERO } else { DRAIN_DELAY };
    server::Options {
        threads: args.threads.map_or(options.threads, usize::from),
        max_concurrent: args.max_concurrent.into(),
        body_timeout: args.body_timeout,
        drain_delay: args.drain_delay.unwrap_or(delay),
        ..options
    }
}

async fn bind(
    args: &ServeArgs,
    options: server::Options,
    loaded: &Arc<Current<Loaded>>,
    key: &Arc<Current<CertifiedKey>>,
    clients: Option<Arc<Current<Clients>>>,
) -> Result<Server> {
    let mut server = Server::bind(args.listen, options, Arc::clone(loaded), Arc::clone(key))
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    if let Some(clients) = clients {
        server = server.only_for(clients);
    }
    if let Some(address) = args.health_listen {
        server = server.with_health_on(address).await.with_context(|| format!("cannot listen on {address}"))?;
    }
    let health = server.health_address().map(tracing::field::display);
    let enforces = loaded.get().enforces;
    tracing::info!(address = %server.address(), health, threads = options.threads, enforces, "ready");
    Ok(server)
}

/// Prints everything that is wrong, one a line.
fn usage<E: std::fmt::Display>(problems: &[E]) -> Result<ExitCode> {
    let mut stderr = io::stderr().lock();
    for problem in problems {
        let problem = problem.to_string();
        writeln!(stderr, "{}", printed::text(&problem)).context("cannot write to stderr")?;
    }
    Ok(ExitCode::from(USAGE))
}
