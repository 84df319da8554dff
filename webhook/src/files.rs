//! Reads files that Plimsoll did not write: only regular files, up to a maximum size, and without waiting for a writer.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// Maximum size of a file of PolicySets. It is also the maximum size of a ConfigMap.
pub const MAX_CONFIGURATION: u64 = 1 << 20;

/// Maximum size of a bundle. The built-in bundle has less than a megabyte.
pub const MAX_BUNDLE: u64 = 16 << 20;

/// Maximum size of a file with certificates or a key.
pub const MAX_CERTIFICATE: u64 = 1 << 20;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// An error of the operating system.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder, a device, a pipe or a socket. Reading it might never end.
    #[error("it is {0}; only regular files are read")]
    NotRegular(&'static str),
    /// The file is too large, or has no end.
    #[error("it is larger than {}, the maximum for such a file", size(*.0))]
    TooLarge(u64),
    /// The file is not text.
    #[error("it is not UTF-8 text")]
    NotText,
}

/// A file that was read.
#[derive(Debug)]
pub struct Opened {
    /// The content of the file.
    pub bytes: Vec<u8>,
    /// The metadata of the file when it was opened.
    pub metadata: Metadata,
}

/// Reads a regular file of at most `most` bytes. Follows symbolic links.
///
/// # Errors
/// If the file is not regular, or is larger.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    open(path, most).map(|opened| opened.bytes)
}

/// Like [`read`], but returns text.
///
/// # Errors
/// Like [`read`], and if the file is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, ReadError> {
    String::from_utf8(read(path, most)?).map_err(|_| ReadError::NotText)
}

/// Like [`read`], but also returns the metadata of the file.
///
/// # Errors
/// Like [`read`].
pub fn open(path: &Path, most: u64) -> Result<Opened, ReadError> {
    // Opening a device can have effects, so the type of the file is checked first.
    refuse_irregular(&std::fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // If a pipe has replaced the file meanwhile, opening it must not wait for a writer.
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    refuse_irregular(&metadata)?;
    if metadata.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    let bytes = read_at_most(file, most, metadata.len())?;
    Ok(Opened { bytes, metadata })
}

/// Reads a stream that must end within `most` bytes.
///
/// # Errors
/// If the stream is longer.
pub fn read_stream(stream: &mut dyn Read, most: u64) -> Result<Vec<u8>, ReadError> {
    read_at_most(stream, most, 0)
}

/// Counts the bytes that are read, because files of `/proc` report a size of 0, and other files may grow.
fn read_at_most(source: impl Read, most: u64, expected: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
    let read = source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= most) { Ok(bytes) } else { Err(ReadError::TooLarge(most)) }
}

fn refuse_irregular(metadata: &Metadata) -> Result<(), ReadError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    if kind.is_dir() {
        return Err(ReadError::NotRegular("a folder"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return Err(ReadError::NotRegular("a pipe"));
        }
        if kind.is_socket() {
            return Err(ReadError::NotRegular("a socket"));
        }
    }
    Err(ReadError::NotRegular("a device"))
}

/// `32 MiB`
pub fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        let error = |path: &Path, most| read(path, most).unwrap_err().to_string();
        assert_eq!(error(&file, 4), "it is larger than 4 bytes, the maximum for such a file");
        assert_eq!(error(folder.path(), 9), "it is a folder; only regular files are read");
        assert_eq!(error(Path::new("/dev/zero"), 9), "it is a device; only regular files are read");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        assert_eq!(error(&link, 9), "it is a device; only regular files are read");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert_eq!(error(&pipe, 9), "it is a pipe; only regular files are read");
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        assert_eq!(error(&folder.path().join("socket"), 9), "it is a socket; only regular files are read");
    }

    #[test]
    fn what_says_that_it_is_empty_is_read_all_the_same() {
        if cfg!(target_os = "linux") {
            assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
            assert!(matches!(read(Path::new("/proc/self/status"), 10), Err(ReadError::TooLarge(10))));
        }
        assert!(matches!(read_stream(&mut io::repeat(b'a'), 1000), Err(ReadError::TooLarge(1000))));
    }

    #[test]
    fn sizes() {
        assert_eq!([1 << 20, 3 << 10, 5].map(size), ["1 MiB", "3 KiB", "5 bytes"]);
    }
}
