//! The requests to which a PolicySet applies, in the words of ValidatingAdmissionPolicy, and its mode in each
//! namespace.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use plimsoll_flat::Node;

use super::Mode;
use super::fields::{Field, Mapping, Reader};
use super::namespaces::{ByNamespace, Namespaces, is_name_or_pattern};
use super::plural::{is_cluster_scoped, looks_like_kind, plural};
use super::policy_set::{MODES, first_line};
use super::problem::Problem;
use crate::model::{Operation, Review};

/// Requests by kind and namespace: `match` of a PolicySet.
#[derive(Clone, Debug, Default)]
pub(super) struct Match {
    /// Empty means every request.
    rules: Vec<Rule>,
    excludes: Vec<Rule>,
    /// `match.namespaces`. None means every namespace, and cluster-scoped objects.
    namespaces: Option<Namespaces>,
}

/// One of `resourceRules` or `excludeResourceRules`.
#[derive(Clone, Debug)]
struct Rule {
    groups: Names,
    versions: Names,
    operations: Option<Vec<Operation>>,
    /// Resource and subresource; `*` means any.
    resources: Vec<(String, String)>,
    scope: Scope,
    names: Names,
}

/// None means any name.
type Names = Option<HashSet<String>>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scope {
    Any,
    Cluster,
    Namespaced,
}

/// The parts of a request that rules look at.
struct Request<'a> {
    group: &'a str,
    version: &'a str,
    resource: Cow<'a, str>,
    cluster_scoped: bool,
    review: &'a Review,
}

impl<'a> Request<'a> {
    fn of(review: &'a Review) -> Self {
        if review.resource.is_empty() {
            // An object of a file has a kind but no resource, and often no namespace.
            let cluster_scoped = is_cluster_scoped(&review.kind.group, &review.kind.kind);
            let resource = plural(&review.kind.group, &review.kind.kind);
            return Self { group: &review.kind.group, version: &review.kind.version, resource, cluster_scoped, review };
        }
        // For a subresource, the kind can be that of a different object (`autoscaling/v1 Scale`). The resource is
        // always the object's own.
        let resource = Node::root(review.document()).ok().and_then(|request| request.get("resource"));
        let text = |name: &str| resource.and_then(|resource| resource.get(name)).and_then(Node::as_str);
        let group = text("group").unwrap_or(&review.kind.group);
        // The API server sets a Namespace's own name as its namespace. But a Namespace is cluster-scoped.
        let is_namespace = group.is_empty() && review.resource == "namespaces";
        Self {
            group,
            version: text("version").unwrap_or(&review.kind.version),
            resource: Cow::Borrowed(&review.resource),
            cluster_scoped: review.namespace.is_empty() || is_namespace,
            review,
        }
    }
}

impl Match {
    pub(super) fn read<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Self {
        let mut read = Self::read_with(reader, field, &["namespaces"]);
        read.namespaces = reader.any_mapping(field).get("namespaces").map(|field| Namespaces::read(reader, &field));
        read
    }

    /// Reads a match with more keys than a PolicySet has. The caller reads those.
    pub(super) fn read_with<'a>(reader: &mut Reader<'a>, field: &Field<'a>, further: &[&str]) -> Self {
        let later = ["namespaceSelector", "objectSelector", "matchPolicy"];
        let known = [&["resourceRules", "excludeResourceRules"], further].concat();
        let mapping = reader.mapping(field, &known, &later);
        let mut rules = |key: &str| -> Vec<Rule> {
            let items = mapping.get(key).map(|field| reader.list(&field)).unwrap_or_default();
            items.iter().map(|item| Rule::read(reader, item)).collect()
        };
        Self { rules: rules("resourceRules"), excludes: rules("excludeResourceRules"), namespaces: None }
    }

    /// Whether the positive rules leave out any request. Exclusions don't count.
    pub(super) fn is_narrow(&self) -> bool {
        let narrow = |rule: &Rule| rule.names.is_some() || rule.resources.iter().all(|(resource, _)| resource != "*");
        !self.rules.is_empty() && self.rules.iter().all(narrow)
    }

    /// Whether the request is in one of the namespaces, and matches a rule but no exclusion. No namespaces and no rules
    /// match every request.
    pub(super) fn matches(&self, review: &Review) -> bool {
        if self.namespaces.as_ref().is_some_and(|namespaces| !may_lie_in(review, namespaces)) {
            return false;
        }
        if self.rules.is_empty() && self.excludes.is_empty() {
            return true;
        }
        let request = Request::of(review);
        let matches = |rule: &Rule| rule.matches(&request);
        (self.rules.is_empty() || self.rules.iter().any(matches)) && !self.excludes.iter().any(matches)
    }
}

/// An object of a file without a namespace may be applied to any of them.
fn may_lie_in(review: &Review, namespaces: &Namespaces) -> bool {
    if review.namespace.is_empty() {
        return review.resource.is_empty() && !is_cluster_scoped(&review.kind.group, &review.kind.kind);
    }
    namespaces.hold(&review.namespace)
}

impl Rule {
    fn read<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Self {
        let known = ["apiGroups", "apiVersions", "operations", "resources", "scope", "resourceNames"];
        let mapping = reader.mapping(field, &known, &[]);
        let resources = reader.required(&mapping, "resources").map(|field| resources(reader, &field));
        let scopes = [("*", Scope::Any), ("Cluster", Scope::Cluster), ("Namespaced", Scope::Namespaced)];
        Self {
            groups: names(reader, &mapping, "apiGroups", true),
            versions: names(reader, &mapping, "apiVersions", true),
            operations: operations(reader, &mapping),
            resources: resources.unwrap_or_default(),
            scope: mapping.get("scope").and_then(|field| reader.choice(&field, "scope", &scopes)).unwrap_or(Scope::Any),
            names: names(reader, &mapping, "resourceNames", false),
        }
    }

