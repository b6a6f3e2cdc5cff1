//! `GET /api/v1/types`.

use std::cmp::Reverse;
use std::collections::HashMap;

use actor_core::TypeLatency;

use super::ns;
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{TypeRow, Types};
use crate::console::latency::spread;
use crate::console::query::Query;
use crate::console::walks::FRESH;

pub(in crate::console) async fn types(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let limit = query.number("limit", 100, 1, 200)?;
    let sort = query.one_of(
        "sort",
        &["alive", "queued", "busy", "rate", "wait", "handle"],
    )?;
    let summary = shared.walks.summary(FRESH).await?;
    let times = shared.system.latencies().types;
    let times: HashMap<&str, TypeLatency> =
        times.into_iter().map(|it| (it.actor_type, it)).collect();
    let failures: HashMap<&str, u64> = shared.system.failures_by_type().into_iter().collect();
    let pair = shared.recent.pair();
    let mut rows: Vec<TypeRow> = summary
        .types
        .iter()
        .map(|count| TypeRow {
            actor_type: count.actor_type.to_owned(),
            alive: count.alive,
            busy: count.busy,
            queued: count.queued,
            rate_per_s: pair
                .as_ref()
                .and_then(|pair| pair.type_rates.get(count.actor_type).copied()),
            wait: times
                .get(count.actor_type)
                .and_then(|it| spread(&it.recent_wait)),
            handle: times
                .get(count.actor_type)
                .and_then(|it| spread(&it.recent_handle)),
            failures_total: failures.get(count.actor_type).copied().unwrap_or(0),
        })
        .collect();
    // Stable: of equal ones those with more actors come first.
    match sort {
        "queued" => rows.sort_by_key(|row| Reverse(row.queued)),
        "busy" => rows.sort_by_key(|row| Reverse(row.busy)),
        "rate" => rows.sort_by(|a, b| {
            let of = |row: &TypeRow| row.rate_per_s.unwrap_or(-1.0);
            of(b).total_cmp(&of(a))
        }),
        "wait" => rows.sort_by_key(|row| Reverse(row.wait.map(|it| it.p99_ns))),
        "handle" => rows.sort_by_key(|row| Reverse(row.handle.map(|it| it.p99_ns))),
        _ => {}
    }
    let total = rows.len();
    rows.truncate(limit);
    Ok(json(&Types {
        shown: rows.len(),
        truncated: total > rows.len(),
        items: rows,
        total: total as u64,
        next: None,
        walk_ns: ns(summary.took),
    }))
}
