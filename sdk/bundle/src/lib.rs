//! Builds a crate of policies into a bundle: a WebAssembly component with its metadata in a custom section.
//!
//! Uses the WebAssembly tool chain of the machine: rustup's (or any other) `wasm32-unknown-unknown` target, else the
//! standard library's source from Debian's packages. Without both, the error says what to install.

mod toolchain;

use std::path::{Path, PathBuf};

use wasm_encoder::{CustomSection, Encode as _, Section as _};

pub use toolchain::{Toolchain, ToolchainError};

/// The error of a failed build of a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no tool chain. The message says what to install.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The policies do not compile. The compiler has printed its errors.
    #[error("the policies of {0} do not compile for WebAssembly; the compiler's messages are above")]
    Compile(String),
    /// A file or a command of the build failed.
    #[error("cannot {what}")]
    Io {
        /// The failed action.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The module is no component of a known contract.
    #[error("the module is not a bundle: {0}")]
    Component(String),
}

/// Compiles the package at `manifest` for WebAssembly into the folder `target`. Returns the path of the module.
///
/// # Errors
/// If there is no tool chain, or the package does not compile.
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
/// If the module does not contain the types of the contract, or is not valid.
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
