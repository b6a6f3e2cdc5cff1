//! `GET /api/v1/actors` and `GET /api/v1/actors/{id}`.

use actor_core::supervision::Strategy;
use std::collections::HashMap;
use std::time::Duration;

use actor_core::{
    ActorGlance, ActorId, ActorPhase, ActorSnapshot, AskCircle, Restart, Supervision,
};

use super::looks::{Look, Looks};
use super::{asks, dead_letters, id, ms, ns, traces};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{ActorPage, ActorRow, Actors, AskWait, Failure, Latency};
use crate::console::latency::spread;
use crate::console::query::Query;
use crate::console::walks::{FRESH, PAGED_MAX, Sort, Wanted};

/// What has been quiet for so long gets nothing.
const QUIET: Duration = Duration::from_secs(10);
/// Children that an actor's page names.
const CHILDREN: usize = 50;
/// Failures that are looked through: all that the system keeps.
const FAILURES: usize = 256;
/// Refused asks that are looked through: all that the system keeps.
const CIRCLES: usize = 256;
/// Of them, those that an actor's page tells.
const REFUSED: usize = 10;
/// Actors that ask one, which its page names.
const ASKED_BY: usize = 50;

pub(in crate::console) async fn actors(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let limit = query.number("limit", 50, 1, 200)?;
    let page = query.number("page", 1, 1, PAGED_MAX)?;
    let skip = (page - 1) * limit;
    if skip + limit > PAGED_MAX {
        return Err(Wrong::bad(
            format!("page {page} of {limit} each is beyond the first {PAGED_MAX} actors"),
            "narrow it down by parent, type or q, or sort otherwise",
        ));
    }
    const SORTS: &[&str] = &["id", "queued", "quiet", "type", "rate", "restarts"];
    let sort = match query.one_of("sort", SORTS)? {
        "queued" => Sort::Queued,
        "quiet" => Sort::Quiet,
        "type" => Sort::Type,
        "rate" => Sort::Rate,
        "restarts" => Sort::Restarts,
        _ => Sort::Id,
    };
    let parent = match query.text("parent") {
        None => None,
        Some("root") => Some(None),
        Some(text) => Some(Some(find(shared, text)?)),
    };
    let text = query.text("q").map(str::to_lowercase);
    let named = text
        .as_deref()
        .map_or_else(Vec::new, |text| registered(shared, text));
    let wanted = Wanted {
        parent,
        actor_type: query.text("type").map(str::to_owned),
        sort,
        // Those found by name come first, so all pages are looked at from the beginning.
        skip: if text.is_some() { 0 } else { skip },
        take: if text.is_some() { skip + limit } else { limit },
        named,
        text,
    };
    let by_text = wanted.text.clone();
    let picked = shared.walks.pick(wanted).await?;
    let mut looks = Looks::new(shared.system);
    let mut found: Vec<ActorGlance> = Vec::new();
    if let Some(text) = &by_text {
        let unnamed = picked.unnamed.iter().map(|seen| seen.actor).collect();
        looks.look(unnamed).await;
        found.extend(picked.unnamed.iter().filter(|seen| {
            let name = looks.seen(seen.actor).and_then(|seen| seen.name.as_deref());
            name.is_some_and(|name| name.to_lowercase().contains(text))
        }));
    }
    let total = picked.total + found.len() as u64;
    found.extend(&picked.items);
    let skip = if by_text.is_some() { skip } else { 0 };
    let shown: Vec<ActorGlance> = found.into_iter().skip(skip).take(limit).collect();
    let ids: Vec<ActorId> = shown.iter().map(|seen| seen.actor).collect();
    looks.look(ids.clone()).await;
    looks.look_up(&ids).await;
    let rates = Rates::read(shared);
    let items = shown.iter().filter_map(|seen| row(seen, &looks, &rates));
    let items: Vec<ActorRow> = items.collect();
    let pageable = total.min(PAGED_MAX as u64);
    Ok(json(&Actors {
        shown: items.len(),
        items,
        total,
        truncated: total > PAGED_MAX as u64,
        next: (((page * limit) as u64) < pageable && (page + 1) * limit <= PAGED_MAX)
            .then_some(page + 1),
        alive: shared.system.stats().actors.alive(),
        examined: picked.examined,
        complete: picked.unnamed_total <= picked.unnamed.len() as u64,
        walk_ns: ns(picked.took),
    }))
}

