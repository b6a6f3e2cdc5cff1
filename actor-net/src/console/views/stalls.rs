//! `GET /api/v1/stalls`.

use std::time::SystemTime;

use actor_core::StallReport;

use super::{id, ms, ns};
use crate::console::Shared;
use crate::console::answer::{Answer, json};
use crate::console::api::{Stall, StallTotals, Stalls};

pub(in crate::console) fn stalls(shared: &Shared) -> Answer {
    let totals = shared.system.stats().stalls;
    let (now, over) = shared.recent.stalls();
    json(&Stalls {
        totals: StallTotals {
            stalls_total: totals.stalls,
            now: totals.running,
            longest_ns: ns(totals.longest),
            spares_started_total: totals.spares_started,
            spares_exhausted_total: totals.spares_exhausted,
            spares_on_duty: totals.spares_on_duty,
            spare_threads: totals.spare_threads,
        },
        now: now.iter().map(stall).collect(),
        recent: over.iter().map(stall).collect(),
    })
}

fn stall((began, report): &(SystemTime, StallReport)) -> Stall {
    Stall {
        at_ms: ms(*began),
        worker: report.worker.0,
        numa_node: report.numa_node.0,
        actor: id(report.actor),
        actor_type: report.actor_type.to_owned(),
        name: report.name.as_deref().map(str::to_owned),
        message: report.message.map(str::to_owned),
        // One that goes on was reported when it began to be one.
        for_ns: ns(if report.still_running {
            report.started.elapsed()
        } else {
            report.lasted
        }),
        trace_id: report.trace_id.map(|trace| trace.to_string()),
        running: report.still_running,
        stack: report.stack.as_ref().map(ToString::to_string),
    }
}
