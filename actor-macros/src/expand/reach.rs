//! Who may call which message through the ref.
//!
//! The methods of a trait are all as visible as the trait. One trait for a block with a `pub` and a
//! private message would open the private one to everybody who imports the trait, so each
//! visibility has a trait of its own. The widest takes the plain name, and the others add their
//! visibility to it: `AccountApi`, `AccountApiCrate`, `AccountApiPrivate`.

use quote::format_ident;
use syn::{Ident, Path, Visibility, parse_quote};

use crate::model::{Messages, Method};

/// One trait: its name, its visibility and its methods.
pub(super) struct Reach<'a> {
    pub(super) name: Ident,
    pub(super) vis: Visibility,
    pub(super) methods: Vec<&'a Method>,
}

/// Sorts the methods of a block into traits, the widest first.
pub(super) fn reaches(messages: &Messages) -> Vec<Reach<'_>> {
    let mut groups: Vec<(Width, String, Reach<'_>)> = Vec::new();
    for method in &messages.methods {
        let (width, suffix) = width(&method.vis);
        if let Some((_, _, reach)) = groups.iter_mut().find(|(_, known, _)| *known == suffix) {
            reach.methods.push(method);
            continue;
        }
        let reach = Reach {
            name: format_ident!("{}{suffix}", messages.trait_name),
            vis: match width {
                Width::Private => Visibility::Inherited,
                Width::Public => parse_quote!(pub),
                Width::Within | Width::Crate => method.vis.clone(),
            },
            methods: vec![method],
        };
        groups.push((width, suffix, reach));
    }
    // Stable: of two that contain neither each other, the first in the block comes first.
    groups.sort_by_key(|(width, _, _)| std::cmp::Reverse(*width));
    let mut reaches: Vec<Reach<'_>> = groups.into_iter().map(|(_, _, reach)| reach).collect();
    if let Some(widest) = reaches.first_mut() {
        widest.name = messages.trait_name.clone();
    }
    reaches
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    Private,
    Within,
    Crate,
    Public,
}

/// How wide a visibility is, and what tells it from others in a name.
fn width(vis: &Visibility) -> (Width, String) {
    match vis {
        Visibility::Public(_) => (Width::Public, "Public".to_owned()),
        Visibility::Inherited => (Width::Private, "Private".to_owned()),
        Visibility::Restricted(restricted) => {
            let path: &Path = &restricted.path;
            if path.is_ident("crate") {
                (Width::Crate, "Crate".to_owned())
            } else if path.is_ident("self") {
                (Width::Private, "Private".to_owned())
            } else {
                (Width::Within, camel_path(path))
            }
        }
    }
}

/// `crate::bank::ledger` as `CrateBankLedger`.
fn camel_path(path: &Path) -> String {
    path.segments
        .iter()
        .flat_map(|segment| {
            let text = segment.ident.to_string();
            text.trim_start_matches("r#")
                .split('_')
                .map(|word| {
                    let mut letters = word.chars();
                    letters.next().map_or_else(String::new, |first| {
                        first.to_uppercase().chain(letters).collect()
                    })
                })
                .collect::<Vec<String>>()
        })
        .collect()
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
