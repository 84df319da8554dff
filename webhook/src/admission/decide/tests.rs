use std::time::Duration;

use plimsoll_sdk::metadata::{Judges, Severity};
use serde_json::{Value, json};

use super::*;
use crate::admission::message;
use crate::model::Evaluated;
use crate::registry::test_bundle::policy;
use crate::registry::{Actions, Policy, Version};

mod companion;

const MOMENT: &str = "2026-06-01T12:00:00Z";

fn now() -> Moment {
    Moment::parse(MOMENT).unwrap()
}

/// A request about a Deployment, by default an UPDATE by alice.
struct Request(Value);

impl Request {
    fn update(old: Value, new: Value) -> Self {
        Self(json!({
            "uid": "1",
            "operation": "UPDATE",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "namespace": "shop",
            "name": "web",
            "userInfo": {"username": "alice", "groups": ["dev"]},
            "object": new,
            "oldObject": old,
        }))
    }

    fn create(new: Value) -> Self {
        Self::update(Value::Null, new).with("operation", json!("CREATE"))
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.0[member] = value;
        self
    }

    fn by(self, user: &str) -> Self {
        self.with("userInfo", json!({"username": user}))
    }

    fn review(&self) -> Review {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": self.0});
        Review::from_admission_review(body.to_string().as_bytes()).unwrap()
    }
}

fn deployment(containers: &[(&str, &str)]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
    json!({
        "metadata": {"name": "web", "creationTimestamp": "2026-06-01T11:00:00Z", "uid": "u"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}},
    })
}

fn selected(policy: plimsoll_sdk::metadata::Policy) -> Selected {
    let policy = Policy {
        id: policy.id.clone(),
        bundle: 0,
        index: 0,
        judges: policy.judges,
        stage: policy.stage,
        metadata: policy,
    };
    Selected {
        policy: Arc::new(policy),
        settings: Arc::from([]),
        actions: Actions::default(),
        on_error: Action::Deny,
        spared: None,
        mutate: false,
        as_of: None,
        enforce_after: Duration::from_secs(600),
        self_exempt: false,
        exemption: None,
    }
}

fn denying() -> Selected {
    selected(policy("latest-image-tag", "image", Severity::Error))
}

/// A finding may have its own version. If a version is unknown, nothing counts as new.
#[test]
fn new_policies_and_findings() {
    let mut policy = policy("latest-image-tag", "image", Severity::Error);
    policy.since = "0.2.0-rc.1".to_owned();
    let mut selected = selected(policy);
    for (as_of, since, is_new) in [
        ("0.1", None, true),
        ("0.2", None, false),
        ("0.2.0-beta.1", None, true),
        ("0.2.0-rc.1", None, false),
        ("0.2.0-rc.1", Some("0.2.0"), true),
        ("0.2.0-rc.2", Some("0.3.0-rc.1"), true),
        ("0.2", Some("0.2.0-rc.9"), false),
        ("0.2", Some("soon"), false),
    ] {
        selected.as_of = Version::parse_bound(as_of);
        assert_eq!(selected.is_new(since), is_new, "{as_of} {since:?}");
    }
    selected.as_of = None;
    assert!(!selected.is_new(Some("9.0.0")));
}

fn finding(pointer: &str) -> Finding {
    message::tests::finding(pointer, "is bad", "write better")
}

fn found(findings: Vec<Finding>) -> Judgement {
    Ok(Outcome::Evaluated(Evaluated { findings, ..Evaluated::default() }))
}

fn decide_on(request: &Request, selected: &Selected, outcome: &Judgement, known: &Facts) -> Result<Judged, Need> {
    let review = request.review();
    let case = Case {
        review: &review,
        selected: std::slice::from_ref(selected),
        outcomes: std::slice::from_ref(outcome),
        template: Some("/spec/template"),
        now: now(),
    };
    match decide(&case, known) {
        Decision::Verdict(verdict) => Ok(verdict.judged.into_iter().next().expect("one finding")),
        Decision::Needs(need) => Err(need),
    }
}

fn old(judgement: Judgement) -> Facts {
    Facts { old: Some(HashMap::from([(0, judgement)])), ..Facts::default() }
}

const FIRST: &str = "/spec/template/spec/containers/0/image";
const SECOND: &str = "/spec/template/spec/containers/1/image";

