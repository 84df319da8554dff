//! Gets the machine code of a bundle: embedded in this binary, cached by an earlier run, or compiled now.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use wasmtime::component::Component;

use super::Engine;
use super::cache::{Cache, Entry};

/// The bundle of the policies in `policies/`: a component with its metadata.
pub const BUILTIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builtin.wasm"));

/// Digest of [`BUILTIN`], `sha256:…`.
pub const BUILTIN_DIGEST: &str = env!("PLIMSOLL_BUILTIN_DIGEST");

/// The machine code of [`BUILTIN`] for any CPU of this architecture. Empty if the build had no compiler for it.
const BUILTIN_CODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builtin.code"));

/// The same code, which also counts fuel.
const METERED_CODE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/builtin.metered.code"));

/// Origin of the machine code of a bundle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// Compiled when this binary was built.
    Embedded,
    /// Compiled by an earlier run.
    Cached,
    /// Compiled by this run.
    Compiled,
}

impl Code {
    /// The word for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Embedded => "embedded",
            Code::Cached => "cached",
            Code::Compiled => "compiled",
        }
    }
}

/// A bundle's component, ready to be linked. `digest` must be the digest of `bytes`, because the code is found by it.
pub(super) fn component(engine: &Engine, bytes: &[u8], digest: &str) -> wasmtime::Result<(Component, Code)> {
    if let Some(component) = embedded(engine, digest) {
        return Ok((component, Code::Embedded));
    }
    let Some(cache) = &engine.cache else { return Ok((Component::new(&engine.inner, bytes)?, Code::Compiled)) };
    let mut hasher = DefaultHasher::new();
    engine.inner.precompile_compatibility_hash().hash(&mut hasher);
    let entry = Entry { digest, engine: hasher.finish() };
    if let Some(component) = cached(engine, cache, entry) {
        return Ok((component, Code::Cached));
    }
    let component = Component::new(&engine.inner, bytes)?;
    let stored = component.serialize().map(|code| cache.store(entry, &code));
    if let Ok(Err(error)) = stored {
        tracing::warn!(file = %cache.file(entry).display(), %error, "compiled code cannot be kept");
    }
    Ok((component, Code::Compiled))
}

fn embedded(engine: &Engine, digest: &str) -> Option<Component> {
    let code = if engine.metered { METERED_CODE } else { BUILTIN_CODE };
    if digest != BUILTIN_DIGEST || code.is_empty() {
        return None;
    }
    // SAFETY: the code is part of this binary. `build.rs` compiled it from the bundle with this digest.
    #[expect(unsafe_code, reason = "precompiled code is run as it is")]
    let loaded = unsafe { Component::deserialize(&engine.inner, code) };
    loaded
        .inspect_err(|error| {
            tracing::warn!(error = format!("{error:#}"), "the embedded code does not fit this engine; compiling");
        })
        .ok()
}

fn cached(engine: &Engine, cache: &Cache, entry: Entry<'_>) -> Option<Component> {
    let ignored = |error: String| {
        let file = cache.file(entry);
        tracing::warn!(file = %file.display(), error, "cached code is ignored; compiling");
    };
    let code = cache.load(entry).map_err(|error| ignored(error.to_string())).ok()??;
    // SAFETY: the bytes are in memory and authentic. This user wrote them, and wasmtime made them from this bundle.
    #[expect(unsafe_code, reason = "precompiled code is run as it is")]
    let loaded = unsafe { Component::deserialize(&engine.inner, &code) };
    loaded.map_err(|error| ignored(format!("{error:#}"))).ok()
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
