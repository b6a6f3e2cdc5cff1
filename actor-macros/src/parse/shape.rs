//! The types our macros can be put on: owned structs and enums.

use syn::{Data, DeriveInput, Generics};

use crate::errors::Errors;

/// Refuses what neither derive can be put on: unions, and types that borrow.
pub(super) fn refuse_shape(what: &str, derive: &str, input: &DeriveInput, errors: &mut Errors) {
    if let Data::Union(data) = &input.data {
        errors.at(
            data.union_token,
            format_args!("`{derive}` can be derived for a struct or an enum, not for a union"),
        );
    }
    refuse_lifetimes(what, &input.generics, errors);
}

/// Refuses lifetime parameters: what an actor holds and what is sent to it may outlive any borrow.
pub(super) fn refuse_lifetimes(what: &str, generics: &Generics, errors: &mut Errors) {
    for lifetime in generics.lifetimes() {
        errors.at(
            &lifetime.lifetime,
            format_args!(
                "{what} outlives every borrow (it is `'static`), so it has no lifetime parameter; hold owned data instead, such as `String` or `Arc<T>`"
            ),
        );
    }
}
