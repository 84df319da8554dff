//! The report: every finding with its place, and everything else that a report contains.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::admission::verdict::{self, Silence};
use crate::check::collect::Role;
use crate::check::fix::End;
use crate::check::rendered::PassedOver;
use crate::check::run::{Checked, Found};
use crate::check::world::Object;
use crate::check::{ExitStatus, Limits, Places, Unjudged, World};
use crate::model::pointer::{join, names};
use crate::model::{Action, Edit, FixClass, Moment, Severity};
use crate::registry::{Policy, Rank, Registry};
use crate::yaml::Span;

/// Maximum number of characters of an added value that the report shows.
const LONGEST_ADDITION: usize = 40;

/// The contents of a report.
#[derive(Debug)]
pub struct Report {
    /// By file in the order of the input, then most severe first.
    pub findings: Vec<Entry>,
    /// Findings that an ignore or an exemption silenced.
    pub ignored: Vec<(Entry, Permission)>,
    /// Ignores and exemptions that have no effect.
    pub unused: Vec<Unused>,
    pub skipped: Vec<Counted>,
    pub assumed: Vec<Counted>,
    /// What the webhook would add, by policy: `securityContext.allowPrivilegeEscalation: false`.
    pub added: Vec<Counted>,
    /// Number of findings beyond the limit, by policy.
    pub more: Vec<Counted>,
    /// Parts of the input that could not be judged.
    pub problems: Vec<Unjudged>,
    pub passed_over: Passed,
    /// Custom kinds without a schema: the number of their objects by `apiVersion` and kind.
    pub unchecked: BTreeMap<(String, String), usize>,
    /// The result of the fixes, if fixes were requested.
    pub made: Option<Made>,
    pub summary: Summary,
}

/// One finding with its place.
#[derive(Debug)]
pub struct Entry {
    pub policy: Arc<Policy>,
    pub severity: Severity,
    /// The action of the cluster in mode `enforce`.
    pub action: Action,
    /// Index into the files of the world.
    pub file: usize,
    pub span: Option<Span>,
    pub object: ObjectName,
    /// RFC 6901 pointer from the root of the document.
    pub path: String,
    pub message: String,
    pub help: String,
    /// Whether the cluster resolves it by itself.
    pub defaulted: bool,
    pub fix: Option<FixOffer>,
    /// Why the fix was refused, if it was requested.
    pub refused: Option<String>,
}

/// Files and folders that were found and not read.
#[derive(Debug, Default)]
pub struct Passed {
    /// Folders that must be rendered.
    pub folders: Vec<PassedOver>,
    /// Symbolic links that lead out of all given paths.
    pub links: Vec<String>,
    /// Symbolic links to hidden files.
    pub hidden_links: Vec<String>,
    /// Templates, which are not YAML before they are rendered.
    pub templates: Vec<String>,
    /// Files and folders that a pattern excludes.
    pub excluded: Vec<String>,
    /// Files with patches of kustomize.
    pub patches: Vec<String>,
    /// Files that kustomizations of their folders name.
    pub named: Vec<String>,
    /// Files in `--only` that do not exist.
    pub deleted: Vec<String>,
}

/// The reason why a finding is silenced.
#[derive(Debug)]
pub enum Permission {
    Annotation { reason: String, until: Option<String> },
    Exemption { name: String, reason: String, owner: String, until: String },
}

/// An ignore or exemption that has no effect.
#[derive(Debug)]
pub struct Unused {
    /// None if it is not in a checked file.
    pub file: Option<String>,
    /// Line and column, 1-based.
    pub place: Option<(usize, usize)>,
    pub message: String,
}

/// The name of an object.
#[derive(Clone, Debug)]
pub struct ObjectName {
    pub api_version: String,
    pub kind: String,
    /// Empty if the object states none.
    pub namespace: String,
    pub name: String,
}

/// A fix that is available.
#[derive(Clone, Debug)]
pub struct FixOffer {
    pub title: String,
    pub class: FixClass,
}

/// A message about a policy that is shown once, with the number of times that it occurred.
#[derive(Clone, Debug)]
pub struct Counted {
    pub policy: String,
    pub text: String,
    pub count: usize,
}

/// The result of the fixes.
#[derive(Debug)]
pub struct Made {
    pub class: FixClass,
    /// Number of applied fixes, by policy.
    pub counts: BTreeMap<String, usize>,
    /// Number of edited and new files.
    pub files: usize,
    pub new_files: Vec<String>,
    pub only_shown: bool,
    /// Why fixes were refused, by number of the finding.
    pub refused: HashMap<usize, String>,
    pub end: End,
}

