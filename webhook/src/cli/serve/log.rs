//! The log: its level, its format and its output.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::arguments::LogFormat;
use crate::printed;

pub(super) fn log_to_stderr(format: LogFormat) {
    // kube_client logs errors that we print ourselves, with a hint. h2 warns about single connections, so any client
    // could fill the log.
    const DEFAULT: &str = "warn,plimsoll=info,kube_client=off,h2=error";
    let wanted = std::env::var("PLIMSOLL_LOG").ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::builder().parse_lossy(wanted.as_deref().unwrap_or(DEFAULT));
    // Without colours, because the log escapes all control characters.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines { format }).with_ansi(false);
    // Tests start several servers in one process.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Writes each event as one line. Names and errors in it come from outside, and may contain control characters.
#[derive(Clone, Copy, Debug)]
struct Lines {
    format: LogFormat,
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl Write for Lines {
    /// Receives one whole event in each call.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = self.line(&text);
        line.push('\n');
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Lines {
    fn line(self, event: &str) -> String {
        let event = event.trim_end_matches('\n');
        match self.format {
            LogFormat::Text => printed::line(event).into_owned(),
            LogFormat::Json => printed::json(event).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let text = Lines { format: LogFormat::Text };
        assert_eq!(text.line("a\n::error::b\u{1b}[2J\r\u{9b}c\n"), "a ::error::b\\x1b[2J \\x9bc");
        let json = Lines { format: LogFormat::Json };
        assert_eq!(json.line("{\"a\":\"\u{9b}\u{202e}##[x\"}\n"), r#"{"a":"\u009b\u202e#\u0023[x"}"#);
    }
}
