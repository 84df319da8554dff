use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::engine::{Bundle, CacheError, Limits, NotPrivate};

/// The smallest component.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// The same with a custom section: a different component.
const OTHER: &[u8] = b"\0asm\x0d\0\x01\0\0\x02\x01x";

fn engine() -> Engine {
    Engine::new(Limits { instances: 1, ..Limits::default() }).unwrap()
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("cache");
    (scratch, folder)
}

/// Loads a component through the cache, like a new process.
fn load(folder: &Path, bytes: &[u8], digest: &str) -> Code {
    let engine = engine().with_cache(Cache::open(folder).unwrap());
    component(&engine, bytes, digest).unwrap().1
}

/// The only file with code.
fn file(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let code: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "code")).collect();
    assert_eq!(code.len(), 1, "{code:?}");
    code[0].clone()
}

#[test]
fn the_builtin_bundle_is_not_compiled_at_the_start() {
    assert_eq!(Bundle::load(&engine(), BUILTIN).unwrap().code(), Code::Embedded);
}

/// The code for an engine that counts fuel is embedded, too.
#[test]
fn the_metered_code_is_embedded_too() {
    let metered = Engine::metered(Limits { instances: 1, ..Limits::default() }).unwrap();
    assert_eq!(Bundle::load(&metered, BUILTIN).unwrap().code(), Code::Embedded);
}

/// An engine with other settings rejects the embedded code, and compiles the bundle instead.
#[test]
fn code_that_does_not_fit_is_compiled_instead() {
    let limits = Limits { instances: 1, ..Limits::default() };
    let other = Engine::of(super::super::config(limits, false).wasm_simd(false), limits, false).unwrap();
    assert_eq!(Bundle::load(&other, BUILTIN).unwrap().code(), Code::Compiled);
}

/// A bundle that differs from the built-in one only in an unused section is a different bundle.
#[test]
fn embedded_code_is_found_by_the_digest() {
    let other = [BUILTIN, &OTHER[EMPTY.len()..]].concat();
    let bundle = Bundle::load(&engine(), &other).unwrap();
    assert_eq!(bundle.code(), Code::Compiled);
    assert_ne!(bundle.digest(), BUILTIN_DIGEST);
}

#[test]
fn code_is_kept_between_runs_and_for_its_own_bundle() {
    let (_scratch, folder) = folder();
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled);
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Cached);
    assert_eq!(load(&folder, OTHER, "sha256:b"), Code::Compiled);
    assert_eq!(load(&folder, OTHER, "sha256:b"), Code::Cached);
    for entry in fs::read_dir(&folder).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

/// A file that was changed in any way is ignored, and written again.
#[test]
fn code_that_was_tampered_with_is_compiled_anew() {
    let (_scratch, folder) = folder();
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled);
    let (file, whole) = (file(&folder), fs::read(file(&folder)).unwrap());
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let hostile = [
        changed(0),
        changed(40),
        changed(whole.len() - 1),
        whole[..whole.len() - 1].to_vec(),
        whole[..32].to_vec(),
        whole[..7].to_vec(),
        Vec::new(),
        [whole.as_slice(), b"\0"].concat(),
    ];
    for bytes in hostile {
        fs::write(&file, &bytes).unwrap();
        assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled, "{} bytes of {}", bytes.len(), whole.len());
        assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Cached);
    }

    // Authentic code, but of a different bundle.
    let theirs = folder.join(file.file_name().unwrap().to_str().unwrap().replacen('a', "b", 1));
    fs::copy(&file, &theirs).unwrap();
    assert_eq!(load(&folder, OTHER, "sha256:b"), Code::Compiled);
    fs::remove_file(&theirs).unwrap();

    // Authentic code, but with the key of a different folder.
    fs::remove_file(folder.join("key")).unwrap();
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled);
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Cached);

    // Another user could have written it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled);
    let elsewhere = folder.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled);
    assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Cached);
    if can_give_away(&file) {
        assert_eq!(load(&folder, EMPTY, "sha256:a"), Code::Compiled);
    }
}

#[test]
fn a_folder_that_others_can_use_is_refused() {
    let reason = |folder: &Path| match Cache::open(folder) {
        Err(CacheError::NotPrivate { reason, .. }) => Some(reason),
        _ => None,
    };
    let (scratch, folder) = folder();
    Cache::open(&folder).unwrap();
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(reason(&folder), Some(NotPrivate::Mode(mode)));
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let link = scratch.path().join("link");
    symlink(&folder, &link).unwrap();
    assert_eq!(reason(&link), Some(NotPrivate::Kind));

    let key = folder.join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(reason(&folder), Some(NotPrivate::Mode(0o644)));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, b"short").unwrap();
    assert!(matches!(Cache::open(&folder), Err(CacheError::Key { found: 5, .. })));
    if can_give_away(&key) {
        assert_eq!(reason(&folder), Some(NotPrivate::Owner(NOBODY)));
    }
    fs::remove_file(&key).unwrap();
    Cache::open(&folder).unwrap();
    if can_give_away(&folder) {
        assert_eq!(reason(&folder), Some(NotPrivate::Owner(NOBODY)));
    }

    let file = scratch.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Cache::open(&file), Err(CacheError::Io { .. })));
}

const NOBODY: u32 = 65534;

/// Only root can change the owner of a file. Without root, that part of the test is skipped.
fn can_give_away(path: &Path) -> bool {
    chown(path, Some(NOBODY), None).is_ok()
}
