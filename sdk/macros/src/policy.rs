use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, ExprPath, ItemFn, Lit, MetaNameValue, Result, Token};

use crate::documentation;

#[derive(Default)]
struct Arguments {
    category: Option<String>,
    since: Option<String>,
    severity: Option<syn::Ident>,
    on: Option<syn::Ident>,
    stage: Option<syn::Ident>,
    judges: Option<syn::Ident>,
    mutates: Option<syn::Ident>,
    kinds: Vec<String>,
    subresources: Vec<String>,
    operations: Option<Vec<syn::Ident>>,
    requires: Vec<String>,
    refines: Vec<String>,
    edits: Vec<String>,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let pairs = syn::parse::Parser::parse2(Punctuated::<MetaNameValue, Token![,]>::parse_terminated, arguments)?;
    let arguments = read(&function, pairs)?;
    let name = &function.sig.ident;
    let id = name.to_string().replace('_', "-");
    let doc = documentation(&function.attrs);
    if doc.trim().is_empty() {
        return Err(Error::new_spanned(name, "a policy needs a doc comment: it is the policy's page"));
    }

    let (evaluate, schema, defaults) = match function.sig.inputs.len() {
        2 => (
            quote!({ #name(review, findings); Ok(()) }),
            quote!(::plimsoll_sdk::metadata::no_settings()),
            quote!(::plimsoll_sdk::metadata::no_defaults()),
        ),
        3 => {
            let settings = settings_type(&function)?;
            (
                quote!({ let settings = ::plimsoll_sdk::settings::read::<#settings>(settings)?; #name(review, &settings, findings); Ok(()) }),
                quote!(<#settings as ::plimsoll_sdk::settings::Settings>::schema()),
                quote!(<#settings as ::plimsoll_sdk::settings::Settings>::defaults()),
            )
        }
        _ => {
            return Err(Error::new_spanned(
                &function.sig.inputs,
                "a policy takes (review: &Review, findings: &mut Findings), with settings: &S between them if it has any",
            ));
        }
    };

    let Arguments {
        category,
        since,
        severity,
        on,
        stage,
        judges,
        mutates,
        kinds,
        subresources,
        operations,
        requires,
        refines,
        edits,
    } = arguments;
    let required = |what: &str| Error::new_spanned(name, format!("`#[policy]` needs `{what} = …`"));
    let category = match category {
        Some(category) => quote!(#category),
        None => quote!({
            const CATEGORY: &str = ::plimsoll_sdk::metadata::category_of_module(module_path!());
            CATEGORY
        }),
    };
    let since = since.ok_or_else(|| required("since"))?;
    let severity = severity.ok_or_else(|| required("severity"))?;
    let workloads = match on.ok_or_else(|| required("on"))? {
        on if on == "Workloads" => quote!(All),
        on if on == "LongRunning" => quote!(LongRunning),
        on if on == "Kinds" => quote!(None),
        on => {
            return Err(Error::new(
                on.span(),
                "`on` is Workloads, LongRunning, or Kinds (with `kinds = [\"group/Kind\"]`)",
            ));
        }
    };
    let stage = stage.map_or(quote!(Both), |stage| quote!(#stage));
    let mutates = mutates.map_or(quote!(Unsafe), |class| quote!(#class));
    let judges = judges.map_or(quote!(State), |judges| quote!(#judges));
    let operations = operations.map_or(quote!(Operation::Create, Operation::Update), |words| {
        let words = words.iter();
        quote!(#(Operation::#words),*)
    });

    Ok(quote! {
        #function

        /// This file's policy, for the bundle's registry.
        pub const POLICY: ::plimsoll_sdk::Policy = ::plimsoll_sdk::Policy {
            id: #id,
            evaluate: |review, settings, findings| {
                let _ = &settings;
                #evaluate
            },
            #[cfg(not(target_arch = "wasm32"))]
            metadata: || {
                use ::plimsoll_sdk::metadata::{FixClass, Judges, On, Operation, Policy, Severity, Stage, Workloads, split_documentation};
                let (title, documentation) = split_documentation(#doc);
                Policy {
                    id: #id.to_owned(),
                    title,
                    documentation,
                    category: #category.to_owned(),
                    severity: Severity::#severity,
                    since: #since.to_owned(),
                    stage: Stage::#stage,
                    judges: Judges::#judges,
                    mutates: FixClass::#mutates,
                    on: On {
                        workloads: Workloads::#workloads,
                        kinds: vec![#(#kinds.to_owned()),*],
                        subresources: vec![#(#subresources.to_owned()),*],
                        operations: vec![#operations],
                    },
                    requires: vec![#(#requires.to_owned()),*],
                    refines: vec![#(#refines.to_owned()),*],
                    edits: vec![#(#edits.to_owned()),*],
                    settings_schema: #schema,
                    settings_defaults: #defaults,
                }
            },
        };
    })
}

fn settings_type(function: &ItemFn) -> Result<syn::Type> {
    match function.sig.inputs.iter().nth(1) {
        Some(syn::FnArg::Typed(argument)) => match argument.ty.as_ref() {
            syn::Type::Reference(reference) => Ok((*reference.elem).clone()),
            other => Err(Error::new_spanned(other, "settings are taken by reference: `settings: &S`")),
        },
        other => Err(Error::new_spanned(other, "settings are taken by reference: `settings: &S`")),
    }
}

fn read(function: &ItemFn, pairs: Punctuated<MetaNameValue, Token![,]>) -> Result<Arguments> {
    let mut arguments = Arguments::default();
    for pair in pairs {
        let name = pair.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "category" => arguments.category = Some(text(&pair.value)?),
            "since" => arguments.since = Some(text(&pair.value)?),
            "severity" => arguments.severity = Some(word(&pair.value)?),
            "on" => arguments.on = Some(word(&pair.value)?),
            "stage" => arguments.stage = Some(word(&pair.value)?),
            "judges" => arguments.judges = Some(word(&pair.value)?),
            "mutates" => arguments.mutates = Some(word(&pair.value)?),
            "kinds" => arguments.kinds = texts(&pair.value)?,
            "subresources" => arguments.subresources = texts(&pair.value)?,
            "operations" => arguments.operations = Some(words(&pair.value)?),
            "requires" => arguments.requires = texts(&pair.value)?,
            "refines" => arguments.refines = texts(&pair.value)?,
            "edits" => arguments.edits = texts(&pair.value)?,
            _ => {
                return Err(Error::new_spanned(
                    &pair.path,
                    "known are category, on, severity, since, kinds, subresources, operations, requires, refines, edits, stage, judges and mutates",
                ));
            }
        }
    }
    if function.sig.asyncness.is_some() {
        return Err(Error::new_spanned(function.sig.asyncness, "a policy is a plain function"));
    }
    Ok(arguments)
}

fn text(value: &Expr) -> Result<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.value()),
        other => Err(Error::new_spanned(other, "a string is expected")),
    }
}

fn texts(value: &Expr) -> Result<Vec<String>> {
    match value {
        Expr::Array(ExprArray { elems, .. }) => elems.iter().map(text).collect(),
        other => Err(Error::new_spanned(other, "a list of strings is expected: [\"…\"]")),
    }
}

fn words(value: &Expr) -> Result<Vec<syn::Ident>> {
    match value {
        Expr::Array(ExprArray { elems, .. }) => elems.iter().map(word).collect(),
        other => Err(Error::new_spanned(other, "a list of words is expected: [Create, Update, Delete]")),
    }
}

fn word(value: &Expr) -> Result<syn::Ident> {
    match value {
        Expr::Path(ExprPath { path, .. }) => {
            path.get_ident().cloned().ok_or_else(|| Error::new_spanned(path, "one word is expected"))
        }
        other => Err(Error::new_spanned(other, "one word is expected, such as Error or Workloads")),
    }
}
