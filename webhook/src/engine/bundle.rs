//! A loaded bundle: its metadata, and its compiled component.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use plimsoll_sdk::metadata::{self, ABI, ANY, Bundle as Metadata, Policy, SECTION, Stage};
use sha2::{Digest as _, Sha256};
use wasmparser::{Chunk, Parser, Payload};
use wasmtime::component::Linker;

use super::code::{self, Code};
use super::imports::{State, contract, link};
use super::instance::SettingFault;
use super::{Engine, Limits};
use crate::model::Failure;
use crate::printed::words;

/// First bytes of a component. A module has 0x00 instead of the 0x01.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Why a bundle was rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not a WebAssembly component, or the component does not compile.
    #[error("it is no WebAssembly component that can be compiled: {}", said(.0))]
    Component(wasmtime::Error),
    /// The file is something else.
    #[error("it is {0}; a bundle is a WebAssembly component, as plimsoll-bundle makes it of a crate of policies")]
    NoComponent(&'static str),
    /// Its imports or exports are not those of the contract.
    #[error(
        "it does not keep to the contract plimsoll:policy@{ABI}: {}; a bundle imports nothing but context, authored and \
         log of that package (no WASI) and exports policies, check-settings and evaluate, as docs/contract.md says",
        said(.0)
    )]
    Contract(wasmtime::Error),
    /// It does not return the list of its policies.
    #[error("its export `policies` failed, by which it is compared with its metadata: {0}")]
    Policies(Failure),
    /// The metadata is missing, or has a different shape.
    #[error("its metadata (custom section {SECTION:?}) {0}")]
    Metadata(String),
}

/// The text of a wasmtime error. It can quote text of a guest.
fn said(error: &wasmtime::Error) -> String {
    words(format!("{error:#}"))
}

/// The metadata of a bundle, read without compiling or running code.
#[derive(Clone, Debug)]
pub struct Description {
    /// The contents of the custom section.
    pub metadata: Metadata,
    /// Digest of the component, `sha256:…`.
    pub digest: String,
}

impl Description {
    /// Reads the metadata of a component.
    ///
    /// # Errors
    /// If there is no metadata, if its version or shape is different, or if its contents are not allowed.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        Ok(Self { metadata: read_metadata(bytes)?, digest: digest(bytes) })
    }
}

/// A compiled component with one or more policies, and its metadata. Cloning is cheap: every review clones it.
#[derive(Clone)]
pub struct Bundle {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    component: contract::BundlePre<State>,
    code: Code,
    description: Description,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Bundle")
            .field("name", &self.metadata().name)
            .field("digest", &self.digest())
            .field("code", &self.inner.code)
            .finish()
    }
}

impl Bundle {
    /// Compiles a component and checks its metadata.
    ///
    /// # Errors
    /// If it is not a component, if its imports or exports are not those of the contract, or if its metadata is wrong.
    pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        let started = Instant::now();
        let description = Description::read(bytes)?;
        let (component, code) = code::component(engine, bytes, &description.digest).map_err(LoadError::Component)?;
        let mut linker = Linker::new(&engine.inner);
        link(&mut linker).map_err(LoadError::Contract)?;
        let component =
            linker.instantiate_pre(&component).and_then(contract::BundlePre::new).map_err(LoadError::Contract)?;
        let bundle = Self { inner: Arc::new(Inner { engine: engine.clone(), component, code, description }) };
        bundle.compare_ids()?;
        let (name, digest, took) = (&bundle.metadata().name, bundle.digest(), started.elapsed());
        tracing::debug!(name, digest, code = code.as_str(), ?took, "bundle loaded");
        Ok(bundle)
    }

    /// Returns the bundle from `compiled` that these bytes are, if it was made for the same engine. Otherwise compiles
    /// them.
    ///
    /// # Errors
    /// Like [`Bundle::load`].
    pub fn load_unless_compiled(engine: &Engine, bytes: &[u8], compiled: &[Self]) -> Result<Self, LoadError> {
        let wanted = digest(bytes);
        let same = |bundle: &&Self| {
            bundle.digest() == wanted && wasmtime::Engine::same(&bundle.inner.engine.inner, &engine.inner)
        };
        compiled.iter().find(same).cloned().map_or_else(|| Self::load(engine, bytes), Ok)
    }

    /// The metadata of the bundle.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.description.metadata
    }

    /// Digest of the component, `sha256:…`.
    pub fn digest(&self) -> &str {
        &self.inner.description.digest
    }

    /// Origin of its machine code.
    pub fn code(&self) -> Code {
        self.inner.code
    }

    /// The limits of its instances.
    pub fn limits(&self) -> Limits {
        self.inner.engine.limits
    }

    /// Total fuel that all bundles of its engine have used so far. 0 if fuel is not counted.
    pub fn burnt(&self) -> u64 {
        self.inner.engine.burnt.load(Ordering::Relaxed)
    }

    /// Lets a policy check its settings (a flat document) beyond their schema. Empty if it has no check.
    ///
    /// # Errors
    /// If the check itself fails.
    pub fn check_settings(&self, policy: u32, settings: &[u8]) -> Result<Vec<SettingFault>, Failure> {
        let described = usize::try_from(policy).ok().and_then(|policy| self.metadata().policies.get(policy));
        if described.is_none_or(|policy| !policy.checks_settings) {
            return Ok(Vec::new());
        }
        super::instance::check_settings(self, policy, settings)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(super) fn component(&self) -> &contract::BundlePre<State> {
        &self.inner.component
    }

    /// Checks that the component exports the ids of its metadata, in the same order.
    fn compare_ids(&self) -> Result<(), LoadError> {
        let exported = super::instance::policies(self).map_err(LoadError::Policies)?;
        let described = self.metadata().policies.iter().map(|policy| policy.id.as_str());
        if exported.iter().map(String::as_str).eq(described.clone()) {
            return Ok(());
        }
        let difference =
            match exported.iter().map(String::as_str).zip(described.clone()).find(|(one, other)| one != other) {
                Some((exported, described)) => {
                    format!("names the policy {described:?} where the component has {:?}", words(exported))
                }
                None => format!("names {} policies, but the component has {}", described.count(), exported.len()),
            };
        Err(LoadError::Metadata(format!(
            "{difference}: write the metadata again from these policies, in the order of `policies()`"
        )))
    }
}

