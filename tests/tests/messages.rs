//! The text of denials, for each object of popular charts.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use plimsoll::admission::{Verdict, message};
use plimsoll::context::Context;
use plimsoll::context::files::{Files, Objects};
use plimsoll::engine::{Engine, Limits};
use plimsoll::judge::validate;
use plimsoll::model::Review;
use plimsoll::registry::{Options, Registry, read};
use plimsoll_tests::{corpus, named_policies};
use serde_json::Value;

/// `spec` of sets, each stricter than the one before.
const SPECS: [&str; 3] = [
    "{mode: enforce, profile: default}",
    "{mode: enforce, profile: strict, severities: [{name: error, action: Deny}]}",
    "{mode: enforce, profile: strict, severities: [{name: error, action: Deny}, {name: warning, action: Deny}, \
     {name: info, action: Deny}]}",
];

/// Parts of API paths, which no sentence of a message contains.
const PATHS: [&str; 4] = ["/spec", "spec.template", "containers[", "spec.containers"];

#[test]
fn refusals_of_popular_charts() -> Result<()> {
    let Some(corpus) = corpus() else { return Ok(()) };
    let engine = Engine::new(Limits::default()).map_err(|error| anyhow!("{error}"))?;
    for spec in SPECS {
        let set = format!(
            "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: set}}\nspec: {spec}\n"
        );
        let sets = read(&set, "sets.yaml").map_err(|problems| anyhow!("{problems:?}"))?;
        let registry = Registry::new(&engine, sets, Options::default()).map_err(|problems| anyhow!("{problems:?}"))?;
        let (mut charts, mut lengths) = (0, Vec::new());
        for entry in std::fs::read_dir(corpus.join("charts"))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            charts += 1;
            for (review, verdict) in refused(&registry, &path)? {
                let message = message::denial(&review, &verdict);
                check(&message, &verdict).with_context(|| format!("{}:\n{message}", path.display()))?;
                lengths.push(message.chars().count());
            }
        }
        ensure!(charts > 30, "the corpus has changed: {charts} charts");
        let (count, sum, most) = (lengths.len(), lengths.iter().sum::<usize>(), lengths.iter().max().unwrap_or(&0));
        println!("{spec}: {count} refusals of {} characters on average, {most} at most", sum / count.max(1));
    }
    Ok(())
}

fn check(message: &str, verdict: &Verdict) -> Result<()> {
    let length = message.chars().count();
    ensure!(length <= 1000, "{length} characters");
    let path = PATHS.into_iter().find(|path| message.contains(path));
    ensure!(path.is_none(), "the message has a path of the API: {path:?}");
    let last = message.lines().last().unwrap_or_default();
    ensure!(
        last.contains("More: plimsoll explain ") && last.contains("To be exempted, ask "),
        "how to go on is missing"
    );
    let named = named_policies(message);
    let is_named = |id: &str| named.contains(id) || message.contains(" further policies\n");
    ensure!(verdict.denying().all(|judged| is_named(&judged.policy.id)), "a policy that denies is missing");
    let bullets = message.lines().filter(|line| line.starts_with("• ")).count();
    ensure!(bullets > 0 && message.lines().count() == bullets + 2, "the message is no list");
    Ok(())
}

/// The denied objects of a chart, each reviewed beside all others.
fn refused(registry: &Registry, path: &Path) -> Result<Vec<(Arc<Review>, Verdict)>> {
    let text = std::fs::read_to_string(path)?;
    let documents: Vec<_> = plimsoll::yaml::read(&text).into_iter().filter_map(Result::ok).collect();
    let values: Vec<&Value> = documents.iter().map(|document| document.value()).filter(|it| it.is_object()).collect();
    let mut objects = Objects::new(registry.context_kinds(), Arc::clone(registry.workloads()));
    values.iter().for_each(|value| objects.add(value));
    let context: Arc<dyn Context> = Arc::new(Files::new(true, Arc::new(objects)));
    let mut refused = Vec::new();
    for value in values {
        let review = Arc::new(Review::from_object(value).context("the document is no object")?);
        let verdict = validate(registry, &review, &context, Instant::now() + Duration::from_secs(20));
        if !verdict.allowed() {
            refused.push((review, verdict));
        }
    }
    Ok(refused)
}
