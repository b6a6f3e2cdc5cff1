//! The types our macros can be put on: owned structs and enums.

use syn::{Data, DeriveInput, Generics};

use crate::errors::Errors;

/// Refuses what neither derive can be put on: unions, and types that borrow. True if it can.
pub(super) fn refuse_shape(
    what: &str,
    derive: &str,
    input: &DeriveInput,
    errors: &mut Errors,
) -> bool {
    let mut fit = refuse_lifetimes(what, &input.generics, errors);
    if let Data::Union(data) = &input.data {
        errors.at(
            data.union_token,
            format_args!("`{derive}` can be derived for a struct or an enum, not for a union"),
        );
        fit = false;
    }
    fit
}

/// Refuses lifetime parameters: what an actor holds and what is sent to it may outlive any borrow.
/// True if there are none.
pub(super) fn refuse_lifetimes(what: &str, generics: &Generics, errors: &mut Errors) -> bool {
    for lifetime in generics.lifetimes() {
        errors.at(
            &lifetime.lifetime,
            format_args!(
                "{what} outlives every borrow (it is `'static`), so it has no lifetime parameter; hold owned data instead, such as `String` or `Arc<T>`"
            ),
        );
    }
    generics.lifetimes().next().is_none()
}
