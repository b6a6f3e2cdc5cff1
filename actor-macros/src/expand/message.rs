//! `#[derive(Message)]`: `impl Message`.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::Message;

use super::generics::sendable;

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
    quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Message for #ident #type_generics #where_clause {
            type Reply = #reply;
        }
    }
}
