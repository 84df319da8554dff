//! Components that the SDK cannot make: a core module as text, which returns chosen bytes.

use std::collections::BTreeMap;

use plimsoll_sdk::metadata::{
    ABI, Bundle, FixClass, Judges, On, Policy, Profiles, SECTION, Severity, Stage, Workloads, no_defaults, no_settings,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

pub(crate) const WIT: &str = include_str!("../../../sdk/wit/plimsoll.wit");

/// Start of a module's data.
const BASE: u32 = 1024;

/// Sizes of the contract's records in memory.
const JUDGEMENT: usize = 32;
const FINDING: usize = 108;
const FIX: usize = 32;

/// A component with two policies, `hostile` and `well-behaved`. If `hostile` is among the calls, `body` runs: WAT that
/// leaves the address of a list of judgements.
pub(crate) fn component(memory: &Memory, body: &str) -> Vec<u8> {
    component_of(memory, "", body, &["hostile", "well-behaved"])
}

pub(crate) fn component_of(memory: &Memory, more: &str, body: &str, ids: &[&str]) -> Vec<u8> {
    let mut memory = memory.clone();
    let pairs: Vec<[u32; 2]> = ids.iter().map(|id| memory.bytes(id.as_bytes())).collect();
    let words: Vec<u32> = pairs.into_iter().flatten().collect();
    let list = memory.words(&words);
    let policies = memory.words(&[list, u32::try_from(ids.len()).unwrap()]);
    let none = memory.words(&[0, 0]);
    let good = memory.finding(&Finding::default());
    let good = memory.evaluated(0, good, 1);
    let good = memory.judgements(&[good]);
    encode(&module(&memory, more, body, [policies, none], good), WIT, &metadata(ids))
}

/// The core module: a bump allocator, the two exports, and imports and functions of `more`.
fn module(memory: &Memory, more: &str, body: &str, [policies, none]: [u32; 2], good: u32) -> String {
    let data: String = memory.0.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let realloc = r#"
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
          (local $at i32)
          (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
          (global.set $next (i32.add (local.get $at) (local.get 3)))
          (local.get $at))"#;
    let realloc = if more.contains("cabi_realloc") { "" } else { realloc };
    format!(
        r#"(module
        {more}
        (memory (export "memory") 160)
        (global $next (mut i32) (i32.const 262144))
        (data (i32.const {BASE}) "{data}")
        {realloc}
        (func (export "policies") (result i32) (i32.const {policies}))
        (func (export "check-settings") (param i32 i32 i32) (result i32) (i32.const {none}))
        (func (export "evaluate") (param i32 i32 i32 i32 i32) (param $calls i32) (param i32 i32 i32) (result i32)
          (if (i32.eqz (i32.load (local.get $calls))) (then {body} return))
          (i32.const {good})))"#
    )
}

/// Makes a component of a module with the types of `wit` and this metadata text.
pub(crate) fn encode(module: &str, wit: &str, metadata: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plimsoll.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("bundle")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut component = ComponentEncoder::default().module(&module).unwrap().encode().unwrap();
    append(&mut component, SECTION, metadata.as_bytes());
    component
}

