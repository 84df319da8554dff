//! `#[policy]` and `#[derive(Settings)]`: glue only. What they mean is in the traits of plimsoll-sdk; the author's
//! function and struct stay as they are written.

mod policy;
mod settings;

use proc_macro::TokenStream;

/// Makes a policy of a function `fn name(review: &Review, [settings: &S,] findings: &mut Findings)`.
///
/// Arguments: `category = "…"`, `on = Workloads | LongRunning | Kinds`, `severity = Error | Warning | Info`,
/// `since = "…"`; optional `kinds = ["group/Kind"]`, `subresources = ["…"]`, `requires = ["group/Kind"]`,
/// `refines = ["group/Kind"]`, `edits = ["pointer"]`, `stage = Source`, `judges = Transition | Companion`,
/// `operations = [Create, Update, Delete]` (the first two, if unsaid), `mutates = Safe | Hardening` (the highest class of fix that the webhook may make; any, if unsaid).
/// The doc comment is the policy's page. The id is the function's name with hyphens.
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    policy::expand(arguments.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
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
