//! Every policy that depends on another object also runs when that object is applied last.
//!
//! The metadata of the bundle names the kinds that a policy reads (`requires`, `refines`). For each of these pairs,
//! `sets` has objects with a problem between them. Each object is reviewed last, beside the others. A pair without a
//! set is an exception, which the policy's page has to name under `## Order`. Policies of stage `source` run over files
//! alone, where no object is last.

mod sets;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use plimsoll::admission::Verdict;
use plimsoll::context::Context;
use plimsoll::context::files::{Files, Objects};
use plimsoll::engine::{Engine, Limits};
use plimsoll::judge;
use plimsoll::model::{Review, Severity};
use plimsoll::registry::{Options, Registry, Site, read};
use plimsoll_sdk::metadata::{Policy, Stage};
use serde_json::{Value, json};

use sets::Set;

#[test]
fn whichever_comes_last() -> Result<()> {
    let mut complaints = Vec::new();
    let mut pairs = 0;
    for policy in plimsoll_policies::metadata().policies.iter().filter(|policy| policy.stage == Stage::Both) {
        for kind in policy.requires.iter().chain(&policy.refines) {
            pairs += 1;
            if let Err(error) = pair(policy, kind) {
                complaints.push(format!("{} by {kind}: {error:#}", policy.id));
            }
        }
    }
    ensure!(pairs > 150, "only {pairs} pairs of a policy and a kind");
    ensure!(complaints.is_empty(), "{} of {pairs} pairs:\n{}", complaints.len(), complaints.join("\n"));
    Ok(())
}

/// The test above fails for a policy whose page does not name the kinds that it reads.
#[test]
fn a_pair_that_is_not_said_is_missed() -> Result<()> {
    let bundle = plimsoll_policies::metadata();
    let known = bundle.policies.iter().find(|policy| policy.id == "missing-readiness-probe").context("the policy")?;
    let silent = Policy { documentation: "Says nothing.".to_owned(), id: "new-policy".to_owned(), ..known.clone() };
    let error = pair(&silent, "/Service").expect_err("the page names no kind").to_string();
    ensure!(error.contains("neither a set"), "{error}");
    // A section about another kind does not count.
    let other = Policy { documentation: "Finds.\n\n## Order\nA LimitRange is left out.\n".to_owned(), ..silent };
    ensure!(pair(&other, "/Service").is_err() && pair(&other, "/LimitRange").is_ok());
    Ok(())
}

/// A Service that is applied last is checked with the first workloads by name, and with fewer if it has many ports. The
/// size alone never causes an error, and the message has the number of unchecked workloads.
#[test]
fn of_many_workloads_the_first_are_judged() -> Result<()> {
    let bench = Bench::new("missing-readiness-probe", &json!({}))?;
    let named = |number: usize, change: Value| {
        let mut object = sets::workload("apps/Deployment", &format!("w{number:02}"), json!({}));
        object["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = change;
        object
    };
    let probe = json!({"httpGet": {"path": "/", "port": 8080}});
    let without: Vec<_> = (0..20).map(|number| named(number, Value::Null)).collect();
    let with: Vec<_> = (0..20).map(|number| named(number, probe.clone())).collect();
    let mut wide = sets::service();
    let port = |number: u32| json!({"name": format!("p{number}"), "port": number});
    wide["spec"]["ports"] = (8000..14_000).map(port).collect();
    for (service, others, findings, more) in [
        (sets::service(), &without, 16, Some("4 more workloads")),
        (sets::service(), &with, 0, Some("4 more workloads")),
        (sets::service(), &without[..16].to_vec(), 16, None),
        (wide, &without, 1, Some("19 more workloads")),
    ] {
        ensure!(bench.judge(&service, others)?.assumed.is_empty(), "over files, each workload is reviewed on its own");
        let verdict = bench.judge_in_cluster(&service, others)?;
        ensure!(verdict.judged.len() == findings, "{} findings instead of {findings}", verdict.judged.len());
        let said: Vec<_> = verdict.assumed.iter().map(|(_, text)| text.as_str()).collect();
        ensure!(
            more.map_or(said.is_empty(), |more| said.iter().any(|text| text.contains(more))),
            "{said:?} instead of {more:?}"
        );
    }
    Ok(())
}

fn pair(policy: &Policy, kind: &str) -> Result<()> {
    let short = kind.rsplit('/').next().unwrap_or(kind);
    let is_said = order(policy).is_some_and(|section| names(section, short));
    match sets::of(&policy.id, kind) {
        Some(Set::Wrong { objects, .. } | Set::Fine(objects)) if is_said && position(&objects, kind).is_err() => Ok(()),
        Some(Set::Wrong { settings, objects }) => wrong(policy, kind, &settings, &objects),
        Some(Set::Fine(objects)) => fine(policy, kind, &objects),
        None => {
            ensure!(
                is_said,
                "there is neither a set of objects in tests/tests/order/sets.rs, nor a sentence about {short} under `## Order` on its page"
            );
            Ok(())
        }
    }
}

/// The section of the policy's page about objects that are applied last.
fn order(policy: &Policy) -> Option<&str> {
    let (_, section) = policy.documentation.split_once("## Order\n")?;
    section.split("\n## ").next()
}

fn names(section: &str, kind: &str) -> bool {
    section
        .split(|character: char| !character.is_ascii_alphanumeric())
        .any(|word| word == kind || word.strip_suffix('s') == Some(kind))
}

/// Each object has a finding when it is applied last, except for the documented exceptions. Without this kind, some
/// finding is less severe.
fn wrong(policy: &Policy, kind: &str, settings: &Value, objects: &[Value]) -> Result<()> {
    let bench = Bench::new(&policy.id, settings)?;
    let place = position(objects, kind)?;
    let mut with = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let found = bench.worst(object, &without(objects, index))?;
        let short = object["kind"].as_str().unwrap_or_default();
        let is_exception = index != place && order(policy).is_some_and(|section| names(section, short));
        ensure!(
            found.is_some() || is_exception,
            "there is no finding when {short} {} is applied last",
            object["metadata"]["name"]
        );
        with.push(found);
    }
    let rest = without(objects, place);
    let mut weaker = rest.is_empty();
    for (index, object) in rest.iter().enumerate() {
        let before = with[if index < place { index } else { index + 1 }];
        weaker |= bench.worst(object, &without(&rest, index))? < before;
    }
    ensure!(weaker, "the findings are the same without {kind}: the set proves nothing");
    Ok(())
}

