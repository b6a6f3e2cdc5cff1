//! Which parameters and bounds a message struct takes over from its block.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::errors::Errors;
use crate::parse;

use super::*;

/// The generics, where clause and hidden parameters of the only message in `block`.
fn picked(block: TokenStream) -> (String, String, Vec<String>) {
    let mut errors = Errors::default();
    let messages =
        parse::messages::messages(TokenStream::new(), block, &mut errors).expect("an impl block");
    assert!(errors.into_tokens().is_empty());
    let found = of_message(&messages.generics, &messages.methods[0]);
    (
        found
            .generics
            .to_token_stream()
            .to_string()
            .replace(' ', ""),
        found
            .generics
            .where_clause
            .to_token_stream()
            .to_string()
            .replace(' ', ""),
        found.hidden.iter().map(Ident::to_string).collect(),
    )
}

fn no_hidden() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_message_without_parameters_is_not_generic() {
    let block = quote!(
        impl<T: Clone> Store<T>
        where
            T: Ord,
        {
            #[message]
            fn len(&self) -> usize {
                0
            }
        }
    );
    assert_eq!(picked(block), (String::new(), String::new(), no_hidden()));
}

#[test]
fn fields_bring_their_parameters_and_bounds() {
    let block = quote!(
        impl<K: Ord, V, const N: usize> Store<K, V, N>
        where
            K: Clone,
            V: Clone,
            String: Clone,
        {
            #[message]
            fn put(&mut self, key: K, slots: [u8; N]) {}
        }
    );
    assert_eq!(
        picked(block),
        (
            "<K:Ord,constN:usize>".to_owned(),
            "whereK:Clone".to_owned(),
            no_hidden()
        )
    );
}

#[test]
fn a_bound_that_names_an_unused_parameter_stays_behind() {
    let block = quote!(
        impl<T: Clone + Into<U>, U> Store<T, U>
        where
            T: From<U>,
        {
            #[message]
            fn put(&mut self, value: T) {}
        }
    );
    assert_eq!(
        picked(block),
        ("<T:Clone>".to_owned(), String::new(), no_hidden())
    );
}

#[test]
fn a_lookup_brings_every_bound_of_its_parameter() {
    let block = quote!(
        impl<I: Codec<C>, C: Charset<X>, X, Y> Store<I, C, X, Y> {
            #[message]
            fn put(&mut self, value: I::Item) {}
        }
    );
    assert_eq!(
        picked(block),
        (
            "<I:Codec<C>,C:Charset<X>,X>".to_owned(),
            String::new(),
            vec!["C".to_owned(), "X".to_owned()]
        )
    );
}

#[test]
fn a_parameter_of_the_reply_alone_is_hidden() {
    let block = quote!(
        impl<K, V, const N: usize> Store<K, V, N> {
            #[message]
            fn get(&self, key: K) -> Option<[V; N]> {
                None
            }
        }
    );
    assert_eq!(
        picked(block),
        (
            "<K,V,constN:usize>".to_owned(),
            String::new(),
            vec!["V".to_owned()]
        )
    );
}

#[test]
fn self_counts_as_the_actors_parameters() {
    let block = quote!(
        impl<T> Store<T> {
            #[message]
            fn merge(&mut self, other: Self) {}
        }
    );
    assert_eq!(
        picked(block),
        ("<T>".to_owned(), String::new(), no_hidden())
    );
}

#[test]
fn the_methods_own_where_clause_counts_where_it_is_about_the_message() {
    let block = quote!(
        impl<T> Store<T> {
            #[message]
            fn get(&self) -> T
            where
                T: Clone,
            {
                todo!()
            }
        }
    );
    assert_eq!(
        picked(block),
        (
            "<T>".to_owned(),
            "whereT:Clone".to_owned(),
            vec!["T".to_owned()]
        )
    );
}