/// Actors that are registered by a name with that text in it.
fn registered(shared: &Shared, text: &str) -> Vec<ActorId> {
    let names = shared.system.registered().into_iter();
    names
        .filter(|name| name.name.to_lowercase().contains(text))
        .map(|name| name.actor)
        .take(PAGED_MAX)
        .collect()
}

/// Messages per second, of those that measurements tell of.
struct Rates(HashMap<ActorId, f64>);

impl Rates {
    fn read(shared: &Shared) -> Self {
        let busiest = shared.system.busiest(usize::MAX).into_iter();
        Self(busiest.map(|it| (it.actor, it.per_second)).collect())
    }

    fn of(&self, shown: &ActorGlance) -> Option<f64> {
        let is_quiet = || shown.quiet_for.is_some_and(|quiet| quiet >= QUIET);
        let rate = self.0.get(&shown.actor).copied();
        rate.or_else(|| is_quiet().then_some(0.0))
    }
}

/// An actor in a line; `None` when it has ended since it was seen.
fn row(shown: &ActorGlance, looks: &Looks, rates: &Rates) -> Option<ActorRow> {
    let look = looks.get(shown.actor)?;
    if matches!(look, Look::Gone) {
        return None;
    }
    let seen = look.seen();
    let of = |text: &str| text.to_owned();
    Some(ActorRow {
        id: id(shown.actor),
        actor_type: of(shown.actor_type),
        name: seen.and_then(|seen| seen.name.as_deref().map(of)),
        path: looks.path(shown.actor),
        parent: shown.parent.map(id),
        phase: seen.map(|seen| of(phase(seen.phase))),
        numa_node: seen.map_or(shown.numa_node, |seen| seen.numa_node).0,
        queued: seen.map_or_else(|| u64::from(shown.queued), |seen| seen.queued as u64),
        capacity: match seen {
            Some(seen) => seen.capacity.map(|bound| bound as u64),
            None => shown.capacity.map(u64::from),
        },
        restarts: seen.map(|seen| seen.restarts),
        children: seen.map(|seen| seen.child_count as u64),
        strategy: seen.map(|seen| of(strategy(&seen.supervision))),
        handling: seen.and_then(|seen| seen.handling.map(of)),
        waits_for: shown.waits_for.map(id),
        busy: seen.is_none(),
        quiet_ns: shown.quiet_for.map(ns),
        rate_per_s: rates.of(shown),
    })
}

/// As docs/console-api.md names phases.
fn phase(phase: ActorPhase) -> &'static str {
    match phase {
        ActorPhase::Starting => "starting",
        ActorPhase::Running => "running",
        ActorPhase::Stopping => "stopping",
        ActorPhase::Down => "down",
        ActorPhase::BackingOff => "backing_off",
        _ => "unknown",
    }
}

fn strategy(supervision: &Supervision) -> &'static str {
    match supervision.strategy() {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
        Strategy::SimpleOneForOne => "simple_one_for_one",
        _ => "unknown",
    }
}

