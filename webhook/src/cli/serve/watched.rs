//! Detects changes of files that other programs replace.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use crate::files as bounded;

/// Digest of the content of some files at one moment.
///
/// The files are read again, not watched by events of the kernel. The kubelet changes a mounted Secret or ConfigMap by
/// renaming a link beside the files. A watch of the files misses that, and a watch of the folder misses the second
/// rename. Network file systems send no events. Reading a few files every few seconds is cheap.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of these files, and of the files in these folders.
    pub(super) fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut hash = Sha256::new();
        for path in paths {
            for file in files(path).unwrap_or_default() {
                add(&mut hash, &file);
            }
            hash.update([0xff]);
        }
        Self(hash.finalize().into())
    }
}

/// The file itself, or the configuration files of a folder, sorted by name. Names that begin with a dot belong to the
/// kubelet, and are skipped.
pub(super) fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let known = file.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|it| extension == *it));
        if known && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn add(hash: &mut Sha256, file: &Path) {
    let part = |hash: &mut Sha256, bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    part(hash, file.as_os_str().as_encoded_bytes());
    match bounded::read(file, bounded::MAX_BUNDLE) {
        Ok(content) => part(hash, &content),
        Err(error) => part(hash, error.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_the_kubelet_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let version = |name: &str, text: &str| {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("a.yaml"), text).unwrap();
            std::os::unix::fs::symlink(name, at("..data_tmp")).unwrap();
            fs::rename(at("..data_tmp"), at("..data")).unwrap();
        };
        version("..1", "one");
        std::os::unix::fs::symlink("..data/a.yaml", at("a.yaml")).unwrap();
        let both = [folder.path().to_owned(), at("a.yaml")];
        for paths in both.iter().map(std::slice::from_ref) {
            assert_eq!(Fingerprint::of(paths), Fingerprint::of(paths));
        }
        assert_eq!(files(folder.path()).unwrap(), [at("a.yaml")]);
        let mut seen = vec![Fingerprint::of(&both)];
        for (name, text) in [("..2", "two"), ("..3", "three"), ("..4", "four")] {
            version(name, text);
            seen.push(Fingerprint::of(&both));
        }
        fs::remove_file(at("a.yaml")).unwrap();
        seen.push(Fingerprint::of(&both));
        for (index, one) in seen.iter().enumerate() {
            assert!(!seen[..index].contains(one), "{index}");
        }
    }
}
