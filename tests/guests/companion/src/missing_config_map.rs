use plimsoll_sdk::prelude::*;

/// A workload names a ConfigMap in an annotation, and the ConfigMap does not exist.
///
/// ## What it finds
/// `error`: there is no ConfigMap with the name in the annotation `example.com/settings`.
///
/// ## Why
/// It is a fixture.
///
/// ## What to write
/// The ConfigMap.
#[policy(
    category = "manifest", on = LongRunning, severity = Error, since = "0.1.0", judges = Companion,
    requires = ["/ConfigMap"]
)]
pub fn missing_config_map(review: &Review, findings: &mut Findings) {
    let named = review.at("/metadata/annotations").key("example.com/settings");
    let Some(name) = named.as_str() else { return };
    let answer = review.get(Kind::CONFIG_MAP, name);
    if !answer.complete {
        findings.skip("ConfigMaps are not known");
    } else if answer.nodes().next().is_none() {
        let message = format!("the ConfigMap {name} is not there");
        findings.error(&named, message, "apply it too").related(format!("ConfigMap/{name}")).companion();
    }
}
