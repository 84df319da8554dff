//! `plimsoll scan`: what a cluster holds already, by a kubeconfig that may only read.

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
use tokio::time::timeout;
use tower::util::MapResponseLayer;

use super::{Failure, output};
use crate::audit;
use crate::check::config::{self, Choice};
use crate::check::{CheckError, beside};
use crate::context::existing::{self, Existing};
use crate::printed;
use crate::register::looked_at;
use crate::registry::Registry;

/// Timeout for the first answer of the API server.
const CONNECT_TIME: Duration = Duration::from_secs(30);

/// Maximum size of an answer of the API server: 500 objects, or what it serves.
const MAX_ANSWER: usize = 64 << 20;

/// Judge what a cluster holds already: which drains block, what `enforce` would deny. Nothing is installed or written there
#[derive(Args, Debug)]
pub(super) struct ScanArgs {
    /// How to reach the API server; without, KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// File of ClusterPolicySets; without, .plimsoll.yaml from the current folder upward
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where PolicySets start from, in place of what they say: none, default, defaults or strict
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// Write what was read to this folder, for `plimsoll check --context`: objects without status, ConfigMaps without data,
    /// no Secrets
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,

    /// human or json
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    Human,
    Json,
}

pub(super) fn run(arguments: &ScanArgs) -> Result<ExitCode, Failure> {
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
            let version = timeout(CONNECT_TIME, super::serve::version_of(&client)).await;
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
    let registry = config::load(&choice, &[PathBuf::from("-")]).map_err(|error| match error {
        CheckError::Usage { message, help } => Failure::usage(message, help),
        CheckError::Config(problems) => Failure::config(&problems),
    })?;
    let mut progress = Progress::new();
    let kinds = looked_at(&registry).union(&registry.context_kinds()).cloned().collect();
    let existing = runtime.block_on(existing::read(&client, &kinds, |kind, count| progress.tell(kind, count)));
    progress.end();
    // A kind that is not served could be read by anybody.
    if existing.kinds.values().all(Vec::is_empty) && !existing.unread.is_empty() {
        let why = existing.unread.values().next().cloned().unwrap_or_default();
        return Err(Failure::usage(
            format!("nothing could be read: {why}"),
            "a role with `list` on all objects will do, such as `view`; docs/scan.md has the limits",
        ));
    }
    if let Some(folder) = &arguments.record {
        write(folder, &registry, &existing)?;
    }
    let scan = audit::scan(&registry, &existing);
    let printed = match arguments.format {
        Format::Human => output::print(&audit::human(&scan)),
        Format::Json => output::print_data(&audit::json(&scan)),
    };
    printed.map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// A client that reads no answer beyond [`MAX_ANSWER`]: whose API server it is says a kubeconfig, which may be anybody's.
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

/// Of what policies may ask for.
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

/// A line on a terminal that is written anew, or one for each kind.
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
        // There is nobody left to tell where this fails.
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
