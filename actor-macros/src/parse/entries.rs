//! The `key = value, key(..), key` lists inside our attributes.
//!
//! `syn`'s own nested-meta reader stops at the first mistake. This one notes it, skips to the next
//! comma and goes on, so that a list with three mistakes gives three errors. A list may be spread
//! over several attributes of one item: keys are unique across all of them.

use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Ident, LitBool, Path, Token};

use crate::errors::{Errors, nearest};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A reader of one kind of list.
#[derive(Debug)]
pub(super) struct Entries {
    /// The attribute as the user writes it, for the words of an error: `#[actor(..)]`.
    attribute: &'static str,
    /// The keys, each with an example of its use.
    known: &'static [(&'static str, &'static str)],
    seen: Vec<Ident>,
}

impl Entries {
    pub(super) fn new(
        attribute: &'static str,
        known: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            attribute,
            known,
            seen: Vec::new(),
        }
    }

    /// Reads one list. `entry` gets each known key once, with the input right behind it, and
    /// reads up to the comma; an `Err` is noted and the rest of that entry is skipped.
    pub(super) fn read(
        &mut self,
        list: TokenStream,
        errors: &mut Errors,
        mut entry: impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
    ) {
        let walk = |input: ParseStream<'_>| {
            while !input.is_empty() {
                if let Err(error) = self.one(input, errors, &mut entry) {
                    errors.add(error);
                    skip_to_comma(input)?;
                }
                if !input.is_empty() && !input.peek(Token![,]) {
                    errors.add(input.error("expected `,` and the next key"));
                    skip_to_comma(input)?;
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = walk.parse2(list) {
            errors.add(error);
        }
    }

    fn one(
        &mut self,
        input: ParseStream<'_>,
        errors: &mut Errors,
        entry: &mut impl FnMut(&Ident, ParseStream<'_>, &mut Errors) -> syn::Result<()>,
    ) -> syn::Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format_args!(
                "`{}` takes keys: {}",
                self.attribute,
                self.listed()
            )));
        }
        let key = Ident::parse_any(input)?;
        let name = key.to_string();
        if !self.known.iter().any(|(known, _)| *known == name) {
            let hint = nearest(&name, self.known.iter().map(|(known, _)| *known))
                .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            return Err(syn::Error::new_spanned(
                key,
                format_args!(
                    "`{}` has no key `{name}`; {hint}the keys are {}",
                    self.attribute,
                    self.listed()
                ),
            ));
        }
        if self.seen.contains(&key) {
            return Err(syn::Error::new_spanned(
                key,
                format_args!("`{name}` is given twice; keep one of them"),
            ));
        }
        self.seen.push(key.clone());
        entry(&key, input, errors)
    }

    fn listed(&self) -> String {
        let keys: Vec<String> = self
            .known
            .iter()
            .map(|(key, _)| format!("`{key}`"))
            .collect();
        keys.join(", ")
    }

    /// Reads the `=` after `key`, or says how the key is used.
    pub(super) fn value_of(
        known: &[(&'static str, &'static str)],
        key: &Ident,
        input: ParseStream<'_>,
    ) -> syn::Result<()> {
        let missing = || {
            let example = known
                .iter()
                .find(|(known, _)| key == known)
                .map_or("", |(_, example)| *example);
            syn::Error::new_spanned(key, format_args!("`{key}` takes a value: `{example}`"))
        };
        if !input.peek(Token![=]) {
            return Err(missing());
        }
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(missing());
        }
        Ok(())
    }
}

/// The path behind `crate =`.
pub(super) fn crate_path(input: ParseStream<'_>) -> syn::Result<Path> {
    Path::parse_mod_style(input).map_err(|error| {
        syn::Error::new(
            error.span(),
            "`crate` takes the path where `actor_core` is found: `crate = ::my_actors`",
        )
    })
}

/// Where `actor_core` is found unless the user says otherwise.
pub(super) fn default_crate() -> Path {
    syn::parse_quote!(::actor_core)
}

/// One of a few words, as the variant they name.
pub(super) fn choice(
    key: &Ident,
    input: ParseStream<'_>,
    choices: &[(&str, &str)],
) -> syn::Result<Ident> {
    let list: Vec<String> = choices
        .iter()
        .map(|(word, _)| format!("`{word}`"))
        .collect();
    let list = list.join(", ");
    let token = input.cursor().token_tree().map(|(token, _)| token);
    let Ok(word) = input.call(Ident::parse_any) else {
        return Err(syn::Error::new_spanned(
            token,
            format_args!("`{key}` is one of {list}, without quotes"),
        ));
    };
    let text = word.to_string();
    if let Some((_, variant)) = choices.iter().find(|(known, _)| *known == text) {
        return Ok(Ident::new(variant, word.span()));
    }
    let hint = nearest(&text, choices.iter().map(|(known, _)| *known))
        .map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    Err(syn::Error::new_spanned(
        word,
        format_args!("`{key}` is not `{text}`; {hint}it is one of {list}"),
    ))
}

/// A key that is either there or not: `significant`, or `significant = false`.
pub(super) fn flag(key: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(true);
    }
    let token = input.cursor().token_tree().map(|(token, _)| token);
    let refusal = || {
        syn::Error::new_spanned(
            &token,
            format_args!("`{key}` stands alone, or is `{key} = true` or `{key} = false`"),
        )
    };
    input.parse::<Token![=]>().map_err(|_| refusal())?;
    let value = input.cursor().token_tree().map(|(token, _)| token);
    let literal: LitBool = input.parse().map_err(|_| {
        syn::Error::new_spanned(
            value.map_or_else(|| key.to_token_stream(), |value| value.to_token_stream()),
            format_args!("`{key}` stands alone, or is `{key} = true` or `{key} = false`"),
        )
    })?;
    Ok(literal.value)
}

/// Leaves the input at the next comma of this list or at its end. A comma between `<` and `>`
/// belongs to a type.
fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    let mut depth = 0_usize;
    while !input.is_empty() {
        if depth == 0 && input.peek(Token![,]) {
            return Ok(());
        }
        if input.peek(Token![->]) {
            input.parse::<Token![->]>()?;
            continue;
        }
        match input.parse::<TokenTree>()? {
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            TokenTree::Punct(punct) if punct.as_char() == '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The tokens inside `#[name(..)]`; refuses `#[name = ..]`, `#[name[..]]` and `#[name{..}]`. Bare
/// `#[name]` is an empty list.
pub(super) fn list_of(attribute: &syn::Attribute) -> syn::Result<TokenStream> {
    match &attribute.meta {
        syn::Meta::Path(_) => Ok(TokenStream::new()),
        syn::Meta::List(list) if matches!(list.delimiter, syn::MacroDelimiter::Paren(_)) => {
            Ok(list.tokens.clone())
        }
        other => {
            let name = other
                .path()
                .get_ident()
                .map_or_else(String::new, Ident::to_string);
            Err(syn::Error::new_spanned(
                other,
                format_args!("write `#[{name}(..)]`, with the keys in round brackets"),
            ))
        }
    }
}

/// The group behind a key such as `derive(..)`.
pub(super) fn parenthesised(key: &Ident, input: ParseStream<'_>) -> syn::Result<TokenStream> {
    match input.cursor().group(Delimiter::Parenthesis) {
        Some(_) => {
            let content;
            syn::parenthesized!(content in input);
            content.parse()
        }
        None => Err(syn::Error::new_spanned(
            key,
            format_args!("`{key}` takes a list: `{key}(Debug, Clone)`"),
        )),
    }
}
