//! A small world in which a policy is tested: the reviewed object and the objects around it, from YAML.
//!
//! Needs the feature `testing`: `plimsoll-sdk = { version = "…", features = ["testing"] }` in `[dev-dependencies]`.
//!
//! ```
//! use plimsoll_sdk::prelude::*;
//! use plimsoll_sdk::testing::World;
//!
//! /// Deployments without a Service.
//! #[policy(
//!     category = "service", on = Kinds, kinds = ["apps/Deployment"], severity = Warning, since = "0.1.0",
//!     requires = ["/Service"]
//! )]
//! fn deployment_without_service(review: &Review, findings: &mut Findings) {
//!     let services = review.services();
//!     if !services.complete {
//!         findings.skip("the Services are not known");
//!     } else if services.nodes().next().is_none() {
//!         findings.warning(review.object(), "no Service selects the Pods", "add a Service with this selector");
//!     }
//! }
//!
//! const SHOP: &str = "
//! apiVersion: apps/v1
//! kind: Deployment
//! metadata: {name: shop}
//! spec:
//!   template:
//!     metadata: {labels: {app: shop}}
//!     spec: {containers: [{name: shop, image: registry.example.com/shop:1.2.3}]}
//! ";
//! const SERVICE: &str = "
//! apiVersion: v1
//! kind: Service
//! metadata: {name: shop}
//! spec: {selector: {app: shop}}
//! ";
//!
//! let alone = World::of(SHOP);
//! assert_eq!(alone.judge(&POLICY), ["warning /: no Service selects the Pods"]);
//! assert!(alone.and(SERVICE).judge(&POLICY).is_empty());
//! assert_eq!(World::of(SHOP).open().judge(&POLICY), ["skipped: the Services are not known"]);
//! ```
//!
//! The world answers questions by the same rules as the host: only objects of the same namespace belong to an answer. It
//! gives a policy whole objects, so it does not check `reads`. It does not check settings by their schema. It has no
//! sandbox and no limits. The [cases](https://github.com/plimsoll-dev/plimsoll/blob/main/docs/policy-cases.md)
//! of a policy run as WebAssembly too, and test its fixes.

use plimsoll_flat::{Node, to_document};
use serde_json::{Map, Value, json};

use crate::bundle::{Answer, Host, Policy, evaluate_one};
use crate::guest::{Knowledge, Outcome, RawFinding, Severity, Subject};
use crate::kind::{Kind, OwnedKind};
use crate::metadata::{ANY, On, Workloads};
use crate::question::{Question, Shape, TEMPLATES, Template};

/// The reviewed object, and the objects around it.
#[derive(Clone, Debug)]
pub struct World {
    object: Value,
    old: Value,
    operation: &'static str,
    others: Vec<Value>,
    settings: Value,
    is_open: bool,
    version: String,
    workloads: Vec<(String, Template)>,
}

impl World {
    /// A world in which the first object of the YAML is created. Further objects are around it. Every list of other
    /// objects is complete.
    ///
    /// # Panics
    /// If the text is no YAML, or has no object.
    #[must_use]
    pub fn of(yaml: &str) -> Self {
        let mut objects = objects(yaml).into_iter();
        let object = objects.next().expect("the YAML has an object");
        let workloads = TEMPLATES.map(|(kind, template, _)| (kind.as_str().to_owned(), Template::Borrowed(template)));
        Self {
            object,
            old: Value::Null,
            operation: "CREATE",
            others: objects.collect(),
            settings: Value::Null,
            is_open: false,
            version: "1.37".to_owned(),
            workloads: workloads.into(),
        }
    }

    /// Adds objects around the reviewed one.
    ///
    /// # Panics
    /// If the text is no YAML.
    #[must_use]
    pub fn and(mut self, yaml: &str) -> Self {
        self.others.extend(objects(yaml));
        self
    }

    /// Makes the request an UPDATE of this object.
    ///
    /// # Panics
    /// If the text is no YAML, or has no object.
    #[must_use]
    pub fn updating(mut self, old: &str) -> Self {
        self.old = objects(old).into_iter().next().expect("the YAML has an object");
        self.operation = "UPDATE";
        self
    }

