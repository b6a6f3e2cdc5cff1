//! All mistakes of one macro call, reported together.
//!
//! A user who wrote three wrong keys wants three errors from one compile, each under the token that
//! caused it. So nothing in this crate stops at the first mistake: parsing notes it here, goes on
//! with what it did understand, and the macro's output ends with everything noted. Any file may
//! note an error; only the entry points in `lib.rs` turn them into tokens.
//!
//! The words follow one rule: say what is wrong in the user's terms, then what to write instead.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The mistakes found so far.
#[derive(Debug, Default)]
#[must_use = "errors that are not turned into tokens are swallowed"]
pub(crate) struct Errors {
    all: Option<syn::Error>,
}

impl Errors {
    /// Notes a mistake under `tokens`, from the first to the last of them.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, text: impl Display) {
        self.add(syn::Error::new_spanned(tokens, text));
    }

    /// Notes a mistake that `syn` or one of our readers has already worded.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.all {
            Some(all) => all.combine(error),
            None => self.all = Some(error),
        }
    }

    /// One `compile_error!` for each mistake, in the order they were noted; nothing for none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.all
            .map_or_else(TokenStream::new, |all| all.to_compile_error())
    }
}

/// The known word that `word` was probably meant to be, for "did you mean".
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        // Up to a third of the letters may differ: `mailbx` is a slip, `size` is another word. A
        // beginning is as good: `trait` for `trait_name`.
        .filter(|(distance, candidate)| {
            *distance * 3 <= candidate.len().max(3)
                || (word.len() >= 3 && candidate.starts_with(&word))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance over characters, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