    fn matches(&self, request: &Request<'_>) -> bool {
        let holds = |names: &Names, name: &str| names.as_ref().is_none_or(|names| names.contains(name));
        let resource = |(resource, subresource): &(String, String)| {
            (resource == "*" || *resource == request.resource)
                && (subresource == "*" || *subresource == request.review.subresource)
        };
        self.resources.iter().any(resource)
            && holds(&self.groups, request.group)
            && holds(&self.versions, request.version)
            && self.operations.as_ref().is_none_or(|known| known.contains(&request.review.operation))
            && match self.scope {
                Scope::Any => true,
                Scope::Cluster => request.cluster_scoped,
                Scope::Namespaced => !request.cluster_scoped,
            }
            && holds(&self.names, &request.review.name)
    }
}

/// `*` must be the only entry, as in Kubernetes. In `resourceNames`, `*` is an error.
fn names<'a>(reader: &mut Reader<'a>, mapping: &Mapping<'a>, key: &str, wildcard: bool) -> Names {
    let field = mapping.get(key)?;
    let items = reader.strings(&field);
    if !wildcard {
        for (item, _) in items.iter().filter(|(_, text)| text.contains('*')) {
            reader.invalid(item, "it is a whole name; there are no wildcards here".to_owned());
        }
    } else if items.iter().any(|(_, text)| *text == "*") {
        alone(reader, &field, items.len());
        return None;
    }
    Some(items.into_iter().map(|(_, text)| text.to_owned()).collect())
}

fn alone<'a>(reader: &mut Reader<'a>, field: &Field<'a>, count: usize) {
    if count > 1 {
        reader.invalid(field, "\"*\" stands for all, so nothing else may stand beside it".to_owned());
    }
}

fn operations<'a>(reader: &mut Reader<'a>, mapping: &Mapping<'a>) -> Option<Vec<Operation>> {
    let known = [
        ("CREATE", Some(Operation::Create)),
        ("UPDATE", Some(Operation::Update)),
        ("DELETE", Some(Operation::Delete)),
        ("CONNECT", Some(Operation::Connect)),
        ("*", None),
    ];
    let field = mapping.get("operations")?;
    let items = reader.strings(&field);
    let count = items.len();
    let chosen: Vec<_> = items.iter().filter_map(|(item, _)| reader.choice(item, "operation", &known)).collect();
    if chosen.contains(&None) {
        alone(reader, &field, count);
        return None;
    }
    Some(chosen.into_iter().flatten().collect())
}

fn resources<'a>(reader: &mut Reader<'a>, field: &Field<'a>) -> Vec<(String, String)> {
    let mut resources = Vec::new();
    for (item, text) in reader.strings(field) {
        let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
        let valid = |part: &str| part == "*" || !part.is_empty() && !part.contains(['*', '/', ' ']);
        if looks_like_kind(resource) {
            let meant = plural("", resource);
            reader.invalid(&item, format!("{resource:?} is a kind; write its resource, {meant:?}"));
        } else if !valid(resource) || text.contains('/') && !valid(subresource) {
            reader.invalid(
                &item,
                format!("{text:?} is no resource; write for instance \"deployments\", \"*/scale\" or \"*\""),
            );
        } else {
            resources.push((resource.to_owned(), subresource.to_owned()));
        }
    }
    resources
}

/// The mode of a set, with exceptions by namespace.
#[derive(Clone, Debug)]
pub(super) struct Modes {
    pub(super) set: Mode,
    by_namespace: ByNamespace<Mode>,
}

impl From<Mode> for Modes {
    fn from(set: Mode) -> Self {
        Self { set, by_namespace: ByNamespace::default() }
    }
}

impl Modes {
    /// Reads `namespaceModes`.
    pub(super) fn read<'a>(&mut self, reader: &mut Reader<'a>, field: &Field<'a>) {
        let mut seen = HashMap::new();
        for item in reader.list(field) {
            let entry = reader.mapping(&item, &["names", "mode"], &[]);
            let mode = reader.required(&entry, "mode").and_then(|field| reader.choice(&field, "mode", &MODES));
            let names = reader.required(&entry, "names").map(|field| reader.strings(&field)).unwrap_or_default();
            for (field, name) in names {
                if !is_name_or_pattern(reader, &field, name) {
                    continue;
                }
                if let Some(line) = first_line(reader, &mut seen, name, &field) {
                    reader.report(&field, Problem::Duplicate { what: "namespace", value: name.to_owned(), line });
                    continue;
                }
                let Some(mode) = mode else { continue };
                if self.by_namespace.add(reader, &field, name, mode).is_err() {
                    return;
                }
            }
        }
    }

    /// The mode of the namespace, or else the set's own mode.
    pub(super) fn of(&self, namespace: &str) -> Mode {
        self.by_namespace.of(namespace).filter(|_| !namespace.is_empty()).unwrap_or(self.set)
    }

    /// The set's own mode, and the modes of all namespaces.
    pub(super) fn all(&self) -> impl Iterator<Item = Mode> {
        self.by_namespace.values().chain([self.set])
    }
}

#[cfg(test)]
mod tests;
