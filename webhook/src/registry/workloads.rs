//! Where each kind keeps its pod template, and which of its parts policies see.

use std::borrow::Cow;
use std::collections::BTreeSet;

use plimsoll_flat::Writer;
use plimsoll_sdk::kind::Kind;
use plimsoll_sdk::metadata::{self, FURTHER};
use plimsoll_sdk::question::{Shape, TEMPLATE, TEMPLATES, Template};

use super::fields::{Mapping, Reader};
use super::parts::{Parts, Shown};
use super::plural::plural;
use super::policy_set::Located;
use super::problem::Problem;

/// The kind of an earlier template of a workload, as its controller keeps it.
pub const REVISION: &str = Kind::CONTROLLER_REVISION.as_str();

/// The kinds that have a pod template: those of Kubernetes and Argo, and further ones of the configuration. It also
/// holds which parts of these and other kinds policies see when they ask for them. Without a declaration they see
/// everything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Workloads {
    kinds: Vec<Carrier>,
    further: Vec<Further>,
    shown: Shown,
}

/// A kind with pod templates.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Carrier {
    /// `group/Kind`
    kind: String,
    /// The pointers to its templates. Most kinds have one.
    templates: Vec<Template>,
    /// Whether its Pods are meant to keep running.
    runs_on: bool,
}

/// A kind from the configuration: an entry of `workloads` of a PolicySet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Further {
    /// `group/Kind`
    pub(super) kind: String,
    template: String,
    runs_on: bool,
    /// Whether it has a `scale`, so that `spec.replicas` is the desired number of Pods.
    scaled: bool,
}

impl Further {
    pub(super) fn read<'a>(reader: &mut Reader<'a>, item: &Mapping<'a>) -> Option<Located<Self>> {
        let (group, kind) = (reader.required(item, "group")?, reader.required(item, "kind")?);
        let group_text = reader.string(&group)?;
        let kind_text = reader.string(&kind)?;
        if !group_text.contains('.') {
            let reason = format!("{group_text:?} is no group of a custom resource, such as apps.kruise.io");
            reader.invalid(&group, reason);
            return None;
        }
        if !kind_text.starts_with(|first: char| first.is_ascii_uppercase()) {
            reader.invalid(&kind, format!("{kind_text:?} is no kind, such as CloneSet"));
            return None;
        }
        let mut template = TEMPLATE;
        if let Some(field) = item.get("template") {
            template = reader.string(&field)?;
            if !template.starts_with('/') || template.ends_with('/') {
                reader.invalid(&field, format!("{template:?} is no pointer to a member, such as {TEMPLATE}"));
                return None;
            }
            if let Some(part) = template.split('/').find(|part| part.contains('*') && *part != "*") {
                let reason =
                    format!("{part:?} is no part of a pointer: write `*` alone, which stands for every item or member");
                reader.invalid(&field, reason);
                return None;
            }
        }
        let mut flag = |key: &str| item.get(key).map_or(Some(true), |field| reader.boolean(&field));
        let (runs_on, scaled) = (flag("runsOn")?, flag("scaled")?);
        let further =
            Self { kind: format!("{group_text}/{kind_text}"), template: template.to_owned(), runs_on, scaled };
        Some(Located { value: further, position: reader.position(&kind.pointer) })
    }
}

impl Default for Workloads {
    fn default() -> Self {
        let own = |(kind, template, runs_on): (Kind<'_>, &'static str, bool)| Carrier {
            kind: kind.as_str().to_owned(),
            templates: vec![Cow::Borrowed(template)],
            runs_on,
        };
        Self { kinds: TEMPLATES.into_iter().map(own).collect(), further: Vec::new(), shown: Shown::default() }
    }
}

