//! What stands behind `placement =`: a word, or one with a number in round brackets.
//!
//! Whether the machine has that NUMA node is not known here: the spawn says so.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use proc_macro2::Group;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Ident, LitInt, token};

use super::entries::choice;
use crate::model::Placement;

/// The last two are here to be listed; they are read below.
const PLACEMENTS: &[(&str, &str)] = &[
    ("inherit", "Inherit"),
    ("spread", "Spread"),
    ("least_loaded", "LeastLoaded"),
    ("dedicated", "Dedicated"),
    ("node(0)", ""),
    ("key(42)", ""),
];

pub(super) fn placement(key: &Ident, input: ParseStream<'_>) -> syn::Result<Placement> {
    let word = input.fork().call(Ident::parse_any).ok();
    match word.map(|word| word.to_string()).as_deref() {
        Some("node") => number(input, 0..=u8::MAX, "node(0)").map(Placement::Node),
        Some("key") => number(input, 0..=u64::MAX, "key(42)").map(Placement::Key),
        Some("near") => {
            let word = input.call(Ident::parse_any)?;
            Err(syn::Error::new_spanned(
                word,
                "`near` needs an actor that is there, which a type cannot name; say it where the actor is spawned: `.placement(Placement::Near(other.id()))`",
            ))
        }
        _ => choice(key, input, PLACEMENTS).map(Placement::Variant),
    }
}

/// Reads `word(number)`.
fn number<N: FromStr<Err: Display> + PartialOrd + Display>(
    input: ParseStream<'_>,
    range: RangeInclusive<N>,
    example: &str,
) -> syn::Result<N> {
    let word = input.call(Ident::parse_any)?;
    let refusal = |at: &dyn ToTokens| {
        let (min, max) = (range.start(), range.end());
        syn::Error::new_spanned(
            at.to_token_stream(),
            format_args!("`{word}` takes a number from {min} to {max}: `placement = {example}`"),
        )
    };
    if !input.peek(token::Paren) {
        return Err(refusal(&word));
    }
    let given = input.parse::<Group>()?.stream();
    syn::parse2::<LitInt>(given.clone())
        .and_then(|literal| literal.base10_parse::<N>())
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            if given.is_empty() {
                refusal(&word)
            } else {
                refusal(&given)
            }
        })
}
