//! Policies with findings about missing objects, for tests of how a cluster treats such findings.

plimsoll_sdk::bundle![missing_config_map, missing_budget];
