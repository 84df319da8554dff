//! A loaded bundle: its metadata, and its component ready to be instantiated.

use std::fmt::Write as _;
use std::sync::Arc;

use plimsoll_sdk::metadata::{ABI, Bundle as Metadata, SECTION, Stage};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, Linker};

use super::imports::{State, contract, link};
use super::{Engine, Limits};

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No WebAssembly component, or one that does not compile.
    #[error("it is no WebAssembly component that can be compiled: {0:#}")]
    Component(wasmtime::Error),
    /// It wants what the contract does not offer.
    #[error("it does not keep to the contract (plimsoll:policy@{ABI}): {0:#}")]
    Contract(wasmtime::Error),
    /// No metadata, or not of this shape.
    #[error("its metadata (custom section {SECTION:?}) {0}")]
    Metadata(String),
}

/// A component with one or more policies, compiled, and what it says of them. Cheap to clone: every review does.
#[derive(Clone)]
pub struct Bundle {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    component: contract::BundlePre<State>,
    metadata: Metadata,
    digest: String,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Bundle")
            .field("name", &self.inner.metadata.name)
            .field("digest", &self.inner.digest)
            .finish()
    }
}

impl Bundle {
    /// Compiles a component and checks what it says of itself.
    ///
    /// # Errors
    /// Where it is no component, imports or exports other than the contract's, or its metadata lies.
    pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        let metadata = read_metadata(bytes)?;
        let component = Component::new(&engine.inner, bytes).map_err(LoadError::Component)?;
        let mut linker = Linker::new(&engine.inner);
        link(&mut linker).map_err(LoadError::Contract)?;
        let component =
            linker.instantiate_pre(&component).and_then(contract::BundlePre::new).map_err(LoadError::Contract)?;
        let inner = Inner { engine: engine.clone(), component, metadata, digest: digest(bytes) };
        let bundle = Self { inner: Arc::new(inner) };
        bundle.compare_ids()?;
        Ok(bundle)
    }

    /// The one of `compiled` that these bytes are, if it was made for the same engine; else compiles them.
    ///
    /// # Errors
    /// As [`Bundle::load`].
    pub fn load_unless_compiled(engine: &Engine, bytes: &[u8], compiled: &[Self]) -> Result<Self, LoadError> {
        let wanted = digest(bytes);
        let same = |bundle: &&Self| {
            bundle.digest() == wanted && wasmtime::Engine::same(&bundle.inner.engine.inner, &engine.inner)
        };
        compiled.iter().find(same).cloned().map_or_else(|| Self::load(engine, bytes), Ok)
    }

    /// What the bundle says of its policies.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// `sha256:…` of the component.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// The limits of its instances.
    pub fn limits(&self) -> Limits {
        self.inner.engine.limits
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(super) fn component(&self) -> &contract::BundlePre<State> {
        &self.inner.component
    }

    /// The ids that the component exports must be those of its metadata, in the same order.
    fn compare_ids(&self) -> Result<(), LoadError> {
        let exported = super::session::policies(self).map_err(LoadError::Contract)?;
        let described: Vec<_> = self.inner.metadata.policies.iter().map(|policy| policy.id.clone()).collect();
        if exported == described {
            return Ok(());
        }
        Err(LoadError::Metadata(format!("names the policies {described:?}, but the component has {exported:?}")))
    }
}

/// Reads the metadata of a bundle without running or compiling anything.
///
/// # Errors
/// Where there is none, or it is of another version or shape.
pub(super) fn read_metadata(bytes: &[u8]) -> Result<Metadata, LoadError> {
    let section = custom_section(bytes, SECTION)
        .ok_or_else(|| LoadError::Metadata("is missing: was it built with `plimsoll policy build`?".to_owned()))?;
    read_section(section)
}

fn read_section(section: &[u8]) -> Result<Metadata, LoadError> {
    let abi: Option<String> = serde_json::from_slice::<serde_json::Value>(section)
        .ok()
        .and_then(|value| Some(value.get("abi")?.as_str()?.to_owned()));
    if abi.as_deref() != Some(ABI) {
        let spoken = abi.unwrap_or_else(|| "none".to_owned());
        return Err(LoadError::Metadata(format!("speaks version {spoken} of the contract, this host {ABI}")));
    }
    let metadata: Metadata = serde_json::from_slice(section)
        .map_err(|error| LoadError::Metadata(format!("is not of the shape of {ABI}: {error}")))?;
    for policy in &metadata.policies {
        if let Some(edit) = policy.edits.iter().find(|edit| !may_declare(edit, policy.stage)) {
            let id = &policy.id;
            return Err(LoadError::Metadata(format!(
                "lets {id} edit {edit:?}, which no policy may (docs/contract.md)"
            )));
        }
    }
    Ok(metadata)
}

/// What no fix may touch: what an object is, its status, and its metadata but for single labels and annotations. Only
/// policies that run over files alone may correct an `apiVersion` or a `kind`.
fn may_declare(pattern: &str, stage: Stage) -> bool {
    let below = pattern.strip_prefix("{template}").unwrap_or(pattern);
    let mut names = below.split('/').skip(1);
    match (names.next(), names.next(), names.next()) {
        (Some("apiVersion" | "kind"), None, _) => stage == Stage::Source,
        (Some("metadata"), Some("labels" | "annotations"), Some(name)) => name != "*",
        (None | Some("" | "*" | "apiVersion" | "kind" | "metadata" | "status"), ..) => false,
        _ => true,
    }
}

/// The last custom section of this name at the top level of a component.
fn custom_section<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = bytes.get(8..)?;
    let mut found = None;
    while let Some((&id, body)) = rest.split_first() {
        let (size, body) = leb128(body)?;
        let (section, after) = body.split_at_checked(size)?;
        if id == 0 {
            let (length, section) = leb128(section)?;
            let (title, content) = section.split_at_checked(length)?;
            if title == name.as_bytes() {
                found = Some(content);
            }
        }
        rest = after;
    }
    found
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{BUILTIN, Engine, Limits};
    use super::{Arc, Bundle, Stage, may_declare};

    #[test]
    fn the_same_bundle_is_compiled_once_for_an_engine() {
        let engine = || Engine::new(Limits { instances: 2, ..Limits::default() }).unwrap();
        let (one, other) = (engine(), engine());
        let first = Bundle::load(&one, BUILTIN).unwrap();
        let known = std::slice::from_ref(&first);
        let same = |engine: &Engine, bytes: &[u8]| {
            let bundle = Bundle::load_unless_compiled(engine, bytes, known).unwrap();
            Arc::ptr_eq(&bundle.inner, &first.inner)
        };
        assert!(same(&one, BUILTIN));
        assert!(!same(&other, BUILTIN), "code of one engine does not run in another");
        // With a custom section more.
        assert!(!same(&one, &[BUILTIN, &[0, 2, 1, b'x']].concat()));
    }

    #[test]
    fn what_a_policy_may_declare_to_edit() {
        for pattern in ["/spec/replicas", "{template}/spec/containers/*/image", "/metadata/labels/app", "/data/x"] {
            assert!(may_declare(pattern, Stage::Both), "{pattern}");
        }
        for pattern in
            ["", "/", "/*", "/status/x", "/metadata/name", "/metadata/labels/*", "/kind", "{template}/metadata"]
        {
            assert!(!may_declare(pattern, Stage::Both), "{pattern}");
        }
        assert!(may_declare("/apiVersion", Stage::Source));
    }
}
