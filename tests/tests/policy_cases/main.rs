//! Every case of every built-in policy (docs/policy-cases.md): natively, as WebAssembly, fixed, mutated, and on what a
//! real API server makes of it. `PLIMSOLL_CASES=part of an id,another` runs some of them.
#![allow(clippy::print_stdout, reason = "a test harness of its own prints its result")]

mod advice;
mod case;
mod classes;
mod native;
mod openapi;
mod refusals;
mod server;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use plimsoll::admission::decide;
use plimsoll::context::files::{Files, Objects};
use plimsoll::context::{Context, Surrounded};
use plimsoll::engine::{Call, Engine, Input, Limits, Session};
use plimsoll::model::{Edit, Evaluated, FixClass, Outcome, Review, Subject, edit};
use plimsoll::registry::{Options, Registry, Selected, Site, read};
use plimsoll::{judge, yaml};
use plimsoll_sdk::guest::Subject as GuestSubject;
use plimsoll_sdk::metadata::Stage;
use serde_json::{Value, json};

use case::{Case, Expected};

const MAX_ROUNDS: usize = 5;

fn main() -> std::process::ExitCode {
    let filter = std::env::var("PLIMSOLL_CASES").unwrap_or_default();
    let mut cases = Vec::new();
    let mut failed = Vec::new();
    let is_asked = |id: &&str| filter.split(',').any(|part| id.contains(part));
    for policy in plimsoll_policies::metadata().policies.iter().filter(|policy| is_asked(&policy.id.as_str())) {
        let file = format!("policies/cases/{}/{}.md", policy.category, policy.id);
        match Case::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&file)).context(file) {
            Ok(read) => cases.extend(read),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    let mut passed = 0;
    for case in &cases {
        match run(case) {
            Ok(()) => passed += 1,
            Err(error) => failed.push(format!("{}: {}\n{error:#}", case.file, case.title)),
        }
    }
    let (followed, refused) = advice::follow(&cases, filter.is_empty());
    println!("{followed} pieces of advice were followed");
    passed += followed.saturating_sub(refused.len());
    failed.extend(refused);
    match std::env::var_os("PLIMSOLL_CASES_OFFLINE") {
        Some(_) => println!("the comparison with the API server was skipped (PLIMSOLL_CASES_OFFLINE)"),
        None => match on_the_api_server(&cases) {
            Ok((compared, differences)) => {
                passed += compared;
                failed.extend(differences);
            }
            Err(error) => failed.push(format!("the API server: {error:#}")),
        },
    }
    for failure in &failed {
        println!("FAILED {failure}\n");
    }
    println!(
        "test result: {}. {passed} passed; {} failed",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len()
    );
    println!("{passed} passed, {} failed", failed.len());
    std::process::ExitCode::from(u8::from(!failed.is_empty()))
}

/// A policy with the settings of a case, ready to run.
struct Bench {
    registry: Arc<Registry>,
    context: Arc<dyn Context>,
    /// The same, of which all is shown.
    whole: Arc<dyn Context>,
    /// Whether the case is about what is not judged.
    skips: bool,
}

