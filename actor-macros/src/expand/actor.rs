//! `#[derive(Actor)]`: `impl Actor`, with the options and the hooks the user named.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, Path};

use crate::model::{Actor, Mailbox, Placement, Shutdown, Supervise};

use super::generics::sendable;

/// Writes the impl.
pub(crate) fn actor(actor: &Actor) -> TokenStream {
    let krate = &actor.krate;
    let ident = &actor.ident;
    let generics = sendable(&actor.generics);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let options = options(actor);
    let hooks = hooks(actor);
    quote! {
        #[automatically_derived]
        impl #impl_generics #krate::Actor for #ident #type_generics #where_clause {
            #options
            #hooks
        }
    }
}

/// `fn options`, or nothing if no option is set: the trait's own is the default.
fn options(actor: &Actor) -> TokenStream {
    let krate = &actor.krate;
    let mut calls = TokenStream::new();
    if let Some(mailbox) = &actor.mailbox {
        let mailbox = match mailbox {
            Mailbox::Unbounded => quote!(#krate::Mailbox::unbounded()),
            Mailbox::Bounded(capacity, overflow) => {
                let overflow = overflow
                    .as_ref()
                    .map(|variant| quote!(.overflow(#krate::Overflow::#variant)));
                quote!(#krate::Mailbox::bounded(#capacity) #overflow)
            }
        };
        calls.extend(quote!(.mailbox(#mailbox)));
    }
    if let Some(variant) = &actor.restart {
        calls.extend(quote!(.restart(#krate::Restart::#variant)));
    }
    if let Some((min, max)) = actor.backoff {
        let (min, max) = (duration(min), duration(max));
        calls.extend(quote!(.backoff(#krate::Backoff::new(#min, #max))));
    }
    calls.extend(supervision(krate, &actor.supervise));
    if let Some(shutdown) = &actor.shutdown {
        let shutdown = match shutdown {
            Shutdown::After(time) => {
                let time = duration(*time);
                quote!(After(#time))
            }
            Shutdown::Variant(variant) => quote!(#variant),
        };
        calls.extend(quote!(.shutdown(#krate::Shutdown::#shutdown)));
    }
    if let Some(significant) = actor.significant {
        calls.extend(quote!(.significant(#significant)));
    }
    if let Some(variant) = &actor.on_panic {
        calls.extend(quote!(.on_panic(#krate::OnPanic::#variant)));
    }
    if let Some(trap) = actor.trap_links {
        calls.extend(quote!(.trap_links(#trap)));
    }
    if let Some(messages) = actor.stash {
        calls.extend(quote!(.stash(#messages)));
    }
    if let Some(placement) = &actor.placement {
        let placement = match placement {
            Placement::Variant(variant) => quote!(#variant),
            Placement::Node(number) => quote!(Node(#krate::NumaNodeId(#number))),
            Placement::Key(key) => quote!(Key(#key)),
        };
        calls.extend(quote!(.placement(#krate::Placement::#placement)));
    }
    if calls.is_empty() {
        return calls;
    }
    quote! {
        fn options() -> #krate::ActorOptions {
            #krate::ActorOptions::new() #calls
        }
    }
}

/// `.supervision(..)`, or nothing if nothing was said of it.
fn supervision(krate: &Path, supervise: &Supervise) -> Option<TokenStream> {
    let mut calls = TokenStream::new();
    if let Some(restarts) = supervise.intensity {
        calls.extend(quote!(.intensity(#restarts)));
    }
    if let Some(period) = supervise.period.map(duration) {
        calls.extend(quote!(.period(#period)));
    }
    if let Some(variant) = &supervise.auto_shutdown {
        calls.extend(quote!(.auto_shutdown(#krate::AutoShutdown::#variant)));
    }
    if supervise.keep_children {
        calls.extend(quote!(.keep_children()));
    }
    let strategy = match &supervise.strategy {
        Some(strategy) => quote!(#strategy),
        None if calls.is_empty() => return None,
        None => quote!(one_for_one),
    };
    Some(quote!(.supervision(#krate::Supervision::#strategy() #calls)))
}

fn duration(duration: Duration) -> TokenStream {
    let (secs, nanos) = (duration.as_secs(), duration.subsec_nanos());
    quote!(::core::time::Duration::new(#secs, #nanos))
}

fn hooks(actor: &Actor) -> TokenStream {
    let krate = &actor.krate;
    let started = actor.started.as_ref().map(|method| {
        let output = quote! {
            ::core::result::Result<(), #krate::ActorError>
        };
        hook(krate, "started", method, None, &output)
    });
    let stopped = actor.stopped.as_ref().map(|method| {
        let reason = quote!(reason: &#krate::StopReason,);
        hook(
            krate,
            "stopped",
            method,
            Some((reason, quote!(reason,))),
            &quote!(()),
        )
    });
    let terminated = actor.terminated.as_ref().map(|method| {
        let who = quote!(who: #krate::Terminated,);
        hook(
            krate,
            "terminated",
            method,
            Some((who, quote!(who,))),
            &quote!(()),
        )
    });
    quote!(#started #stopped #terminated)
}

/// One hook. It hands the user's future on instead of awaiting it in another: see `messages`.
fn hook(
    krate: &Path,
    name: &str,
    method: &Ident,
    argument: Option<(TokenStream, TokenStream)>,
    output: &TokenStream,
) -> TokenStream {
    let name = Ident::new(name, Span::call_site());
    let (parameter, pass) = argument.unzip();
    let at = Span::call_site().located_at(method.span());
    quote_spanned! {at=>
        fn #name(
            &mut self,
            #parameter
            context: &mut #krate::ActorContext<Self>,
        ) -> impl ::core::future::Future<Output = #output> + ::core::marker::Send {
            Self::#method(self, #pass context)
        }
    }
}
