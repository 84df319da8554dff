//! Annotations and labels with a name of Plimsoll's, or with a similar name.

use anyhow::{Result, ensure};
use plimsoll_tests::Manifest;
use serde_json::{Map, Value, json};

use crate::By::{ApiServer, Policy};
use crate::stage::{LATEST, Said, Theme, bad};
use crate::{Control, Tries, Try};

const PROTECT: &str = "plimsoll.dev/protect";

pub(crate) const TRIES: Tries = Tries {
    theme: "Names of Plimsoll's",
    tries: &[
        Try {
            name: "ignore-as-a-label",
            exploits: "a label with the name of the annotation that ignores a policy",
            by: Policy(&[LATEST]),
            run: |it| {
                let labels = json!({"app": "label", "plimsoll.dev/ignore.latest-image-tag": "vendored"});
                it.create(bad("Deployment", "label").with("/metadata/labels", labels))
            },
        },
        Try {
            name: "ignore-in-the-template",
            exploits: "the annotation in the Pod template, from where the Pods get it",
            by: Policy(&[LATEST]),
            run: |it| {
                let ignore = json!({"plimsoll.dev/ignore.latest-image-tag": "the vendor publishes nothing else"});
                it.create(bad("Deployment", "template").with("/spec/template/metadata/annotations", ignore))
            },
        },
        Try {
            name: "ignore-of-everything",
            exploits: "names that seem to ignore every policy",
            by: Policy(&[LATEST]),
            run: |it| {
                let names = ["ignore", "ignore.all", "exempt", "skip", "mode", "enabled"];
                let annotations: Map<String, Value> =
                    names.iter().map(|name| (format!("plimsoll.dev/{name}"), json!("off"))).collect();
                it.create(bad("Deployment", "everything").with("/metadata/annotations", Value::Object(annotations)))
            },
        },
        Try {
            name: "names-by-the-thousand",
            exploits: "5,000 unknown names, so that the messages about them hide everything else",
            by: Policy(&[LATEST]),
            run: |it| {
                let names: Map<String, Value> =
                    (0..5_000).map(|number| (format!("plimsoll.dev/x{number}"), json!("x"))).collect();
                let said =
                    it.create(bad("Deployment", "thousands").with("/metadata/annotations", Value::Object(names)))?;
                ensure!(said.text.matches("is no name that Plimsoll knows").count() <= 10, "{}", said.text);
                Ok(said)
            },
        },
        Try {
            name: "protection-that-is-no-text",
            exploits: "`plimsoll.dev/protect: true` without quotes, which would protect nothing",
            by: ApiServer("cannot unmarshal bool"),
            run: |it| it.create(protected("unquoted", &json!(true))),
        },
        Try {
            name: "protection-turned-to-false",
            exploits: "`protect: \"false\"` and no replicas in one patch",
            by: Policy(&["live-workload-removed"]),
            run: |it| {
                let said = it.create(protected("false", &json!("true")))?;
                ensure!(said.admitted, "{}", said.text);
                let patch = json!({"metadata": {"annotations": {PROTECT: "false"}}, "spec": {"replicas": 0}});
                it.patch(&it.at("Deployment", "false"), "merge", &patch)
            },
        },
        Try {
            name: "protection-moved-to-a-label",
            exploits: "the protection as a label instead, and no replicas, in one patch",
            by: Policy(&["live-workload-removed"]),
            run: |it| {
                let said = it.create(protected("moved", &json!("true")))?;
                ensure!(said.admitted, "{}", said.text);
                let metadata = json!({"annotations": {PROTECT: null}, "labels": {PROTECT: "true"}});
                let patch = json!({"metadata": metadata, "spec": {"replicas": 0}});
                it.patch(&it.at("Deployment", "moved"), "merge", &patch)
            },
        },
    ],
    controls: &[
        Control { name: "protected", run: |it| warns(it, "quoted", PROTECT, "true", None) },
        Control { name: "not-protected", run: |it| warns(it, "unprotected", PROTECT, "false", None) },
        Control {
            name: "protected-by-yes",
            run: |it| {
                warns(
                    it,
                    "yes",
                    PROTECT,
                    "yes",
                    Some("plimsoll.dev/protect protects nothing with this value; write \"true\""),
                )
            },
        },
        Control {
            name: "protected-by-capitals",
            run: |it| warns(it, "capitals", "Plimsoll.dev/protect", "true", Some("did you mean plimsoll.dev/protect?")),
        },
        Control {
            name: "misspelled",
            run: |it| {
                warns(it, "misspelled", "plimsoll.dev/protects", "true", Some("did you mean plimsoll.dev/protect?"))
            },
        },
        Control {
            name: "ignore-without-a-reason",
            run: |it| {
                let words = "plimsoll.dev/ignore.single-replica has no reason, so it counts for nothing";
                warns(it, "no-reason", "plimsoll.dev/ignore.single-replica", " ", Some(words))
            },
        },
    ],
};

fn protected(name: &str, value: &Value) -> Manifest {
    Manifest::good("Deployment", name).with("/metadata/annotations", json!({PROTECT: value}))
}

/// Applied with kubectl, which prints warnings. The answer contains this text, or no text about the name.
fn warns(it: &Theme, name: &str, annotation: &str, value: &str, words: Option<&str>) -> Result<Said> {
    let object = Manifest::good("Deployment", name).with("/metadata/annotations", json!({annotation: value}));
    let output = it.kubectl().apply(&object.to_string())?;
    let warnings: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("Warning: ")).collect();
    let about: Vec<&&str> = warnings.iter().filter(|line| line.to_lowercase().contains("plimsoll.dev/")).collect();
    match words {
        Some(words) => ensure!(about.iter().any(|line| line.contains(words)), "{annotation}: {}", output.stderr),
        None => ensure!(about.is_empty(), "{annotation}: {}", output.stderr),
    }
    Ok(output.into())
}
