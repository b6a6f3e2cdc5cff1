//! `#[messages]`: for each method a struct, its `Message` and its handler; for each visibility a
//! trait with the methods of the ref.
//!
//! An async handler hands the user's future on as it is. `async fn handle` around it would hold the
//! message a second time: for a message of 256 bytes the future has 824 bytes that way and 544 this
//! way (rustc 1.95, x86-64), and futures of handlers live in slots of the runtime.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Expr, Generics, Ident, Lit, LitStr, Meta};

use crate::model::{Argument, Field, Kind, Messages, Method};

use super::generics::{MessageGenerics, of_message, phantom, sendable, with_predicates};
use super::reach::{Reach, reaches};
use super::remote::export;

/// Writes the user's block and all that belongs to it.
pub(crate) fn messages(messages: &Messages) -> TokenStream {
    let block = &messages.block;
    let of_methods = messages.methods.iter().map(|method| {
        let generics = of_message(&messages.generics, method);
        let message = message_struct(messages, method, &generics);
        let reply = message_impl(messages, method, &generics);
        let handler = handler_impl(messages, method, &generics);
        quote!(#message #reply #handler)
    });
    let of_reaches = reaches(messages);
    let of_reaches = of_reaches.iter().map(|reach| ref_trait(messages, reach));
    quote! {
        #block
        #(#of_methods)*
        #(#of_reaches)*
    }
}

// ---- The message --------------------------------------------------------------------------------

fn message_struct(
    messages: &Messages,
    method: &Method,
    MessageGenerics { generics, hidden }: &MessageGenerics,
) -> TokenStream {
    let Method {
        message,
        vis,
        derives,
        deprecated,
        ..
    } = method;
    let cfgs = cfgs(messages, method);
    let docs = docs(messages, method, || {
        format!("The message of `{}::{}`.", messages.actor, method.ident)
    });
    let derive = (!derives.is_empty()).then(|| quote!(#[derive(#(#derives),*)]));
    let quiet = quiet();
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();

    let fields: Vec<TokenStream> = method
        .fields()
        .map(|field| {
            let Field { ident, ty, .. } = field;
            let docs = field_docs(messages, field);
            let helpers = &field.helpers;
            quote!(#docs #(#helpers)* #vis #ident: #ty)
        })
        .collect();
    let constructor = (!hidden.is_empty()).then(|| {
        let doc = format!(
            "Makes the message; a struct expression cannot, since the fields do not name {}.",
            hidden
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<String>>()
                .join(", ")
        );
        let parameters = method
            .fields()
            .map(|Field { ident, ty, .. }| quote!(#ident: #ty));
        let made = construct(method, hidden);
        quote! {
            #(#cfgs)*
            #[automatically_derived]
            #quiet
            impl #impl_generics #message #type_generics #where_clause {
                #[doc = #doc]
                #[inline]
                #[must_use]
                #vis const fn new(#(#parameters),*) -> Self {
                    #made
                }
            }
        }
    });
    let body = match (fields.is_empty(), marker(method, hidden)) {
        (true, None) => quote!(#where_clause;),
        (_, None) => quote!(#where_clause { #(#fields),* }),
        (_, Some((name, ty))) => quote! {
            #where_clause { #(#fields,)* #[doc(hidden)] #name: #ty }
        },
    };
    quote! {
        #(#cfgs)*
        #docs
        #deprecated
        #derive
        #quiet
        #vis struct #message #generics #body
        #constructor
    }
}

/// The hidden field for the parameters that no other field names, under a name no parameter has.
fn marker(method: &Method, hidden: &[Ident]) -> Option<(Ident, TokenStream)> {
    if hidden.is_empty() {
        return None;
    }
    let mut name = format_ident!("__marker", span = Span::call_site());
    while method.fields().any(|field| field.ident == name) {
        name = format_ident!("_{name}");
    }
    Some((name, phantom(hidden)))
}

/// The message made of variables that are called like its fields.
fn construct(method: &Method, hidden: &[Ident]) -> TokenStream {
    let message = &method.message;
    let fields = method.fields().map(|field| &field.ident);
    let marker =
        marker(method, hidden).map(|(name, _)| quote!(#name: ::core::marker::PhantomData,));
    if method.fields().next().is_none() && marker.is_none() {
        return quote!(#message);
    }
    quote!(#message { #(#fields,)* #marker })
}

fn message_impl(
    messages: &Messages,
    method: &Method,
    MessageGenerics { generics, .. }: &MessageGenerics,
) -> TokenStream {
    let krate = &messages.krate;
    let Method { message, reply, .. } = method;
    let cfgs = cfgs(messages, method);
    let quiet = quiet();
    let generics = sendable(generics);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let export = export(krate, message, method.remote.as_ref());
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #impl_generics #krate::Message for #message #type_generics #where_clause {
            type Reply = #reply;
            #export
        }
    }
}

fn handler_impl(
    messages: &Messages,
    method: &Method,
    MessageGenerics { generics, .. }: &MessageGenerics,
) -> TokenStream {
    let krate = &messages.krate;
    let actor = &messages.actor_type;
    let Method {
        ident,
        message,
        reply,
        ..
    } = method;
    let cfgs = cfgs(messages, method);
    let quiet = quiet();
    let block_generics = handling_generics(messages, method);
    let (impl_generics, _, where_clause) = block_generics.split_for_impl();
    let (_, of_message, _) = generics.split_for_impl();

    // A parameter nobody reads has no name, or the user would get a warning about ours.
    let message_pattern = if method.fields().next().is_some() {
        quote!(message)
    } else {
        quote!(_)
    };
    let context_pattern = if method.takes_context() {
        quote!(context)
    } else {
        quote!(_)
    };
    let passed: Vec<TokenStream> = method
        .arguments
        .iter()
        .map(|argument| match argument {
            Argument::Field(field) => {
                let ident = &field.ident;
                quote!(message.#ident)
            }
            Argument::Context => quote!(context),
            Argument::Reply => quote!(reply),
            Argument::This => quote!(this),
        })
        .collect();
    let at = Span::call_site().located_at(ident.span());
    let message_argument = quote!(#message_pattern: #message #of_message);
    let context_argument = quote!(#context_pattern: &mut #krate::ActorContext<Self>);
    let future = quote_spanned! {at=>
        impl ::core::future::Future<Output = #reply> + ::core::marker::Send
    };
    let (handler, inputs, output) = match method.kind {
        Kind::Plain => (
            quote_spanned!(at=> SyncHandler),
            quote!(&mut self, #message_argument, #context_argument),
            quote!(#reply),
        ),
        Kind::Async | Kind::Blocking => (
            quote_spanned!(at=> Handler),
            quote!(&mut self, #message_argument, #context_argument),
            future,
        ),
        Kind::Deferred => (
            quote_spanned!(at=> DeferredHandler),
            quote!(
                &mut self,
                #message_argument,
                reply: #krate::Reply<#reply>,
                #context_argument
            ),
            quote!(()),
        ),
        Kind::Reentrant => (
            quote_spanned!(at=> ReentrantHandler),
            quote!(this: #krate::Reentrant<Self>, #message_argument),
            quote_spanned!(at=> #future + 'static),
        ),
    };
    let receiver = (method.kind != Kind::Reentrant).then(|| quote!(self,));
    let call = quote_spanned!(at=> Self::#ident(#receiver #(#passed),*));
    let (call, lent) = if method.kind == Kind::Blocking {
        // The runtime lends the actor to a thread that may block; who calls `handle` himself blocks himself.
        let lent = quote_spanned! {at=>
            const BLOCKING: bool = true;

            #[inline]
            fn handle_lent(&mut self, #message_argument) -> #reply {
                #call
            }
        };
        (
            quote_spanned!(at=> ::core::future::ready(#call)),
            Some(lent),
        )
    } else {
        (call, None)
    };
    let handle = quote_spanned! {at=>
        #[inline]
        fn handle(#inputs) -> #output {
            // By path: an inherent method of the actor, whatever traits are in scope.
            #call
        }

        #lent
    };
    let accepts = method.when.as_ref().map(|when| {
        let at = Span::call_site().located_at(when.span());
        quote_spanned! {at=>
            #[inline]
            fn accepts(&self, _: &#message #of_message) -> #krate::Accept {
                match Self::#when(self) {
                    true => #krate::Accept::Now,
                    false => #krate::Accept::Later,
                }
            }
        }
    });
    quote_spanned! {at=>
        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #impl_generics #krate::#handler<#message #of_message> for #actor #where_clause {
            #handle
            #accepts
        }
    }
}

fn handling_generics(messages: &Messages, method: &Method) -> Generics {
    sendable(&with_predicates(&messages.generics, &method.predicates))
}

// ---- The methods of the ref ---------------------------------------------------------------------

fn ref_trait(messages: &Messages, reach: &Reach<'_>) -> TokenStream {
    let krate = &messages.krate;
    let actor = &messages.actor_type;
    let Reach { name, vis, methods } = reach;
    let generics = sendable(&messages.generics);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let cfgs = &messages.cfgs;
    let quiet = quiet();
    let doc = format!(
        "The messages of `{}` as methods of its `ActorRef`.",
        messages.actor
    );
    let signatures: Vec<TokenStream> = methods
        .iter()
        .map(|method| ref_signature(messages, method))
        .collect();
    let declared = methods.iter().zip(&signatures).map(|(method, signature)| {
        let cfgs = &method.cfgs;
        let deprecated = &method.deprecated;
        let docs = docs(messages, method, || {
            format!(
                "Calls `{}::{}` with the message [`{}`].",
                messages.actor, method.ident, method.message
            )
        });
        quote!(#(#cfgs)* #docs #deprecated #signature;)
    });
    let defined = methods.iter().zip(&signatures).map(|(method, signature)| {
        let cfgs = &method.cfgs;
        let hidden = of_message(&messages.generics, method).hidden;
        let made = construct(method, &hidden);
        quote! {
            #(#cfgs)*
            #[inline]
            #signature {
                (*self).ask(#made)
            }
        }
    });
    quote! {
        #(#cfgs)*
        #[doc = #doc]
        #quiet
        #vis trait #name #generics #where_clause {
            #(#declared)*
        }

        #(#cfgs)*
        #[automatically_derived]
        #quiet
        impl #impl_generics #name #type_generics for #krate::ActorRef<#actor> #where_clause {
            #(#defined)*
        }
    }
}

fn ref_signature(messages: &Messages, method: &Method) -> TokenStream {
    let krate = &messages.krate;
    let actor = &messages.actor_type;
    let Method { ident, message, .. } = method;
    let generics = of_message(&messages.generics, method).generics;
    let (_, of_message, _) = generics.split_for_impl();
    let parameters = method
        .fields()
        .map(|Field { ident, ty, .. }| quote!(#ident: #ty));
    let predicates = &method.predicates;
    let where_clause = (!predicates.is_empty()).then(|| quote!(where #(#predicates),*));
    quote! {
        fn #ident(&self #(, #parameters)*) -> #krate::Call<#actor, #message #of_message>
        #where_clause
    }
}

// ---- Attributes ---------------------------------------------------------------------------------

fn cfgs<'a>(messages: &'a Messages, method: &'a Method) -> Vec<&'a Attribute> {
    messages.cfgs.iter().chain(&method.cfgs).collect()
}

/// The user's docs, or ours if there are none.
fn docs(messages: &Messages, method: &Method, or: impl FnOnce() -> String) -> TokenStream {
    let docs = method
        .docs
        .iter()
        .map(|doc| without_self(doc, &messages.actor));
    let ours = (!method.docs.iter().any(is_text)).then(|| {
        let text = or();
        quote!(#[doc = #text])
    });
    quote!(#ours #(#docs)*)
}

fn field_docs(messages: &Messages, field: &Field) -> TokenStream {
    let docs = field
        .docs
        .iter()
        .map(|doc| without_self(doc, &messages.actor));
    let ours = (!field.docs.iter().any(is_text)).then(|| {
        let text = format!("The argument `{}`.", field.ident);
        quote!(#[doc = #text])
    });
    quote!(#ours #(#docs)*)
}

/// Whether an attribute is a doc comment, and not `#[doc(hidden)]` or so.
fn is_text(attribute: &Attribute) -> bool {
    matches!(&attribute.meta, Meta::NameValue(_))
}

/// A doc comment whose links to `Self` are links to the actor: on the struct and on the trait
/// `Self` is something else, and rustdoc would complain.
fn without_self(attribute: &Attribute, actor: &Ident) -> Attribute {
    let mut attribute = attribute.clone();
    if let Meta::NameValue(doc) = &mut attribute.meta
        && let Expr::Lit(literal) = &mut doc.value
        && let Lit::Str(text) = &literal.lit
    {
        let mut value = text.value();
        for open in ["[`", "[", "(`", "("] {
            for close in ["::", "`]", "]", ")"] {
                value = value.replace(
                    &format!("{open}Self{close}"),
                    &format!("{open}{actor}{close}"),
                );
            }
        }
        literal.lit = Lit::Str(LitStr::new(&value, text.span()));
    }
    attribute
}

/// Turns off what the user can do nothing about in generated items. `missing_docs` is not among
/// them: everything generated is documented.
fn quiet() -> TokenStream {
    quote! {
        #[allow(
            dead_code,
            deprecated,
            missing_copy_implementations,
            missing_debug_implementations,
            non_snake_case,
            private_bounds,
            private_interfaces,
            unreachable_pub,
            unused_qualifications,
            clippy::all,
            clippy::nursery,
            clippy::pedantic,
            reason = "generated by `#[messages]`"
        )]
    }
}
