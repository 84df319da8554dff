use std::cell::Cell;

use plimsoll_sdk::metadata::{Bundle, FillsIn, InDefault, InProduction, On, Profiles, Severity};

use super::*;
use crate::registry::policy_set::tests::{named, set};
use crate::registry::test_bundle::{bundle, policy, request, with_settings};
use crate::registry::{Ground, Recourse};

thread_local! {
    /// Number of pairs of policy and set that were visited.
    pub(super) static VISITED: Cell<usize> = const { Cell::new(0) };
}

/// `missing-request` (resources, with settings), `runs-as-root` (security) and `dangling` (service, on Services).
fn built_in() -> Bundle {
    let on = On { kinds: vec!["/Service".to_owned()], ..On::default() };
    let profiles = Profiles {
        only: None,
        default: Some(InDefault::Audit),
        production: Some(InProduction::Deny),
        fills_in: Some(FillsIn::Default),
    };
    bundle(vec![
        with_settings(policy("missing-request", "resources", Severity::Warning)),
        metadata::Policy { profiles, ..policy("runs-as-root", "security", Severity::Error) },
        metadata::Policy { on, edits: Vec::new(), ..policy("dangling", "service", Severity::Error) },
    ])
}

fn try_plan(bundle: &Bundle, sets: Vec<PolicySet>, in_files: bool) -> Result<Plan, Vec<String>> {
    let sets: Vec<_> = sets.into_iter().map(|set| (set, 0)).collect();
    let source = Source { metadata: bundle, builtin: true, bundle: None };
    let plan = Plan::new(&[source], &sets, Vec::new(), in_files, &Workloads::default());
    plan.map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn plan(sets: Vec<PolicySet>) -> Plan {
    try_plan(&built_in(), sets, false).unwrap()
}

fn problems(spec: &str) -> Vec<String> {
    try_plan(&built_in(), vec![set(spec)], false).unwrap_err()
}

fn review(group: &str, kind: &str, subresource: &str, operation: &str, namespace: &str) -> Review {
    request(group, "x", kind, subresource, operation, namespace)
}

fn deployment() -> Review {
    review("apps", "Deployment", "", "CREATE", "shop")
}

fn ids(plan: &Plan, review: &Review) -> Vec<String> {
    plan.select(review).iter().map(|selected| selected.policy.id.clone()).collect()
}

#[test]
fn what_looks_at_a_kind_in_the_order_of_the_bundle() {
    let plan = plan(vec![set("{}")]);
    assert_eq!(ids(&plan, &deployment()), ["missing-request", "runs-as-root"]);
    assert_eq!(ids(&plan, &review("", "Pod", "", "UPDATE", "shop")), ["missing-request", "runs-as-root"]);
    assert_eq!(ids(&plan, &review("", "Service", "", "CREATE", "shop")), ["dangling"]);
    assert!(ids(&plan, &review("", "ConfigMap", "", "CREATE", "shop")).is_empty());
    assert!(ids(&plan, &review("example.com", "Deployment", "", "CREATE", "shop")).is_empty());
    for operation in ["DELETE", "CONNECT"] {
        assert!(ids(&plan, &review("apps", "Deployment", "", operation, "shop")).is_empty());
    }
}

#[test]
fn subresources_that_a_policy_asks_for() {
    let mut bundle = built_in();
    bundle.policies[1].on.subresources = vec!["ephemeralcontainers".to_owned()];
    let plan = try_plan(&bundle, vec![set("{}")], false).unwrap();
    assert_eq!(ids(&plan, &review("", "Pod", "ephemeralcontainers", "UPDATE", "shop")), ["runs-as-root"]);
    assert!(ids(&plan, &review("", "Pod", "status", "UPDATE", "shop")).is_empty());
}

#[test]
fn policies_of_stage_source_run_over_files_alone() {
    let mut bundle = built_in();
    bundle.policies[1].stage = Stage::Source;
    let selected = |in_files| ids(&try_plan(&bundle, vec![set("{}")], in_files).unwrap(), &deployment());
    assert_eq!(selected(false), ["missing-request"]);
    assert_eq!(selected(true), ["missing-request", "runs-as-root"]);
}

#[test]
fn profile_none_has_only_what_is_listed() {
    let plan = plan(vec![set("profile: none\npolicies: [{id: runs-as-root}]")]);
    let selected = plan.select(&deployment());
    assert_eq!(selected.len(), 1);
    assert_eq!((selected[0].actions, selected[0].mutate), (Actions::default(), false));
    assert!(selected[0].settings.is_empty());
}

#[test]
fn what_is_off_is_not_selected() {
    for spec in [
        "policies: [{id: runs-as-root, action: \"Off\"}, {id: missing-request, action: \"Off\"}]",
        "mode: \"off\"",
        "namespaceModes: [{names: [shop], mode: \"off\"}]",
        "severities: [{name: error, action: \"Off\"}, {name: warning, action: \"Off\"}, {name: info, action: \"Off\"}]",
        "match: {excludeResourceRules: [{resources: [\"*\"]}]}",
    ] {
        let spec = format!("{spec}\nbundle: builtin");
        // The profile makes runs-as-root warn, but severities are narrower.
        assert!(plan(vec![set(&spec)]).select(&deployment()).is_empty(), "{spec}");
    }
    let plan = plan(vec![set("mode: \"off\"\nnamespaceModes: [{names: [shop], mode: observe}]")]);
    assert_eq!(plan.select(&deployment())[0].spared, Some(Spared::Observed));
}

/// `check` judges as if every mode were `enforce`.
#[test]
fn modes_are_for_the_cluster() {
    let spec = "mode: \"off\"\nnamespaceModes: [{names: [shop], mode: \"off\"}]";
    let plan = try_plan(&built_in(), vec![set(spec)], true).unwrap();
    assert!(plan.select(&deployment()).iter().all(|selected| selected.spared.is_none()));
    assert_eq!(plan.select(&deployment()).len(), 2);
}

#[test]
fn what_is_selected_is_what_the_set_says() {
    let plan = plan(vec![set(
        "mode: enforce\nonError: Audit\npoliciesAsOf: \"0.1\"\npolicies:\n- {id: missing-request, action: Deny, mutate: true, settings: {limit: 6}}",
    )]);
    let selected = plan.select(&deployment());
    let first = &selected[0];
    assert_eq!(first.actions, Actions { error: Action::Deny, warning: Action::Deny, info: Action::Audit });
    assert_eq!((first.on_error, first.spared, first.mutate), (Action::Audit, None, true));
    assert_eq!(first.as_of, Version::parse_bound("0.1"));
    let settings = plimsoll_flat::Node::root(&first.settings).unwrap();
    assert_eq!(settings.get("limit").and_then(plimsoll_flat::Node::as_i64), Some(6));
    assert_eq!(settings.get("mode").and_then(plimsoll_flat::Node::as_str), Some("strict"));
    assert!(selected[1].settings.is_empty() && selected[1].mutate, "runs-as-root mutates by profile");
}

#[test]
fn equal_settings_of_two_sets_are_one_call_with_the_strictest_action() {
    let one = named("one", "onError: Warn\npolicies: [{id: missing-request, action: Warn, settings: {limit: 6}}]");
    let two = named(
        "two",
        "onError: Audit\npolicies: [{id: missing-request, action: Deny, settings: {limit: 6, mode: strict}}]",
    );
    for sets in [vec![one.clone(), two.clone()], vec![two, one]] {
        let selected = plan(sets).select(&deployment());
        assert_eq!(selected.len(), 2);
        assert_eq!(selected[0].actions.warning, Action::Deny);
        assert_eq!(selected[0].on_error, Action::Warn);
    }
}

#[test]
fn other_settings_are_another_call() {
    let one = named("one", "mode: enforce\npolicies: [{id: missing-request, settings: {limit: 6}}]");
    let two = named("two", "mode: enforce\npolicies: [{id: missing-request, settings: {limit: 8}}]");
    let selected = ids(&plan(vec![one, two]), &deployment());
    assert_eq!(selected, ["missing-request", "missing-request", "runs-as-root"]);
}

/// A set in mode `observe` adds no Deny to the `enforce` of another set.
#[test]
fn each_set_is_capped_by_its_own_mode() {
    let observing =
        || named("a", "mode: observe\nonError: Deny\npolicies: [{id: missing-request, action: Deny, mutate: true}]");
    let enforcing = || named("b", "mode: enforce\nonError: Audit\npolicies: [{id: missing-request, action: Audit}]");
    for sets in [vec![observing(), enforcing()], vec![enforcing(), observing()]] {
        let selected = &plan(sets).select(&deployment())[0];
        assert_eq!(selected.spared, None);
        assert_eq!(selected.actions, Actions { error: Action::Warn, warning: Action::Warn, info: Action::Audit });
        assert_eq!((selected.on_error, selected.mutate), (Action::Warn, false));
    }
    // Alone, the set keeps its actions, so that a report can show the effect of `enforce`.
    let selected = &plan(vec![observing()]).select(&deployment())[0];
    assert_eq!(
        (selected.spared, selected.actions.warning, selected.mutate),
        (Some(Spared::Observed), Action::Deny, false)
    );
}

/// A finding can be new for one set that denies it and old for another. Only the finding shows that.
#[test]
fn sets_of_other_versions_stay_apart() {
    let old = named("old", "mode: enforce\npoliciesAsOf: \"0.1\"");
    let new = named("new", "mode: enforce");
    let selected = plan(vec![old, new]).select(&deployment());
    let as_of: Vec<_> = selected.iter().map(|selected| selected.as_of.is_some()).collect();
    assert_eq!(as_of, [true, false, true, false]);
    assert!(selected[2].mutate && selected[3].mutate, "equal settings do not contradict each other");
}

#[test]
fn sets_that_mutate_differently_do_not() {
    let one = || named("one", "mode: enforce\npolicies: [{id: missing-request, mutate: true, settings: {limit: 6}}]");
    let two = || named("two", "mode: enforce\npolicies: [{id: missing-request, mutate: true, settings: {limit: 8}}]");
    let judging =
        named("three", "mode: enforce\npolicies: [{id: missing-request, mutate: false, settings: {limit: 9}}]");
    let disagreeing = plan(vec![one(), two()]);
    for count in 1..=2 {
        let selected = disagreeing.select(&deployment());
        assert!(
            selected.iter().filter(|selected| selected.policy.id == "missing-request").all(|selected| !selected.mutate)
        );
        assert!(selected[2].mutate, "the others still do");
        assert_eq!(disagreeing.conflicts(), count);
    }
    let agreeing = plan(vec![
        one(),
        named("again", "mode: enforce\npolicies: [{id: missing-request, mutate: true, settings: {limit: 6}}]"),
    ]);
    assert!(agreeing.select(&deployment())[0].mutate);
    let beside = plan(vec![one(), judging]);
    let selected = beside.select(&deployment());
    assert!(selected[0].mutate && !selected[1].mutate);
    let apart = plan(vec![
        one(),
        named("two", "mode: observe\npolicies: [{id: missing-request, mutate: true, settings: {limit: 8}}]"),
    ]);
    assert!(apart.select(&deployment())[0].mutate, "a set that observes mutates nothing");
    assert_eq!((agreeing.conflicts(), beside.conflicts(), apart.conflicts()), (0, 0, 0));
}

/// The `recourse` if `missing-request` denies a warning about a Deployment.
fn recourse(sets: Vec<PolicySet>, failed: bool) -> Recourse {
    let plan = plan(sets);
    let review = deployment();
    let first = plan.select(&review).remove(0);
    let severity = (!failed).then_some(Severity::Warning);
    let ground = Ground { policy: first.policy, settings: first.settings, as_of: first.as_of, severity };
    plan.recourse(&review, &[ground])
}

fn denying(name: &str, more: &str) -> PolicySet {
    let mode = if more.contains("mode: ") { "" } else { "mode: enforce\n" };
    named(name, &format!("{mode}policies: [{{id: missing-request, action: Deny}}]\n{more}"))
}

#[test]
fn the_contact_is_that_of_the_sets_that_deny() {
    let ask = |name: &str| format!("contact: \"#{name} on Slack\"");
    let contacts = |sets| recourse(sets, false).contacts;
    let alone = recourse(vec![denying("a", &ask("a"))], false);
    assert_eq!((alone.contacts, alone.sets), (vec!["#a on Slack".to_owned()], vec!["a".to_owned()]));
    assert_eq!(alone.explained, ["missing-request"]);
    let both = || vec![denying("a", &ask("a")), denying("b", &ask("b"))];
    assert_eq!(contacts(both()), ["#a on Slack", "#b on Slack"]);
    assert_eq!(contacts(vec![denying("a", &ask("a")), denying("b", &ask("a"))]), ["#a on Slack"]);
    for milder in [
        named("b", &format!("mode: enforce\n{}", ask("b"))),
        denying("b", &format!("mode: observe\n{}", ask("b"))),
        denying("b", &format!("match: {{resourceRules: [{{resources: [pods]}}]}}\n{}", ask("b"))),
        named(
            "b",
            &format!(
                "mode: enforce\npolicies: [{{id: missing-request, action: Deny, settings: {{limit: 8}}}}]\n{}",
                ask("b")
            ),
        ),
        denying("b", ""),
    ] {
        assert_eq!(contacts(vec![denying("a", &ask("a")), milder]), ["#a on Slack"]);
    }
    let failing = vec![
        named("a", &format!("mode: enforce\nonError: Warn\n{}", ask("a"))),
        named("b", &format!("mode: enforce\n{}", ask("b"))),
    ];
    assert_eq!(recourse(failing, true).contacts, ["#b on Slack"]);
}

/// If one of the sets that share a call does not make a concession, the concession does not count.
#[test]
fn an_exemption_counts_for_every_set() {
    let listing = "exemptionNamespaces: [one, two]\nselfExempt: [resources]";
    let alone = recourse(vec![denying("a", listing)], false);
    assert!(alone.self_exempt && alone.exemption_namespaces == ["one", "two"]);
    let both = recourse(vec![denying("a", listing), named("b", "exemptionNamespaces: [two, three]")], false);
    assert!(!both.self_exempt && both.exemption_namespaces == ["two"]);
    let none = recourse(vec![denying("a", listing), named("b", "{}")], false);
    assert!(!none.self_exempt && none.exemption_namespaces.is_empty());
    // Neither kind of exemption silences a policy that failed.
    let failed = recourse(vec![denying("a", listing)], true);
    assert!(!failed.self_exempt && failed.exemption_namespaces.is_empty());
    assert!(plan(vec![denying("a", listing)]).recourse(&deployment(), &[]).sets.is_empty());
}

/// The message of each error, as users read it.
#[test]
fn refusals() {
    let root = "settings of `missing-request`:";
    for (spec, expected) in [
        (
            "policies: [{id: run-as-root}]",
            "sets.yaml:5:19: unknown policy `run-as-root`; did you mean `runs-as-root`?".to_owned(),
        ),
        (
            "policies: [{id: zzz}]",
            "sets.yaml:5:19: unknown policy `zzz`; known: `missing-request`, `runs-as-root`, `dangling`".to_owned(),
        ),
        (
            "categories: [{name: securty, action: Warn}]",
            "sets.yaml:5:23: unknown category `securty`; did you mean `security`?".to_owned(),
        ),
        (
            "policies: [{id: dangling, mutate: true}]",
            "sets.yaml:5:37: `mutate: true` means nothing for `dangling`, which has nothing to fill in".to_owned(),
        ),
        (
            "policies:\n- id: missing-request\n  settings:\n    limt: 4",
            format!("sets.yaml:8:7: {root} unknown setting `limt`; did you mean `limit`?"),
        ),
        (
            "policies:\n- id: missing-request\n  action: \"Off\"\n  settings:\n    mode: strict\n    replicas: 12",
            format!(
                "sets.yaml:10:17: {root} `replicas` must be a whole number from 1 to 9, not the number 12; the default is 2"
            ),
        ),
        (
            "policies:\n- id: missing-request\n  settings:\n    names:\n    - a\n    - 1",
            format!("sets.yaml:10:9: {root} `names[1]` must be a string, not the number 1"),
        ),
        (
            "policies: [{id: runs-as-root, settings: {x: 1}}]",
            "sets.yaml:5:44: settings of `runs-as-root`: the policy has no settings; remove `x`".to_owned(),
        ),
    ] {
        assert_eq!(problems(spec), [expected], "{spec}");
    }
    assert_eq!(problems("categories: [{name: a, action: Warn}]\npolicies: [{id: b}, {id: c}]").len(), 3);
}

#[test]
fn names_are_unique() {
    let problems = try_plan(&built_in(), vec![named("a", "{}"), named("a", "{}")], false).unwrap_err();
    assert_eq!(problems, ["sets.yaml:3:18: two PolicySets are named `a`, first at sets.yaml:3:18"]);
    let (one, two) =
        (bundle(vec![policy("p", "image", Severity::Error)]), bundle(vec![policy("p", "image", Severity::Error)]));
    let sources = [
        Source { metadata: &one, builtin: true, bundle: None },
        Source { metadata: &two, builtin: false, bundle: None },
    ];
    let problems = Plan::new(&sources, &[(set("{}"), 0)], Vec::new(), false, &Workloads::default()).unwrap_err();
    assert_eq!(problems[0].to_string(), "the bundles `test` and `test` both have a policy `p`");
}

#[test]
fn two_bundles() {
    let own = bundle(vec![policy("own", "house-rules", Severity::Info)]);
    let built_in = built_in();
    let sources = [
        Source { metadata: &built_in, builtin: true, bundle: None },
        Source { metadata: &own, builtin: false, bundle: None },
    ];
    let sets = [(named("a", "{}"), 0), (named("b", "categories: [{name: house-rules, action: Warn}]"), 1)];
    let plan = Plan::new(&sources, &sets, Vec::new(), false, &Workloads::default()).unwrap();
    assert_eq!(ids(&plan, &deployment()), ["missing-request", "runs-as-root", "own"]);
    let own = &plan.select(&deployment())[2];
    assert_eq!((own.policy.bundle, own.policy.index, own.mutate), (1, 0, false));
    // The built-in bundle does not know the category of the other bundle.
    let sets = [(named("a", "categories: [{name: house-rules, action: Warn}]"), 0)];
    assert!(Plan::new(&sources, &sets, Vec::new(), false, &Workloads::default()).is_err());
}

/// A selection looks only at the policies of the kind, once for each set, and copies no settings.
#[test]
fn a_select_is_cheap() {
    let on = On { kinds: vec!["/Service".to_owned()], ..On::default() };
    let mut policies: Vec<_> =
        (0..10).map(|number| with_settings(policy(&format!("p{number}"), "image", Severity::Error))).collect();
    policies.extend((0..140).map(|number| metadata::Policy {
        on: on.clone(),
        ..policy(&format!("q{number}"), "service", Severity::Error)
    }));
    let bundle = bundle(policies);
    let sets =
        vec![named("a", "policies: [{id: p3, settings: {limit: 6}}]"), named("b", "{}"), named("c", "mode: \"off\"")];
    let plan = try_plan(&bundle, sets, false).unwrap();
    VISITED.with(|visited| visited.set(0));
    let (first, second) = (plan.select(&deployment()), plan.select(&deployment()));
    assert_eq!(VISITED.with(Cell::get), 2 * 2 * 10);
    assert_eq!(first.len(), 11);
    for (first, second) in first.iter().zip(&second) {
        assert!(Arc::ptr_eq(&first.policy, &second.policy) && Arc::ptr_eq(&first.settings, &second.settings));
    }
    assert!(
        first
            .iter()
            .filter(|selected| selected.settings.is_empty())
            .all(|selected| Arc::ptr_eq(&selected.settings, &first[0].settings))
    );
}
