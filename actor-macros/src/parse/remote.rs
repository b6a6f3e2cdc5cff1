//! `remote` and `remote = "name"`: the message travels.

use syn::parse::ParseStream;
use syn::{Ident, LitStr, Token};

use crate::model::Remote;

/// The most bytes of a name between peers.
const NAME_BYTES_MAX: usize = 128;

/// Reads what follows the word.
pub(super) fn remote(key: &Ident, input: ParseStream<'_>) -> syn::Result<Remote> {
    let mut remote = Remote {
        key: key.clone(),
        name: None,
    };
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        let name = input.parse::<LitStr>().map_err(|error| {
            syn::Error::new(
                error.span(),
                "`remote` takes a name in quotes, or nothing: `remote = \"bank.deposit\"`",
            )
        })?;
        let text = name.value();
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(syn::Error::new(
                name.span(),
                format_args!(
                    "a name between peers has 1 to {NAME_BYTES_MAX} bytes and no control characters"
                ),
            ));
        }
        remote.name = Some(name);
    }
    Ok(remote)
}
