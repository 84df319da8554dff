use proc_macro2::TokenStream;
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, ExprPath, ItemFn, Lit, LitStr, MetaNameValue, Result, Token};

use crate::{checks, documentation, kinds, reads};

#[derive(Default)]
struct Arguments {
    category: Option<LitStr>,
    since: Option<LitStr>,
    severity: Option<syn::Ident>,
    on: Option<syn::Ident>,
    stage: Option<syn::Ident>,
    judges: Option<syn::Ident>,
    mutates: Option<syn::Ident>,
    kinds: Vec<LitStr>,
    subresources: Vec<LitStr>,
    operations: Option<Vec<syn::Ident>>,
    requires: Vec<LitStr>,
    refines: Vec<LitStr>,
    edits: Vec<LitStr>,
    reads: Option<Expr>,
    profile: Option<syn::Ident>,
    default: Option<TokenStream>,
    production: Option<syn::Ident>,
    fills_in: Option<syn::Ident>,
    covers: Vec<LitStr>,
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

    let (evaluate, settings) = match function.sig.inputs.len() {
        2 => (quote!({ #name(review, findings); Ok(()) }), quote!(::plimsoll_sdk::settings::NoSettings)),
        3 => {
            let settings = settings_type(&function)?;
            let read = quote!(::plimsoll_sdk::settings::read::<#settings>(settings)?);
            (quote!({ let settings = #read; #name(review, &settings, findings); Ok(()) }), quote!(#settings))
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
        reads,
        profile,
        default,
        production,
        fills_in,
        covers,
    } = arguments;
    let required = |what: &str| Error::new_spanned(name, format!("`#[policy]` needs `{what} = …`"));
    let checked = category.as_ref().map(checks::category);
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
    let stage = stage.unwrap_or_else(|| syn::Ident::new("Both", proc_macro2::Span::call_site()));
    let asked: Vec<&LitStr> = requires.iter().chain(&refines).collect();
    let (reads, reads_checked) = match &reads {
        Some(list) => {
            let (reads, checked) = reads::expand(list, &asked)?;
            (quote!(::core::option::Option::Some(#reads)), checked)
        }
        None => (quote!(::core::option::Option::None), TokenStream::new()),
    };
    let checked = [
        checked.unwrap_or_default(),
        checks::since(&since),
        checks::kinds("kinds", &kinds, Some(stage == "Source")),
        checks::kinds("requires", &requires, None),
        checks::kinds("refines", &refines, None),
        checks::edits(&edits, &stage),
        reads_checked,
    ];
    let profiles = {
        let some = |value: Option<TokenStream>| value.map_or(quote!(None), |value| quote!(Some(#value)));
        let only = some(profile.map(|word| quote!(Only::#word)));
        let default = some(default.map(|action| quote!(InDefault::#action)));
        let production = some(production.map(|action| quote!(InProduction::#action)));
        let fills_in = some(fills_in.map(|word| quote!(FillsIn::#word)));
        quote!(Profiles { only: #only, default: #default, production: #production, fills_in: #fills_in })
    };
    let mutates = mutates.map_or(quote!(Unsafe), |class| quote!(#class));
    let judges = judges.map_or(quote!(State), |judges| quote!(#judges));
    let operations = operations.map_or(quote!(Operation::Create, Operation::Update), |words| {
        let words = words.iter();
        quote!(#(Operation::#words),*)
    });

    Ok(quote! {
        #function

        #(#checked)*

        /// This file's policy, for the bundle's registry.
        pub const POLICY: ::plimsoll_sdk::Policy = ::plimsoll_sdk::Policy {
            id: #id,
            evaluate: |review, settings, findings| {
                let _ = &settings;
                #evaluate
            },
            declares: &[#(#asked),*],
            check_settings: ::plimsoll_sdk::settings::check::<#settings>,
            #[cfg(not(target_arch = "wasm32"))]
            metadata: || {
                #[allow(unused_imports, reason = "few policies say something of profiles")]
                use ::plimsoll_sdk::metadata::{
                    FillsIn, FixClass, InDefault, InProduction, Judges, On, Only, Operation, Policy, Profiles, Reason, Severity, Stage,
                    Workloads, split_documentation,
                };
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
                    profiles: #profiles,
                    settings_schema: ::plimsoll_sdk::settings::schema_of::<#settings>(),
                    settings_defaults: ::plimsoll_sdk::settings::defaults_of::<#settings>(),
                    checks_settings: <#settings as ::plimsoll_sdk::settings::SettingType>::CHECKED,
                }
            },
            #[cfg(not(target_arch = "wasm32"))]
            reads: || #reads,
            #[cfg(not(target_arch = "wasm32"))]
            covers: &[#(#covers),*],
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
            "severity" => arguments.severity = Some(one_of(&pair, "severity", &["Error", "Warning", "Info"])?),
            "on" => arguments.on = Some(word(&pair.value)?),
            "stage" => arguments.stage = Some(one_of(&pair, "stage", &["Both", "Source"])?),
            "judges" => arguments.judges = Some(one_of(&pair, "judges", &["State", "Transition", "Companion"])?),
            "mutates" => arguments.mutates = Some(one_of(&pair, "mutates", &["Safe", "Hardening", "Unsafe"])?),
            "kinds" => arguments.kinds = kinds::read(&pair.value)?,
            "subresources" => arguments.subresources = texts(&pair.value)?,
            "operations" => {
                let operations = words(&pair.value)?;
                for operation in &operations {
                    checks::known(operation, "operations", &["Create", "Update", "Delete"])?;
                }
                arguments.operations = Some(operations);
            }
            "requires" => arguments.requires = kinds::read(&pair.value)?,
            "refines" => arguments.refines = kinds::read(&pair.value)?,
            "edits" => arguments.edits = texts(&pair.value)?,
            "reads" => arguments.reads = Some(pair.value),
            "profile" => arguments.profile = Some(one_of(&pair, "profile", &["Strict", "OptIn"])?),
            "default" => arguments.default = Some(checks::in_default(&pair.value)?),
            "production" => arguments.production = Some(one_of(&pair, "production", &["Deny"])?),
            "fills_in" => arguments.fills_in = Some(one_of(&pair, "fills_in", &["Default", "Mutate"])?),
            "covers" => arguments.covers = texts(&pair.value)?,
            _ => {
                return Err(Error::new_spanned(
                    &pair.path,
                    "known are category, on, severity, since, kinds, subresources, operations, requires, refines, reads, edits, \
                     stage, judges, mutates, profile, default, production, fills_in and covers",
                ));
            }
        }
    }
    if function.sig.asyncness.is_some() {
        return Err(Error::new_spanned(function.sig.asyncness, "a policy is a plain function"));
    }
    Ok(arguments)
}

fn one_of(pair: &MetaNameValue, argument: &str, known: &[&str]) -> Result<syn::Ident> {
    let word = word(&pair.value)?;
    checks::known(&word, argument, known)?;
    Ok(word)
}

fn text(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        other => Err(Error::new_spanned(other, "a string is expected")),
    }
}

fn texts(value: &Expr) -> Result<Vec<LitStr>> {
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