fn read_metadata(bytes: &[u8]) -> Result<Metadata, LoadError> {
    if !bytes.starts_with(COMPONENT) {
        let found = if bytes.starts_with(b"\0asm") { "a core module" } else { "no WebAssembly" };
        return Err(LoadError::NoComponent(found));
    }
    let section = custom_section(bytes, SECTION).ok_or_else(|| {
        LoadError::Metadata(
            "is missing: a bundle carries it at the top level of the component, as docs/contract.md says".to_owned(),
        )
    })?;
    read_section(section)
}

fn read_section(section: &[u8]) -> Result<Metadata, LoadError> {
    let refuse = |reason: String| Err(LoadError::Metadata(reason));
    let value: serde_json::Value = match serde_json::from_slice(section) {
        Ok(value) => value,
        Err(error) => return refuse(format!("is no JSON: {error}")),
    };
    match value.get("abi").and_then(serde_json::Value::as_str) {
        Some(ABI) => {}
        spoken => {
            let spoken = words(spoken.unwrap_or("none"));
            return refuse(format!(
                "speaks version {spoken} of the contract, this host {ABI}: build it with the SDK of {ABI}, or use the \
                 plimsoll that it was made for"
            ));
        }
    }
    let metadata: Metadata = match serde_json::from_value(value) {
        Ok(metadata) => metadata,
        Err(error) => {
            return refuse(format!("is not of the shape of {ABI}: {}", words(error.to_string())));
        }
    };
    for (kind, pointer) in metadata.reads.iter().flat_map(|(kind, it)| it.iter().map(move |pointer| (kind, pointer))) {
        if !metadata::is_read(pointer) {
            let (kind, pointer) = (words(kind), words(pointer));
            return refuse(format!(
                "reads {pointer:?} of {kind}, which is no pointer: write {{template}}/spec/volumes/*/name, or /spec/ports"
            ));
        }
    }
    let mut ids = HashSet::new();
    for policy in &metadata.policies {
        let id = &policy.id;
        if !is_id(id) {
            let id = words(id);
            return refuse(format!(
                "names a policy {id:?}: write an id in kebab-case, such as missing-readiness-probe"
            ));
        }
        if !ids.insert(id.as_str()) {
            return refuse(format!("names the policy {id} twice"));
        }
        if let Some(reason) = misspelling(policy) {
            return refuse(reason);
        }
    }
    Ok(metadata)
}