#[test]
fn the_old_object_is_asked_for_only_where_there_is_a_deny_to_save() {
    let request = Request::update(deployment(&[("a", "x:latest")]), deployment(&[("a", "y:latest")]));
    let need = decide_on(&request, &denying(), &found(vec![finding(FIRST)]), &Facts::default()).unwrap_err();
    assert_eq!(need, Need::OldObject(vec![0]));
    let mut milder = finding(FIRST);
    milder.severity = Severity::Warning;
    let judged = decide_on(&request, &denying(), &found(vec![milder]), &Facts::default()).unwrap();
    assert_eq!(judged.action, Action::Warn);
}

/// An old object excuses nothing on CREATE, where there can be none.
#[test]
fn what_is_created_was_not_so_before() {
    let request = Request::create(deployment(&[("a", "x:latest")])).with("oldObject", deployment(&[("a", "x:latest")]));
    let known = old(found(vec![finding(FIRST)]));
    let judged = decide_on(&request, &denying(), &found(vec![finding(FIRST)]), &known).unwrap();
    assert_eq!((judged.action, judged.spared), (Action::Deny, None));
}

/// Inserted or reordered items are the same. Renamed, worse or added items are not.
#[test]
fn what_was_so_before_is_warned_of_and_what_is_worse_denied() {
    let before = deployment(&[("a", "x:latest"), ("b", "y:1")]);
    let was = || old(found(vec![finding(FIRST)]));
    let verdict = |after: &[(&str, &str)], at: &str, known: Facts| {
        let mut after = deployment(after);
        after["spec"]["replicas"] = json!(3);
        let judged = decide_on(&Request::update(before.clone(), after), &denying(), &found(vec![finding(at)]), &known);
        judged.map(|judged| (judged.action, judged.spared))
    };
    let spared = Ok((Action::Warn, Some(Spared::Ratchet)));
    assert_eq!(verdict(&[("a", "x:latest"), ("b", "y:1")], FIRST, was()), spared);
    assert_eq!(verdict(&[("b", "y:1"), ("a", "x:latest")], SECOND, was()), spared, "reordered");
    assert_eq!(verdict(&[("new", "z:1"), ("a", "x:latest"), ("b", "y:1")], SECOND, was()), spared, "inserted");
    let denied = |need: Result<(Action, Option<Spared>), Need>| {
        // The template changed, so the request could be a rollback.
        assert_eq!(need, Err(Need::Revisions));
    };
    denied(verdict(&[("a", "w:latest"), ("b", "y:1")], FIRST, was()));
    denied(verdict(&[("renamed", "x:latest"), ("b", "y:1")], FIRST, was()));
    denied(verdict(&[("a", "x:1"), ("b", "y:latest")], SECOND, was()));
    denied(verdict(
        &[("a", "x:latest"), ("b", "y:1"), ("c", "x:latest")],
        "/spec/template/spec/containers/2/image",
        was(),
    ));
    // The policy failed on the old object, so no known finding can excuse it.
    let after = |known| verdict(&[("a", "x:latest"), ("b", "y:1")], FIRST, known);
    assert_eq!(after(old(Err(Failure::Deadline))), Ok((Action::Deny, None)));
}

/// For a finding about several places: removing a bad place makes nothing worse, adding one does.
#[test]
fn a_finding_about_several_places() {
    let about = |pointers: &[&str]| {
        let mut finding = finding("/spec/template/spec");
        finding.about = pointers.iter().map(|pointer| (*pointer).to_owned()).collect();
        found(vec![finding])
    };
    let both = deployment(&[("a", "x:latest"), ("b", "y:latest")]);
    let mut one = deployment(&[("a", "x:latest")]);
    one["spec"]["paused"] = json!(true);
    let known = |judgement| Facts { revisions: Some(Looked::Absent), ..old(judgement) };
    let better = Request::update(both.clone(), one.clone());
    let judged = decide_on(&better, &denying(), &about(&[FIRST]), &known(about(&[FIRST, SECOND]))).unwrap();
    assert_eq!(judged.spared, Some(Spared::Ratchet));
    let worse = Request::update(one, both);
    let judged = decide_on(&worse, &denying(), &about(&[FIRST, SECOND]), &known(about(&[FIRST]))).unwrap();
    assert_eq!((judged.action, judged.spared), (Action::Deny, None));
}

