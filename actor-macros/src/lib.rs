//! The macros of `actor-core`, which re-exports them: `#[derive(Actor)]`, `#[derive(Message)]` and
//! `#[messages]`.
//!
//! They write what one could write by hand with the traits of `actor-core`, and nothing else: no
//! registration, no boxing, no code at run time. Read top to bottom: an entry point below parses
//! into the `model` and expands from it, and puts all `errors` at the end.

// Floor 0. Mistakes, collected.
mod errors;

// Floor 1. What the user said, as data.
mod model;

// Floor 2. Looking into types.
mod types;

// Floor 3. Tokens to model.
mod parse;

// Floor 4. Model to tokens.
mod expand;

use errors::Errors;
use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

#[proc_macro_derive(Actor, attributes(actor))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let actor = parse::actor::actor(input, &mut errors);
    let mut output = expand::actor::actor(&actor);
    output.extend(errors.into_tokens());
    output.into()
}

#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let mut errors = Errors::default();
    let message = parse::message::message(input, &mut errors);
    let mut output = expand::message::message(&message);
    output.extend(errors.into_tokens());
    output.into()
}

#[proc_macro_attribute]
pub fn messages(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut output = match parse::messages::messages(arguments.into(), item.into(), &mut errors) {
        Ok(messages) => expand::messages::messages(&messages),
        Err(given_back) => given_back,
    };
    output.extend(errors.into_tokens());
    output.into()
}
