//! Tables of expected answers to `kubectl apply`.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::{Kubectl, Output, VALIDATING_WEBHOOK, denied_policies, warned_policies};

/// Objects to apply, and the expected answer.
#[derive(Debug, Clone)]
pub struct Case {
    name: String,
    yaml: String,
    expected: Expected,
    dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    Accepted { warned: BTreeSet<String> },
    Rejected { denied: BTreeSet<String> },
}

/// `kubectl apply` succeeds, and no policy reports anything.
pub fn accepts(name: &str, yaml: &str) -> Case {
    accepts_with_warnings(name, yaml, &[])
}

/// `kubectl apply` succeeds, with warnings of exactly these policies.
pub fn accepts_with_warnings(name: &str, yaml: &str, policies: &[&str]) -> Case {
    Case::new(name, yaml, Expected::Accepted { warned: set(policies) })
}

/// Our webhook denies the objects, for exactly these policies.
pub fn rejects(name: &str, yaml: &str, policies: &[&str]) -> Case {
    Case::new(name, yaml, Expected::Rejected { denied: set(policies) })
}

impl Case {
    fn new(name: &str, yaml: &str, expected: Expected) -> Self {
        Self { name: name.to_owned(), yaml: yaml.to_owned(), expected, dry_run: false }
    }

    /// Applies with `--dry-run=server`, so that later cases do not see these objects.
    #[must_use]
    pub fn dry_run(self) -> Self {
        Self { dry_run: true, ..self }
    }

    /// The difference from the expectation, with the whole output of kubectl.
    fn complaint(&self, output: &Output) -> Option<String> {
        let what = match &self.expected {
            Expected::Accepted { .. } if !output.status.success() => "accepted expected, refused".to_owned(),
            Expected::Accepted { warned } => difference("warnings", warned, &warned_policies(&output.stderr))?,
            Expected::Rejected { .. } if output.status.success() => "a denial expected, accepted".to_owned(),
            Expected::Rejected { denied } => match denied_policies(&output.stderr) {
                None => format!("expected a denial by {VALIDATING_WEBHOOK}, but another component refused the objects"),
                Some(actual) => difference("denials", denied, &actual)?,
            },
        };
        let printed = [output.stderr.trim_end(), output.stdout.trim_end()].join("\n");
        let indented: Vec<_> = printed.trim().lines().map(|line| format!("    {line}")).collect();
        Some(format!("{}: {what}\n{}", self.name, indented.join("\n")))
    }
}

/// Applies the cases in order, each on top of the earlier ones. Returns every case that failed.
pub fn run(kubectl: &Kubectl, cases: &[Case]) -> Result<()> {
    let mut complaints = Vec::new();
    for case in cases {
        let arguments: &[&str] =
            if case.dry_run { &["apply", "--filename=-", "--dry-run=server"] } else { &["apply", "--filename=-"] };
        complaints.extend(case.complaint(&kubectl.run(arguments, Some(&case.yaml))?));
    }
    if !complaints.is_empty() {
        bail!("{} of {} cases failed\n\n{}\n", complaints.len(), cases.len(), complaints.join("\n\n"));
    }
    Ok(())
}

fn difference(what: &str, expected: &BTreeSet<String>, actual: &BTreeSet<String>) -> Option<String> {
    (expected != actual).then(|| format!("{what} of {expected:?} expected, of {actual:?} given"))
}

fn set(policies: &[&str]) -> BTreeSet<String> {
    policies.iter().map(|&policy| policy.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn output(code: i32, stderr: &str) -> Output {
        Output { status: ExitStatus::from_raw(code << 8), stdout: String::new(), stderr: stderr.to_owned() }
    }

    const OURS: &str = "Error from server (Forbidden): admission webhook \"validate.plimsoll.dev\" denied the request: no\n\
        • missing-probe: none → write one\n";

    #[test]
    fn a_table_fails_on_every_other_answer() {
        let complains = |case: &Case, output: &Output| case.complaint(output).is_some();
        let rejected = rejects("case", "", &["missing-probe"]);
        assert!(!complains(&rejected, &output(1, OURS)));
        assert!(complains(&rejected, &output(0, "")));
        assert!(complains(&rejected, &output(1, "error: the API server refused: • missing-probe")));
        assert!(complains(&rejects("case", "", &["missing-probe", "other-thing"]), &output(1, OURS)));
        assert!(complains(&rejects("case", "", &[]), &output(1, OURS)));

        let accepted = accepts("case", "");
        assert!(!complains(&accepted, &output(0, "Warning: autoscaling/v2beta2 is deprecated\n")));
        assert!(complains(&accepted, &output(1, OURS)));
        assert!(complains(&accepted, &output(0, "Warning: missing-probe: spec: none\n")));
        let warned = accepts_with_warnings("case", "", &["missing-probe"]);
        assert!(!complains(&warned, &output(0, "Warning: missing-probe: spec: none\n")));
        assert!(complains(&warned, &output(0, "")));
    }
}
