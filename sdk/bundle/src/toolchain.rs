//! Finds the WebAssembly tool chain of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The only target of guests. It has no system interface.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// Compiler flags of guests, in addition to cargo's profile.
const FLAGS: [&str; 5] = [
    // The memory of an instance is cleared after every review, used or not, so it should be small: a stack of 32 KiB,
    // the data, and a heap for a review of the usual size. Growing the heap costs more than all policies.
    "-Clink-arg=-zstack-size=32768",
    "-Clink-arg=--stack-first",
    "-Clink-arg=--initial-memory=196608",
    // With newer target features, the compiler moves every struct by `memory.copy`, which calls the host. A policy then
    // costs four times as much. Plain loads and stores are inlined.
    "-Ctarget-cpu=mvp",
    "-Ctarget-feature=+mutable-globals,+sign-ext,+nontrapping-fptoint",
];

/// There is no tool chain.
#[derive(Debug, thiserror::Error)]
#[error(
    "no WebAssembly tool chain was found, and the policies are compiled to WebAssembly. Any one of these helps:\n  \
     - make setup                                         (finds out what fits this machine and installs it)\n  \
     - rustup target add wasm32-unknown-unknown\n  \
     - apt-get install rustc-web cargo-web rust-web-src libstd-rust-web-dev lld-22    (Debian)\n  \
     - PLIMSOLL_BUNDLE=FILE cargo build                   (embeds a prebuilt bundle; no tool chain is needed)"
)]
pub struct ToolchainError;

/// A compiler that can build guests.
#[derive(Clone, Debug, PartialEq)]
pub enum Toolchain {
    /// A rustc with an installed standard library for the target.
    Target { cargo: PathBuf, rustc: PathBuf },
    /// A rustc with the library's source and a separate linker. The build compiles the library too.
    BuildStd { cargo: PathBuf, rustc: PathBuf, linker: PathBuf },
}

impl Toolchain {
    /// Tries the current cargo first, then Debian's.
    ///
    /// # Errors
    /// If neither can build guests.
    pub fn find() -> Result<Self, ToolchainError> {
        let in_use = (which("CARGO", "cargo"), which("RUSTC", "rustc"));
        let debian = (PathBuf::from("/usr/bin/cargo"), PathBuf::from("/usr/bin/rustc"));
        for (cargo, rustc) in [in_use, debian.clone()] {
            if has_target(&rustc) {
                return Ok(Self::Target { cargo, rustc });
            }
        }
        let (cargo, rustc) = debian;
        let linker = linker().filter(|_| cargo.exists() && has_source(&rustc)).ok_or(ToolchainError)?;
        Ok(Self::BuildStd { cargo, rustc, linker })
    }

    /// A `cargo rustc` for guests of the workspace at `root`. It has its own target folder, and ignores the environment
    /// of the calling build. The output contains no path of this machine, so equal sources give equal bytes.
    pub fn cargo(&self, root: &Path, target: &Path) -> Command {
        let (Self::Target { cargo, rustc } | Self::BuildStd { cargo, rustc, .. }) = self;
        let mut command = Command::new(cargo);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let of_cargo = name.starts_with("CARGO") && name != "CARGO_HOME" && !name.starts_with("CARGO_NET");
            let of_rust = name.starts_with("RUST") && name != "RUSTUP_HOME" && name != "RUSTUP_TOOLCHAIN";
            let of_script = matches!(
                name.as_ref(),
                "TARGET" | "HOST" | "PROFILE" | "OPT_LEVEL" | "DEBUG" | "NUM_JOBS" | "OUT_DIR" | "MAKEFLAGS" | "MFLAGS"
            );
            if of_cargo || of_rust || of_script || name.starts_with("DEP_") {
                command.env_remove(name.as_ref());
            }
        }
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        if let Some(home) =
            std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        {
            flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
        }
        if let Ok(root) = root.canonicalize() {
            flags.push(format!("--remap-path-prefix={}=plimsoll", root.display()));
        }
        command
            .args(["rustc", "--release", "--target", TARGET, "--target-dir"])
            .arg(target)
            .env("RUSTC", rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            // These settings override the user's configuration, which could change the bytes.
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "true")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
            .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        if let Self::BuildStd { linker, .. } = self {
            command
                .arg("-Zbuild-std=std,panic_abort")
                // Debian's source has no other stable way to build the standard library.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }
}

fn which(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

fn has_target(rustc: &Path) -> bool {
    let Some(libdir) = stdout(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET])) else {
        return false;
    };
    let Ok(entries) = std::fs::read_dir(libdir.trim()) else { return false };
    // Debian's library for the target also needs a linker that rustc finds by itself.
    let bundled = std::env::var_os("PLIMSOLL_WASM_BUILD_STD").is_none() && has_linker(rustc);
    bundled && entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

fn has_linker(rustc: &Path) -> bool {
    stdout(Command::new(rustc).args(["--print", "sysroot"]))
        .is_some_and(|root| glob_bin(Path::new(root.trim()), "rust-lld"))
}

fn glob_bin(sysroot: &Path, name: &str) -> bool {
    let Ok(hosts) = std::fs::read_dir(sysroot.join("lib/rustlib")) else { return false };
    hosts.flatten().any(|host| host.path().join("bin").join(name).exists())
}

fn has_source(rustc: &Path) -> bool {
    stdout(Command::new(rustc).args(["--print", "sysroot"]))
        .is_some_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml").exists())
}

/// Debian numbers its linkers. The newest one is used.
fn linker() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/bin")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_str()?.strip_prefix("wasm-ld")?.to_owned();
            let version = if name.is_empty() { 0 } else { name.strip_prefix('-')?.parse().ok()? };
            Some((version, entry.path()))
        })
        // A link may lead to nothing, or to a file that cannot be run.
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
