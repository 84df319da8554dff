use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, Path, Result, Token};

/// The modules of one folder; without a name, those of the crate's root.
struct Folder {
    name: Option<Ident>,
    policies: Vec<Ident>,
    helpers: Vec<Ident>,
}

struct Bundle {
    folders: Vec<Folder>,
    /// In the order in which they were written.
    policies: Vec<Path>,
}

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let Bundle { folders, policies } = syn::parse2(input)?;
    let folders = folders.iter().map(|Folder { name, policies, helpers }| {
        let modules = quote!(#(pub(crate) mod #helpers;)* #(pub mod #policies;)*);
        match name {
            Some(name) => {
                let doc = format!("The policies of the category `{name}`.");
                quote!(#[doc = #doc] pub mod #name { #modules })
            }
            None => modules,
        }
    });
    Ok(quote! {
        #(#folders)*

        ::plimsoll_sdk::export_policies![#(#policies::POLICY),*];
    })
}

impl Bundle {
    /// Adds a module to its folder, and returns the folder's list.
    fn folder(&mut self, path: &Path) -> Result<(&mut Folder, Ident)> {
        let names: Vec<&Ident> = path.segments.iter().map(|segment| &segment.ident).collect();
        let (folder, module) = match names.as_slice() {
            [module] => (None, *module),
            [folder, module] => (Some(*folder), *module),
            _ => return Err(Error::new_spanned(path, "write `category::policy`, for src/category/policy.rs")),
        };
        let known = self.folders.iter().position(|known| known.name.as_ref() == folder);
        let index = known.unwrap_or_else(|| {
            self.folders.push(Folder { name: folder.cloned(), policies: Vec::new(), helpers: Vec::new() });
            self.folders.len() - 1
        });
        Ok((&mut self.folders[index], module.clone()))
    }
}

impl Parse for Bundle {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut bundle = Self { folders: Vec::new(), policies: Vec::new() };
        while input.peek(Token![mod]) {
            input.parse::<Token![mod]>()?;
            let path: Path = input.parse()?;
            let (folder, module) = bundle.folder(&path)?;
            folder.helpers.push(module);
            input.parse::<Token![;]>()?;
        }
        for path in Punctuated::<Path, Token![,]>::parse_terminated(input)? {
            let (folder, module) = bundle.folder(&path)?;
            folder.policies.push(module);
            bundle.policies.push(path);
        }
        Ok(bundle)
    }
}
