//! Checks of what a policy says of itself, made when it is compiled. How words are spelled is in `plimsoll_sdk::metadata`, where
//! the host asks as well.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, Expr, ExprCall, ExprPath, Ident, LitStr, Result};

/// Fails to compile at `at` unless the condition holds.
pub(crate) fn ensure(at: &impl ToTokens, condition: &TokenStream, message: &str) -> TokenStream {
    let span = at.to_token_stream().into_iter().next().map_or_else(proc_macro2::Span::call_site, |token| token.span());
    quote_spanned!(span=>
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = ::core::assert!(#condition, "{}", #message);
    )
}

pub(crate) fn category(word: &LitStr) -> TokenStream {
    let message = format!(
        "category = {:?} is no category: write probes, resources, security, availability, autoscaling, rollout, service, image, \
         network, stateful, manifest or swarm, or a word of your own in kebab-case that is no misspelling of these",
        word.value()
    );
    ensure(word, &quote!(::plimsoll_sdk::metadata::is_category(#word)), &message)
}

pub(crate) fn since(version: &LitStr) -> TokenStream {
    let message =
        format!("since = {:?} is no version: write the one that has the policy first, \"0.1.0\"", version.value());
    ensure(version, &quote!(::plimsoll_sdk::metadata::is_version(#version)), &message)
}

/// The kinds of `argument`; `any` says whether `*` may stand for every kind.
pub(crate) fn kinds(argument: &str, kinds: &[LitStr], any: Option<bool>) -> TokenStream {
    let of_kind = |kind: &LitStr| {
        let value = kind.value();
        let message = match (value.as_str(), any) {
            ("*", Some(true)) => return TokenStream::new(),
            ("*", Some(false)) => format!(
                "{argument} = [\"*\"] is for policies that run over files alone: write stage = Source, or name the kinds, \
                 because the webhook is asked about kinds that somebody names"
            ),
            _ => format!(
                "{argument} names {value:?}, which is no group/Kind: write \"apps/Deployment\", or \"/Service\" for a kind of the \
                 core group; without a version"
            ),
        };
        ensure(kind, &quote!(::plimsoll_sdk::metadata::is_group_kind(#kind)), &message)
    };
    kinds.iter().map(of_kind).collect()
}

pub(crate) fn edits(edits: &[LitStr], stage: &Ident) -> TokenStream {
    let of_edit = |edit: &LitStr| {
        let message = format!(
            "edits names {:?}: write a pointer such as \"/spec/replicas\" or \"{{template}}/spec/containers/*/image\". No policy \
             edits the status or the metadata, but for single labels and annotations; one of stage = Source may edit \
             \"/apiVersion\" and \"/kind\"",
            edit.value()
        );
        let stage = quote!(::plimsoll_sdk::metadata::Stage::#stage);
        ensure(edit, &quote!(::plimsoll_sdk::metadata::is_edit(#edit, #stage)), &message)
    };
    edits.iter().map(of_edit).collect()
}

/// One of these words.
pub(crate) fn known(word: &Ident, argument: &str, words: &[&str]) -> Result<()> {
    if words.iter().any(|known| word == known) {
        return Ok(());
    }
    Err(Error::new(word.span(), format!("{argument} = {word} is not known: write {}", words.join(" or "))))
}

/// `default = Deny(reason)`, `Warn` or `Audit`, as a variant of `InDefault`.
pub(crate) fn in_default(value: &Expr) -> Result<TokenStream> {
    const WRONG: &str = "default is Warn (errors only warn), Audit (errors warn, warnings are recorded), or Deny(CannotWork), \
                         Deny(BlocksOthers) or Deny(TakesDown), which is why errors deny";
    let wrong = || Error::new_spanned(value, WRONG);
    match value {
        Expr::Path(ExprPath { path, .. }) if path.is_ident("Warn") || path.is_ident("Audit") => Ok(quote!(#path)),
        Expr::Call(ExprCall { func, args, .. }) if func.to_token_stream().to_string() == "Deny" && args.len() == 1 => {
            let reason = args.first().map(|reason| reason.to_token_stream().to_string()).unwrap_or_default();
            if !["CannotWork", "BlocksOthers", "TakesDown"].contains(&reason.as_str()) {
                return Err(wrong());
            }
            let reason = Ident::new(&reason, proc_macro2::Span::call_site());
            Ok(quote!(Deny(Reason::#reason)))
        }
        _ => Err(wrong()),
    }
}
