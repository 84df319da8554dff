//! The report for people: each finding with its line of the file, then notes, then the verdict as the last line.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use annotate_snippets::renderer::{DEFAULT_ERROR_STYLE, DEFAULT_WARNING_STYLE, Style};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::check::fix::End;
use crate::check::rendered::{Check, PassedOver};
use crate::check::report::{Counted, Entry, Made, Permission, Report};
use crate::check::{ExitStatus, Unjudged, World};
use crate::model::{Action, FixClass};
use crate::printed;
use crate::yaml::Span;

/// Maximum length of a line that is shown, in bytes. A longer line belongs to a minified file, and only its place is
/// shown.
const LONGEST_LINE: usize = 4096;

/// Number of findings that fit on a screen.
const SCREENFUL: usize = 10;

/// Maximum number of lines about assumptions, and the same about skipped policies, without `--verbose`.
const MOST_NOTES: usize = 6;

/// Options of the report.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub color: bool,
    /// Show only what fails the run.
    pub quiet: bool,
    /// Also show recorded findings, and list everything that was not read.
    pub verbose: bool,
    /// The mildest action that fails the run.
    pub fail_on: Action,
}

/// The report as text.
pub fn human(report: &Report, world: &World, look: Look) -> String {
    let renderer = if look.color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    if !look.quiet {
        table(&mut out, report);
    }
    // If `--max-warnings` is exceeded, each warning fails the run.
    let failing = if report.summary.fails.is_some() { look.fail_on.min(Action::Warn) } else { look.fail_on };
    let mut recorded = 0;
    for finding in report.findings.iter().filter(|finding| !finding.defaulted) {
        // A recorded finding is shown with `--verbose` or `--fail-on audit`, and if its fix was refused.
        let is_asked = look.verbose || failing <= Action::Audit || finding.refused.is_some();
        if !look.quiet && finding.action <= Action::Audit && !is_asked {
            recorded += 1;
        } else if !look.quiet || finding.action >= failing {
            let text = &world.files[finding.file].source;
            let group = group(finding, &text.name, &text.text, report.made.as_ref());
            let _ = write!(out, "{}\n\n", renderer.render(&[group]));
        }
    }
    let mut texts: HashMap<&str, &str> = HashMap::new();
    if !report.problems.is_empty() {
        texts.extend(world.files.iter().map(|file| (file.source.name.as_str(), file.source.text.as_str())));
    }
    for problem in &report.problems {
        let text = texts.get(problem.file.as_str()).copied();
        let _ = write!(out, "{}\n\n", renderer.render(&[error(problem, text)]));
    }
    if !look.quiet {
        notes(&mut out, report, look.verbose);
        unchecked(&mut out, report, look.verbose);
        passed_over(&mut out, report, look.verbose);
        if recorded > 0 {
            let _ = writeln!(out, "not shown: {}; `--verbose` shows them", plural(recorded, "recorded finding"));
        }
        counts(&mut out, report);
    }
    if !look.quiet || report.summary.exit_status != ExitStatus::Ok {
        verdict(&mut out, report, look);
    }
    out
}

fn group<'a>(finding: &'a Entry, file: &str, text: &'a str, made: Option<&'a Made>) -> Group<'a> {
    let level = match finding.action {
        Action::Deny => Level::ERROR,
        Action::Warn => Level::WARNING,
        Action::Audit | Action::Off => Level::INFO,
    };
    let file = clean(file);
    let mut group = Group::with_title(level.primary_title(clean(&finding.message)).id(clean(&finding.policy.id)));
    group = match finding.span.map(|span| (span, excerpt(text, span))) {
        Some((span, Some(Shown { line, from, to }))) => group.element(
            Snippet::source(line).line_start(span.line).path(file).annotation(AnnotationKind::Primary.span(from..to)),
        ),
        Some((span, None)) => group.element(Origin::path(file).line(span.line).char_column(span.column)),
        None => group.element(Origin::path(file)),
    };
    group = group.element(Level::NOTE.message(clean(&format!("{} at {}", name(finding), path(&finding.path)))));
    if !finding.help.is_empty() {
        group = group.element(Level::HELP.message(clean(&finding.help)));
    }
    if let Some(reason) = &finding.refused {
        group = group.element(Level::NOTE.message(clean(&format!("not fixed: {reason}"))));
    } else if let Some(fix) = &finding.fix {
        // A fix that was made leaves no finding. So only fixes of a stricter class are offered.
        let offered = made.is_none_or(|made| made.only_shown || fix.class > made.class);
        if offered {
            group =
                group.element(Level::HELP.message(clean(&format!("`--fix={}`: {}", fix.class.as_str(), fix.title))));
        }
    }
    group
}

