//! The input of a policy: one object of one request, and questions to the host about other objects.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use plimsoll_flat::Node;

use crate::bundle::{Answer, Host};
use crate::cursor::Cursor;
use crate::disruption::{Selected, Workload};
use crate::guest::{Knowledge, Subject};
use crate::kind::{Autoscaler, Kind, OwnedKind};
use crate::last::Concerned;
use crate::monitors::Monitors;
use crate::owners::Owners;
use crate::references::{References, workload_ref};
use crate::resources::Ranges;
use crate::value::Value;
use crate::version::KubernetesVersion;
use crate::workload::{Container, PodTemplate};

/// Facts about an `apiVersion` and a `kind` that the API server does not serve.
#[derive(Clone, Copy, Debug)]
pub struct Unserved<'a> {
    /// Why it is not served.
    pub why: Why<'a>,
    /// The `apiVersion` to write instead, if one is served.
    pub api_version: Option<&'a str>,
    /// The kind that the author probably meant, if the kind is misspelt.
    pub kind: Option<&'a str>,
}

/// Why an `apiVersion` and a `kind` are not served. Releases have the form `1.16`.
#[derive(Clone, Copy, Debug)]
pub enum Why<'a> {
    /// Removed in this release.
    Removed(&'a str),
    /// Served only from this release on.
    Later(&'a str),
    /// This version of the group never had the kind.
    Unknown,
}

/// One object of one request. A call creates it once for all policies. Costly values are computed on first use.
pub struct Review<'a> {
    host: &'a dyn Host,
    environment: Node<'a>,
    request: Node<'a>,
    subject: Subject,
    group: &'a str,
    kind: &'a str,
    name: &'a str,
    namespace: &'a str,
    object: Cursor<'a>,
    template: OnceCell<Option<PodTemplate<'a>>>,
    /// The object that an Argo Rollout takes its template from, and its `group/Kind`.
    referenced: OnceCell<Option<(OwnedKind, Rc<Answer>)>>,
    references: References,
    workload: OnceCell<Option<Workload>>,
    services: OnceCell<Rc<Answer>>,
    limit_ranges: OnceCell<Rc<Answer>>,
    ranges: OnceCell<Ranges>,
    budgets: OnceCell<Rc<Answer>>,
    autoscalers: [OnceCell<Rc<Answer>>; 2],
    /// Answers of the host, shared between this object and the objects that depend on it.
    asked: Rc<Asked>,
    /// By the selector as a flat document.
    selected: RefCell<BTreeMap<Vec<u8>, Rc<Selected>>>,
    /// Number of questions left about the author of a resource request that equals its limit.
    copies_left: Cell<u32>,
    /// For an object other than the one of the request: the view in which it is judged.
    seen: Option<Seen<'a>>,
    concerned: [OnceCell<Option<Concerned>>; 2],
}

/// Maximum number of questions about the author of a resource request, for one Pod. The host searches lists for each
/// answer.
const MAX_COPIES: u32 = 64;

/// Maximum number of workloads that are requested because a Rollout takes its template from them.
const MAX_HOLDERS: usize = 32;

/// View in which an object other than the one of the request is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// The Services to judge by, instead of those that the host knows.
    pub(crate) services: Option<&'a Rc<Answer>>,
    /// Kind and name of an object that is left out of every answer.
    pub(crate) without: Option<(Kind<'a>, &'a str)>,
}

/// Answers of the host, so that no question is asked twice.
#[derive(Debug, Default)]
struct Asked {
    /// By question, kind and argument.
    answers: RefCell<BTreeMap<Vec<u8>, Rc<Answer>>>,
    owners: RefCell<Owners>,
    /// The workloads that were requested because a Rollout takes its template from them.
    holders: RefCell<BTreeSet<(OwnedKind, String)>>,
    leaves_out_holders: Cell<bool>,
    /// Kinds that the running policy may ask for. `None` between two policies.
    declared: Cell<Option<&'static [&'static str]>>,
    /// First kind that the running policy asked for without declaring it.
    undeclared: RefCell<Option<OwnedKind>>,
    monitors: OnceCell<Monitors>,
    /// Selections of budgets that are judged as other objects, by the selector: with the reviewed object, and without
    /// it.
    selected: [RefCell<BTreeMap<Vec<u8>, Rc<Selected>>>; 2],
}

