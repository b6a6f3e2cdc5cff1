//! `GET /api/v1/dead-letters`.

use actor_core::DeadLetters;

use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{DeadLettersPage, ReasonCount};
use crate::console::query::Query;

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
    query.number("limit", 50, 1, 200)?;
    query.one_of(
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
    Ok(json(&DeadLettersPage {
        by_reason: by_reason.collect(),
        items: Vec::new(),
        total: 0,
        shown: 0,
        truncated: false,
        next: None,
        recorded: false,
    }))
}
