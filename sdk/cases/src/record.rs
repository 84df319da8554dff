//! Writes the results of a policy into its file of cases, in place of the expectations.

use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow, ensure};
use plimsoll::model::Finding;
use plimsoll::registry::Site;
use plimsoll::yaml;

use crate::bench::{Bench, documents};
use crate::case::{Case, severity_of};
use crate::running::{fix, found, is_wanted, mutate, run};

/// Cases of a file run in parallel, and each of them writes the whole file.
static FILES: Mutex<()> = Mutex::new(());

/// Records the results of a failing case. A result that has no place in the file, such as a finding outside of the
/// input, stays an error.
pub(crate) fn record(case: &Case) -> Result<()> {
    let mut now = case.clone();
    now.input = with_comments(case)?;
    let commented = now.clone();
    for (class, text) in &mut now.fixed {
        *text = fix(&commented, &commented.input, *class)?;
    }
    if let Some(before) = &case.mutated {
        let after = mutated(&commented)?;
        if documents(before)? != documents(&after)? {
            now.mutated = Some(after);
        }
    }
    let held = FILES.lock().map_err(|_| anyhow!("another case panicked"))?;
    let text = std::fs::read_to_string(&case.path)?;
    let text = replaced(&text, case, &now)
        .with_context(|| format!("{} is no longer the file that was read", case.path.display()))?;
    std::fs::write(&case.path, text)?;
    drop(held);
    run(&now).context("the recorded case still fails")
}

/// The input with comments for its findings, on the lines with a different expectation.
fn with_comments(case: &Case) -> Result<String> {
    let found = found(&Bench::new(case, Site::Files)?, case)?;
    let expected = case.expected()?;
    let (mut open, mut wrong) = (found.iter().collect::<Vec<_>>(), Vec::new());
    for wanted in &expected {
        match open.iter().position(|found| is_wanted(wanted, found)) {
            Some(index) => drop(open.remove(index)),
            None => wrong.push(wanted.line),
        }
    }
    wrong.extend(open.iter().map(|(line, _)| *line));
    Ok(annotated(&case.input, &wrong, &found))
}

/// The text with exactly these findings in the comments of these lines. Prose in the comments stays.
fn annotated(input: &str, lines: &[usize], found: &[(usize, Finding)]) -> String {
    let comments = comments(input);
    let (mut text, mut offset) = (String::new(), 0);
    for (index, line) in input.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += line.len();
        if !lines.contains(&(index + 1)) {
            text.push_str(line);
            continue;
        }
        let comment = comments.iter().find(|comment| comment.line == index + 1);
        let (before, comment) = match comment {
            Some(comment) => line.split_at(comment.range.start.saturating_sub(start).min(line.len())),
            None => (line, ""),
        };
        let parts = comment.trim_start_matches('#').split(';').map(str::trim);
        let prose = parts.filter(|part| !part.is_empty() && severity_of(part).is_none()).map(str::to_owned);
        let said = found.iter().filter(|(line, _)| *line == index + 1).map(|(_, finding)| words(finding));
        let parts: Vec<String> = prose.chain(said).collect();
        text.push_str(before.trim_end());
        if !parts.is_empty() {
            text.push_str(&format!(" # {}", parts.join("; ")));
        }
        text.push('\n');
    }
    text
}

fn comments(text: &str) -> Vec<yaml::Comment> {
    yaml::read(text).into_iter().flatten().flat_map(|document| document.comments().to_vec()).collect()
}

/// A finding as a comment. Text after a semicolon is left out, because a semicolon ends a finding.
fn words(finding: &Finding) -> String {
    let severity = format!("{:?}", finding.severity).to_lowercase();
    let missing = match finding.at.missing.as_str() {
        "" => String::new(),
        missing => format!(" missing={missing}"),
    };
    let message = finding.message.split(';').next().unwrap_or_default().trim();
    format!("{severity}{missing} \"{message}\"")
}

