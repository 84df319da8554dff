//! Objects with the defaults of the real API server.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::namespace::{account, default_account};
use crate::{ControlPlane, Kubectl};

/// Number of objects for one kubectl: its start costs 100 ms and more, an object 5 ms.
const BATCH: usize = 100;

impl ControlPlane {
    /// The object as the API server would store it (`kubectl create --dry-run=server`): with defaults, and not stored.
    /// The namespace of the object, and the service account of a Pod, are created first if missing.
    pub fn defaulted(&self, yaml: &str) -> Result<Value> {
        let mut all = self.defaulted_all(&[yaml])?;
        all.pop().context("no answer")?.map_err(|refusal| anyhow::anyhow!(refusal))
    }

    /// The same for many texts, each with one object. Answers keep the order. `Err` holds the reason of kubectl or of
    /// the API server for that object. An error while a webhook is registered, because the webhook could change the
    /// answer.
    pub fn defaulted_all<S: AsRef<str>>(&self, yamls: &[S]) -> Result<Vec<Result<Value, String>>> {
        if self.has_webhook.load(Ordering::SeqCst) {
            bail!(
                "what the API server makes of an object is asked of one without a webhook: start another control plane"
            );
        }
        let mut answers = Vec::with_capacity(yamls.len());
        for batch in yamls.chunks(BATCH) {
            let batch: Vec<_> = batch.iter().map(AsRef::as_ref).collect();
            // Texts that would shift the answers of a stream are answered here.
            let refusals: Vec<_> = batch.iter().map(|yaml| refusal(yaml)).collect();
            let good: Vec<_> =
                batch.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none()).map(|(&yaml, _)| yaml).collect();
            let mut given = create(&self.kubectl(), &good)?.into_iter();
            for refusal in refusals {
                answers.push(match refusal {
                    Some(refusal) => Err(refusal.to_owned()),
                    None => given.next().context("fewer answers than objects")?,
                });
            }
        }
        Ok(answers)
    }
}

fn refusal(yaml: &str) -> Option<&'static str> {
    let blank = |line: &str| line.trim().is_empty() || line.starts_with('#');
    let mut lines = yaml.lines().skip_while(|line| blank(line)).peekable();
    if lines.peek().is_some_and(|line| line.starts_with("---")) {
        lines.next();
    }
    let mut lines = lines.skip_while(|line| blank(line)).peekable();
    if lines.peek().is_none() {
        Some("no object")
    } else if lines.any(|line| line.starts_with("---")) {
        Some("more than one document")
    } else {
        None
    }
}

/// Creates all objects in one dry run. If one fails, halves the batch until that object is alone, because kubectl does
/// not name the failed object of a stream.
fn create(kubectl: &Kubectl, yamls: &[&str]) -> Result<Vec<Result<Value, String>>> {
    if yamls.is_empty() {
        return Ok(Vec::new());
    }
    // The stream begins with a separator, because kubectl reads a stream that begins with a brace as JSON to the end.
    let documents = yamls.iter().map(|yaml| format!("---\n{}\n", yaml.trim_end().trim_start_matches("---\n")));
    let stream: String = documents.collect();
    let ask = || kubectl.run(&["create", "--dry-run=server", "--output=json", "--filename=-"], Some(&stream));
    let mut output = ask()?;
    // A missing namespace can hide a missing service account in it.
    for _ in 0..2 {
        if output.status.success() || !make_missing(kubectl, &output.stderr)? {
            break;
        }
        output = ask()?;
    }
    let objects = serde_json::Deserializer::from_str(&output.stdout).into_iter().collect::<Result<Vec<Value>, _>>();
    let objects = objects.context("kubectl create gave no JSON")?;
    if output.status.success() && objects.len() == yamls.len() {
        return Ok(objects.into_iter().map(Ok).collect());
    }
    if let [_] = yamls {
        let stderr = output.stderr.trim().to_owned();
        return Ok(vec![Err(if stderr.is_empty() { format!("{} objects, not one", objects.len()) } else { stderr })]);
    }
    let (left, right) = yamls.split_at(yamls.len() / 2);
    let mut answers = create(kubectl, left)?;
    answers.extend(create(kubectl, right)?);
    Ok(answers)
}

/// Creates the namespaces and service accounts that the API server did not find. Returns whether there were any.
fn make_missing(kubectl: &Kubectl, stderr: &str) -> Result<bool> {
    let mut missing = BTreeSet::new();
    for line in stderr.lines() {
        if let Some(namespace) = between(line, "namespaces \"", "\" not found") {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            missing.insert(format!("{object}\n{}", default_account(namespace)));
        }
        if let Some((namespace, name)) =
            between(line, "error looking up service account ", ":").and_then(|path| path.split_once('/'))
        {
            missing.insert(account(namespace, name));
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    // Another test may have created the same object meanwhile. This is no problem: the dry run is repeated.
    kubectl.create(&missing.into_iter().collect::<Vec<_>>().join("\n"))?;
    Ok(true)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_document_is_taken() {
        assert_eq!(refusal("kind: Pod\n"), None);
        assert_eq!(refusal("# a comment\n---\nkind: Pod\ndata: |\n  ---\n"), None);
        assert_eq!(refusal("---\n# nothing\n"), Some("no object"));
        assert_eq!(refusal("kind: Pod\n---\nkind: Pod\n"), Some("more than one document"));
        assert_eq!(refusal("kind: Pod\n---\n"), Some("more than one document"));
    }
}
