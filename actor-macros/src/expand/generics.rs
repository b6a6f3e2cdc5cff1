//! Which generics a generated item has.
//!
//! The impls for the actor have all of the block's, but a message struct only what it needs:
//! `Len` of `Store<T>` is no generic type at all. It keeps a bound only if everything the bound
//! names is there, except where a type looks something up (`T::Item`): then all bounds of `T` come
//! along, with whatever they name.

use std::collections::BTreeSet;

use quote::quote;
use syn::{
    GenericParam, Generics, Ident, Type, TypeParam, TypeParamBound, WhereClause, WherePredicate,
    parse_quote,
};

use crate::model::Method;
use crate::types::{Mentions, mentions};

/// The generics with `T: Send + 'static` for each type parameter, as actors and messages need.
pub(crate) fn sendable(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    let predicates: Vec<WherePredicate> = generics
        .type_params()
        .map(|TypeParam { ident, .. }| parse_quote!(#ident: ::core::marker::Send + 'static))
        .collect();
    if !predicates.is_empty() {
        generics.make_where_clause().predicates.extend(predicates);
    }
    generics
}

/// The generics with the method's own where clause.
pub(super) fn with_predicates(generics: &Generics, predicates: &[WherePredicate]) -> Generics {
    let mut generics = generics.clone();
    if !predicates.is_empty() {
        generics
            .make_where_clause()
            .predicates
            .extend(predicates.iter().cloned());
    }
    generics
}

/// The generics of one message struct.
pub(super) struct MessageGenerics {
    pub(super) generics: Generics,
    /// Type parameters that no field names, in order: a struct needs a `PhantomData` for them.
    pub(super) hidden: Vec<Ident>,
}

/// Picks what the fields and the reply of `method` need out of the block's generics.
pub(super) fn of_message(block: &Generics, method: &Method) -> MessageGenerics {
    let source = with_predicates(block, &method.predicates);
    let parameters: BTreeSet<Ident> = source
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(parameter.ident.clone()),
            GenericParam::Const(parameter) => Some(parameter.ident.clone()),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    let of_types = |types: &mut dyn Iterator<Item = &Type>| {
        mentions(&parameters, |walk| types.for_each(|ty| walk.ty(ty)))
    };
    let in_fields = of_types(&mut method.fields().map(|field| &field.ty));
    let in_reply = of_types(&mut std::iter::once(&method.reply));

    let mut used: BTreeSet<Ident> = &in_fields.all | &in_reply.all;
    let projected: BTreeSet<Ident> = &in_fields.projected | &in_reply.projected;
    close_over_projections(&source, &parameters, &projected, &mut used);

    let within = |found: &Mentions| found.all.is_subset(&used);
    let of_bound = |bound: &TypeParamBound| mentions(&parameters, |walk| walk.bound(bound));
    let of_predicate =
        |predicate: &WherePredicate| mentions(&parameters, |walk| walk.predicate(predicate));

    let params = source
        .params
        .iter()
        .filter(|parameter| name_of(parameter).is_some_and(|name| used.contains(name)))
        .cloned()
        .map(|mut parameter| {
            if let GenericParam::Type(parameter) = &mut parameter {
                parameter.bounds = std::mem::take(&mut parameter.bounds)
                    .into_iter()
                    .filter(|bound| within(&of_bound(bound)))
                    .collect();
                if parameter.bounds.is_empty() {
                    parameter.colon_token = None;
                }
            }
            parameter
        })
        .collect();
    let mut generics = Generics {
        params,
        ..Generics::default()
    };
    let predicates: Vec<&WherePredicate> = source
        .where_clause
        .iter()
        .flat_map(|clause| &clause.predicates)
        .filter(|predicate| {
            let found = of_predicate(predicate);
            // One that names no parameter is about the actor and not about this message.
            !found.all.is_empty() && within(&found)
        })
        .collect();
    if !predicates.is_empty() {
        let clause: WhereClause = parse_quote!(where #(#predicates),*);
        generics.where_clause = Some(clause);
    }
    let hidden = generics
        .type_params()
        .map(|parameter| parameter.ident.clone())
        .filter(|name| !in_fields.all.contains(name))
        .collect();
    MessageGenerics { generics, hidden }
}

/// Adds to `used` what the bounds of the parameters behind a lookup name, and so on from there.
fn close_over_projections(
    source: &Generics,
    parameters: &BTreeSet<Ident>,
    projected: &BTreeSet<Ident>,
    used: &mut BTreeSet<Ident>,
) {
    let mut open: Vec<Ident> = projected.iter().cloned().collect();
    let mut done = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        let mut found = BTreeSet::new();
        for parameter in source.type_params().filter(|other| other.ident == name) {
            for bound in &parameter.bounds {
                found.extend(mentions(parameters, |walk| walk.bound(bound)).all);
            }
        }
        let predicates = source
            .where_clause
            .iter()
            .flat_map(|clause| &clause.predicates);
        for predicate in predicates {
            let WherePredicate::Type(bounded) = predicate else {
                continue;
            };
            let subject = mentions(parameters, |walk| walk.ty(&bounded.bounded_ty));
            if subject.all.contains(&name) {
                found.extend(mentions(parameters, |walk| walk.predicate(predicate)).all);
            }
        }
        used.extend(found.iter().cloned());
        open.extend(found);
    }
}

fn name_of(parameter: &GenericParam) -> Option<&Ident> {
    match parameter {
        GenericParam::Type(parameter) => Some(&parameter.ident),
        GenericParam::Const(parameter) => Some(&parameter.ident),
        GenericParam::Lifetime(_) => None,
    }
}

/// `PhantomData<(fn() -> T, ..)>`: owns no `T`, so the message is `Send` whatever `T` is.
pub(super) fn phantom(hidden: &[Ident]) -> proc_macro2::TokenStream {
    quote!(::core::marker::PhantomData<(#(fn() -> #hidden,)*)>)
}

#[cfg(test)]
#[path = "generics_tests.rs"]
mod tests;
