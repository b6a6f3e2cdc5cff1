//! The three questions about a type, on types that are easy to get wrong.

use proc_macro2::Span;
use quote::quote;

use super::*;

fn reply_refusal(text: &str) -> Option<String> {
    let ty: Type = syn::parse_str(text).expect(text);
    let mut errors = Errors::default();
    let fit = refuse_reply(&ty, &mut errors);
    let refusal = errors.into_tokens().to_string();
    assert_eq!(fit, refusal.is_empty(), "{text}");
    (!fit).then_some(refusal)
}

#[test]
fn owned_types_can_be_sent() {
    for ty in [
        "u8",
        "()",
        "Option<Vec<u8>>",
        "&'static str",
        "Cow<'static, str>",
        "fn(&str) -> &str",
        "Box<dyn Fn(&str) -> u8 + Send>",
        "Box<dyn for<'a> Visit<'a> + Send + 'static>",
        "[u8; 4]",
        "<Self as Trait>::Item",
    ] {
        assert_eq!(reply_refusal(ty), None, "{ty}");
    }
}

#[test]
fn borrows_cannot_be_sent_however_deep() {
    for ty in [
        "&str",
        "&mut u8",
        "&'a str",
        "Option<&str>",
        "Cow<'_, str>",
        "(u8, &[u8])",
        "Box<dyn Trait + 'a>",
        "Box<dyn for<'a> Visit<'a, 'b>>",
    ] {
        let refusal = reply_refusal(ty).expect(ty);
        assert!(refusal.contains("cannot borrow"), "{ty}: {refusal}");
    }
}

#[test]
fn opaque_and_left_out_types_are_refused() {
    assert!(
        reply_refusal("impl Iterator<Item = u8>")
            .expect("opaque")
            .contains("async fn")
    );
    assert!(
        reply_refusal("Vec<_>")
            .expect("left out")
            .contains("write the type")
    );
}

#[test]
fn the_owned_twin_is_suggested() {
    for (ty, twin) in [
        ("&str", "`String`"),
        ("&[u8]", "`Vec<u8>`"),
        ("&dyn Trait", "`Box<dyn Trait>`"),
        ("&HashMap<K, V>", "`HashMap<K, V>`"),
        ("&std::path::Path", "`std::path::Path`"),
    ] {
        let refusal = reply_refusal(ty).expect(ty);
        assert!(refusal.contains(twin), "{ty}: {refusal}");
    }
}

fn mentioned(text: &str) -> (Vec<String>, Vec<String>) {
    let parameters = ["T", "U", "N"]
        .into_iter()
        .map(|name| Ident::new(name, Span::call_site()))
        .collect();
    let ty: Type = syn::parse_str(text).expect(text);
    let found = mentions(&parameters, |walk| walk.ty(&ty));
    let names = |set: &BTreeSet<Ident>| set.iter().map(Ident::to_string).collect();
    (names(&found.all), names(&found.projected))
}

#[test]
fn parameters_are_found_by_name_only_where_they_are_parameters() {
    for (ty, all, projected) in [
        ("T", &["T"][..], &[][..]),
        ("Vec<(T, [u8; N])>", &["N", "T"], &[]),
        ("T::Item", &["T"], &["T"]),
        ("<T as Trait<U>>::Item", &["T", "U"], &["T"]),
        ("other::T", &[], &[]),
        ("::T", &[], &[]),
        ("Foo<T = u8>", &[], &[]),
        ("list![T; u8]", &["T"], &["T"]),
        ("Box<dyn Fn(T) -> U>", &["T", "U"], &[]),
    ] {
        let (found_all, found_projected) = mentioned(ty);
        assert_eq!(found_all, all, "{ty}");
        assert_eq!(found_projected, projected, "{ty}");
    }
}

#[test]
fn self_is_written_out_everywhere() {
    let actor: Type = syn::parse_quote!(Store<T>);
    for (before, after) in [
        (quote!(Self), quote!(Store<T>)),
        (quote!(Vec<Option<Self>>), quote!(Vec<Option<Store<T>>>)),
        (quote!(Self::Item), quote!(<Store<T>>::Item)),
        (quote!([u8; Self::LEN]), quote!([u8; <Store<T>>::LEN])),
        (
            quote!(<Self as Trait>::Item),
            quote!(<Store<T> as Trait>::Item),
        ),
        (
            quote!(list![Self; (Self)]),
            quote!(list![Store<T>; (Store<T>)]),
        ),
        (quote!(fn(Self) -> Self), quote!(fn(Store<T>) -> Store<T>)),
        (quote!(myself::Self_), quote!(myself::Self_)),
    ] {
        let mut ty: Type = syn::parse2(before.clone()).expect("a type");
        ReplaceSelf { actor: &actor }.visit_type_mut(&mut ty);
        assert_eq!(
            ty.to_token_stream().to_string().replace(' ', ""),
            after.to_string().replace(' ', ""),
            "{before}"
        );
    }
}
