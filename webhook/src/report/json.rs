//! The report as JSON, version 1. Its names never change (`docs/schemas/report-v1.schema.json`).

use serde::Serialize;

use crate::check::report::{Counted, Entry, Passed, Permission, Report, Unused};
use crate::check::{Unjudged, World};
use crate::printed;

const SCHEMA: &str = "plimsoll.dev/report/v1";

/// The report as JSON, with a line break at its end.
pub fn json(report: &Report, world: &World) -> String {
    let summary = &report.summary;
    let document = Document {
        schema: SCHEMA,
        findings: report.findings.iter().map(|finding| Item::new(finding, world)).collect(),
        ignored: report.ignored.iter().map(|(finding, permission)| Ignored::new(finding, permission, world)).collect(),
        unused_ignores: report.unused.iter().map(UnusedIgnore::new).collect(),
        skipped: report.skipped.iter().map(Skipped::new).collect(),
        assumed: report.assumed.iter().map(Assumed::new).collect(),
        errors: report.problems.iter().map(Error::new).collect(),
        summary: Summary {
            objects: summary.objects,
            files: summary.files,
            other_documents: summary.other_documents,
            passed_over: report.passed_over.folders.iter().map(|passed| passed.path.as_str()).collect(),
            passed_over_links: passed_over_links(&report.passed_over),
            passed_over_templates: &report.passed_over.templates,
            passed_over_patches: &report.passed_over.patches,
            passed_over_files: &report.passed_over.named,
            excluded: &report.passed_over.excluded,
            deleted: &report.passed_over.deleted,
            unchecked: cfg!(feature = "manifest").then(|| unchecked(report)),
            findings: Counts { deny: summary.deny, warn: summary.warn, audit: summary.audit },
            cut: report.more.iter().map(|more| more.count).sum(),
            defaulted: summary.defaulted,
            ignored: summary.ignored,
            fixed: report.made.as_ref().filter(|made| !made.only_shown).map_or(0, |made| made.counts.values().sum()),
            failed: summary.failed,
            would_deny: summary.would_deny,
            exit_status: summary.exit_status.code(),
            kubernetes_version: &summary.kubernetes_version,
            bundles: &summary.bundles,
        },
    };
    // It contains only strings and numbers, so serialising can't fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    printed::json(&text).into_owned()
}

fn passed_over_links(passed: &Passed) -> Vec<&str> {
    passed.links.iter().chain(&passed.hidden_links).map(String::as_str).collect()
}

fn unchecked(report: &Report) -> Vec<Unchecked<'_>> {
    let kinds = report.unchecked.iter();
    kinds.map(|((api_version, kind), count)| Unchecked { api_version, kind, count: *count }).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    findings: Vec<Item<'a>>,
    ignored: Vec<Ignored<'a>>,
    unused_ignores: Vec<UnusedIgnore<'a>>,
    skipped: Vec<Skipped<'a>>,
    assumed: Vec<Assumed<'a>>,
    errors: Vec<Error<'a>>,
    summary: Summary<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    policy: &'a str,
    category: &'a str,
    severity: crate::model::Severity,
    action: &'static str,
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    object: Object<'a>,
    path: &'a str,
    message: &'a str,
    help: &'a str,
    defaulted: bool,
    fix: Option<Fix<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ignored<'a> {
    #[serde(flatten)]
    item: Item<'a>,
    ignored_by: IgnoredBy<'a>,
}

#[derive(Serialize)]
struct IgnoredBy<'a> {
    kind: &'static str,
    /// Name of the PolicyExemption, if there is one.
    name: Option<&'a str>,
    reason: &'a str,
    owner: Option<&'a str>,
    until: Option<&'a str>,
}

#[derive(Serialize)]
struct UnusedIgnore<'a> {
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Fix<'a> {
    title: &'a str,
    class: &'static str,
}

#[derive(Serialize)]
struct Skipped<'a> {
    policy: &'a str,
    reason: &'a str,
    count: usize,
}

#[derive(Serialize)]
struct Assumed<'a> {
    policy: &'a str,
    text: &'a str,
    count: usize,
}

#[derive(Serialize)]
struct Error<'a> {
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    objects: usize,
    files: usize,
    other_documents: usize,
    passed_over: Vec<&'a str>,
    passed_over_links: Vec<&'a str>,
    passed_over_templates: &'a [String],
    passed_over_patches: &'a [String],
    passed_over_files: &'a [String],
    excluded: &'a [String],
    deleted: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    unchecked: Option<Vec<Unchecked<'a>>>,
    findings: Counts,
    cut: usize,
    defaulted: usize,
    ignored: usize,
    fixed: usize,
    failed: usize,
    would_deny: bool,
    exit_status: u8,
    kubernetes_version: &'a str,
    bundles: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unchecked<'a> {
    api_version: &'a str,
    kind: &'a str,
    count: usize,
}

#[derive(Serialize)]
struct Counts {
    deny: usize,
    warn: usize,
    audit: usize,
}

impl<'a> Item<'a> {
    fn new(finding: &'a Entry, world: &'a World) -> Self {
        let span = finding.span;
        Self {
            policy: &finding.policy.id,
            category: &finding.policy.metadata.category,
            severity: finding.severity,
            action: finding.action.as_str(),
            file: &world.files[finding.file].source.name,
            line: span.map(|span| span.line),
            column: span.map(|span| span.column),
            end_line: span.map(|span| span.end_line),
            end_column: span.map(|span| span.end_column),
            object: Object {
                api_version: &finding.object.api_version,
                kind: &finding.object.kind,
                namespace: &finding.object.namespace,
                name: &finding.object.name,
            },
            path: &finding.path,
            message: &finding.message,
            help: &finding.help,
            defaulted: finding.defaulted,
            fix: finding.fix.as_ref().map(|fix| Fix { title: &fix.title, class: fix.class.as_str() }),
        }
    }
}

impl<'a> Ignored<'a> {
    fn new(finding: &'a Entry, permission: &'a Permission, world: &'a World) -> Self {
        let ignored_by = match permission {
            Permission::Annotation { reason, until } => {
                IgnoredBy { kind: "annotation", name: None, reason, owner: None, until: until.as_deref() }
            }
            Permission::Exemption { name, reason, owner, until } => {
                IgnoredBy { kind: "exemption", name: Some(name), reason, owner: Some(owner), until: Some(until) }
            }
        };
        Self { item: Item::new(finding, world), ignored_by }
    }
}

impl<'a> UnusedIgnore<'a> {
    fn new(unused: &'a Unused) -> Self {
        let (line, column) = unused.place.unzip();
        Self { file: unused.file.as_deref(), line, column, message: &unused.message }
    }
}

impl<'a> Skipped<'a> {
    fn new(counted: &'a Counted) -> Self {
        Self { policy: &counted.policy, reason: &counted.text, count: counted.count }
    }
}

impl<'a> Assumed<'a> {
    fn new(counted: &'a Counted) -> Self {
        Self { policy: &counted.policy, text: &counted.text, count: counted.count }
    }
}

impl<'a> Error<'a> {
    fn new(problem: &'a Unjudged) -> Self {
        Self {
            file: &problem.file,
            line: problem.place.map(|(line, _)| line),
            column: problem.place.map(|(_, column)| column),
            message: &problem.message,
        }
    }
}
