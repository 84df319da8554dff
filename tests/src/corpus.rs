//! Manifests of other projects, which are not part of this repository.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::plimsoll_binary;

/// The folder that `PLIMSOLL_CORPUS` names. Without one: `None`, and a note is printed once.
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
                // Not eprintln!: the test runner captures it, and the note about skipped tests would be invisible.
                let _ = writeln!(std::io::stderr(), "skipped: tests over outside corpora, for {why}");
            });
            None
        }
    }
}

/// All files below a folder that have this extension, sorted.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The JSON report of `check` over the folder `k` of a folder: every policy of `strict`, closed world.
pub fn strict_report(folder: &Path) -> Result<Value> {
    let output = Command::new(plimsoll_binary()?)
        .args(["check", "--profile=strict", "--world=closed", "--exit-zero", "--format=json", "k"])
        .current_dir(folder)
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("no JSON: {stderr}"))?;
    ensure!(report["errors"] == json!([]), "{}", report["errors"]);
    Ok(report)
}
