//! `reads = […]`: what a policy reads of other objects.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, ExprArray, ExprLit, ExprPath, Lit, LitStr, Result};

use crate::checks::ensure;

/// The groups of `plimsoll_sdk::reads`: words and constants.
const GROUPS: [(&str, &str); 7] = [
    ("Workloads", "WORKLOADS"),
    ("DisruptionBudgets", "DISRUPTION_BUDGETS"),
    ("Autoscalers", "AUTOSCALERS"),
    ("VerticalAutoscalers", "VERTICAL_AUTOSCALERS"),
    ("Services", "SERVICES"),
    ("LimitRanges", "LIMIT_RANGES"),
    ("Storage", "STORAGE"),
];

/// The list as an expression of the type `Reads`, and the checks of it.
pub(crate) fn expand(list: &Expr, asked: &[&LitStr]) -> Result<(TokenStream, TokenStream)> {
    let Expr::Array(ExprArray { elems, .. }) = list else {
        return Err(Error::new_spanned(list, "reads is a list: [Workloads, \"/Service/spec/ports\"]"));
    };
    let (mut groups, mut checks) = (Vec::new(), TokenStream::new());
    for entry in elems {
        match entry {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
                let (group, check) = place(text, asked)?;
                groups.push(group);
                checks.extend(check);
            }
            Expr::Path(ExprPath { path, .. }) if path.get_ident().is_some() => groups.push(group(path)?),
            // What a helper of the crate reads, where it is shared.
            Expr::Path(ExprPath { path, .. }) => groups.push(quote!(#path)),
            other => {
                return Err(Error::new_spanned(other, "a group is expected, or a string: \"/Service/spec/ports\""));
            }
        }
    }
    let reads = quote!(::plimsoll_sdk::reads::Reads(&[#(#groups),*]));
    for kind in asked {
        let message = format!(
            "requires or refines names {0:?}, and reads says nothing of it: write the pointers, \"{0}/spec/…\", the kind alone if \
             its name is enough, or a group: {1}",
            kind.value(),
            words()
        );
        checks.extend(ensure(list, &quote!(#reads.speak_of(#kind)), &message));
    }
    Ok((reads, checks))
}

fn words() -> String {
    GROUPS.map(|(word, _)| word).join(", ")
}

fn group(path: &syn::Path) -> Result<TokenStream> {
    let Some((_, constant)) = GROUPS.iter().find(|(word, _)| path.is_ident(word)) else {
        let message = format!("known are {}; or write a string: \"/Service/spec/ports\"", words());
        return Err(Error::new_spanned(path, message));
    };
    let constant = syn::Ident::new(constant, proc_macro2::Span::call_site());
    Ok(quote!(::plimsoll_sdk::reads::#constant))
}

/// `group/Kind/pointer`, the kind alone, or `{template}/pointer` of every workload.
fn place(text: &LitStr, asked: &[&LitStr]) -> Result<(TokenStream, TokenStream)> {
    let value = text.value();
    let is_read = |pointer: &str| {
        let message = format!("reads names {value:?}, in which {pointer:?} is no pointer below an object");
        ensure(text, &quote!(::plimsoll_sdk::metadata::is_read(#pointer)), &message)
    };
    if value.starts_with("{template}") {
        return Ok((quote!(&[::plimsoll_sdk::reads::Read::OfWorkloads(&[#value])]), is_read(&value)));
    }
    let Some(kind_at) = value.find('/').map(|slash| slash + 1) else {
        return Err(Error::new_spanned(text, "a kind and a pointer are expected: \"/Service/spec/ports\""));
    };
    let end = value[kind_at..].find(['/', '{']).map_or(value.len(), |end| kind_at + end);
    let (kind, pointer) = value.split_at(end);
    if !asked.iter().any(|known| known.value() == kind) {
        let message = format!("neither requires nor refines names {kind:?}, so nothing of it is ever shown");
        return Err(Error::new_spanned(text, message));
    }
    let pointers = (!pointer.is_empty()).then_some(pointer);
    let check = pointers.map(is_read).unwrap_or_default();
    let pointers = pointers.into_iter();
    Ok((quote!(&[::plimsoll_sdk::reads::Read::Of(#kind, &[#(#pointers),*])]), check))
}
