//! `#[derive(Actor)]` and its `#[actor(..)]`.

use quote::ToTokens;
use syn::parse::ParseStream;
use syn::{DeriveInput, Ident, LitInt, Token};

use crate::errors::Errors;
use crate::model;

use super::duration::{backoff, period};
use super::entries::{Entries, choice, crate_path, default_crate, flag, list_of};
use super::placement::placement;
use super::shape::refuse_shape;
use super::supervise::{intensity, merge, shutdown, supervise};

/// The keys, each with an example.
const KEYS: &[(&str, &str)] = &[
    ("mailbox", "mailbox = 1024"),
    ("overflow", "overflow = reject"),
    ("restart", "restart = transient"),
    ("backoff", "backoff = \"10ms..5s\""),
    (
        "supervise",
        "supervise(strategy = one_for_all, intensity = 5, period = \"10s\")",
    ),
    ("intensity", "intensity = 5"),
    ("period", "period = \"10s\""),
    ("shutdown", "shutdown = \"5s\""),
    ("significant", "significant"),
    ("on_panic", "on_panic = resume"),
    ("trap_links", "trap_links"),
    ("stash", "stash = 100"),
    ("placement", "placement = spread"),
    ("started", "started = on_start"),
    ("stopped", "stopped = on_stop"),
    ("terminated", "terminated = on_terminated"),
    ("crate", "crate = ::my_actors"),
];

const OVERFLOWS: &[(&str, &str)] = &[
    ("wait", "Wait"),
    ("reject", "Reject"),
    ("drop_newest", "DropNewest"),
    ("drop_oldest", "DropOldest"),
];

const RESTARTS: &[(&str, &str)] = &[
    ("permanent", "Permanent"),
    ("transient", "Transient"),
    ("temporary", "Temporary"),
];

const ON_PANICS: &[(&str, &str)] = &[("restart", "Restart"), ("resume", "Resume")];

/// The most messages a bounded mailbox holds: the inbox counts in 16 bits of its state word, and the
/// values above are left for the senders that are between their check and their push.
const MAILBOX_MAX: u64 = 60_000;

/// The most messages that an actor may put aside, as the runtime has it.
const STASH_MAX: usize = 1_000_000;

/// Reads a `#[derive(Actor)]`. `None` if the type can be no actor, whatever its keys.
pub(crate) fn actor(input: DeriveInput, errors: &mut Errors) -> Option<model::Actor> {
    let fit = refuse_shape("an actor", "Actor", &input, errors);
    let mut actor = model::Actor {
        krate: default_crate(),
        ident: input.ident,
        generics: input.generics,
        mailbox: None,
        restart: None,
        backoff: None,
        supervise: model::Supervise::default(),
        shutdown: None,
        significant: None,
        on_panic: None,
        trap_links: None,
        stash: None,
        placement: None,
        started: None,
        stopped: None,
        terminated: None,
    };
    let mut mailbox = Size::Absent;
    let mut overflow: Option<(Ident, Ident)> = None;
    // The short forms of two keys of `supervise`, and where they stand.
    let (mut short_intensity, mut short_period) = (None, None);
    let mut significant = None;

    let mut entries = Entries::new("#[actor(..)]", KEYS);
    for attribute in input.attrs {
        if !attribute.path().is_ident("actor") {
            continue;
        }
        let list = match list_of(&attribute) {
            Ok(list) => list,
            Err(error) => {
                errors.add(error);
                continue;
            }
        };
        entries.read(list, errors, |key, input, errors| {
            if key == "supervise" {
                return supervise(key, input, &mut actor.supervise, errors);
            }
            if key == "significant" {
                significant = Some(key.clone());
                actor.significant = Some(flag(key, input)?);
                return Ok(());
            }
            if key == "trap_links" {
                actor.trap_links = Some(flag(key, input)?);
                return Ok(());
            }
            Entries::value_of(KEYS, key, input)?;
            match key.to_string().as_str() {
                "mailbox" => {
                    // A refused size is still a size: `overflow` beside it is not at fault.
                    mailbox = Size::Refused;
                    mailbox = size(input)?;
                }
                "overflow" => overflow = Some((key.clone(), choice(key, input, OVERFLOWS)?)),
                "restart" => actor.restart = Some(choice(key, input, RESTARTS)?),
                "backoff" => actor.backoff = Some(backoff(input)?),
                "intensity" => short_intensity = Some((key.clone(), intensity(input)?)),
                "period" => short_period = Some((key.clone(), period(input)?)),
                "shutdown" => actor.shutdown = Some(shutdown(key, input)?),
                "on_panic" => actor.on_panic = Some(choice(key, input, ON_PANICS)?),
                "stash" => actor.stash = Some(stash(input)?),
                "placement" => actor.placement = Some(placement(key, input)?),
                "started" => actor.started = Some(hook(key, input)?),
                "stopped" => actor.stopped = Some(hook(key, input)?),
                "terminated" => actor.terminated = Some(hook(key, input)?),
                _ => actor.krate = crate_path(input)?,
            }
            Ok(())
        });
    }

    merge(&mut actor.supervise.intensity, short_intensity, errors);
    merge(&mut actor.supervise.period, short_period, errors);
    if let (Some(key), Some(true)) = (significant, actor.significant)
        && actor
            .restart
            .as_ref()
            .is_some_and(|restart| restart == "Permanent")
    {
        errors.at(
            key,
            "a permanent child never ends by itself, so it cannot be `significant`; make it `restart = transient` or `restart = temporary`",
        );
    }
    actor.mailbox = match (mailbox, overflow) {
        (Size::Bounded(capacity), overflow) => Some(model::Mailbox::Bounded(
            capacity,
            overflow.map(|(_, variant)| variant),
        )),
        (Size::Unbounded, None) => Some(model::Mailbox::Unbounded),
        (Size::Unbounded, Some((key, _))) => {
            errors.at(
                key,
                "an unbounded mailbox is never full, so `overflow` has no effect; remove it, or give the mailbox a size: `mailbox = 1024`",
            );
            Some(model::Mailbox::Unbounded)
        }
        (Size::Absent, Some((key, _))) => {
            errors.at(
                key,
                "`overflow` says what a full mailbox does; say when it is full, too: `mailbox = 1024`",
            );
            None
        }
        (Size::Absent | Size::Refused, _) => None,
    };
    fit.then_some(actor)
}

