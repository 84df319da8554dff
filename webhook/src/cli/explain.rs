//! `plimsoll explain`: prints the page of a policy. The page is in the bundle, so no network is needed.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use plimsoll_sdk::metadata::Policy;

use super::policy::{self, builtin};
use super::{Failure, output};
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
            let found = policies.iter().find(|policy| policy.id == id).ok_or_else(|| unknown(id, policies))?;
            page(found)
        }
    };
    output::print(&text).map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn unknown(id: &str, policies: &[Policy]) -> Failure {
    let help = match nearest(id, policies.iter().map(|policy| policy.id.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`plimsoll explain` lists all policies".to_owned(),
    };
    Failure::usage(format!("there is no policy `{id}`"), help)
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
