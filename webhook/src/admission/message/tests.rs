use std::sync::Arc;

use plimsoll_sdk::metadata::Severity;
use serde_json::{Value, json};

use super::*;
use crate::model::{Failure, Finding, Place};
use crate::registry::{Policy, Recourse, test_bundle};

pub(in crate::admission) fn finding(pointer: &str, message: &str, help: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        at: Place { pointer: pointer.to_owned(), missing: String::new() },
        message: message.to_owned(),
        help: help.to_owned(),
        fix: None,
        about: Vec::new(),
        related: None,
        since: None,
        companion: false,
        unsettled: false,
    }
}

fn policy(id: &str) -> Arc<Policy> {
    let metadata = test_bundle::policy(id, "image", Severity::Error);
    let (judges, stage) = (metadata.judges, metadata.stage);
    Arc::new(Policy { id: id.to_owned(), bundle: 0, index: 0, judges, stage, metadata })
}

fn judged(id: &str, action: Action, message: &str, help: &str) -> Judged {
    let finding = finding("/spec/replicas", message, help);
    Judged { policy: policy(id), finding, action, uncapped: action, key: String::new(), spared: None }
}

fn denied(ids: &[&str]) -> Verdict {
    let found = ids.iter().map(|id| judged(id, Action::Deny, "replicas 1 is too few", "write replicas: 2"));
    Verdict { judged: found.collect(), recourse: asking("default"), ..Verdict::default() }
}

fn asking(set: &str) -> Recourse {
    Recourse { sets: vec![set.to_owned()], explained: vec!["single-replica".to_owned()], ..Recourse::default() }
}

/// A request about a Deployment with this metadata and these other members.
fn review(metadata: &Value, members: &Value) -> Review {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}});
    let mut request = json!({
        "uid": "1",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "operation": "CREATE",
        "namespace": "shop",
        "name": metadata["name"].as_str().unwrap_or_default(),
        "object": object,
        "oldObject": object,
    });
    for (name, value) in members.as_object().unwrap() {
        request[name] = value.clone();
    }
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    Review::from_admission_review(body.to_string().as_bytes()).unwrap()
}

fn web() -> Review {
    review(&json!({"name": "web"}), &json!({}))
}

const ASK: &str = "More: plimsoll explain single-replica. To be exempted, ask the operators of Plimsoll: the \
                   ClusterPolicySet default denies it.";

#[test]
fn one_reason() {
    let expected =
        format!("Deployment web is refused:\n• single-replica: replicas 1 is too few → write replicas: 2\n{ASK}");
    assert_eq!(denial(&web(), &denied(&["single-replica"])), expected);
}

#[test]
fn several_reasons_and_no_warning() {
    let mut verdict = denied(&["single-replica", "too-few"]);
    verdict.judged.push(judged("a-warning", Action::Warn, "is odd", "write better"));
    verdict.judged.push(judged("recorded", Action::Audit, "is odd", "write better"));
    verdict.failed.push(failed("slow-policy", Action::Deny));
    verdict.failed.push(failed("other-policy", Action::Warn));
    let message = denial(&web(), &verdict);
    let expected = format!(
        "Deployment web is refused, for 3 reasons:\n\
         • single-replica: replicas 1 is too few → write replicas: 2\n\
         • too-few: replicas 1 is too few → write replicas: 2\n\
         • slow-policy: could not be judged: {} → see the log of plimsoll, or its PolicySet's onError\n{ASK}",
        Failure::Deadline
    );
    assert_eq!(message, expected);
    let warnings = warnings(&web(), &verdict);
    assert_eq!(warnings[0], "a-warning: spec.replicas: is odd → write better");
    assert!(warnings.len() == 2 && warnings[1].starts_with("other-policy: could not be judged"), "{warnings:?}");
    // Programs get every finding that denies, and nothing else.
    let causes = causes(&web(), &verdict);
    assert_eq!(
        causes.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>(),
        ["single-replica", "too-few", "slow-policy"]
    );
}

