//! Writes to the terminal or a pipe. Whoever stops reading has read enough: a broken pipe is no error.

use std::io::{self, Write};

/// Writes a text to the standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// Writes a text to the standard error.
#[cfg(feature = "check")]
pub(super) fn print_aside(text: &str) -> io::Result<()> {
    write(&mut io::stderr().lock(), text)
}

/// Writes an error message; there is nobody left to tell where that fails.
pub(super) fn complain(text: &str) {
    let _ = write(&mut io::stderr().lock(), text);
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
