//! Manifests of other projects, which are not part of this repository.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Once;

/// The folder that `PLIMSOLL_CORPUS` names; `None` where it names none, which is said once.
pub fn corpus() -> Option<PathBuf> {
    static TOLD: Once = Once::new();
    let folder = std::env::var_os("PLIMSOLL_CORPUS").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    match folder {
        Some(folder) if folder.is_dir() => Some(folder),
        other => {
            TOLD.call_once(|| {
                let why = other.map_or("PLIMSOLL_CORPUS is not set".to_owned(), |folder| {
                    format!("PLIMSOLL_CORPUS={} is no folder", folder.display())
                });
                // Not eprintln!: the runner captures that, and nobody would see what did not run.
                let _ = writeln!(std::io::stderr(), "skipped: tests over outside corpora, for {why}");
            });
            None
        }
    }
}