/// An object of this kind has no finding itself, and makes no other finding more severe.
fn fine(policy: &Policy, kind: &str, objects: &[Value]) -> Result<()> {
    let bench = Bench::new(&policy.id, &json!({}))?;
    let place = position(objects, kind)?;
    let rest = without(objects, place);
    ensure!(bench.worst(&objects[place], &rest)?.is_none(), "there is a finding when {kind} is applied last");
    for (index, object) in rest.iter().enumerate() {
        let mut others = without(&rest, index);
        let before = bench.worst(object, &others)?;
        others.push(objects[place].clone());
        ensure!(
            bench.worst(object, &others)? <= before,
            "with {kind}, the findings about {} are more severe",
            object["metadata"]["name"]
        );
    }
    Ok(())
}

fn position(objects: &[Value], kind: &str) -> Result<usize> {
    objects.iter().position(|object| group_kind(object) == kind).context("the set has no object of this kind")
}

fn without(objects: &[Value], index: usize) -> Vec<Value> {
    let mut others = objects.to_vec();
    others.remove(index);
    others
}

fn group_kind(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    format!("{group}/{}", object["kind"].as_str().unwrap_or_default())
}

/// One policy with its settings.
struct Bench(Registry);

impl Bench {
    fn new(policy: &str, settings: &Value) -> Result<Self> {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        let engine = ENGINE.get_or_init(|| Engine::new(Limits::default()).expect("this machine runs WebAssembly"));
        let set = json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "order"},
            "spec": {"profile": "none", "policies": [{"id": policy, "settings": settings}]},
        });
        let shown = |errors: Vec<plimsoll::registry::ConfigError>| {
            anyhow::anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        };
        let sets = read(&set.to_string(), "order").map_err(shown)?;
        let options = Options { site: Site::Files, ..Options::default() };
        Registry::new(engine, sets, options).map(Self).map_err(shown)
    }

    /// The highest severity of a finding when this object is applied last, beside the others. Each finding must have
    /// its place in the reviewed object.
    fn worst(&self, object: &Value, others: &[Value]) -> Result<Option<Severity>> {
        let verdict = self.judge(object, others)?;
        for judged in &verdict.judged {
            let pointer = &judged.finding.at.pointer;
            ensure!(object.pointer(pointer).is_some(), "{pointer} is not in the object that is applied last");
        }
        Ok(verdict.judged.iter().map(|judged| judged.finding.severity).max())
    }

    fn judge(&self, object: &Value, others: &[Value]) -> Result<Verdict> {
        let review = Review::from_object(object).context("an object without a kind")?;
        self.judge_review(review, object, others)
    }

    /// A review of a Service, as the API server sends it.
    fn judge_in_cluster(&self, service: &Value, others: &[Value]) -> Result<Verdict> {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "operation": "CREATE", "namespace": "",
            "kind": {"group": "", "version": "v1", "kind": "Service"},
            "resource": {"group": "", "version": "v1", "resource": "services"},
            "name": service["metadata"]["name"], "object": service,
        }});
        self.judge_review(Review::from_admission_review(body.to_string().as_bytes())?, service, others)
    }

    fn judge_review(&self, review: Review, object: &Value, others: &[Value]) -> Result<Verdict> {
        let mut known = Objects::new(self.0.context_kinds(), Arc::clone(self.0.workloads()));
        others.iter().chain([object]).for_each(|object| known.add(object));
        let context: Arc<dyn Context> = Arc::new(Files::new(true, Arc::new(known)));
        let verdict = judge::validate(&self.0, &Arc::new(review), &context, Instant::now() + Duration::from_secs(10));
        ensure!(verdict.failed.is_empty(), "{:?}", verdict.failed);
        ensure!(verdict.skipped.is_empty(), "{:?}", verdict.skipped);
        Ok(verdict)
    }
}
