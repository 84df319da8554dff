//! `plimsoll serve`: the admission webhook.

mod arguments;
mod certificate;
mod configuration;
mod log;
mod registration;
mod signals;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::watch;

use crate::context::Unknown;
use crate::engine::{Engine, Limits};
use crate::register::{AuthoritySecret, RegisterError, Registrar, Registration, Rules, Wanted};
use crate::registry::{self, Registry};
use crate::server::{self, Current, Loaded, Server};
pub(super) use arguments::ServeArgs;
use certificate::Own;
use configuration::Configuration;
use log::log_to_stderr;
use registration::{client, until_it_works, version_of};
use signals::Signals;

/// What the command line or a file of it is wrong about.
const USAGE: u8 = 2;

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("plimsoll-io")
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(serve(args))
}

async fn serve(args: ServeArgs) -> Result<ExitCode> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %args.listen, "starting");
    let configuration = match Configuration::read(&args.config) {
        Ok(configuration) => configuration,
        Err(problems) => return usage(&problems),
    };
    let given = match certificate::given(&args) {
        Ok(given) => given,
        Err(error) => return usage(&[error]),
    };
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let client = if args.register { Some(client(args.kubeconfig.as_deref()).await?) } else { None };
    let options = server::Options {
        max_concurrent: args.max_concurrent.into(),
        drain_delay: args.drain_delay.unwrap_or(if args.listen.ip().is_loopback() {
            Duration::ZERO
        } else {
            DRAIN_DELAY
        }),
        ..server::Options::default()
    };
    let options = server::Options { threads: args.threads.map_or(options.threads, usize::from), ..options };
    let known = tokio::select! {
        known = ask(&args, client.as_ref(), given.is_none()) => known?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let kubernetes_version = known.kubernetes_version;
    let enforces = configuration.enforces;
    let registry_options =
        registry::Options { profile: args.profile, kubernetes_version, ..registry::Options::default() };
    // A thread holds one instance of each bundle until its review is decided.
    let instances = options.threads * configuration.sets.len().max(1);
    let limits = Limits { instances: u32::try_from(instances).unwrap_or(u32::MAX), ..Limits::default() };
    let engine = Engine::new(limits)
        .map_err(|error| anyhow!("cannot reserve memory for {instances} instances: {error:#}; give fewer --threads"))?;
    let registry = match Registry::new(&engine, configuration.sets, registry_options) {
        Ok(registry) => registry,
        Err(problems) => return usage(&problems),
    };
    let loaded = Arc::new(Current::new(Loaded { registry, context: Arc::new(Unknown), enforces }));
    let (key, ca_bundle) = match (given, &known.certificate) {
        (Some(given), _) => (Current::new(given.key), given.authority),
        (None, Some(own)) => (Current::new(own.key()), own.authority()),
        (None, None) => return Err(anyhow!("there is no certificate; please report it")),
    };
    let key = Arc::new(key);
    let server = Server::bind(args.listen, options, Arc::clone(&loaded), Arc::clone(&key))
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    tracing::info!(address = %server.address(), threads = options.threads, "ready");
    let (stop, mut stopping) = watch::channel(false);
    let give_up = stop.clone();
    let serving = tokio::spawn(server.run(async move {
        tokio::select! {
            () = signals.first() => drop(stop.send(true)),
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }));
    let mut registrar = Ok(None);
    if let (Some(client), Some(place)) = (client, args.place()) {
        // From here on the API server asks; everything that answers it is there.
        let wanted = Wanted { enforces, rules: Rules::of(&loaded.get().registry), ca_bundle: ca_bundle.clone() };
        registrar = register(Registration::new(client, place), wanted, &give_up).await.map(Some);
        if registrar.is_err() {
            give_up.send_replace(true);
        }
    }
    let registrar = match registrar {
        Ok(registrar) => registrar.map(Arc::new),
        Err(error) => {
            serving.await.context("the server panicked")?.context("cannot set up TLS")?;
            return Err(error.into());
        }
    };
    let background = match (known.certificate, &registrar) {
        (Some(own), registrar) => Some(tokio::spawn(own.keep(key, registrar.clone()))),
        (None, Some(registrar)) => {
            Some(tokio::spawn(certificate::follow_authority(args, ca_bundle, Arc::clone(registrar))))
        }
        (None, None) => None,
    };
    serving.await.context("the server panicked")?.context("cannot set up TLS")?;
    if let Some(background) = background {
        background.abort();
        let _ = background.await;
    }
    if let Some(registrar) = registrar.and_then(Arc::into_inner) {
        registrar.left().await;
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// What has to be asked of the API server before anything is answered.
struct Known {
    kubernetes_version: Option<String>,
    /// Where none was given.
    certificate: Option<Own>,
}

async fn ask(args: &ServeArgs, client: Option<&kube::Client>, needs_certificate: bool) -> Result<Known> {
    let in_cluster = args.service.as_ref().zip(client);
    let kubernetes_version = match (&args.kubernetes_version, client) {
        (None, Some(client)) if in_cluster.is_some() => Some(until_it_works(async || version_of(client).await).await),
        (None, Some(client)) => Some(version_of(client).await?),
        (given, _) => given.clone(),
    };
    let certificate = match in_cluster {
        _ if !needs_certificate => None,
        Some((service, client)) => {
            let secret = AuthoritySecret::new(client.clone(), &service.namespace, &args.authority_secret);
            Some(until_it_works(async || Own::issue(Some(secret.clone()), args.hosts()).await).await)
        }
        None => Some(Own::issue(None, args.hosts()).await?),
    };
    Ok(Known { kubernetes_version, certificate })
}

/// Who starts it by hand sees at once what is wrong. In a Pod it goes on trying.
async fn register(
    mut registration: Registration,
    wanted: Wanted,
    stop: &watch::Sender<bool>,
) -> Result<Registrar, RegisterError> {
    if registration.is_by_hand() {
        registration.round(&wanted).await?;
    }
    let mut stopping = stop.subscribe();
    let leaving = async move { drop(stopping.wait_for(|stop| *stop).await) };
    Ok(Registrar::start(registration, wanted, leaving))
}

/// Prints everything that is wrong, one a line.
fn usage<E: std::fmt::Display>(problems: &[E]) -> Result<ExitCode> {
    let mut stderr = io::stderr().lock();
    for problem in problems {
        writeln!(stderr, "{problem}").context("cannot write to stderr")?;
    }
    Ok(ExitCode::from(USAGE))
}