/// The counts of a report.
#[derive(Clone, Debug)]
pub struct Summary {
    pub objects: usize,
    pub files: usize,
    /// Number of documents that are not Kubernetes objects.
    pub other_documents: usize,
    pub deny: usize,
    pub warn: usize,
    pub audit: usize,
    pub defaulted: usize,
    pub ignored: usize,
    /// Number of failed policies, counted for each object.
    pub failed: usize,
    pub would_deny: bool,
    /// Why the run fails although the cluster would deny nothing.
    pub fails: Option<String>,
    pub exit_status: ExitStatus,
    pub kubernetes_version: String,
    pub bundles: Vec<String>,
}

impl Report {
    /// Builds the report from the results.
    pub fn new(
        registry: &Registry,
        world: &World,
        checked: Checked,
        mut problems: Vec<Unjudged>,
        passed_over: Passed,
        made: Option<Made>,
        limits: Limits,
    ) -> Self {
        let mut places = Places::new(world);
        let unparsable = !problems.is_empty();
        let denying = checked.failed.iter().any(|(_, failed)| failed.action == Action::Deny);
        let failed = checked.failed.len();
        for (object, failed) in &checked.failed {
            problems.push(failure(world, &mut places, *object, &failed.policy.id, &failed.failure.to_string()));
        }
        let refused = made.as_ref().map(|made| &made.refused);
        let mut findings: Vec<Entry> = checked
            .findings
            .into_iter()
            .enumerate()
            .map(|(number, found)| {
                let refused = refused.and_then(|refused| refused.get(&number)).cloned();
                Entry::new(world, &mut places, found, refused)
            })
            .collect();
        findings.sort_by_cached_key(Entry::rank);
        let ignored: Vec<(Entry, Permission)> = checked
            .silenced
            .into_iter()
            .map(|(found, silence)| (Entry::new(world, &mut places, found, None), Permission::from(silence)))
            .collect();
        let count = |action| findings.iter().filter(|finding| !finding.defaulted && finding.action == action).count();
        let mut summary = Summary {
            objects: world.checked().count(),
            files: world.files.iter().filter(|file| file.source.role == Role::Checked).count(),
            other_documents: world.others,
            deny: count(Action::Deny),
            warn: count(Action::Warn),
            audit: count(Action::Audit),
            defaulted: findings.iter().filter(|finding| finding.defaulted).count(),
            ignored: ignored.len(),
            failed,
            would_deny: denying || count(Action::Deny) > 0,
            fails: None,
            exit_status: ExitStatus::Ok,
            kubernetes_version: registry.kubernetes_version().to_string(),
            bundles: registry.bundles().iter().map(|bundle| bundle.digest().to_owned()).collect(),
        };
        summary.judge(limits, unparsable);
        Self {
            findings,
            ignored,
            unused: unused(registry, world, &mut places, &checked.unused),
            skipped: counted(checked.skipped.into_iter().map(|(policy, text)| (policy, text, 1))),
            assumed: counted(checked.assumed.into_iter().map(|(policy, text)| (policy, text, 1))),
            added: counted(checked.added.into_iter().map(|(policy, edit)| (policy, addition(&edit), 1))),
            more: counted(
                checked
                    .more
                    .into_iter()
                    .map(|(policy, more)| (policy, String::new(), usize::try_from(more).unwrap_or(usize::MAX))),
            ),
            problems,
            passed_over,
            unchecked: checked.unchecked,
            made,
            summary,
        }
    }
}

impl Summary {
    fn judge(&mut self, limits: Limits, unparsable: bool) {
        let over = match limits.fail_on {
            _ if self.would_deny => None,
            Action::Audit if self.warn + self.audit > 0 => Some("--fail-on audit".to_owned()),
            Action::Warn if self.warn > 0 => Some("--fail-on warn".to_owned()),
            _ => None,
        };
        let too_many =
            limits.max_warnings.filter(|most| self.warn > *most).map(|most| format!("--max-warnings {most}"));
        self.fails = over.or(too_many.filter(|_| !self.would_deny));
        let denied = (self.would_deny || self.fails.is_some()) && !limits.exit_zero;
        let statuses = [
            (self.failed > 0, ExitStatus::PolicyFailed),
            (unparsable, ExitStatus::Unparsable),
            (denied, ExitStatus::Denied),
            (self.objects == 0 && !limits.allow_empty, ExitStatus::Empty),
        ];
        let statuses = statuses.into_iter().filter(|(applies, _)| *applies).map(|(_, status)| status);
        self.exit_status = ExitStatus::first_of(statuses);
    }
}

impl Entry {
    fn new(world: &World, places: &mut Places<'_>, found: Found, refused: Option<String>) -> Self {
        let object = &world.objects[found.object];
        let finding = found.judged.finding;
        let full = finding.at.full();
        let fix = finding.fix.map(|fix| FixOffer { title: fix.title, class: fix.class });
        Self {
            policy: found.judged.policy,
            severity: finding.severity,
            action: found.judged.action,
            file: object.file,
            span: places.span(object, &full),
            object: ObjectName::of(object),
            path: format!("{}{full}", object.prefix),
            message: finding.message,
            help: finding.help,
            defaulted: found.defaulted,
            fix,
            refused,
        }
    }

