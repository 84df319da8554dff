//! The result of a policy: findings with help and fixes, and the assumptions of the policy.

use crate::cursor::Cursor;
use crate::guest::{Edit, FixClass, Outcome, Place, PointedValue, RawFinding, RawFix, Report, Severity};
use crate::value::Value;

/// Maximum number of findings of one policy. Further findings are counted, but not kept.
pub const MAX_FINDINGS: usize = 256;

/// Collects the findings of one policy in one review.
#[derive(Debug, Default)]
pub struct Findings {
    findings: Vec<Finding>,
    assumptions: Vec<String>,
    skipped: Option<String>,
    /// Number of findings that were not kept, and the last of them, which the policy may still complete.
    more: usize,
    cut: Option<Finding>,
}

impl Findings {
    /// Reports a problem that the default action denies.
    pub fn error(&mut self, at: &Cursor<'_>, message: impl Into<String>, help: impl Into<String>) -> &mut Finding {
        self.report(Severity::Error, at, message, help)
    }

    /// Reports a problem that the default action warns of.
    pub fn warning(&mut self, at: &Cursor<'_>, message: impl Into<String>, help: impl Into<String>) -> &mut Finding {
        self.report(Severity::Warning, at, message, help)
    }

    /// Reports a problem that the default action only records.
    pub fn info(&mut self, at: &Cursor<'_>, message: impl Into<String>, help: impl Into<String>) -> &mut Finding {
        self.report(Severity::Info, at, message, help)
    }

    /// Reports a finding with a severity that the policy computed. `message` says what is wrong, and `help` says what
    /// to write instead.
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
            // The finding will not be shown, so it takes no space and no text.
            self.more += 1;
            let nowhere = Place { pointer: String::new(), missing: String::new() };
            return self.cut.insert(finding(nowhere, String::new(), String::new()));
        }
        self.findings.push(finding(at.place(), message.into(), help.into()));
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Whether further findings are only counted. A policy that compares many pairs can stop then.
    pub fn is_full(&self) -> bool {
        self.findings.len() >= MAX_FINDINGS
    }

    /// Records an assumption about a fact that the policy could not know. Equal assumptions are recorded once.
    pub fn assume(&mut self, text: &str) {
        if !self.assumptions.iter().any(|known| known == text) {
            self.assumptions.push(text.to_owned());
        }
    }

    /// Skips the review, because required context is not known.
    pub fn skip(&mut self, reason: impl Into<String>) {
        self.skipped = Some(reason.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty() && self.assumptions.is_empty() && self.skipped.is_none()
    }

    pub(crate) fn has_findings(&self) -> bool {
        !self.findings.is_empty()
    }

    /// Whether there is a finding of a severity above `info`.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.raw().any(|finding| finding.severity != Severity::Info)
    }

    pub(crate) fn raw(&self) -> impl Iterator<Item = &RawFinding> {
        self.findings.iter().map(|finding| &finding.0)
    }

    /// The findings and the assumptions. There are no findings if the policy skipped the review.
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

/// One finding, which the policy can complete with a fix and with the places that it judged.
#[derive(Debug)]
pub struct Finding(RawFinding);

impl Finding {
    /// Attaches the edits that solve the problem.
    pub fn fix(&mut self, fix: Fix) -> &mut Self {
        self.0.fix = Some(fix.0);
        self
    }

    /// Adds a further place whose value was judged. If that value changes, the finding counts as a new one.
    pub fn about(&mut self, cursor: &Cursor<'_>) -> &mut Self {
        self.0.about.push(cursor.pointer());
        self
    }

    /// Names the other object that the finding is about, as `Kind/name`.
    pub fn related(&mut self, object: impl Into<String>) -> &mut Self {
        self.0.related = Some(object.into());
        self
    }

    /// Sets the version from which the policy reports this, if the policy became stricter after its first version.
    pub fn since(&mut self, version: &str) -> &mut Self {
        self.0.since = Some(version.to_owned());
        self
    }

    /// Marks a finding that depends on the absence of another object. It counts only after a set has had time to be
    /// complete.
    pub fn companion(&mut self) -> &mut Self {
        self.0.companion = true;
        self
    }

    /// Marks a finding that a later object of the same release may solve, so that it only warns in the cluster. It
    /// counts for a set of files, which is complete, and for `kubectl scale`, which is no release.
    pub fn unsettled(&mut self) -> &mut Self {
        self.0.unsettled = true;
        self
    }
}

/// A fix: a title, a class and edits.
#[derive(Clone, Debug)]
pub struct Fix(RawFix);

impl Fix {
    /// A fix that changes nothing at run time. With the API's defaults, the object is the same as before, and so is its
    /// pod template. A safe fix only adds. The host treats a fix that replaces, removes or writes a companion as
    /// `unsafe`.
    pub fn safe(title: impl Into<String>) -> Self {
        Self::new(FixClass::Safe, title)
    }

    /// A fix that does not affect a well-behaved workload, except that its Pods may be replaced once.
    pub fn hardening(title: impl Into<String>) -> Self {
        Self::new(FixClass::Hardening, title)
    }

    /// A fix that changes behaviour (class `unsafe`): how Pods serve, are scheduled, evicted or deleted, the speed of a
    /// rollout, or a decision of the author.
    pub fn changing(title: impl Into<String>) -> Self {
        Self::new(FixClass::Unsafe, title)
    }

    fn new(class: FixClass, title: impl Into<String>) -> Self {
        Self(RawFix { title: title.into(), class, edits: Vec::new(), companion: None })
    }

    /// Writes a value that the author did not write. Missing parents are created.
    #[must_use]
    pub fn add(mut self, at: &Cursor<'_>, value: impl Into<Value>) -> Self {
        self.0.edits.push(Edit::Add(PointedValue { pointer: at.pointer(), value: value.into().to_document() }));
        self
    }

    /// Replaces an existing value.
    #[must_use]
    pub fn replace(mut self, at: &Cursor<'_>, value: impl Into<Value>) -> Self {
        self.0.edits.push(Edit::Replace(PointedValue { pointer: at.pointer(), value: value.into().to_document() }));
        self
    }

    /// Removes a value.
    #[must_use]
    pub fn remove(mut self, at: &Cursor<'_>) -> Self {
        self.0.edits.push(Edit::Remove(at.pointer()));
        self
    }

    /// Appends an item to a list, which is created if it is missing.
    #[must_use]
    pub fn append(mut self, at: &Cursor<'_>, value: impl Into<Value>) -> Self {
        self.0.edits.push(Edit::Append(PointedValue { pointer: at.pointer(), value: value.into().to_document() }));
        self
    }

    /// Adds an object for a new file.
    #[must_use]
    pub fn companion(mut self, object: impl Into<Value>) -> Self {
        self.0.companion = Some(object.into().to_document());
        self
    }
}