#[test]
fn a_transition_is_not_excused_by_what_was() {
    let request = Request::update(deployment(&[("a", "x:1")]), deployment(&[("a", "x:1"), ("b", "y:1")]));
    let mut transition = policy("changed-selector", "service", Severity::Error);
    transition.judges = Judges::Transition;
    let known = Facts { revisions: Some(Looked::Absent), ..Facts::default() };
    let judged = decide_on(&request, &selected(transition), &found(vec![finding(FIRST)]), &known).unwrap();
    assert_eq!(judged.action, Action::Deny);
}

#[test]
fn what_only_touches_metadata_goes_through_but_for_the_labels_of_pods() {
    let before = deployment(&[("a", "x:latest")]);
    let mut after = before.clone();
    after["metadata"]["labels"] = json!({"team": "shop"});
    after["metadata"]["finalizers"] = json!([]);
    after["status"] = json!({"replicas": 1});
    let outcome = found(vec![finding(FIRST)]);
    let judged = decide_on(&Request::update(before.clone(), after.clone()), &denying(), &outcome, &Facts::default());
    assert_eq!(judged.unwrap().spared, Some(Spared::MetadataOnly));
    let failed = Request::update(before.clone(), after.clone()).review();
    let case = Case {
        review: &failed,
        selected: &[denying()],
        outcomes: &[Err(Failure::Deadline)],
        template: Some("/spec/template"),
        now: now(),
    };
    let Decision::Verdict(verdict) = decide(&case, &Facts::default()) else { panic!("nothing is open") };
    assert!(verdict.allowed(), "a policy that fails does not keep a finalizer");
    // An object whose owner does not exist is deleted, so a finding about the owner counts.
    let mut adopted = before.clone();
    adopted["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "nobody", "uid": "x"}]);
    let mut transition = policy("live-workload-removed", "availability", Severity::Error);
    transition.judges = Judges::Transition;
    let owned = found(vec![finding("/metadata/ownerReferences/0")]);
    for (user, action) in
        [("alice", Action::Deny), ("system:serviceaccount:kube-system:generic-garbage-collector", Action::Warn)]
    {
        let request = Request::update(before.clone(), adopted.clone()).by(user);
        let judged = decide_on(&request, &selected(transition.clone()), &owned, &Facts::default()).unwrap();
        assert_eq!(judged.action, action, "{user}");
        let judged = decide_on(&request, &denying(), &outcome, &Facts::default()).unwrap();
        assert_eq!(judged.spared, Some(Spared::MetadataOnly), "{user}");
    }
    let pod = json!({"group": "", "version": "v1", "kind": "Pod"});
    let relabelled = Request::update(before.clone(), after.clone()).with("kind", pod.clone());
    assert!(matches!(decide_on(&relabelled, &denying(), &outcome, &Facts::default()), Err(Need::OldObject(_))));
    after["metadata"]["labels"] = Value::Null;
    after["metadata"].as_object_mut().unwrap().remove("labels");
    let annotated = Request::update(before, after).with("kind", pod);
    let judged = decide_on(&annotated, &denying(), &outcome, &Facts::default()).unwrap();
    assert_eq!(judged.spared, Some(Spared::MetadataOnly));
}

/// An object that is being deleted can still be changed, and the change is judged.
#[test]
fn a_deletion_timestamp_excuses_nothing() {
    let mut before = deployment(&[("a", "x:1")]);
    before["metadata"]["deletionTimestamp"] = json!(MOMENT);
    let mut after = before.clone();
    after["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x:latest");
    let known = Facts { revisions: Some(Looked::Absent), ..old(found(Vec::new())) };
    let judged = decide_on(&Request::update(before, after), &denying(), &found(vec![finding(FIRST)]), &known).unwrap();
    assert_eq!(judged.action, Action::Deny);
}

fn revision(image: &str) -> Revision {
    let template = json!({
        "metadata": {"creationTimestamp": null, "labels": {"app": "web", "pod-template-hash": "123"}},
        "spec": {"containers": [{"name": "a", "image": image}]},
    });
    Revision { template: plimsoll_flat::to_document(&template).unwrap(), own: true }
}

#[test]
fn a_rollback_is_at_most_warned_of() {
    let before = deployment(&[("a", "x:2")]);
    let after = deployment(&[("a", "x:latest")]);
    let known = |revisions| Facts { revisions: Some(Looked::Found(revisions)), ..old(found(Vec::new())) };
    let request = Request::update(before.clone(), after.clone());
    let outcome = found(vec![finding(FIRST)]);
    let judged =
        decide_on(&request, &denying(), &outcome, &known(vec![revision("x:1"), revision("x:latest")])).unwrap();
    assert_eq!((judged.action, judged.spared), (Action::Warn, Some(Spared::Rollback)));
    let judged = decide_on(&request, &denying(), &outcome, &known(vec![revision("x:1")])).unwrap();
    assert_eq!(judged.action, Action::Deny);
    let forged = Revision { own: false, ..revision("x:latest") };
    assert_eq!(decide_on(&request, &denying(), &outcome, &known(vec![forged])).unwrap().action, Action::Deny);
    for unknown in [Looked::Unknown, Looked::Absent] {
        let known = Facts { revisions: Some(unknown), ..old(found(Vec::new())) };
        assert_eq!(decide_on(&request, &denying(), &outcome, &known).unwrap().action, Action::Deny);
    }
    // The request also changes something outside the template. That change is judged, the template is not.
    let mut more = after;
    more["spec"]["strategy"] = json!({"type": "Recreate"});
    let request = Request::update(before, more);
    let judged = decide_on(&request, &denying(), &outcome, &known(vec![revision("x:latest")])).unwrap();
    assert_eq!(judged.action, Action::Warn);
    let beside = found(vec![finding("/spec/strategy")]);
    let judged = decide_on(&request, &denying(), &beside, &known(vec![revision("x:latest")])).unwrap();
    assert_eq!(judged.action, Action::Deny);
}

/// The user applies an earlier manifest again. Values that the webhook filled in stay, although the user did not send
/// them.
#[test]
fn what_was_filled_in_makes_no_other_template() {
    let filled = |image: &str, non_root: Value, writable: Value| {
        let mut object = deployment(&[("a", image)]);
        let spec = &mut object["spec"]["template"]["spec"];
        spec["securityContext"] = json!({"runAsNonRoot": non_root});
        spec["containers"][0]["securityContext"] = json!({"readOnlyRootFilesystem": writable});
        object
    };
    let mut filling = denying();
    filling.mutate = true;
    let mut metadata = filling.policy.metadata.clone();
    metadata.edits = vec![
        "{template}/spec/securityContext/runAsNonRoot".to_owned(),
        "{template}/spec/containers/*/securityContext/readOnlyRootFilesystem".to_owned(),
    ];
    filling.policy = selected(metadata).policy;
    let known = || Facts { revisions: Some(Looked::Found(vec![revision("x:latest")])), ..old(found(Vec::new())) };
    let outcome = found(vec![finding(FIRST)]);
    let action = |selected: &Selected, before: Value, after: Value| {
        decide_on(&Request::update(before, after), selected, &outcome, &known()).unwrap().action
    };
    let before = || filled("x:2", json!(true), json!(true));
    assert_eq!(action(&filling, before(), filled("x:latest", json!(true), json!(true))), Action::Warn);
    assert_eq!(action(&denying(), before(), filled("x:latest", json!(true), json!(true))), Action::Deny, "not ours");
    // The author wrote a different value than the one that stayed.
    assert_eq!(action(&filling, before(), filled("x:latest", json!(false), json!(true))), Action::Deny);
    let mut more = filled("x:latest", json!(true), json!(true));
    more["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    assert_eq!(action(&filling, before(), more), Action::Deny);
}

#[test]
fn an_owner_excuses_what_a_controller_makes_of_it_if_it_exists() {
    let mut pod = deployment(&[("a", "x:latest")]);
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "r", "controller": true}]);
    let controller = "system:serviceaccount:kube-system:replicaset-controller";
    let outcome = found(vec![finding(FIRST)]);
    let known = |owner| Facts { owner: Some(owner), ..Facts::default() };
    let request = Request::create(pod.clone()).by(controller);
    let need = decide_on(&request, &denying(), &outcome, &Facts::default()).unwrap_err();
    assert!(matches!(need, Need::Owner(Owner { uid, .. }) if uid == "r"));
    for (looked, action) in
        [(Looked::Found(()), Action::Audit), (Looked::Absent, Action::Deny), (Looked::Unknown, Action::Deny)]
    {
        assert_eq!(decide_on(&request, &denying(), &outcome, &known(looked)).unwrap().action, action);
    }
    // These users are not built-in controllers, so they forged the owner.
    for user in
        ["alice", "system:serviceaccount:shop:replicaset-controller", "system:serviceaccount:kube-system:default"]
    {
        let judged =
            decide_on(&Request::create(pod.clone()).by(user), &denying(), &outcome, &Facts::default()).unwrap();
        assert_eq!(judged.action, Action::Deny, "{user}");
    }
}

