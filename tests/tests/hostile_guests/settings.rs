//! Settings of every shape, checks of settings that are hostile, and questions about kinds that a policy does not declare.

use std::time::{Duration, Instant};

use plimsoll::registry::{ConfigError, Options, Registry, read};
use plimsoll_sdk::metadata;

use super::bundle::{HOSTILE, engine, judged, registry};

/// The problems of a PolicySet with these settings, and how long the load took.
fn problems(settings: &str) -> (Vec<String>, Duration) {
    let set = format!(
        "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: set}}\nspec:\n  profile: none\n  \
         policies:\n  - id: odd-settings\n    settings: {settings}\n"
    );
    let started = Instant::now();
    let loaded = Registry::with_bundle(&engine(), &HOSTILE, read(&set, "set.yaml").unwrap(), Options::default());
    let problems = loaded.err().unwrap_or_default();
    (problems.iter().map(ConfigError::to_string).collect(), started.elapsed())
}

#[test]
fn settings_are_checked_when_a_policy_set_is_loaded() {
    let prefix = "settings of `odd-settings`:";
    for (settings, expected) in [
        ("{}", vec![]),
        ("{words: [B, C], limits: {a: {least: 2}}, other: {most: 5}, contact: shop, conduct: Fine}", vec![]),
        ("{contact: null, other: {least: null}}", vec![]),
        // Found by the schema.
        (
            "{words: [b]}",
            vec![format!("set.yaml:8:24: {prefix} `words[0]` must be a string that matches `^[A-Z]+$`, not \"b\"")],
        ),
        (
            "{other: {leest: 2}}",
            vec![format!("set.yaml:8:24: {prefix} unknown setting `leest`; did you mean `least`?")],
        ),
        (
            "{limits: {a: {least: 0}}}",
            vec![format!(
                "set.yaml:8:36: {prefix} `limits.a.least` must be a whole number of at least 1, not the number 0; the \
                 default is 1"
            )],
        ),
        (
            "{conduct: Odd}",
            vec![format!(
                "set.yaml:8:25: {prefix} `conduct` must be one of \"Fine\", \"Loop\", \"Panic\", \"Nowhere\", \
                 \"too-much\", not \"Odd\"; the default is \"Fine\""
            )],
        ),
        // Found by the policy.
        (
            "{limits: {a: {least: 20}, b: {least: 2}}, other: {least: 11}}",
            vec![
                format!("set.yaml:8:36: {prefix} `limits.a.least`: must be at most 10, the value of `most`"),
                format!("set.yaml:8:72: {prefix} `other.least`: must be at most 10, the value of `most`"),
            ],
        ),
        (
            "{conduct: Nowhere}",
            vec![
                format!("set.yaml:8:15: {prefix} `no.such.place`: is  [2J odd"),
                format!("set.yaml:8:15: {prefix} is odd"),
            ],
        ),
    ] {
        assert_eq!(problems(settings).0, expected, "{settings}");
    }
}

#[test]
fn a_hostile_check_ends_in_time() {
    let (found, took) = problems("{conduct: Loop}");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("the check of the policy failed: "), "{found:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let (found, _) = problems("{conduct: Panic}");
    assert!(found[0].contains("the settings are odd"), "{found:?}");
    assert_eq!(problems("{conduct: too-much}").0.len(), 256);
}

/// The schema says all that the author wrote, so that `plimsoll policy inspect` can show it.
#[test]
fn the_schema_of_settings_of_every_shape() {
    let bundle = plimsoll_hostile::metadata();
    let policy = bundle.policies.iter().find(|policy| policy.id == "odd-settings").unwrap();
    let metadata::Policy { settings_schema: schema, settings_defaults: defaults, checks_settings, .. } = policy;
    assert!(checks_settings);
    let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/properties/words/items/pattern"), "^[A-Z]+$");
    assert_eq!(at("/properties/words/maxItems"), 3);
    assert_eq!(at("/properties/limits/additionalProperties/properties/most/maximum"), 1000);
    assert_eq!(at("/properties/other/additionalProperties"), false);
    assert_eq!(at("/properties/conduct/enumDescriptions/4"), "It finds ten thousand errors.");
    assert_eq!(
        *defaults,
        serde_json::json!({"conduct": "Fine", "words": ["A"], "limits": {}, "other": {"least": 1, "most": 10}})
    );
}

/// The verdict must not depend on the other policies of the batch.
#[test]
fn a_policy_that_asks_for_an_undeclared_kind_fails_and_names_it() {
    let registry = registry(&engine(), &HOSTILE, &["well-behaved", "asks-undeclared", "last-and-well-behaved"]);
    let (verdict, _) = judged(&registry, Duration::from_secs(2));
    let failed: Vec<String> = verdict.failed.iter().map(|failed| failed.failure.to_string()).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    for word in ["/LimitRange", "requires", "refines"] {
        assert!(failed[0].contains(word), "{failed:?}");
    }
    assert_eq!(verdict.failed[0].policy.metadata.id, "asks-undeclared");
    assert_eq!(verdict.judged.len(), 2);
}
