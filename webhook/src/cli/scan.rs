//! `plimsoll scan`: judges the objects of a cluster. It only needs rights to read.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use axum::http;
use clap::{Args, ValueEnum};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use kube::client::ClientBuilder;
use tokio::time::{Instant, timeout};
use tower::util::MapResponseLayer;

use super::{Failure, output};
use crate::check::config::{self, Choice, Configuration};
use crate::check::{CheckError, ExitStatus, beside};
use crate::model::parse_duration;
use crate::register::looked_at;
use crate::registry::Registry;
use crate::scan::existing::Existing;
use crate::scan::{Scan, existing};
use crate::{printed, scan};

/// Timeout for the first answer of the API server.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// Maximum value of `--timeout`.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Hint after a timeout.
const TAKES_LONG: &str = "the API server answers slowly, or has many objects: give a longer --timeout";

/// Hint after any other error of reading.
const SAYS_WHY: &str = "the lines \"not read\" and \"not served\" of the report say why; the role `view` and the \
                        rules that `plimsoll policy rights` prints allow to read everything";

/// Maximum size of an answer of the API server: a page of 500 objects, or the list of served kinds.
const MAX_ANSWER: usize = 64 << 20;

/// Judge the objects of a running cluster: drains that are blocked, and objects that `mode: enforce` would deny. It
/// only reads from the cluster
#[derive(Args, Debug)]
pub(super) struct ScanArgs {
    /// kubeconfig file with the address and credentials of the API server. By default, KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// YAML file with ClusterPolicySets (which policies apply, and what they do). By default, the nearest
    /// .plimsoll.yaml in the current folder or above it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Replace the profile (the starting selection of policies) of every ClusterPolicySet: none, default, mutate,
    /// production or strict. By default, the profile that the ClusterPolicySet names, or `default`
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// Write the objects to this folder, for `plimsoll check --context`: without status, ConfigMaps without data, no
    /// Secrets. By default, nothing is written
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,

    /// Format of the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,

    /// Maximum time for reading the cluster, such as 90s or 1h. Kinds that are not read by then are listed in the
    /// report, and the exit status is 4
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_timeout)]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Human,
    Json,
}

pub(super) fn run(arguments: &ScanArgs) -> Result<ExitCode, Failure> {
    let end = Instant::now() + arguments.timeout;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start a thread: {error}"), "try again"))?;
    let unreachable = |error: anyhow::Error| {
        Failure::usage(format!("{error:#}"), "`kubectl get --raw /version` shows whether it can be reached")
    };
    let (client, version) = runtime
        .block_on(async {
            let client = client(arguments.kubeconfig.as_deref()).await?;
            let time = CONNECT_TIME.min(arguments.timeout);
            let version = timeout(time, super::serve::version_of(&client)).await;
            let version = version.context("the API server did not say its version in time")??;
            Ok((client, version))
        })
        .map_err(unreachable)?;
    let choice = Choice {
        file: arguments.config.clone(),
        profile: arguments.profile.clone(),
        kubernetes_version: Some(version),
        bundle_cache: None,
    };
    let registry = Configuration::read(&choice, &[PathBuf::from("-")])
        .and_then(|configuration| config::load(&choice, configuration))
        .map_err(|error| match error {
            CheckError::Usage { message, help } => Failure::usage(message, help),
            CheckError::Config(problems) => Failure::config(&problems),
            CheckError::Input { message, help } => Failure::unread(message, help),
        })?;
    let mut progress = Progress::new();
    let judged = looked_at(&registry);
    let kinds = judged.union(&registry.context_kinds()).cloned().collect();
    let existing = runtime.block_on(existing::read(&client, &kinds, end, |kind, count| progress.tell(kind, count)));
    progress.end();
    if !judged.is_empty() && judged.is_subset(&existing.unserved) {
        return Err(Failure::unread(
            format!(
                "nothing can be judged: the API server serves none of the kinds that policies check: {}",
                scan::names(judged.iter())
            ),
            "`kubectl api-resources` lists the served kinds; the `server` of the kubeconfig must be the API server of \
             a Kubernetes cluster",
        ));
    }
    // A kind that is not served has an empty list without any rights. It does not count as read.
    if existing.kinds.keys().all(|kind| existing.unserved.contains(kind)) && !existing.unread.is_empty() {
        let why = existing.unread.values().next().cloned().unwrap_or_default();
        let message = format!("nothing could be read: {why}");
        return Err(match existing.is_cut {
            true => Failure::unread(message, TAKES_LONG),
            false => Failure::usage(
                message,
                "give the user of the kubeconfig a role with `list` on all objects, such as `view`; docs/scan.md has the limits",
            ),
        });
    }
    if let Some(folder) = &arguments.record {
        write(folder, &registry, &existing)?;
    }
    let scan = scan::scan(&registry, &existing);
    let printed = match arguments.format {
        Format::Human => output::print(&scan::human(&scan)),
        Format::Json => output::print_data(&scan::json(&scan)),
    };
    printed.map_err(|error| Failure::output(&error))?;
    incomplete(&scan, existing.is_cut).map_or(Ok(ExitCode::SUCCESS), Err)
}

