//! Embeds the built-in bundle and its machine code. The bundle is compiled from the policies, or prebuilt.
//!
//! The source of the bundle is the first of these that exists: the file that `PLIMSOLL_BUNDLE` names, the policies in
//! the repository of this package, or the prebuilt bundle of a published package, whose digest is checked.

#[path = "src/engine/codegen.rs"]
mod codegen;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

/// The sources of the bundle. A change in any of them rebuilds the bundle.
const SOURCES: [&str; 7] =
    ["policies/src", "policies/Cargo.toml", "sdk/src", "sdk/wit", "sdk/flat/src", "sdk/macros/src", "sdk/bundle/src"];

/// The bundle of a published package, and its digest. `scripts/package.sh` writes both files.
const PREBUILT: &str = "prebuilt/plimsoll-policies.wasm";

fn main() -> Result<()> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-env-changed=PLIMSOLL_BUNDLE");
    println!("cargo::rerun-if-env-changed=PLIMSOLL_WASM_BUILD_STD");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/engine/codegen.rs");
    let repository = package.join("..");
    let bundle = match env::var_os("PLIMSOLL_BUNDLE").filter(|file| !file.is_empty()) {
        Some(file) => {
            let file = PathBuf::from(file);
            println!("cargo::rerun-if-changed={}", file.display());
            fs::read(&file).with_context(|| format!("cannot read PLIMSOLL_BUNDLE={}", file.display()))?
        }
        // The prebuilt bundle is not used in the repository, because the sources may be newer.
        None if repository.join("policies/src/lib.rs").exists() => build(&repository, &out)?,
        None => prebuilt(&package.join(PREBUILT))?,
    };
    for (metered, file) in [(false, "builtin.code"), (true, "builtin.metered.code")] {
        fs::write(out.join(file), precompile(&bundle, &variable("TARGET")?, metered))?;
    }
    println!("cargo::rustc-env=PLIMSOLL_BUILTIN_DIGEST={}", digest(&bundle));
    fs::write(out.join("builtin.wasm"), bundle)?;
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("cargo sets {name}"))
}

fn build(root: &Path, out: &Path) -> Result<Vec<u8>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    // The folder is beside those of the profiles, so debug and release builds share the cache of the guests.
    let target = out.ancestors().nth(4).unwrap_or(out).join("guests");
    let module = plimsoll_bundle::compile(&root.join("Cargo.toml"), "plimsoll-policies", &target)?;
    let metadata = plimsoll_policies::metadata().to_json()?;
    Ok(plimsoll_bundle::componentize(&fs::read(module)?, plimsoll_sdk::metadata::SECTION, &metadata)?)
}

fn prebuilt(file: &Path) -> Result<Vec<u8>> {
    let wanted = file.with_extension("sha256");
    for part in [file, &wanted] {
        println!("cargo::rerun-if-changed={}", part.display());
    }
    let bundle = fs::read(file).with_context(|| {
        let file = file.display();
        format!("there are neither policies beside this package nor {file}; PLIMSOLL_BUNDLE=FILE embeds a bundle")
    })?;
    let wanted = fs::read_to_string(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    let (wanted, found) = (wanted.trim(), digest(&bundle));
    ensure!(
        wanted == found,
        "{} has the digest {found}, and was published with {wanted}: this copy of the package is damaged; fetch it again",
        file.display()
    );
    Ok(bundle)
}

/// Machine code for any CPU of the target's architecture. The target is named, so features of the building machine are
/// not used. Empty if there is no compiler for the architecture. Then the bundle is compiled at each start.
fn precompile(bundle: &[u8], target: &str, metered: bool) -> Vec<u8> {
    let mut config = wasmtime::Config::new();
    codegen::codegen(&mut config, metered);
    let code = config
        .target(target)
        .and_then(|config| wasmtime::Engine::new(config))
        .and_then(|engine| engine.precompile_component(bundle));
    code.unwrap_or_else(|error| {
        let hint = if target == env::var("HOST").unwrap_or_default() { "" } else { "; see the feature `all-arch`" };
        println!("cargo::warning=the built-in bundle is not precompiled for {target}: {error:#}{hint}");
        Vec::new()
    })
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}
