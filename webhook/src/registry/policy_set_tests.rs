use super::*;
use crate::model::Moment;
use crate::registry::documents::read;

/// A set named `test` with this spec in YAML.
pub(in crate::registry) fn set(spec: &str) -> PolicySet {
    named("test", spec)
}

pub(in crate::registry) fn named(name: &str, spec: &str) -> PolicySet {
    let sets = read(&document(name, spec), "sets.yaml");
    sets.unwrap_or_else(|problems| panic!("{spec}: {problems:?}")).sets.remove(0)
}

/// The lines of `spec` start at line 5.
pub(in crate::registry) fn document(name: &str, spec: &str) -> String {
    let lines: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {{name: {name}}}\nspec:\n{lines}")
}

fn problems(text: &str) -> Vec<String> {
    read(text, "f.yaml").unwrap_err().iter().map(ToString::to_string).collect()
}

/// All problems of a spec, as `line:column: message`.
fn of_spec(spec: &str) -> Vec<String> {
    problems(&document("test", spec)).iter().map(|text| text.replacen("f.yaml:", "", 1)).collect()
}

#[test]
fn whether_it_enforces() {
    assert!(set("{mode: enforce}").enforces());
    assert!(!set("{}").enforces() && !set("{mode: observe}").enforces());
    assert!(!set("{mode: observe, namespaceModes: [{names: [a], mode: 'off'}]}").enforces());
    for name in ["a", "a-*"] {
        assert!(set(&format!("{{mode: observe, namespaceModes: [{{names: ['{name}'], mode: enforce}}]}}")).enforces());
    }
}

#[test]
fn defaults() {
    for text in [
        document("test", "{}"),
        "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\nmetadata: {name: test}\n".to_owned(),
        document(
            "test",
            "mode:\nprofile: null\nmatch: {}\npolicies: []\nkubernetesVersion: \"\"\npoliciesAsOf: \"\"\n",
        ),
    ] {
        let set = read(&text, "f.yaml").unwrap().sets.remove(0);
        assert_eq!(set.name(), "test");
        assert_eq!((set.modes.set, set.profile, set.on_error), (Mode::Observe, Profile::Default, Action::Deny));
        assert!(matches!(set.bundle, BundleName::Builtin));
        assert!(set.as_of.is_none() && set.kubernetes_version.is_none() && set.policies.is_empty());
    }
}

#[test]
fn a_contact_has_a_bound() {
    let contact = |length: usize| format!("contact: \"{}\"", "ä".repeat(length));
    assert_eq!(set(&contact(120)).concessions.contact.map(|text| text.chars().count()), Some(120));
    let expected =
        "5:12: `spec.contact`: it has 121 characters, and at most 120 are shown; write a channel, or a short link";
    assert_eq!(of_spec(&contact(121)), [expected]);
}

/// A release candidate of this release is older than it. Other bundles have versions of their own.
#[test]
fn policies_as_of_a_pre_release() {
    let as_of = |spec: &str| set(spec).as_of;
    assert_eq!(as_of("policiesAsOf: \"0.1.0-rc.1\""), Version::parse("0.1.0-rc.1"));
    assert_eq!(as_of("bundle: ./own.wasm\npoliciesAsOf: \"9.0.0-rc.1\""), Version::parse("9.0.0-rc.1"));
    assert!(Version::parse("9.0.0-rc.1").is_some());
}

#[test]
fn everything_that_can_be_said() {
    let set = set("mode: observe\nbundle: ./own.wasm\nprofile: mutate\npoliciesAsOf: \"0.1\"\nonError: Warn\n\
         kubernetesVersion: v1.34.2\nnamespaceModes:\n- {names: [kube-system, \"team-*\"], mode: \"off\"}\n\
         severities: [{name: warning, action: Audit}]\ncategories: [{name: security, action: Warn}]\n\
         policies:\n- {id: a, action: \"Off\", mutate: true, settings: {limit: 1}}\n- {id: b}\n");
    assert_eq!((set.modes.set, set.profile, set.on_error), (Mode::Observe, Profile::Mutate, Action::Warn));
    assert!(matches!(&set.bundle, BundleName::File(file) if file.value == "./own.wasm" && file.position.line == 6));
    assert_eq!(set.as_of, Version::parse_bound("0.1"));
    assert_eq!(set.kubernetes_version.as_ref().map(|version| version.value), KubernetesVersion::parse("1.34.2"));
    assert_eq!(set.modes.of("kube-system"), Mode::Off);
    assert_eq!(set.modes.of("team-a"), Mode::Off);
    assert_eq!(set.modes.of("other"), Mode::Observe);
    assert_eq!(set.severity(Severity::Warning), Some(Action::Audit));
    assert_eq!(set.severity(Severity::Error), None);
    let entry = set.entry("a").unwrap();
    assert_eq!((entry.action, entry.mutate.as_ref().map(|mutate| mutate.value)), (Some(Action::Off), Some(true)));
    assert_eq!(entry.settings, Some((serde_json::json!({"limit": 1}), "/spec/policies/0/settings".to_owned())));
    assert!(set.entry("b").unwrap().action.is_none());
}

