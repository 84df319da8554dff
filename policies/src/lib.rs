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
    latest_image_tag,
    live_workload_removed,
];
