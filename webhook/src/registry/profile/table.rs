//! What each profile says of each built-in policy.

/// A built-in policy, and what the profiles say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) on: On,
    pub(super) default: InDefault,
    pub(super) production: InProduction,
    pub(super) mutates: Mutates,
}

/// Where the policy is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum On {
    /// In every profile but `none`.
    Everywhere,
    /// In `strict`, or where a PolicySet lists it.
    Strict,
    /// Only where a PolicySet lists it.
    OptIn,
}

/// What the policy does in `default` and in `mutate`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InDefault {
    /// Errors deny, for this reason; warnings warn.
    Denies(Reason),
    /// Errors and warnings warn.
    Warns,
    /// Errors warn. Warnings, which tell what the manifest does not say, are recorded.
    Records,
}

/// Why a policy may deny in a cluster whose teams have not asked for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The API server, a controller, the scheduler or the kubelet refuses it, or the Pod never starts.
    CannotWork,
    /// A drain, an upgrade or a rollout never ends.
    BlocksOthers,
    /// An update, a scale or a switch leaves none of two or more Pods.
    TakesDown,
}

/// What the policy does in `production` and in `strict`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum InProduction {
    /// Errors deny, warnings warn.
    BySeverity,
    /// Errors and warnings deny.
    Denies,
}

/// Whether the webhook fills in what the policy finds missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mutates {
    /// Not unless a PolicySet says so.
    Never,
    /// In `mutate`.
    InMutate,
    /// In every profile: no container notices it, and the Pods are new anyway.
    Always,
}

use InDefault::{Denies, Records, Warns};
use Mutates::{Always, InMutate, Never};
use On::{Everywhere, OptIn, Strict};
use Reason::{BlocksOthers, CannotWork, TakesDown};

const BY_SEVERITY: InProduction = InProduction::BySeverity;
const DENIES: InProduction = InProduction::Denies;

