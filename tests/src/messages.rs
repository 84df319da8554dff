//! Reads what kubectl prints of our answers.

use std::collections::BTreeSet;

use serde_json::Value;

/// Name of the validating webhook. The API server puts it into every denial.
pub const VALIDATING_WEBHOOK: &str = "validate.plimsoll.dev";

/// The policies that denied. They are read from the bullets of the message (`• id: what → what to write`), and from the
/// last bullet, which only names policies (`• 5 more: id, id (4)`). `None` if another webhook or the API server refused
/// the object.
pub fn denied_policies(stderr: &str) -> Option<BTreeSet<String>> {
    let is_ours = stderr.contains(&format!("admission webhook \"{VALIDATING_WEBHOOK}\" denied the request"));
    is_ours.then(|| named_policies(stderr))
}

/// The policies that the bullets of a message name.
pub fn named_policies(message: &str) -> BTreeSet<String> {
    let bullets = message.lines().filter_map(|line| line.trim().strip_prefix('•'));
    bullets.flat_map(|bullet| left_out(bullet).unwrap_or_else(|| leading_id(bullet).into_iter().collect())).collect()
}

/// The policies that warned, read from the lines `Warning: id: …`. The API server's own warnings do not begin with the
/// id of a policy, and are skipped.
pub fn warned_policies(stderr: &str) -> BTreeSet<String> {
    stderr.lines().filter_map(|line| line.trim().strip_prefix("Warning:")).filter_map(leading_id).collect()
}

/// The causes of a denial, for programs: policy, path and message. kubectl logs the whole answer with `-v=4`.
pub fn causes(stderr: &str) -> Option<Vec<[String; 3]>> {
    let (_, logged) = stderr.split_once("server response object: ")?;
    // The log has a list with one item.
    let list = logged.get(logged.find('[')?..)?;
    let status = serde_json::Deserializer::from_str(list).into_iter::<Value>().next()?.ok()?[0].take();
    let causes = status["details"]["causes"].as_array()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(causes.iter().map(|cause| ["reason", "field", "message"].map(|name| text(&cause[name]))).collect())
}

/// The policies of the bullet that counts the remaining ones.
fn left_out(bullet: &str) -> Option<Vec<String>> {
    let (count, ids) = bullet.trim_start().split_once(" more: ")?;
    count.parse::<usize>().ok()?;
    Some(ids.split(", ").filter_map(leading_id).collect())
}

/// The first word, if it is the id of a policy: kebab-case with at least two parts.
fn leading_id(text: &str) -> Option<String> {
    let word = text.split_whitespace().next()?.trim_end_matches(':');
    let kebab = word.contains('-')
        && word.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
    kebab.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIAL: &str = "Warning: missing-limits: spec: no limit\n\
        Warning: spec.template.spec.containers[0].ports[1]: duplicate port name\n\
        Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"validate.plimsoll.dev\" \
        denied the request: Deployment web is refused, for 6 reasons:\n\
        • missing-readiness-probe: no probe → write one\n\
        • 5 more: latest-tag, no-replicas (3) and 2 further policies\n\
        More: plimsoll explain missing-readiness-probe.\n";

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn a_denial_is_read() {
        let denied = ["missing-readiness-probe", "latest-tag", "no-replicas"];
        assert_eq!(denied_policies(DENIAL), Some(set(&denied)));
        assert_eq!(warned_policies(DENIAL), set(&["missing-limits"]));
        assert_eq!(causes(DENIAL), None);
        let log = "I1 server response object: [{\"details\": {\"causes\": [{\"reason\": \"a-b\", \"field\": \"spec\", \
                   \"message\": \"bad\"}]}}]\nError";
        assert_eq!(causes(log), Some(vec![["a-b", "spec", "bad"].map(str::to_owned)]));
    }

    #[test]
    fn the_refusal_of_another_is_not_ours() {
        let other = DENIAL.replace("validate.plimsoll.dev", "validate.example.com");
        assert_eq!(denied_policies(&other), None);
        assert_eq!(denied_policies("Error from server (Invalid): • missing-probe"), None);
    }
}
