//! Modes of sets and of namespaces: whether the webhook denies, warns and completes.

use anyhow::{Result, ensure};
use plimsoll_tests::{
    Case, ControlPlane, Manifest, Namespace, Options, Webhook, WebhookOptions, accepts, accepts_with_warnings, rejects,
};
use serde_json::{Value, json};

/// `spec` of the ClusterPolicySet, the resulting `failurePolicy`, and the modes of some namespaces by prefix.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const ROWS: &[Row] = &[
    (
        r#"{mode: enforce, profile: production, namespaceModes: [{names: ["sandbox-*"], mode: observe}, {names: ["wild-*"], mode: "off"}]}"#,
        "Fail",
        &[("shop", "enforce"), ("sandbox", "observe"), ("wild", "off")],
    ),
    ("{profile: production}", "Ignore", &[("shop", "observe")]),
    (
        r#"{mode: observe, profile: production, namespaceModes: [{names: ["prod-*"], mode: enforce}]}"#,
        "Fail",
        &[("shop", "observe"), ("prod", "enforce")],
    ),
    (r#"{mode: "off"}"#, "Ignore", &[("shop", "off")]),
    (
        r#"{mode: "off", profile: production, namespaceModes: [{names: ["prod-*"], mode: observe}]}"#,
        "Ignore",
        &[("shop", "off"), ("prod", "observe")],
    ),
];

#[test]
fn modes() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    for (spec, failure_policy, namespaces) in ROWS {
        let kind = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet";
        let config = format!("{kind}\nmetadata: {{name: set}}\nspec: {spec}\n");
        let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(&config))?;
        let registered = |kind: &str| control_plane.kubectl().get(kind, "plimsoll");
        let validating = registered("validatingwebhookconfiguration")?;
        assert_eq!(validating["webhooks"][0]["failurePolicy"], *failure_policy, "{spec}");
        // The mutating webhook never blocks a request.
        assert_eq!(registered("mutatingwebhookconfiguration")?["webhooks"][0]["failurePolicy"], "Ignore", "{spec}");
        for (prefix, mode) in *namespaces {
            let namespace = Namespace::new(&control_plane, prefix)?;
            namespace.run(&[case(spec, mode)])?;
            assert_eq!(completes(&namespace)?, *mode == "enforce", "{spec}, {prefix}");
        }
    }
    Ok(())
}

fn case(spec: &str, mode: &str) -> Case {
    let bad = Manifest::good("Deployment", "bad")
        .pod("/containers/0/image", json!("registry.example.com/shop:latest"))
        .pod("/containers/0/resources", json!({"requests": {"cpu": "100m"}}))
        .to_string();
    let broken = &["latest-image-tag", "missing-resource-requests"];
    match mode {
        "enforce" => rejects(spec, &bad, broken),
        "observe" => accepts_with_warnings(spec, &bad, broken),
        _ => accepts(spec, &bad),
    }
}

/// The last line of a denial is right: it offers an annotation only if the annotation silences the policy.
#[test]
fn how_to_go_on() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let latest = |name: &str| Manifest::good("Deployment", name).pod("/containers/0/image", json!("shop:latest"));
    let ignoring = |name: &str| {
        let ignores = json!({"plimsoll.dev/ignore.latest-image-tag": "the vendor publishes no other tag"});
        latest(name).with("/metadata/annotations", ignores).to_string()
    };
    let more = "More: plimsoll explain latest-image-tag.";
    let annotate = "To exempt it, annotate it with plimsoll.dev/ignore.latest-image-tag: \"the reason\".";
    let ask = "To be exempted, ask the operators of Plimsoll: the ClusterPolicySet set denies it.";
    for (spec, ending, is_ignored) in [
        ("{mode: enforce, profile: production}", format!("{more} {ask}"), false),
        ("{mode: enforce, profile: production, selfExempt: [image]}", format!("{more} {annotate}"), true),
        (
            "{mode: enforce, profile: production, contact: \"#platform on Slack\"}",
            format!("{more} To be exempted, ask: #platform on Slack"),
            false,
        ),
    ] {
        let kind = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet";
        let config = format!("{kind}\nmetadata: {{name: set}}\nspec: {spec}\n");
        let _webhook = Webhook::start(&control_plane, &WebhookOptions::with_config(&config))?;
        let namespace = Namespace::new(&control_plane, "going-on")?;
        let output = namespace.kubectl().apply(&latest("web").to_string())?;
        ensure!(output.stderr.trim_end().ends_with(&format!("\n{ending}")), "{spec}: {}", output.stderr);
        let chart = latest("chart").with("/metadata/labels", json!({"app.kubernetes.io/managed-by": "Helm"}));
        let output = namespace.kubectl().apply(&chart.to_string())?;
        let last = format!("\nHelm made it: make the change in the chart's values. {ending}");
        ensure!(output.stderr.trim_end().ends_with(&last), "{spec}: {}", output.stderr);
        let output = namespace.kubectl().apply(&ignoring("ignoring"))?;
        ensure!(output.status.success() == is_ignored, "{spec}: {}", output.stderr);
    }
    Ok(())
}

/// Whether the webhook fills in a default of profile `default`.
fn completes(namespace: &Namespace) -> Result<bool> {
    let kubectl = namespace.kubectl();
    let written = Manifest::good("Deployment", "web").pod("/securityContext/runAsNonRoot", Value::Null);
    kubectl.apply(&written.to_string())?.ok()?;
    let stored = kubectl.get("deployment", "web")?;
    Ok(stored["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] == true)
}