impl Workloads {
    /// Adds a kind, or one more template of an added kind. A contradiction to an earlier entry is an error, because
    /// there is only one cluster.
    pub(super) fn add(&mut self, further: &Further) -> Result<(), Problem> {
        let template: Template = further.template.clone().into();
        let known = self.further.iter().find(|known| known.kind == further.kind);
        let carrier = self.kinds.iter_mut().find(|carrier| carrier.kind == further.kind);
        match (known, carrier) {
            (Some(known), _) if (known.runs_on, known.scaled) != (further.runs_on, further.scaled) => {
                return Err(Problem::Conflict(format!("`workloads` says two things of `{}`", further.kind)));
            }
            (Some(_), Some(carrier)) => {
                if !carrier.templates.contains(&template) {
                    carrier.templates.push(template);
                }
                return Ok(());
            }
            (None, Some(_)) => {
                let problem = format!("`{}` is known already, and needs no place in `workloads`", further.kind);
                return Err(Problem::Conflict(problem));
            }
            (_, None) => {}
        }
        let (kind, runs_on) = (further.kind.clone(), further.runs_on);
        self.kinds.push(Carrier { kind, templates: vec![template], runs_on });
        self.further.push(further.clone());
        Ok(())
    }

    /// From now on, the policies of a bundle see the parts that the bundle declares to read. They see whole objects of
    /// a kind without a declaration.
    pub(super) fn show(&mut self, bundle: &metadata::Bundle) {
        let asked = bundle.policies.iter().flat_map(|policy| policy.requires.iter().chain(&policy.refines));
        let asked: BTreeSet<&str> = asked.map(String::as_str).collect();
        let are_asked = self.are_asked(asked.iter().copied());
        let further = self.further().filter(|_| are_asked);
        let parts: Vec<(String, Parts)> = asked
            .iter()
            .copied()
            .chain(further)
            .map(|kind| {
                let said = bundle
                    .reads
                    .get(kind)
                    .or_else(|| bundle.reads.get(FURTHER).filter(|_| self.further().any(|it| it == kind)));
                (kind.to_owned(), self.parts(kind, said))
            })
            .collect();
        parts.iter().for_each(|(kind, parts)| self.shown.add(kind, parts));
    }

    /// The parts of a kind that policies read by these pointers, and the parts that answering questions needs.
    fn parts(&self, kind: &str, pointers: Option<&Vec<String>>) -> Parts {
        let Some(pointers) = pointers else { return Parts::whole() };
        let mut parts = Parts::default();
        ["/spec/selector", "/spec/podSelector"].iter().for_each(|pointer| parts.add(pointer));
        let templates = self.templates(kind);
        templates.iter().for_each(|template| parts.add(&format!("{template}/metadata/labels")));
        for pointer in pointers {
            match pointer.strip_prefix("{template}") {
                // A kind without a template has no such part.
                Some(below) => templates.iter().for_each(|template| parts.add(&format!("{template}{below}"))),
                None => parts.add(pointer),
            }
        }
        parts
    }

    /// From now on, workloads and PodDisruptionBudgets are kept whole.
    pub(super) fn show_whole(&mut self) {
        for kind in self.kinds.iter().map(|carrier| carrier.kind.as_str()).chain([Kind::POD_DISRUPTION_BUDGET.as_str()])
        {
            self.shown.add(kind, &Parts::whole());
        }
    }

    /// These workloads, but with the visible parts of both.
    #[must_use]
    pub fn showing_also(&self, others: &Self) -> Self {
        let mut both = self.clone();
        both.shown.unite(&others.shown);
        both
    }

    /// The parts of other objects of this `group/Kind` that policies see. None means everything.
    pub(crate) fn shown(&self, group_kind: &str) -> Option<&Parts> {
        self.shown.of(group_kind)
    }

    /// Whether the kept parts of a `group/Kind` are enough for the others' needs.
    #[cfg(feature = "serve")]
    pub(crate) fn suffice(&self, others: &Self, group_kind: &str) -> bool {
        let covers = match (self.shown(group_kind), others.shown(group_kind)) {
            (None, _) => true,
            (Some(own), None) => own.is_whole(),
            (Some(own), Some(others)) => own.cover(others),
        };
        covers && self.templates(group_kind) == others.templates(group_kind)
    }