fn restart(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

/// The living actor of an id that somebody typed.
fn find(shared: &Shared, text: &str) -> Result<ActorId, Wrong> {
    if let Err(error) = text.parse::<ActorId>() {
        return Err(Wrong::bad(
            error.to_string(),
            "look for it with /api/v1/actors?q=..",
        ));
    }
    shared.system.find_actor(text).ok_or_else(|| {
        Wrong::missing(
            format!("there is no actor {text}: it has stopped, or never was"),
            "look for it with /api/v1/actors?q=..",
        )
    })
}

/// The end of its last life that failed, if the system still knows.
fn last_failure(shared: &Shared, actor: ActorId) -> Option<Failure> {
    let failures = shared.system.failures(FAILURES).latest.into_iter();
    let last = failures.into_iter().find(|it| it.actor == actor)?;
    Some(Failure {
        at_ms: ms(last.at),
        message: last.message.map(str::to_owned),
        error: last.reason.to_string(),
        trace_id: last.trace_id.map(|trace| trace.to_string()),
    })
}

fn latency_of(shared: &Shared, actor_type: &str) -> Latency {
    let types = shared.system.latencies().types;
    let of_it = types.iter().find(|it| it.actor_type == actor_type);
    of_it.map_or_else(Latency::default, |it| Latency {
        wait: spread(&it.recent_wait),
        handle: spread(&it.recent_handle),
    })
}

pub(in crate::console) async fn actor(shared: &Shared, text: &str) -> Result<Answer, Wrong> {
    let actor = find(shared, text)?;
    let gone = || {
        Wrong::missing(
            format!("the actor {text} has stopped"),
            "look for it with /api/v1/actors?q=..",
        )
    };
    let shown = shared.system.glance(actor).ok_or_else(gone)?;
    let mut looks = Looks::new(shared.system);
    looks.look(vec![actor]).await;
    looks.look_up(&[actor]).await;
    let row = row(&shown, &looks, &Rates::read(shared)).ok_or_else(gone)?;
    let summary = shared.walks.summary(FRESH).await?;
    let askers: Vec<&ActorGlance> = summary
        .waiting
        .iter()
        .filter(|seen| seen.waits_for == Some(actor))
        .take(ASKED_BY)
        .collect();
    let children: Vec<ActorId> = looks.seen(actor).map_or_else(Vec::new, |seen| {
        seen.children.iter().copied().take(CHILDREN).collect()
    });
    let mut others: Vec<ActorId> = askers.iter().map(|seen| seen.actor).collect();
    others.extend(shown.waits_for);
    others.extend(&children);
    let circles: Vec<AskCircle> = {
        let all = shared.system.ask_circles(CIRCLES).latest.into_iter();
        all.filter(|circle| circle.actors.contains(&actor))
            .take(REFUSED)
            .collect()
    };
    let of_circles = circles.iter().flat_map(|circle| circle.actors.iter());
    others.extend(of_circles.filter_map(|actor| shared.system.find_actor(&actor.to_string())));
    looks.look(others).await;
    let seen = looks.seen(actor);
    let wait = |of: ActorId, asker: ActorId, since: Option<Duration>| AskWait {
        actor: looks.name(of),
        message: looks
            .seen(asker)
            .and_then(|seen| seen.handling.map(str::to_owned)),
        since_ns: since.map(ns),
    };
    let count = |of: fn(&ActorSnapshot) -> usize| seen.map(|seen| of(seen) as u64);
    let cycle = summary
        .circles()
        .into_iter()
        .find(|circle| circle.contains(&actor));
    let (now, over) = shared.recent.stalls();
    let stalls = now
        .iter()
        .chain(&over)
        .filter(|(_, stall)| stall.actor == actor);
    let handled = traces::handled_by(shared, actor).await;
    Ok(json(&ActorPage {
        ancestors: looks
            .ancestors(actor)
            .unwrap_or_default()
            .into_iter()
            .map(|actor| looks.name(actor))
            .collect(),
        children: children
            .into_iter()
            .map(|child| looks.name(child))
            .collect(),
        restart: seen.map(|seen| restart(seen.restart).to_owned()),
        asker_gone: seen.is_some_and(|seen| seen.asker_gone),
        watchers: count(|seen| seen.watchers),
        watching: count(|seen| seen.watching),
        monitors: count(|seen| seen.monitors),
        links: count(|seen| seen.links),
        timers: count(|seen| seen.timers),
        tasks: count(|seen| seen.tasks),
        registered: seen.map_or_else(Vec::new, |seen| {
            seen.registered
                .iter()
                .map(|name| name.to_string())
                .collect()
        }),
        waits_for: shown.waits_for.map(|of| wait(of, actor, shown.quiet_for)),
        asked_by: askers
            .iter()
            .map(|asker| wait(asker.actor, asker.actor, asker.quiet_for))
            .collect(),
        cycle: cycle.map(|circle| circle.into_iter().map(id).collect()),
        refused_cycles: circles
            .iter()
            .map(|circle| asks::refused(circle, &looks))
            .collect(),
        last_failure: last_failure(shared, actor).or(handled.last_failure),
        recent: handled.recent,
        latency: latency_of(shared, shown.actor_type),
        dead_letters: dead_letters::of_actor(shared, actor),
        stalls: stalls.count() as u64,
        actor: row,
    }))
}
