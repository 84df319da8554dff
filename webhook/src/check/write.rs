//! Writes edited and new files: all or none. After a crash, each file has either its old or its new content.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::bounds;
use crate::files::{self, ReadError};

/// A file as it was when it was read.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The path without symbolic links.
    real: PathBuf,
    identity: Identity,
}

/// Identifies a file whatever its name is: device, number, mode and time of the last change.
type Identity = Option<[u64; 5]>;

impl Found {
    pub(super) fn new(real: PathBuf, metadata: &Metadata) -> Self {
        Self { real, identity: identity(metadata) }
    }

    /// The file's path without symbolic links.
    pub(super) fn real(&self) -> &Path {
        &self.real
    }
}

/// Why a file was not written. The file is unchanged.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("it was changed by another program in the meantime")]
    Changed,
    #[error("its path leads to another file than before")]
    Moved,
    #[error("it is read-only")]
    ReadOnly,
    #[error("it has {0} names (hard links), and an edit would part them")]
    HardLinks(u64),
    #[error("its owner cannot be kept: {0}")]
    Owner(io::Error),
}

/// A text that is on disk under a temporary name, and still has to be moved to its place. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Prepared {
    temporary: PathBuf,
    place: PathBuf,
    /// Identity of the file that it replaces. None for a new file.
    replaces: Option<Identity>,
}

impl Prepared {
    /// Prepares `after` as the replacement of `before`, with the owner and permissions of the file. A symbolic link
    /// still leads to the file.
    ///
    /// # Errors
    /// If the file may not be written, has changed since it was read, or can't be replaced without a loss.
    pub(super) fn replace(path: &Path, found: &Found, before: &str, after: &str) -> Result<Self, WriteError> {
        if fs::canonicalize(path)? != found.real {
            return Err(WriteError::Moved);
        }
        let opened = files::open(&found.real, bounds::MAX_FILE)?;
        if identity(&opened.metadata) != found.identity {
            return Err(WriteError::Moved);
        }
        if opened.bytes != before.as_bytes() {
            return Err(WriteError::Changed);
        }
        if opened.metadata.permissions().readonly() {
            return Err(WriteError::ReadOnly);
        }
        // A rename needs only rights in the folder. The rights of the file are checked here as well.
        OpenOptions::new().write(true).open(&found.real)?;
        refuse_hard_links(&opened.metadata)?;
        let (prepared, file) = Self::write(&found.real, Some(found.identity), after)?;
        keep_owner(&file, &opened.metadata)?;
        file.set_permissions(opened.metadata.permissions())?;
        file.sync_all()?;
        Ok(prepared)
    }

    /// Prepares a new file.
    ///
    /// # Errors
    /// If the path exists, or can't be written.
    pub(super) fn create(path: &Path, text: &str) -> Result<Self, WriteError> {
        // A broken link exists, too.
        if path.symlink_metadata().is_ok() {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
        }
        let (prepared, file) = Self::write(path, None, text)?;
        file.sync_all()?;
        Ok(prepared)
    }

    /// Moves the file to its place.
    ///
    /// # Errors
    /// If another file took the place in the meantime.
    pub(super) fn commit(self) -> Result<(), WriteError> {
        match self.replaces {
            Some(replaced) => {
                if identity(&fs::symlink_metadata(&self.place)?) != replaced {
                    return Err(WriteError::Moved);
                }
                fs::rename(&self.temporary, &self.place)?;
            }
            // A rename would replace an existing file. A hard link can't.
            None => match fs::hard_link(&self.temporary, &self.place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => self.copy()?,
                result => result?,
            },
        }
        // The folder stores the names of its files. If it can't be opened, the names reach the disk a little later.
        if let Some(folder) = self.place.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Copies the file, on file systems without hard links.
    fn copy(&self) -> io::Result<()> {
        let text = fs::read(&self.temporary)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.place)?;
        file.write_all(&text).and_then(|()| file.sync_all()).inspect_err(|_| {
            // Half a manifest is worse than none.
            let _ = fs::remove_file(&self.place);
        })
    }