/// A custom section at the end of a component.
pub(crate) fn append(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = vec![u8::try_from(name.len()).unwrap()];
    section.extend(name.as_bytes());
    section.extend(content);
    component.push(0);
    let mut rest = section.len();
    while rest >= 0x80 {
        component.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    component.push(u8::try_from(rest).unwrap());
    component.extend(section);
}

pub(crate) fn metadata(ids: &[&str]) -> String {
    let policy = |id: &&str| Policy {
        id: (*id).to_owned(),
        title: "A policy of the tests".to_owned(),
        documentation: String::new(),
        category: "manifest".to_owned(),
        severity: Severity::Error,
        since: "0.1.0".to_owned(),
        stage: Stage::Both,
        judges: Judges::State,
        on: On { workloads: Workloads::All, ..On::default() },
        requires: Vec::new(),
        refines: Vec::new(),
        edits: vec!["/spec/replicas".to_owned()],
        mutates: FixClass::Unsafe,
        profiles: Profiles::default(),
        settings_schema: no_settings(),
        settings_defaults: no_defaults(),
        checks_settings: false,
    };
    let policies = ids.iter().map(policy).collect();
    let (abi, version) = (ABI.to_owned(), "0.1.0".to_owned());
    let bundle = Bundle { abi, name: "raw".to_owned(), version, reads: BTreeMap::default(), policies };
    bundle.to_json().unwrap()
}

/// The contents of the guest's memory from [`BASE`].
#[derive(Clone, Default)]
pub(crate) struct Memory(Vec<u8>);

/// The parts of a finding that a test makes hostile.
pub(crate) struct Finding {
    pub(crate) severity: u8,
    pub(crate) pointer: Vec<u8>,
    pub(crate) message: Option<[u32; 2]>,
    /// Discriminant of the optional fix, and the list of edits.
    pub(crate) fix: Option<(u8, [u32; 2])>,
}

impl Default for Finding {
    fn default() -> Self {
        Self { severity: 2, pointer: b"/spec".to_vec(), message: None, fix: None }
    }
}

impl Memory {
    /// Stores the bytes. Returns their address and length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> [u32; 2] {
        while !self.0.len().is_multiple_of(8) {
            self.0.push(0);
        }
        let at = BASE + u32::try_from(self.0.len()).unwrap();
        self.0.extend(bytes);
        [at, u32::try_from(bytes.len()).unwrap()]
    }

    pub(crate) fn words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.bytes(&bytes)[0]
    }

    /// Stores a list of judgements. Returns its address, as `evaluate` does.
    pub(crate) fn judgements(&mut self, records: &[[u8; JUDGEMENT]]) -> u32 {
        let [at, _] = self.bytes(&records.concat());
        self.words(&[at, u32::try_from(records.len()).unwrap()])
    }

    /// A judgement with this number of findings at this address.
    pub(crate) fn evaluated(&mut self, call: u32, findings: u32, count: u32) -> [u8; JUDGEMENT] {
        record(&[(0, call), (12, findings), (16, count)])
    }

    /// A judgement that failed, with its reason.
    pub(crate) fn failed(&mut self, words: [u32; 2]) -> [u8; JUDGEMENT] {
        record(&[(4, 1), (8, words[0]), (12, words[1])])
    }

    /// Stores a finding. Returns its address.
    pub(crate) fn finding(&mut self, finding: &Finding) -> u32 {
        let bytes = self.finding_bytes(finding);
        self.bytes(&bytes)[0]
    }

    pub(crate) fn finding_bytes(&mut self, finding: &Finding) -> [u8; FINDING] {
        let pointer = self.bytes(&finding.pointer);
        let message = finding.message.unwrap_or_else(|| self.bytes(b"it is bad"));
        let mut bytes: [u8; FINDING] = record(&[(4, pointer[0]), (8, pointer[1]), (20, message[0]), (24, message[1])]);
        bytes[0] = finding.severity;
        if let Some((discriminant, edits)) = finding.fix {
            let fix: [u8; FIX] = record(&[(12, edits[0]), (16, edits[1])]);
            bytes[36] = discriminant;
            bytes[40..40 + FIX].copy_from_slice(&fix);
        }
        bytes
    }

    /// Stores a list with one edit. Returns its address and length.
    pub(crate) fn edit(&mut self, pointer: &[u8], value: [u32; 2]) -> [u32; 2] {
        let pointer = self.bytes(pointer);
        // `replace`, a pointer, and a document.
        [self.words(&[1, pointer[0], pointer[1], value[0], value[1]]), 1]
    }
}

/// Zeros, except for these words.
fn record<const N: usize>(words: &[(usize, u32)]) -> [u8; N] {
    let mut bytes = [0; N];
    for (at, word) in words {
        bytes[*at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