fn failed(id: &str, action: Action) -> Failed {
    Failed { policy: policy(id), failure: Failure::Deadline, action, uncapped: action, spared: None }
}

#[test]
fn what_is_refused() {
    let summary = |review: &Review| denial(review, &denied(&["a-b"])).lines().next().unwrap().to_owned();
    let named = json!({"name": "web"});
    assert_eq!(summary(&review(&named, &json!({"operation": "DELETE"}))), "Deletion of Deployment web is refused:");
    assert_eq!(summary(&review(&named, &json!({"subResource": "scale"}))), "Scaling of Deployment web is refused:");
    let other =
        json!({"subResource": "scale", "resource": {"group": "example.com", "version": "v1", "resource": "shops"}});
    assert_eq!(summary(&review(&named, &other)), "Scaling of shops web is refused:");
    let debugged = json!({"subResource": "ephemeralcontainers", "kind": {"group": "", "version": "v1", "kind": "Pod"}});
    assert_eq!(summary(&review(&named, &debugged)), "Pod web is refused:");
    let generated = "Deployment web-… (name to be generated) is refused:";
    assert_eq!(summary(&review(&json!({"generateName": "web-"}), &json!({}))), generated);
    assert_eq!(summary(&review(&json!({}), &json!({}))), "Deployment (name to be generated) is refused:");
}

#[test]
fn never_longer_than_a_thousand_characters() {
    let long = "a long text that goes on, ".repeat(40);
    let hostile = json!({"name": "n".repeat(5000), "annotations": {"meta.helm.sh/release-name": "r".repeat(5000)}});
    let ids: Vec<String> = (0..70).map(|index| format!("policy-number-{index}")).collect();
    for count in [1, 2, 7, 70] {
        for (message, help) in [("is odd", "write better"), (&long, "write better"), ("is odd", &long), (&long, &long)]
        {
            for repeated in [1, 200] {
                let each = ids.iter().take(count).flat_map(|id| std::iter::repeat_n(id, repeated));
                let judged = each.map(|id| judged(id, Action::Deny, message, help)).collect();
                let contacts = vec!["c".repeat(120), "d".repeat(120), "e".repeat(120)];
                let explained = ids[..2].to_vec();
                let recourse = Recourse { contacts, explained, ..Recourse::default() };
                let more = vec![(policy(&ids[0]), 1000)];
                let verdict = Verdict { judged, recourse, more, ..Verdict::default() };
                let message = denial(&review(&hostile, &json!({})), &verdict);
                assert!(length(&message) <= MAX_MESSAGE, "{} characters: {message}", length(&message));
                let lines: Vec<&str> = message.lines().collect();
                assert!(lines[1].starts_with("• policy-number-0: "), "{message}");
                assert!(lines[lines.len() - 2].starts_with("• ") && lines[lines.len() - 2].contains(" more: "));
                assert!(lines[lines.len() - 1].ends_with("and 1 more"), "{message}");
            }
        }
    }
}

