//! Looking into the types a user wrote.
//!
//! Three questions, each one walk over the syntax: does it borrow or is it otherwise unfit to be
//! sent; which of the block's type parameters does it use; what is it when `Self` is written out.
//! All of them see only names: a type alias that hides a reference is caught by the compiler later,
//! under the same token. Macros in type position are searched token by token.

use std::collections::BTreeSet;

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprPath, Ident, Path, QSelf, Token, Type, TypePath};

use crate::errors::Errors;

// ---- Fit to be sent -----------------------------------------------------------------------------

/// Notes why a parameter of this type cannot be a field of a message. True if it can.
pub(crate) fn refuse_field(name: &Ident, ty: &Type, errors: &mut Errors) -> bool {
    let mut unfit = Unfit::default();
    unfit.visit_type(ty);
    match unfit.found {
        None => true,
        Some(Finding::Borrow(tokens)) => {
            let hint = match bare(ty) {
                Type::Reference(reference) if looks_like_context(&reference.elem) => {
                    "if it is the context, take it as `&mut ActorContext<Self>`".to_owned()
                }
                Type::Reference(reference) => {
                    format!("write `{name}: {}`", shown(&owned(&reference.elem)))
                }
                _ => "hold owned data instead".to_owned(),
            };
            errors.at(
                tokens,
                format_args!(
                    "`{name}` travels in a message and outlives this call, so it cannot borrow; {hint}"
                ),
            );
            false
        }
        Some(Finding::ImplTrait(tokens)) => {
            errors.at(
                tokens,
                format_args!(
                    "`{name}` becomes a field of the message, and a field has one type: name it, use a type parameter of the impl block, or `Box<dyn Trait + Send>`"
                ),
            );
            false
        }
        Some(Finding::Infer(tokens)) => {
            errors.at(
                tokens,
                format_args!("`{name}` becomes a field of the message: write its type out"),
            );
            false
        }
    }
}

/// Whether the user may have meant the context, under another name such as a type alias.
fn looks_like_context(ty: &Type) -> bool {
    let Type::Path(path) = bare(ty) else {
        return false;
    };
    path.path.segments.last().is_some_and(|last| {
        let name = last.ident.to_string();
        ["Context", "Ctx", "Cx"]
            .iter()
            .any(|part| name.contains(part))
    })
}

/// Notes why this cannot be the type of a reply. True if it can.
pub(crate) fn refuse_reply(ty: &Type, errors: &mut Errors) -> bool {
    let mut unfit = Unfit::default();
    unfit.visit_type(ty);
    match unfit.found {
        None => true,
        Some(Finding::Borrow(tokens)) => {
            let hint = match bare(ty) {
                Type::Reference(reference) => {
                    format!("return `{}`", shown(&owned(&reference.elem)))
                }
                _ => "return owned data".to_owned(),
            };
            errors.at(
                tokens,
                format_args!("a reply travels back to the asker, so it cannot borrow; {hint}"),
            );
            false
        }
        Some(Finding::ImplTrait(tokens)) => {
            errors.at(
                tokens,
                "a reply has one type that both sides can name: write it out; for a method that waits write `async fn`",
            );
            false
        }
        Some(Finding::Infer(tokens)) => {
            errors.at(tokens, "write the type of the reply out");
            false
        }
    }
}

/// The type without the invisible or round brackets a macro may have put around it.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            other => return other,
        };
    }
}

/// What to take instead of a reference to `ty`.
fn owned(ty: &Type) -> TokenStream {
    match bare(ty) {
        Type::Path(path) if path.path.is_ident("str") => quote::quote!(String),
        Type::Slice(slice) => {
            let element = &slice.elem;
            quote::quote!(Vec<#element>)
        }
        Type::TraitObject(object) => quote::quote!(Box<#object>),
        other => other.to_token_stream(),
    }
}

/// Tokens as a person would set them: `Vec<u8>` and not `Vec < u8 >`.
pub(crate) fn shown(tokens: &TokenStream) -> String {
    let mut text = tokens.to_string();
    for (from, to) in [
        (" < ", "<"),
        ("< ", "<"),
        (" <", "<"),
        (" >", ">"),
        (" ,", ","),
        (" :: ", "::"),
        (":: ", "::"),
        (" ;", ";"),
        ("& ", "&"),
    ] {
        text = text.replace(from, to);
    }
    text
}

/// The first thing that a message or a reply cannot hold.
#[derive(Default)]
struct Unfit {
    found: Option<Finding>,
    /// Lifetimes bound by a `for<'a>` around the current place.
    bound: Vec<Ident>,
}

enum Finding {
    Borrow(TokenStream),
    ImplTrait(TokenStream),
    Infer(TokenStream),
}

impl Unfit {
    fn note(&mut self, finding: Finding) {
        self.found.get_or_insert(finding);
    }
}

impl<'ast> Visit<'ast> for Unfit {
    fn visit_type_reference(&mut self, reference: &'ast syn::TypeReference) {
        if reference.lifetime.is_none() {
            self.note(Finding::Borrow(reference.to_token_stream()));
        }
        visit::visit_type_reference(self, reference);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast syn::Lifetime) {
        if lifetime.ident != "static" && !self.bound.contains(&lifetime.ident) {
            self.note(Finding::Borrow(lifetime.to_token_stream()));
        }
    }

    fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
        self.note(Finding::ImplTrait(ty.to_token_stream()));
    }

    fn visit_type_infer(&mut self, ty: &'ast syn::TypeInfer) {
        self.note(Finding::Infer(ty.to_token_stream()));
    }

    // `fn(&str)` and `Fn(&str)` borrow only while they are called.
    fn visit_type_bare_fn(&mut self, _: &'ast syn::TypeBareFn) {}
    fn visit_parenthesized_generic_arguments(
        &mut self,
        _: &'ast syn::ParenthesizedGenericArguments,
    ) {
    }

    fn visit_trait_bound(&mut self, bound: &'ast syn::TraitBound) {
        let outer = self.bound.len();
        if let Some(lifetimes) = &bound.lifetimes {
            for parameter in &lifetimes.lifetimes {
                if let syn::GenericParam::Lifetime(parameter) = parameter {
                    self.bound.push(parameter.lifetime.ident.clone());
                }
            }
        }
        self.visit_path(&bound.path);
        self.bound.truncate(outer);
    }
}

// ---- Type parameters ----------------------------------------------------------------------------

/// The type and const parameters that something mentions.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    /// Every parameter that is named.
    pub(crate) all: BTreeSet<Ident>,
    /// Those behind which something is looked up (`T::Item`, `<T as Trait>::Item`): without their
    /// bounds the lookup means nothing.
    pub(crate) projected: BTreeSet<Ident>,
}

/// Which of `parameters` the syntax mentions.
pub(crate) fn mentions(
    parameters: &BTreeSet<Ident>,
    walk: impl FnOnce(&mut dyn MentionsVisit),
) -> Mentions {
    let mut finder = Finder {
        parameters,
        inside_qself: false,
        found: Mentions::default(),
    };
    walk(&mut finder);
    finder.found
}

/// The kinds of syntax [`mentions`] can look into.
pub(crate) trait MentionsVisit {
    fn ty(&mut self, ty: &Type);
    fn bound(&mut self, bound: &syn::TypeParamBound);
    fn predicate(&mut self, predicate: &syn::WherePredicate);
}

struct Finder<'a> {
    parameters: &'a BTreeSet<Ident>,
    inside_qself: bool,
    found: Mentions,
}

