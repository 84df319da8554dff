//! The arguments of `plimsoll serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::registry::Profile;
use crate::server::parse_duration;

/// Serve the admission webhook
#[derive(Args, Clone, Debug)]
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

    /// Where PolicySets start from, in place of what they say: none, default or defaults
    #[arg(long, value_parser = parse_profile)]
    pub(super) profile: Option<Profile>,

    /// Version of Kubernetes, such as 1.34; with --register the API server's own
    #[arg(long, value_name = "VERSION")]
    pub(super) kubernetes_version: Option<String>,

    /// Write the webhook configurations `plimsoll`, so that the API server asks
    #[arg(long, requires = "url")]
    pub(super) register: bool,

    /// How to reach the API server; without, KUBECONFIG, ~/.kube/config or the Pod's own account
    #[arg(long, value_name = "FILE", requires = "register")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// Where the API server reaches this server, such as https://192.0.2.7:8443
    #[arg(long, value_parser = parse_url)]
    pub(super) url: Option<Url>,

    /// How lines are logged; PLIMSOLL_LOG says which (info, debug, or a filter of the crate tracing-subscriber)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,

    /// Evaluating threads; by default one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Requests at once; more wait for a second, and are then told to come back
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

#[derive(Clone, Debug)]
pub(super) struct Url {
    pub(super) text: String,
    /// Without the brackets of IPv6.
    pub(super) host: String,
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    let known = || Profile::ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    Profile::parse(text).ok_or_else(|| format!("it is none of {}", known()))
}

fn parse_time(text: &str) -> Result<Duration, String> {
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
}