impl Bench {
    fn new(case: &Case, site: Site) -> Result<Self> {
        let engine = Self::engine();
        let mut entry = json!({"id": case.file, "mutate": case.mutated.is_some()});
        if let Some(settings) = &case.settings {
            entry["settings"] = documents(settings)?.into_iter().next().context("settings")?;
        }
        let set = json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "case"},
            "spec": {"profile": "none", "policies": [entry]},
        });
        let registry = Self::registry(engine, &set.to_string(), case.version.clone(), site)?;
        // Of the kinds that this policy declares alone.
        let given: Vec<Value> = documents(&case.input)?.into_iter().chain(documents(&case.context)?).collect();
        let [context, whole] = [Arc::clone(registry.workloads()), Arc::default()].map(|workloads| {
            let mut objects = Objects::new(registry.context_kinds(), workloads);
            given.iter().for_each(|object| objects.add(object));
            Arc::new(Files::new(!case.open, Arc::new(objects))) as Arc<dyn Context>
        });
        Ok(Self { registry, context, whole, skips: case.skipped })
    }

    fn engine() -> &'static Engine {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        ENGINE.get_or_init(|| Engine::new(Limits::default()).expect("this machine runs WebAssembly"))
    }

    /// The registry of a PolicySet. A registry compiles the bundle, so cases with the same settings share one.
    fn registry(engine: &Engine, set: &str, version: Option<String>, site: Site) -> Result<Arc<Registry>> {
        static KNOWN: Mutex<BTreeMap<String, Arc<Registry>>> = Mutex::new(BTreeMap::new());
        let key = format!("{set} {version:?} {site:?}");
        let mut known = KNOWN.lock().map_err(|_| anyhow::anyhow!("another case panicked"))?;
        if let Some(registry) = known.get(&key) {
            return Ok(Arc::clone(registry));
        }
        let shown = |errors: Vec<plimsoll::registry::ConfigError>| {
            anyhow::anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        };
        let sets = read(set, "case").map_err(shown)?;
        let options = Options { kubernetes_version: version, site, ..Options::default() };
        let registry = Arc::new(Registry::new(engine, sets, options).map_err(shown)?);
        known.insert(key, Arc::clone(&registry));
        Ok(registry)
    }

    fn selected(&self, review: &Review) -> Option<Selected> {
        self.registry.select(review).into_iter().next()
    }

    /// The report of the case's policy on a review; natively and as WebAssembly, which must agree.
    fn report(&self, review: Review) -> Result<Evaluated> {
        let Some(selected) = self.selected(&review) else { return Ok(Evaluated::default()) };
        let review = Arc::new(review);
        let environment = self.registry.environment(&review);
        let surrounded = Surrounded::new(Arc::clone(&review), Arc::clone(&self.context));
        let surroundings = Arc::new(surrounded.knowing(self.registry.workloads()));
        // Shown all of every object, it must say the same: what it reads is declared.
        let everything = Surrounded::new(Arc::clone(&review), Arc::clone(&self.whole));
        let bundle = self.registry.bundles()[selected.policy.bundle].clone();
        let call = Call { policy: selected.policy.index, settings: &selected.settings };
        let (subject, in_guest) = match review.object() {
            Some(_) => (Subject::Object, GuestSubject::Object),
            None => (Subject::OldObject, GuestSubject::OldObject),
        };
        let input = Input { environment: &environment, review: review.document(), subject };
        let deadline = Instant::now() + Duration::from_secs(10);
        let outcome = Session::new(bundle, surroundings, deadline)
            .evaluate(&input, &[call])
            .into_iter()
            .next()
            .context("an outcome")?
            .map_err(|failure| anyhow::anyhow!("the policy failed: {failure}"))?;
        let native = native::outcome(
            selected.policy.index,
            &environment,
            review.document(),
            &selected.settings,
            &everything,
            in_guest,
        );
        let wasm = native::write_wasm(&outcome);
        ensure!(native == wasm, "native and WebAssembly differ:\n{native}\nagainst\n{wasm}");
        match outcome {
            Outcome::Evaluated(report) => Ok(report),
            Outcome::Skipped(_) if self.skips => Ok(Evaluated::default()),
            Outcome::Skipped(reason) => bail!("skipped: {reason}"),
        }
    }

    /// How many of these objects the policy does not judge.
    fn skipped(&self, objects: &[Value]) -> Result<usize> {
        let mut skipped = 0;
        for object in objects {
            let review = Arc::new(Review::from_object(object).context("an object without a kind")?);
            let verdict =
                judge::validate(&self.registry, &review, &self.context, Instant::now() + Duration::from_secs(10));
            // An edit that is not declared, say, is refused only there.
            ensure!(verdict.failed.is_empty(), "{:?}", verdict.failed);
            skipped += verdict.skipped.len();
        }
        Ok(skipped)
    }
}

fn documents(text: &str) -> Result<Vec<Value>> {
    yaml::read(text).into_iter().map(|document| Ok(document?.value().clone())).collect()
}

fn review(case: &Case, object: &Value) -> Result<Review> {
    match &case.old {
        None if case.deleted => deletion(object),
        None => of_file(case, object),
        Some(old) => {
            let old = documents(old)?.into_iter().next().context("an old object")?;
            admission_review(object, Some(&old), None)
        }
    }
}

