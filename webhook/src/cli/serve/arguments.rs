//! The arguments of `plimsoll serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::model::parse_duration;
use crate::register;
use crate::registry::{Mode, Profile};

/// Maximum of every duration. The clock cannot hold the end of a much longer time.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// With --service, where --authority-secret does not say otherwise.
const AUTHORITY_SECRET: &str = "plimsoll-authority";

/// Serve the admission webhook
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("reach").args(["url", "service"]))]
pub(in crate::cli) struct ServeArgs {
    /// Address to listen on. Who reaches it can ask questions, so it is loopback unless said otherwise
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443))]
    pub(super) listen: SocketAddr,

    /// Address on which health and metrics are answered too, without TLS
    #[arg(long, value_name = "ADDRESS")]
    pub(super) health_listen: Option<SocketAddr>,

    /// PEM file with the certificate and those between it and its authority; without, one is issued at each start
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub(super) tls_cert_file: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(super) tls_private_key_file: Option<PathBuf>,

    /// PEM file with the authority that signed the certificate, for --register
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(super) ca_file: Option<PathBuf>,

    /// PEM file with authorities: reviews are answered to clients with a certificate of theirs alone
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca_file: Option<PathBuf>,

    /// Common name that such a certificate must have; may be given more than once; without, any
    #[arg(long, value_name = "NAME", requires = "client_ca_file")]
    pub(super) client_allowed_name: Vec<String>,

    /// YAML file with ClusterPolicySets, or a folder of them; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,

    /// Time between two looks at the files of configuration and certificates; 0 waits for SIGHUP
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_time)]
    pub(super) reload_interval: Duration,

    /// Where PolicySets start from, in place of what they say: none, default, mutate, production or strict
    #[arg(long, value_parser = parse_profile)]
    pub(super) profile: Option<Profile>,

    /// Without --config: observe warns at most, enforce denies
    #[arg(long, value_name = "MODE", default_value = "observe", conflicts_with = "config")]
    pub(super) mode: ServeMode,

    /// Folder for the compiled code of bundles other than the built-in one; only its owner may have rights in it
    #[arg(long, value_name = "FOLDER")]
    pub(super) bundle_cache: Option<PathBuf>,

    /// Version of Kubernetes, such as 1.34; with --register the API server's own
    #[arg(long, value_name = "VERSION")]
    pub(super) kubernetes_version: Option<String>,

    /// Write the webhook configurations, so that the API server asks, and keep them as they should be
    #[arg(long, requires = "reach")]
    pub(super) register: bool,

    /// The name of both webhook configurations
    #[arg(long, value_name = "NAME", default_value = register::NAME, value_parser = parse_name, requires = "register")]
    pub(super) register_name: String,

    /// Replace the registration of another server at the start, even if that one answers
    #[arg(long, requires = "register")]
    pub(super) take_over: bool,

    /// Have the API server ask about this namespace alone; may be given more than once
    #[arg(long, value_name = "NAMESPACE", value_parser = parse_label, requires = "register")]
    pub(super) only_namespace: Vec<String>,

    /// Write the PodDisruptionBudgets that workloads lack, where the mode is enforce, and withdraw them again once somebody
    /// wrote their own; looks every 30s unless said otherwise
    #[arg(
        long, value_name = "INTERVAL", value_parser = parse_interval, requires = "register", num_args = 0..=1,
        require_equals = true, default_missing_value = "30s"
    )]
    pub(super) write_budgets: Option<Duration>,

    /// How to reach the API server; without, KUBECONFIG, ~/.kube/config or the Pod's own account
    #[arg(long, value_name = "FILE", requires = "register")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// Where the API server reaches this server, such as https://192.0.2.7:8443
    #[arg(long, value_parser = parse_url)]
    pub(super) url: Option<Url>,

    /// The Service by which the API server reaches it, in Plimsoll's own namespace; the port is 443 if left out
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", value_parser = parse_service, requires = "register")]
    pub(super) service: Option<Service>,

    /// With --service: the Secret in which replicas share the authority of their certificates
    #[arg(long, value_name = "NAME", default_value = AUTHORITY_SECRET, value_parser = parse_name, requires = "service")]
    pub(super) authority_secret: String,

    /// How lines are logged; PLIMSOLL_LOG says which (info, debug, or a filter of the crate tracing-subscriber)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    /// Evaluating threads; by default one for each core, and at least two
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Processor time that all policies together may take for one object; the old object of an update has it once more
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = parse_interval)]
    pub(super) evaluation_time: Duration,

    /// Time in which the body of a request must arrive, whatever the client's own timeout is
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    pub(super) body_timeout: Duration,

    /// Requests of one address at once, twice as many of all; more wait for a second, and are then told to come back
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) max_concurrent: u16,

    /// Time between the first signal and the end of accepting; by default 5s, on loopback 0s
    #[arg(long, value_name = "DURATION", value_parser = parse_time)]
    pub(super) drain_delay: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum ServeMode {
    Enforce,
    Observe,
}

