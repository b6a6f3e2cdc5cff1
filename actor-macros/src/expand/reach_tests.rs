//! The names and visibilities of the ref's traits.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::errors::Errors;
use crate::parse;

use super::*;

/// Each trait of a block as `vis Name: methods`.
fn traits(arguments: TokenStream, block: TokenStream) -> Vec<String> {
    let mut errors = Errors::default();
    let messages = parse::messages::messages(arguments, block, &mut errors).expect("an impl block");
    assert!(errors.into_tokens().is_empty());
    reaches(&messages)
        .iter()
        .map(|reach| {
            let methods: Vec<String> = reach
                .methods
                .iter()
                .map(|method| method.ident.to_string())
                .collect();
            format!(
                "{} {}: {}",
                reach.vis.to_token_stream(),
                reach.name,
                methods.join(" ")
            )
        })
        .collect()
}

#[test]
fn one_visibility_is_one_trait() {
    let block =
        quote!(impl bank::Account { #[message] pub fn a(&self) {} #[message] pub fn b(&self) {} });
    assert_eq!(traits(quote!(), block), ["pub AccountApi: a b"]);
    let block =
        quote!(impl Account { #[message] fn a(&self) {} #[message] pub(self) fn b(&self) {} });
    assert_eq!(traits(quote!(), block), [" AccountApi: a b"]);
}

#[test]
fn the_widest_takes_the_plain_name() {
    let block = quote!(impl Account {
        #[message] fn tick(&mut self) {}
        #[message] pub(crate) fn audit(&self) {}
        #[message] pub fn deposit(&mut self) {}
        #[message] pub(in crate::bank) fn book(&mut self) {}
    });
    assert_eq!(
        traits(quote!(trait_name = Api), block),
        [
            "pub Api: deposit",
            "pub (crate) ApiCrate: audit",
            "pub (in crate :: bank) ApiCrateBank: book",
            " ApiPrivate: tick",
        ]
    );
}

#[test]
fn of_two_that_do_not_contain_each_other_the_first_comes_first() {
    let block = quote!(impl Account {
        #[message] pub(in crate::a) fn one(&self) {}
        #[message] pub(super) fn two(&self) {}
    });
    assert_eq!(
        traits(quote!(), block),
        [
            "pub (in crate :: a) AccountApi: one",
            "pub (super) AccountApiSuper: two"
        ]
    );
}
