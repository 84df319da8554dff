//! Names of annotations and labels that Plimsoll reads. All of them begin with [`PREFIX`].

use crate::kind::Kind;

/// Prefix of the names that only Plimsoll gives a meaning.
pub const PREFIX: &str = "plimsoll.dev/";

/// Annotation of an object that must not be removed by mistake. Only the value `true` protects.
pub const PROTECT: &str = "plimsoll.dev/protect";

/// Kinds of Kubernetes and Argo, `group/Kind`, that [`PROTECT`] protects. It also protects the workload kinds that a
/// PolicySet adds.
pub const PROTECTABLE: [Kind<'static>; 7] = [
    Kind::REPLICATION_CONTROLLER,
    Kind::SERVICE,
    Kind::DAEMON_SET,
    Kind::DEPLOYMENT,
    Kind::REPLICA_SET,
    Kind::STATEFUL_SET,
    Kind::ROLLOUT,
];
