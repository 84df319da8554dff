//! What `#[policy]` refuses, as documentation tests. Each has one word wrong; with the right words it compiles.
//!
//! ```
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service", "apps/Deployment"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], refines = ["apps/Deployment"], edits = ["/spec/replicas", "{template}/spec/hostNetwork"],
//!     reads = [Workloads, "/Service/spec/ports"], profile = Strict, default = Deny(CannotWork), production = Deny,
//!     fills_in = Mutate, covers = ["some-check: not all of it"]
//! )]
//! pub fn right(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//!
//! let metadata = (POLICY.metadata)();
//! assert_eq!((metadata.id.as_str(), metadata.category.as_str()), ("right", "security"));
//! assert_eq!((POLICY.reads)().and_then(|reads| reads.of("/Service")), Some(vec!["/spec/ports"]));
//! ```
//!
//! Groups of kinds have the contents of the constants of the SDK:
//!
//! ```
//! use plimsoll_sdk::kind::{Autoscaler, Kind, LONG_RUNNING, SCALABLE};
//! use plimsoll_sdk::{monitors::MONITORS, rollout::ROLLING};
//!
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = [Scalable, "/Service"], severity = Error, since = "0.1.0",
//!     requires = [LongRunning, Autoscalers], refines = [Rolling, Monitors, Storage]
//! )]
//! pub fn right(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//!
//! let named = |kinds: &[&[Kind<'_>]]| kinds.concat().iter().map(|kind| kind.as_str().to_owned()).collect::<Vec<_>>();
//! let metadata = (POLICY.metadata)();
//! assert_eq!(metadata.on.kinds, named(&[&SCALABLE, &[Kind::SERVICE]]));
//! assert_eq!(metadata.requires, named(&[&LONG_RUNNING, &Autoscaler::ALL.map(Autoscaler::kind)]));
//! let storage = [Kind::PERSISTENT_VOLUME_CLAIM, Kind::PERSISTENT_VOLUME, Kind::STORAGE_CLASS];
//! assert_eq!(metadata.refines, named(&[&ROLLING, &MONITORS, &storage]));
//! assert_eq!(POLICY.declares.len(), metadata.requires.len() + metadata.refines.len());
//! ```
//!
//! A group that does not exist, in place of `Scalable`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = [Scaleable], severity = Error, since = "0.1.0"
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A kind that a group contains already:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = [Scalable, "apps/Deployment"], severity = Error, since = "0.1.0"
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A bound that the type of a setting does not take:
//!
//! ```compile_fail
//! /// Settings.
//! #[derive(plimsoll_sdk::Settings)]
//! pub struct Wrong {
//!     /// A text.
//!     #[settings(default = "a", minimum = 1)]
//!     text: String,
//! }
//! ```
//!
//! A setting without a default, of a type that has none of its own:
//!
//! ```compile_fail
//! /// Settings.
//! #[derive(plimsoll_sdk::Settings)]
//! pub struct Wrong {
//!     /// A text.
//!     text: String,
//! }
//! ```
//!
//! A category that is none, in place of `security`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "securty", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A policy that states no category, in a module that is the folder of none:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0", requires = ["/Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! Every kind, for the webhook too; it takes `stage = Source`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["*"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A kind without its group, in place of `/Service`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! The same of what it requires:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! Every kind can't be required:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["*"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A version of an API in a kind, in place of `apps/Deployment`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], refines = ["apps/v1/Deployment"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! No version, in place of `0.1.0`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1",
//!     requires = ["/Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! No pointer, in place of `/spec/replicas`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], edits = ["spec/replicas"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! The status, which no policy edits:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], edits = ["/status/replicas"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A severity that is none, in place of `Error`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Fatal, since = "0.1.0",
//!     requires = ["/Service"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A profile that is none, in place of `Strict`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], profile = Strikt
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! An action that is none in `default`, in place of `Warn`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], default = Dney
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A reason that is none, in place of `CannotWork`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], default = Deny(CantWork)
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A group of `reads` that is none, in place of `Services`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], reads = [Servces]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A kind that is required, and of which `reads` says nothing:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], reads = [Workloads]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! A kind that is read, and that nothing asks for:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], reads = [Services, "/Secret/data"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
//!
//! What is read is no pointer, in place of `/Service/spec/ports`:
//!
//! ```compile_fail
//! /// A policy.
//! #[plimsoll_sdk::policy(
//!     category = "security", on = Kinds, kinds = ["/Service"], severity = Error, since = "0.1.0",
//!     requires = ["/Service"], reads = ["/Service/spec//ports"]
//! )]
//! pub fn wrong(_: &plimsoll_sdk::Review, _: &mut plimsoll_sdk::Findings) {}
//! ```