/// The error for an incomplete report. A failed policy takes precedence over unread objects, as in `check`.
fn incomplete(scan: &Scan, is_cut: bool) -> Option<Failure> {
    let gaps = scan.gaps();
    let (status, message, help) = if !scan.failed.is_empty() {
        let policies: Vec<&str> = scan.failed.iter().map(String::as_str).collect();
        let message = format!("the report is incomplete, because policies failed: {}", policies.join(", "));
        (ExitStatus::PolicyFailed, message, "the lines \"not judged\" of the report say why")
    } else if !gaps.is_empty() {
        let message = format!("the report is incomplete: it does not know {}", scan::names(gaps.iter()));
        (ExitStatus::Unparsable, message, if is_cut { TAKES_LONG } else { SAYS_WHY })
    } else {
        return None;
    };
    Some(Failure { message, help: Some(help.to_owned()), status: status.code() })
}

/// A client that reads no answer beyond [`MAX_ANSWER`]. The kubeconfig may name an API server that is not trusted.
async fn client(kubeconfig: Option<&Path>) -> anyhow::Result<kube::Client> {
    let config = super::serve::config(kubeconfig).await?;
    let builder = ClientBuilder::try_from(config).context("cannot set up the client of the API server")?;
    let bounded = MapResponseLayer::new(|response: http::Response<_>| response.map(bounded));
    Ok(builder.with_layer(&bounded).build())
}

fn bounded<B>(body: B) -> impl Body<Data = B::Data, Error = io::Error> + use<B>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Limited::new(body, MAX_ANSWER).map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(_) => io::Error::other(format!("an answer of the API server is larger than {} MiB", MAX_ANSWER >> 20)),
        Err(error) => io::Error::other(error),
    })
}

/// Records the kinds that policies may read as context.
fn write(folder: &Path, registry: &Registry, existing: &Existing) -> Result<(), Failure> {
    for kind in registry.context_kinds() {
        let Some(objects) = existing.kinds.get(&kind) else { continue };
        let objects: Vec<_> = objects.iter().map(beside::recorded).collect();
        beside::record(folder, &kind, &objects).map_err(|error| {
            Failure::usage(format!("cannot write to {}: {error}", folder.display()), "give a folder of your own")
        })?;
    }
    Ok(())
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).ok_or("write a duration, such as 90s or 1h")?;
    let is_allowed = !time.is_zero() && time <= MAX_TIMEOUT;
    if is_allowed { Ok(time) } else { Err("write more than 0s, and at most 24h".to_owned()) }
}

/// Progress on the standard error: one line that is overwritten on a terminal, else one line for each kind.
struct Progress {
    terminal: bool,
    objects: usize,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), objects: 0 }
    }

    fn tell(&mut self, kind: &str, count: usize) {
        self.objects += count;
        let kind = printed::line(kind.trim_start_matches('/'));
        // If the standard error is closed, the error can't be reported.
        let _ = match self.terminal {
            true => write!(io::stderr(), "\r\x1b[2Kreading {kind}: {} objects so far", self.objects),
            false => writeln!(io::stderr(), "read {kind}: {count}"),
        };
        let _ = io::stderr().flush();
    }

    fn end(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}
