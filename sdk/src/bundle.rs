//! A bundle: its list of policies, and the one call that evaluates them.

use std::cell::OnceCell;

use plimsoll_flat::Node;

use crate::findings::Findings;
use crate::guest::{Call, Knowledge, Outcome, Subject};
use crate::review::Review;

/// One policy as the `#[policy]` attribute writes it down.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Kebab-case; names the bad thing.
    pub id: &'static str,
    /// Reads the settings (empty: the defaults) and judges the review.
    pub evaluate: fn(&Review<'_>, &[u8], &mut Findings) -> Result<(), String>,
    /// What registries and tools read without running anything.
    #[cfg(not(target_arch = "wasm32"))]
    pub metadata: fn() -> crate::metadata::Policy,
}

/// What the host answered to a question of context.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The objects, each a flat document.
    pub documents: Vec<Vec<u8>>,
    /// False where the kind is not watched, the input is partial, or the list was cut.
    pub complete: bool,
}

impl Answer {
    /// The answer's objects.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.documents.iter().filter_map(|bytes| Node::root(bytes).ok())
    }
}

/// Whom a policy can ask. In a guest these are the component's imports.
pub trait Host {
    /// The object of this `group/Kind` and name in the review's namespace.
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer;
    /// Objects of this kind whose selector matches these labels.
    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer;
    /// Workloads of this kind whose pod template's labels this selector matches.
    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer;
    /// Objects of this kind that refer to the named one.
    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer;
    /// All objects of a kind of which there are few.
    fn listing(&self, subject: Subject, kind: &str) -> Answer;
    /// Whether the author wrote what is at this pointer.
    fn is_authored(&self, subject: Subject, pointer: &str) -> Knowledge;
    /// A line for the host's log.
    fn log(&self, message: &str);
}

/// Evaluates every call on one review. The view of a review (pod template, containers) is computed once and shared.
pub fn evaluate(
    policies: &[Policy],
    host: &dyn Host,
    environment: &[u8],
    review: &[u8],
    calls: &[Call],
) -> Vec<Result<Outcome, String>> {
    let (environment, request) = match (Node::root(environment), Node::root(review)) {
        (Ok(environment), Ok(request)) => (environment, request),
        (Err(error), _) => return failed(calls, &format!("the environment is no flat document: {error}")),
        (_, Err(error)) => return failed(calls, &format!("the review is no flat document: {error}")),
    };
    let views = [OnceCell::new(), OnceCell::new()];
    calls
        .iter()
        .map(|call| {
            let policy = policies
                .get(call.policy as usize)
                .ok_or_else(|| format!("this bundle has no policy number {}", call.policy))?;
            let slot = &views[matches!(call.subject, Subject::OldObject) as usize];
            let view = slot.get_or_init(|| Review::new(host, environment, request, call.subject));
            let mut findings = Findings::default();
            (policy.evaluate)(view, &call.settings, &mut findings)?;
            Ok(findings.into_outcome())
        })
        .collect()
}

fn failed(calls: &[Call], why: &str) -> Vec<Result<Outcome, String>> {
    calls.iter().map(|_| Err(why.to_owned())).collect()
}

/// Declares a crate's policies: one line, the module's name, for each. The module holds a function of the same name
/// with the `#[policy]` attribute. Exports the bundle where the crate is built for WebAssembly.
#[macro_export]
macro_rules! bundle {
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every policy of this bundle, in the order of the catalogue.
        pub const POLICIES: &[$crate::Policy] = &[$($module::POLICY),*];

        /// What the bundle says of itself, for its custom section.
        #[cfg(not(target_arch = "wasm32"))]
        pub fn metadata() -> $crate::metadata::Bundle {
            $crate::metadata::Bundle::new(POLICIES, env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exported functions of the canonical ABI")]
        mod component {
            struct Bundle;

            impl $crate::guest::Guest for Bundle {
                fn policies() -> Vec<String> {
                    super::POLICIES.iter().map(|policy| policy.id.to_owned()).collect()
                }

                fn evaluate(
                    environment: Vec<u8>,
                    review: Vec<u8>,
                    calls: Vec<$crate::guest::Call>,
                ) -> Vec<Result<$crate::guest::Outcome, String>> {
                    $crate::guest::forward_panics();
                    $crate::bundle::evaluate(super::POLICIES, &$crate::guest::Imports, &environment, &review, &calls)
                }
            }

            $crate::guest::export!(Bundle with_types_in $crate::guest);
        }
    };
}
