//! Embeds the built-in bundle: compiles the policies for WebAssembly, or takes the prebuilt one of `PLIMSOLL_BUNDLE`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result};

/// What a bundle is made of; an edit of any of it builds the bundle anew.
const SOURCES: [&str; 7] =
    ["policies/src", "policies/Cargo.toml", "sdk/src", "sdk/wit", "sdk/flat/src", "sdk/macros/src", "sdk/bundle/src"];

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").context("cargo sets CARGO_MANIFEST_DIR")?).join("..");
    println!("cargo::rerun-if-env-changed=PLIMSOLL_BUNDLE");
    println!("cargo::rerun-if-env-changed=PLIMSOLL_WASM_BUILD_STD");
    let bundle = match env::var_os("PLIMSOLL_BUNDLE").filter(|file| !file.is_empty()) {
        Some(file) => {
            let file = PathBuf::from(file);
            println!("cargo::rerun-if-changed={}", file.display());
            fs::read(&file).with_context(|| format!("cannot read PLIMSOLL_BUNDLE={}", file.display()))?
        }
        None => build(&root, &out)?,
    };
    fs::write(out.join("builtin.wasm"), bundle)?;
    Ok(())
}

fn build(root: &Path, out: &Path) -> Result<Vec<u8>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    // Beside the folders of the profiles, so that debug and release builds share the guests' cache.
    let target = out.ancestors().nth(4).unwrap_or(out).join("guests");
    let module = plimsoll_bundle::compile(&root.join("Cargo.toml"), "plimsoll-policies", &target)?;
    let metadata = plimsoll_policies::metadata().to_json()?;
    Ok(plimsoll_bundle::componentize(&fs::read(module)?, plimsoll_sdk::metadata::SECTION, &metadata)?)
}
