//! The policies built into Plimsoll: one file each, one line each here, in the order of the catalogue.

plimsoll_sdk::bundle![
    missing_readiness_probe,
    identical_probes,
    excessive_memory_ratio,
    missing_resource_requests,
    runs_as_root,
    privilege_escalation,
    missing_seccomp_profile,
    rollout_without_capacity,
    rollout_rounding_surprise,
    rollout_deadline_too_short,
    rollout_below_minimum,
    missing_disruption_budget,
    drain_deadlock,
    overlapping_disruption_budgets,
    dangling_disruption_budget,
    autoscaler_fights_replicas,
    autoscaler_without_requests,
    autoscaler_without_room,
    latest_image_tag,
    live_workload_removed,
];
