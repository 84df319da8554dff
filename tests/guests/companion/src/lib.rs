//! Policies that rest on the absence of another object, to test with what is done about such findings in a cluster.

plimsoll_sdk::bundle![missing_config_map, missing_budget];