/// One row for each policy, in the order of the built-in bundle.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("missing-readiness-probe",               Everywhere, Warns,                BY_SEVERITY, Never),
    row("identical-probes",                      Everywhere, Warns,                BY_SEVERITY, Never),
    row("excessive-memory-ratio",                Everywhere, Warns,                DENIES,      Never),
    row("missing-resource-requests",             Everywhere, Warns,                BY_SEVERITY, InMutate),
    row("missing-memory-limit",                  Everywhere, Records,              BY_SEVERITY, Never),
    row("missing-cpu-limit",                     OptIn,      Warns,                BY_SEVERITY, Never),
    row("evictable-under-pressure",              OptIn,      Warns,                BY_SEVERITY, Never),
    row("outside-limit-range",                   Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("runs-as-root",                          Everywhere, Records,              DENIES,      Always),
    row("root-against-non-root",                 Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("privilege-escalation",                  Everywhere, Records,              BY_SEVERITY, InMutate),
    row("missing-seccomp-profile",               Everywhere, Records,              BY_SEVERITY, InMutate),
    row("privileged-container",                  Everywhere, Warns,                BY_SEVERITY, Never),
    row("host-namespaces",                       Everywhere, Warns,                BY_SEVERITY, Never),
    row("host-path",                             Everywhere, Warns,                BY_SEVERITY, Never),
    row("host-port",                             Everywhere, Warns,                BY_SEVERITY, Never),
    row("dangerous-capabilities",                Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-without-capacity",              Everywhere, Denies(TakesDown),    BY_SEVERITY, InMutate),
    row("rollout-rounding-surprise",             Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-deadline-too-short",            Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("rollout-below-minimum",                 Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-without-deadline",              Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-without-history",               Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-by-recreate",                   Everywhere, Warns,                BY_SEVERITY, Never),
    row("paused-rollout",                        Everywhere, Warns,                BY_SEVERITY, Never),
    row("shutdown-cut-short",                    Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-without-readiness",             Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-without-min-ready",             Strict,     Warns,                BY_SEVERITY, Never),
    row("overlapping-workload-selectors",        Everywhere, Warns,                BY_SEVERITY, Never),
    row("selector-misses-own-pods",              Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("rollout-blocked-by-volume",             Everywhere, Denies(BlocksOthers), BY_SEVERITY, Never),
    row("volume-shared-by-replicas",             Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("rollout-blocked-by-host-port",          Everywhere, Warns,                BY_SEVERITY, Never),
    row("unsafe-daemon-set-update",              Everywhere, Denies(BlocksOthers), BY_SEVERITY, Never),
    row("excessive-rollout-surge",               Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-by-hand",                       Everywhere, Warns,                BY_SEVERITY, Never),
    row("immutable-field-changed",               Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("config-change-without-rollout",         OptIn,      Warns,                BY_SEVERITY, Never),
    row("duplicate-variable",                    Everywhere, Warns,                BY_SEVERITY, Never),
    row("shutdown-without-pre-stop",             Strict,     Warns,                BY_SEVERITY, Never),
    row("shell-for-sleep",                       Everywhere, Warns,                BY_SEVERITY, Never),
    row("unsupported-lifecycle-handler",         Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("excessive-grace-period",                OptIn,      Warns,                BY_SEVERITY, Never),
    row("signals-lost-in-shell",                 Strict,     Warns,                BY_SEVERITY, Never),
    row("careless-argo-rollout",                 Everywhere, Warns,                BY_SEVERITY, Never),
    row("missing-disruption-budget",             Everywhere, Warns,                DENIES,      Never),
    row("drain-deadlock",                        Everywhere, Denies(BlocksOthers), BY_SEVERITY, Never),
    row("overlapping-disruption-budgets",        Everywhere, Warns,                BY_SEVERITY, Never),
    row("dangling-disruption-budget",            Everywhere, Warns,                BY_SEVERITY, Never),
    row("shared-disruption-budget",              Everywhere, Warns,                BY_SEVERITY, Never),
    row("toothless-disruption-budget",           Everywhere, Warns,                BY_SEVERITY, Never),
    row("unhealthy-pods-block-drains",           Everywhere, Warns,                BY_SEVERITY, Never),
    row("disruption-budget-without-readiness",   Everywhere, Warns,                BY_SEVERITY, Never),
    row("rollout-below-disruption-budget",       Everywhere, Warns,                BY_SEVERITY, Never),
    row("invalid-disruption-budget",             Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("missing-spread",                        Everywhere, Warns,                BY_SEVERITY, Never),
    row("spread-selects-others",                 Everywhere, Warns,                BY_SEVERITY, Never),
    row("spread-counts-old-pods",                Everywhere, Warns,                BY_SEVERITY, Never),
    row("invalid-spread",                        Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("rollout-without-spare-node",            Everywhere, Denies(BlocksOthers), BY_SEVERITY, Never),
    row("single-replica",                        Strict,     Warns,                BY_SEVERITY, Never),
    row("undisruptable-pods",                    Strict,     Warns,                BY_SEVERITY, Never),
    row("missing-priority-class",                OptIn,      Warns,                BY_SEVERITY, Never),
    row("peak-over-quota",                       Everywhere, Warns,                BY_SEVERITY, Never),
    row("pod-larger-than-nodes",                 OptIn,      Warns,                BY_SEVERITY, Never),
    row("autoscaler-fights-replicas",            Everywhere, Warns,                BY_SEVERITY, Never),
    row("autoscaler-without-requests",           Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("autoscaler-without-room",               Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("autoscaler-down-to-one",                Everywhere, Warns,                BY_SEVERITY, Never),
    row("autoscaler-without-target",             Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("competing-autoscalers",                 Everywhere, Warns,                BY_SEVERITY, Never),
    row("flapping-autoscaler",                   Everywhere, Warns,                BY_SEVERITY, Never),
    row("unreachable-autoscaler-target",         Everywhere, Warns,                BY_SEVERITY, Never),
    row("invalid-autoscaler-behavior",           Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("autoscaler-down-to-zero",               Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("autoscaler-without-metric",             Everywhere, Warns,                BY_SEVERITY, Never),
    row("autoscaler-fights-vertical-autoscaler", Everywhere, Warns,                BY_SEVERITY, Never),
    row("autoscaler-without-readiness",          Strict,     Warns,                BY_SEVERITY, Never),
    row("unserved-kind",                         Everywhere, Denies(CannotWork),   BY_SEVERITY, Never),
    row("latest-image-tag",                      Everywhere, Warns,                BY_SEVERITY, Never),
    row("live-workload-removed",                 Everywhere, Denies(TakesDown),    BY_SEVERITY, Never),
    row("declared-twice",                        Everywhere, Warns,                BY_SEVERITY, Never),
];

const fn row(id: &'static str, on: On, default: InDefault, production: InProduction, mutates: Mutates) -> Row {
    Row { id, on, default, production, mutates }
}
