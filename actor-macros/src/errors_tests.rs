//! What a user is told, without a compiler around it.

use proc_macro2::Span;

use super::*;

const KEYS: [&str; 4] = ["mailbox", "overflow", "restart", "backoff"];

#[test]
fn a_slip_finds_the_word_that_was_meant() {
    assert_eq!(nearest("mailbx", KEYS), Some("mailbox"));
    assert_eq!(nearest("Mailbox", KEYS), Some("mailbox"));
    assert_eq!(nearest("overlow", KEYS), Some("overflow"));
    assert_eq!(nearest("back_off", KEYS), Some("backoff"));
    assert_eq!(nearest("trait", ["name", "trait_name"]), Some("trait_name"));
}

#[test]
fn another_word_finds_nothing() {
    assert_eq!(nearest("size", KEYS), None);
    assert_eq!(nearest("", KEYS), None);
}

#[test]
fn the_nearest_wins_over_the_first() {
    assert_eq!(nearest("restar", ["reset", "restart"]), Some("restart"));
}

#[test]
fn every_mistake_becomes_its_own_compile_error() {
    let mut errors = Errors::default();
    errors.at(quote::quote!(a token), "one");
    errors.at(quote::quote!(token), "two");
    errors.add(syn::Error::new(Span::call_site(), "three"));
    let text = errors.into_tokens().to_string();
    assert_eq!(text.matches("compile_error").count(), 3, "{text}");
    for word in ["one", "two", "three"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn no_mistake_is_no_tokens() {
    assert!(Errors::default().into_tokens().is_empty());
}
