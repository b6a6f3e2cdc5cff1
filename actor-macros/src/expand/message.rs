//! `#[derive(Message)]`: `impl Message`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Message;

use super::generics::sendable;
use super::remote::export;

/// Writes the impl.
pub(crate) fn message(message: &Message) -> TokenStream {
    let krate = &message.krate;
    let ident = &message.ident;
    let generics = sendable(&message.generics);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let reply = message
        .reply
        .as_ref()
        .map_or_else(|| quote!(()), |reply| quote!(#reply));
    let export = export(krate, ident, message.remote.as_ref());
    quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Message for #ident #type_generics #where_clause {
            type Reply = #reply;
            #export
        }
    }
}