/// Finds values in a policy's metadata that would match nothing or forbid everything. `#[policy]` rejects the same
/// values when a policy is compiled.
fn misspelling(policy: &Policy) -> Option<String> {
    let id = &policy.id;
    if policy.stage != Stage::Source && policy.on.kinds.iter().any(|kind| kind == ANY) {
        return Some(format!(
            "lets {id} look at every kind in the cluster: name the kinds, or let it run over files alone (stage source)"
        ));
    }
    let on = policy.on.kinds.iter().filter(|kind| *kind != ANY).map(|kind| ("looks at", kind));
    let requires = policy.requires.iter().map(|kind| ("requires", kind));
    let refines = policy.refines.iter().map(|kind| ("refines by", kind));
    if let Some((verb, kind)) = on.chain(requires).chain(refines).find(|(_, kind)| !metadata::is_group_kind(kind)) {
        let kind = words(kind);
        return Some(format!(
            "says that {id} {verb} {kind:?}, which is no group/Kind: write apps/Deployment, or /Service for a kind of the core \
             group; without a version"
        ));
    }
    if !metadata::is_category(&policy.category) {
        let (category, known) = (words(&policy.category), metadata::CATEGORIES.join(", "));
        return Some(format!(
            "puts {id} into {category:?}, which is no category: write one of {known}; or a word of your own in kebab-case that is \
             no misspelling of these"
        ));
    }
    if !metadata::is_version(&policy.since) {
        let since = words(&policy.since);
        return Some(format!("says that {id} exists since {since:?}, which is no version: write one such as 0.1.0"));
    }
    let edit = policy.edits.iter().find(|edit| !metadata::is_edit(edit, policy.stage))?;
    let edit = words(edit);
    Some(format!(
        "lets {id} edit {edit:?}, which no policy may: write a pointer such as /spec/replicas (docs/contract.md)"
    ))
}

/// Whether a text is a valid id. Ids appear in messages, in labels of metrics and in file names.
fn is_id(id: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    id.len() <= 100 && id.starts_with(|first: char| first.is_ascii_lowercase()) && id.split('-').all(word)
}

/// The last custom section with this name at the top level of a component. None if the bytes are not a component.
fn custom_section<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (mut parser, mut rest, mut found) = (Parser::new(0), bytes, None);
    loop {
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true).ok()? else { return None };
        rest = rest.get(consumed..)?;
        match payload {
            // Sections of nested modules and components do not belong to the bundle.
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                rest = rest.get(unchecked_range.len()..)?;
            }
            Payload::CustomSection(section) if section.name() == name => found = Some(section.data()),
            Payload::End(_) => return found,
            _ => {}
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{BUILTIN, Engine, Limits};
    use super::{Arc, Bundle, is_id, read_metadata, read_section};

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
        // The same with one more custom section.
        assert!(!same(&one, &[BUILTIN, &[0, 2, 1, b'x']].concat()));
    }

    #[test]
    fn ids_are_kebab_case() {
        for id in ["a", "missing-readiness-probe", "top-10"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "-a", "a-", "a--b", "Root", "a_b", "a b", "1st", "a\n", &"a".repeat(101)] {
            assert!(!is_id(id), "{id}");
        }
    }

    /// Values that would match nothing or forbid everything are rejected. The message names the policy and what to
    /// write.
    #[test]
    fn misspelt_words_are_refused() {
        let metadata = serde_json::to_value(read_metadata(BUILTIN).unwrap()).unwrap();
        assert!(read_section(metadata.to_string().as_bytes()).is_ok());
        for (pointer, wrong, says) in [
            ("/on/kinds", json!(["*"]), "look at every kind in the cluster: name the kinds"),
            ("/on/kinds", json!(["Service"]), "looks at \"Service\", which is no group/Kind"),
            (
                "/requires",
                json!(["Service"]),
                "requires \"Service\", which is no group/Kind: write apps/Deployment, or /Service",
            ),
            ("/requires", json!(["*"]), "requires \"*\", which is no group/Kind"),
            ("/refines", json!(["apps/v1/Deployment"]), "refines by \"apps/v1/Deployment\""),
            (
                "/category",
                json!("securty"),
                "\"securty\", which is no category: write one of probes, resources, security",
            ),
            ("/since", json!("0.1"), "since \"0.1\", which is no version: write one such as 0.1.0"),
            ("/edits", json!(["spec/replicas"]), "edit \"spec/replicas\", which no policy may: write a pointer"),
            ("/edits", json!(["/status/replicas"]), "edit \"/status/replicas\""),
        ] {
            let mut section = metadata.clone();
            *section.pointer_mut(&format!("/policies/0{pointer}")).unwrap() = wrong;
            let error = read_section(section.to_string().as_bytes()).unwrap_err().to_string();
            assert!(error.contains("missing-readiness-probe") && error.contains(says), "{says}: {error}");
        }
        let mut section = metadata;
        section["reads"]["/Service"] = json!(["spec/ports"]);
        let error = read_section(section.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains("reads \"spec/ports\" of /Service, which is no pointer"), "{error}");
    }
}
