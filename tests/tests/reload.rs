//! A changed configuration also changes the registration: the API server's behaviour while no webhook answers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use plimsoll_tests::{
    CONFIGURATION, ControlPlane, Manifest, Namespace, Options, Webhook, WebhookOptions, accepts_with_warnings, rejects,
};
use serde_json::json;

#[test]
fn registration_follows_the_configuration() -> Result<()> {
    let control_plane = ControlPlane::start(&Options::default())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policies.yaml");
    write(&file, "{mode: observe, profile: production}")?;
    let arguments = ["--config", &file.display().to_string(), "--reload-interval", "200ms"].map(str::to_owned).to_vec();
    let webhook = Webhook::start(&control_plane, &WebhookOptions { arguments, ..WebhookOptions::default() })?;
    let namespace = Namespace::new(&control_plane, "reload")?;
    let bad = Manifest::good("Deployment", "bad").pod("/containers/0/image", json!("registry.example.com/shop:latest"));
    let validating = || control_plane.kubectl().get("validatingwebhookconfiguration", CONFIGURATION);
    let policies = &["latest-image-tag"];
    assert_eq!(validating()?["webhooks"][0]["failurePolicy"], "Ignore");
    namespace.run(&[accepts_with_warnings("observed", &bad.to_string(), policies).dry_run()])?;

    write(&file, "{mode: enforce, profile: production}")?;
    until("the policy is Fail", || Ok(validating()?["webhooks"][0]["failurePolicy"] == "Fail"))?;
    namespace.run(&[rejects("enforced", &bad.to_string(), policies).dry_run()])?;

    // A wrong configuration changes nothing.
    write(&file, "{mode: shout}")?;
    until("the log has the mistake", || Ok(webhook.log().contains("the new configuration is rejected")))?;
    namespace.run(&[rejects("enforced still", &bad.to_string(), policies).dry_run()])?;

    write(&file, "{mode: observe, profile: production}")?;
    until("the policy is Ignore", || Ok(validating()?["webhooks"][0]["failurePolicy"] == "Ignore"))?;
    namespace.run(&[accepts_with_warnings("observed again", &bad.to_string(), policies).dry_run()])?;
    Ok(())
}

fn write(file: &Path, spec: &str) -> Result<()> {
    let head = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: set}";
    Ok(fs::write(file, format!("{head}\nspec: {spec}\n"))?)
}

fn until(what: &str, ask: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if ask()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!("timed out after 30 s: {what}")
}