/// An object of a file, which says where the input declares it with other content, as `check` does.
fn of_file(case: &Case, object: &Value) -> Result<Review> {
    let review = Review::from_object(object).context("an object without a kind")?;
    let objects = documents(&case.input)?;
    let identity = |object: &Value| {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = plimsoll::model::Kind::from_api_version(&text("/apiVersion"), &text("/kind"));
        (kind.group_kind(), text("/metadata/namespace"), text("/metadata/name"))
    };
    let same: Vec<&Value> = objects.iter().filter(|other| identity(other) == identity(object)).collect();
    let is_last = same.last().is_some_and(|last| *last == object) && !review.name.is_empty();
    if !is_last || same.iter().all(|other| *other == object) {
        return Ok(review);
    }
    review.with_declarations(&["another document".to_owned()]).context("a review with declarations")
}

fn deletion(object: &Value) -> Result<Review> {
    let mut review = request(object, "DELETE");
    review["request"]["oldObject"] = review["request"]["object"].take();
    Ok(Review::from_admission_review(review.to_string().as_bytes())?)
}

/// The review that the API server would send; `applied` is what `kubectl apply` leaves in the annotation.
fn admission_review(object: &Value, old: Option<&Value>, applied: Option<&Value>) -> Result<Review> {
    let mut object = object.clone();
    if let Some(applied) = applied {
        object["metadata"]["annotations"][plimsoll::model::review::LAST_APPLIED] = applied.to_string().into();
    }
    let mut review = request(&object, if old.is_some() { "UPDATE" } else { "CREATE" });
    review["request"]["oldObject"] = old.cloned().unwrap_or_default();
    Ok(Review::from_admission_review(review.to_string().as_bytes())?)
}

fn request(object: &Value, operation: &str) -> Value {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = plimsoll::model::Kind::from_api_version(&text("/apiVersion"), &text("/kind"));
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "case", "operation": operation,
            "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "name": text("/metadata/name"), "namespace": text("/metadata/namespace"),
            "object": object,
        },
    })
}

fn run(case: &Case) -> Result<()> {
    let bench = Bench::new(case, Site::Files)?;
    let read = yaml::read(&case.input);
    let mut found = Vec::new();
    for document in read {
        let document = document?;
        for finding in bench.report(review(case, document.value())?)?.findings {
            let (place, nearest) = document.locate_nearest(&finding.at.pointer);
            ensure!(nearest == finding.at.pointer, "{:?} is not in the input", finding.at.pointer);
            ensure!(!finding.help.is_empty(), "a finding without help: {}", finding.message);
            let line = place.key.unwrap_or(place.value).line;
            found.push((line, finding));
        }
    }
    let expected = case.expected()?;
    compare(&expected, &found)?;
    let skipped = bench.skipped(&documents(&case.input)?)?;
    ensure!(case.skipped == (skipped > 0), "{skipped} objects of the input were skipped");
    for (class, text) in &case.fixed {
        let fixed = fix(case, &case.input, *class)?;
        ensure!(fixed == *text, "--fix={} gives\n{fixed}\ninstead of\n{text}", class.as_str());
        let again = fix(case, &fixed, *class)?;
        ensure!(again == fixed, "--fix={} is not idempotent:\n{again}", class.as_str());
        no_new_finding(case, &fixed, *class, found.iter().map(|(_, finding)| finding))?;
    }
    if let Some(mutated) = &case.mutated {
        let wanted = documents(mutated)?;
        for (object, wanted) in documents(&case.input)?.iter().zip(&wanted) {
            let mutate = |object: &Value| -> Result<Value> {
                let old = case.old.as_deref().map(documents).transpose()?.and_then(|old| old.into_iter().next());
                let review = Arc::new(admission_review(object, old.as_ref(), Some(object))?);
                let deadline = Instant::now() + Duration::from_secs(10);
                let mutation = judge::mutate(&bench.registry, &review, &bench.context, deadline);
                let mut result = mutation.object.unwrap_or_else(|| object.clone());
                // The annotation is the test's own.
                if let Some(metadata) = result.get_mut("metadata").and_then(Value::as_object_mut)
                    && metadata
                        .get("annotations")
                        .is_some_and(|map| map.as_object().is_some_and(serde_json::Map::is_empty))
                {
                    metadata.remove("annotations");
                }
                Ok(result)
            };
            let once = mutate(object)?;
            ensure!(once == *wanted, "mutation gives\n{once:#}\ninstead of\n{wanted:#}");
            ensure!(mutate(&once)? == once, "mutation is not idempotent");
        }
    }
    Ok(())
}

