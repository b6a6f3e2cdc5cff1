//! What each path tells, one file per topic. A view reads the system and writes a value of `api`.

mod actor_pages;
mod asks;
mod attention;
mod cluster;
mod dead_letters;
mod failures;
mod health;
mod history;
mod leaks;
mod looks;
mod machine;
mod overview;
mod schedule;
mod shards;
mod stalls;
mod traces;
mod types;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actor_core::ActorId;

pub(super) use actor_pages::{actor, actors};
pub(super) use asks::asks;
pub(super) use cluster::cluster;
pub(super) use dead_letters::dead_letters;
pub(super) use failures::failures;
pub(super) use health::{healthz, readyz};
pub(super) use history::history;
pub(super) use leaks::{LeaksKept, leaks};
pub(super) use machine::{ResidencyKept, machine};
pub(super) use overview::overview;
pub(super) use schedule::schedule;
pub(super) use shards::shards;
pub(super) use stalls::stalls;
pub(super) use traces::{trace, traces};
pub(super) use types::types;

/// As docs/console-api.md writes ids: without `actor:`.
fn id(actor: ActorId) -> String {
    let text = actor.to_string();
    text.strip_prefix("actor:")
        .map_or_else(|| text.clone(), str::to_owned)
}

/// What is longer than 584 years is not told exactly.
fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970; 0 before.
fn ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
