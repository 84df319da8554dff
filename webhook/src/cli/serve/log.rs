//! Where lines are logged, and which.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::arguments::LogFormat;

pub(super) fn log_to_stderr(format: LogFormat) {
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
