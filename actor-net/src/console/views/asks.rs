//! `GET /api/v1/asks`: who waits for whom.

use actor_core::{ActorId, AskCircle};

use super::looks::Looks;
use super::{id, ms, ns};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{AskEdge, Asks, RefusedCycle};
use crate::console::walks::FRESH;

/// Asks that were refused, which are told.
const REFUSED: usize = 20;
/// Those that wait of whom more is asked than what shows.
const LOOKED_AT: usize = 200;

pub(in crate::console) async fn asks(shared: &Shared) -> Result<Answer, Wrong> {
    let summary = shared.walks.summary(FRESH).await?;
    let waiting = &summary.waiting;
    let mut looks = Looks::new(shared.system);
    let some = waiting.iter().take(LOOKED_AT);
    let both = some.flat_map(|seen| [Some(seen.actor), seen.waits_for]);
    let both: Vec<ActorId> = both.flatten().collect();
    looks.look(both).await;
    let circles = shared.system.ask_circles(REFUSED).latest;
    let of_circles = circles.iter().flat_map(|circle| circle.actors.iter());
    let living = of_circles.filter_map(|actor| shared.system.find_actor(&actor.to_string()));
    looks.look(living.collect()).await;
    let items: Vec<AskEdge> = waiting
        .iter()
        .filter_map(|seen| {
            Some(AskEdge {
                from: looks.name(seen.actor),
                to: looks.name(seen.waits_for?),
                message: looks
                    .seen(seen.actor)
                    .and_then(|seen| seen.handling.map(str::to_owned)),
                since_ns: seen.quiet_for.map(ns),
            })
        })
        .collect();
    let cycles = summary.circles();
    Ok(json(&Asks {
        shown: items.len(),
        truncated: summary.waiting_total > items.len() as u64,
        items,
        total: summary.waiting_total,
        next: None,
        cycles: cycles
            .into_iter()
            .map(|circle| circle.into_iter().map(id).collect())
            .collect(),
        refused_cycles: circles
            .iter()
            .map(|circle| refused(circle, &looks))
            .collect(),
        deadlocks_total: shared.system.stats().asks.deadlock,
        walk_ns: ns(summary.took),
    }))
}

pub(super) fn refused(circle: &AskCircle, looks: &Looks) -> RefusedCycle {
    RefusedCycle {
        at_ms: ms(circle.at),
        actors: circle
            .actors
            .iter()
            .map(|actor| looks.known(*actor))
            .collect(),
        message: circle.message.to_owned(),
    }
}