fn compare(expected: &[Expected], found: &[(usize, plimsoll::model::Finding)]) -> Result<()> {
    let mut open: Vec<_> = found.iter().collect();
    let mut problems = String::new();
    for wanted in expected {
        let matching = open.iter().position(|(line, finding)| {
            *line == wanted.line
                && finding.severity == wanted.severity
                && finding.at.missing == wanted.missing
                && wanted.text.as_ref().is_none_or(|text| finding.message.contains(text.as_str()))
        });
        match matching {
            Some(index) => drop(open.remove(index)),
            None => drop(writeln!(problems, "expected, but not found: {wanted:?}")),
        }
    }
    for (line, finding) in open {
        let _ = writeln!(
            problems,
            "found, but not expected: line {line}: {:?} missing={} {:?} (at {})",
            finding.severity, finding.at.missing, finding.message, finding.at.pointer
        );
    }
    ensure!(problems.is_empty(), "{problems}");
    Ok(())
}

/// The input after the fixes of this class and those before it, repeated until nothing changes.
fn fix(case: &Case, input: &str, class: FixClass) -> Result<String> {
    let mut text = input.to_owned();
    for _ in 0..MAX_ROUNDS {
        let changed = Case {
            input: text.clone(),
            file: case.file.clone(),
            settings: case.settings.clone(),
            context: case.context.clone(),
            version: case.version.clone(),
            open: case.open,
            skipped: case.skipped,
            ..Case::default()
        };
        let bench = Bench::new(&changed, Site::Files)?;
        let mut edits: Vec<(usize, Vec<Edit>)> = Vec::new();
        for (index, document) in yaml::read(&text).into_iter().enumerate() {
            let document = document?;
            let mut object = document.value().clone();
            let mut of_document = Vec::new();
            for finding in bench.report(review(case, document.value())?)?.findings {
                let Some(fix) = finding.fix.filter(|fix| fix.class <= class) else { continue };
                if fix.edits.iter().all(|edit| of_document.contains(edit)) {
                    continue;
                }
                edit::apply(&mut object, &fix.edits)?;
                of_document.extend(fix.edits);
            }
            if !of_document.is_empty() {
                edits.push((index, of_document));
            }
        }
        if edits.is_empty() {
            return Ok(text);
        }
        let spliced = yaml::splice::apply(&text, &edits);
        if let Some(refusal) = spliced.refused.first() {
            bail!("the edit was refused: {}", refusal.reason);
        }
        ensure!(spliced.text != text, "the fix changes nothing: {edits:?}");
        text = spliced.text;
    }
    bail!("the fix does not converge:\n{text}")
}

/// After the fix its findings are gone, and none has come that was not there before.
fn no_new_finding<'a>(
    case: &Case,
    fixed: &str,
    class: FixClass,
    before: impl Iterator<Item = &'a plimsoll::model::Finding>,
) -> Result<()> {
    let before: Vec<_> = before.collect();
    let changed = Case {
        input: fixed.to_owned(),
        file: case.file.clone(),
        settings: case.settings.clone(),
        context: case.context.clone(),
        version: case.version.clone(),
        open: case.open,
        skipped: case.skipped,
        ..Case::default()
    };
    let bench = Bench::new(&changed, Site::Files)?;
    for object in documents(fixed)? {
        for finding in bench.report(review(case, &object)?)?.findings {
            let known = before.iter().any(|old| {
                // A finding that names several things may lose one of them. Its message then says less.
                let is_rest = old.about.contains(&finding.at.full()) || old.at.full() == finding.at.full();
                old.at == finding.at && old.message == finding.message || is_rest && old.severity >= finding.severity
            });
            ensure!(known, "the fix makes a new finding: {}", finding.message);
            ensure!(finding.fix.as_ref().is_none_or(|fix| fix.class > class), "still there: {}", finding.message);
        }
    }
    Ok(())
}

