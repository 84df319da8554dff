//! `plimsoll serve`: the admission webhook.

use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, ValueEnum};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing_subscriber::EnvFilter;

use crate::certs::{self, Authority, CertError};
use crate::context::Unknown;
use crate::engine::{Cache, Engine, Limits};
use crate::register::{self, Target};
use crate::registry::{self, ConfigError, PolicySet, Profile, Registry};
use crate::server::{self, Current, Loaded, Server, parse_duration};
use crate::yaml;

/// What the command line or a file of it is wrong about.
const USAGE: u8 = 2;

/// Between readiness going off and the end of accepting, where others have to hear of it: endpoints, load balancers.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// Serve the admission webhook
#[derive(Args, Clone, Debug)]
pub(super) struct ServeArgs {
    /// Address to listen on. Who reaches it can ask questions, so it is loopback unless said otherwise
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443))]
    listen: SocketAddr,

    /// PEM file with the certificate and those between it and its authority; without, one is issued at each start
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    tls_cert_file: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    tls_private_key_file: Option<PathBuf>,

    /// PEM file with the authority that signed the certificate, for --register
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    ca_file: Option<PathBuf>,

    /// YAML file with ClusterPolicySets; may be given more than once
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,

    /// Where PolicySets start from, in place of what they say: none, default or defaults
    #[arg(long, value_parser = parse_profile)]
    profile: Option<Profile>,

    /// Folder for the compiled code of bundles other than the built-in one; only its owner may have rights in it
    #[arg(long, value_name = "FOLDER")]
    bundle_cache: Option<PathBuf>,

    /// Version of Kubernetes, such as 1.34; with --register the API server's own
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,

    /// Write the webhook configurations `plimsoll`, so that the API server asks
    #[arg(long, requires = "url")]
    register: bool,

    /// How to reach the API server; without, KUBECONFIG, ~/.kube/config or the Pod's own account
    #[arg(long, value_name = "FILE", requires = "register")]
    kubeconfig: Option<PathBuf>,

    /// Where the API server reaches this server, such as https://192.0.2.7:8443
    #[arg(long, value_parser = parse_url)]
    url: Option<Url>,

    /// How lines are logged; PLIMSOLL_LOG says which (info, debug, or a filter of the crate tracing-subscriber)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Evaluating threads; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// Requests at once; more wait for a second, and are then told to come back
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    max_concurrent: u16,

    /// Time between the first signal and the end of accepting; by default 5s, on loopback 0s
    #[arg(long, value_name = "DURATION", value_parser = parse_drain_delay)]
    drain_delay: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug)]
struct Url {
    text: String,
    /// Without the brackets of IPv6.
    host: String,
}

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
    let engine = match args.bundle_cache.as_deref().map(Cache::open).transpose() {
        Ok(cache) => cache.map_or(engine.clone(), |cache| engine.clone().with_cache(cache)),
        Err(error) => return usage(&[format!("--bundle-cache: {error}")]),
    };
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

/// The PolicySets of all files.
struct Configuration {
    sets: Vec<PolicySet>,
    enforces: bool,
}

impl Configuration {
    fn read(files: &[PathBuf]) -> Result<Self, Vec<String>> {
        // Without any set the default one counts, which enforces.
        let mut configuration = Self { sets: Vec::new(), enforces: false };
        let mut problems = Vec::new();
        for file in files {
            let name = file.display().to_string();
            let text = match fs::read_to_string(file) {
                Ok(text) => text,
                Err(error) => {
                    problems.push(format!("{name}: cannot be read: {error}"));
                    continue;
                }
            };
            match registry::read(&text, &name) {
                Ok(sets) => configuration.sets.extend(sets),
                Err(errors) => problems.extend(errors.iter().map(ConfigError::to_string)),
            }
            configuration.enforces |= enforces(&text);
        }
        configuration.enforces |= configuration.sets.is_empty();
        if problems.is_empty() { Ok(configuration) } else { Err(problems) }
    }
}

/// Whether the mode of some set is `enforce`, for the cluster or for some namespace. That a set's mode is `enforce`
/// unless it says otherwise is the registry's word; the text is known to be valid by then.
fn enforces(text: &str) -> bool {
    yaml::read(text).into_iter().flatten().any(|document| {
        let spec = &document.value()["spec"];
        let of_names = spec["namespaceModes"].as_array().into_iter().flatten();
        let modes = of_names.map(|entry| &entry["mode"]).chain([&spec["mode"]]);
        spec["mode"].is_null() || modes.into_iter().any(|mode| mode == "enforce")
    })
}

