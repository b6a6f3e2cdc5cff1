//! One method marked `#[message]`: what it may look like, and the message it becomes.
//!
//! Whatever a message cannot carry is refused under its own token: there is no receiver in an
//! envelope, no borrow that ends with the call, and no type the asker could choose. All refusals of
//! one method are noted before it is given up.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, FnArg, GenericArgument, GenericParam, Ident, ImplItemFn, Meta, Pat, PatType, Path,
    PathArguments, Receiver, ReturnType, Signature, Token, Type, WherePredicate, parse_quote,
};

use crate::errors::Errors;
use crate::model::{Argument, Field, Kind, Method, Remote};
use crate::types::{ReplaceSelf, bare, refuse_field, refuse_reply};

use super::entries::{Entries, list_of, parenthesised};
use super::names::{camel_case, refuse_taken};
use super::remote::remote;

/// The keys of `#[message(..)]` on a method, each with an example.
const KEYS: &[(&str, &str)] = &[
    ("name", "name = Put"),
    ("derive", "derive(Debug, Clone)"),
    ("deferred", "deferred"),
    ("reentrant", "reentrant"),
    ("blocking", "blocking"),
    ("when", "when = is_open"),
    ("remote", "remote = \"bank.deposit\""),
];

/// Reads a method and takes out of it what only a message has (docs and helper attributes of its
/// parameters). `None` if it was refused.
pub(super) fn method(
    method: &mut ImplItemFn,
    markers: &[Attribute],
    actor: &Type,
    errors: &mut Errors,
) -> Option<Method> {
    let marker = marker_of(markers, errors);
    let signature = &mut method.sig;
    let mut fit = refuse_qualifiers(signature, errors);
    fit &= refuse_generics(signature, errors);
    fit &= refuse_taken(&signature.ident, errors);

    let kind = marker.kind(signature);
    let message = marker.name.or_else(|| camel_case(&signature.ident));
    if message.is_none() {
        errors.at(
            &signature.ident,
            "no struct can be called after this method; name the message: `#[message(name = Put)]`",
        );
    }

    fit &= refuse_asyncness(kind, signature, errors);
    let mut arguments = Vec::new();
    let mut answered: Option<Type> = None;
    if kind != Kind::Reentrant && signature.receiver().is_none() {
        errors.at(
            &signature.ident,
            format_args!(
                "a message is handled by an actor, so its method takes `&mut self` or `&self`: `fn {}(&mut self, ..)`",
                signature.ident
            ),
        );
        fit = false;
    }
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) if kind == Kind::Reentrant => {
                errors.at(
                    receiver,
                    "a reentrant method borrows its actor between awaits only: take `this: Reentrant<Self>` in place of `self`, and the state by `this.with(|actor, cx| ..)`",
                );
                fit = false;
            }
            FnArg::Receiver(receiver) => fit &= refuse_receiver(receiver, errors),
            FnArg::Typed(input) if kind == Kind::Deferred && is_named(&input.ty, "Reply") => {
                match reply_handle(&input.ty, errors) {
                    Some(_) if answered.is_some() => {
                        errors.at(&*input, "an ask has one reply; remove the second handle");
                        fit = false;
                    }
                    Some(ty) => {
                        answered = Some(ty);
                        arguments.push(Argument::Reply);
                    }
                    None => fit = false,
                }
            }
            FnArg::Typed(input) if kind == Kind::Reentrant && is_named(&input.ty, "Reentrant") => {
                if arguments
                    .iter()
                    .any(|argument| matches!(argument, Argument::This))
                {
                    errors.at(
                        &*input,
                        "one handle of the actor is enough; remove the second",
                    );
                    fit = false;
                }
                arguments.push(Argument::This);
            }
            FnArg::Typed(input) if kind == Kind::Reentrant && is_context(&input.ty) => {
                errors.at(
                    &*input,
                    "a reentrant method has no context of its own; it comes with the state, by `this.with(|actor, cx| ..)`",
                );
                fit = false;
            }
            FnArg::Typed(input) if kind == Kind::Blocking && is_context(&input.ty) => {
                errors.at(
                    &*input,
                    "a blocking method runs on another thread while its actor waits, and has no context there; remove the parameter, or use `cx.blocking(..).await` in an `async fn`",
                );
                fit = false;
            }
            FnArg::Typed(input) => match argument(input, actor, errors) {
                Some(Argument::Context)
                    if arguments
                        .iter()
                        .any(|argument| matches!(argument, Argument::Context)) =>
                {
                    errors.at(&*input, "there is one context in a call; remove the second");
                    fit = false;
                }
                Some(argument) => arguments.push(argument),
                None => fit = false,
            },
        }
    }

    // A handle that was refused has its error already.
    if fit {
        fit = refuse_missing_handle(kind, &arguments, signature, errors);
    }
    let mut reply = match &signature.output {
        ReturnType::Type(_, ty) if kind == Kind::Deferred && !is_unit(ty) => {
            errors.at(
                ty,
                "a deferred method answers through its `Reply`; remove the return type",
            );
            fit = false;
            parse_quote!(())
        }
        _ if kind == Kind::Deferred => answered.unwrap_or_else(|| parse_quote!(())),
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => {
            fit &= refuse_reply(ty, errors);
            (**ty).clone()
        }
    };
    let mut predicates: Vec<WherePredicate> = signature
        .generics
        .where_clause
        .iter()
        .flat_map(|clause| clause.predicates.iter().cloned())
        .collect();
    let mut replace = ReplaceSelf { actor };
    replace.visit_type_mut(&mut reply);
    for predicate in &mut predicates {
        replace.visit_where_predicate_mut(predicate);
    }

    if !fit {
        return None;
    }
    Some(Method {
        ident: signature.ident.clone(),
        message: message?,
        vis: method.vis.clone(),
        docs: method.attrs.iter().filter_map(only_docs).collect(),
        cfgs: method.attrs.iter().filter_map(only_cfg).collect(),
        deprecated: method
            .attrs
            .iter()
            .find(|attribute| attribute.path().is_ident("deprecated"))
            .cloned(),
        derives: marker.derives,
        when: marker.when,
        remote: marker.remote,
        kind,
        arguments,
        reply,
        predicates,
    })
}