    /// Writes the text next to its place, because a rename can't cross file systems.
    fn write(place: &Path, replaces: Option<Identity>, text: &str) -> io::Result<(Self, File)> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        // The name of a file has at most 255 bytes.
        let name: String = name.chars().take(40).collect();
        for attempt in 0..100 {
            let temporary = place.with_file_name(format!(".{name}.plimsoll-{}-{attempt}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(mut file) => {
                    let prepared = Self { temporary, place: place.to_owned(), replaces };
                    file.write_all(text.as_bytes())?;
                    return Ok((prepared, file));
                }
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // After a rename, the file no longer exists. If it can't be removed, nothing else can be done.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes a text to a file, and replaces any file with this name. A symbolic link is replaced, not followed.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn put(path: &Path, text: &str) -> io::Result<()> {
    let (prepared, file) = Prepared::write(path, None, text)?;
    file.sync_all()?;
    fs::rename(&prepared.temporary, path)
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    // The number of a deleted file may be used again.
    Some([
        metadata.dev(),
        metadata.ino(),
        metadata.mode().into(),
        metadata.mtime().cast_unsigned(),
        metadata.mtime_nsec().cast_unsigned(),
    ])
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    None
}

#[cfg(unix)]
fn refuse_hard_links(metadata: &Metadata) -> Result<(), WriteError> {
    use std::os::unix::fs::MetadataExt as _;
    if metadata.nlink() > 1 { Err(WriteError::HardLinks(metadata.nlink())) } else { Ok(()) }
}

#[cfg(not(unix))]
fn refuse_hard_links(_: &Metadata) -> Result<(), WriteError> {
    Ok(())
}

#[cfg(unix)]
fn keep_owner(file: &File, of: &Metadata) -> Result<(), WriteError> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let made = file.metadata()?;
    if (made.uid(), made.gid()) == (of.uid(), of.gid()) {
        return Ok(());
    }
    fchown(file, Some(of.uid()), Some(of.gid())).map_err(WriteError::Owner)
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) -> Result<(), WriteError> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    fn found(path: &Path) -> Found {
        Found::new(fs::canonicalize(path).unwrap(), &fs::metadata(path).unwrap())
    }

    fn replace(path: &Path, before: &str, after: &str) -> Result<(), WriteError> {
        Prepared::replace(path, &found(path), before, after)?.commit()
    }

    #[test]
    fn keeps_links_and_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        fs::write(&file, "a: 1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.yaml", &link).unwrap();
        replace(&link, "a: 1\n", "a: 2\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a: 2\n");
        assert!(matches!(replace(&link, "a: 1\n", "a: 3\n"), Err(WriteError::Changed)), "somebody else was faster");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        fs::write(&file, "a: 1\n").unwrap();
        fs::hard_link(&file, &other).unwrap();
        assert!(matches!(replace(&file, "a: 1\n", "a: 2\n"), Err(WriteError::HardLinks(2))));
        fs::remove_file(&other).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(replace(&file, "a: 1\n", "a: 2\n"), Err(WriteError::ReadOnly)));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        // A different file with the same text and name.
        let before = found(&file);
        fs::write(&other, "a: 1\n").unwrap();
        fs::rename(&other, &file).unwrap();
        let error = Prepared::replace(&file, &before, "a: 1\n", "a: 2\n").unwrap_err();
        assert!(matches!(error, WriteError::Moved));
        let prepared = Prepared::replace(&file, &found(&file), "a: 1\n", "a: 2\n").unwrap();
        fs::remove_file(&file).unwrap();
        symlink("/etc/hostname", &file).unwrap();
        assert!(matches!(prepared.commit(), Err(WriteError::Moved)), "a link took its place");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn owners_are_kept_or_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "a: 1\n").unwrap();
        // Only root can change the owner of a file.
        if std::os::unix::fs::chown(&file, Some(12_345), Some(12_345)).is_ok() {
            replace(&file, "a: 1\n", "a: 2\n").unwrap();
            let metadata = fs::metadata(&file).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (12_345, 12_345));
        }
    }

    #[test]
    fn new_files_replace_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (file, target) = (folder.path().join("a.yaml"), folder.path().join("target"));
        symlink(&target, &file).unwrap();
        assert!(Prepared::create(&file, "a: 1\n").is_err());
        fs::remove_file(&file).unwrap();
        let prepared = Prepared::create(&file, "a: 1\n").unwrap();
        symlink(&target, &file).unwrap();
        assert!(prepared.commit().is_err(), "a link took its place");
        assert!(!target.exists());
        put(&file, "a: 2\n").unwrap();
        assert!(!target.exists() && fs::read_to_string(&file).unwrap() == "a: 2\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
