//! `plimsoll serve`: the admission webhook.

mod arguments;
mod background;
mod certificate;
mod configuration;
mod log;
mod registration;
mod reload;
mod signals;
mod watched;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::sign::CertifiedKey;
use tokio::sync::oneshot;

use crate::context::Unknown;
use crate::registry;
use crate::server::{self, Clients, Current, Loaded, Part, Server};
pub(super) use arguments::ServeArgs;
use background::Background;
use certificate::{Certificate, Source};
use configuration::Loader;
use log::log_to_stderr;
use registration::{Registration, client, version_of};
use reload::Reloader;
use signals::Signals;
use watched::Fingerprint;

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
    // Before anything takes time: without a handler SIGHUP would end the process.
    let hangup = signals::hangup().context("cannot wait for SIGHUP")?;
    let options = server_options(&args);
    let source = match Source::new(&args) {
        Ok(source) => source,
        Err(error) => return usage(&[error]),
    };
    // Before they are read: what changes from here on is found to be new.
    let certificates_seen = Fingerprint::of(&source.watched());
    let Certificate { key, authority, clients } = match source.load() {
        Ok(certificate) => certificate,
        Err(error) => return usage(&[error]),
    };
    let client = if args.register { Some(client(args.kubeconfig.as_deref()).await?) } else { None };
    let kubernetes_version = match (&args.kubernetes_version, &client) {
        (None, Some(client)) => Some(version_of(client).await?),
        (given, _) => given.clone(),
    };
    let registry_options =
        registry::Options { profile: args.profile, kubernetes_version, ..registry::Options::default() };
    let mut loader = Loader::new(args.config.clone(), registry_options, Arc::new(Unknown), options.threads);
    let (configuration_seen, loaded) = loader.load();
    let loaded = match loaded {
        Ok(loaded) => Arc::new(Current::new(loaded)),
        Err(problems) => return usage(&problems),
    };
    let key = Arc::new(Current::new(key));
    let clients = clients.map(|clients| Arc::new(Current::new(clients)));
    let signals = Signals::new().context("cannot wait for signals")?;
    let server = bind(&args, options, &loaded, &key, clients.clone()).await?;
    let mut reloader = Reloader {
        background: Background::start().context("cannot start a thread")?,
        health: server.health(),
        configuration: reload::Configuration {
            loader: Arc::new(Mutex::new(loader)),
            loaded: Arc::clone(&loaded),
            seen: configuration_seen,
            retired: Vec::new(),
        },
        certificates: reload::Certificates {
            source: Arc::new(source),
            key,
            clients,
            authority: authority.clone(),
            seen: Some(certificates_seen),
        },
        registration: None,
    };
    let (give_up, given_up) = oneshot::channel::<()>();
    let (stopping, mut stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move {
        tokio::select! {
            () = signals.first() => {}
            Ok(()) = given_up => {}
        }
        drop(stopping);
    }));
    let mut registered = Ok(());
    if let (Some(client), Some(url)) = (client, &args.url) {
        // From here on the API server asks; everything that answers it is there.
        let mut registration = Registration { client, url: url.text.clone(), authority, is_current: false };
        registered = registration.update(&loaded.get()).await;
        match &registered {
            Ok(()) => {
                reloader.health.succeeded(Part::Registration);
                tracing::info!(url = url.text, "registered");
            }
            Err(_) => drop(give_up.send(())),
        }
        reloader.registration = Some(registration);
    }
    // Who is told to stop neither reloads nor registers any more.
    let interval = (!args.reload_interval.is_zero()).then_some(args.reload_interval);
    tokio::select! {
        _ = &mut stopped => {}
        () = reloader.run(interval, hangup) => {}
    }
    serving.await.context("the server panicked")??;
    registered?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn server_options(args: &ServeArgs) -> server::Options {
    let options = server::Options::default();
    let delay = if args.listen.ip().is_loopback() { Duration::ZERO } else { DRAIN_DELAY };
    server::Options {
        threads: args.threads.map_or(options.threads, usize::from),
        max_concurrent: args.max_concurrent.into(),
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
    tracing::info!(address = %server.address(), health, threads = options.threads, "ready");
    Ok(server)
}

/// Prints everything that is wrong, one a line.
fn usage<E: std::fmt::Display>(problems: &[E]) -> Result<ExitCode> {
    let mut stderr = io::stderr().lock();
    for problem in problems {
        writeln!(stderr, "{problem}").context("cannot write to stderr")?;
    }
    Ok(ExitCode::from(USAGE))
}