/// Findings of the input as the real API server would store it, against those of the file.
fn on_the_api_server(cases: &[Case]) -> Result<(usize, Vec<String>)> {
    let mut wanted = Vec::new();
    for case in cases.iter().filter(|case| !case.rejected && !case.deleted) {
        for object in documents(&case.input)? {
            wanted.push((case, object));
        }
    }
    if wanted.is_empty() {
        return Ok((0, Vec::new()));
    }
    let texts: Vec<String> = wanted.iter().map(|(_, object)| object.to_string()).collect();
    let control_plane = server::control_plane()?;
    let openapi = openapi::OpenApi::read(control_plane)?;
    let answers = control_plane.defaulted_all(&texts)?;
    let (mut compared, mut differences) = server::says_it_itself(cases)?;
    let mut taken = Vec::new();
    for ((case, object), answer) in wanted.iter().zip(&answers) {
        let title = format!("{}: {} (on the API server)", case.file, case.title);
        if let Ok(stored) = answer {
            taken.push((*case, object, stored));
        }
        match answer {
            Err(refusal) if refusal.contains("no matches for kind") => {}
            Err(refusal) => differences.push(format!("{title}\nrefused; mark the case `rejected`: {refusal}")),
            Ok(stored) => {
                match places_exist(case, object, &openapi).and_then(|()| same_findings(case, object, stored)) {
                    Ok(()) => compared += 1,
                    Err(error) => differences.push(format!("{title}\n{error:#}")),
                }
            }
        }
    }
    let (kept, broken) = classes::compare(cases, control_plane)?;
    println!("{kept} fixes were compared after the API's defaults");
    differences.extend(broken);
    let (held, untrue) = refusals::compare(cases, control_plane)?;
    println!("{held} refusals were claimed, and happen");
    differences.extend(untrue);
    let (tried, unsaid) = server::takes_the_pods(&taken)?;
    differences.extend(unsaid);
    Ok((compared + kept + held + tried, differences))
}

/// Every place that a finding names or a fix writes is one that the kind has.
fn places_exist(case: &Case, object: &Value, openapi: &openapi::OpenApi) -> Result<()> {
    for finding in Bench::new(case, Site::Files)?.report(review(case, object)?)?.findings {
        let edits = finding.fix.iter().flat_map(|fix| &fix.edits).map(|edit| edit.pointer().to_owned());
        for pointer in [finding.at.full()].into_iter().chain(finding.about.clone()).chain(edits) {
            ensure!(openapi.has(object, &pointer), "the API has no {pointer}");
        }
    }
    Ok(())
}

fn same_findings(case: &Case, object: &Value, stored: &Value) -> Result<()> {
    let bench = Bench::new(case, Site::Cluster)?;
    let keys = |review: Review| -> Result<Vec<String>> {
        let copy = review.clone();
        let report = bench.report(review)?;
        let key = |finding| {
            let key = decide::key(&case.file, finding, copy.object());
            // Where the value is missing in the file and defaulted in the cluster, the logical place is the same.
            format!("{:?} {key} {}", finding.severity, finding.message)
        };
        let mut keys: Vec<String> = report.findings.iter().map(key).collect();
        keys.sort();
        Ok(keys)
    };
    let old = case.old.as_deref().map(documents).transpose()?.and_then(|old| old.into_iter().next());
    // The namespace that kubectl filled in is the case's own.
    let mut stored = stored.clone();
    if object.pointer("/metadata/namespace").is_none()
        && let Some(metadata) = stored.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.remove("namespace");
    }
    // A dry run gives each object a new uid, which the owner references of the case don't name.
    if let Some(uid) = object.pointer("/metadata/uid") {
        stored["metadata"]["uid"] = uid.clone();
    }
    let of_file = keys(review(case, object)?)?;
    let of_cluster = keys(admission_review(&stored, old.as_ref(), Some(object))?)?;
    if plimsoll_policies::POLICIES
        .iter()
        .any(|policy| policy.id == case.file && (policy.metadata)().stage == Stage::Source)
    {
        ensure!(of_cluster.is_empty(), "what runs over files alone found {of_cluster:?} in the cluster");
        return Ok(());
    }
    ensure!(of_file == of_cluster, "in the file {of_file:#?}\nin the cluster {of_cluster:#?}");
    Ok(())
}
