//! Writes to the terminal or a pipe. Whoever stops reading has read enough: a broken pipe is no error.
//!
//! Everything but data that is read back by programs passes through [`crate::printed`] once more, whoever put it together.

use std::io::{self, Write};

use crate::printed;

/// Writes a text to the standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), &printed::text(text))
}

/// Writes a report to the standard output; with colours of its own.
#[cfg(feature = "check")]
pub(super) fn print_styled(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), &printed::styled(text))
}

/// Writes what a program reads, to the byte: JSON that escapes what it has to, or a file.
#[cfg(feature = "check")]
pub(super) fn print_data(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// Writes a report to the standard error; with colours of its own.
#[cfg(feature = "check")]
pub(super) fn print_aside(text: &str) -> io::Result<()> {
    write(&mut io::stderr().lock(), &printed::styled(text))
}

/// Writes an error message; there is nobody left to tell where that fails.
pub(super) fn complain(text: &str) {
    let _ = write(&mut io::stderr().lock(), &printed::text(text));
}

/// Writes a help text; there is nobody left to tell where that fails.
pub(super) fn print_or_ignore(text: &str) {
    let _ = print(text);
}

fn write(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
