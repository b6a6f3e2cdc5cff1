//! `GET /api/v1/leaks`: a report, made seldom, by one at a time.

use std::time::{Duration, Instant, SystemTime};

use actor_core::LeakReport;
use tokio::sync::Mutex;

use super::{id, ms, ns};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{Growing, GrowingCount, Idle, LeakingAsk, Leaks, Watches};

/// How long a report serves.
const FRESH: Duration = Duration::from_secs(10);
/// Findings of a kind that are told.
const FINDINGS: usize = 100;

/// The last report.
#[derive(Default)]
pub(in crate::console) struct LeaksKept(Mutex<Option<(Instant, Leaks)>>);

pub(in crate::console) async fn leaks(shared: &Shared) -> Result<Answer, Wrong> {
    // Who comes meanwhile waits for this one.
    let mut kept = shared.leaks.0.lock().await;
    if let Some((at, leaks)) = &*kept
        && at.elapsed() < FRESH
    {
        return Ok(json(leaks));
    }
    let system = shared.system;
    let report = tokio::task::spawn_blocking(move || system.leak_report())
        .await
        .map_err(|error| {
            Wrong::unavailable(error.to_string(), "the system may be shutting down")
        })?;
    let leaks = told(&report);
    let answer = json(&leaks);
    *kept = Some((Instant::now(), leaks));
    Ok(answer)
}

fn told(report: &LeakReport) -> Leaks {
    let owned = |text: &'static str| text.to_owned();
    Leaks {
        at_ms: ms(SystemTime::now()),
        actors: report.actors,
        observed_for_ns: ns(report.observed_for),
        took_ns: ns(report.took),
        clean: report.is_clean(),
        idle: report
            .idle
            .iter()
            .take(FINDINGS)
            .map(|idle| Idle {
                actor_type: owned(idle.actor_type),
                parent: idle.parent.map(id),
                parent_type: idle.parent_type.map(owned),
                alive: idle.alive,
                idle: idle.idle,
                asked: idle.asked as u64,
                unneeded: idle.unneeded as u64,
                longest_ns: ns(idle.longest),
                examples: idle.examples.iter().copied().take(10).map(id).collect(),
            })
            .collect(),
        asks: report
            .asks
            .iter()
            .take(FINDINGS)
            .map(|ask| LeakingAsk {
                actor: id(ask.actor),
                actor_type: owned(ask.actor_type),
                name: ask.name.as_deref().map(str::to_owned),
                message: ask.message.map(owned),
                asker_gone: ask.asker_gone,
                waits_for: ask.waits_for.map(id),
                queued: ask.queued as u64,
                running_ns: ns(ask.running),
            })
            .collect(),
        growing: report
            .growing
            .iter()
            .take(FINDINGS)
            .map(|growing| Growing {
                actor_type: owned(growing.actor_type),
                parent: growing.parent.map(id),
                parent_type: growing.parent_type.map(owned),
                counts: growing
                    .counts
                    .iter()
                    .map(|(ago, alive)| GrowingCount {
                        ago_ns: ns(*ago),
                        alive: *alive,
                    })
                    .collect(),
            })
            .collect(),
        watches: report
            .watches
            .iter()
            .take(FINDINGS)
            .map(|it| Watches {
                actor: id(it.actor),
                actor_type: owned(it.actor_type),
                name: it.name.as_deref().map(str::to_owned),
                watchers: it.watchers as u64,
                watching: it.watching as u64,
                monitors: it.monitors as u64,
            })
            .collect(),
        unanswered: report
            .unanswered
            .iter()
            .copied()
            .take(FINDINGS)
            .map(id)
            .collect(),
        not_asked: report.not_asked,
        text: report.to_string(),
    }
}