/// The message of each error, as users read it.
#[test]
fn refusals() {
    for (spec, expected) in [
        ("polices: []", "5:3: unknown field `polices`; did you mean `policies`?"),
        ("breakglass: {}", "5:3: unknown field `breakglass`; did you mean `breakGlass`?"),
        ("policies: [{id: a, zzz: 1}]", "5:22: unknown field `zzz`; known: `id`, `action`, `mutate`, `settings`"),
        ("breakGlass: {user: [a]}", "5:16: unknown field `user`; did you mean `users`?"),
        (
            "breakGlass: {users: [\"*\"]}",
            "5:24: `spec.breakGlass.users[0]`: it is a whole name; there are no wildcards here",
        ),
        (
            "workloads: [{group: apps, kind: CloneSet}]",
            "5:23: `spec.workloads[0].group`: \"apps\" is no group of a custom resource, such as apps.kruise.io",
        ),
        ("workloads: [{group: a.b}]", "5:15: `spec.workloads[0].kind` is missing"),
        (
            "workloads: [{group: a.b, kind: fleet}]",
            "5:34: `spec.workloads[0].kind`: \"fleet\" is no kind, such as CloneSet",
        ),
        (
            "workloads: [{group: a.b, kind: Fleet, template: spec.template}]",
            "5:51: `spec.workloads[0].template`: \"spec.template\" is no pointer to a member, such as /spec/template",
        ),
        ("trustedControllers: true", "5:23: `spec.trustedControllers` must be a list, not the boolean true"),
        (
            "selfExempt: [probes, security]",
            "5:24: `spec.selfExempt[1]`: a workload may never excuse itself from `security`; an operator can, with a \
             PolicyExemption",
        ),
        (
            "contact: 7",
            "5:12: `spec.contact` must be a string, and without quotes YAML reads 7 as the number 7; write \"7\"",
        ),
        (
            "contact: \" \"",
            "5:12: `spec.contact`: it is empty; write where to ask, such as \"#platform on Slack\", or leave it out",
        ),
        ("contact: \"a\\nb\"", "5:12: `spec.contact`: it has several lines; write one, such as \"#platform on Slack\""),
        (
            "contact: \"a\\u202Eb\"",
            "5:12: `spec.contact`: it has the character U+202E, which cannot be seen; take it out",
        ),
        (
            "enforceAfter: 10",
            "5:17: `spec.enforceAfter`: it is no duration; write for instance \"10m\", or \"0s\" for at once",
        ),
        ("match: {namespaceSelector: {}}", "5:11: `spec.match.namespaceSelector` is not supported yet"),
        ("match: {objectSelector: {}}", "5:11: `spec.match.objectSelector` is not supported yet"),
        ("match: {matchPolicy: Exact}", "5:11: `spec.match.matchPolicy` is not supported yet"),
        (
            "bundle: ghcr.io/a/b@sha256:00",
            "5:11: the bundle `ghcr.io/a/b@sha256:00`, neither `builtin` nor the path of a .wasm file, is not supported yet",
        ),
        ("profile: cost", "5:12: the profile `cost` is not supported yet"),
        ("profile: defalt", "5:12: unknown profile `defalt`; did you mean `default`?"),
        (
            "profile: defaults",
            "5:12: `spec.profile`: the profile `defaults` is called `mutate` now; write `profile: mutate`",
        ),
        ("profile: cis", "5:12: unknown profile `cis`; known: `none`, `default`, `mutate`, `production`, `strict`"),
        ("mode: Enforce", "5:9: unknown mode `Enforce`; did you mean `enforce`?"),
        (
            "mode: off",
            "5:9: `spec.mode` must be a string, and without quotes YAML reads off as the boolean false; write \"off\"",
        ),
        (
            "policies: [{id: a, action: off}]",
            "5:30: `spec.policies[0].action` must be a string, and without quotes YAML reads off as the boolean false; \
             write \"Off\"",
        ),
        (
            "contact: #platform on Slack",
            "5:11: `spec.contact`: it is empty, for YAML takes what follows a # for a comment; write it in quotes, such as \
             \"#platform on Slack\"",
        ),
        ("mode: [enforce]", "5:9: `spec.mode` must be a string, not a list"),
        ("onError: deny", "5:12: unknown action `deny`; did you mean `Deny`?"),
        (
            "policies: [{id: a, action: Off}]",
            "5:30: `spec.policies[0].action` must be a string, and without quotes YAML reads Off as the boolean false; \
             write \"Off\"",
        ),
        ("policies: [{id: a, action: Block}]", "5:30: unknown action `Block`; known: `Deny`, `Warn`, `Audit`, `Off`"),
        (
            "policies: [{id: a, mutate: yes please}]",
            "5:30: `spec.policies[0].mutate` must be true or false, not \"yes please\"",
        ),
        ("policies: [{id: a, settings: [1]}]", "5:32: `spec.policies[0].settings` must be a mapping, not a list"),
        ("policies: [{action: Deny}]", "5:14: `spec.policies[0].id` is missing"),
        ("policies: [a]", "5:14: `spec.policies[0]` must be a mapping, not \"a\""),
        ("policies: {id: a}", "5:13: `spec.policies` must be a list, not a mapping"),
        ("policies:\n- {id: a}\n- {id: b}\n- {id: a}", "8:10: policy `a` is listed twice, first at line 6"),
        ("severities: [{name: warn, action: Audit}]", "5:23: unknown severity `warn`; did you mean `warning`?"),
        ("severities: [{name: error}]", "5:16: `spec.severities[0].action` is missing"),
        (
            "severities:\n- {name: info, action: Warn}\n- {name: info, action: Deny}",
            "7:12: severity `info` is listed twice, first at line 6",
        ),
        (
            "categories:\n- {name: image, action: Warn}\n- {name: image, action: Deny}",
            "7:12: category `image` is listed twice, first at line 6",
        ),
        (
            "kubernetesVersion: 1.30",
            "5:22: `spec.kubernetesVersion` must be a string, and without quotes YAML reads 1.30 as the number 1.3; \
             write \"1.30\"",
        ),
        (
            "kubernetesVersion: latest",
            "5:22: `spec.kubernetesVersion`: \"latest\" is not a version of Kubernetes, such as \"1.34\"",
        ),
        (
            "policiesAsOf: yesterday",
            "5:17: `spec.policiesAsOf`: \"yesterday\" is no version; write for instance \"0.1\" or \"0.1.2\"",
        ),
        (
            "policiesAsOf: \"9.9\"",
            "5:17: `spec.policiesAsOf`: \"9.9\" is later than this release of Plimsoll; the newest version that it knows is \"0.1.0\"",
        ),
        (
            "policiesAsOf: \"0.1.1-rc.1\"",
            "5:17: `spec.policiesAsOf`: \"0.1.1-rc.1\" is later than this release of Plimsoll; the newest version that it knows is \"0.1.0\"",
        ),
        ("namespaceModes: [{names: [a]}]", "5:20: `spec.namespaceModes[0].mode` is missing"),
        ("namespaceModes: [{mode: observe}]", "5:20: `spec.namespaceModes[0].names` is missing"),
        (
            "namespaceModes: [{names: [], mode: observe}]",
            "5:28: `spec.namespaceModes[0].names`: it is empty, so it would match nothing; leave it out, or write \"*\"",
        ),
        (
            "namespaceModes: [{names: [Team_A], mode: observe}]",
            "5:29: `spec.namespaceModes[0].names[0]`: \"Team_A\" is no name of a namespace, nor a pattern of one with * and ?",
        ),
        (
            "namespaceModes:\n- {names: [a], mode: observe}\n- {names: [b, a], mode: observe}",
            "7:17: namespace `a` is listed twice, first at line 6",
        ),
        (
            "match: {resourceRules: [{resources: [pods], operation: [CREATE]}]}",
            "5:47: unknown field `operation`; did you mean `operations`?",
        ),
        ("match: {resourceRules: [{apiGroups: [apps]}]}", "5:27: `spec.match.resourceRules[0].resources` is missing"),
        (
            "match: {resourceRules: [{resources: [Deployment]}]}",
            "5:40: `spec.match.resourceRules[0].resources[0]`: \"Deployment\" is a kind; write its resource, \"deployments\"",
        ),
        (
            "match: {excludeResourceRules: [{resources: [\"pods/\"]}]}",
            "5:47: `spec.match.excludeResourceRules[0].resources[0]`: \"pods/\" is no resource; write for instance \
             \"deployments\", \"*/scale\" or \"*\"",
        ),
        (
            "match: {resourceRules: [{resources: [pods], operations: [create]}]}",
            "5:60: unknown operation `create`; did you mean `CREATE`?",
        ),
        (
            "match: {resourceRules: [{resources: [pods], apiGroups: [\"*\", apps]}]}",
            "5:58: `spec.match.resourceRules[0].apiGroups`: \"*\" stands for all, so nothing else may stand beside it",
        ),
        (
            "match: {resourceRules: [{resources: [pods], resourceNames: [\"a*\"]}]}",
            "5:63: `spec.match.resourceRules[0].resourceNames[0]`: it is a whole name; there are no wildcards here",
        ),
        (
            "match: {resourceRules: [{resources: [pods], scope: namespaced}]}",
            "5:54: unknown scope `namespaced`; did you mean `Namespaced`?",
        ),
    ] {
        assert_eq!(of_spec(spec), [expected], "{spec}");
    }
}