/// The line of a span, with the span marked.
fn excerpt(text: &str, span: Span) -> Option<Shown> {
    // A file may be a single line of some megabytes, so only a part is searched.
    let first = span.start.saturating_sub(LONGEST_LINE + 1);
    let before = text.as_bytes().get(first..span.start)?.iter().rposition(|byte| *byte == b'\n');
    let start = before.map(|at| first + at + 1).or((first == 0).then_some(0))?;
    let last = text.len().min(start + LONGEST_LINE + 2);
    let length = text.as_bytes().get(start..last)?.iter().position(|byte| *byte == b'\n').unwrap_or(last - start);
    let line = text.get(start..start + length)?.trim_end_matches('\r');
    let line_start = if start == 0 { line.len() - line.trim_start_matches('\u{feff}').len() } else { 0 };
    let (from, to) = (span.start - start, (span.end - start).min(line.len()));
    let shown = line.get(line_start..)?;
    let (from, to) = (from.checked_sub(line_start)?, to.checked_sub(line_start)?);
    Shown::new(shown, from, to.max(from))
}

fn name(finding: &Entry) -> String {
    let object = &finding.object;
    let name = if object.name.is_empty() { "(without a name)" } else { &object.name };
    match object.namespace.as_str() {
        "" => format!("{} {name}", object.kind),
        namespace => format!("{} {namespace}/{name}", object.kind),
    }
}

fn path(pointer: &str) -> &str {
    if pointer.is_empty() { "its root" } else { pointer }
}

fn error<'a>(problem: &'a Unjudged, text: Option<&str>) -> Group<'a> {
    let mut group = Group::with_title(Level::ERROR.primary_title(clean(&problem.message)));
    let file = clean(&problem.file);
    group = match (problem.place, text.zip(problem.place).and_then(|(text, place)| line_at(text, place))) {
        (Some((number, _)), Some(Shown { line, from, to })) => {
            let annotation = AnnotationKind::Primary.span(from..to);
            group.element(Snippet::source(line).line_start(number).path(file).annotation(annotation))
        }
        (Some((line, column)), None) => group.element(Origin::path(file).line(line).char_column(column)),
        (None, _) => group.element(Origin::path(file)),
    };
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(clean(help))),
        None => group,
    }
}

/// A line of a text, with the character at a column marked.
fn line_at(text: &str, (line, column): (usize, usize)) -> Option<Shown> {
    let shown = text.strip_prefix('\u{feff}').unwrap_or(text).lines().nth(line.checked_sub(1)?)?;
    let at = shown.char_indices().nth(column.checked_sub(1)?).map_or(shown.len(), |(at, _)| at);
    let end = shown[at..].chars().next().map_or(at, |character| at + character.len_utf8());
    Shown::new(shown, at, end)
}

/// If the findings do not fit on a screen, the report begins with their numbers by policy.
fn table(out: &mut String, report: &Report) {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let shown = report.findings.iter().filter(|finding| !finding.defaulted);
    for finding in shown.clone() {
        let column = match finding.action {
            Action::Deny => 0,
            Action::Warn => 1,
            Action::Audit | Action::Off => 2,
        };
        counts.entry(&finding.policy.id).or_default()[column] += 1;
    }
    if shown.count() <= SCREENFUL {
        return;
    }
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_by_key(|(policy, counts)| (std::cmp::Reverse(*counts), *policy));
    let _ = writeln!(out, "denied  warned  recorded  policy");
    for (policy, [deny, warn, audit]) in rows {
        let _ = writeln!(out, "{deny:>6}  {warn:>6}  {audit:>8}  {}", clean(policy));
    }
    out.push('\n');
}

