//! Writes to the terminal or a pipe. A broken pipe is no error, because the reader wants no more.
//!
//! All text passes through [`crate::printed`] once more. Only data for programs is written unchanged.

use std::io::{self, Write};

use crate::printed;

/// Writes a text to the standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), &printed::text(text))
}

/// Writes a report to the standard output, and keeps its colours.
#[cfg(feature = "check")]
pub(super) fn print_styled(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), &printed::styled(text))
}

/// Writes data for a program, unchanged: JSON, which has its own escapes, or a file.
#[cfg(feature = "check")]
pub(super) fn print_data(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// Writes a report to the standard error, and keeps its colours.
#[cfg(feature = "check")]
pub(super) fn print_aside(text: &str) -> io::Result<()> {
    write(&mut io::stderr().lock(), &printed::styled(text))
}

/// Writes an error message. A failure to write it can't be reported.
pub(super) fn complain(text: &str) {
    let _ = write(&mut io::stderr().lock(), &printed::text(text));
}

/// Writes a help text, and ignores a failure to write it.
pub(super) fn print_or_ignore(text: &str) {
    let _ = print(text);
}

fn write(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