#[test]
fn refusals_outside_of_the_spec() {
    let head = "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySet\n";
    for (text, expected) in [
        (format!("{head}metadata: {{}}\n"), "f.yaml:3:11: `metadata.name` is missing".to_owned()),
        (format!("{head}spec: {{}}\n"), "f.yaml:1:1: `metadata` is missing".to_owned()),
        (
            format!("{head}metadata: {{name: Test}}\n"),
            "f.yaml:3:18: `metadata.name`: \"Test\" is no name of an object: lower-case letters, digits, `-` and `.` only".to_owned(),
        ),
        (
            format!("{head}metadata: {{name: test, namespce: x}}\n"),
            "f.yaml:3:24: unknown field `namespce`".to_owned(),
        ),
        (
            format!("{head}metadata: {{name: test}}\nspecs: {{}}\n"),
            "f.yaml:4:1: unknown field `specs`; did you mean `spec`?".to_owned(),
        ),
        (
            "apiVersion: plimsoll.dev/v1alpha1\nkind: PolicySet\n".to_owned(),
            "f.yaml:2:7: the kind `PolicySet` is not supported yet".to_owned(),
        ),
        (
            "apiVersion: plimsoll.dev/v1alpha1\nkind: CheckConfiguration\nmetadata: {name: a}\nspec: {excluded: []}\n"
                .to_owned(),
            "f.yaml:4:8: unknown field `excluded`; did you mean `exclude`?".to_owned(),
        ),
        (
            "apiVersion: plimsoll.dev/v1alpha1\nkind: ClusterPolicySets\n".to_owned(),
            "f.yaml:2:7: unknown kind `ClusterPolicySets`; did you mean `ClusterPolicySet`?".to_owned(),
        ),
        (
            "apiVersion: plimsoll.dev/v1\nkind: ClusterPolicySet\n".to_owned(),
            "f.yaml:1:13: `apiVersion`: this version of Plimsoll reads plimsoll.dev/v1alpha1, not plimsoll.dev/v1".to_owned(),
        ),
        (
            "apiVersion: v1\nkind: ClusterPolicySet\n".to_owned(),
            "f.yaml:1:13: `apiVersion`: a configuration consists of documents of plimsoll.dev/v1alpha1".to_owned(),
        ),
        ("[]".to_owned(), "f.yaml:1:1: `the document` must be a mapping, not a list".to_owned()),
    ] {
        assert_eq!(problems(&text), [expected], "{text}");
    }
    assert_eq!(problems("a: 1\n"), ["f.yaml:1:1: `apiVersion` is missing", "f.yaml:1:1: `kind` is missing"],);
}

