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
mod tasks;
mod watched;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use kube::Client;

use super::Failure;
use crate::budgets;
use crate::context::watch::Watches;
use crate::context::{Context as _, Knowing, Watched};
use crate::register::{self, AuthoritySecret, Registration, Rules, Wanted};
use crate::server::{self, Server};
pub(super) use arguments::ServeArgs;
use background::Background;
use certificate::Given;
use configuration::{Loader, readable};
use log::log_to_stderr;
use own::Own;
#[cfg(feature = "check")]
pub(super) use registration::config;
pub(super) use registration::version_of;
use registration::{client, register, until_it_works};
use reload::{Certificates, Configuration, Reloader};
use signals::Signals;
use tasks::Tasks;

/// With `--url`, give up if the first lists take longer than this.
const LISTED: Duration = Duration::from_secs(30);

/// Number of open files that the server requests from the system: the connections of both listeners, and some more.
const FILES: u64 = 4096;

/// Default of `--drain-delay`: how long to accept requests after `/readyz` starts to fail. Endpoints and load balancers
/// need this time to notice.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
///
/// # Errors
/// Wrong arguments and files have status 2. An error of the machine or of the API server has status 1.
pub(super) fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    log_to_stderr(args.log_format);
    // The client of the API server needs a default provider. Our own TLS names its provider. A second call, as in
    // tests, has no effect.
    let _ = rustls::crypto::ring::default_provider().install_default();
    crate::engine::keep_little_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("plimsoll-io")
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(serve(args))
}

/// The phases: read the files, ask the API server, load, bind, and run until the end. Files are read first, because
/// the wait for the API server may be long.
async fn serve(args: ServeArgs) -> Result<ExitCode, Failure> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, "starting");
    raise_limits();
    // Without a handler, SIGHUP would end the process.
    let hangup = signals::hangup().context("cannot wait for SIGHUP")?;
    let given = Given::read(&args)?;
    readable(&args.config)?;
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let client = if args.register { Some(client(args.kubeconfig.as_deref()).await?) } else { None };
    let Asked { kubernetes_version, own } = tokio::select! {
        asked = ask(&args, client.as_ref(), given.needs_certificate()) => asked?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let watches = client.as_ref().map(|client| Watches::start(client.clone(), args.only_namespace.clone()));
    let certificates = Certificates::new(given, own.as_ref())?;
    let options = server_options(&args);
    let loader = Loader::new(&args, options.threads, kubernetes_version, watches.clone());
    let configuration = Configuration::load(loader, watches)?;
    let server = bind(&args, options, &configuration, &certificates).await?;
    let (background, health) = (Background::start().context("cannot start a thread")?, server.health());
    let mut tasks = Tasks::start(server, signals);
    let reloader = Reloader { background, health, configuration, certificates, registrar: None };
    let attended = attend(&args, client, own, reloader, hangup, &mut tasks).await;
    tasks.end().await?;
    attended?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Runs the tasks beside the server. The server is registered only after it has listed the context objects.
async fn attend(
    args: &ServeArgs,
    client: Option<Client>,
    own: Option<Own>,
    mut reloader: Reloader,
    hangup: tokio::signal::unix::Signal,
    tasks: &mut Tasks,
) -> Result<()> {
    let health = Arc::clone(&reloader.health);
    let watches = reloader.configuration.watches.clone();
    if let Some(watches) = watches.as_ref().filter(|_| args.service.is_none()) {
        wait_for_lists(watches, tasks).await?;
    }
    if let Some((client, watches)) = client.clone().zip(watches) {
        write_budgets(args, client, watches, &reloader, tasks);
    }
    if let (Some(client), Some(place), false) = (client, args.place(), tasks.is_stopped()) {
        let version = reloader.configuration.loaded.get();
        let ca_bundle = reloader.certificates.authority.clone();
        let wanted = Wanted { enforces: version.enforces, rules: Rules::of(&version.registry), ca_bundle };
        let registration = Registration::new(client, place);
        tasks.keep(register(registration, wanted, tasks.stopped(), Arc::clone(&health)).await?);
        reloader.registrar = tasks.registrar();
    }
    if let Some(own) = own {
        tasks.spawn(own.keep(Arc::clone(&reloader.certificates.key), tasks.registrar(), health));
    }
    let interval = (!args.reload_interval.is_zero()).then_some(args.reload_interval);
    // A server that is stopping neither reloads nor registers.
    tokio::select! {
        () = tasks.stopped() => {}
        () = reloader.run(interval, hangup) => {}
    }
    Ok(())
}

/// Waits for the first lists. With a URL, the API server sends reviews at once. With a Service, it waits until the
/// replica is ready.
async fn wait_for_lists(watches: &Watches, tasks: &Tasks) -> Result<()> {
    let is_done = tokio::select! {
        listed = tokio::time::timeout(LISTED, watches.listed()) => listed.is_ok(),
        () = tasks.stopped() => true,
    };
    if is_done { Ok(()) } else { Err(unlisted(&watches.watched())) }
}

/// With `--write-budgets`, starts the task that writes missing PodDisruptionBudgets.
fn write_budgets(args: &ServeArgs, client: Client, watches: Arc<Watches>, reloader: &Reloader, tasks: &mut Tasks) {
    let Some(every) = args.write_budgets else { return };
    let own = args.service.iter().map(|service| service.namespace.clone());
    let left_out = own.chain([register::KUBE_SYSTEM.to_owned()]).collect();
    let (loaded, health) = (Arc::clone(&reloader.configuration.loaded), Arc::clone(&reloader.health));
    tasks.spawn(budgets::keep(client, watches, loaded, health, budgets::Rounds { every, left_out }));
}

/// Raises the limit of open files. Each connection takes one, and the usual soft limit is too low.
fn raise_limits() {
    if let Err(error) = rlimit::increase_nofile_limit(FILES) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Facts that the server needs from the API server before it starts.
struct Asked {
    kubernetes_version: Option<String>,
    /// The server's own certificate, if the command line names none.
    own: Option<Own>,
}

async fn ask(args: &ServeArgs, client: Option<&kube::Client>, needs_certificate: bool) -> Result<Asked> {
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
    Ok(Asked { kubernetes_version, own })
}

/// The error for context objects that could not be listed in time.
fn unlisted(watched: &[Watched]) -> anyhow::Error {
    let awaited = watched.iter().filter(|kind| kind.state == Knowing::Awaited);
    let kinds: Vec<String> = awaited
        .map(|kind| format!("{} ({})", kind.kind, kind.trouble.as_deref().unwrap_or("it takes too long")))
        .collect();
    anyhow!(
        "cannot list the objects that policies use: {}; `plimsoll policy rights` prints the rules that a role needs",
        kinds.join(", ")
    )
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
    configuration: &Configuration,
    certificates: &Certificates,
) -> Result<Server> {
    let (loaded, key) = (Arc::clone(&configuration.loaded), Arc::clone(&certificates.key));
    let enforces = loaded.get().enforces;
    let mut server = Server::bind(args.listen, options, loaded, key)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    if let Some(clients) = &certificates.clients {
        server = server.only_for(Arc::clone(clients));
    }
    if let Some(address) = args.health_listen {
        server = server.with_health_on(address).await.with_context(|| format!("cannot listen on {address}"))?;
    }
    let health = server.health_address().map(tracing::field::display);
    tracing::info!(address = %server.address(), health, threads = options.threads, enforces, "ready");
    Ok(server)
}
