//! `#[messages] impl Account { .. }`: the block, and which of its methods are messages.
//!
//! The block is given back with our attributes taken out, whatever else is wrong, so that a mistake
//! in one method does not make the others disappear.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident};
use syn::visit_mut::VisitMut;
use syn::{Attribute, Ident, ImplItem, Item, ItemImpl, Path, Type};

use crate::errors::Errors;
use crate::model;
use crate::types::{ReplaceSelf, bare};

use super::entries::{Entries, crate_path, default_crate};
use super::shape::refuse_lifetimes;
use super::signature;

/// The keys of `#[messages(..)]`, each with an example.
const KEYS: &[(&str, &str)] = &[
    ("trait_name", "trait_name = AccountApi"),
    ("crate", "crate = ::my_actors"),
];

/// Reads `#[messages(arguments)] item`. `Err` if there is no impl block to work on, with what to
/// give back to the compiler in its place.
pub(crate) fn messages(
    arguments: TokenStream,
    item: TokenStream,
    errors: &mut Errors,
) -> Result<model::Messages, TokenStream> {
    let (trait_name, krate) = arguments_of(arguments, errors);
    let mut block = impl_block(item, errors)?;
    let actor_type = (*block.self_ty).clone();
    let Some(actor) = actor_name(&actor_type) else {
        errors.at(
            &actor_type,
            "`#[messages]` goes on the impl block of a named type: `impl Account { .. }`",
        );
        return Err(stripped(block));
    };
    let fit = refuse_lifetimes("an actor", &block.generics, errors);

    let mut generics = block.generics.clone();
    let mut replace = ReplaceSelf { actor: &actor_type };
    replace.visit_generics_mut(&mut generics);

    let mut methods: Vec<model::Method> = Vec::new();
    let mut marked = 0_usize;
    for item in &mut block.items {
        let Some(attributes) = attributes_of(item) else {
            continue;
        };
        let markers = take_markers(attributes);
        if markers.is_empty() {
            continue;
        }
        marked += 1;
        let ImplItem::Fn(method) = item else {
            errors.at(&markers[0], "only a method can be a message");
            continue;
        };
        if let Some(method) = signature::method(method, &markers, &actor_type, errors) {
            methods.push(method);
        }
    }
    if marked == 0 {
        errors.at(
            &actor_type,
            "no method of this block is a message; mark those that are with `#[message]`, or remove `#[messages]`",
        );
    }
    if !fit {
        return Err(block.into_token_stream());
    }
    if block.generics.type_params().next().is_some() {
        for remote in methods.iter_mut().filter_map(|method| method.remote.take()) {
            errors.at(
                &remote.key,
                "a message that travels has one name, so its actor cannot have type parameters; write a struct and `#[derive(Message)]` for each",
            );
        }
    }
    let trait_name = trait_name.unwrap_or_else(|| format_ident!("{actor}Api"));
    refuse_clashes(&actor, &trait_name, &mut methods, errors);

    Ok(model::Messages {
        krate: krate.unwrap_or_else(default_crate),
        cfgs: block.attrs.iter().filter_map(signature::only_cfg).collect(),
        block,
        actor_type,
        actor,
        generics,
        trait_name,
        methods,
    })
}

/// Gives an impl block back without our attributes, for when it cannot be worked on.
fn stripped(mut block: ItemImpl) -> TokenStream {
    for item in &mut block.items {
        if let Some(attributes) = attributes_of(item) {
            take_markers(attributes);
        }
    }
    block.into_token_stream()
}

fn arguments_of(arguments: TokenStream, errors: &mut Errors) -> (Option<Ident>, Option<Path>) {
    let (mut trait_name, mut krate) = (None, None);
    Entries::new("#[messages(..)]", KEYS).read(arguments, errors, |key, input, _| {
        Entries::value_of(KEYS, key, input)?;
        if key == "trait_name" {
            trait_name = Some(signature::name_of(key, "AccountApi", input)?);
        } else {
            krate = Some(crate_path(input)?);
        }
        Ok(())
    });
    (trait_name, krate)
}

/// The inherent impl block behind `#[messages]`.
fn impl_block(item: TokenStream, errors: &mut Errors) -> Result<ItemImpl, TokenStream> {
    let place = "`#[messages]` goes on an inherent impl block: `impl Account { .. }`";
    let block = match syn::parse2::<Item>(item) {
        Ok(Item::Impl(block)) => block,
        Ok(other) => {
            errors.at(&other, place);
            return Err(other.into_token_stream());
        }
        // Not our business: the compiler's own words about broken syntax, under its token.
        Err(error) => {
            errors.add(error);
            return Err(TokenStream::new());
        }
    };
    if let Some((_, path, _)) = &block.trait_ {
        errors.at(
            path,
            format_args!("{place}; the methods of a trait cannot be messages"),
        );
        return Err(stripped(block));
    }
    Ok(block)
}

/// The last name of a type path.
fn actor_name(ty: &Type) -> Option<Ident> {
    match bare(ty) {
        Type::Path(path) if path.qself.is_none() => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.clone()),
        _ => None,
    }
}

fn attributes_of(item: &mut ImplItem) -> Option<&mut Vec<Attribute>> {
    match item {
        ImplItem::Const(item) => Some(&mut item.attrs),
        ImplItem::Fn(item) => Some(&mut item.attrs),
        ImplItem::Type(item) => Some(&mut item.attrs),
        ImplItem::Macro(item) => Some(&mut item.attrs),
        _ => None,
    }
}

/// Takes the `#[message]`s out of a list of attributes.
fn take_markers(attributes: &mut Vec<Attribute>) -> Vec<Attribute> {
    let (markers, rest) = std::mem::take(attributes)
        .into_iter()
        .partition(|attribute| attribute.path().is_ident("message"));
    *attributes = rest;
    markers
}

/// Refuses two generated types of one name, and drops the later from the model. Two methods under
/// `#[cfg]`s may share a name: the compiler says so if both are in.
fn refuse_clashes(
    actor: &Ident,
    trait_name: &Ident,
    methods: &mut Vec<model::Method>,
    errors: &mut Errors,
) {
    if trait_name == actor {
        errors.at(
            trait_name,
            format_args!("the trait and the actor would both be called `{actor}`"),
        );
    }
    let mut kept: Vec<model::Method> = Vec::new();
    for method in methods.drain(..) {
        let message = &method.message;
        let clash = if message == actor {
            Some("the actor itself".to_owned())
        } else if message == trait_name {
            Some("the trait with the methods of the ref".to_owned())
        } else {
            kept.iter()
                .find(|other| {
                    other.message == *message && (other.cfgs.is_empty() || method.cfgs.is_empty())
                })
                .map(|other| format!("the message of `{}`", other.ident))
        };
        match clash {
            None => kept.push(method),
            Some(other) => errors.at(
                message,
                format_args!(
                    "this message would be called `{message}`, like {other}; name it: `#[message(name = Other)]`"
                ),
            ),
        }
    }
    *methods = kept;
}
