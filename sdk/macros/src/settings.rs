use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DataEnum, DataStruct, DeriveInput, Error, Expr, ExprLit, ExprUnary, Field, Fields, Lit, Result,
};

use crate::documentation;

/// Bounds of a setting: the word of the attribute, and the keyword of JSON Schema.
const BOUNDS: [(&str, &str); 10] = [
    ("minimum", "minimum"),
    ("maximum", "maximum"),
    ("pattern", "pattern"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("unique_items", "uniqueItems"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
];

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = syn::parse2(item)?;
    match &item.data {
        Data::Struct(data) => of_struct(&item, data),
        Data::Enum(data) => of_enum(&item, data),
        Data::Union(_) => Err(Error::new_spanned(&item.ident, "settings are a struct or an enum")),
    }
}

fn of_struct(item: &DeriveInput, data: &DataStruct) -> Result<TokenStream> {
    let name = &item.ident;
    let fields = data.fields.iter().map(SettingsField::read).collect::<Result<Vec<_>>>()?;
    let hook = hook(&item.attrs)?;
    let has_hook = hook.is_some();
    let hook = hook.map(|hook| quote!(#hook(self, faults);));
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let keys: Vec<_> = fields.iter().map(|field| &field.key).collect();
    let docs: Vec<_> = fields.iter().map(|field| &field.doc).collect();
    let defaults: Vec<_> = fields.iter().map(SettingsField::default).collect();
    let json_defaults: Vec<_> = fields.iter().map(SettingsField::json_default).collect();
    let checks = fields.iter().flat_map(SettingsField::checks);
    let bounds: Vec<TokenStream> = fields
        .iter()
        .map(|SettingsField { ty, bounds, .. }| {
            let (names, values) = (bounds.iter().map(|bound| bound.keyword), bounds.iter().map(|bound| &bound.value));
            quote!(#(<#ty as ::plimsoll_sdk::settings::SettingType>::bound(
                &mut schema, #names, ::plimsoll_sdk::settings::literal_json(#values)
            );)*)
        })
        .collect();
    Ok(quote! {
        #(#checks)*

        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#idents: #defaults),* }
            }
        }

        impl ::plimsoll_sdk::settings::Settings for #name {}

        impl ::plimsoll_sdk::settings::OwnDefault for #name {
            fn own_default() -> Self {
                ::core::default::Default::default()
            }
        }

        impl ::plimsoll_sdk::settings::SettingType for #name {
            const CHECKED: bool = #has_hook #(|| <#types as ::plimsoll_sdk::settings::SettingType>::CHECKED)*;

            fn from_node(node: ::plimsoll_sdk::flat::Node<'_>) -> ::core::result::Result<Self, String> {
                if node.kind() != ::plimsoll_sdk::flat::Kind::Object {
                    return Err("the value is no mapping".to_owned());
                }
                Ok(Self { #(#idents: ::plimsoll_sdk::settings::field(node, #keys, || #defaults)?),* })
            }

            fn check(&self, faults: &mut ::plimsoll_sdk::settings::Faults) {
                #(
                    if <#types as ::plimsoll_sdk::settings::SettingType>::CHECKED {
                        faults.below(#keys, |faults| {
                            ::plimsoll_sdk::settings::SettingType::check(&self.#idents, faults);
                        });
                    }
                )*
                #hook
                let _ = faults;
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> ::plimsoll_sdk::metadata::Json {
                ::plimsoll_sdk::metadata::object_schema(vec![
                    #((
                        #keys,
                        #docs,
                        {
                            #[allow(unused_mut, reason = "most settings have no bound")]
                            let mut schema = <#types as ::plimsoll_sdk::settings::SettingType>::schema();
                            #bounds
                            schema
                        },
                        #json_defaults,
                    )),*
                ])
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn to_json(&self) -> ::plimsoll_sdk::metadata::Json {
                let default = Self::default();
                let _ = &default;
                ::plimsoll_sdk::metadata::object_of(vec![#((#keys, {
                    let value = ::plimsoll_sdk::settings::SettingType::to_json(&self.#idents);
                    // A default keeps the form in which its author wrote it, such as "1000m".
                    if value == ::plimsoll_sdk::settings::SettingType::to_json(&default.#idents) { #json_defaults } else { value }
                })),*])
            }
        }
    })
}

/// An enum is one of several words.
fn of_enum(item: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &item.ident;
    let (mut variants, mut words, mut docs) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "an enum of settings has variants without fields"));
        }
        let doc = documentation(&variant.attrs);
        if doc.trim().is_empty() {
            return Err(Error::new_spanned(
                variant,
                "a variant needs a doc comment: it is the description of the word",
            ));
        }
        let mut word = variant.ident.to_string();
        for attribute in settings(&variant.attrs) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("name") {
                    return Err(meta.error("a variant knows only name"));
                }
                word = meta.value()?.parse::<syn::LitStr>()?.value();
                Ok(())
            })?;
        }
        variants.push(&variant.ident);
        words.push(word);
        docs.push(doc.trim().to_owned());
    }
    Ok(quote! {
        impl ::plimsoll_sdk::settings::SettingType for #name {
            fn from_node(node: ::plimsoll_sdk::flat::Node<'_>) -> ::core::result::Result<Self, String> {
                match node.as_str() {
                    #(Some(#words) => Ok(Self::#variants),)*
                    _ => Err("the word is not known".to_owned()),
                }
            }

            fn from_literal(literal: ::plimsoll_sdk::settings::Literal) -> ::core::option::Option<Self> {
                match literal {
                    #(::plimsoll_sdk::settings::Literal::Text(#words) => Some(Self::#variants),)*
                    _ => None,
                }
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> ::plimsoll_sdk::metadata::Json {
                ::plimsoll_sdk::metadata::enum_schema(&[#((#words, #docs)),*])
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn to_json(&self) -> ::plimsoll_sdk::metadata::Json {
                match self {
                    #(Self::#variants => #words.into(),)*
                }
            }
        }
    })
}

/// `#[settings(check = path)]` of a struct: a function that finds what the schema can't express.
fn hook(attributes: &[Attribute]) -> Result<Option<syn::Path>> {
    let mut hook = None;
    for attribute in settings(attributes) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("check") {
                return Err(meta.error("a struct of settings knows only check = a function (&Settings, &mut Faults)"));
            }
            hook = Some(meta.value()?.parse()?);
            Ok(())
        })?;
    }
    Ok(hook)
}

