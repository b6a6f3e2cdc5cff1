//! `#[derive(Message)]` and its `#[message(..)]`.

use syn::{DeriveInput, Type};

use crate::errors::Errors;
use crate::model;
use crate::types;

use super::entries::{Entries, crate_path, default_crate, list_of};
use super::remote::remote;
use super::shape::refuse_shape;

/// The keys, each with an example.
const KEYS: &[(&str, &str)] = &[
    ("reply", "reply = u64"),
    ("remote", "remote = \"bank.deposit\""),
    ("crate", "crate = ::my_actors"),
];

/// Reads a `#[derive(Message)]`. `None` if the type can be no message, whatever its keys.
pub(crate) fn message(input: DeriveInput, errors: &mut Errors) -> Option<model::Message> {
    let fit = refuse_shape("a message", "Message", &input, errors);
    let mut message = model::Message {
        krate: default_crate(),
        ident: input.ident,
        generics: input.generics,
        reply: None,
        remote: None,
    };
    let mut entries = Entries::new("#[message(..)]", KEYS);
    for attribute in input.attrs {
        if !attribute.path().is_ident("message") {
            continue;
        }
        let list = match list_of(&attribute) {
            Ok(list) => list,
            Err(error) => {
                errors.add(error);
                continue;
            }
        };
        entries.read(list, errors, |key, input, errors| {
            if key == "remote" {
                message.remote = Some(remote(key, input)?);
                return Ok(());
            }
            Entries::value_of(KEYS, key, input)?;
            if key == "reply" {
                let reply = input.parse::<Type>().map_err(|error| {
                    syn::Error::new(error.span(), "`reply` takes a type: `reply = u64`")
                })?;
                if types::refuse_reply(&reply, errors) {
                    message.reply = Some(reply);
                }
            } else {
                message.krate = crate_path(input)?;
            }
            Ok(())
        });
    }
    if let Some(remote) = &message.remote
        && message.generics.type_params().next().is_some()
    {
        errors.at(
            &remote.key,
            "a message that travels has one name, so it cannot have type parameters; write a struct for each",
        );
        message.remote = None;
    }
    fit.then_some(message)
}
