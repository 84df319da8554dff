#![cfg_attr(fuzzing, no_main)]

plimsoll_fuzz::target!(policy_sets);