    fn rank(&self) -> impl Ord + use<> {
        let start = self.span.map_or(0, |span| span.start);
        let severity = std::cmp::Reverse((self.action, self.severity));
        (self.file, self.defaulted, severity, start, self.policy.rank(), self.path.clone())
    }
}

/// Describes an addition by the last two names of its path, and by its value unless that is long. If an added object has
/// only one member, that member is part of the path.
fn addition(edit: &Edit) -> String {
    let is_name = |name: &Cow<'_, str>| name.parse::<usize>().is_err();
    let mut path: Vec<Cow<'_, str>> = names(edit.pointer()).filter(is_name).collect();
    let mut value = edit.value();
    while let Some(Value::Object(members)) = value
        && members.len() == 1
        && let Some((member, inner)) = members.iter().next()
    {
        path.push(member.into());
        value = Some(inner);
    }
    let path = path[path.len().saturating_sub(2)..].join(".");
    match value {
        Some(Value::String(text)) if text.chars().count() <= LONGEST_ADDITION => format!("{path}: {text}"),
        None | Some(Value::String(_) | Value::Array(_) | Value::Object(_)) => path,
        Some(other) => format!("{path}: {other}"),
    }
}

impl ObjectName {
    pub(crate) fn of(object: &Object) -> Self {
        Self {
            api_version: object.review.kind.api_version(),
            kind: object.review.kind.kind.clone(),
            namespace: object.review.namespace.clone(),
            name: object.review.name.clone(),
        }
    }
}

impl From<Silence> for Permission {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Annotation { reason, until } => Self::Annotation { reason, until },
            Silence::Exemption(exemption) => Self::Exemption {
                name: exemption.name.clone(),
                reason: exemption.reason.clone(),
                owner: exemption.owner.clone(),
                until: exemption.expires.clone(),
            },
        }
    }
}

/// Lists annotations without effect, and expired exemptions. An exemption that no finding needs may be needed
/// elsewhere, so it is not listed.
fn unused(
    registry: &Registry,
    world: &World,
    places: &mut Places<'_>,
    annotations: &[(usize, verdict::Unused)],
) -> Vec<Unused> {
    let annotations = annotations.iter().map(|(object, unused)| {
        let object = &world.objects[*object];
        let span = places.span(object, &join(&unused.at, &unused.name));
        Unused {
            file: Some(world.file(object).source.name.clone()),
            place: span.map(|span| (span.line, span.column)),
            message: format!("{} {}", unused.name, unused.complaint),
        }
    });
    let now = Moment::now();
    let over = registry.exemptions().iter().filter(|exemption| exemption.expired(now)).map(|exemption| Unused {
        file: None,
        place: None,
        message: format!(
            "the PolicyExemption {} of {} ended on {}; take it away, or have it prolonged",
            exemption.name, exemption.owner, exemption.expires
        ),
    });
    annotations.chain(over).collect()
}

fn failure(world: &World, places: &mut Places<'_>, object: usize, policy: &str, reason: &str) -> Unjudged {
    let object = &world.objects[object];
    let name = ObjectName::of(object);
    Unjudged {
        file: world.file(object).source.name.clone(),
        place: places.span(object, "").map(|span| (span.line, span.column)),
        message: format!("the policy {policy} could not judge the {} {}: {reason}", name.kind, name.name),
        help: Some(
            "the verdict of the cluster is unknown without the findings of this policy; please report the failure to the \
             author of the policy"
                .to_owned(),
        ),
    }
}

/// Groups equal messages by policy and counts them, in the order of the policies.
fn counted(items: impl Iterator<Item = (Arc<Policy>, String, usize)>) -> Vec<Counted> {
    let mut counts: BTreeMap<(Rank, String), (String, usize)> = BTreeMap::new();
    for (policy, text, count) in items {
        counts.entry((policy.rank(), text)).or_insert_with(|| (policy.id.clone(), 0)).1 += count;
    }
    counts.into_iter().map(|((_, text), (policy, count))| Counted { policy, text, count }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn additions_are_named_by_the_end_of_their_path() {
        for (pointer, value, expected) in [
            (
                "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
                json!(false),
                "securityContext.allowPrivilegeEscalation: false",
            ),
            (
                "/spec/securityContext/seccompProfile",
                json!({"type": "RuntimeDefault"}),
                "seccompProfile.type: RuntimeDefault",
            ),
            ("/spec/containers/0/resources/requests", json!({"cpu": "1", "memory": "1Gi"}), "resources.requests"),
            ("/spec/containers/0/command", json!(["sh"]), "containers.command"),
            ("/metadata/annotations/a~1b", json!("x".repeat(41)), "annotations.a/b"),
            ("/spec", json!(1), "spec: 1"),
        ] {
            assert_eq!(addition(&Edit::Add { pointer: pointer.to_owned(), value }), expected);
        }
    }
}