// ---- The marker ---------------------------------------------------------------------------------

#[derive(Default)]
struct Marker {
    name: Option<Ident>,
    derives: Vec<Path>,
    deferred: Option<Ident>,
    reentrant: Option<Ident>,
    blocking: Option<Ident>,
    when: Option<Ident>,
    remote: Option<Remote>,
}

impl Marker {
    fn kind(&self, signature: &Signature) -> Kind {
        if self.deferred.is_some() {
            Kind::Deferred
        } else if self.reentrant.is_some() {
            Kind::Reentrant
        } else if self.blocking.is_some() {
            Kind::Blocking
        } else if signature.asyncness.is_some() {
            Kind::Async
        } else {
            Kind::Plain
        }
    }
}

fn marker_of(markers: &[Attribute], errors: &mut Errors) -> Marker {
    let mut marker = Marker::default();
    let mut entries = Entries::new("#[message(..)]", KEYS);
    for (index, attribute) in markers.iter().enumerate() {
        if index > 0 {
            errors.at(
                attribute,
                "this method is marked as a message already; put everything into one `#[message(..)]`",
            );
            continue;
        }
        let list = match list_of(attribute) {
            Ok(list) => list,
            Err(error) => {
                errors.add(error);
                continue;
            }
        };
        entries.read(list, errors, |key, input, _| {
            if key == "name" {
                Entries::value_of(KEYS, key, input)?;
                marker.name = Some(name_of(key, "Put", input)?);
            } else if key == "when" {
                Entries::value_of(KEYS, key, input)?;
                marker.when = Some(name_of(key, "is_open", input)?);
            } else if key == "remote" {
                marker.remote = Some(remote(key, input)?);
            } else if key == "deferred" {
                marker.deferred = Some(key.clone());
            } else if key == "reentrant" {
                marker.reentrant = Some(key.clone());
            } else if key == "blocking" {
                marker.blocking = Some(key.clone());
            } else {
                let list = parenthesised(key, input)?;
                let paths = Punctuated::<Path, Token![,]>::parse_terminated.parse2(list)?;
                marker.derives.extend(paths);
            }
            Ok(())
        });
    }
    if let (Some(_), Some(second)) = (&marker.deferred, &marker.reentrant) {
        errors.at(
            second,
            "a method is `deferred` or `reentrant`, not both; keep one of them",
        );
    }
    if let (Some(word), Some(other)) = (
        &marker.blocking,
        marker.deferred.as_ref().or(marker.reentrant.as_ref()),
    ) {
        errors.at(
            word,
            format_args!("a method is `blocking` or `{other}`, not both; keep one of them"),
        );
    }
    marker
}

/// Reads the name of a generated item.
pub(super) fn name_of(key: &Ident, example: &str, input: ParseStream<'_>) -> syn::Result<Ident> {
    let token = input.cursor().token_tree().map(|(token, _)| token);
    input.parse::<Ident>().map_err(|_| {
        syn::Error::new_spanned(
            token,
            format_args!("`{key}` takes a name without quotes: `{key} = {example}`"),
        )
    })
}