impl Finder<'_> {
    fn name(&mut self, name: &Ident, projected: bool) {
        if self.parameters.contains(name) {
            self.found.all.insert(name.clone());
            if projected {
                self.found.projected.insert(name.clone());
            }
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => self.name(&ident, true),
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl MentionsVisit for Finder<'_> {
    fn ty(&mut self, ty: &Type) {
        self.visit_type(ty);
    }
    fn bound(&mut self, bound: &syn::TypeParamBound) {
        self.visit_type_param_bound(bound);
    }
    fn predicate(&mut self, predicate: &syn::WherePredicate) {
        self.visit_where_predicate(predicate);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            self.name(&first.ident, self.inside_qself || path.segments.len() > 1);
        }
        visit::visit_path(self, path);
    }

    fn visit_qself(&mut self, qself: &'ast QSelf) {
        let outer = std::mem::replace(&mut self.inside_qself, true);
        visit::visit_qself(self, qself);
        self.inside_qself = outer;
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
    }
}

// ---- Self ---------------------------------------------------------------------------------------

/// Writes the actor's type where the user wrote `Self`: in the generated items `Self` is another.
pub(crate) struct ReplaceSelf<'a> {
    pub(crate) actor: &'a Type,
}

impl ReplaceSelf<'_> {
    /// `Self::Rest` becomes `<Actor>::Rest`.
    fn qualify(&self, qself: &mut Option<QSelf>, path: &mut Path) {
        let mut rest = Path {
            leading_colon: Some(<Token![::]>::default()),
            segments: path.segments.iter().skip(1).cloned().collect(),
        };
        for segment in &mut rest.segments {
            self.visit_arguments(segment);
        }
        *qself = Some(QSelf {
            lt_token: <Token![<]>::default(),
            ty: Box::new(self.actor.clone()),
            position: 0,
            as_token: None,
            gt_token: <Token![>]>::default(),
        });
        *path = rest;
    }

    fn visit_arguments(&self, segment: &mut syn::PathSegment) {
        Self { actor: self.actor }.visit_path_arguments_mut(&mut segment.arguments);
    }

    fn tokens(&self, tokens: TokenStream) -> TokenStream {
        tokens
            .into_iter()
            .flat_map(|token| match token {
                TokenTree::Ident(ident) if ident == "Self" => self.actor.to_token_stream(),
                TokenTree::Group(group) => {
                    let mut replaced = Group::new(group.delimiter(), self.tokens(group.stream()));
                    replaced.set_span(group.span());
                    TokenTree::Group(replaced).into()
                }
                other => other.into(),
            })
            .collect()
    }
}

impl VisitMut for ReplaceSelf<'_> {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        match ty {
            Type::Path(TypePath { qself: None, path }) if path.is_ident("Self") => {
                *ty = self.actor.clone();
            }
            Type::Path(TypePath { qself, path }) if starts_with_self(qself.as_ref(), path) => {
                self.qualify(qself, path);
            }
            other => visit_mut::visit_type_mut(self, other),
        }
    }

    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Path(ExprPath { qself, path, .. }) if starts_with_self(qself.as_ref(), path) => {
                self.qualify(qself, path);
            }
            other => visit_mut::visit_expr_mut(self, other),
        }
    }

    fn visit_macro_mut(&mut self, call: &mut syn::Macro) {
        call.tokens = self.tokens(call.tokens.clone());
    }
}

fn starts_with_self(qself: Option<&QSelf>, path: &Path) -> bool {
    qself.is_none() && path.segments.len() > 1 && path.segments[0].ident == "Self"
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;
