//! Where lines are logged, and which.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::arguments::LogFormat;
use crate::printed;

pub(super) fn log_to_stderr(format: LogFormat) {
    // The client of the API server logs each error that we are about to print with what to do about it.
    // Whoever reaches the port can have h2 warn of each connection.
    const DEFAULT: &str = "warn,plimsoll=info,kube_client=off,h2=error";
    let wanted = std::env::var("PLIMSOLL_LOG").ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::builder().parse_lossy(wanted.as_deref().unwrap_or(DEFAULT));
    // Without colours: an escape of a stranger would pass as one of ours.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines { format }).with_ansi(false);
    // Tests start more than one server in a process.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Writes each event as one line, whatever its fields hold: names and errors are a stranger's.
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
    /// An event comes as a whole.
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