struct Certificate {
    key: CertifiedKey,
    /// PEM, for `caBundle`.
    authority: Vec<u8>,
}

fn certificate(args: &ServeArgs) -> Result<Certificate, CertError> {
    let url = args.url.as_ref();
    if let (Some(certificate), Some(private_key)) = (&args.tls_cert_file, &args.tls_private_key_file) {
        let files = certs::Files { certificate: certificate.clone(), private_key: private_key.clone() };
        let key = files.load()?;
        let mut authority = Vec::new();
        if let Some(url) = url.filter(|_| args.register) {
            files.check_name(&url.host)?;
            authority = files.authority(args.ca_file.as_deref())?;
        }
        return Ok(Certificate { key, authority });
    }
    let mut hosts = certs::hosts_of(args.listen.ip());
    hosts.extend(url.map(|url| url.host.clone()).filter(|host| !hosts.contains(host)));
    let authority = Authority::new()?;
    Ok(Certificate { key: authority.issue(&hosts)?, authority: authority.pem().as_bytes().to_vec() })
}

async fn client(kubeconfig: Option<&Path>) -> Result<kube::Client> {
    let config = match kubeconfig {
        Some(file) => {
            let read =
                kube::config::Kubeconfig::read_from(file).with_context(|| format!("cannot use {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use {}", file.display()))?
        }
        None => kube::Config::infer()
            .await
            .context("there is neither a kubeconfig nor a Pod's account; give --kubeconfig")?,
    };
    kube::Client::try_from(config).context("cannot set up the client of the API server")
}

/// `1.34` of what the API server says, which may be `34+`.
async fn version_of(client: &kube::Client) -> Result<String> {
    let version = client.apiserver_version().await.context(
        "cannot ask the API server for its version (check server, certificate authority and credentials of the kubeconfig)",
    )?;
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    Ok(format!("{}.{}", digits(&version.major), digits(&version.minor)))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The first drains, the second aborts.
    async fn first(mut self) {
        self.next().await;
        tracing::info!("stopping: finishing what is under way; a second signal aborts");
        tokio::spawn(async move {
            self.next().await;
            tracing::warn!("aborted");
            std::process::exit(1);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn log_to_stderr(format: LogFormat) {
    // The client of the API server logs each error that we are about to print with what to do about it.
    const DEFAULT: &str = "warn,plimsoll=info,kube_client=off";
    let wanted = std::env::var("PLIMSOLL_LOG").ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::builder().parse_lossy(wanted.as_deref().unwrap_or(DEFAULT));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // Tests start more than one server in a process.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Profile::parse(text).ok_or_else(|| format!("it is none of {}", known()))
}

fn parse_drain_delay(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration, such as 5s or 500ms".to_owned())
}

/// What a webhook configuration takes as `url`, without a path of its own.
fn parse_url(text: &str) -> Result<Url, String> {
    const SHAPE: &str = "write https://HOST:PORT, without a path";
    let uri: axum::http::Uri = text.parse().map_err(|error| format!("{error}; {SHAPE}"))?;
    let host = uri.host().unwrap_or_default();
    let bare = uri.query().is_none() && matches!(uri.path(), "" | "/") && !text.contains(['@', '#']);
    if uri.scheme_str() != Some("https") || host.is_empty() || !bare {
        return Err(SHAPE.to_owned());
    }
    Ok(Url { text: text.trim_end_matches('/').to_owned(), host: host.trim_matches(['[', ']']).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, host) in [
            ("https://127.0.0.1:8443", "127.0.0.1"),
            ("https://webhook.example/", "webhook.example"),
            ("https://[::1]:9443", "::1"),
        ] {
            assert_eq!(parse_url(text).unwrap().host, host);
        }
        for text in
            ["http://a", "a:8443", "https://a/validate", "https://a?b", "https://u@a", "https://", "", "https://a#b"]
        {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes() {
        let set = |spec: &str| {
            format!("apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: a}}\nspec: {spec}\n")
        };
        assert!(enforces(&set("{}")));
        assert!(enforces(&set("{mode: enforce}")));
        assert!(!enforces(&set("{mode: observe}")));
        assert!(!enforces(&set("{mode: observe, namespaceModes: [{names: [a], mode: 'off'}]}")));
        assert!(enforces(&set("{mode: observe, namespaceModes: [{names: [a], mode: enforce}]}")));
        assert!(enforces(&format!("{}---\n{}", set("{mode: 'off'}"), set("{mode: enforce}"))));
        assert!(!enforces(&format!("{}---\n", set("{mode: 'off'}"))));
    }
}