    /// Makes the request a DELETE of the object.
    #[must_use]
    pub fn deleting(mut self) -> Self {
        self.old = std::mem::take(&mut self.object);
        self.operation = "DELETE";
        self
    }

    /// Sets the settings of the policy. Without them, it has its defaults.
    ///
    /// # Panics
    /// If the text is no YAML.
    #[must_use]
    pub fn with_settings(mut self, yaml: &str) -> Self {
        self.settings = documents(yaml).into_iter().next().unwrap_or_default();
        self
    }

    /// Makes every list of other objects incomplete: there may be more than the world has.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.is_open = true;
        self
    }

    /// Sets the version of Kubernetes, such as `1.34`. Without it, this is the newest version that the SDK knows.
    #[must_use]
    pub fn on_kubernetes(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Runs a policy. Each finding is a line, `severity pointer: message`. The pointer leads to the place, also to one
    /// that is missing. A skipped policy returns `skipped: reason`.
    ///
    /// # Panics
    /// If the policy fails, for example because it asks for a kind that it does not declare.
    #[must_use]
    pub fn judge(&self, policy: &Policy) -> Vec<String> {
        match self.outcome(policy) {
            Outcome::Skipped(reason) => vec![format!("skipped: {reason}")],
            Outcome::Evaluated(report) => report.findings.iter().map(line).collect(),
        }
    }

    /// Runs a policy, and returns all that it says: places, helps, fixes and assumptions.
    ///
    /// # Panics
    /// If the policy fails, or finds errors in its settings.
    #[must_use]
    pub fn outcome(&self, policy: &Policy) -> Outcome {
        let settings = match &self.settings {
            Value::Null => Vec::new(),
            settings => to_document(settings).expect("settings are a flat document"),
        };
        if !settings.is_empty() {
            let faults = (policy.check_settings)(&settings);
            assert!(faults.is_empty(), "{} rejects its settings: {faults:?}", policy.id);
        }
        let environment: Map<String, Value> =
            self.workloads.iter().map(|(kind, template)| (kind.clone(), template.as_ref().into())).collect();
        let environment = json!({"kubernetesVersion": self.version, "workloads": environment});
        let reviewed = self.reviewed();
        let kind = kind_of(reviewed);
        if !looks_at(policy, kind.get()) {
            return Outcome::Skipped(format!("the policy does not look at objects of the kind {:?}", kind.get()));
        }
        let metadata = |name: &str| reviewed["metadata"][name].as_str().unwrap_or_default().to_owned();
        let request = json!({
            "operation": self.operation,
            "kind": {"group": kind.group(), "version": version_of(reviewed), "kind": kind.name()},
            "name": metadata("name"),
            "namespace": metadata("namespace"),
            "object": self.object,
            "oldObject": self.old,
        });
        let subject = if self.object.is_null() { Subject::OldObject } else { Subject::Object };
        let document = |value: &Value| to_document(value).expect("JSON is a flat document");
        match evaluate_one(policy, self, (&document(&environment), &document(&request)), subject, &settings) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{} fails: {error}", policy.id),
        }
    }

    /// The object of the request; on DELETE the deleted one.
    fn reviewed(&self) -> &Value {
        if self.object.is_null() { &self.old } else { &self.object }
    }

    /// The objects of a kind that belong to the answer.
    fn answer(&self, subject: Subject, kind: &str, question: Question<'_>) -> Answer {
        let templates: Vec<Template> =
            self.workloads.iter().filter(|(of, _)| of == kind).map(|(_, template)| template.clone()).collect();
        let shape = Shape { kind, templates: &templates };
        let reviewed = match subject {
            Subject::Object => &self.object,
            Subject::OldObject => &self.old,
        };
        // A deleted object is not among the others.
        let reviewed = Some(reviewed).filter(|_| self.operation != "DELETE");
        let namespace = self.reviewed()["metadata"]["namespace"].as_str().unwrap_or_default();
        // Only a question about a Namespace goes beyond the own one. Objects without a namespace belong to each.
        let is_wide = matches!(question, Question::Referring { kind, .. } if kind == Kind::NAMESPACE.as_str());
        let is_near = |object: &Value| {
            let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
            is_wide || own.is_empty() || namespace.is_empty() || own == namespace
        };
        let belongs = |object: &&Value| kind_of(object).get().as_str() == kind && is_near(object);
        let documents =
            self.others.iter().chain(reviewed).filter(belongs).filter_map(|object| to_document(object).ok());
        let matches =
            |document: &Vec<u8>| Node::root(document).is_ok_and(|object| question.matches(shape, namespace, object));
        let mut documents: Vec<Vec<u8>> = documents.filter(matches).collect();
        documents.sort_by_cached_key(|document| {
            let name = Node::root(document).ok().and_then(|object| object.at("/metadata/name"));
            name.and_then(Node::as_str).map(str::to_owned)
        });
        Answer { documents, complete: !self.is_open }
    }
}

