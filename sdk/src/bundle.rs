//! A bundle: its list of policies, and the one call that evaluates them.

use std::rc::Rc;

use plimsoll_flat::Node;

use crate::disruption::name;
use crate::findings::Findings;
use crate::guest::{Judgement, Knowledge, Setting, SettingFault, Subject};
use crate::review::Review;

/// One policy as the `#[policy]` attribute writes it down.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Kebab-case; names the bad thing.
    pub id: &'static str,
    /// Reads the settings (empty: the defaults) and judges the review.
    pub evaluate: fn(&Review<'_>, &[u8], &mut Findings) -> Result<(), String>,
    /// Kinds (`group/Kind`) of other objects that it may ask for: those that it requires, and those that refine it.
    pub declares: &'static [&'static str],
    /// Finds errors in settings that their schema can't express.
    pub check_settings: fn(&[u8]) -> Vec<SettingFault>,
    /// What registries and tools read without running anything.
    #[cfg(not(target_arch = "wasm32"))]
    pub metadata: fn() -> crate::metadata::Policy,
    /// What it reads of other objects; none: everything.
    #[cfg(not(target_arch = "wasm32"))]
    pub reads: fn() -> Option<crate::reads::Reads>,
    /// The rows of `docs/checks.md` that it covers: `check`, or `check: what is narrower`.
    #[cfg(not(target_arch = "wasm32"))]
    pub covers: &'static [&'static str],
}

/// Runs a policy by its number in the bundle.
pub type RunPolicy = fn(u32, &Review<'_>, &[u8], &mut Findings) -> Result<(), String>;

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

    /// The same without the object of this name.
    pub(crate) fn without(self: &Rc<Self>, own: &str) -> Rc<Self> {
        let is_other = |document: &&Vec<u8>| Node::root(document).is_ok_and(|object| name(object) != own);
        if self.documents.iter().all(|document| is_other(&document)) {
            return Rc::clone(self);
        }
        let documents = self.documents.iter().filter(is_other).cloned().collect();
        Rc::new(Self { documents, complete: self.complete })
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

/// Evaluates policies on one version of the reviewed object. The view of a review (pod template, containers) is
/// computed once and shared. `run` is the bundle's `run_policy`. A call without a judgement found nothing.
pub fn evaluate(
    run: RunPolicy,
    host: &dyn Host,
    (environment, review): (&[u8], &[u8]),
    subject: Subject,
    calls: &[u32],
    settings: &[Setting],
) -> Vec<Judgement> {
    let judgement = |call: usize, outcome| Judgement { call: u32::try_from(call).unwrap_or(u32::MAX), outcome };
    let (environment, request) = match (Node::root(environment), Node::root(review)) {
        (Ok(environment), Ok(request)) => (environment, request),
        (Err(error), _) | (_, Err(error)) => {
            let why = format!("the environment or the review is no flat document: {error}");
            return (0..calls.len()).map(|call| judgement(call, Err(why.clone()))).collect();
        }
    };
    let mut view = Review::new(host, environment, request, subject);
    let mut judgements = Vec::new();
    for (call, &policy) in calls.iter().enumerate() {
        let setting = settings.iter().find(|setting| setting.call as usize == call);
        let mut findings = Findings::default();
        let run = run(policy, &view, setting.map_or(&[], |setting| setting.value.as_slice()), &mut findings);
        match run {
            Ok(()) if findings.is_empty() => {}
            run => judgements.push(judgement(call, run.map(|()| findings.into_outcome()))),
        }
        if view.is_spoilt() {
            view = Review::new(host, environment, request, subject);
        }
    }
    judgements
}

/// Evaluates one policy natively, for [`crate::testing`].
///
/// # Errors
/// If the policy fails.
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub(crate) fn evaluate_one(
    policy: &Policy,
    host: &dyn Host,
    (environment, review): (&[u8], &[u8]),
    subject: Subject,
    settings: &[u8],
) -> Result<crate::guest::Outcome, String> {
    let read = |document| Node::root(document).map_err(|error| error.to_string());
    let (review, mut findings) = (Review::new(host, read(environment)?, read(review)?, subject), Findings::default());
    review.begin(policy.declares);
    (policy.evaluate)(&review, settings, &mut findings)?;
    review.end()?;
    Ok(findings.into_outcome())
}

/// Declares a crate's policies by their constants: for policies that a macro makes. [`bundle!`](crate::bundle!) is what authors use.
#[macro_export]
macro_rules! export_policies {
    ($($policy:expr),* $(,)?) => {
        /// Every policy of this bundle, in the order of the lines of `bundle!`.
        pub const POLICIES: &[$crate::Policy] = &[$($policy),*];

        /// Runs the policy of this number. Every call is a direct one: pointers to functions are costly in a fresh
        /// instance, whose table is filled one entry at a time.
        pub fn run_policy(
            number: u32,
            review: &$crate::Review<'_>,
            settings: &[u8],
            findings: &mut $crate::Findings,
        ) -> Result<(), String> {
            let mut left = number;
            $(
                if left == 0 {
                    review.begin($policy.declares);
                    let outcome = ($policy.evaluate)(review, settings, findings);
                    return outcome.and(review.end());
                }
                left -= 1;
            )*
            let _ = left;
            Err(format!("this bundle has no policy number {number}"))
        }

        /// Finds errors in the settings of the policy of this number.
        pub fn check_settings(number: u32, settings: &[u8]) -> Vec<$crate::guest::SettingFault> {
            let mut left = number;
            $(
                if left == 0 {
                    return ($policy.check_settings)(settings);
                }
                left -= 1;
            )*
            let _ = (left, settings);
            Vec::new()
        }

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

                fn check_settings(policy: u32, settings: Vec<u8>) -> Vec<$crate::guest::SettingFault> {
                    $crate::guest::forward_panics();
                    super::check_settings(policy, &settings)
                }

                fn evaluate(
                    environment: Vec<u8>,
                    review: Vec<u8>,
                    subject: $crate::guest::Subject,
                    calls: Vec<u32>,
                    settings: Vec<$crate::guest::Setting>,
                ) -> Vec<$crate::guest::Judgement> {
                    $crate::guest::forward_panics();
                    let documents = (environment.as_slice(), review.as_slice());
                    let host = &$crate::guest::Imports;
                    $crate::bundle::evaluate(super::run_policy, host, documents, subject, &calls, &settings)
                }
            }

            $crate::guest::export!(Bundle with_types_in $crate::guest);
        }
    };
}
