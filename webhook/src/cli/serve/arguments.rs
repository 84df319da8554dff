//! The arguments of `plimsoll serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use crate::model::parse_duration;
use crate::register;
use crate::registry::{Mode, Profile};

/// Maximum of every duration. The clock can't hold the end of a much longer time.
const MAX_TIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// Default of `--authority-secret`.
const AUTHORITY_SECRET: &str = "plimsoll-authority";

/// Run the admission webhook: the server that judges objects for the API server
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("reach").args(["url", "service"]))]
pub(in crate::cli) struct ServeArgs {
    /// Address and port for HTTPS. By default only this machine can connect; 0.0.0.0:8443 listens on all addresses
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443))]
    pub(super) listen: SocketAddr,

    /// Additional address and port for health checks and metrics, over HTTP without TLS. By default, none
    #[arg(long, value_name = "ADDRESS")]
    pub(super) health_listen: Option<SocketAddr>,

    /// PEM file with the server's certificate, followed by its intermediate certificates. By default, the server issues
    /// its own certificate
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub(super) tls_cert_file: Option<PathBuf>,

    /// PEM file with the private key of --tls-cert-file
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(super) tls_private_key_file: Option<PathBuf>,

    /// PEM file with the CA certificate that signed --tls-cert-file. With --register, the API server is configured to
    /// trust it. Not needed for a self-signed certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub(super) ca_file: Option<PathBuf>,

    /// PEM file with CA certificates. Only clients with a certificate from one of these CAs may send reviews. By
    /// default, every client may
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca_file: Option<PathBuf>,

    /// With --client-ca-file: accept only client certificates with this common name. Can be repeated. By default, every
    /// name is accepted
    #[arg(long, value_name = "NAME", requires = "client_ca_file")]
    pub(super) client_allowed_name: Vec<String>,

    /// YAML file, or folder of files, with ClusterPolicySets (which policies apply, and what they do). Can be repeated.
    /// By default, one ClusterPolicySet with the profile `default`
    #[arg(long, value_name = "FILE")]
    pub(super) config: Vec<PathBuf>,

    /// How often to check the files of configuration and certificates for changes. 0 reads them again only after SIGHUP
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_time)]
    pub(super) reload_interval: Duration,

    /// Replace the profile (the starting selection of policies) of every ClusterPolicySet: none, default, mutate,
    /// production or strict. By default, the profile that the ClusterPolicySet names, or `default`
    #[arg(long, value_parser = parse_profile)]
    pub(super) profile: Option<Profile>,

    /// Without --config: observe only warns, enforce also denies
    #[arg(long, value_name = "MODE", default_value = "observe", conflicts_with = "config")]
    pub(super) mode: ServeMode,

    /// Cache folder for the compiled code of policy bundles other than the built-in one. Only its owner may have access
    /// to it. By default, nothing is cached
    #[arg(long, value_name = "FOLDER")]
    pub(super) bundle_cache: Option<PathBuf>,

    /// Kubernetes version of the cluster, such as 1.34, if no ClusterPolicySet names one. By default, the version of
    /// the API server with --register, else the newest that Plimsoll knows
    #[arg(long, value_name = "VERSION")]
    pub(super) kubernetes_version: Option<String>,

    /// Create the webhook configurations in the cluster and keep them up to date, so that the API server sends reviews.
    /// Needs --url or --service
    #[arg(long, requires = "reach")]
    pub(super) register: bool,

    /// Name of the ValidatingWebhookConfiguration and of the MutatingWebhookConfiguration
    #[arg(long, value_name = "NAME", default_value = register::NAME, value_parser = parse_name, requires = "register")]
    pub(super) register_name: String,

    /// At start, replace the registration of another server, even if that server still answers
    #[arg(long, requires = "register")]
    pub(super) take_over: bool,

    /// Review only objects of this namespace, and no cluster-scoped objects. Can be repeated. By default, all objects
    /// except those in kube-system and in the namespace of --service
    #[arg(long, value_name = "NAMESPACE", value_parser = parse_label, requires = "register")]
    pub(super) only_namespace: Vec<String>,

    /// In mode enforce, create a PodDisruptionBudget for each workload without one, and delete it once the workload has
    /// another. INTERVAL is the time between two checks, 30s if left out. By default, none are created
    #[arg(
        long, value_name = "INTERVAL", value_parser = parse_interval, requires = "register", num_args = 0..=1,
        require_equals = true, default_missing_value = "30s"
    )]
    pub(super) write_budgets: Option<Duration>,

    /// kubeconfig file with the address and credentials of the API server. By default, KUBECONFIG, ~/.kube/config, or
    /// the ServiceAccount of the Pod
    #[arg(long, value_name = "FILE", requires = "register")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// URL by which the API server reaches this server, such as https://192.0.2.7:8443
    #[arg(long, value_parser = parse_url)]
    pub(super) url: Option<Url>,

    /// Service by which the API server reaches this server, in the namespace that Plimsoll runs in. PORT is 443 if left
    /// out
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", value_parser = parse_service, requires = "register")]
    pub(super) service: Option<Service>,

    /// With --service: Secret with the CA that all replicas use to issue their certificates
    #[arg(long, value_name = "NAME", default_value = AUTHORITY_SECRET, value_parser = parse_name, requires = "service")]
    pub(super) authority_secret: String,

    /// Format of the log on standard error. The environment variable PLIMSOLL_LOG sets the level (info or debug), or a
    /// filter in the syntax of tracing-subscriber
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    /// Number of threads that run policies. By default, one for each core, and at least two
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Maximum processor time of all policies of a bundle for one object. In an update, the old object gets the same
    /// time again
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = parse_interval)]
    pub(super) evaluation_time: Duration,

    /// Timeout for receiving the body of a request, extended by the same time for each MiB that has arrived
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_interval)]
    pub(super) body_timeout: Duration,

    /// Maximum number of concurrent requests from one address; all addresses together may have twice as many. Further
    /// requests wait for up to 1s, and are then rejected with status 503
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) max_concurrent: u16,

    /// How long to accept new requests after SIGTERM or SIGINT, so that load balancers notice the end. By default, 5s,
    /// or 0s if --listen is a loopback address
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
    /// The host of the URL. An IPv6 address has no brackets.
    pub(super) host: String,
}

/// A Service in the namespace that Plimsoll runs in.
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
        Some(now) => format!("this profile was renamed, write `{now}`"),
        None => format!("write one of {}", known()),
    })
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).ok_or_else(|| "write a duration, such as 5s or 500ms".to_owned())?;
    Some(time).filter(|time| *time <= MAX_TIME).ok_or_else(|| "write at most 8760h, which is a year".to_owned())
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    Some(parse_time(text)?).filter(|time| !time.is_zero()).ok_or_else(|| "write more than 0s".to_owned())
}

/// Parses a `url` for a webhook configuration. The path is added later.
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

/// Parses an RFC 1123 label, which is the form of the name of a namespace or a Service.
fn parse_label(text: &str) -> Result<String, String> {
    let inner = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    let fits =
        (1..=63).contains(&text.len()) && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-');
    if fits { Ok(text.to_owned()) } else { Err("write a namespace: lowercase letters, digits and `-`".to_owned()) }
}

/// Parses labels with dots between them, which is the form of most other names.
fn parse_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(|label| parse_label(label).is_ok());
    if fits { Ok(text.to_owned()) } else { Err("write a name: lowercase letters, digits, `-` and `.`".to_owned()) }
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