/// The input with the edits of the webhook, and without the expectations of the input.
fn mutated(case: &Case) -> Result<String> {
    let bench = Bench::new(case, Site::Files)?;
    let mut edits = Vec::new();
    for (index, object) in documents(&case.input)?.iter().enumerate() {
        let (_, of_object) = mutate(&bench, case, object)?;
        if !of_object.is_empty() {
            edits.push((index, of_object));
        }
    }
    let spliced = yaml::splice::apply(&case.input, &edits);
    ensure!(spliced.refused.is_empty(), "the webhook's edits can't be written into the input: write the fence by hand");
    let lines: Vec<usize> = comments(&spliced.text).iter().map(|comment| comment.line).collect();
    Ok(annotated(&spliced.text, &lines, &[]))
}

/// The file with the current fences of a case.
fn replaced(text: &str, case: &Case, now: &Case) -> Result<String> {
    let heading = format!("## {}\n", case.title);
    let mut from = 0;
    loop {
        let start = text[from..].find(&heading).map(|at| from + at).context("the heading is missing")?;
        let body = start + heading.len();
        let end = text[body..].find("\n## ").map_or(text.len(), |at| body + at + 1);
        // If two cases have one title, the case with this input.
        if text[body..end].contains(&format!("\n{}```", case.input)) {
            let section = fences(&text[body..end], case, now);
            return Ok([&text[..body], &section, &text[end..]].concat());
        }
        from = end;
    }
}

fn fences(section: &str, case: &Case, now: &Case) -> String {
    let mut written = String::new();
    let mut lines = section.split_inclusive('\n');
    while let Some(line) = lines.next() {
        written.push_str(line);
        let Some(info) = line.strip_prefix("```yaml") else { continue };
        let mut body = String::new();
        let mut close = "";
        for line in lines.by_ref() {
            if line.trim_end() == "```" {
                close = line;
                break;
            }
            body.push_str(line);
        }
        let fixed = now.fixed.iter().find(|(class, _)| info.trim() == format!("fixed={}", class.as_str()));
        let new = match (info.trim(), fixed) {
            (_, Some((_, text))) => text,
            ("mutated", None) => now.mutated.as_ref().unwrap_or(&body),
            _ if body == case.input => &now.input,
            _ => &body,
        };
        written.push_str(new);
        written.push_str(close);
    }
    written
}

#[cfg(test)]
mod tests {
    use plimsoll::model::FixClass;

    use super::*;

    #[test]
    fn comments_that_nobody_finds_go_and_prose_stays() {
        let text = "a: 1 # error \"x\"; by hand\nb: 2 # warning missing=c\nc: 3 # info\n";
        assert_eq!(annotated(text, &[1, 2], &[]), "a: 1 # by hand\nb: 2\nc: 3 # info\n");
    }

    #[test]
    fn only_the_fences_of_the_case_change() {
        let case = |input: &str, fixed: &str| Case {
            title: "One".to_owned(),
            input: input.to_owned(),
            fixed: vec![(FixClass::Safe, fixed.to_owned())],
            mutated: Some("m: 1\n".to_owned()),
            ..Case::default()
        };
        let file = |input: &str, fixed: &str| {
            format!(
                "# Cases\n\n## One\n\n```yaml\nother: 1\n```\n\n## One\n\nProse.\n\n```yaml open\n{input}```\n\n```yaml \
                 fixed=safe\n{fixed}```\n\n```yaml mutated\nm: 1\n```\n\n## Two\n\n```yaml\n{input}```\n"
            )
        };
        let before = file("a: 1\n", "a: 2\n");
        let after = replaced(&before, &case("a: 1\n", "a: 2\n"), &case("a: 1 # error\n", "a: 3\n")).unwrap();
        let (one, two) = after.split_once("## Two").unwrap();
        assert_eq!(one, file("a: 1 # error\n", "a: 3\n").split_once("## Two").unwrap().0);
        assert_eq!(two, before.split_once("## Two").unwrap().1);
        assert!(replaced(&before, &case("b: 1\n", ""), &case("", "")).is_err());
    }
}