impl std::fmt::Debug for Review<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Review").field("request", &self.request).finish_non_exhaustive()
    }
}

impl<'a> Review<'a> {
    pub(crate) fn new(host: &'a dyn Host, environment: Node<'a>, request: Node<'a>, subject: Subject) -> Self {
        let member = if matches!(subject, Subject::OldObject) { "oldObject" } else { "object" };
        let object = Cursor::new(request.get(member).unwrap_or(request));
        // Computed once, because every policy reads these values many times.
        let kind = request.get("kind");
        let of_kind = |name: &str| kind.and_then(|kind| kind.get(name)).and_then(Node::as_str).unwrap_or_default();
        let stated = request.get("name").and_then(Node::as_str).filter(|name| !name.is_empty());
        // If a collection is deleted, only the objects have names.
        let name = stated.or_else(|| request.at("/oldObject/metadata/name").and_then(Node::as_str)).unwrap_or_default();
        let namespace = request.get("namespace").and_then(Node::as_str).unwrap_or_default();
        Self {
            name,
            namespace,
            ..Self::of((of_kind("group"), of_kind("kind")), object, host, environment, request, subject)
        }
    }

    /// A review of another object than the one of the request. It has no request, no operation and no author.
    pub(crate) fn other<'b>(&self, kind: Kind<'b>, object: Node<'b>, seen: Seen<'b>) -> Review<'b>
    where
        'a: 'b,
    {
        let environment: Node<'b> = self.environment;
        let name = crate::disruption::name(object);
        // The environment has no member of a request.
        let other = Review::of(
            (kind.group(), kind.name()),
            Cursor::new(object),
            self.host,
            environment,
            environment,
            self.subject,
        );
        Review { name, namespace: self.namespace, seen: Some(seen), asked: Rc::clone(&self.asked), ..other }
    }

    fn of(
        (group, kind): (&'a str, &'a str),
        object: Cursor<'a>,
        host: &'a dyn Host,
        environment: Node<'a>,
        request: Node<'a>,
        subject: Subject,
    ) -> Self {
        Self {
            host,
            environment,
            request,
            subject,
            group,
            kind,
            name: "",
            namespace: "",
            object,
            referenced: OnceCell::new(),
            references: References::default(),
            workload: OnceCell::new(),
            template: OnceCell::new(),
            services: OnceCell::new(),
            limit_ranges: OnceCell::new(),
            ranges: OnceCell::new(),
            budgets: OnceCell::new(),
            autoscalers: [OnceCell::new(), OnceCell::new()],
            asked: Rc::default(),
            selected: RefCell::default(),
            copies_left: Cell::new(MAX_COPIES),
            seen: None,
            concerned: [OnceCell::new(), OnceCell::new()],
        }
    }

    /// Starts a policy that may ask for these kinds.
    #[doc(hidden)]
    pub fn begin(&self, declared: &'static [&'static str]) {
        self.asked.declared.set(Some(declared));
    }

    /// Ends a policy.
    ///
    /// # Errors
    /// If the policy asked for a kind that it does not declare. The host keeps no objects of such a kind for it, so its
    /// verdict would depend on other policies.
    #[doc(hidden)]
    pub fn end(&self) -> Result<(), String> {
        self.asked.declared.set(None);
        match &*self.asked.undeclared.borrow() {
            None => Ok(()),
            Some(kind) => {
                let kind = kind.get();
                Err(format!("it asks for {kind:?}, but neither `requires` nor `refines` of the policy names this kind"))
            }
        }
    }

    /// Whether a policy asked for a kind that it does not declare. Then values that were computed once for all policies
    /// may lack something.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.asked.undeclared.borrow().is_some()
    }

    /// Whether the running policy may ask for a kind: it declares the kind in `requires` or `refines`, or the
    /// configuration added the kind to the workloads. If not, the policy fails when it ends.
    fn may_ask(&self, kind: Kind<'_>) -> bool {
        let Some(declared) = self.asked.declared.get() else { return true };
        if declared.contains(&kind.as_str()) || self.further_workloads().any(|(further, _)| further == kind) {
            return true;
        }
        self.asked.undeclared.borrow_mut().get_or_insert_with(|| kind.into());
        false
    }

    /// Computes a value for all policies of the call. It may ask for any kind: the host knows the kinds that one of the
    /// policies declares, and the answer about another kind is not complete.
    fn for_all<T>(&self, compute: impl FnOnce() -> T) -> T {
        let declared = self.asked.declared.take();
        let value = compute();
        self.asked.declared.set(declared);
        value
    }

    /// The objects that depend on the reviewed object; computed once for all policies.
    pub(crate) fn concerned(&self, number: usize, read: impl FnOnce() -> Option<Concerned>) -> Option<&Concerned> {
        self.concerned.get(number)?.get_or_init(|| self.for_all(read)).as_ref()
    }

    /// The owners that this review knows.
    pub(crate) fn owners(&self) -> &RefCell<Owners> {
        &self.asked.owners
    }

    /// The reviewed object.
    pub fn object(&self) -> &Cursor<'a> {
        &self.object
    }

    /// The object before the request, for UPDATE and DELETE. For other operations, every field of it is missing.
    pub fn old(&self) -> Cursor<'a> {
        Cursor::new(self.request).at("/oldObject")
    }

    /// `group/Kind` of the object that a `scale` scales, if that kind has a pod template.
    pub fn scaled(&self) -> Option<Kind<'a>> {
        if self.subresource() != "scale" {
            return None;
        }
        let resource = self.request.get("resource")?;
        let text = |name: &str| resource.get(name).and_then(Node::as_str).unwrap_or_default();
        let (group, resource) = (text("group"), text("resource"));
        let plurals = self.environment.get("plurals");
        let is_scaled = |kind: &Kind<'_>| {
            kind.group() == group
                && match plurals.and_then(|plurals| plurals.get(kind.as_str())?.as_str()) {
                    Some(plural) => plural == resource,
                    // The kinds that every host knows have a regular plural.
                    None => format!("{}s", kind.name().to_lowercase()) == resource,
                }
        };
        let kinds = self.environment.get("workloads")?.members();
        kinds.filter_map(|(kind, _)| Kind::parse(kind)).find(is_scaled)
    }

    /// Kinds with a pod template that the configuration added, as `group/Kind`, and whether they have a `scale`.
    pub fn further_workloads(&self) -> impl Iterator<Item = (Kind<'a>, bool)> {
        let further = self.environment.get("further");
        further
            .into_iter()
            .flat_map(Node::members)
            .filter_map(|(kind, scaled)| Some((Kind::parse(kind)?, scaled.as_bool()?)))
    }

    /// A place in the reviewed object, such as `/spec/replicas`.
    pub fn at(&self, pointer: &'static str) -> Cursor<'a> {
        self.object.at(pointer)
    }

    /// Whether the object is of this kind.
    pub fn is(&self, kind: Kind<'_>) -> bool {
        let (text, group, own) = (kind.as_str(), self.group, self.kind);
        text.len() == group.len() + 1 + own.len()
            && text.as_bytes().get(group.len()) == Some(&b'/')
            && text.ends_with(own)
            && text.starts_with(group)
    }

    /// The object's group and kind together.
    pub fn own_kind(&self) -> OwnedKind {
        OwnedKind::in_group(self.group, self.kind)
    }

    /// The object's group, such as `apps`; empty for the core group.
    pub fn group(&self) -> &'a str {
        self.group
    }

    /// The object's kind, such as `Deployment`.
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// The reviewed object as a workload, if it is one; computed once for all policies.
    pub(crate) fn workload(&self, read: impl FnOnce() -> Option<Workload>) -> Option<Workload> {
        self.workload.get_or_init(|| self.for_all(read)).clone()
    }

    /// The object's name; empty if the API server will generate one.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The object's namespace; `None` if a file states none.
    pub fn namespace(&self) -> Option<&'a str> {
        let stated = Some(self.namespace).filter(|namespace| !namespace.is_empty());
        stated.or_else(|| self.at("/metadata/namespace").as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// The monitors that read in this namespace; computed once for all policies.
    pub(crate) fn monitors(&self) -> &Monitors {
        self.asked.monitors.get_or_init(|| self.for_all(|| Monitors::of(self)))
    }

    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub fn operation(&self) -> &'a str {
        self.request.get("operation").and_then(Node::as_str).unwrap_or_default()
    }

    /// Whether the object comes from a file. Then the same run judges all other objects of its set.
    pub(crate) fn is_from_file(&self) -> bool {
        self.request.get("resource").is_none()
    }

    /// Places where the files declare the same object with other content; empty in the cluster.
    pub fn declarations(&self) -> impl Iterator<Item = &'a str> {
        self.request.get("declarations").into_iter().flat_map(Node::items).filter_map(Node::as_str)
    }

    /// The subresource, such as `ephemeralcontainers`; empty for the object itself.
    pub fn subresource(&self) -> &'a str {
        self.request.get("subResource").and_then(Node::as_str).unwrap_or_default()
    }

    /// The version of the cluster. For files, the version that the user asked for, or the newest known version.
    pub fn kubernetes_version(&self) -> Option<KubernetesVersion> {
        KubernetesVersion::parse(self.environment.get("kubernetesVersion")?.as_str()?)
    }

    /// Why the API server serves no object of this `apiVersion` and `kind`. Only files contain such objects.
    pub fn unserved(&self) -> Option<Unserved<'a>> {
        let unserved = self.environment.get("unserved")?;
        let text = |name: &str| unserved.get(name).and_then(Node::as_str);
        let why = match (text("why")?, text("release")) {
            ("removed", Some(release)) => Why::Removed(release),
            ("later", Some(release)) => Why::Later(release),
            _ => Why::Unknown,
        };
        Some(Unserved { why, api_version: text("apiVersion"), kind: text("kind") })
    }

    /// The pod template of this kind, or the Pod itself. `None` if the kind has no template, or if it is absent.
    pub fn template(&self) -> Option<&PodTemplate<'a>> {
        self.template
            .get_or_init(|| {
                // Group and kind are joined only here, once per review.
                let kind = self.own_kind();
                let pointer = self.environment.get("workloads")?.get(kind.get().as_str())?.as_str()?;
                let root = self.object.pointer_to(pointer);
                root.exists().then(|| PodTemplate::new(root))
            })
            .as_ref()
    }

    /// The pod template that the reviewed Argo Rollout takes from another workload (`workloadRef`), if it is known. It
    /// has no place in the Rollout. Needs the kind of that workload in `requires` or `refines`.
    pub fn referenced(&self) -> Option<PodTemplate<'_>> {
        let (kind, answer) = self.reference()?;
        answer.nodes().next().and_then(|object| self.template_in(kind.get(), object))
    }

    /// `None` if the reviewed object takes its template from no other object.
    fn reference(&self) -> Option<&(OwnedKind, Rc<Answer>)> {
        let read = || {
            let object = self.object.node().filter(|_| self.is(Kind::ROLLOUT))?;
            let (kind, name) = workload_ref(Kind::ROLLOUT, object)?;
            let answer = self.resolve(kind.get(), name);
            Some((kind, answer))
        };
        self.referenced.get_or_init(read).as_ref()
    }

    /// Whether the Pods of the reviewed object are known: it has a template, or refers to an existing one.
    pub fn has_template(&self) -> bool {
        self.template().is_some() || self.referenced().is_some()
    }

    /// The Argo Rollouts that take their template from the named workload of this `group/Kind`. Needs [`Kind::ROLLOUT`]
    /// in `requires` or `refines`.
    pub fn rollouts_of(&self, kind: Kind<'_>, name: &str) -> Rc<Answer> {
        self.references.to(self, kind, name)
    }

    /// The labels of the Pods. Without a template, an error: `true` if there certainly is none, `false` if it is not
    /// known.
    fn labels(&self) -> Result<Option<Node<'_>>, bool> {
        if let Some(template) = self.template() {
            return Ok(template.labels());
        }
        let Some((kind, answer)) = self.reference() else { return Err(true) };
        let root = answer.nodes().next().and_then(|object| self.template_root_in(kind.get(), object));
        root.map(|root| root.at("/metadata/labels").node()).ok_or(false)
    }

    /// The pod template of another object of this kind. `None` if the kind has no template, or if it is absent.
    pub fn template_in<'b>(&self, kind: Kind<'_>, object: Node<'b>) -> Option<PodTemplate<'b>> {
        self.template_root_in(kind, object).map(PodTemplate::new)
    }

    /// The same as a place. A caller that needs only the labels does not read the containers.
    pub(crate) fn template_root_in<'b>(&self, kind: Kind<'_>, object: Node<'b>) -> Option<Cursor<'b>> {
        let root = Cursor::of(object).pointer_to(self.environment.get("workloads")?.get(kind.as_str())?.as_str()?);
        root.exists().then_some(root)
    }

    /// The containers of the pod template: app, init and native sidecar, then ephemeral containers, each group in the
    /// written order. Empty if the kind has no template.
    pub fn containers(&self) -> &[Container<'a>] {
        self.template().map_or(&[], |template| template.containers())
    }

    /// Whether the author wrote the value at this place, as opposed to a default of the API server.
    pub fn authored(&self, cursor: &Cursor<'_>) -> Knowledge {
        if self.seen.is_some() {
            // The authorship is known only for the reviewed object.
            return Knowledge::Unknown;
        }
        self.host.is_authored(self.subject, &cursor.pointer())
    }

    /// The Services that select this pod template. If they are not known, the answer is incomplete and has no
    /// documents.
    pub fn services(&self) -> &Answer {
        self.may_ask(Kind::SERVICE);
        self.services.get_or_init(|| {
            if let Some(given) = self.seen.and_then(|seen| seen.services) {
                return Rc::clone(given);
            }
            match self.labels() {
                Ok(Some(labels)) => self.selecting(Kind::SERVICE, labels),
                labels => Rc::new(Answer { documents: Vec::new(), complete: labels != Err(false) }),
            }
        })
    }

    /// The LimitRanges of the namespace.
    pub fn limit_ranges(&self) -> &Answer {
        self.may_ask(Kind::LIMIT_RANGE);
        self.limit_ranges.get_or_init(|| self.listing(Kind::LIMIT_RANGE))
    }

    /// The rules of the namespace's LimitRanges for containers, by resource.
    pub(crate) fn ranges(&self) -> &Ranges {
        self.ranges.get_or_init(|| Ranges::of(self.limit_ranges()))
    }

    /// The PodDisruptionBudgets that select this pod template.
    pub fn disruption_budgets(&self) -> &Rc<Answer> {
        self.may_ask(Kind::POD_DISRUPTION_BUDGET);
        self.budgets.get_or_init(|| match self.labels() {
            Ok(labels) => {
                let labels = labels.map_or_else(|| Value::object([]).to_document(), Node::to_document);
                self.selecting_labels(Kind::POD_DISRUPTION_BUDGET, &labels)
            }
            Err(complete) => Rc::new(Answer { documents: Vec::new(), complete }),
        })
    }

    /// The autoscalers of this workload, of one of the two autoscaler kinds.
    pub fn scaled_by(&self, scaler: Autoscaler) -> &Rc<Answer> {
        self.may_ask(scaler.kind());
        let [hpas, scaled_objects] = &self.autoscalers;
        let answer = match scaler {
            Autoscaler::Horizontal => hpas,
            Autoscaler::Keda => scaled_objects,
        };
        answer.get_or_init(|| self.referring(scaler.kind(), self.own_kind().get(), self.name()))
    }

    /// All objects of a kind in the namespace. For kinds with few objects only.
    pub fn listing(&self, kind: Kind<'_>) -> Rc<Answer> {
        self.ask(b'l', kind, &[], || self.host.listing(self.subject, kind.as_str()))
    }

    /// Whether some Rollouts were left out because too many templates were requested.
    pub(crate) fn leaves_out_holders(&self) -> bool {
        self.asked.leaves_out_holders.get()
    }

    /// The workload from which a Rollout takes its template; `None` after the first 32 workloads of a review.
    pub(crate) fn holder(&self, kind: Kind<'_>, name: &str) -> Option<Rc<Answer>> {
        let mut holders = self.asked.holders.borrow_mut();
        let asked = (kind.into(), name.to_owned());
        if !holders.contains(&asked) {
            if holders.len() == MAX_HOLDERS {
                self.asked.leaves_out_holders.set(true);
                return None;
            }
            holders.insert(asked);
        }
        drop(holders);
        Some(self.resolve(kind, name))
    }

    /// The named object of this kind in the review's namespace.
    pub fn get(&self, kind: Kind<'_>, name: &str) -> Rc<Answer> {
        self.ask(b'g', kind, &[name.as_bytes()], || self.host.get(self.subject, kind.as_str(), name))
    }

    /// The object that a reference names. An object may name any kind, so a kind that the policy does not declare is
    /// no mistake. If no policy declares it, the answer is empty and not complete.
    pub fn resolve(&self, kind: Kind<'_>, name: &str) -> Rc<Answer> {
        let answer = || self.host.get(self.subject, kind.as_str(), name);
        self.ask_once(b'g', kind, &[name.as_bytes()], answer)
    }

    /// The object that has the pod template of the named object, and the `group/Kind` of that object. For an Argo
    /// Rollout with a `workloadRef`, this is the referenced workload. Otherwise it is the object itself.
    pub fn template_of(&self, kind: Kind<'_>, name: &str) -> (OwnedKind, Rc<Answer>) {
        let answer = self.resolve(kind, name);
        let reference = answer.nodes().next().and_then(|object| workload_ref(kind, object));
        if let Some((kind, name)) = reference {
            let answer = self.resolve(kind.get(), name);
            return (kind, answer);
        }
        (kind.into(), answer)
    }

    /// Objects of this kind whose selector matches these labels.
    pub fn selecting(&self, kind: Kind<'_>, labels: Node<'_>) -> Rc<Answer> {
        self.selecting_labels(kind, &labels.to_document())
    }

    fn selecting_labels(&self, kind: Kind<'_>, labels: &[u8]) -> Rc<Answer> {
        self.ask(b's', kind, &[labels], || self.host.selecting(self.subject, kind.as_str(), labels))
    }

    /// Workloads of this kind with a pod template whose labels match this selector.
    pub fn selected_by(&self, kind: Kind<'_>, selector: Node<'_>) -> Rc<Answer> {
        self.selected_by_document(kind, &selector.to_document())
    }

    fn selected_by_document(&self, kind: Kind<'_>, selector: &[u8]) -> Rc<Answer> {
        self.ask(b'b', kind, &[selector], || self.host.selected_by(self.subject, kind.as_str(), selector))
    }

    /// For each of these kinds, the workloads with a pod template whose labels match this selector.
    pub fn selected_by_each(&self, kinds: &[Kind<'_>], selector: &[u8]) -> Vec<Rc<Answer>> {
        kinds.iter().map(|kind| self.selected_by_document(*kind, selector)).collect()
    }

    /// For each of these kinds, the objects whose selector matches these labels.
    pub fn selecting_each(&self, kinds: &[Kind<'_>], labels: Node<'_>) -> Vec<Rc<Answer>> {
        let labels = labels.to_document();
        kinds.iter().map(|kind| self.selecting_labels(*kind, &labels)).collect()
    }

    /// Objects of this kind that refer to the named object.
    pub fn referring(&self, kind: Kind<'_>, to_kind: Kind<'_>, to_name: &str) -> Rc<Answer> {
        let argument = [to_kind.as_str().as_bytes(), to_name.as_bytes()];
        self.ask(b'r', kind, &argument, || self.host.referring(self.subject, kind.as_str(), to_kind.as_str(), to_name))
    }

    /// Asks about a kind that the policy declares.
    fn ask(&self, question: u8, kind: Kind<'_>, argument: &[&[u8]], answer: impl FnOnce() -> Answer) -> Rc<Answer> {
        if self.may_ask(kind) { self.ask_once(question, kind, argument, answer) } else { Rc::default() }
    }

    /// Asks each question only once. Policies ask the same questions, and each answer is a copy of up to half a
    /// megabyte.
    fn ask_once(
        &self,
        question: u8,
        kind: Kind<'_>,
        argument: &[&[u8]],
        answer: impl FnOnce() -> Answer,
    ) -> Rc<Answer> {
        let mut key = vec![question];
        for part in [kind.as_str().as_bytes()].iter().chain(argument) {
            key.extend_from_slice(&part.len().to_le_bytes());
            key.extend_from_slice(part);
        }
        let answers = &self.asked.answers;
        let known = answers.borrow().get(&key).map(Rc::clone);
        let without = self.seen.and_then(|seen| seen.without).filter(|(of, _)| *of == kind);
        let answer = match (known, without) {
            (Some(known), None) => return known,
            (Some(known), Some(_)) => known,
            (None, _) => {
                let answer = Rc::new(answer());
                self.asked.owners.borrow_mut().saw(kind, &answer);
                answer
            }
        };
        let Some((_, own)) = without else {
            answers.borrow_mut().insert(key, Rc::clone(&answer));
            return answer;
        };
        let mut key_without = key.clone();
        key_without.push(b'-');
        answers.borrow_mut().entry(key).or_insert_with(|| Rc::clone(&answer));
        let answer = || answer.without(own);
        Rc::clone(answers.borrow_mut().entry(key_without).or_insert_with(answer))
    }

    /// The workloads that a selector selects; computed once for all policies.
    pub(crate) fn selected(&self, selector: Node<'_>, read: impl FnOnce() -> Selected) -> Rc<Selected> {
        let selector = selector.to_document();
        let [with, without] = &self.asked.selected;
        let own = self.seen.filter(|_| self.is(Kind::POD_DISRUPTION_BUDGET)).map(|seen| seen.without);
        let all = match own {
            None => &self.selected,
            Some(None) => with,
            Some(Some(_)) => without,
        };
        if let Some(known) = all.borrow().get(&selector) {
            return Rc::clone(known);
        }
        let selected =
            match own.flatten().filter(|(kind, _)| Autoscaler::ALL.iter().all(|scaler| scaler.kind() != *kind)) {
                Some((kind, name)) => with.borrow().get(&selector).map(|selected| selected.without(kind, name)),
                None => None,
            };
        let selected = Rc::new(selected.unwrap_or_else(|| self.for_all(read)));
        all.borrow_mut().insert(selector, Rc::clone(&selected));
        selected
    }

    /// Whether the host may be asked once more about the author of a resource request that equals its limit.
    pub(crate) fn may_ask_of_copy(&self) -> bool {
        let left = self.copies_left.get();
        self.copies_left.set(left.saturating_sub(1));
        left > 0
    }

    /// Writes a line to the log of the host.
    pub fn log(&self, message: &str) {
        self.host.log(message);
    }
}