/// Reads every object of the YAML.
fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("the text is no YAML: {error}\n{yaml}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Reads every object of the YAML. Each has an `apiVersion` and a `kind`.
fn objects(yaml: &str) -> Vec<Value> {
    let objects = documents(yaml);
    for object in &objects {
        let is_object = object["apiVersion"].is_string() && object["kind"].is_string();
        assert!(is_object, "each document needs an apiVersion and a kind: {object}");
    }
    objects
}

/// Whether a policy judges objects of this kind.
fn looks_at(policy: &Policy, kind: Kind<'_>) -> bool {
    let On { workloads, kinds, .. } = (policy.metadata)().on;
    let template = TEMPLATES.iter().find(|(of, ..)| *of == kind);
    let by_template = match workloads {
        Workloads::None => false,
        Workloads::LongRunning => template.is_some_and(|(.., runs_on)| *runs_on),
        Workloads::All => template.is_some(),
    };
    by_template || kinds.iter().any(|known| known == kind.as_str() || known == ANY)
}

fn kind_of(object: &Value) -> OwnedKind {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    OwnedKind::new(text("apiVersion"), text("kind"))
}

fn version_of(object: &Value) -> &str {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.rsplit_once('/').map_or(version, |(_, version)| version)
}

fn line(finding: &RawFinding) -> String {
    let severity = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    };
    let missing = Some(&finding.at.missing).filter(|missing| !missing.is_empty());
    let missing = missing.map(|missing| format!("/{missing}")).unwrap_or_default();
    let pointer = [finding.at.pointer.as_str(), &missing].concat();
    format!("{severity} {}: {}", if pointer.is_empty() { "/" } else { &pointer }, finding.message)
}

impl Host for World {
    fn get(&self, subject: Subject, kind: &str, name: &str) -> Answer {
        self.answer(subject, kind, Question::Get { name })
    }
    fn selecting(&self, subject: Subject, kind: &str, labels: &[u8]) -> Answer {
        match Node::root(labels) {
            Ok(labels) => self.answer(subject, kind, Question::Selecting { labels }),
            Err(_) => Answer::default(),
        }
    }
    fn selected_by(&self, subject: Subject, kind: &str, selector: &[u8]) -> Answer {
        match Node::root(selector) {
            Ok(selector) => self.answer(subject, kind, Question::SelectedBy { selector }),
            Err(_) => Answer::default(),
        }
    }
    fn referring(&self, subject: Subject, kind: &str, ref_kind: &str, ref_name: &str) -> Answer {
        self.answer(subject, kind, Question::Referring { kind: ref_kind, name: ref_name })
    }
    fn listing(&self, subject: Subject, kind: &str) -> Answer {
        self.answer(subject, kind, Question::Listing)
    }
    fn is_authored(&self, subject: Subject, pointer: &str) -> Knowledge {
        let object = match subject {
            Subject::Object => &self.object,
            Subject::OldObject => &self.old,
        };
        if object.pointer(pointer).is_some() { Knowledge::Yes } else { Knowledge::No }
    }
    fn log(&self, message: &str) {
        let _ = message;
    }
}
