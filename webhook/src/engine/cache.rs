//! A cache for the machine code of bundles, in a folder. To load machine code is to run it. So a file is used only if
//! this user wrote it with the folder's key, for this bundle, this engine and this machine.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// File name of the folder's random key. It is created at first use.
const KEY: &str = "key";

/// Prefix of everything that is authenticated. With it, a signature can't be valid for data with another meaning.
const PURPOSE: &[u8] = b"plimsoll machine code 1";

/// Length of the key in bytes: the block size of the hash.
const KEY_LENGTH: usize = 64;

/// Length of a message authentication code in bytes.
const MAC_LENGTH: usize = 32;

/// A cache folder that only this user can read and write.
#[derive(Clone)]
pub struct Cache {
    folder: PathBuf,
    key: [u8; KEY_LENGTH],
}

/// Why a folder can't be a cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The operating system reported an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path that was opened or created.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// Another user may have written to it.
    #[error("{}: {reason}", path.display())]
    NotPrivate {
        /// The folder, or a file in it.
        path: PathBuf,
        /// The reason.
        reason: NotPrivate,
    },
    /// The key has a wrong length.
    #[error("{}: it holds {found} bytes in place of {KEY_LENGTH}; remove it, and a new one is made", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// The length that was found.
        found: usize,
    },
}

/// Why a file or folder is not private to this user.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPrivate {
    /// It is a link or a device, or a file instead of a folder, or a folder instead of a file.
    #[error("it is not of the expected kind (a folder with plain files in it)")]
    Kind,
    /// It belongs to another user.
    #[error("it belongs to user {0}, not to the user of this process")]
    Owner(u32),
    /// Other users have permissions.
    #[error("others may use it (mode {0:04o}); run chmod 700 on the folder and chmod 600 on the files in it")]
    Mode(u32),
}

/// Identifies a file of the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Digest of the bundle, `sha256:…`.
    pub(super) digest: &'a str,
    /// Hash of the other inputs of the compiler: wasmtime's version, its settings, the CPU.
    pub(super) engine: u64,
}

/// Why a file of the cache was not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejected {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    NotPrivate(#[from] NotPrivate),
    #[error("it was not written with the key of this folder, or was changed since")]
    Forged,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens a folder, and creates it if it is missing.
    ///
    /// # Errors
    /// If the folder or its key is not private to this user.
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        let metadata = fs::symlink_metadata(folder).map_err(failed(folder))?;
        private(&metadata, metadata.is_dir())
            .map_err(|reason| CacheError::NotPrivate { path: folder.to_owned(), reason })?;
        let file = folder.join(KEY);
        let bytes = match read(&file) {
            Err(Rejected::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                create_key(folder).map_err(failed(&file))?;
                // Another process may have been faster. The key that is there now counts.
                read(&file)
            }
            found => found,
        };
        let bytes = bytes.map_err(|error| match error {
            Rejected::NotPrivate(reason) => CacheError::NotPrivate { path: file.clone(), reason },
            Rejected::Io(source) => CacheError::Io { path: file.clone(), source },
            Rejected::Forged => CacheError::Key { path: file.clone(), found: 0 },
        })?;
        let found = bytes.len();
        let key = bytes.try_into().map_err(|_| CacheError::Key { path: file, found })?;
        Ok(Self { folder: folder.to_owned(), key })
    }

    /// The stored code of an entry. None if there is none.
    pub(super) fn load(&self, entry: Entry<'_>) -> Result<Option<Vec<u8>>, Rejected> {
        let mut bytes = match read(&self.file(entry)) {
            Ok(bytes) => bytes,
            Err(Rejected::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(rejected) => return Err(rejected),
        };
        let (mac, code) = bytes.split_at_checked(MAC_LENGTH).ok_or(Rejected::Forged)?;
        self.mac(entry, code).verify_slice(mac).map_err(|_| Rejected::Forged)?;
        Ok(Some(bytes.split_off(MAC_LENGTH)))
    }

    /// Stores the code of an entry. A reader sees the complete file or none.
    pub(super) fn store(&self, entry: Entry<'_>, code: &[u8]) -> io::Result<()> {
        let mac = self.mac(entry, code).finalize().into_bytes();
        let whole = [mac.as_slice(), code].concat();
        let written = write_new(&self.folder, &whole)?;
        fs::rename(&written, self.file(entry)).inspect_err(|_| drop(fs::remove_file(&written)))
    }

    /// The path of an entry.
    pub(super) fn file(&self, entry: Entry<'_>) -> PathBuf {
        let digest = entry.digest.strip_prefix("sha256:").unwrap_or(entry.digest);
        self.folder.join(format!("{digest}-{:016x}.code", entry.engine))
    }

    fn mac(&self, entry: Entry<'_>, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(self.key.as_slice().into());
        mac.update(PURPOSE);
        mac.update(entry.digest.as_bytes());
        mac.update(&entry.engine.to_le_bytes());
        mac.update(code);
        mac
    }
}

/// Reads a file that must be private to this user. The checks apply to the opened file, because the name may lead to
/// another file by now.
fn read(path: &Path) -> Result<Vec<u8>, Rejected> {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    private(&metadata, metadata.is_file())?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn private(metadata: &fs::Metadata, expected_kind: bool) -> Result<(), NotPrivate> {
    // SAFETY: it returns a number of this process and cannot fail.
    #[expect(unsafe_code, reason = "the standard library does not tell the effective user")]
    let user = unsafe { libc::geteuid() };
    match metadata {
        _ if !expected_kind => Err(NotPrivate::Kind),
        metadata if metadata.uid() != user => Err(NotPrivate::Owner(metadata.uid())),
        metadata if metadata.mode() & 0o077 != 0 => Err(NotPrivate::Mode(metadata.mode() & 0o7777)),
        _ => Ok(()),
    }
}

fn create_key(folder: &Path) -> io::Result<()> {
    let mut key = [0; KEY_LENGTH];
    random(&mut key)?;
    let written = write_new(folder, &key)?;
    // Unlike a rename, a hard link never replaces the key of a faster process.
    let linked = fs::hard_link(&written, folder.join(KEY));
    fs::remove_file(&written)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Writes a new file that only this user can read, with a unique name.
fn write_new(folder: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let mut name = [0; 8];
    random(&mut name)?;
    let path = folder.join(format!(".new-{:016x}", u64::from_le_bytes(name)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.inspect_err(|_| drop(fs::remove_file(&path)))?;
    drop::<File>(file);
    Ok(path)
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}
