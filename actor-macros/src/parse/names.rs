//! The names the user did not write: message structs, and what a message must not be called.

use crate::errors::Errors;
use syn::Ident;

/// The methods `ActorRef` has of its own, inherent or through the traits everybody has in scope.
/// An inherent method wins over the generated one of the same name, and one of a trait makes the
/// call ambiguous: either way `account.stop()` would not send the user's message.
const TAKEN: &[&str] = &[
    // Its own.
    "ask",
    "ask_blocking",
    "id",
    "into_owned",
    "is_alive",
    "kill",
    "move_to",
    "name",
    "queue_len",
    "recipient",
    "send",
    "send_blocking",
    "stop",
    "stop_with",
    "tell",
    "terminated",
    "try_ask",
    "try_send",
    "try_tell",
    "unwatch",
    "watch",
    // Of `Clone`, `PartialEq`, `Ord`, `Hash`, `Debug`, `Into`, `TryInto`, `ToOwned`, `Borrow`, `Any`.
    "borrow",
    "borrow_mut",
    "clamp",
    "clone",
    "clone_from",
    "clone_into",
    "cmp",
    "eq",
    "fmt",
    "hash",
    "into",
    "max",
    "min",
    "ne",
    "partial_cmp",
    "to_owned",
    "to_string",
    "try_into",
    "type_id",
];

/// Refuses a method whose generated twin on the ref could not be called. True if it can.
pub(super) fn refuse_taken(method: &Ident, errors: &mut Errors) -> bool {
    let name = bare_name(method);
    if TAKEN.contains(&name.as_str()) {
        errors.at(
            method,
            format_args!(
                "`{name}` is a method of every `ActorRef`, so `actor.{name}(..)` would not send this message; rename the method (the message can keep its name: `#[message(name = {})]`)",
                camel_case(method).map_or_else(|| "Name".to_owned(), |name| name.to_string())
            ),
        );
        return false;
    }
    true
}

/// `deposit_all` becomes `DepositAll`; `None` if no struct can be called so (`_1`, `__`).
pub(super) fn camel_case(method: &Ident) -> Option<Ident> {
    let mut name = String::new();
    for word in bare_name(method).split('_') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            name.extend(first.to_uppercase());
            name.push_str(letters.as_str());
        }
    }
    let mut ident: Ident = syn::parse_str(&name).ok()?;
    ident.set_span(method.span());
    Some(ident)
}

/// The name without `r#`.
pub(super) fn bare_name(ident: &Ident) -> String {
    use syn::ext::IdentExt;
    ident.unraw().to_string()
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