#[test]
fn what_is_left_out_is_named() {
    let ids: Vec<String> = (0..30).map(|index| format!("policy-{index}")).collect();
    let verdict = denied(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let message = denial(&web(), &verdict);
    assert!(message.starts_with("Deployment web is refused, for 30 reasons:\n"), "{message}");
    assert!(ids.iter().all(|id| message.contains(id.as_str())), "{message}");
    assert!(message.lines().filter(|line| line.starts_with('•')).all(|line| !line.contains('…')));
}

#[test]
fn names_stay_harmless() {
    let name = "web\n• other-policy: nothing\u{1b}[2J\u{202e}";
    let metadata = json!({"name": name, "annotations": {"meta.helm.sh/release-name": name}});
    let mut verdict = denied(&[]);
    verdict.judged.push(judged("a-b", Action::Deny, name, name));
    let message = denial(&review(&metadata, &json!({})), &verdict);
    assert!(!message.contains(['\u{1b}', '\u{202e}']) && message.contains("\\x1b[2J\\u202e"), "{message}");
    let bullets: Vec<_> = message.lines().filter(|line| line.trim_start().starts_with('•')).collect();
    assert!(bullets.len() == 1 && message.lines().count() == 3, "{message}");
}

#[test]
fn what_helm_made() {
    let says = |metadata: &Value, members: &Value| {
        denial(&review(metadata, members), &denied(&["a-b"])).lines().last().unwrap().to_owned()
    };
    let chart = "Helm made it: make the change in the chart's values. More: ";
    for labels in [json!({"app.kubernetes.io/managed-by": "Helm"}), json!({"helm.sh/chart": "web-1.2.3"})] {
        let metadata = json!({"name": "web", "labels": labels});
        assert!(says(&metadata, &json!({})).starts_with(chart));
        assert!(says(&metadata, &json!({"operation": "DELETE"})).starts_with("More: "));
    }
    let released = json!({"name": "web", "annotations": {"meta.helm.sh/release-name": "shop"}});
    let expected = "Helm made it (release shop): make the change in the chart's values. More: ";
    assert!(says(&released, &json!({})).starts_with(expected));
    let owners = json!([{"kind": "Pipeline", "name": "no"}, {"kind": "TaskRun", "name": "build", "controller": true}]);
    let owned = json!({"name": "web", "ownerReferences": owners});
    assert!(says(&owned, &json!({})).starts_with("TaskRun build made it: make the change there. More: "));
    let other = json!({"name": "web", "labels": {"app.kubernetes.io/managed-by": "argocd"}});
    assert!(says(&other, &json!({})).starts_with("More: "));
}

#[test]
fn how_to_go_on() {
    let says = |recourse: Recourse, members: Value| {
        let verdict = Verdict { recourse, ..denied(&["a-b", "c-d"]) };
        denial(&review(&json!({"name": "web"}), &members), &verdict).lines().last().unwrap().to_owned()
    };
    let (none, names) = (json!({}), |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let recourse = || Recourse { sets: names(&["one", "two"]), ..Recourse::default() };
    let ask = "To be exempted, ask the operators of Plimsoll: the ClusterPolicySets one and two deny it.";
    assert_eq!(says(recourse(), none.clone()), ask);
    let explained = names(&["a-b", "c-d"]);
    let both = format!("More: plimsoll explain a-b, plimsoll explain c-d. {ask}");
    assert_eq!(says(Recourse { explained, ..recourse() }, none.clone()), both);
    let explained = names(&["a-b", "c-d", "e-f"]);
    assert_eq!(
        says(Recourse { explained, ..recourse() }, none.clone()),
        format!("More: plimsoll explain ID, for each ID. {ask}")
    );

    let exemption_namespaces = names(&["exemptions", "platform"]);
    let exempting = || Recourse { exemption_namespaces: exemption_namespaces.clone(), ..recourse() };
    let exempt =
        "The operators of Plimsoll can exempt it, by a PolicyExemption in the namespace exemptions or platform.";
    assert_eq!(says(exempting(), none.clone()), exempt);
    let own = || Recourse { self_exempt: true, ..exempting() };
    let annotate = "To exempt it, annotate it with plimsoll.dev/ignore.ID: \"the reason\", for each ID.";
    assert_eq!(says(own(), none.clone()), annotate);
    assert_eq!(says(own(), json!({"operation": "DELETE"})), exempt);
    assert_eq!(says(own(), json!({"subResource": "scale"})), exempt);

    let contacts = names(&["#platform on Slack"]);
    assert_eq!(says(Recourse { contacts, ..own() }, none.clone()), "To be exempted, ask: #platform on Slack");
    let contacts = names(&["#platform on Slack", "https://shop.example.com/help"]);
    let both = "To be exempted, ask: #platform on Slack and https://shop.example.com/help";
    assert_eq!(says(Recourse { contacts, ..own() }, none), both);
}