fn settings(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("settings"))
}

struct SettingsField {
    ident: syn::Ident,
    ty: syn::Type,
    key: String,
    doc: String,
    default: Default,
    bounds: Vec<Bound>,
}

/// The default of a setting.
enum Default {
    /// `default = "100m"`, as an expression of the type `Literal`.
    Literal(TokenStream),
    /// `default = Strictness::Lax`
    Value(Expr),
    /// The type has one.
    Own,
}

struct Bound {
    word: String,
    keyword: &'static str,
    value: TokenStream,
    span: proc_macro2::Span,
}

impl SettingsField {
    fn read(field: &Field) -> Result<Self> {
        let ident =
            field.ident.clone().ok_or_else(|| Error::new_spanned(field, "settings are a struct with named fields"))?;
        let doc = documentation(&field.attrs);
        if doc.trim().is_empty() {
            return Err(Error::new_spanned(&ident, "a setting needs a doc comment: it is its description"));
        }
        let (mut default, mut bounds) = (Default::Own, Vec::new());
        for attribute in settings(&field.attrs) {
            attribute.parse_nested_meta(|meta| {
                let value: Expr = meta.value()?.parse()?;
                if meta.path.is_ident("default") {
                    default = match value {
                        Expr::Path(_) => Default::Value(value),
                        value => Default::Literal(literal(&value)?),
                    };
                    return Ok(());
                }
                let Some((word, keyword)) = BOUNDS.iter().find(|(word, _)| meta.path.is_ident(word)) else {
                    let known = BOUNDS.map(|(word, _)| word).join(", ");
                    let word = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                    return Err(meta.error(format!("`{word}` is not known; known are default, {known}")));
                };
                let span = meta.path.span();
                bounds.push(Bound { word: (*word).to_owned(), keyword, value: literal(&value)?, span });
                Ok(())
            })?;
        }
        let (key, doc) = (camel_case(&ident.to_string()), doc.trim().to_owned());
        Ok(Self { ident, ty: field.ty.clone(), key, doc, default, bounds })
    }

    /// The default as a value.
    fn default(&self) -> TokenStream {
        let (ty, key) = (&self.ty, &self.key);
        match &self.default {
            Default::Literal(literal) => quote!(::plimsoll_sdk::settings::default::<#ty>(#key, #literal)),
            Default::Value(value) => value.to_token_stream(),
            Default::Own => quote_spanned!(ty.span()=> <#ty as ::plimsoll_sdk::settings::OwnDefault>::own_default()),
        }
    }

    /// The default as JSON.
    fn json_default(&self) -> TokenStream {
        match &self.default {
            Default::Literal(literal) => quote!(::plimsoll_sdk::settings::literal_json(#literal)),
            Default::Value(_) | Default::Own => {
                let (ty, default) = (&self.ty, self.default());
                quote!(<#ty as ::plimsoll_sdk::settings::SettingType>::to_json(&#default))
            }
        }
    }

    /// The type takes each bound: checked when the policy is compiled.
    fn checks(&self) -> impl Iterator<Item = TokenStream> {
        self.bounds.iter().map(|Bound { word, keyword, span, .. }| {
            let ty = &self.ty;
            let message = format!(
                "the type of the setting `{}` takes no `{word}`; the README of the SDK lists the bounds of each type",
                self.ident
            );
            quote_spanned!(*span=>
                const _: () = ::core::assert!(::plimsoll_sdk::settings::takes::<#ty>(#keyword), "{}", #message);
            )
        })
    }
}

fn literal(value: &Expr) -> Result<TokenStream> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(quote!(::plimsoll_sdk::settings::Literal::Text(#text))),
        Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }) => Ok(quote!(::plimsoll_sdk::settings::Literal::Bool(#value))),
        Expr::Lit(ExprLit { lit: Lit::Int(_), .. }) | Expr::Unary(ExprUnary { .. }) => {
            Ok(quote!(::plimsoll_sdk::settings::Literal::Int(#value)))
        }
        Expr::Array(syn::ExprArray { elems, .. }) => {
            let items = elems.iter().map(literal).collect::<Result<Vec<_>>>()?;
            Ok(quote!(::plimsoll_sdk::settings::Literal::List(&[#(#items),*])))
        }
        other => Err(Error::new_spanned(
            other,
            "write a string, a number, true, false, a list of these, or a path: Mode::Strict",
        )),
    }
}

fn camel_case(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        match character {
            '_' => upper = true,
            character if upper => {
                key.extend(character.to_uppercase());
                upper = false;
            }
            character => key.push(character),
        }
    }
    key
}
