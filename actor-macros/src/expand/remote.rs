//! The constant by which a message travels.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, Path};

use crate::model::Remote;

/// Writes `const EXPORT` into an `impl Message`. What the network layer needs of the type (`Serialize`,
/// `Deserialize`) is missed at the word `remote`.
pub(super) fn export(krate: &Path, ident: &Ident, remote: Option<&Remote>) -> Option<TokenStream> {
    let remote = remote?;
    let name = match &remote.name {
        Some(name) => quote!(#name),
        None => {
            quote!(::core::concat!(
                ::core::module_path!(),
                "::",
                ::core::stringify!(#ident)
            ))
        }
    };
    let at = Span::call_site().located_at(remote.key.span());
    let export = quote_spanned!(at=> ::actor_net::export::<Self>(#name));
    Some(quote! {
        const EXPORT: ::core::option::Option<#krate::remote::Export<Self>> =
            ::core::option::Option::Some(#export);
    })
}
