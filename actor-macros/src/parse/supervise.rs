//! `supervise(..)` and its neighbours in `#[actor(..)]`: what an actor is to its children, and what it
//! is as a child.

use proc_macro2::Delimiter;
use quote::ToTokens;
use syn::parse::ParseStream;
use syn::{Ident, LitInt, LitStr};

use crate::errors::Errors;
use crate::model;

use super::duration::{period, shutdown_time};
use super::entries::{Entries, choice, flag, parenthesised};

/// The keys of `supervise(..)`, each with an example.
const KEYS: &[(&str, &str)] = &[
    ("strategy", "strategy = one_for_all"),
    ("intensity", "intensity = 5"),
    ("period", "period = \"10s\""),
    ("auto_shutdown", "auto_shutdown = any"),
    ("keep_children", "keep_children"),
];

/// Words of ours, which are the names of the constructors, too.
const STRATEGIES: &[(&str, &str)] = &[
    ("one_for_one", "one_for_one"),
    ("one_for_all", "one_for_all"),
    ("rest_for_one", "rest_for_one"),
    ("simple_one_for_one", "simple_one_for_one"),
];

const AUTO_SHUTDOWNS: &[(&str, &str)] = &[("never", "Never"), ("any", "Any"), ("all", "All")];

const SHUTDOWNS: &[(&str, &str)] = &[("kill", "Kill"), ("infinity", "Infinity")];

/// The most restarts in a period, as the runtime has it.
const INTENSITY_MAX: u32 = 10_000;

/// Reads `(strategy = .., ..)`.
pub(super) fn supervise(
    key: &Ident,
    input: ParseStream<'_>,
    supervise: &mut model::Supervise,
    errors: &mut Errors,
) -> syn::Result<()> {
    if input.cursor().group(Delimiter::Parenthesis).is_none() {
        return Err(syn::Error::new_spanned(
            key,
            "`supervise` takes a list: `supervise(strategy = one_for_all, intensity = 5, period = \"10s\")`",
        ));
    }
    let list = parenthesised(key, input)?;
    Entries::new("supervise(..)", KEYS).read(list, errors, |key, input, _| {
        if key == "keep_children" {
            supervise.keep_children = flag(key, input)?;
            return Ok(());
        }
        Entries::value_of(KEYS, key, input)?;
        match key.to_string().as_str() {
            "strategy" => supervise.strategy = Some(choice(key, input, STRATEGIES)?),
            "intensity" => supervise.intensity = Some(intensity(input)?),
            "period" => supervise.period = Some(period(input)?),
            _ => supervise.auto_shutdown = Some(choice(key, input, AUTO_SHUTDOWNS)?),
        }
        Ok(())
    });
    Ok(())
}

/// Puts the short form of a key of `supervise(..)` in its place, or refuses to say it twice.
pub(super) fn merge<T>(long: &mut Option<T>, short: Option<(Ident, T)>, errors: &mut Errors) {
    match short {
        Some((key, _)) if long.is_some() => errors.at(
            &key,
            format_args!("`{key}` is in `supervise(..)` as well; keep one of them"),
        ),
        Some((_, value)) => *long = Some(value),
        None => {}
    }
}

/// Reads how many restarts are put up with.
pub(super) fn intensity(input: ParseStream<'_>) -> syn::Result<u32> {
    let token = input.cursor().token_tree().map(|(token, _)| token);
    input
        .parse::<LitInt>()
        .and_then(|literal| literal.base10_parse())
        .ok()
        .filter(|restarts| *restarts <= INTENSITY_MAX)
        .ok_or_else(|| {
            syn::Error::new_spanned(
                token,
                format_args!("`intensity` is how many restarts are allowed within `period`: a whole number such as 5, at most {INTENSITY_MAX}, or 0 for none"),
            )
        })
}

/// Reads how long an end may take.
pub(super) fn shutdown(key: &Ident, input: ParseStream<'_>) -> syn::Result<model::Shutdown> {
    if input.peek(LitStr) {
        return shutdown_time(input).map(model::Shutdown::After);
    }
    if input.peek(Ident) {
        return choice(key, input, SHUTDOWNS).map(model::Shutdown::Variant);
    }
    let token = input.cursor().token_tree().map(|(token, _)| token);
    Err(syn::Error::new_spanned(
        token.to_token_stream(),
        "`shutdown` is a time in quotes, `kill` or `infinity`: `shutdown = \"5s\"`",
    ))
}