#[test]
fn an_autoscaler_scales() {
    let scale = |replicas: u32| json!({"spec": {"replicas": replicas}});
    let request = |user: &str| {
        Request::update(scale(2), scale(0))
            .by(user)
            .with("kind", json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}))
            .with("subResource", json!("scale"))
    };
    let outcome = found(vec![finding("/spec/replicas")]);
    let hpa = request("system:serviceaccount:kube-system:horizontal-pod-autoscaler");
    let judged = decide_on(&hpa, &denying(), &outcome, &Facts::default()).unwrap();
    assert_eq!((judged.action, judged.spared), (Action::Warn, Some(Spared::Autoscaler)));
    let judged = decide_on(&request("alice"), &denying(), &outcome, &old(found(Vec::new()))).unwrap();
    assert_eq!(judged.action, Action::Deny);
}

#[test]
fn deletions() {
    let request = |user: &str| {
        Request::update(deployment(&[("a", "x:1")]), Value::Null).by(user).with("operation", json!("DELETE"))
    };
    let outcome = found(vec![finding("/metadata/annotations")]);
    let need = decide_on(&request("alice"), &denying(), &outcome, &Facts::default()).unwrap_err();
    assert_eq!(need, Need::Terminating);
    for (looked, action) in [
        (Looked::Found(false), Action::Deny),
        (Looked::Found(true), Action::Warn),
        (Looked::Absent, Action::Warn),
        (Looked::Unknown, Action::Deny),
    ] {
        let known = Facts { terminating: Some(looked), ..Facts::default() };
        assert_eq!(decide_on(&request("alice"), &denying(), &outcome, &known).unwrap().action, action);
    }
    for collector in ["generic-garbage-collector", "namespace-controller"] {
        assert!(is_system_deletion(&request(&format!("system:serviceaccount:kube-system:{collector}")).review()));
        assert!(!is_system_deletion(&request(&format!("system:serviceaccount:shop:{collector}")).review()));
    }
}