// ---- The signature ------------------------------------------------------------------------------

fn refuse_qualifiers(signature: &Signature, errors: &mut Errors) -> bool {
    let mut fit = true;
    let mut refuse = |tokens: TokenStream, text: &str| {
        errors.at(tokens, text);
        fit = false;
    };
    if let Some(token) = &signature.constness {
        refuse(
            token.to_token_stream(),
            "a message is handled while the program runs; remove `const`",
        );
    }
    if let Some(token) = &signature.unsafety {
        refuse(
            token.to_token_stream(),
            "whoever sends a message cannot promise what an `unsafe fn` asks for; remove `unsafe`",
        );
    }
    if let Some(token) = &signature.abi {
        refuse(
            token.to_token_stream(),
            "the runtime calls this method; remove `extern`",
        );
    }
    if let Some(token) = &signature.variadic {
        refuse(
            token.to_token_stream(),
            "a message has a fixed set of fields; remove `...`",
        );
    }
    fit
}

fn refuse_asyncness(kind: Kind, signature: &Signature, errors: &mut Errors) -> bool {
    match (kind, &signature.asyncness) {
        (Kind::Deferred, Some(token)) => {
            errors.at(
                token,
                "a deferred method is a plain `fn`: it keeps the `Reply`, or moves it to a task that awaits",
            );
            false
        }
        (Kind::Blocking, Some(token)) => {
            errors.at(
                token,
                "an `async fn` awaits and does not block; make it a plain `fn`, or remove `blocking` and call what blocks in `cx.blocking(..).await`",
            );
            false
        }
        (Kind::Reentrant, None) => {
            errors.at(
                signature.fn_token,
                "a reentrant method is an `async fn`; one that does not await needs no `reentrant`",
            );
            false
        }
        _ => true,
    }
}

/// Whether what the kind of method stands on is among its parameters.
fn refuse_missing_handle(
    kind: Kind,
    arguments: &[Argument],
    signature: &Signature,
    errors: &mut Errors,
) -> bool {
    let (has, text) = match kind {
        Kind::Deferred => (
            arguments
                .iter()
                .any(|argument| matches!(argument, Argument::Reply)),
            "a deferred method takes the handle it answers through: `reply: Reply<Value>`",
        ),
        Kind::Reentrant => (
            arguments
                .iter()
                .any(|argument| matches!(argument, Argument::This)),
            "a reentrant method takes its actor's handle in place of `self`: `this: Reentrant<Self>`",
        ),
        Kind::Plain | Kind::Async | Kind::Blocking => return true,
    };
    if !has {
        errors.at(&signature.ident, text);
    }
    has
}

/// The type inside a `Reply<..>`.
fn reply_handle(ty: &Type, errors: &mut Errors) -> Option<Type> {
    if let Type::Path(path) = bare(ty)
        && let Some(segment) = path.path.segments.last()
        && let PathArguments::AngleBracketed(inside) = &segment.arguments
        && inside.args.len() == 1
        && let Some(GenericArgument::Type(reply)) = inside.args.first()
    {
        return refuse_reply(reply, errors).then(|| reply.clone());
    }
    errors.at(
        ty,
        "the handle of a deferred method is a `Reply` by value, with the type of the reply: `reply: Reply<Value>`",
    );
    None
}