/// What stood behind `mailbox =`.
enum Size {
    Absent,
    Refused,
    Unbounded,
    Bounded(usize),
}

fn size(input: ParseStream<'_>) -> syn::Result<Size> {
    let refuse = |token: &dyn ToTokens| {
        syn::Error::new_spanned(
            token.to_token_stream(),
            format_args!(
                "a mailbox holds 1 to {MAILBOX_MAX} messages; write `mailbox = unbounded` for no limit"
            ),
        )
    };
    if input.peek(LitInt) {
        let literal: LitInt = input.parse()?;
        return match literal.base10_parse::<u64>() {
            Ok(capacity @ 1..=MAILBOX_MAX) => Ok(Size::Bounded(
                usize::try_from(capacity).map_err(|_| refuse(&literal))?,
            )),
            _ => Err(refuse(&literal)),
        };
    }
    if input.peek(Ident) {
        let word: Ident = input.parse()?;
        return if word == "unbounded" {
            Ok(Size::Unbounded)
        } else {
            Err(syn::Error::new_spanned(
                &word,
                format_args!(
                    "`mailbox` is a number from 1 to {MAILBOX_MAX} or `unbounded`, not `{word}`"
                ),
            ))
        };
    }
    let token = input.cursor().token_tree().map(|(token, _)| token);
    Err(refuse(&token))
}

/// Reads how many messages may be put aside.
fn stash(input: ParseStream<'_>) -> syn::Result<usize> {
    let token = input.cursor().token_tree().map(|(token, _)| token);
    input
        .parse::<LitInt>()
        .and_then(|literal| literal.base10_parse())
        .ok()
        .filter(|messages| *messages <= STASH_MAX)
        .ok_or_else(|| {
            syn::Error::new_spanned(
                token,
                format_args!("`stash` is how many messages may be put aside: a whole number such as 100, at most {STASH_MAX}, or 0 for none"),
            )
        })
}

fn hook(key: &Ident, input: ParseStream<'_>) -> syn::Result<Ident> {
    let token = input.cursor().token_tree().map(|(token, _)| token);
    let refusal = || {
        syn::Error::new_spanned(
            &token,
            format_args!(
                "`{key}` names an `async fn` of the actor, by its bare name: `{key} = on_{key}`"
            ),
        )
    };
    let method: Ident = input.parse().map_err(|_| refusal())?;
    // `Self::on_start` and `on_start()` are the likely other spellings.
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(refusal());
    }
    Ok(method)
}
