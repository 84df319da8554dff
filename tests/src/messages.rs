//! What kubectl shows of our answers.

use std::collections::BTreeSet;

/// The name of the validating webhook, which the API server puts into every denial.
pub const VALIDATING_WEBHOOK: &str = "validate.plimsoll.dev";

/// The policies that denied, by the bullets of the message (`• id  path: what → what to write`); `None` where it was
/// not our webhook that refused. Bullets marked `(warning)` are not denials.
pub fn denied_policies(stderr: &str) -> Option<BTreeSet<String>> {
    if !stderr.contains(&format!("admission webhook \"{VALIDATING_WEBHOOK}\" denied the request")) {
        return None;
    }
    let bullets = stderr.lines().filter_map(|line| line.trim().strip_prefix('•'));
    Some(bullets.filter(|bullet| !is_warning(bullet)).filter_map(leading_id).collect())
}

/// The policies that warned, by the lines `Warning: id  …` and by the bullets of a denial that are marked `(warning)`.
/// The API server's own warnings do not begin with a policy's id and are passed over.
pub fn warned_policies(stderr: &str) -> BTreeSet<String> {
    let warnings = stderr.lines().filter_map(|line| line.trim().strip_prefix("Warning:"));
    let bullets = stderr.lines().filter_map(|line| line.trim().strip_prefix('•')).filter(|bullet| is_warning(bullet));
    warnings.chain(bullets).filter_map(leading_id).collect()
}

fn is_warning(bullet: &str) -> bool {
    let bullet = bullet.trim();
    let after_id = bullet.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
    bullet.starts_with("(warning)") || after_id.starts_with("(warning)") || bullet.ends_with("(warning)")
}

/// The first word, if it is a policy's id: kebab-case of two parts at least.
fn leading_id(text: &str) -> Option<String> {
    let text = text.trim_start().trim_start_matches("(warning)").trim_start();
    let word = text.split(char::is_whitespace).next()?.trim_end_matches(':');
    let kebab = word.contains('-')
        && word.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
    kebab.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIAL: &str = "Warning: missing-limits  spec: no limit\n\
        Warning: spec.template.spec.containers[0].ports[1]: duplicate port name\n\
        Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"validate.plimsoll.dev\" \
        denied the request: 2 policies deny\n\
        • missing-readiness-probe  spec.template: no probe → write one\n\
        • latest-tag (warning)  spec.template: a tag\n\
        • no-replicas  spec.replicas: zero (warning)\n";

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn a_denial_is_read() {
        assert_eq!(denied_policies(DENIAL), Some(set(&["missing-readiness-probe"])));
        assert_eq!(warned_policies(DENIAL), set(&["latest-tag", "missing-limits", "no-replicas"]));
    }

    #[test]
    fn the_refusal_of_another_is_not_ours() {
        let other = DENIAL.replace("validate.plimsoll.dev", "validate.example.com");
        assert_eq!(denied_policies(&other), None);
        assert_eq!(denied_policies("Error from server (Invalid): • missing-probe"), None);
    }
}
