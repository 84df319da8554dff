use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Expr, ExprArray, ExprLit, ExprUnary, Field, ItemStruct, Lit, Result};

use crate::documentation;

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: ItemStruct = syn::parse2(item)?;
    let name = &item.ident;
    let fields = item.fields.iter().map(SettingsField::read).collect::<Result<Vec<_>>>()?;
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types: Vec<_> = fields.iter().map(|field| &field.ty).collect();
    let keys: Vec<_> = fields.iter().map(|field| &field.key).collect();
    let docs: Vec<_> = fields.iter().map(|field| &field.doc).collect();
    let literals: Vec<_> = fields.iter().map(|field| &field.default).collect();
    let bounds: Vec<_> = fields.iter().map(|field| &field.bounds).collect();
    Ok(quote! {
        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#idents: ::plimsoll_sdk::settings::default(#literals)),* }
            }
        }

        impl ::plimsoll_sdk::settings::Settings for #name {
            fn read(node: ::plimsoll_sdk::flat::Node<'_>) -> ::core::result::Result<Self, String> {
                Ok(Self { #(#idents: ::plimsoll_sdk::settings::field(node, #keys, #literals)?),* })
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> ::plimsoll_sdk::metadata::Json {
                ::plimsoll_sdk::metadata::object_schema(vec![
                    #((
                        #keys,
                        #docs,
                        <#types as ::plimsoll_sdk::settings::SettingType>::schema(),
                        ::plimsoll_sdk::settings::literal_json(#literals),
                        vec![#bounds],
                    )),*
                ])
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn defaults() -> ::plimsoll_sdk::metadata::Json {
                ::plimsoll_sdk::metadata::object_of(vec![
                    #((#keys, ::plimsoll_sdk::settings::literal_json(#literals))),*
                ])
            }
        }
    })
}

struct SettingsField {
    ident: syn::Ident,
    ty: syn::Type,
    key: String,
    doc: String,
    default: TokenStream,
    bounds: TokenStream,
}

impl SettingsField {
    fn read(field: &Field) -> Result<Self> {
        let ident =
            field.ident.clone().ok_or_else(|| Error::new_spanned(field, "settings are a struct with named fields"))?;
        let doc = documentation(&field.attrs);
        if doc.trim().is_empty() {
            return Err(Error::new_spanned(&ident, "a setting needs a doc comment: it is its description"));
        }
        let mut default = None;
        let mut bounds = TokenStream::new();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("settings")) {
            attribute.parse_nested_meta(|meta| {
                let value: Expr = meta.value()?.parse()?;
                if meta.path.is_ident("default") {
                    default = Some(literal(&value)?);
                    return Ok(());
                }
                let Some(name) = meta.path.get_ident().filter(|name| *name == "minimum" || *name == "maximum") else {
                    return Err(meta.error("known are default, minimum and maximum"));
                };
                let (name, number) = (name.to_string(), literal(&value)?);
                bounds.extend(quote!((#name.to_owned(), ::plimsoll_sdk::settings::literal_json(#number)),));
                Ok(())
            })?;
        }
        let default =
            default.ok_or_else(|| Error::new_spanned(&ident, "a setting needs `#[settings(default = …)]`"))?;
        Ok(Self {
            key: camel_case(&ident.to_string()),
            ident,
            ty: field.ty.clone(),
            doc: doc.trim().to_owned(),
            default,
            bounds,
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
        Expr::Array(ExprArray { elems, .. }) => {
            let items = elems.iter().map(literal).collect::<Result<Vec<_>>>()?;
            Ok(quote!(::plimsoll_sdk::settings::Literal::List(&[#(#items),*])))
        }
        other => Err(Error::new_spanned(other, "a string, a number, true, false, or a list of these")),
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
