//! Rolling updates that leave no Pod: severity, help and fix.

use plimsoll_sdk::prelude::*;
use plimsoll_sdk::rollout::{Rollout, is_in_place, is_served, own_domains, revision_label};
use plimsoll_sdk::sharing::others;
use plimsoll_sdk::volumes::claims;

/// Reports an update that leaves none of this number of Pods. `worst` is the severity if a Service selects the Pods.
pub(crate) fn no_capacity(
    review: &Review<'_>,
    rollout: &Rollout<'_>,
    pods: i64,
    (worst, message): (Severity, String),
    is_scale_known: bool,
    findings: &mut Findings,
) {
    let served = is_served(review);
    if served == Knowledge::Unknown {
        findings.assume("some Service selects these Pods");
    }
    if !is_scale_known && served != Knowledge::No {
        findings.assume("no autoscaler scales this workload");
    }
    // Pods of another workload answer in the meantime.
    let beside = if served == Knowledge::Yes { others(review) } else { None };
    let (severity, message) = match (served, beside) {
        (Knowledge::No, _) => (Severity::Info, format!("{message}; no Service selects these Pods")),
        (_, Some(other)) => (Severity::Info, format!("{message}; the Service still has the Pods of {other}")),
        (Knowledge::Yes, None) if is_scale_known => (worst, message),
        _ => (Severity::Warning, message),
    };
    let (surge_at, unavailable_at) = (&rollout.max_surge_at, &rollout.max_unavailable_at);
    let write =
        |fix: Fix, at: &Cursor<'_>, value: i64| if at.exists() { fix.replace(at, value) } else { fix.add(at, value) };
    let mut finding = |help: &str, fix: Option<Fix>| {
        let finding = findings.report(severity, unavailable_at, message.as_str(), help);
        // The number of replicas is not part of the finding: no number of Pods leaves any.
        finding.about(surge_at);
        if let Some(fix) = fix {
            finding.fix(fix);
        }
    };
    let has_surge = !matches!(rollout.max_surge, IntOrPercent::Int(0) | IntOrPercent::Percent(0));
    // With a surge the new Pod would wait for the place of the old Pod, and the old Pod for the new one.
    let mounts = pods == 1 && review.template().is_some_and(|template| claims(template).next().is_some());
    if mounts || is_in_place(review) {
        let help = match own_domains(review).next().and(revision_label(review)) {
            _ if pods > 1 => {
                "write maxUnavailable: 1 and maxSurge: 0, because a new Pod waits for the place of an old one"
                    .to_owned()
            }
            _ if mounts => {
                "keep these values if an interruption does no harm; else write maxUnavailable: 0 and maxSurge: 1, if \
                 several nodes can mount the volume at once"
                    .to_owned()
            }
            Some(label) => format!(
                "keep these values if an interruption does no harm; else write matchLabelKeys: [{label}] in the \
                 podAntiAffinity, maxUnavailable: 0 and maxSurge: 1"
            ),
            None => {
                "keep these values if an interruption does no harm; else remove hostPort or hostNetwork, and write \
                     maxUnavailable: 0 and maxSurge: 1"
                    .to_owned()
            }
        };
        let fix = match has_surge {
            true => {
                let fix = Fix::changing("Set maxUnavailable to 1 and maxSurge to 0");
                write(write(fix, unavailable_at, 1), surge_at, 0)
            }
            false => write(Fix::changing("Set maxUnavailable to 1"), unavailable_at, 1),
        };
        return finding(&help, (pods > 1).then_some(fix));
    }
    let fix = match has_surge {
        true => write(Fix::changing("Set maxUnavailable to 0"), unavailable_at, 0),
        false => {
            let fix = Fix::changing("Set maxUnavailable to 0 and maxSurge to 1");
            write(write(fix, unavailable_at, 0), surge_at, 1)
        }
    };
    finding("write maxUnavailable: 0 and maxSurge: 1, so that a new Pod is ready before an old one stops", Some(fix));
}
