//! What a policy reports: findings with help and fixes, and what it took for granted.

use crate::cursor::Cursor;
use crate::guest::{Edit, FixClass, Outcome, Place, PointedValue, RawFinding, RawFix, Report, Severity};
use crate::value::Value;

/// Findings of one policy beyond this are counted and cut.
pub const MAX_FINDINGS: usize = 256;

/// Collects what one policy has to say of one review.
#[derive(Debug, Default)]
pub struct Findings {
    findings: Vec<Finding>,
    assumptions: Vec<String>,
    skipped: Option<String>,
    /// How many were cut, and the last of them, which a policy may go on to complete.
    more: usize,
    cut: Option<Finding>,
}

impl Findings {
    /// Something that the default action denies.
    pub fn error(&mut self, at: &Cursor<'_>, message: impl Into<String>, help: impl Into<String>) -> &mut Finding {
        self.report(Severity::Error, at, message, help)
    }

    /// Something that the default action warns of.
    pub fn warning(&mut self, at: &Cursor<'_>, message: impl Into<String>, help: impl Into<String>) -> &mut Finding {
        self.report(Severity::Warning, at, message, help)
    }

    /// Something that the default action only records.
    pub fn info(&mut self, at: &Cursor<'_>, message: impl Into<String>, help: impl Into<String>) -> &mut Finding {
        self.report(Severity::Info, at, message, help)
    }

    /// A finding of a severity that the policy computed. `message` says what is wrong, `help` what to write instead.
    pub fn report(
        &mut self,
        severity: Severity,
        at: &Cursor<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> &mut Finding {
        let finding = |at: Place, message: String, help: String| {
            let (fix, about, related, since) = (None, Vec::new(), None, None);
            let (companion, unsettled) = (false, false);
            Finding(RawFinding { severity, at, message, help, fix, about, related, since, companion, unsettled })
        };
        if self.is_full() {
            // Nobody will see it, so it costs no place and no text.
            self.more += 1;
            let nowhere = Place { pointer: String::new(), missing: String::new() };
            return self.cut.insert(finding(nowhere, String::new(), String::new()));
        }
        self.findings.push(finding(at.place(), message.into(), help.into()));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Whether further findings are only counted. A policy that compares many things with many can stop then.
    pub fn is_full(&self) -> bool {
        self.findings.len() >= MAX_FINDINGS
    }

    /// What was taken for granted because it could not be known. Said once, however often it is called.
    pub fn assume(&mut self, text: &str) {
        if !self.assumptions.iter().any(|known| known == text) {
            self.assumptions.push(text.to_owned());
        }
    }

    /// Not judged at all, because required context is not known.
    pub fn skip(&mut self, reason: impl Into<String>) {
        self.skipped = Some(reason.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.assumptions.is_empty() && self.skipped.is_none()
    }

    pub(crate) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Whether something was found that is worse than what is only recorded.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.raw().any(|finding| finding.severity != Severity::Info)
    }

    pub(crate) fn raw(&self) -> impl Iterator<Item = &RawFinding> {
        self.findings.iter().map(|finding| &finding.0)
    }

    /// The findings, none where it was not judged, and the assumptions.
    pub(crate) fn into_parts(self) -> (Vec<RawFinding>, Vec<String>) {
        let findings = if self.skipped.is_some() { Vec::new() } else { self.findings };
        (findings.into_iter().map(|finding| finding.0).collect(), self.assumptions)
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        if let Some(reason) = self.skipped {
            return Outcome::Skipped(reason);
        }
        Outcome::Evaluated(Report {
            findings: self.findings.into_iter().map(|finding| finding.0).collect(),
            assumptions: self.assumptions,
            more: u32::try_from(self.more).unwrap_or(u32::MAX),
        })
    }
}

/// One finding, to be completed: with a fix, with the places that it judged.
#[derive(Debug)]
pub struct Finding(RawFinding);

impl Finding {
    /// Attaches the edits that mend it.
    pub fn fix(&mut self, fix: Fix) -> &mut Self {
        self.0.fix = Some(fix.0);
        self
    }

    /// A further place whose value was judged: where it changes, the finding counts as a new one.
    pub fn about(&mut self, cursor: &Cursor<'_>) -> &mut Self {
        self.0.about.push(cursor.pointer());
        self
    }

    /// The other object that this is about, `Kind/name`.
    pub fn related(&mut self, object: impl Into<String>) -> &mut Self {
        self.0.related = Some(object.into());
        self
    }

    /// The version from which this meaning holds, where it is stricter than the policy's first.
    pub fn since(&mut self, version: &str) -> &mut Self {
        self.0.since = Some(version.to_owned());
        self
    }

    /// It rests on another object's absence, so it counts only once a set had time to be complete.
    pub fn companion(&mut self) -> &mut Self {
        self.0.companion = true;
        self
    }

    /// An object that follows in the same release may end it, so that in the cluster it only warns. A set of files is
    /// complete, and `kubectl scale` is no release: there it counts.
    pub fn unsettled(&mut self) -> &mut Self {
        self.0.unsettled = true;
        self
    }
}

/// A title, a class and edits.
#[derive(Clone, Debug)]
pub struct Fix(RawFix);

impl Fix {
    /// Nothing changes at run time: with the API's defaults the object is the same as before, its pod template too. It only
    /// adds; the host takes a fix that replaces, removes or writes a companion for `unsafe`.
    pub fn safe(title: impl Into<String>) -> Self {
        Self::new(FixClass::Safe, title)
    }

    /// A well-behaved workload notices nothing, though its Pods may be replaced once.
    pub fn hardening(title: impl Into<String>) -> Self {
        Self::new(FixClass::Hardening, title)
    }

    /// Behaviour changes (class `unsafe`): what is served, scheduled, evicted or deleted, how fast a rollout goes, or what
    /// the author decided.
    pub fn changing(title: impl Into<String>) -> Self {
        Self::new(FixClass::Unsafe, title)
    }

    fn new(class: FixClass, title: impl Into<String>) -> Self {
        Self(RawFix { title: title.into(), class, edits: Vec::new(), companion: None })
    }

    /// Writes what the author did not write; missing parents are made.
    #[must_use]
    pub fn add(mut self, at: &Cursor<'_>, value: impl Into<Value>) -> Self {
        self.0.edits.push(Edit::Add(PointedValue { pointer: at.pointer(), value: value.into().to_document() }));
        self
    }

    /// Writes another value in the place of one that is there.
    #[must_use]
    pub fn replace(mut self, at: &Cursor<'_>, value: impl Into<Value>) -> Self {
        self.0.edits.push(Edit::Replace(PointedValue { pointer: at.pointer(), value: value.into().to_document() }));
        self
    }

    /// Takes a value out.
    #[must_use]
    pub fn remove(mut self, at: &Cursor<'_>) -> Self {
        self.0.edits.push(Edit::Remove(at.pointer()));
        self
    }

    /// Adds an item at the end of a list, which is made where it is missing.
    #[must_use]
    pub fn append(mut self, at: &Cursor<'_>, value: impl Into<Value>) -> Self {
        self.0.edits.push(Edit::Append(PointedValue { pointer: at.pointer(), value: value.into().to_document() }));
        self
    }

    /// The object for a new file.
    #[must_use]
    pub fn companion(mut self, object: impl Into<Value>) -> Self {
        self.0.companion = Some(object.into().to_document());
        self
    }
}