impl From<ServeMode> for Mode {
    fn from(mode: ServeMode) -> Self {
        match mode {
            ServeMode::Enforce => Mode::Enforce,
            ServeMode::Observe => Mode::Observe,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) text: String,
    /// Without the brackets of IPv6.
    pub(super) host: String,
}

/// Of Plimsoll's own namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) port: u16,
}

impl Service {
    /// The name that the API server expects in the certificate.
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Profile::parse(text).ok_or_else(|| match Profile::renamed(text) {
        Some(now) => format!("it is called `{now}` now"),
        None => format!("it is none of {}", known()),
    })
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).ok_or_else(|| "write a duration, such as 5s or 500ms".to_owned())?;
    Some(time).filter(|time| *time <= MAX_TIME).ok_or_else(|| "write at most 8760h, which is a year".to_owned())
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    Some(parse_time(text)?).filter(|time| !time.is_zero()).ok_or_else(|| "write more than 0s".to_owned())
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

fn parse_service(text: &str) -> Result<Service, String> {
    const SHAPE: &str = "write NAMESPACE/NAME or NAMESPACE/NAME:PORT, such as plimsoll/plimsoll:443";
    let (namespace, rest) = text.split_once('/').ok_or(SHAPE)?;
    let (name, port) = rest.split_once(':').unwrap_or((rest, "443"));
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or(SHAPE)?;
    let label = |text: &str| parse_label(text).map_err(|_| SHAPE.to_owned());
    Ok(Service { namespace: label(namespace)?, name: label(name)?, port })
}

/// RFC 1123, as Kubernetes has it: a namespace, a Service.
fn parse_label(text: &str) -> Result<String, String> {
    let inner = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    let fits =
        (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    if fits { Ok(text.to_owned()) } else { Err("it is no name of a namespace".to_owned()) }
}

/// The same with dots: most other names.
fn parse_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(|label| parse_label(label).is_ok());
    if fits { Ok(text.to_owned()) } else { Err("it is no name of an object".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services() {
        let service = |text: &str| parse_service(text).ok().map(|service| (service.host(), service.port));
        assert_eq!(service("a/b"), Some(("b.a.svc".to_owned(), 443)));
        assert_eq!(service("a/b:8443"), Some(("b.a.svc".to_owned(), 8443)));
        for text in ["b", "a/", "/b", "a/b:", "a/b:0", "a/b:70000", "A/b", "a/b/c", "a/b'", "a.b/c", ""] {
            assert_eq!(service(text), None, "{text}");
        }
        assert!(parse_name("plimsoll.dev").is_ok() && parse_name("plimsoll..dev").is_err());
    }

    #[test]
    fn durations() {
        for (text, time) in [("0", Ok(Duration::ZERO)), ("8760h", Ok(MAX_TIME))] {
            assert_eq!(parse_time(text), time);
        }
        assert!(parse_time("8761h").unwrap_err().contains("8760h") && parse_time("10000000000000000000s").is_err());
        assert!(parse_interval("0s").is_err() && parse_interval("1ms").is_ok());
    }

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
}
