//! Builds a crate of policies into a bundle: a WebAssembly component with its metadata in a custom section.
//!
//! Finds out which WebAssembly tool chain the machine has: rustup's (or any) `wasm32-unknown-unknown` target, else the
//! source of the standard library as Debian packages it; where there is neither it says what to install.

mod toolchain;

use std::path::{Path, PathBuf};

use wasm_encoder::{CustomSection, Encode as _, Section as _};

pub use toolchain::{Toolchain, ToolchainError};

/// Why a bundle could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No tool chain; the message says what to install.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The policies do not compile; the compiler's own words stand before.
    #[error("the policies of {0} do not compile for WebAssembly; the compiler's messages are above")]
    Compile(String),
    /// A file or a command of the build.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The module is no component that the contract knows.
    #[error("the module is not a bundle: {0}")]
    Component(String),
}

/// Compiles the package at `manifest` for WebAssembly, below `target`, and returns the module's path.
///
/// # Errors
/// Where there is no tool chain or the package does not compile.
pub fn compile(manifest: &Path, package: &str, target: &Path) -> Result<PathBuf, Error> {
    let toolchain = Toolchain::find()?;
    let root = manifest.parent().unwrap_or(Path::new(""));
    let mut cargo = toolchain.cargo(root, target);
    cargo.arg("--manifest-path").arg(manifest).args(["--package", package, "--lib", "--crate-type", "cdylib"]);
    let status = cargo
        .status()
        .map_err(|source| Error::Io { what: format!("run {}", cargo.get_program().to_string_lossy()), source })?;
    if !status.success() {
        return Err(Error::Compile(package.to_owned()));
    }
    Ok(target.join(toolchain::TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_"))))
}

/// Makes a component of a module, with the metadata (JSON) in the custom section `section`.
///
/// # Errors
/// Where the module does not carry the contract's types, or is not valid.
pub fn componentize(module: &[u8], section: &str, metadata: &str) -> Result<Vec<u8>, Error> {
    let mut component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| Error::Component(format!("{error:#}")))?;
    let custom = CustomSection { name: section.into(), data: metadata.as_bytes().into() };
    component.push(custom.id());
    custom.encode(&mut component);
    Ok(component)
}
