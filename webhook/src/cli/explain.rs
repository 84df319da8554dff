//! `plimsoll explain`: prints the page of a policy. The page is in the bundle, so no network is needed.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use plimsoll_sdk::metadata::Policy;

use super::policy::{self, builtin};
use super::{Failure, output};
#[cfg(feature = "manifest")]
use crate::check::manifest;
use crate::registry::nearest;

/// Print the documentation of a policy, or list all policies
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// Id of the policy, such as missing-readiness-probe. By default, all policies are listed
    #[arg(value_name = "ID")]
    id: Option<String>,
}

/// Prints a page or the list.
pub(super) fn run(arguments: &ExplainArgs) -> Result<ExitCode, Failure> {
    let bundle = builtin()?;
    let policies = &bundle.metadata.policies;
    let text = match &arguments.id {
        None => policy::list(policies),
        Some(id) => {
            let id = id.trim();
            let found = policies.iter().find(|policy| policy.id == id).map(page);
            found.or_else(|| page_of_rule(id)).ok_or_else(|| unknown(id, policies))?
        }
    };
    output::print(&text).map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn unknown(id: &str, policies: &[Policy]) -> Failure {
    let known = policies.iter().map(|policy| policy.id.as_str());
    #[cfg(feature = "manifest")]
    let known = known.chain(manifest::ids());
    let help = match nearest(id, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`plimsoll explain` lists all policies".to_owned(),
    };
    Failure::usage(format!("there is no policy `{id}`"), help)
}

/// The page of a rule that is part of `check`.
#[cfg(feature = "manifest")]
fn page_of_rule(id: &str) -> Option<String> {
    manifest::page(id)
}

#[cfg(not(feature = "manifest"))]
fn page_of_rule(_: &str) -> Option<String> {
    None
}

fn page(policy: &Policy) -> String {
    let mut text = format!("# {}\n\n", policy.id);
    let facts = policy::facts(policy);
    let _ = writeln!(
        text,
        "{}\n",
        facts.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    );
    text.push_str(policy.documentation.trim_end());
    text.push('\n');
    let settings = policy::settings(policy);
    if !settings.is_empty() {
        let _ = write!(text, "\n## Schema of the settings\n{settings}");
    }
    text
}
