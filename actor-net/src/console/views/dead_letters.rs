//! `GET /api/v1/dead-letters`.

use actor_core::{ActorId, DeadLetters, Fate};

use super::{id, ms};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{DeadLetter, DeadLettersPage, ReasonCount};
use crate::console::query::Query;

/// Lost messages that are looked through: all that the system keeps.
const LOOKED_AT: usize = 256;

/// A reason by its name, and its count.
pub(in crate::console) type Reason = (&'static str, fn(&DeadLetters) -> u64);

pub(in crate::console) const REASONS: [Reason; 5] = [
    ("actor_stopped", |it| it.actor_stopped),
    ("peer_gone", |it| it.peer_gone),
    ("not_exported", |it| it.not_exported),
    ("too_large", |it| it.too_large),
    ("unreachable", |it| it.unreachable),
];

pub(in crate::console) fn dead_letters(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let limit = query.number("limit", 50, 1, 200)?;
    let wanted = query.one_of(
        "reason",
        &[
            "any",
            "actor_stopped",
            "peer_gone",
            "not_exported",
            "too_large",
            "unreachable",
        ],
    )?;
    let counts = shared.system.stats().messages.dead_letters;
    let pair = shared.recent.pair();
    let by_reason = REASONS.iter().map(|(reason, of)| ReasonCount {
        reason: (*reason).to_owned(),
        total: of(&counts),
        per_s: pair
            .as_ref()
            .and_then(|pair| pair.rate(|stats| of(&stats.messages.dead_letters))),
    });
    let text = query.text("q").map(str::to_lowercase);
    let mut items: Vec<DeadLetter> = recent(shared)
        .filter(|it| wanted == "any" || it.reason == wanted)
        .filter(|it| {
            text.as_deref().is_none_or(|text| {
                let of_type = it.actor_type.as_deref().unwrap_or_default();
                let all = [it.message.as_str(), of_type, it.actor.as_str()];
                all.iter().any(|of| of.to_lowercase().contains(text))
            })
        })
        .collect();
    let total = items.len();
    items.truncate(limit);
    Ok(json(&DeadLettersPage {
        by_reason: by_reason.collect(),
        shown: items.len(),
        truncated: total > items.len(),
        items,
        total: total as u64,
        next: None,
        recorded: true,
    }))
}

/// The dead letters among the messages that were lost of late, the newest first.
fn recent(shared: &Shared) -> impl Iterator<Item = DeadLetter> {
    let lost = shared.system.lost_messages(LOOKED_AT).latest.into_iter();
    lost.filter_map(|it| {
        Some(DeadLetter {
            at_ms: ms(it.at),
            reason: reason(it.reason)?.to_owned(),
            message: it.message.to_owned(),
            actor: id(it.target),
            actor_type: it.actor_type.map(str::to_owned),
            name: None,
            trace_id: it.trace_id.map(|trace| trace.to_string()),
        })
    })
}

/// How many of the recent ones were for an actor.
pub(super) fn of_actor(shared: &Shared, actor: ActorId) -> u64 {
    let lost = shared.system.lost_messages(LOOKED_AT).latest.into_iter();
    lost.filter(|it| it.target == actor && reason(it.reason).is_some())
        .count() as u64
}

/// The name of a reason, if it is one of those for which a message is a dead letter.
fn reason(fate: Fate) -> Option<&'static str> {
    Some(match fate {
        Fate::ActorStopped => "actor_stopped",
        Fate::PeerGone => "peer_gone",
        Fate::NotExported => "not_exported",
        Fate::TooLarge => "too_large",
        Fate::Unreachable => "unreachable",
        _ => return None,
    })
}
