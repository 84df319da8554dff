//! A policy with the settings of a case, and its reviews.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use plimsoll::context::files::{Files, Objects};
use plimsoll::context::{Context, Surrounded};
use plimsoll::engine::{Call, Engine, Input, Limits, Session};
use plimsoll::model::{Evaluated, Outcome, Review, Subject};
use plimsoll::registry::{ConfigError, Options, Registry, Selected, Site, read};
use plimsoll::{judge, yaml};
use plimsoll_sdk::guest::Subject as GuestSubject;
use plimsoll_sdk::metadata;
use serde_json::{Value, json};

use crate::case::Case;
use crate::{native, suite};

/// A policy with the settings of a case, ready to run.
#[derive(Debug)]
pub struct Bench {
    /// The registry of a PolicySet with this policy alone.
    pub registry: Arc<Registry>,
    /// The objects of the case, reduced to the declared fields.
    pub context: Arc<dyn Context>,
    /// The same objects with all fields.
    whole: Arc<dyn Context>,
    /// Whether the case expects that the policy skips objects.
    skips: bool,
}

/// Reads a PolicySet that states the defaults of a policy's settings, and lets the policy check them.
pub(crate) fn check_defaults(policy: &metadata::Policy) -> Result<()> {
    let set = json!({
        "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "case"},
        "spec": {"profile": "none", "policies": [{"id": policy.id, "settings": policy.settings_defaults}]},
    });
    let registry = Bench::registry(Bench::engine()?, &set.to_string(), None, Site::Files)?;
    let bundle = registry.bundles().first().context("the bundle")?;
    let index = bundle.metadata().policies.iter().position(|known| known.id == policy.id).context("the policy")?;
    let faults = bundle
        .check_settings(u32::try_from(index)?, &plimsoll_sdk::flat::to_document(&policy.settings_defaults)?)
        .map_err(|failure| anyhow::anyhow!("the check of the settings failed: {failure}"))?;
    ensure!(faults.is_empty(), "the policy rejects its own defaults: {faults:?}");
    Ok(())
}

impl Bench {
    /// Makes the bench of a case.
    ///
    /// # Errors
    /// If the YAML or the settings of the case are wrong.
    pub fn new(case: &Case, site: Site) -> Result<Self> {
        let engine = Self::engine()?;
        let mut entry = json!({"id": case.file, "mutate": case.mutated.is_some()});
        if let Some(settings) = &case.settings {
            entry["settings"] = documents(settings)?.into_iter().next().context("settings")?;
        }
        let set = json!({
            "apiVersion": "plimsoll.dev/v1alpha1", "kind": "ClusterPolicySet", "metadata": {"name": "case"},
            "spec": {"profile": "none", "policies": [entry]},
        });
        let registry = Self::registry(engine, &set.to_string(), case.version.clone(), site)?;
        // Only kinds that this policy declares.
        let given: Vec<Value> = documents(&case.input)?.into_iter().chain(documents(&case.context)?).collect();
        let [context, whole] = [Arc::clone(registry.workloads()), Arc::default()].map(|workloads| {
            let mut objects = Objects::new(registry.context_kinds(), workloads);
            given.iter().for_each(|object| objects.add(object));
            Arc::new(Files::new(!case.open, Arc::new(objects))) as Arc<dyn Context>
        });
        Ok(Self { registry, context, whole, skips: case.skipped })
    }

    /// The engine of all cases.
    ///
    /// # Errors
    /// If this machine cannot run WebAssembly.
    pub fn engine() -> Result<&'static Engine> {
        static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
        let engine = ENGINE.get_or_init(|| Engine::new(Limits::default()).map_err(|error| format!("{error:#}")));
        engine.as_ref().map_err(|error| anyhow::anyhow!("WebAssembly cannot run on this machine: {error}"))
    }

    /// The registry of a PolicySet. A registry compiles the bundle, so cases with the same settings share one.
    ///
    /// # Errors
    /// The mistakes of the PolicySet.
    pub fn registry(engine: &Engine, set: &str, version: Option<String>, site: Site) -> Result<Arc<Registry>> {
        static KNOWN: Mutex<BTreeMap<String, Arc<Registry>>> = Mutex::new(BTreeMap::new());
        let key = format!("{set} {version:?} {site:?}");
        let mut known = KNOWN.lock().map_err(|_| anyhow::anyhow!("another case panicked"))?;
        if let Some(registry) = known.get(&key) {
            return Ok(Arc::clone(registry));
        }
        let shown = |errors: Vec<ConfigError>| {
            anyhow::anyhow!(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        };
        let sets = read(set, "case").map_err(shown)?;
        let options = Options { kubernetes_version: version, site, ..Options::default() };
        let registry = Registry::with_bundle(engine, &suite()?.component, sets, options);
        let registry = Arc::new(registry.map_err(shown)?);
        known.insert(key, Arc::clone(&registry));
        Ok(registry)
    }

    fn selected(&self, review: &Review) -> Option<Selected> {
        self.registry.select(review).into_iter().next()
    }

    /// The report of the case's policy on a review. Native code and WebAssembly must agree.
    ///
    /// # Errors
    /// If both do not agree, if the policy fails, or if it skips the object and the case does not expect that.
    pub fn report(&self, review: Review) -> Result<Evaluated> {
        let Some(selected) = self.selected(&review) else { return Ok(Evaluated::default()) };
        let review = Arc::new(review);
        let environment = self.registry.environment(&review);
        let surrounded = Surrounded::new(Arc::clone(&review), Arc::clone(&self.context));
        let surroundings = Arc::new(surrounded.knowing(self.registry.workloads()));
        // The native run sees all fields of every object. An equal result shows that the policy reads only declared
        // fields.
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
        )?;
        let wasm = native::write_wasm(&outcome);
        ensure!(native == wasm, "native and WebAssembly differ:\n{native}\nagainst\n{wasm}");
        match outcome {
            Outcome::Evaluated(report) => Ok(report),
            Outcome::Skipped(_) if self.skips => Ok(Evaluated::default()),
            Outcome::Skipped(reason) => bail!("skipped: {reason}"),
        }
    }

    /// The number of these objects that the policy skips.
    pub(crate) fn skipped(&self, objects: &[Value]) -> Result<usize> {
        let mut skipped = 0;
        for object in objects {
            let review = Arc::new(Review::from_object(object).context("an object without a kind")?);
            let verdict =
                judge::validate(&self.registry, &review, &self.context, Instant::now() + Duration::from_secs(10));
            // Some mistakes, such as an edit that is not declared, are only rejected here.
            ensure!(verdict.failed.is_empty(), "{:?}", verdict.failed);
            skipped += verdict.skipped.len();
        }
        Ok(skipped)
    }
}

/// The objects of a YAML text.
///
/// # Errors
/// If the text is no YAML.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    yaml::read(text).into_iter().map(|document| Ok(document?.value().clone())).collect()
}

/// The review of an object of a case.
///
/// # Errors
/// If it is no object.
pub fn review(case: &Case, object: &Value) -> Result<Review> {
    match &case.old {
        None if case.deleted => deletion(object),
        None => of_file(case, object),
        Some(old) => {
            let old = documents(old)?.into_iter().next().context("an old object")?;
            admission_review(object, Some(&old), None)
        }
    }
}

/// An object of a file. As in `check`, it says where the input declares the object with other content.
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

/// The review that the API server would send. `applied` is the annotation of `kubectl apply`.
///
/// # Errors
/// If it is no object.
pub fn admission_review(object: &Value, old: Option<&Value>, applied: Option<&Value>) -> Result<Review> {
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