fn counts(out: &mut String, report: &Report) {
    let summary = &report.summary;
    let _ = writeln!(
        out,
        "{} in {}: {} denied, {} warned, {} recorded",
        plural(summary.objects, "object"),
        plural(summary.files, "file"),
        summary.deny,
        summary.warn,
        summary.audit
    );
}

fn notes(out: &mut String, report: &Report, verbose: bool) {
    for more in &report.more {
        let _ = writeln!(out, "not shown: {} more of {}", more.count, more.policy);
    }
    if let Some(made) = &report.made {
        fixes(out, made, &report.findings);
    }
    for added in &report.added {
        let text = format!("{} ({})", added.text, times(added));
        let _ = writeln!(out, "the webhook would add: {}", clean(&text));
    }
    if !report.ignored.is_empty() {
        let items = ignored(&report.ignored);
        let items: Vec<String> = items.iter().map(|item| format!("{} ({})", times(item), item.text)).collect();
        let _ = writeln!(out, "ignored: {}", items.join("; "));
    }
    for unused in &report.unused {
        let place = match (&unused.file, unused.place) {
            (Some(file), Some((line, column))) => format!("{file}:{line}:{column}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        let _ = writeln!(out, "{}", clean(&format!("unused: {place}{}", unused.message)));
    }
    let assumed = report.assumed.iter().map(|item| format!("{} ({})", item.text, times(item)));
    lines(out, "assumed", assumed, verbose);
    let skipped = report.skipped.iter().map(|item| format!("{}: {}", times(item), item.text));
    lines(out, "skipped", skipped, verbose);
}

/// Prints one line for each item. Without `--verbose`, the number of lines is limited.
fn lines(out: &mut String, what: &str, mut items: impl ExactSizeIterator<Item = String>, verbose: bool) {
    let shown = if verbose || items.len() <= MOST_NOTES { items.len() } else { MOST_NOTES - 1 };
    for item in items.by_ref().take(shown) {
        let _ = writeln!(out, "{what}: {}", clean(&item));
    }
    if items.len() > 0 {
        let _ = writeln!(out, "{what}: {} more; `--verbose` lists them", items.len());
    }
}

/// Prints one line about custom kinds without a schema. With `--verbose`, also one line for each kind.
fn unchecked(out: &mut String, report: &Report, verbose: bool) {
    let objects: usize = report.unchecked.values().sum();
    if objects == 0 {
        return;
    }
    if verbose {
        for ((api_version, kind), count) in &report.unchecked {
            let line = format!("{kind} of {api_version} ({})", plural(*count, "object"));
            let _ = writeln!(out, "no schema: {}", clean(&line));
        }
    }
    let kinds = plural(report.unchecked.len(), "custom kind");
    let (have, their) = if objects == 1 { ("has", "its") } else { ("have", "their") };
    let hint = if verbose { "" } else { "; `--verbose` lists them" };
    let objects = plural(objects, "object");
    let _ = writeln!(out, "{objects} of {kinds} {have} no schema: {their} fields are not checked{hint}");
}

/// Prints one line with counts of everything that was not read. With `--verbose`, also one line for each item.
fn passed_over(out: &mut String, report: &Report, verbose: bool) {
    let passed = &report.passed_over;
    let deleted = passed.deleted.len();
    if deleted > 0 {
        let exist = if deleted == 1 { "does not exist, and counts" } else { "do not exist, and count" };
        let _ = writeln!(out, "{} of `--only` {exist} as deleted", plural(deleted, "file"));
    }
    let of_kind = |what: &str| passed.folders.iter().filter(|folder| folder.what == what).count();
    let counts = [
        (report.summary.other_documents, "document", " without a Kubernetes object"),
        (passed.links.len(), "symbolic link", " out of the given paths"),
        (passed.hidden_links.len(), "symbolic link", " to hidden files"),
        (of_kind("Helm chart"), "Helm chart", ""),
        (of_kind("library chart"), "library chart", ""),
        (of_kind("kustomization"), "kustomization", ""),
        (of_kind("kustomize base"), "kustomize base", ""),
        (of_kind("kustomize component"), "kustomize component", ""),
        (passed.templates.len(), "template", ""),
        (passed.patches.len(), "file", " with patches"),
        (passed.named.len(), "file", " of kustomizations"),
        (passed.excluded.len(), "excluded path", ""),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, which)| format!("{}{which}", plural(count, what)))
        .collect();
    if counts.is_empty() {
        return;
    }
    let mut lines: Vec<String> = Vec::new();
    let mut list = |names: &[String], what: &str| lines.extend(names.iter().map(|name| format!("{name} {what}")));
    list(&passed.links, "is a symbolic link that leads out of the given paths");
    list(&passed.hidden_links, "is a symbolic link that leads to hidden files");
    list(&passed.templates, "is a template: render it, and pipe the result into `plimsoll check -`");
    list(&passed.patches, "has patches, which are no whole objects: check what applies them");
    list(&passed.named, "belongs to a kustomization: check what that builds");
    list(&passed.excluded, "is excluded");
    lines.extend(passed.folders.iter().map(PassedOver::sentence));
    if verbose {
        for line in lines {
            let _ = writeln!(out, "passed over: {}", clean(&line));
        }
    }
    // A single chart or kustomization is named at once, with the command that checks it.
    let is_own = |folder: &&PassedOver| !matches!(folder.check, Check::With(_));
    let own: Vec<&PassedOver> = passed.folders.iter().filter(is_own).collect();
    let names = [&passed.links, &passed.hidden_links, &passed.templates, &passed.patches, &passed.excluded];
    let files: usize = names.into_iter().map(Vec::len).sum();
    match own.as_slice() {
        [folder] if files + report.summary.other_documents == 0 && !verbose => {
            let _ = writeln!(out, "passed over: {}", clean(&folder.sentence()));
            if !passed.named.is_empty() {
                let files = plural(passed.named.len(), "file");
                let _ = writeln!(out, "passed over: {files} of kustomizations; `--verbose` lists them");
            }
        }
        _ => {
            let has_names = files + passed.folders.len() + passed.named.len() > 0;
            let hint = if has_names && !verbose { "; `--verbose` lists them" } else { "" };
            let _ = writeln!(out, "passed over: {}{hint}", counts.join(", "));
        }
    }
}

/// Groups ignored findings by policy and permission, and counts them.
fn ignored(items: &[(Entry, Permission)]) -> Vec<Counted> {
    let mut counts: Vec<Counted> = Vec::new();
    for (finding, permission) in items {
        let text = clean(&match permission {
            Permission::Annotation { reason, until: None } => reason.clone(),
            Permission::Annotation { reason, until: Some(day) } => format!("{reason}, until {day}"),
            Permission::Exemption { name, reason, owner, until } => {
                format!("exemption {name} of {owner}: {reason}, until {until}")
            }
        });
        match counts.iter_mut().find(|known| known.policy == finding.policy.id && known.text == text) {
            Some(known) => known.count += 1,
            None => counts.push(Counted { policy: finding.policy.id.clone(), text, count: 1 }),
        }
    }
    counts
}

fn fixes(out: &mut String, made: &Made, findings: &[Entry]) {
    let counts: Vec<Counted> = made
        .counts
        .iter()
        .map(|(policy, count)| Counted { policy: policy.clone(), text: String::new(), count: *count })
        .collect();
    let verb = if made.only_shown { "would fix" } else { "fixed" };
    if counts.is_empty() {
        let _ = writeln!(out, "{verb}: nothing (class {})", made.class.as_str());
        for class in [FixClass::Hardening, FixClass::Unsafe].into_iter().filter(|class| *class > made.class) {
            let offered = |finding: &&Entry| finding.fix.as_ref().is_some_and(|fix| fix.class == class);
            let count = findings.iter().filter(offered).count();
            if count > 0 {
                let fixes = if count == 1 { "1 fix".to_owned() } else { format!("{count} fixes") };
                let _ = writeln!(out, "not made: {fixes} of class {0}; run `--fix={0}`", class.as_str());
            }
        }
    } else {
        let _ = writeln!(out, "{verb}: {} in {}", by_policy(&counts), plural(made.files, "file"));
    }
    if !made.new_files.is_empty() {
        let verb = if made.only_shown { "would write" } else { "wrote" };
        let _ = writeln!(out, "{verb}: {}", clean(&made.new_files.join(", ")));
    }
    let refused = made.refused.len();
    if refused > 0 {
        let _ = writeln!(out, "not fixed: {}, each with its reason", plural(refused, "finding"));
    }
    match made.end {
        End::Done => {}
        End::MoreToDo => {
            let _ = writeln!(out, "not fixed: more findings than one run can fix; run `--fix` again");
        }
        End::Circle => {
            let _ = writeln!(out, "fixing stopped: two fixes undo each other, which is a bug, please report it");
        }
    }
}

fn verdict(out: &mut String, report: &Report, look: Look) {
    let summary = &report.summary;
    let (style, text) = match (summary.exit_status, &summary.fails) {
        (ExitStatus::PolicyFailed, _) => (DEFAULT_ERROR_STYLE, "Not judged: a policy failed.".to_owned()),
        (ExitStatus::Unparsable, _) if summary.would_deny => {
            (DEFAULT_ERROR_STYLE, "The cluster would deny this, and part of the input could not be read.".to_owned())
        }
        (ExitStatus::Unparsable, _) => {
            (DEFAULT_ERROR_STYLE, "Not judged: part of the input could not be read.".to_owned())
        }
        _ if summary.would_deny => (DEFAULT_ERROR_STYLE, "The cluster would deny this.".to_owned()),
        _ if summary.objects == 0 => (DEFAULT_WARNING_STYLE, "No Kubernetes objects found.".to_owned()),
        (_, Some(limit)) => (DEFAULT_ERROR_STYLE, format!("The cluster would admit this; the check fails by {limit}.")),
        _ if summary.warn > 0 => {
            let warnings = plural(summary.warn, "warning");
            (DEFAULT_WARNING_STYLE, format!("The cluster would admit this, with {warnings}."))
        }
        _ => (Style::new().bold(), "The cluster would admit this.".to_owned()),
    };
    if look.color {
        let _ = writeln!(out, "{style}{text}{style:#}");
    } else {
        let _ = writeln!(out, "{text}");
    }
}

/// Escapes the control characters of names, messages and files.
fn clean(text: &str) -> String {
    printed::line(text).into_owned()
}

/// A line of a file with escapes, and the marked range of bytes in it.
struct Shown {
    line: String,
    from: usize,
    to: usize,
}

impl Shown {
    /// Escapes the part before the mark, the marked part and the rest separately, so that the mark stays in place. None
    /// if the line is too long.
    fn new(line: &str, from: usize, to: usize) -> Option<Self> {
        if line.len() > LONGEST_LINE {
            return None;
        }
        let (before, rest) = line.split_at_checked(from)?;
        let (marked, after) = rest.split_at_checked(to.checked_sub(from)?)?;
        let [before, marked, after] = [before, marked, after].map(|part| printed::line(part).into_owned());
        let (from, to) = (before.len(), before.len() + marked.len());
        Some(Self { line: before + &marked + &after, from, to })
    }
}

fn by_policy(items: &[Counted]) -> String {
    items.iter().map(times).collect::<Vec<_>>().join(", ")
}

fn times(item: &Counted) -> String {
    if item.count == 1 { item.policy.clone() } else { format!("{} × {}", item.policy, item.count) }
}

fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}
