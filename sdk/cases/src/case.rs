//! Reads the Markdown files of cases (docs/policy-cases.md).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use plimsoll::model::FixClass;
use plimsoll::yaml;
use plimsoll_sdk::metadata::Severity;

/// One case: a heading and its fences.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The file of the case.
    pub path: PathBuf,
    /// The id of the policy, which is the name of the file.
    pub file: String,
    /// The heading.
    pub title: String,
    /// The documents to review.
    pub input: String,
    /// Other objects may exist elsewhere.
    pub open: bool,
    /// The API server itself refuses the input.
    pub rejected: bool,
    /// The input is deleted, not applied.
    pub deleted: bool,
    /// Whether the policy skips some of the input.
    pub skipped: bool,
    /// The version of Kubernetes for the review.
    pub version: Option<String>,
    /// The old object of an UPDATE.
    pub old: Option<String>,
    /// Objects that are not reviewed.
    pub context: String,
    /// The policy's settings.
    pub settings: Option<String>,
    /// The input after the fixes of a class.
    pub fixed: Vec<(FixClass, String)>,
    /// The input as the webhook completes it.
    pub mutated: Option<String>,
}

/// An expected finding, from a comment of the input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    pub line: usize,
    pub severity: Severity,
    pub missing: String,
    pub text: Option<String>,
}

impl Case {
    /// Every case of a file.
    pub(crate) fn read(path: &Path) -> Result<Vec<Case>> {
        let file = path.file_stem().and_then(|name| name.to_str()).context("a file name")?.to_owned();
        let text = std::fs::read_to_string(path)?;
        let mut cases: Vec<Case> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix("## ") {
                let path = path.to_owned();
                cases.push(Case { path, file: file.clone(), title: title.to_owned(), ..Case::default() });
            } else if let Some(info) = line.strip_prefix("```") {
                let mut body = String::new();
                for line in lines.by_ref().take_while(|line| *line != "```") {
                    body.push_str(line);
                    body.push('\n');
                }
                let case =
                    cases.last_mut().with_context(|| format!("{file}: a fence before the first `## ` heading"))?;
                case.fence(info, body).with_context(|| format!("{file}: {}", case.title))?;
            }
        }
        cases.retain(|case| !case.input.is_empty());
        ensure!(!cases.is_empty(), "{file}: no case");
        Ok(cases)
    }

    /// The name of the test.
    pub fn name(&self) -> String {
        format!("{}: {}", self.file, self.title)
    }

    fn fence(&mut self, info: &str, body: String) -> Result<()> {
        let mut words = info.split_whitespace();
        if words.next() != Some("yaml") {
            return Ok(());
        }
        let words: Vec<&str> = words.collect();
        match words.as_slice() {
            ["context"] => self.context.push_str(&format!("---\n{body}")),
            ["settings"] => self.settings = Some(body),
            ["mutated"] => self.mutated = Some(body),
            ["old"] => self.old = Some(body),
            [fixed] if fixed.starts_with("fixed=") => {
                let class = match &fixed[6..] {
                    "safe" => FixClass::Safe,
                    "hardening" => FixClass::Hardening,
                    "unsafe" => FixClass::Unsafe,
                    other => bail!("no class {other:?}"),
                };
                self.fixed.push((class, body));
            }
            words => {
                ensure!(self.input.is_empty(), "two inputs in one case");
                for word in words {
                    match word.split_once('=') {
                        None if *word == "open" => self.open = true,
                        None if *word == "rejected" => self.rejected = true,
                        None if *word == "deleted" => self.deleted = true,
                        None if *word == "skipped" => self.skipped = true,
                        Some(("version", version)) => self.version = Some(version.to_owned()),
                        _ => bail!("the fence says {word:?}, which is not known"),
                    }
                }
                self.input = body;
            }
        }
        Ok(())
    }

    /// The expected findings from the comments of the input, in the order of the lines.
    pub(crate) fn expected(&self) -> Result<Vec<Expected>> {
        let mut expected = Vec::new();
        for comment in yaml::read(&self.input).into_iter().flatten().flat_map(|document| document.comments().to_vec()) {
            let text = self.input[comment.range].trim_start_matches('#').trim();
            for part in text.split(';').map(str::trim) {
                let (_, rest) = part.split_once(' ').unwrap_or((part, ""));
                let Some(severity) = severity_of(part) else { continue };
                let rest = rest.trim();
                let (missing, rest) = match rest.strip_prefix("missing=") {
                    Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
                    None => ("", rest),
                };
                let rest = rest.trim();
                let text = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                ensure!(rest.is_empty() || text.is_some(), "line {}: {rest:?} is no quoted text", comment.line);
                expected.push(Expected {
                    line: comment.line,
                    severity,
                    missing: missing.to_owned(),
                    text: text.map(str::to_owned),
                });
            }
        }
        Ok(expected)
    }
}

/// The severity at the start of a part of a comment. `None` for prose.
pub(crate) fn severity_of(part: &str) -> Option<Severity> {
    match part.split(' ').next() {
        Some("error") => Some(Severity::Error),
        Some("warning") => Some(Severity::Warning),
        Some("info") => Some(Severity::Info),
        _ => None,
    }
}