#[test]
fn all_problems_of_all_documents_in_the_order_of_the_file() {
    let text = format!(
        "{}---\na: [\n---\n{}",
        document("One", "policies: [{action: deny}]\nmode: x"),
        document("two", "zzz: 1"),
    );
    let lines: Vec<_> =
        read(&text, "f.yaml").unwrap_err().into_iter().map(|error| error.position.unwrap().line).collect();
    assert_eq!(lines, [3, 5, 5, 6, 9, 14]);
}

/// Members that the API server adds to an object are not a mistake of its author.
#[test]
fn an_object_of_the_cluster() {
    let text = r#"{"apiVersion":"plimsoll.dev/v1alpha1","kind":"ClusterPolicySet","metadata":{"name":"a","uid":"1",
        "resourceVersion":"2","generation":1,"creationTimestamp":"2026-01-01T00:00:00Z","managedFields":[],
        "labels":{"a":"b"}},"spec":{"mode":"off"},"status":{}}"#;
    assert_eq!(read(text, "").unwrap().sets[0].modes.set, Mode::Off);
}

#[test]
fn an_empty_file_has_no_sets() {
    assert!(read("# nothing\n", "f.yaml").unwrap().sets.is_empty());
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let page = include_str!("../../../docs/policy-set.md");
    let blocks: Vec<_> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(read(blocks[0], "docs").unwrap().sets[0].policies.len(), 2);
    let pair: Vec<_> = read(blocks[1], "docs").unwrap().sets.iter().map(|set| set.profile).collect();
    assert_eq!(pair, [Profile::Default, Profile::Production]);
    assert_eq!(set(blocks[2]).workloads.len(), 2);
    assert_eq!(set(blocks[3]).workloads.len(), 3);
    let matching = set(blocks[4]);
    assert_eq!(matching.name(), "test");
    assert_eq!(read(blocks[5], "docs").unwrap().exemptions.len(), 1);
    assert_eq!(blocks.len(), 6);
}

