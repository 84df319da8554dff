//! PolicySets: rejected with the place of every mistake, or accepted. Accepted sets are accepted as JSON too, with the
//! same meaning.

use plimsoll::registry::{ConfigError, Registry, read};
use serde_json::Value;

use crate::surroundings::{REQUESTS, registry};
use crate::yaml::is_inside;

/// Any text as PolicySets.
pub const TARGET: crate::Target = crate::Target { name: "policy_sets", run, words: WORDS, bounded: 6_000 };

const WORDS: &[&str] = &[
    "apiVersion: plimsoll.dev/v1alpha1\n",
    "kind: ClusterPolicySet\n",
    "metadata: {name: a}\n",
    "spec:\n",
    "mode: enforce\n",
    "mode: off\n",
    "observe",
    "  bundle: builtin\n",
    "  profile: default\n",
    "  profile: production\n",
    "none",
    "  policiesAsOf: \"0.1\"\n",
    "  match: {}\n",
    "namespaces: [a, \"team-*\"]",
    "resourceRules: ",
    "excludeResourceRules: ",
    "{apiGroups: [apps], apiVersions: [\"*\"], resources: [deployments/*], operations: [CREATE]}",
    "resourceNames: [a]",
    "scope: Namespaced",
    "matchPolicy: Equivalent",
    "namespaceSelector: {}",
    "objectSelector: {}",
    "  onError: Warn\n",
    "  kubernetesVersion: \"1.34\"\n",
    "  namespaceModes: [{names: [kube-*], mode: \"off\"}]\n",
    "  severities: [{name: error, action: Warn}]\n",
    "  categories: [{name: security, action: Audit}]\n",
    "  policies: [{id: runs-as-root, action: Deny}]\n",
    "{id: excessive-memory-ratio, settings: {limit: \"4\"}}",
    "mutate: true",
    "settings: {cpu: 1}",
    "settings: ",
    "id: ",
    "name: ",
    "action: Off",
    "null",
    "[]",
    "{}",
    "1.34",
    "~",
    "\"*\"",
    "enforceAfter: 10m",
    "breakGlass: {}",
    "breakGlass: {users: [a], groups: [b]}",
    "trustedControllers: [a]",
    "selfExempt: [probes]",
    "exemptionNamespaces: [a]",
    "contact: a\n",
    "kind: PolicyExemption\n",
    "metadata: {name: a, namespace: a}\n",
    "  match: {namespaces: [a]}\n",
    "  reason: a\n  owner: a\n  expires: \"2030-01-01\"\n",
    "---\n",
    "\n  ",
    "\n- ",
    "&a ",
    "*a",
    "<<: *a",
];

fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let documents: Vec<_> = plimsoll::yaml::read(&text);
    let values: Option<Vec<&Value>> =
        documents.iter().map(|document| document.as_ref().ok().map(plimsoll::yaml::Document::value)).collect();
    let stream = values.as_ref().map(|values| values.iter().map(|value| format!("{value}\n")).collect::<String>());
    let taken = match read(&text, "fuzz.yaml") {
        Ok(read) => read,
        Err(problems) => {
            assert!(!problems.is_empty(), "the text was rejected without a reason");
            inside(&text, &problems, true);
            let again = stream.filter(|_| all_mappings(&values)).map(|stream| read(&stream, "again").err());
            if let Some(again) = again {
                assert_eq!(again.map(|again| again.len()), Some(problems.len()), "{problems:?}");
            }
            return;
        }
    };
    assert_eq!(taken.sets.len() + taken.exemptions.len(), documents.len());
    // A set with a bundle file would read that file, and the fuzzer must not choose files.
    if taken.sets.iter().any(|set| set.bundle_file().is_some()) {
        return;
    }
    let again =
        read(&stream.expect("the whole stream is readable"), "again").expect("accepted sets are accepted as JSON");
    assert!(taken.sets.iter().map(|set| set.name()).eq(again.sets.iter().map(|set| set.name())));
    match (registry(taken), registry(again)) {
        (Ok(registry), Ok(again)) => assert_eq!(selects(&registry), selects(&again)),
        (Err(problems), Err(again)) => {
            inside(&text, &problems, false);
            assert_eq!(problems.len(), again.len());
        }
        (one, other) => panic!("{:?}, but as JSON {:?}", one.err(), other.err()),
    }
}

/// A stream of JSON begins with a brace.
fn all_mappings(values: &Option<Vec<&Value>>) -> bool {
    values.as_ref().is_some_and(|values| !values.is_empty() && values.iter().all(|value| value.is_object()))
}

fn inside(text: &str, problems: &[ConfigError], placed: bool) {
    for problem in problems {
        let said = problem.to_string();
        assert!(!said.is_empty());
        match &problem.position {
            Some(position) => {
                assert!(is_inside(text, position.line, position.column), "{said} is outside of the text");
                assert!(said.starts_with("fuzz.yaml:"), "{said}");
            }
            None => assert!(!placed, "the problem has no place: {said}"),
        }
    }
}

/// The policies that a registry selects for each request, as text.
fn selects(registry: &Registry) -> Vec<String> {
    let selected = |review| {
        let selected = registry.select(review);
        let each = selected.iter().map(|selected| {
            let actions = (&selected.actions, selected.on_error, selected.spared, selected.mutate, &selected.as_of);
            let exemption = selected.exemption.as_ref().map(|exemption| &exemption.name);
            format!("{} {:?} {actions:?} {exemption:?}", selected.policy.id, selected.settings)
        });
        each.collect::<Vec<_>>().join("\n")
    };
    REQUESTS.iter().map(|review| selected(review)).collect()
}
