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
use tokio::sync::oneshot;

use crate::context::Unknown;
use crate::engine::{Engine, Limits};
use crate::register::{self, Target};
use crate::registry::{self, Registry};
use crate::server::{self, Current, Loaded, Server};
pub(super) use arguments::ServeArgs;
use certificate::certificate;
use configuration::Configuration;
use log::log_to_stderr;
use registration::{client, version_of};
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
    let certificate = match certificate(&args) {
        Ok(certificate) => certificate,
        Err(error) => return usage(&[error]),
    };
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
    let kubernetes_version = match (&args.kubernetes_version, &client) {
        (None, Some(client)) => Some(version_of(client).await?),
        (given, _) => given.clone(),
    };
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
    let key = Arc::new(Current::new(certificate.key));
    let signals = Signals::new().context("cannot wait for signals")?;
    let server = Server::bind(args.listen, options, Arc::clone(&loaded), key)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    tracing::info!(address = %server.address(), threads = options.threads, "ready");
    let (give_up, given_up) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move {
        tokio::select! {
            () = signals.first() => {}
            Ok(()) = given_up => {}
        }
    }));
    let mut registered = Ok(());
    if let (Some(client), Some(url)) = (client, &args.url) {
        // From here on the API server asks; everything that answers it is there.
        let target = Target { url: &url.text, ca_bundle: &certificate.authority, enforces };
        registered = register::register(client, &loaded.get().registry, &target).await;
        match &registered {
            Ok(()) => tracing::info!(url = url.text, "registered"),
            Err(_) => drop(give_up.send(())),
        }
    }
    serving.await.context("the server panicked")?.context("cannot set up TLS")?;
    registered?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Prints everything that is wrong, one a line.
fn usage<E: std::fmt::Display>(problems: &[E]) -> Result<ExitCode> {
    let mut stderr = io::stderr().lock();
    for problem in problems {
        writeln!(stderr, "{problem}").context("cannot write to stderr")?;
    }
    Ok(ExitCode::from(USAGE))
}