    /// The RFC 6901 pointer to the pod template of `group/Kind`. It is empty for a Pod, which is its own template. None
    /// for a kind with several templates.
    pub fn template(&self, group_kind: &str) -> Option<&str> {
        match self.templates(group_kind) {
            [only] if !is_pattern(only) => Some(only),
            _ => None,
        }
    }

    /// All templates of `group/Kind`. Empty for a kind without one.
    pub fn templates(&self, group_kind: &str) -> &[Template] {
        self.kinds.iter().find(|carrier| carrier.kind == group_kind).map_or(&[], |carrier| &carrier.templates)
    }

    /// The facts about `group/Kind` that are needed to read its objects.
    pub(crate) fn shape<'a>(&'a self, group_kind: &'a str) -> Shape<'a> {
        Shape { kind: group_kind, templates: self.templates(group_kind) }
    }

    /// Whether `group/Kind` has a pod template.
    pub fn is_workload(&self, group_kind: &str) -> bool {
        !self.templates(group_kind).is_empty()
    }

    /// Every `group/Kind` with a pod template.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.kinds.iter().map(|carrier| carrier.kind.as_str())
    }

    /// The kinds that the configuration added.
    pub fn further(&self) -> impl Iterator<Item = &str> {
        self.further.iter().map(|further| further.kind.as_str())
    }

    /// Whether policies that ask for these kinds (`group/Kind`) also get the further kinds, which they cannot name. They
    /// do if one of the kinds is a workload. They read the common fields of workloads.
    pub(crate) fn are_asked<'a>(&self, kinds: impl IntoIterator<Item = &'a str>) -> bool {
        kinds.into_iter().any(|kind| self.is_workload(kind))
    }

    /// Whether the configuration added the kind and declares a `scale` for it.
    pub fn is_further_scaled(&self, group_kind: &str) -> bool {
        self.further.iter().any(|further| further.kind == group_kind && further.scaled)
    }

    /// Whether a policy with this `on` looks at `group/Kind`.
    pub fn match_on(&self, on: &metadata::On, group_kind: &str) -> bool {
        let workload = self.kinds.iter().find(|carrier| carrier.kind == group_kind);
        let by_template = match on.workloads {
            metadata::Workloads::None => false,
            metadata::Workloads::LongRunning => workload.is_some_and(|carrier| carrier.runs_on),
            metadata::Workloads::All => workload.is_some(),
        };
        by_template || on.kinds.iter().any(|kind| kind == group_kind || kind == metadata::ANY)
    }

    /// Writes the members `workloads` and `further` of the environment that policies get. `own` is the place of the
    /// judged template, if the kind has several.
    pub(crate) fn write(&self, writer: &mut Writer, own: Option<(&str, &str)>) {
        writer.key("workloads");
        writer.begin_object();
        for carrier in &self.kinds {
            let judged = own.filter(|(kind, _)| *kind == carrier.kind).map(|(_, place)| place);
            if let Some(template) = judged.or_else(|| self.template(&carrier.kind)) {
                writer.key(&carrier.kind);
                writer.string(template);
            }
        }
        writer.end();
        if !self.further.is_empty() {
            writer.key("further");
            writer.begin_object();
            for further in &self.further {
                writer.key(&further.kind);
                writer.bool(further.scaled);
            }
            writer.end();
            writer.key("plurals");
            writer.begin_object();
            for further in self.further.iter().filter(|further| further.scaled) {
                let (group, kind) = further.kind.split_once('/').unwrap_or(("", &further.kind));
                writer.key(&further.kind);
                writer.string(&plural(group, kind));
            }
            writer.end();
        }
    }
}

/// Whether a pointer contains `*`.
fn is_pattern(template: &str) -> bool {
    template.split('/').any(|part| part == "*")
}
