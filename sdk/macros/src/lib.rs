//! `#[policy]`, `bundle!` and `#[derive(Settings)]`: glue only. What they mean is in the traits of plimsoll-sdk; the author's
//! function and struct stay as they are written.

mod bundle;
mod checks;
mod kinds;
mod policy;
mod reads;
mod settings;

use proc_macro::TokenStream;

/// Makes a policy of a function `fn name(review: &Review, [settings: &S,] findings: &mut Findings)`.
///
/// Arguments: `on = Workloads | LongRunning | Kinds`, `severity = Error | Warning | Info`, `since = "…"`;
/// `category = "…"`, unless the policy lies in the folder of its category; optional `kinds = ["group/Kind"]`, `subresources = ["…"]`, `requires = ["group/Kind"]`,
/// `refines = ["group/Kind"]`, `edits = ["pointer"]`, `stage = Source`, `judges = Transition | Companion`,
/// `operations = [Create, Update, Delete]` (the first two, if unsaid), `mutates = Safe | Hardening` (the highest class of fix that
/// the webhook may make; any, if unsaid).
///
/// What the policy reads of the objects that it requires or refines by: `reads = [Workloads, "/Service/spec/ports"]`, groups of
/// `plimsoll_sdk::reads` and pointers. The host keeps and shows no more than that. Names, labels and owners, selectors and the
/// labels of pod templates are always shown. Without `reads` it shows everything but the status.
///
/// What the profiles make of the policy, where that is not its severity: `profile = Strict | OptIn` where it is not on in every
/// one, `default = Warn | Audit | Deny(CannotWork | BlocksOthers | TakesDown)`, `production = Deny` where warnings deny as well,
/// and of the built-in bundle `fills_in = Default | Mutate`, from which profile on the webhook fills in.
///
/// `covers = ["check", "check: what is narrower"]` names the rows of docs/checks.md that the policy covers.
///
/// The doc comment is the policy's page. The id is the function's name with hyphens.
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    policy::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Declares a crate's policies: one line for each, `category::policy` for the file `src/category/policy.rs`. The module holds
/// a function of the same name with the `#[policy]` attribute. Exports the bundle where the crate is built for WebAssembly.
///
/// The order of the lines is that of the bundle. A name without a category is a file directly in `src/`, whose policy states its
/// category itself. `mod category::helper;` before the policies declares a module that several of them share.
#[proc_macro]
pub fn bundle(policies: TokenStream) -> TokenStream {
    bundle::expand(policies.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Reads a struct of settings from a PolicySet, with the default of every field and a JSON Schema.
///
/// Every field takes `#[settings(default = …)]`, and numbers `minimum` and `maximum`. Names become camelCase, doc
/// comments descriptions.
#[proc_macro_derive(Settings, attributes(settings))]
pub fn settings(item: TokenStream) -> TokenStream {
    settings::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// The text of a doc comment, one leading space taken off each line.
fn documentation(attributes: &[syn::Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value
        {
            let text = text.value();
            lines.push(text.strip_prefix(' ').unwrap_or(&text).to_owned());
        }
    }
    lines.join("\n")
}
