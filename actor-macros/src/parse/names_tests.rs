//! Names made from names.

use proc_macro2::Span;

use super::*;

fn camel(name: &str) -> Option<String> {
    let ident: Ident =
        syn::parse_str(name).unwrap_or_else(|_| Ident::new_raw(name, Span::call_site()));
    camel_case(&ident).map(|name| name.to_string())
}

#[test]
fn a_method_name_becomes_a_type_name() {
    for (method, message) in [
        ("deposit", "Deposit"),
        ("deposit_all", "DepositAll"),
        ("_deposit__all_", "DepositAll"),
        ("get2d", "Get2d"),
        ("r#move", "Move"),
        ("r#type", "Type"),
        ("öffne", "Öffne"),
        ("A", "A"),
    ] {
        assert_eq!(camel(method).as_deref(), Some(message), "{method}");
    }
}

#[test]
fn a_name_that_is_no_type_name_is_none() {
    for method in ["_1", "__"] {
        assert_eq!(camel(method), None, "{method}");
    }
}

#[test]
fn methods_of_the_ref_are_refused_raw_or_not() {
    for method in ["tell", "stop", "clone", "r#watch"] {
        let ident: Ident = syn::parse_str(method).expect("an identifier");
        let mut errors = Errors::default();
        assert!(!refuse_taken(&ident, &mut errors), "{method}");
        let text = errors.into_tokens().to_string();
        assert!(text.contains("rename the method"), "{text}");
    }
}

#[test]
fn the_list_of_taken_names_has_no_doubles() {
    let unique: std::collections::BTreeSet<_> = TAKEN.iter().collect();
    assert_eq!(unique.len(), TAKEN.len());
}