const EXEMPTION: &str = "apiVersion: plimsoll.dev/v1alpha1
kind: PolicyExemption
metadata: {name: old-billing, namespace: plimsoll-exemptions}
spec:
  policies: [runs-as-root]
  match: {namespaces: [billing], resourceRules: [{resources: [deployments], resourceNames: [ledger]}]}
  reason: the vendor ships a new image in January
  owner: team-billing
  expires: '2027-01-31'
";

#[test]
fn an_exemption_says_what_why_who_and_until_when() {
    let mut documents = read(EXEMPTION, "f.yaml").unwrap();
    let exemption = documents.exemptions.remove(0);
    assert_eq!((exemption.name.as_str(), exemption.namespace.as_str()), ("old-billing", "plimsoll-exemptions"));
    assert!(exemption.covers("runs-as-root") && !exemption.covers("latest-image-tag"));
    assert!(exemption.expired(Moment::parse("2027-02-01T00:00:00Z").unwrap()));
    assert!(!exemption.expired(Moment::parse("2027-01-31T23:59:59Z").unwrap()));
}

/// An exemption without a reason, an owner or an end would be a hole in the policies.
#[test]
fn an_exemption_lacks_nothing_and_is_narrow() {
    for (field, complaint) in [
        ("  policies: [runs-as-root]\n", "f.yaml:5:3: `spec.policies` is missing"),
        ("  reason: the vendor ships a new image in January\n", "f.yaml:5:3: `spec.reason` is missing"),
        ("  owner: team-billing\n", "f.yaml:5:3: `spec.owner` is missing"),
        ("  expires: '2027-01-31'\n", "f.yaml:5:3: `spec.expires` is missing"),
        (", namespace: plimsoll-exemptions", "f.yaml:3:11: `metadata.namespace` is missing"),
    ] {
        assert_eq!(problems(&EXEMPTION.replacen(field, "", 1)), [complaint]);
    }
    let narrow = "{namespaces: [billing], resourceRules: [{resources: [deployments], resourceNames: [ledger]}]}";
    for wide in
        ["{}", "{namespaces: [\"*\"]}", "{namespaces: [billing, \"?*\"]}", "{resourceRules: [{resources: [\"*\"]}]}"]
    {
        let complaint =
            "f.yaml:6:10: `spec.match`: it matches everything; name `namespaces`, or `resourceRules` with resources";
        assert_eq!(problems(&EXEMPTION.replacen(narrow, wide, 1)), [complaint], "{wide}");
    }
    let complaint =
        "f.yaml:9:12: `spec.expires`: it is no date; write for instance \"2026-12-31\", or \"2026-12-31T18:00:00Z\"";
    assert_eq!(problems(&EXEMPTION.replacen("2027-01-31", "soon", 1)), [complaint]);
}