fn is_unit(ty: &Type) -> bool {
    matches!(bare(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

fn refuse_generics(signature: &Signature, errors: &mut Errors) -> bool {
    for parameter in &signature.generics.params {
        let text = match parameter {
            GenericParam::Lifetime(_) => {
                "a message holds no borrows, so its method has no lifetime parameters; take and return owned data"
            }
            GenericParam::Type(_) | GenericParam::Const(_) => {
                "a message is one type, so its method has no type parameters; name the type, or put the parameter on the impl block"
            }
        };
        errors.at(parameter, text);
    }
    signature.generics.params.is_empty()
}

fn refuse_receiver(receiver: &Receiver, errors: &mut Errors) -> bool {
    let by_reference = if receiver.colon_token.is_some() {
        matches!(bare(&receiver.ty), Type::Reference(reference)
            if matches!(bare(&reference.elem), Type::Path(path) if path.path.is_ident("Self")))
    } else {
        receiver.reference.is_some()
    };
    if !by_reference {
        errors.at(
            receiver,
            "the actor stays after this message, so its method takes `&mut self` or `&self`; to end the actor stop it through its context",
        );
    }
    by_reference
}

// ---- One parameter ------------------------------------------------------------------------------

/// Reads a parameter, and takes its docs and helper attributes out. `None` if it was refused.
fn argument(input: &mut PatType, actor: &Type, errors: &mut Errors) -> Option<Argument> {
    if is_context(&input.ty) {
        return match bare(&input.ty) {
            Type::Reference(_) => Some(Argument::Context),
            ty => {
                errors.at(
                    ty,
                    "the context belongs to the runtime; take it as `&mut ActorContext<Self>`",
                );
                None
            }
        };
    }
    let (docs, helpers, attributes_fit) = field_attributes(&mut input.attrs, errors);
    let ident = match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => pat.ident.clone(),
        pat => {
            errors.at(
                pat,
                "this parameter becomes a field of the message: give it a plain name and take it apart in the body",
            );
            return None;
        }
    };
    if !refuse_field(&ident, &input.ty, errors) || !attributes_fit {
        return None;
    }
    let mut ty = (*input.ty).clone();
    ReplaceSelf { actor }.visit_type_mut(&mut ty);
    Some(Argument::Field(Box::new(Field {
        ident,
        ty,
        docs,
        helpers,
    })))
}

/// Whether a type is `ActorContext<..>`, by its last name, or a reference to one.
fn is_context(ty: &Type) -> bool {
    is_named(ty, "ActorContext")
}

/// Whether a type has that last name, or is a reference to one that has.
fn is_named(ty: &Type, name: &str) -> bool {
    match bare(ty) {
        Type::Reference(reference) => is_named(&reference.elem, name),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|segment| segment.ident == name),
        _ => false,
    }
}

/// Sorts a parameter's attributes: docs and those of derives go to the field (a parameter may have
/// neither), lints stay, `#[cfg]` is refused since a call cannot leave an argument out.
fn field_attributes(
    attributes: &mut Vec<Attribute>,
    errors: &mut Errors,
) -> (Vec<Attribute>, Vec<Attribute>, bool) {
    let (mut docs, mut helpers, mut fit) = (Vec::new(), Vec::new(), true);
    let mut stay = Vec::new();
    for attribute in std::mem::take(attributes) {
        let path = attribute.path();
        if path.is_ident("doc") {
            docs.push(attribute);
        } else if LINTS.iter().any(|lint| path.is_ident(lint)) {
            stay.push(attribute);
        } else if path.is_ident("cfg") || path.is_ident("cfg_attr") {
            errors.at(
                &attribute,
                "a field of a message cannot come and go with `#[cfg]`; write the method twice, each with its own `#[cfg]`",
            );
            fit = false;
        } else {
            helpers.push(attribute);
        }
    }
    *attributes = stay;
    (docs, helpers, fit)
}

const LINTS: &[&str] = &["allow", "expect", "warn", "deny", "forbid"];

// ---- Attributes of the method -------------------------------------------------------------------

/// The attribute if it is `#[cfg]`, or what of a `#[cfg_attr]` is.
pub(super) fn only_cfg(attribute: &Attribute) -> Option<Attribute> {
    only(attribute, "cfg")
}

/// The attribute if it is `#[doc]`, or what of a `#[cfg_attr]` is.
fn only_docs(attribute: &Attribute) -> Option<Attribute> {
    only(attribute, "doc")
}

fn only(attribute: &Attribute, name: &str) -> Option<Attribute> {
    let meta = only_meta(&attribute.meta, name)?;
    Some(Attribute {
        meta,
        ..attribute.clone()
    })
}

fn only_meta(meta: &Meta, name: &str) -> Option<Meta> {
    if meta.path().is_ident(name) {
        return Some(meta.clone());
    }
    let Meta::List(list) = meta else { return None };
    if !list.path.is_ident("cfg_attr") {
        return None;
    }
    let parts = list
        .parse_args_with(|input: ParseStream<'_>| {
            // The predicate, which may be `true` or `not(..)`: any one token and its group.
            let mut predicate = TokenStream::new();
            while !input.is_empty() && !input.peek(Token![,]) {
                predicate.extend([input.parse::<proc_macro2::TokenTree>()?]);
            }
            input.parse::<Token![,]>()?;
            let metas = Punctuated::<Meta, Token![,]>::parse_terminated(input)?;
            Ok((predicate, metas))
        })
        .ok();
    // A malformed `cfg_attr` stays on the method, where the compiler words it.
    let (predicate, metas) = parts?;
    let kept: Vec<Meta> = metas
        .iter()
        .filter_map(|meta| only_meta(meta, name))
        .collect();
    if kept.is_empty() {
        return None;
    }
    let span = list.span();
    Some(syn::parse_quote_spanned!(span=> cfg_attr(#predicate, #(#kept),*)))
}
