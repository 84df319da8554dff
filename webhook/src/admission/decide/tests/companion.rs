//! Findings that depend on other objects.

use super::*;

#[test]
fn what_is_missing_beside_an_object_counts_by_its_age() {
    let mut missing = policy("missing-disruption-budget", "availability", Severity::Error);
    missing.judges = Judges::Companion;
    let missing = selected(missing);
    let outcome = found(vec![finding("")]);
    let review = Request::create(deployment(&[("a", "x:1")])).review();
    let case = Case {
        review: &review,
        selected: std::slice::from_ref(&missing),
        outcomes: std::slice::from_ref(&outcome),
        template: Some("/spec/template"),
        now: now(),
    };
    let Decision::Verdict(verdict) = decide(&case, &Facts::default()) else { panic!("nothing is open") };
    assert!(verdict.judged.is_empty(), "on CREATE it says nothing");

    let aged = |created: &str, change: &dyn Fn(&mut Value), known: &Facts| {
        let mut before = deployment(&[("a", "x:1")]);
        before["metadata"]["creationTimestamp"] = json!(created);
        let mut after = before.clone();
        change(&mut after);
        decide_on(&Request::update(before, after), &missing, &outcome, known)
            .map(|judged| (judged.action, judged.spared))
    };
    let template = |object: &mut Value| object["spec"]["template"]["metadata"]["labels"]["v"] = json!("2");
    let more = |object: &mut Value| object["spec"]["replicas"] = json!(3);
    let fewer = |object: &mut Value| object["spec"]["replicas"] = json!(1);
    let confirmed = Facts {
        again: Some(HashMap::from([(0, outcome.clone())])),
        revisions: Some(Looked::Absent),
        ..Facts::default()
    };
    let old = "2026-06-01T11:50:00Z";
    assert_eq!(aged("2026-06-01T11:51:00Z", &template, &confirmed), Ok((Action::Warn, Some(Spared::Young))));
    assert_eq!(aged(old, &template, &confirmed), Ok((Action::Deny, None)));
    assert_eq!(aged(old, &more, &confirmed), Ok((Action::Deny, None)));
    let restart = |object: &mut Value| {
        object["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
    };
    assert_eq!(aged(old, &restart, &confirmed), Ok((Action::Audit, Some(Spared::Untouched))));
    // The order of items with names has no meaning.
    let environment = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    let mut before = deployment(&[("a", "x:1"), ("b", "y:1")]);
    before["metadata"]["creationTimestamp"] = json!(old);
    before["spec"]["template"]["spec"]["containers"][0]["env"] = environment;
    let after = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut after = before.clone();
        change(after["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap());
        let judged = decide_on(&Request::update(before.clone(), after), &missing, &outcome, &confirmed);
        judged.map(|judged| judged.action)
    };
    let reversed: &dyn Fn(&mut Vec<Value>) = &|containers| {
        containers.reverse();
        containers[1]["env"].as_array_mut().unwrap().reverse();
    };
    assert_eq!(after(reversed), Ok(Action::Audit));
    assert_eq!(after(&|containers| containers[0]["env"][1]["value"] = json!("3")), Ok(Action::Deny));
    assert_eq!(after(&|containers| drop(containers.pop())), Ok(Action::Deny));
    assert_eq!(aged(old, &fewer, &confirmed), Ok((Action::Audit, Some(Spared::Untouched))));
    assert_eq!(aged("yesterday", &more, &confirmed), Ok((Action::Warn, Some(Spared::Young))));
    // A Deny stays if a second look confirms it. Otherwise it becomes a warning.
    assert_eq!(aged(old, &more, &Facts::default()), Err(Need::Again(vec![0])));
    let late = Facts { again: Some(HashMap::from([(0, Err(Failure::Deadline))])), ..Facts::default() };
    assert_eq!(aged(old, &more, &late), Ok((Action::Deny, None)), "slowness confirms nothing, and refutes nothing");
    let there = Facts { again: Some(HashMap::from([(0, found(Vec::new()))])), ..Facts::default() };
    assert_eq!(aged(old, &more, &there), Ok((Action::Warn, Some(Spared::Unconfirmed))));
    let unknown = Facts { again: Some(HashMap::new()), ..Facts::default() };
    assert_eq!(aged(old, &more, &unknown), Ok((Action::Warn, Some(Spared::Unconfirmed))));
}

#[test]
fn what_the_same_release_may_end_only_warns() {
    let mut deadlock = finding("/spec/replicas");
    deadlock.unsettled = true;
    let (before, mut after) = (deployment(&[("a", "x:1")]), deployment(&[("a", "x:1")]));
    after["spec"]["replicas"] = json!(1);
    let judged = |request: &Request| {
        let known = Facts { revisions: Some(Looked::Absent), ..old(found(Vec::new())) };
        let judged = decide_on(request, &denying(), &found(vec![deadlock.clone()]), &known).unwrap();
        (judged.action, judged.spared)
    };
    let warned = (Action::Warn, Some(Spared::Unsettled));
    assert_eq!(judged(&Request::create(after.clone())), warned);
    let update = || Request::update(before.clone(), after.clone());
    assert_eq!(judged(&update()), warned);
    // A Scale changes only the number of Pods, so no object follows it.
    assert_eq!(judged(&update().with("subResource", json!("scale"))), (Action::Deny, None));
}