fn silenced(annotation: &str, selected: &Selected, severity: Severity) -> (usize, Vec<String>) {
    let mut object = deployment(&[("a", "x:latest")]);
    object["metadata"]["annotations"] = json!({"plimsoll.dev/ignore.latest-image-tag": annotation});
    let review = Request::create(object).review();
    let mut finding = finding(FIRST);
    finding.severity = severity;
    let case = Case {
        review: &review,
        selected: std::slice::from_ref(selected),
        outcomes: &[found(vec![finding])],
        template: Some("/spec/template"),
        now: now(),
    };
    let Decision::Verdict(verdict) = decide(&case, &Facts::default()) else { panic!("nothing is open") };
    assert_eq!(verdict.judged.len() + verdict.silenced.len(), 1);
    (verdict.silenced.len(), verdict.unused.into_iter().map(|unused| unused.complaint).collect())
}

#[test]
fn an_annotation_silences_what_is_not_denied() {
    let mut lenient = denying();
    lenient.self_exempt = true;
    let last = |selected: &Selected, text, severity| {
        let (count, unused) = silenced(text, selected, severity);
        assert_eq!(count == 1, unused.is_empty());
        unused.first().cloned()
    };
    let (warning, error) = (Severity::Warning, Severity::Error);
    assert_eq!(last(&denying(), "a mirror without tags", warning), None);
    assert_eq!(last(&denying(), "until the move until=2026-06-01", warning), None);
    let over = "is over; take it away, or give it another end";
    assert_eq!(last(&denying(), "until the move until=2026-05-31", warning).as_deref(), Some(over));
    let reason = "has no reason, so it counts for nothing; write why as its value";
    assert_eq!(last(&denying(), " ", warning).as_deref(), Some(reason));
    assert_eq!(last(&denying(), "until=2026-07-01", warning).as_deref(), Some(reason));
    assert!(last(&denying(), "x until=tomorrow", warning).unwrap().contains("\"tomorrow\", which is no date"));
    let denied = "cannot silence what is denied; ask for a PolicyExemption";
    assert_eq!(last(&denying(), "please", error).as_deref(), Some(denied));
    assert_eq!(last(&lenient, "please", error), None);
    // The same holds in mode `observe`: `check` and the cluster agree.
    let mut observed = denying();
    observed.spared = Some(Spared::Observed);
    assert_eq!(last(&observed, "please", error).as_deref(), Some(denied));
}
